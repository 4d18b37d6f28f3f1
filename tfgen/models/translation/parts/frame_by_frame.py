"""Clips that are translated frame by frame: at once, or with a state that each call takes and returns."""

import dataclasses
from collections.abc import Mapping

import tensorflow as tf

from tfgen import fields
from tfgen.fields import Field
from tfgen.models.capabilities import Translator


class FrameByFrame(Translator):
    """A `Translator` of clips with a `tfgen.networks.ClipGenerator`, and the signatures `next_frame` and `start_state`.

    Maps are `label_map`, one-hot, or pictures, called `frames` in a clip and `image` if there is one, and `edges`.

    Attributes:
        generator: the `ClipGenerator`.
        num_frames: T of the clips of `translate`.
        first: the number of first frames that are given, as the field `start`, 0 or `generator.history`.
        frame_shape: (H, W, C) of the frames that are made.
        map_classes: the number of classes of `label_map`; 0: maps are pictures.
        edges: whether there are `edges`.
        own_statistics: whether batch norm uses the statistics of each image alone.
    """

    def inputs_of(self, given: dict) -> tf.Tensor:
        """The maps float32 [B, ..., H, W, I]: classes, or pictures in [-1, 1], and borders.

        Args:
            given: {name: float32 in [0, 1]} of `label_map`, or of `frames` or `image`, and of `edges`; others are left out.
        """
        picture = given["label_map"] if self.map_classes else 2.0 * given["frames" if "frames" in given else "image"] - 1.0
        return tf.concat([picture, given["edges"][..., None]], axis=-1) if self.edges else picture

    def translated_fields(self):
        return self._fields(self.num_frames, "start" if self.first else "")

    def translate_rows(self, **given) -> dict[str, tf.Tensor]:
        """{"frames": float32 [B, T, H, W, C] in [0, 1]}; those that are given are the first ones."""
        start = given.get("start")
        maps, num = self.inputs_of(given), self.num_frames - self.first
        known = None if start is None else 2.0 * start - 1.0
        state = self.generator.packed(self.generator.beginning(maps[:, : self.generator.history], known))
        made = tf.TensorArray(tf.float32, num, element_shape=[None, *self.frame_shape])

        def one(i, state, made):
            found = self._next(state, maps[:, self.first + i])
            return i + 1, found["state"], made.write(i, found["image"])

        _, _, made = tf.while_loop(lambda i, *_: i < num, one, (0, state, made))
        frames = tf.ensure_shape(tf.transpose(made.stack(), [1, 0, 2, 3, 4]), [None, num, *self.frame_shape])
        return {"frames": frames if start is None else tf.concat([start, frames], axis=1)}

    def empty_state(self, num: int) -> tf.Tensor:
        """The state of `num` clips before their first frames, float32 [num, history, H, W, any]: all is 0."""
        return tf.zeros([num, *self.generator.state_shape])

    def start_state(self, **given) -> dict[str, tf.Tensor]:
        """{"state": float32 [B, history, H, W, any]} after known frames.

        Args:
            **given: `start`, float32 [B, history, H, W, C] in [0, 1], and the maps of these frames, as for `translate`.

        Raises:
            ValueError, InvalidArgumentError: as `translate`.
        """
        given = fields.check_given(self._fields(self.generator.history, "start"), given, "start_state")
        known = 2.0 * given.pop("start") - 1.0
        return {"state": self.generator.packed(self.generator.beginning(self.inputs_of(given), known))}

    def next_frame(self, state: tf.Tensor | None = None, **given) -> dict[str, tf.Tensor]:
        """The next frame {"image": float32 [B, H, W, C] in [0, 1]} and the "state" after it.

        Args:
            state: what `start_state` or the last call returned; None, if no first frames are given: `empty_state`.
            **given: the maps of the frame: those of `translate` without the axis of the frames; `frames` are then `image`.

        Raises:
            ValueError, InvalidArgumentError: as `translate`; or no state, and the first frames are given.
        """
        if state is None and self.first:
            raise ValueError(f"next_frame needs a state: that of the {self.first} given frames is what start_state returns.")
        if state is None:
            given = fields.check_given(self._fields(None), given, "next_frame")
            state = self.empty_state(tf.shape(next(iter(given.values())))[0])
        else:
            given = fields.check_given(self._fields(None, "state"), {**given, "state": state}, "next_frame")
            state = given.pop("state")
        return self._next(state, self.inputs_of(given))

    def _next(self, state, maps):
        made, history = self.generator(self.generator.unpacked(state), maps, own_statistics=self.own_statistics)
        image = tf.clip_by_value(0.5 * made["frame"] + 0.5, 0.0, 1.0)
        return {"image": image, "state": self.generator.packed(history)}

    def _fields(self, length, further=""):
        """The fields of the maps of `length` frames, or of one for None, and of `start` or `state`."""
        known = {
            "start": fields.start((self.generator.history, *self.frame_shape)),
            "state": Field("state", self.generator.state_shape),
        }
        return (*map_fields(self._config, length), *([known[further]] if further else []))

    def input_fields(self) -> tuple[Field, ...]:
        found = super().input_fields()
        return *found, *(field for field in self._fields(None, "state") if field.name not in {f.name for f in found})

    def signatures(self) -> dict:
        def verb(name):
            return lambda **given: getattr(self, name)(**given)

        wanted = {"next_frame": self._fields(None, "state")}
        if self.first:
            wanted["start_state"] = self._fields(self.generator.history, "start")
        own = {name: (verb(name), {f.argument: f.spec for f in of}) for name, of in wanted.items()}
        return {**super().signatures(), **own}


def map_fields(config: Mapping, length: int | None) -> tuple[Field, ...]:
    """The `tfgen.fields.Field`s of the maps of a clip of this length, or of one frame for None.

    Args:
        config: `image_shape`, `map_classes` and `edges` of a `FrameByFrame`.
    """
    (height, width, _), classes = config["image_shape"], config["map_classes"]
    if classes:
        picture = fields.label_map(height, width, classes, num_frames=length)
    else:
        shape = config["image_shape"]
        picture = fields.image(shape) if length is None else fields.frames((length, *shape))
    edges = fields.mask(height, width, "edges", num_frames=length)
    return (picture, *([dataclasses.replace(edges, hint="edges=False leaves them out")] if config["edges"] else []))
