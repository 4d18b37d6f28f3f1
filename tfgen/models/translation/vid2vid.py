"""vid2vid: translation of clips, such as clips of label maps to videos, frame by frame.

Wang, Liu, Zhu, Liu, Tao, Kautz, Catanzaro, "Video-to-Video Synthesis", NeurIPS 2018, arXiv:1808.06601; settings as in the
authors' code (NVIDIA/vid2vid).

The idea: frames that are translated one by one flicker, so a frame is made from the frames before it too. The generator
moves its last frame by a flow that it estimates, draws a new image h, and a soft mask w says where h is shown: mostly where
the last frame shows nothing of the point. One discriminator judges frames beside their maps, others judge three frames in a
row, at several distances in time, beside the flow between them.

    x_t = w h + (1 - w) warp(x_{t-1}, f),     (h, f, w) = G(s_{t-2}, s_{t-1}, s_t, x_{t-2}, x_{t-1})          (eq. 4, 5)
    D minimises  sum_{y = x, h}  (E (D(s, v) - 1)^2 + E D(s, y)^2) / 2,       and each D_T the same of triplets (eq. 8, 9)
    G minimises  sum_{y = x, h}  E (D(s, y) - 1)^2 + 10 FM(v, y),             and the same of D_T,
                 + 10 E c |f - r| + 10 E c |warp(v_{t-1}, f) - v_t| + 10 E c |x_t - warp(x_{t-1}, r)|         (eq. 10)

s are the maps, v the real frames, r the reference flow from a frame back to the one before and c its confidence, 1 where it
explains the frame (`tfgen.layers.flow_confidence`). FM is the matching of features of pix2pixHD. The last term is of the
code. With a foreground, G_F draws classes such as cars from the maps alone: x = m h_F + (1 - m)(...), and h likewise.
Coarse to fine: generators of the doubled size and half the filters add the coarser one's features to their own.

What differs: the reference flow is a field of the data or found by comparing blocks, in place of FlowNet2's. The distance of
VGG features is left out, `pixel_weight` adds one of pixels. Biases begin with 0. With `start="generated"`, in the code
`no_first_img`, maps before the first frame are 0 too; E c w is then added. The discriminator of faces and the generator of
first frames are left out.
"""

import functools
from collections.abc import Sequence
from typing import Annotated, Literal

import keras
import tensorflow as tf

from tfgen import fields
from tfgen.fields import Field
from tfgen.layers import chained_flow, flow_confidence, matched_flow, warp_by_flow
from tfgen.models.base import TrainableModel
from tfgen.models.translation.parts.clip_losses import backprop_length, compared, masked_l1, triplets_of
from tfgen.models.translation.parts.frame_by_frame import FrameByFrame, map_fields
from tfgen.networks import ClipGenerator, MultiScalePatchGAN, halved
from tfgen.networks.clip_generator import of_each_frame
from tfgen.networks.residual_translator import check_sides
from tfgen.settings import Count, ImageShape, NaturalInt, NonNegativeFloat, PositiveFloat, PositiveInt, within
from tfgen.training.players import Player


@keras.saving.register_keras_serializable("tfgen")
class Vid2Vid(FrameByFrame, TrainableModel):
    """vid2vid: a generator that goes from frame to frame, and discriminators of frames and of triplets of frames.

    Batches are those of `tfgen.data.load("moving:digits")` or of clips with `frames` and `target`. A step is an update for
    each chunk of a batch of clips. `next_frame` goes on from a state, which it returns.

    Args:
        image_shape: (H, W, C) of `frames`; with a `label_map` C has no meaning. H and W are multiples of 2^halvings, and of
            twice that for each scale but the first.
        num_frames: T of the clips.
        map_classes: the number of classes of `label_map`; 0: `frames` are translated.
        edges: whether the borders of instances are an input.
        target_channels: channels of `target` and of the translations.
        history: the number of frames, and of their maps, that the generator sees beside the map of the new one.
        start: "given": the first `history` frames of a clip are those of `target`, and `translate` takes them as `start`;
            "generated": all frames are made, the first one without flow.
        width: filters of the first convolution of the coarsest generator; they double with each halving.
        halvings, blocks: of the coarsest generator; half of the blocks are in its encoders, the others in its branches.
        warping: whether the generator has flow and mask; without them x = h.
        foreground: the classes of the foreground.
        scales: number of generators, each of twice the size of the one before.
        local_blocks: residual blocks of each generator but the coarsest.
        scale_steps: the steps of training before each scale but the first is added; (): all are trained at once. Clips are
            then made smaller. Until the last scale is added `translate` is of no use.
        frozen_steps: the steps after that, in which only the new generator is trained. Then optimisers begin anew.
        flow: reference flow: the field "given", or "matched", see `tfgen.layers.matched_flow`.
        flow_reach: the longest step in pixels that "matched" finds; its time grows with the square.
        flow_scale: factor of the flow at the coarsest scale; it doubles with each.
        norm: "batch" or "instance" of the generators, and of the discriminators.
        statistics: of batch norm in `translate`: "image", those of each image, as in the code with batches of one, or
            "moving", those of training.
        discriminator_width, discriminator_halvings, discriminator_scales: of each discriminator, see `MultiScalePatchGAN`.
        temporal_scales: number of discriminators of triplets, of frames 1, 3, 9, ... apart.
        matching_weight, flow_weight, warp_weight: 10 each in the formula above.
        pixel_weight: of the mean absolute error of x and of h, which the paper does not have.
        chunk: frames for each update; None: all of the clip.
        backprop: the largest number of frames through which the gradient goes; 1: earlier frames are constants.
        double_every: steps after which the number of made frames is doubled, and again; 0: whole clips.
        first_length: the number of made frames at first.
        **kwargs: see `TrainableModel`.

    Raises:
        ValueError: H or W cannot be halved so often, clips are too short, or settings do not fit together.

    Example:

    >>> model = tfgen.models.Vid2Vid(
    ...     image_shape=(16, 16, 3), num_frames=4, map_classes=11, width=4, halvings=1, blocks=2, discriminator_width=4,
    ...     discriminator_halvings=1, discriminator_scales=1, temporal_scales=0)
    >>> maps = {"label_map": tf.one_hot(tf.zeros([1, 4, 16, 16], tf.int32), 11), "edges": tf.zeros([1, 4, 16, 16])}
    >>> model.translate(**maps, start=tf.zeros([1, 2, 16, 16, 3]))["frames"].shape
    TensorShape([1, 4, 16, 16, 3])
    """

    loss_names = (
        "generator_loss", "adversarial_loss", "matching_loss", "absolute_error", "temporal_error", "flow_error",
        "warp_error", "discriminator_loss", "temporal_loss",
    )  # fmt: skip

    def __init__(
        self, *, image_shape: ImageShape, num_frames: PositiveInt = 9, map_classes: Annotated[int, within(0, 256)] = 0,
        edges: bool = True, target_channels: PositiveInt = 3, history: Count = 2,
        start: Literal["given", "generated"] = "given", width: PositiveInt = 128, halvings: Count = 3,
        blocks: NaturalInt = 9, warping: bool = True, foreground: Sequence[NaturalInt] = (), scales: Count = 1,
        local_blocks: NaturalInt = 3, scale_steps: Sequence[NaturalInt] = (), frozen_steps: NaturalInt = 0,
        flow: Literal["given", "matched"] = "given", flow_reach: Count = 3, flow_scale: PositiveFloat = 20.0,
        norm: Literal["batch", "instance"] = "batch", statistics: Literal["image", "moving"] = "image",
        discriminator_width: PositiveInt = 64, discriminator_halvings: Count = 3, discriminator_scales: Count = 2,
        temporal_scales: NaturalInt = 2, matching_weight: NonNegativeFloat = 10.0, flow_weight: NonNegativeFloat = 10.0,
        warp_weight: NonNegativeFloat = 10.0, pixel_weight: NonNegativeFloat = 0.0, chunk: PositiveInt | None = None,
        backprop: PositiveInt = 1, double_every: NaturalInt = 0, first_length: PositiveInt = 6, **kwargs,
    ):  # fmt: skip
        left_out = (["flow_error", "warp_error"] * (not warping)) + ["temporal_loss"] * (not temporal_scales)
        names = tuple(name for name in type(self).loss_names if name not in left_out)
        object.__setattr__(self, "loss_names", names)  # before Keras' own __init__, in which it allows no attributes
        super().__init__(image_shape=image_shape, **kwargs)
        self._check()
        height, wide, channels = self.image_shape
        inputs, self.frame_shape = (map_classes or channels) + edges, (height, wide, target_channels)
        self.num_frames, self.first = num_frames, history if start == "given" else 0
        self.map_classes, self.edges, self.flow, self.own_statistics = map_classes, edges, flow, statistics == "image"
        self.term_weights = {
            "matching_loss": float(matching_weight), "absolute_error": float(pixel_weight),
            "temporal_error": float(warp_weight), "warp_error": float(warp_weight), "occlusion": 1.0,
        }  # fmt: skip
        self.flow_reach, self.flow_scale, self.flow_weight = flow_reach, float(flow_scale), float(flow_weight)
        self.scale_steps, self.frozen_steps = tuple(scale_steps), frozen_steps
        self.chunk, self.backprop, self.double_every, self.first_length = chunk, backprop, double_every, first_length
        self.generator = ClipGenerator(
            frame_shape=self.frame_shape, inputs=inputs, history=history, scales=scales, width=width, halvings=halvings,
            blocks=blocks, local_blocks=local_blocks, foreground=foreground, flow=warping, flow_scale=flow_scale, norm=norm,
            dtype=self.dtype_policy, name="generator",
        )  # fmt: skip
        self.generator.build()
        judges = {"scales": discriminator_scales, "width": discriminator_width, "halvings": discriminator_halvings,
                  "padding": 2, "norm": norm, "dtype": self.dtype_policy}  # fmt: skip
        smallest = (None, height >> len(scale_steps), wide >> len(scale_steps))
        self.discriminator = MultiScalePatchGAN(**judges, name="discriminator")
        self.discriminator.build([(*smallest, inputs), (*smallest, target_channels)])
        self.temporal = [MultiScalePatchGAN(**judges, name=f"every_{3**k}") for k in range(temporal_scales)]
        for judge in self.temporal:
            judge.build([(*smallest, 3 * target_channels), (*smallest, 4)])
        self.built = True

    def _check(self):
        """Raises ValueError if settings do not fit together."""
        given = self._config
        for setting, value, without in (
            ("norm", "instance", ["statistics"]), ("double_every", 0, ["first_length"]), ("scales", 1, ["local_blocks"]),
            ("warping", False, ["flow_weight"]), ("scale_steps", (), ["frozen_steps"]), ("flow", "given", ["flow_reach"]),
        ):  # fmt: skip
            if given[setting] in (value, list(value) if value == () else value):
                self.check_without_effect(f"{setting}={value!r}", *without)
        scales, unit = given["scales"], 2 ** (given["scales"] - 1)
        height, width, _ = self.image_shape
        if height % unit or width % unit or given["width"] % unit:
            raise ValueError(
                f"With {scales} scales the sides of image_shape and width must be multiples of {unit}; received {height} x "
                f"{width} and {given['width']}."
            )
        check_sides((height // unit, width // unit), given["halvings"])
        first = given["history"] if given["start"] == "given" else 0
        if given["num_frames"] <= first:
            raise ValueError(
                f"num_frames must be at least {first + 1}, as the first {first} frames of a clip are given; received "
                f"{given['num_frames']}."
            )
        longest = 2 * 3 ** (given["temporal_scales"] - 1) + 1 if given["temporal_scales"] else 1
        if given["num_frames"] - first < longest:
            raise ValueError(
                f"With temporal_scales={given['temporal_scales']} num_frames must be at least {first + longest}: {longest} "
                f"frames that are made, for a triplet of frames {longest // 2} apart; received {given['num_frames']}."
            )
        finest = given["width"] // (2 if given["halvings"] > 2 else 1) // unit  # filters of the foreground's network
        if given["foreground"] and not finest:
            raise ValueError(f"foreground needs a width of at least {2 * unit}; received {given['width']}.")
        if given["foreground"] and max(given["foreground"]) >= given["map_classes"]:
            raise ValueError(
                f"foreground must be classes of label_map, in [0, {given['map_classes']}); received {given['foreground']}."
            )
        if len(given["scale_steps"]) not in (0, scales - 1):
            raise ValueError(
                f"scale_steps must be () or have a number for each of the {scales} scales but the first; received "
                f"{given['scale_steps']}."
            )

    # ---- fields and players

    @classmethod
    def fields_of(cls, config):
        height, width, _ = config["image_shape"]
        length = config["num_frames"]
        target = fields.frames((length, height, width, config["target_channels"]), "target")
        flow = Field("flow", (length, height, width, 2), hint="flow='matched' finds it in the frames")
        return (*map_fields(config, length), target, *([flow] if config["flow"] == "given" else []))

    def evaluation_fields(self):
        return tuple(field for field in self.batch_fields() if field.name != "flow")

    def players(self):
        judges = {"discriminator": self.discriminator, **{f"temporal_{3**k}": one for k, one in enumerate(self.temporal)}}
        generator = Player(self.generator, partial=len(self.generator.generators) > 1)
        return {"generator": generator, **{name: Player(judge, averaged=False) for name, judge in judges.items()}}

    def default_optimizer(self):
        return keras.optimizers.Adam(2e-4, beta_1=0.5, epsilon=1e-8)

    # ---- schedule

    def step_kind(self, step):
        """(doublings of the number of made frames, number of scales, whether only the finest of them is trained)."""
        made, doublings = self.num_frames - self.first, 0
        while self.double_every and doublings < step // self.double_every and self.first_length << doublings < made:
            doublings += 1
        begins = [0]  # of each scale
        for steps in self.scale_steps:
            begins.append(begins[-1] + steps + (self.frozen_steps if len(begins) > 1 else 0))
        scales = sum(step >= begin for begin in begins) if self.scale_steps else len(self.generator.generators)
        frozen = len(begins) > 1 and scales > 1 and step < begins[scales - 1] + self.frozen_steps
        return doublings, scales, frozen

    def phase(self, step):
        return self.step_kind(step)[1:]

    def begin_phase(self, phase):
        # With a new scale all optimisers begin anew; after a frozen phase that of the generators, all of which are trained.
        _, frozen = phase
        self.reset_optimizers(*(["generator"] if self.frozen_steps and not frozen else []))

    def updates_of(self, player, steps):
        chunks = [chunk for step in range(steps) for chunk in self._chunks(self.step_kind(step)[0])]
        if player.startswith("temporal_"):  # which have no update without a triplet
            apart = int(player.removeprefix("temporal_"))
            past = 2 * 3 ** (len(self.temporal) - 1)  # the largest number of frames that are kept
            chunks = [(a, b) for a, b in chunks if triplets_of(min(a - self.first, past) + b - a, b - a, apart)]
        return len(chunks)

    def _chunks(self, doublings):
        """[(first, last + 1)] of the frames of each update."""
        length = self.num_frames
        if self.double_every:
            length = min(length, self.first + (self.first_length << doublings))
        begins = range(self.first, length, self.chunk or length)
        return [(begin, min(begin + (self.chunk or length), length)) for begin in begins]

    # ---- training

    def update(self, batch):
        doublings, scales, frozen = self.kind or (0, len(self.generator.generators), False)
        chunks = self._chunks(doublings)
        clip = self._clip(batch, chunks[-1][1], scales)
        known = clip["real"][:, : self.first] if self.first else None
        history = self.generator.beginning(clip["maps"][:, : self.generator.history], known, scales)
        seen = {name: clip[name][:, :0] for name in ("real", "made", "flow")}
        means: dict[str, tf.Tensor] = {}
        for begin, end in chunks:
            part = {name: values[:, begin:end] for name, values in clip.items()}
            through = backprop_length(end - begin, self.backprop, doublings if self.double_every else 30)
            losses, history, seen = self._update_chunk(part, history, seen, through, frozen)
            for name, value in losses.items():
                means.setdefault(name, []).append(value)
        return {name: tf.add_n(values) / len(values) for name, values in means.items()}

    def _clip(self, batch, length, scales):
        """Maps, real frames, flow and confidence [B, T, h, w, any] of a batch, at the size of the finest of the scales."""
        maps, real = self.inputs_of(batch)[:, :length], 2.0 * batch["target"][:, :length] - 1.0
        before = tf.concat([real[:, :1], real[:, :-1]], axis=1)
        matched = functools.partial(matched_flow, reach=self.flow_reach)
        flow = batch["flow"][:, :length] if self.flow == "given" else of_each_frame(matched, real, before)
        for _ in range(len(self.generator.generators) - scales):
            maps, real, before, flow = (of_each_frame(halved, values) for values in (maps, real, before, 0.5 * flow))
        known = tf.cast(tf.range(length) > 0, tf.float32)[:, None, None, None]  # before the first frame there is none
        confidence = known * of_each_frame(flow_confidence, real, before, flow)
        return {"maps": maps, "real": real, "before": before, "flow": flow, "confidence": confidence, "made": real}

    def _update_chunk(self, clip, history, seen, through, frozen):
        """(losses, history, frames of the past) after an update with the frames of `clip`."""
        num, past, after = clip["real"].shape[1], seen["real"].shape[1], {}
        triplets = [triplets_of(past + num, num, 3**k) for k in range(len(self.temporal))]

        def losses_fn():
            state, made = history, []
            for i in range(num):
                if i % through == 0:
                    state = tf.nest.map_structure(tf.stop_gradient, state)
                found, state = self.generator(state, clip["maps"][:, i], frozen=frozen, training=True)
                made.append(found)
            made = {name: tf.stack([found[name] for found in made], axis=1) for name in made[0]}
            new = {**clip, "made": made["frame"]}
            after["history"], after["seen"] = state, {n: tf.concat([v, new[n]], axis=1) for n, v in seen.items()}
            losses = self._frame_losses(clip, made, history["frames"][-1][:, -1:], len(history["frames"]))
            for k, ends in enumerate(triplets):
                for name, value in self._triplet_losses(k, after["seen"], ends).items() if ends else ():
                    losses[name] = losses.get(name, 0.0) + value
            total = losses["adversarial_loss"]
            total += tf.add_n([weight * losses[name] for name, weight in self.term_weights.items() if name in losses])
            if "flow_error" in losses:
                total += self.flow_weight / 2 ** (len(history["frames"]) - 1) * losses["flow_error"]
            return {"generator_loss": total, **losses}

        players = {"generator": "generator_loss", "discriminator": "discriminator_loss"}
        players |= {f"temporal_{3**k}": "temporal_loss" for k, ends in enumerate(triplets) if ends}
        losses = self.step_players(players, losses_fn)
        after = tf.nest.map_structure(tf.stop_gradient, after)
        kept = 2 * 3 ** max(len(self.temporal) - 1, 0)  # frames of the longest triplet before its last one
        return losses, after["history"], {name: value[:, -kept:] for name, value in after["seen"].items()}

    def _frame_losses(self, clip, made, last, scales):
        """The losses of frames, of clips [B, T, h, w, any]; `last`: the frame before the first one."""
        flow, real, confidence = clip["flow"], clip["real"], clip["confidence"]
        before = tf.stop_gradient(tf.concat([last, made["frame"][:, :-1]], axis=1))
        moved = tf.stop_gradient(of_each_frame(warp_by_flow, before, flow))
        losses = {"temporal_error": masked_l1(made["frame"], moved, confidence)}
        if "flow" in made:
            losses["flow_error"] = masked_l1(made["flow"], flow, confidence)
            moved = of_each_frame(warp_by_flow, clip["before"], made["flow"])
            losses["warp_error"] = masked_l1(moved, real, confidence)
            if not self.first:  # where the flow is good, the last frame is to be shown
                losses["occlusion"] = masked_l1(made["weight"], 0.0, confidence)
        fakes = (made["frame"], made["image"])
        losses["absolute_error"] = tf.add_n([tf.reduce_mean(tf.abs(fake - real)) for fake in fakes])
        found = self.judge(clip["maps"], real)
        for fake in fakes:
            for name, value in compared(found, self.judge(clip["maps"], fake), "discriminator_loss").items():
                losses[name] = losses.get(name, 0.0) + value
        return losses

    def _triplet_losses(self, k, seen, triplets):
        """The losses of triplets of frames of the past and of now."""
        flows = []
        for first, middle, last in triplets:
            parts = [[seen["flow"][:, t] for t in range(b, a, -1)] for a, b in ((first, middle), (middle, last))]
            flows.append(tf.concat([chained_flow(part) for part in parts], axis=-1) / self.flow_scale)
        flows = tf.concat(flows, axis=0)
        real, fake = (
            tf.concat([tf.concat([seen[name][:, t] for t in one], axis=-1) for one in triplets], axis=0)
            for name in ("real", "made")
        )
        return compared(self.judge_triplets(k, real, flows), self.judge_triplets(k, fake, flows), "temporal_loss")

    def judge(self, maps: tf.Tensor, frames: tf.Tensor) -> list[dict]:
        """What the discriminator of frames says at each scale, see `MultiScalePatchGAN`, of all frames of clips.

        Args:
            maps: [B, T, h, w, I] of the frames, see `inputs_of`.
            frames: [B, T, h, w, C] in [-1, 1].
        """
        found = self.discriminator([tf.reshape(v, [-1, *v.shape[2:]]) for v in (maps, frames)], training=True)
        return tf.nest.map_structure(lambda value: tf.cast(value, tf.float32), found)

    def judge_triplets(self, k: int, frames: tf.Tensor, flows: tf.Tensor) -> list[dict]:
        """What the discriminator of frames 3^k apart says of triplets.

        Args:
            k: its number.
            frames: [B, h, w, 3 C] in [-1, 1], the earliest first.
            flows: [B, h, w, 4], from the second and the third back to the one before, divided by `flow_scale`.
        """
        found = self.temporal[k]([frames, flows], training=True)
        return tf.nest.map_structure(lambda value: tf.cast(value, tf.float32), found)
