"""Generators of clips, one frame after the other, each from maps and the frames before it.

Wang, Liu, Zhu, Liu, Tao, Kautz, Catanzaro, "Video-to-Video Synthesis", NeurIPS 2018, arXiv:1808.06601, section 3.3 and
appendix A.1; the layers are those of the authors' code (NVIDIA/vid2vid, models/networks.py).
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfgen.layers import warp_by_flow
from tfgen.layers.initializers import normal
from tfgen.networks.common import Network
from tfgen.networks.multi_scale import halved
from tfgen.networks.residual_translator import ResidualBlock, pad
from tfgen.networks.slots import make_norm, normalize
from tfgen.settings import Count, ImageShape, NaturalInt, PositiveFloat, PositiveInt


class _Part(Network):
    """A network of one tensor, not a list."""

    def build(self, input_shape):
        self.call(tf.zeros([1, *input_shape[1:]]))
        self.built = True


class _Encoder(_Part):
    """[B, H, W, any] -> [B, H / 2^halvings, W / 2^halvings, F]: a 7x7 convolution, halvings, residual blocks."""

    def __init__(self, *, filters, blocks, norm, **kwargs):
        super().__init__(**kwargs)
        self.first = self.make_conv(filters[0], 7, padding="valid", name="first")
        self.downs = [self.make_conv(n, 3, strides=2, padding="valid", name=f"down_{i}") for i, n in enumerate(filters[1:])]
        self.norms = [make_norm(norm, self.dtype_policy, f"norm_{i}") for i in range(len(filters))]
        self.blocks = _blocks(self, filters[-1], blocks, norm)

    def call(self, x, training=False, own_statistics=False):
        how = {"training": training, "own_statistics": own_statistics}
        x = tf.nn.relu(normalize(self.norms[0], self.first(pad(x, 3, "reflect")), **how))
        for conv, norm in zip(self.downs, self.norms[1:], strict=True):
            x = tf.nn.relu(normalize(norm, conv(pad(x, 1, "zero")), **how))
        for block in self.blocks:
            x = block(x, **how)
        return x


class _Branch(_Part):
    """[B, h, w, F] -> features [B, h 2^halvings, w 2^halvings, F']: residual blocks, transposed convolutions."""

    def __init__(self, *, filters, blocks, norm, **kwargs):
        super().__init__(**kwargs)
        self.blocks = _blocks(self, filters[-1], blocks, norm)
        ups = filters[-2::-1]
        self.ups = [
            self.make_conv_transpose(n, 3, strides=2, padding="valid", name=f"up_{i}") for i, n in enumerate(ups)
        ]
        self.norms = [make_norm(norm, self.dtype_policy, f"norm_{i}") for i in range(len(ups))]

    def call(self, x, training=False, own_statistics=False):
        how = {"training": training, "own_statistics": own_statistics}
        for block in self.blocks:
            x = block(x, **how)
        for conv, norm in zip(self.ups, self.norms, strict=True):
            x = conv(x)[:, 1:, 1:]  # [B, 2h, 2w, F]: without the row and column that belong to the padding
            x = tf.nn.relu(normalize(norm, x, **how))
        return x


def _blocks(network, filters, num, norm):
    dtype = network.dtype_policy
    return [ResidualBlock(network.make_conv, filters, norm, "reflect", dtype=dtype, name=f"block_{i}") for i in range(num)]


class FrameGenerator(Network):
    """Maps and frames -> a new image, the flow back to the last frame, and where the new image is shown.

    Two encoders, of the maps and of the frames, are added up. One branch makes the image, another one the flow and the
    weight, and a third one, if there is a foreground, an image of it from the maps alone.

    Example:
        >>> network = tfgen.networks.FrameGenerator(width=8, halvings=2)
        >>> network.build([(None, 32, 32, 36), (None, 32, 32, 6)])
        >>> network.count_params() - sum(v.shape.num_elements() for v in network.non_trainable_variables)
        191334

    Args:
        channels: of the image.
        width: filters of the first convolution; they double with each halving.
        halvings: convolutions of stride 2 of the encoders, and transposed ones of the branches.
        encoder_blocks, branch_blocks: residual blocks of each encoder and of each branch.
        flow: whether there is a branch of flow and weight.
        flow_scale: the flow is the output of the last convolution times this number.
        foreground_width: filters of the first convolution of the foreground's network; 0: there is none.
        norm: "batch", "instance", None or a function, see `tfgen.networks.slots.make_norm`.
        **kwargs: see `Network`.

    Call arguments:
        inputs: [maps [B, H, W, any], frames [B, H, W, any]].
        added: None, or "features" of a coarser generator, which are added before the residual blocks of the branches.
        training: as in Keras.
        own_statistics: whether batch norm uses the statistics of each image alone, outside of training.

    Call returns:
        {"image": [B, H, W, channels] in [-1, 1], "flow": [B, H, W, 2], pixels (dx, dy), "weight": [B, H, W, 1] in [0, 1],
        "foreground": as the image, "features": {branch: [B, H, W, width]}}; without what the network does not have.
    """

    def __init__(
        self, *, channels: PositiveInt = 3, width: PositiveInt = 128, halvings: Count = 3, encoder_blocks: NaturalInt = 2,
        branch_blocks: NaturalInt = 2, flow: bool = True, flow_scale: PositiveFloat = 20.0,
        foreground_width: NaturalInt = 0, norm: str | Callable | None = "batch",
        kernel_initializer: str | dict | None = None, **kwargs,
    ):  # fmt: skip
        super().__init__(kernel_initializer=kernel_initializer or normal(0.02), **kwargs)
        self.flow_scale = flow_scale
        parts = {"norm": norm, **self.weights_like}
        own = {"filters": [width * 2**i for i in range(halvings + 1)], **parts}
        self.of_maps = _Encoder(**own, blocks=encoder_blocks, name="of_maps")
        self.of_frames = _Encoder(**own, blocks=encoder_blocks, name="of_frames")
        self.branches = {"image": _Branch(**own, blocks=branch_blocks, name="image")}
        self.image = self._head(channels, "image_head")
        if flow:
            self.branches["flow"] = _Branch(**own, blocks=branch_blocks, name="flow")
            self.flow, self.weight = self._head(2, "flow_head"), self._head(1, "weight_head")
        if foreground_width:
            own["filters"] = [foreground_width * 2**i for i in range(halvings + 1)]
            self.of_foreground = _Encoder(**own, blocks=0, name="of_foreground")
            blocks = encoder_blocks + branch_blocks
            self.branches["foreground"] = _Branch(**own, blocks=blocks, name="foreground")
            self.foreground = self._head(channels, "foreground_head")

    def _head(self, filters, name):
        return self.make_conv(filters, 7, padding="valid", dtype="float32", name=name)  # flow has parts of pixels

    def call(
        self, inputs: Sequence[tf.Tensor], added: dict | None = None, training: bool = False, own_statistics: bool = False
    ):
        maps, frames = inputs
        how = {"training": training, "own_statistics": own_statistics}
        encoded = self.of_maps(maps, **how) + self.of_frames(frames, **how)
        features = {}
        for name, branch in self.branches.items():
            x = self.of_foreground(maps, **how) if name == "foreground" else encoded
            features[name] = branch(x if added is None else x + added[name], **how)
        padded = {name: pad(x, 3, "reflect") for name, x in features.items()}
        found = {"image": tf.tanh(self.image(padded["image"])), "features": features}
        if "flow" in features:
            found["flow"] = self.flow_scale * tf.cast(self.flow(padded["flow"]), tf.float32)
            found["weight"] = tf.sigmoid(self.weight(padded["flow"]))
        if "foreground" in features:
            found["foreground"] = tf.tanh(self.foreground(padded["foreground"]))
        return found


def compose(
    image: tf.Tensor, moved: tf.Tensor | None = None, weight: tf.Tensor | None = None,
    foreground: tf.Tensor | None = None, mask: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:  # fmt: skip
    """(frame, new image) of a new image, the moved last frame and the foreground, all float [B, H, W, C].

    frame = w image + (1 - w) moved, then both the frame and the image are covered by the foreground where `mask` is 1.

    Example:
        >>> frame, _ = compose(tf.constant([0.2, 0.8]), tf.constant([0.6, 0.1]), tf.constant([1.0, 0.5]))
        >>> [round(float(value), 3) for value in frame]
        [0.2, 0.45]

    Args:
        image: h, the new image.
        moved: the last frame, moved by the flow; None: the frame is the image.
        weight: w, [B, H, W, 1].
        foreground: h_F; None: there is none.
        mask: m, [B, H, W, 1].
    """
    frame = image
    if moved is not None:
        assert weight is not None
        frame = weight * image + (1.0 - weight) * moved
    if foreground is None:
        return frame, image
    assert mask is not None
    return mask * foreground + (1.0 - mask) * frame, mask * foreground + (1.0 - mask) * image


class ClipGenerator(Network):
    """A `FrameGenerator` for each scale, the coarsest first, that goes through a clip frame by frame.

    What is known of the frames before is the history, a dict: "maps" [B, N, H, W, I]; "frames", of each scale
    [B, N, h, w, C] in [-1, 1]; "known" [B, N], 1 where there is a frame, 0 before the first one. A history may have fewer
    scales, of smaller frames; its generators are then the coarsest ones.

    Example:
        >>> network = tfgen.networks.ClipGenerator(frame_shape=(16, 16, 3), inputs=2, width=4, halvings=1, blocks=2)
        >>> network.build()
        >>> made, history = network(network.beginning(tf.zeros([1, 2, 16, 16, 2])), tf.zeros([1, 16, 16, 2]))
        >>> made["frame"].shape, history["known"].numpy().tolist()
        (TensorShape([1, 16, 16, 3]), [[0.0, 1.0]])

    Args:
        frame_shape: (H, W, C) of the frames at the finest scale.
        inputs: I, the channels of the maps of one frame.
        history: N, the number of frames that a new one is made from.
        scales: number of generators. Each has half of the filters of the one before, one halving, and `local_blocks` in
            each branch.
        width, halvings, blocks: of the coarsest generator; half of the blocks are in its encoders.
        local_blocks: see `scales`.
        foreground: the channels of the maps that are 1 at the foreground; the mask is their sum, at most 1.
        flow, flow_scale, norm: see `FrameGenerator`; `flow_scale` doubles with each scale.
        **kwargs: see `Network`.
    """

    def __init__(
        self, *, frame_shape: ImageShape, inputs: PositiveInt, history: Count = 2, scales: Count = 1,
        width: PositiveInt = 128, halvings: Count = 3, blocks: NaturalInt = 9, local_blocks: NaturalInt = 3,
        foreground: Sequence[NaturalInt] = (), flow: bool = True, flow_scale: PositiveFloat = 20.0,
        norm: str | Callable | None = "batch", **kwargs,
    ):  # fmt: skip
        super().__init__(autocast=False, **kwargs)  # the history stays float32
        self.frame_shape, self.inputs, self.history = tuple(frame_shape), inputs, history
        self.foreground = list(foreground)
        in_branch = blocks // 2
        coarsest: dict[str, Any] = {
            "halvings": halvings, "encoder_blocks": blocks - in_branch, "branch_blocks": in_branch,
        }  # fmt: skip
        finer: dict[str, Any] = {"halvings": 1, "encoder_blocks": 0, "branch_blocks": local_blocks}
        small = width // 2 if halvings > 2 else width  # of the foreground
        self.generators = [
            FrameGenerator(
                channels=frame_shape[-1], width=width // 2**i, flow=flow, flow_scale=flow_scale * 2**i, norm=norm,
                foreground_width=small // 2**i if foreground else 0, **(finer if i else coarsest), dtype=self.dtype_policy,
                name=f"scale_{i}",
            )
            for i in range(scales)
        ]  # fmt: skip

    def build(self, input_shape=None):
        height, width, channels = self.frame_shape
        for i, generator in enumerate(reversed(self.generators)):
            size = (None, height // 2**i, width // 2**i)
            generator.build([(*size, (self.history + 1) * self.inputs), (*size, self.history * channels)])
        self.built = True

    def call(
        self, history: dict, maps: tf.Tensor, frozen: bool = False, training: bool = False, own_statistics: bool = False
    ) -> tuple[dict, dict]:
        """(what is made, the history after it) of a history and the maps [B, h, w, I] of the new frame.

        Made are "frame" and "image", the new image alone, [B, h, w, C] in [-1, 1], and with flow "flow" [B, h, w, 2] and
        "weight" [B, h, w, 1], 1 where nothing is known. `frozen`: no gradient goes into generators but the finest one.
        """
        how = {"training": training, "own_statistics": own_statistics}
        windows = tf.concat([history["maps"], maps[:, None]], axis=1)
        pyramid = [_side_by_side(windows)]
        for _ in history["frames"][1:]:
            pyramid.append(halved(pyramid[-1]))
        frames: list[tf.Tensor] = []
        known, added = history["known"][:, -1, None, None, None], None
        for seen, before, generator in zip(reversed(pyramid), history["frames"], self.generators, strict=False):
            found = generator([seen, _side_by_side(before)], added=added, **how)
            if frozen and len(frames) < len(history["frames"]) - 1:
                found = tf.nest.map_structure(tf.stop_gradient, found)
            added = found["features"]
            made = {name: tf.cast(value, tf.float32) for name, value in found.items() if name != "features"}
            moved = mask = None
            if "flow" in made:
                made["weight"] = 1.0 - known * (1.0 - made["weight"])
                moved = warp_by_flow(before[:, -1], made["flow"])
            if self.foreground:
                now = seen[..., -self.inputs :]
                mask = tf.minimum(tf.reduce_sum(tf.gather(now, self.foreground, axis=-1), axis=-1, keepdims=True), 1.0)
            made["frame"], made["image"] = compose(
                made["image"], moved, made.get("weight"), made.pop("foreground", None), mask
            )
            frames.append(tf.concat([before[:, 1:], made["frame"][:, None]], axis=1))
        known = tf.concat([history["known"][:, 1:], tf.ones_like(history["known"][:, :1])], axis=1)
        return made, {"maps": windows[:, 1:], "frames": frames, "known": known}

    def beginning(self, maps: tf.Tensor, frames: tf.Tensor | None = None, scales: int | None = None) -> dict:
        """The history of known frames [B, N, h, w, C] in [-1, 1] and their maps; None: nothing is known, all is 0.

        Args:
            maps: [B, N, h, w, I]; without frames [B, any, h, w, I], of which only the size is used.
            frames: of the finest of `scales`; the coarser ones are means of them.
            scales: number of scales; None: all.
        """
        num, (height, width) = tf.shape(maps)[0], maps.shape[2:4]
        known = tf.zeros if frames is None else tf.ones
        if frames is None:
            maps = tf.zeros([num, self.history, height, width, self.inputs])
            frames = tf.zeros([num, self.history, height, width, self.frame_shape[-1]])
        pyramid = [frames]
        for _ in range((scales or len(self.generators)) - 1):
            pyramid.insert(0, of_each_frame(halved, pyramid[0]))
        return {"maps": maps, "frames": pyramid, "known": known([num, self.history])}

    @property
    def state_shape(self) -> tuple[int, int, int, int]:
        """The shape of `packed` for one clip."""
        height, width, channels = self.frame_shape
        return self.history, height, width, len(self.generators) * channels + self.inputs + 1

    def packed(self, history: dict) -> tf.Tensor:
        """A history as one tensor float32 [B, N, H, W, any]: the frames of all scales, enlarged, the maps, and "known"."""
        parts = list(history["frames"])
        for i in range(len(parts)):
            times = 2 ** (len(parts) - 1 - i)
            parts[i] = tf.repeat(tf.repeat(parts[i], times, axis=2), times, axis=3)
        known = history["known"][:, :, None, None, None] * tf.ones_like(history["maps"][..., :1])
        return tf.ensure_shape(tf.concat([*parts, history["maps"], known], axis=-1), [None, *self.state_shape])

    def unpacked(self, state: tf.Tensor) -> dict:
        """The history of a tensor of `packed`."""
        channels, scales = self.frame_shape[-1], len(self.generators)
        parts = tf.split(state, [channels] * scales + [self.inputs, 1], axis=-1)
        steps = [2 ** (scales - 1 - i) for i in range(scales)]
        frames = [part[:, :, ::step, ::step] for part, step in zip(parts, steps, strict=False)]
        return {"maps": parts[-2], "frames": frames, "known": parts[-1][:, :, 0, 0, 0]}


def of_each_frame(function: Callable, *clips: tf.Tensor) -> tf.Tensor:
    """A function of images [N, h, w, any], applied to all frames of clips [B, T, h, w, any] at once."""
    frames = [tf.reshape(clip, [-1, *clip.shape[2:]]) for clip in clips]
    found = function(*frames)
    return tf.reshape(found, [-1, clips[0].shape[1], *found.shape[1:]])


def _side_by_side(clips):
    """[B, T, H, W, C] -> [B, H, W, T C]."""
    return tf.concat(tf.unstack(clips, axis=1), axis=-1)
