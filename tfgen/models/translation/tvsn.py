"""TVSN: a new view of an object, from a picture of it and the turn.

Park, Yang, Yumer, Ceylan, Berg, "Transformation-Grounded Image Generation Network for Novel 3D View Synthesis", CVPR 2017,
arXiv:1703.02921; settings as in the authors' code (silverbottlep/tvsn). The first stage is that of Zhou et al., "View
Synthesis by Appearance Flow", ECCV 2016, arXiv:1605.03557, and a mask.

The idea: most of a new view is in the given picture I, only elsewhere. So a first network (DOAFN) says for each pixel of the
view T where in I it is, c in [-1, 1]^2, and whether it is to be seen there, m in [0, 1]. A second one, the completion
network G, trained as a GAN, draws the rest, and corrects what was moved.

    warped  w = I at c (bilinear; -1 and 1 are the centres of the outermost pixels)
    masked  x = (w + 1) m - 1, so hidden pixels are -1
    DOAFN minimises  2 E |w - T| + E BCE(m, M),  M the true visibility
    D minimises      E sp(-D(T)) + E sp(D(G))
    G minimises      E sp(-D(G)) + matching_weight sum_l E (D_l(T) - D_l(G))^2 + variation_weight TV(G)
                     + feature_weight sum_l E (Phi_l(T) - Phi_l(G))^2 + pixel_weight E |T - G|

E is the mean over images and pixels (or logits, features), sp is softplus, D_l are the first three feature maps of D, Phi a
frozen network (VGG-16, pool1 to pool3), TV the total variation of an image. D, TV and |T - G| see images in VGG's range: BGR
in 0 ... 255 less the means of ImageNet. G also has DOAFN's innermost features and the turn.

Training has two phases: `flow_steps` steps of DOAFN, then G and D with DOAFN fixed. In the second phase D is updated at
every `generator_steps`-th step, before G; so the other updates of G have batches of their own, as in the code. The networks
are one model, since a run, an export and a request need all of them.

What differs from the code: there the phases are runs of their own, and the term of pixels begins a third one with new
optimisers; here it counts from step `pixel_start` on, which is to be set for that. The sum TV goes over a batch of 15 with
weight 1e-7, here it is a mean over images with 1.5e-6. Biases of dense layers of G begin at 0. `translate` has moving
statistics of batch norm; the code has those of its 15 test images. Dropout, which is optional there, is left out. Grey
images have the mean of the three means. `near_identity` is not in the code.
"""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tfgen import features, fields
from tfgen.layers import sample_bilinear
from tfgen.layers.initializers import normal
from tfgen.losses import OBJECTIVES
from tfgen.models.base import TrainableModel
from tfgen.models.capabilities import Translator
from tfgen.networks import AppearanceFlow
from tfgen.networks.appearance_flow import outer_half, points_of
from tfgen.networks.common import Network
from tfgen.networks.residual_translator import check_sides
from tfgen.networks.slots import make_norm
from tfgen.settings import Count, ImageShape, NaturalInt, NonNegativeFloat, PositiveInt, Widths
from tfgen.training.players import Player

_VGG_MEANS = (103.939, 116.779, 123.68)  # of blue, green, red
_OBJECTIVE = OBJECTIVES["non_saturating"]
# Torch's default for dense layers: uniform up to 1 / sqrt(inputs).
_TORCH_DEFAULT = {
    "class_name": "VarianceScaling", "config": {"scale": 1 / 3, "mode": "fan_in", "distribution": "uniform"},
}  # fmt: skip


class _Normed(keras.layers.Layer):
    """A convolution, batch norm, and leaky ReLU (ReLU for slope 0)."""

    def __init__(self, conv, slope, **kwargs):
        super().__init__(**kwargs)
        self.conv, self.slope = conv, slope
        self.norm = make_norm("batch", self.dtype_policy, "norm")

    def call(self, x, training=False):
        return tf.nn.leaky_relu(self.norm(self.conv(x), training=training), self.slope)


class _CompletionNetwork(Network):
    """G: [masked images [B, H, W, C], DOAFN's code [B, h, w, F], views [B, V]] -> images [B, H, W, C] in [-1, 1].

    The encoder's maps of the outer half of the levels, and the input, are joined to the decoder.
    """

    def __init__(self, *, channels, size, filters, view_width, **kwargs):
        super().__init__(kernel_initializer=normal(0.02), **kwargs)
        levels, policy = len(filters), {"dtype": self.dtype_policy}
        conv = lambda n, kernel, strides=1: self.make_conv(n, kernel, strides=strides, name="conv")  # noqa: E731
        deconv = lambda n, kernel, **how: self.make_conv_transpose(n, kernel, **how, name="conv")  # noqa: E731
        self.outer = outer_half(filters)
        dense = {"activation": "relu", "kernel_initializer": _TORCH_DEFAULT}
        self.views = [self.make_dense(view_width, **dense, name=f"view_{i}") for i in range(2)]
        self.view_map = _Normed(deconv(view_width, size, padding="valid"), 0.0, **policy, name="view_map")
        self.downs = [_Normed(conv(n, 4, 2), 0.2, **policy, name=f"down_{i}") for i, n in enumerate(filters)]
        self.middle = [_Normed(conv(filters[-1], 3), 0.0, **policy, name=f"middle_{i}") for i in range(2)]
        widths = [filters[max(i - 1, 0)] for i in range(levels)]  # of the results of the decoder's levels
        up = lambda n: deconv(n, 4, strides=2)  # noqa: E731
        self.ups = [_Normed(up(n), 0.0, **policy, name=f"up_{i}") for i, n in enumerate(widths)]
        self.fuse = [_Normed(conv(n, 3), 0.0, **policy, name=f"fuse_{i}") for i, n in enumerate(widths)]
        self.last = self.make_conv(channels, 3, activation="tanh", name="last")

    def call(self, inputs: Sequence[tf.Tensor], training: bool = False):
        x, code, view = (tf.cast(value, self.compute_dtype) for value in inputs)
        maps = [x]  # maps[i] is as large as the result of level i of the decoder
        for down in self.downs:
            x = down(x, training=training)
            maps.append(x)
        for dense in self.views:
            view = dense(view)
        turn = self.view_map(view[:, None, None, :], training=training)
        x = tf.concat([x, code, turn], axis=-1)
        for block in self.middle:
            x = block(x, training=training)
        for i in reversed(range(len(self.ups))):
            x = self.ups[i](x, training=training)
            x = tf.concat([x, maps[i]], axis=-1) if i <= self.outer else x
            x = self.fuse[i](x, training=training)
        return self.last(x)


class _Discriminator(Network):
    """D: [images [B, H, W, C] in VGG's range] -> {"logit": [B, 1, 1, 1], "maps": the first three, after the activation}."""

    def __init__(self, *, size, filters, **kwargs):
        super().__init__(kernel_initializer=normal(0.02), **kwargs)
        self.downs = [
            _Normed(self.make_conv(n, 4, strides=2, name="conv"), 0.2, dtype=self.dtype_policy, name=f"down_{i}")
            for i, n in enumerate(filters)
        ]
        self.last = self.make_conv(1, size, padding="valid", name="last")

    def call(self, inputs: Sequence[tf.Tensor], training: bool = False):
        (x,), maps = inputs, []
        for down in self.downs:
            x = down(x, training=training)
            maps.append(x)
        return {"logit": self.last(x), "maps": maps[:3]}


def masked(warped: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """(w + 1) m - 1 of images [B, H, W, C] in [-1, 1] and masks [B, H, W]: -1 where the mask is 0."""
    return (warped + 1.0) * mask[..., None] - 1.0


def vgg_range(images: tf.Tensor) -> tf.Tensor:
    """Images [B, H, W, C] in [-1, 1] as BGR in 0 ... 255 less ImageNet's means; of other than 3 channels less their mean."""
    if images.shape[-1] == 3:
        return 127.5 * (images[..., ::-1] + 1.0) - tf.constant(_VGG_MEANS, images.dtype)
    return 127.5 * (images + 1.0) - np.mean(_VGG_MEANS).astype(images.dtype.as_numpy_dtype)


def total_variation(images: tf.Tensor) -> tf.Tensor:
    """[B], of images [B, H, W, C]: half the sum of squared differences to the right and lower neighbours, of the pixels that
    have both."""
    own = images[:, :-1, :-1]
    squares = (images[:, :-1, 1:] - own) ** 2 + (images[:, 1:, :-1] - own) ** 2
    return 0.5 * tf.reduce_sum(squares, axis=[1, 2, 3])


@keras.saving.register_keras_serializable("tfgen")
class TVSN(Translator, TrainableModel):
    """TVSN: appearance flow and the completion of what it cannot show, trained on `image`, `view`, `target` and `mask`.

    The fields are those of `tfgen.data.rendered_views`. `mask` is 1 where the target shows a point of the object that is
    seen in `image` too. `translate` takes `image` and `view` and also returns "warped", what DOAFN alone says, and "mask".

    Args:
        image_shape: (H, W, C); H and W are multiples of 2^levels, at least twice that.
        view_size: V, numbers of `view` in [-1, 1]: one-hot turns, or a sine and cosine. 17: by 20, 40, ..., 340 degrees.
        filters: of the levels, in the encoders of DOAFN and G alike; each halves the size.
        dense_width: units of DOAFN's dense layers.
        view_widths: units of those of `view` in DOAFN.
        completion_view_width: units of those of `view` in G.
        discriminator_filters: of D's levels.
        visibility: whether there is a mask; without it, batches have no `mask` and G completes w, as in appearance flow.
        near_identity: whether a new DOAFN begins with w close to I instead of at the centre of I, see `points_of`.
        flow_steps: steps of the phase of DOAFN.
        generator_steps: updates of G for one of D.
        matching_weight: of the features of D.
        feature_network: None, or Phi, see `tfgen.models.DFCVAE`.
        feature_layers: names of Phi's layers; None: its outputs.
        feature_weight: of their distance.
        variation_weight: of TV, which is a sum over pixels.
        pixel_weight: of |T - G|, in units of 1/255.
        pixel_start: the step from which that counts; 0: from the first one of G.
        **kwargs: see `TrainableModel`.

    Raises:
        ValueError: sides that do not fit, or a setting of Phi without it.

    Example:

    >>> model = tfgen.models.TVSN(image_shape=(16, 16, 1), view_size=7, filters=(4, 8), dense_width=8, view_widths=(4, 4),
    ...                           completion_view_width=4, discriminator_filters=(4, 8))
    >>> found = model.translate(image=tf.zeros([2, 16, 16, 1]), view=tf.one_hot([0, 6], 7))
    >>> {name: tuple(value.shape) for name, value in found.items()}
    {'image': (2, 16, 16, 1), 'warped': (2, 16, 16, 1), 'mask': (2, 16, 16)}
    """

    loss_names = (
        "flow_loss", "warp_error", "mask_loss", "generator_loss", "adversarial_loss", "matching_loss", "absolute_error",
        "discriminator_loss",
    )  # fmt: skip

    def __init__(
        self, *, image_shape: ImageShape, view_size: PositiveInt = 17, filters: Widths = (16, 32, 64, 128, 256, 512),
        dense_width: PositiveInt = 2048, view_widths: Widths = (128, 256), completion_view_width: PositiveInt = 128,
        discriminator_filters: Widths = (64, 64, 64, 128, 256, 512), visibility: bool = True, near_identity: bool = False,
        flow_steps: NaturalInt = 200_000, generator_steps: Count = 2, matching_weight: NonNegativeFloat = 100.0,
        feature_network: features.FeatureNetwork | keras.Model | dict | str | None = None,
        feature_layers: Sequence[str] | None = None, feature_weight: NonNegativeFloat = 1e-3,
        variation_weight: NonNegativeFloat = 1.5e-6, pixel_weight: NonNegativeFloat = 10.0, pixel_start: NaturalInt = 0,
        **kwargs,
    ):  # fmt: skip
        if not visibility:  # before Keras' own __init__, in which it allows no attributes
            object.__setattr__(self, "loss_names", tuple(n for n in type(self).loss_names if n != "mask_loss"))
        super().__init__(image_shape=image_shape, **kwargs)
        if feature_network is None:
            self.check_without_effect("feature_network=None", "feature_layers", "feature_weight")
        self.visibility, self.near_identity, self.flow_steps = visibility, near_identity, flow_steps
        self.generator_steps, self.pixel_start = generator_steps, pixel_start
        self.matching_weight, self.feature_weight = float(matching_weight), float(feature_weight)
        self.variation_weight, self.pixel_weight = float(variation_weight), float(pixel_weight)
        image, view, dtype = (None, *self.image_shape), (None, view_size), {"dtype": self.dtype_policy}
        size, judged = (self._halved_sides(widths) for widths in (filters, discriminator_filters))
        self.flow = AppearanceFlow(
            size=size, filters=filters, dense_width=dense_width, view_widths=view_widths, visibility=visibility, **dtype,
            name="flow",
        )  # fmt: skip
        self.flow.build([image, view])
        self.generator = _CompletionNetwork(
            channels=self.image_shape[2], size=size, filters=filters, view_width=completion_view_width, **dtype,
            name="generator",
        )  # fmt: skip
        self.generator.build([image, (None, *size, filters[-1]), view])
        self.discriminator = _Discriminator(size=judged, filters=discriminator_filters, **dtype, name="discriminator")
        self.discriminator.build([image])
        if feature_network is not None:
            feature_network = features.get(feature_network, feature_layers, self.image_shape)
        self.feature_network = feature_network
        self._config["feature_network"] = feature_network and feature_network.get_config()
        self.built = True

    def _halved_sides(self, widths):
        check_sides(self.image_shape, len(widths))
        return tuple(side // 2 ** len(widths) for side in self.image_shape[:2])

    @classmethod
    def fields_of(cls, config):
        height, width, _ = config["image_shape"]
        target = fields.image(config["image_shape"], "target")
        mask = dataclasses.replace(fields.mask(height, width), hint="visibility=False leaves it out")
        return (*cls._given_fields(config), target, *([mask] if config["visibility"] else []))

    @staticmethod
    def _given_fields(config):
        hint = "the turn from `image` to the new view"
        view = fields.Field("view", (config["view_size"],), low=-1.0, high=1.0, hint=hint)
        return fields.image(config["image_shape"]), view

    def players(self):
        return {
            "flow": Player(self.flow), "generator": Player(self.generator),
            "discriminator": Player(self.discriminator, averaged=False),
        }  # fmt: skip

    def default_optimizer(self):
        rates = {"flow": (5e-5, 0.9), "generator": (1e-4, 0.5), "discriminator": (1e-4, 0.5)}
        return {name: keras.optimizers.Adam(rate, beta_1=beta, epsilon=1e-8) for name, (rate, beta) in rates.items()}

    # ---- phases

    def step_kind(self, step):
        """Who is updated: "flow", "both" (D, then G) or "generator"."""
        if step < self.flow_steps:
            return "flow"
        return "generator" if (step - self.flow_steps) % self.generator_steps else "both"

    def updates_of(self, player, steps):
        later = max(steps - self.flow_steps, 0)
        return {"flow": min(steps, self.flow_steps), "generator": later}.get(player, -(-later // self.generator_steps))

    # ---- training

    def update(self, batch):
        image, target = 2.0 * batch["image"] - 1.0, 2.0 * batch["target"] - 1.0
        view, kind = batch["view"], self.kind or "both"
        if kind == "flow":
            return self.step_players({"flow": "flow_loss"}, lambda: self.flow_losses(self.seen(image, view), target, batch))
        seen = self.seen(image, view)
        losses = self.flow_losses(seen, target, batch)  # for the logs
        if kind == "both":
            fake = self.completed(seen, view, training=True)
            losses |= self.step_players({"discriminator": "discriminator_loss"}, lambda: self._judged(target, fake))
        return losses | self.step_players(
            {"generator": "generator_loss"},
            lambda: self.generator_losses(target, self.completed(seen, view, training=True)),
        )

    def seen(self, image: tf.Tensor, view: tf.Tensor) -> dict[str, tf.Tensor | None]:
        """What DOAFN says of images [B, H, W, C] in [-1, 1] and views [B, V].

        Returns:
            {"warped": w, float32 [B, H, W, C]; "logits": of m, float32 [B, H, W], or None; "code": float [B, h, w, F]}.
        """
        found = self.flow([image, view])
        warped = sample_bilinear(image, points_of(found["points"], self.near_identity))
        logits = tf.cast(found["mask"], tf.float32) if self.visibility else None
        return {"warped": warped, "code": found["code"], "logits": logits}

    def flow_losses(self, seen: dict, target: tf.Tensor, batch: dict) -> dict[str, tf.Tensor]:
        """{name: scalar} of DOAFN, for a result of `seen` and targets [B, H, W, C] in [-1, 1]; `batch` has the `mask`."""
        error = tf.reduce_mean(tf.abs(seen["warped"] - target))
        if not self.visibility:
            return {"flow_loss": 2.0 * error, "warp_error": error}
        cross = tf.nn.sigmoid_cross_entropy_with_logits(labels=batch["mask"], logits=seen["logits"])
        return {"flow_loss": 2.0 * error + tf.reduce_mean(cross), "warp_error": error, "mask_loss": tf.reduce_mean(cross)}

    def completed(self, seen: dict, view: tf.Tensor, training: bool = False) -> tf.Tensor:
        """G's images, float32 [B, H, W, C] in [-1, 1], of a result of `seen` and views [B, V]."""
        x = seen["warped"] if seen["logits"] is None else masked(seen["warped"], tf.sigmoid(seen["logits"]))
        return tf.cast(self.generator([x, seen["code"], view], training=training), tf.float32)

    def judge(self, images: tf.Tensor) -> dict:
        """What D says, in training mode, of images [B, H, W, C] in [-1, 1]: {"logit": [B, 1, 1, 1], "maps": [...]}."""
        found = self.discriminator([vgg_range(images)], training=True)
        return tf.nest.map_structure(lambda value: tf.cast(value, tf.float32), found)

    def _judged(self, target, fake):
        logits = (self.judge(images)["logit"] for images in (target, fake))
        return {"discriminator_loss": _OBJECTIVE.discriminator(*logits)}

    def generator_losses(self, target: tf.Tensor, made: tf.Tensor) -> dict[str, tf.Tensor]:
        """{name: scalar} of G, for targets and its images, float32 [B, H, W, C] in [-1, 1]."""
        real, fake = self.judge(target), self.judge(made)
        adversarial = _OBJECTIVE.generator(fake["logit"])
        matching = _squared_distance(real["maps"], fake["maps"])
        loss = adversarial + self.matching_weight * matching
        if self.feature_network is not None and self.feature_weight:
            of_phi = (list(self.feature_network(0.5 * images + 0.5).values()) for images in (target, made))
            loss += self.feature_weight * _squared_distance(*of_phi)
        drawn = vgg_range(made)
        loss += self.variation_weight * tf.reduce_mean(total_variation(drawn))
        counts = tf.cast(tf.convert_to_tensor(self.step) >= self.pixel_start, tf.float32)
        loss += counts * self.pixel_weight * tf.reduce_mean(tf.abs(vgg_range(target) - drawn))
        error = tf.reduce_mean(tf.abs(target - made))
        return {"generator_loss": loss, "adversarial_loss": adversarial, "matching_loss": matching, "absolute_error": error}

    # ---- translation

    def translated_fields(self):
        return self._given_fields(self._config)

    def translate_rows(self, image: tf.Tensor, view: tf.Tensor) -> dict[str, tf.Tensor]:
        """{"image": the new view, "warped": what DOAFN alone says, "mask": float32 [B, H, W], if there is one}, in [0, 1].

        In the phase of DOAFN "image" is "warped".
        """
        seen = self.seen(2.0 * image - 1.0, view)
        first = tf.convert_to_tensor(self.step) < self.flow_steps
        made = tf.cond(first, lambda: seen["warped"], lambda: self.completed(seen, view))
        found = {"image": made, "warped": seen["warped"]}
        found = {name: tf.clip_by_value(0.5 * images + 0.5, 0.0, 1.0) for name, images in found.items()}
        return found if seen["logits"] is None else {**found, "mask": tf.sigmoid(seen["logits"])}


def _squared_distance(real, made):
    """The sum over maps of their mean squared distance."""
    return tf.add_n([tf.reduce_mean((a - b) ** 2) for a, b in zip(real, made, strict=True)])
