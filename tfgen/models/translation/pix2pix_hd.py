"""pix2pixHD: translation of label maps to large images.

Wang, Liu, Zhu, Tao, Kautz, Catanzaro, "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs",
CVPR 2018, arXiv:1711.11585; settings as in the authors' code (NVIDIA/pix2pixHD).

The idea: a large image needs a network that sees all of it and one that draws its details. The global generator G_1
translates the input at half the size; the enhancer G_2 adds G_1's last features to its own at that size and goes on to the
full size. Discriminators D_1, ..., D_S judge patches of the images at S scales. Matching their features replaces a distance
of pixels.

    D_k minimises  (E (D_k(x, y) - 1)^2 + E D_k(x, G(x))^2) / 2
    G minimises    sum_k E (D_k(x, G(x)) - 1)^2 + lambda sum_k sum_i 4 / (n S) E |D_k^i(x, y) - D_k^i(x, G(x))|  (eq. 3 to 5)

D_k^i are the n feature maps of D_k, lambda = 10. The input x has one channel for each class and one with the borders of
instances, which separates objects of one class. Generator and discriminators are updated at once, as in the code.

With `feature_channels` G also sees features of what the label map does not say, such as colours: those that an encoder E
finds in the real image, averaged over each instance, and in `translate` a centre of those of the class, see
`tfgen.models.translation.parts.instance_features`. So one label map has many images, and each instance can be changed
alone. E is trained with G. With `feature_network` the distance of the features Phi_l of a frozen network is added to G's
loss, times `perceptual_weight`, see `tfgen.losses.perceptual_distance`.

Training has three phases: `global_steps` steps of G_1 at half the size, `frozen_steps` of G_2 with G_1 fixed, then both. In
the second phase all optimisers begin anew, in the third that of the generators.

What differs from the code: there the phases are runs with images of two sizes, each with a schedule of its own; here one run
makes the half-sized label maps and images by averages over 3x3 pixels, so the one-hot maps are soft in the first phase too.
E sees the whole image in all phases; in the code it sees the half one first, and its features are then fixed.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import keras
import numpy as np
import tensorflow as tf

from tfgen import features, fields, random
from tfgen.losses import OBJECTIVES, multi_scale_feature_matching, perceptual_distance
from tfgen.models.base import TrainableModel
from tfgen.models.capabilities import Translator
from tfgen.models.capabilities.translator import translation_pictures
from tfgen.models.translation.parts import instance_features
from tfgen.networks import MultiScalePatchGAN, ResidualTranslator, halved
from tfgen.networks.residual_translator import plain_instance_norm
from tfgen.settings import Count, ImageShape, NaturalInt, NonNegativeFloat, PositiveInt, within
from tfgen.training.players import Player

_LEAST_SQUARES = OBJECTIVES["least_squares"]


@keras.saving.register_keras_serializable("tfgen")
class Pix2PixHD(Translator, TrainableModel):
    """pix2pixHD: residual generators of two sizes and discriminators at several scales, trained on pairs.

    Batches have the fields of `tfgen.data.label_maps`: `label_map`, one-hot [B, H, W, K], `edges`, the borders of instances
    [B, H, W], and `target`; with `map_classes=0` they have `image` in place of `label_map`.

    A learning-rate schedule counts the updates since its optimiser began: with phases it begins anew too, see above.

    Args:
        image_shape: (H, W, C) of `image`; H and W are multiples of 2^halvings, and of twice that with an enhancer. Beside a
            `label_map`, `image` is a picture of it in colours, which the networks do not see.
        map_classes: the number of classes K of `label_map`; 0: `image` is translated.
        edges: whether the borders of instances are an input.
        target_channels: channels of `target` and of the translations.
        width: filters of the first convolution of G_1; they double with each halving.
        halvings: how often G_1 halves its input.
        blocks: residual blocks of G_1.
        enhancer: whether there is G_2, of half the filters; without it G_1 makes the whole image, in one phase.
        enhancer_blocks: residual blocks of G_2; without one it keeps its default.
        global_steps: steps of the phase of G_1 alone.
        frozen_steps: steps of the phase of G_2 alone.
        discriminator_width: filters of the first convolution of each discriminator.
        discriminator_halvings: convolutions of stride 2 of each; 3: patches of 70 pixels.
        scales: number of discriminators S.
        matching_weight: lambda; 0: the GAN alone.
        feature_channels: channels of E's features, 3 in the paper; 0: there is no E. Batches then also have `instances`,
            and `translate` takes it, and `seeds` int [B], by default 0, which choose the features.
        clusters: the largest number of centres of a class. `tfgen train` finds them after the last step; after a `fit` of
            your own call `cluster_features`. Before that all features that `translate` draws are 0.
        encoder_width: filters of E's first convolution. encoder_halvings: how often it halves its input.
        feature_network: Phi: `tfgen.features.FeatureNetwork`, or what `tfgen.features.get` takes; None: there is no such
            distance. It is no part of the model, see `DFCVAE`.
        feature_layers: names of its layers; None: its outputs.
        perceptual_weight: of this distance.
        **kwargs: see `TrainableModel`.

    Raises:
        ValueError: sides that do not fit; settings of an enhancer, its phases, E or Phi without one; E without
            `map_classes`; Phi is not found, has no such layers or does not take such images.

    Example:

    >>> model = tfgen.models.Pix2PixHD(
    ...     image_shape=(32, 32, 3), map_classes=11, width=8, halvings=2, blocks=1, discriminator_width=8)
    >>> found = model.translate(label_map=tf.one_hot(tf.zeros([2, 32, 32], tf.int32), 11), edges=tf.zeros([2, 32, 32]))
    >>> found["image"].shape
    TensorShape([2, 32, 32, 3])
    """

    loss_names = ("generator_loss", "adversarial_loss", "matching_loss", "discriminator_loss")

    def __init__(
        self, *, image_shape: ImageShape, map_classes: Annotated[int, within(0, 256)] = 0, edges: bool = True,
        target_channels: PositiveInt = 3, width: PositiveInt = 64, halvings: Count = 4, blocks: NaturalInt = 9,
        enhancer: bool = True, enhancer_blocks: NaturalInt = 3, global_steps: NaturalInt = 0,
        frozen_steps: NaturalInt = 0, discriminator_width: PositiveInt = 64, discriminator_halvings: Count = 3,
        scales: Count = 2, matching_weight: NonNegativeFloat = 10.0, feature_channels: NaturalInt = 0, clusters: Count = 10,
        encoder_width: PositiveInt = 16, encoder_halvings: Count = 4,
        feature_network: features.FeatureNetwork | keras.Model | dict | str | None = None,
        feature_layers: Sequence[str] | None = None, perceptual_weight: NonNegativeFloat = 10.0, **kwargs,
    ):  # fmt: skip
        if feature_network is not None:  # before Keras' own __init__, in which it allows no attributes
            object.__setattr__(self, "loss_names", (*type(self).loss_names, "perceptual_loss"))
        super().__init__(image_shape=image_shape, **kwargs)
        height, wide, channels = self.image_shape
        if not enhancer and (global_steps or frozen_steps):
            raise ValueError(
                "global_steps and frozen_steps are of the phases of an enhancer, and must be 0 with enhancer=False; "
                f"received {global_steps} and {frozen_steps}."
            )
        if not enhancer:
            self.check_without_effect("enhancer=False", "enhancer_blocks")
        if not feature_channels:
            self.check_without_effect("feature_channels=0", "clusters", "encoder_width", "encoder_halvings")
        elif not map_classes:
            raise ValueError(
                f"feature_channels={feature_channels} needs map_classes: features are clustered by class; received 0."
            )
        if feature_network is None:
            self.check_without_effect("feature_network=None", "feature_layers", "perceptual_weight")
        if enhancer and (width % 2 or any(side % 2 ** (halvings + 1) for side in (height, wide))):
            raise ValueError(
                f"With an enhancer width must be even, and the sides of image_shape multiples of {2 ** (halvings + 1)}; "
                f"received width={width} and {height} x {wide}."
            )
        self.map_classes, self.edges, self.matching_weight = map_classes, edges, float(matching_weight)
        self.global_steps, self.frozen_steps = global_steps, frozen_steps
        inputs, parts = (map_classes or channels) + edges, 2 if enhancer else 1
        seen = inputs + feature_channels  # by the generators
        shape = (height // parts, wide // parts, seen)
        made = {"channels": target_channels, "norm": plain_instance_norm, "dtype": self.dtype_policy}
        self.generator = ResidualTranslator(
            image_shape=shape, width=width, halvings=halvings, blocks=blocks, **made, name="generator"
        )
        self.generator.build((None, *shape))
        self.enhancer: Any = None
        if enhancer:
            full = (height, wide, seen)
            self.enhancer = ResidualTranslator(
                image_shape=full, width=width // 2, halvings=1, blocks=enhancer_blocks, **made, name="enhancer"
            )
            self.enhancer.build((None, *full))
        self.discriminator = MultiScalePatchGAN(
            scales=scales, width=discriminator_width, halvings=discriminator_halvings, norm=plain_instance_norm, padding=2,
            dtype=self.dtype_policy, name="discriminator",
        )  # fmt: skip
        smallest = shape[:2] if global_steps else (height, wide)
        self.discriminator.build([(None, *smallest, inputs), (None, *smallest, target_channels)])
        self.encoder: Any = None
        self.clusters: Any = None
        self.concluded_by_data = feature_channels > 0
        if feature_channels:
            pictures = (height, wide, target_channels)
            self.encoder = ResidualTranslator(
                image_shape=pictures, width=encoder_width, halvings=encoder_halvings, blocks=0,
                **{**made, "channels": feature_channels}, name="encoder",
            )  # fmt: skip
            self.encoder.build((None, *pictures))
            self.clusters = instance_features.FeatureClusters(map_classes, clusters, feature_channels, name="clusters")
        self.feature_network, self.perceptual_weight = None, float(perceptual_weight)
        if feature_network is not None:
            self.feature_network = features.get(feature_network, feature_layers, (height, wide, target_channels))
            if global_steps and isinstance(self.feature_network, features.FeatureNetwork):
                self.feature_network.check_takes((height // 2, wide // 2, target_channels))
            self._config["feature_network"] = self.feature_network.get_config()
        self.built = True

    @classmethod
    def fields_of(cls, config):
        height, width, _ = config["image_shape"]
        return (*cls._input_fields(config), fields.image((height, width, config["target_channels"]), "target"))

    @staticmethod
    def _input_fields(config):
        height, width, _ = config["image_shape"]
        classes = config["map_classes"]
        picture = fields.label_map(height, width, classes) if classes else fields.image(config["image_shape"])
        edges = dataclasses.replace(fields.mask(height, width, "edges"), hint="edges=False leaves them out")
        numbers = dataclasses.replace(
            fields.mask(height, width, "instances"), hint="the number of the instance of each pixel, over 255"
        )
        return (picture, *([edges] if config["edges"] else []), *([numbers] if config["feature_channels"] else []))

    def players(self):
        generators = tuple(one for one in (self.generator, self.enhancer, self.encoder) if one is not None)
        return {"generator": Player(generators), "discriminator": Player(self.discriminator, averaged=False)}

    def default_optimizer(self):
        return keras.optimizers.Adam(2e-4, beta_1=0.5, epsilon=1e-8)

    # ---- phases

    def step_kind(self, step):
        """Which generators are trained: "global", "enhancer" or "all"."""
        if self.enhancer is None or step >= self.global_steps + self.frozen_steps:
            return "all"
        return "global" if step < self.global_steps else "enhancer"

    def phase(self, step):
        return self.step_kind(step)

    def begin_phase(self, phase):
        self.reset_optimizers(*(["generator"] if phase == "all" and self.frozen_steps else []))

    # ---- training

    def inputs_of(self, given: dict) -> tf.Tensor:
        """What all networks see, float32 [B, H, W, any]: the label map, or the image in [-1, 1], and borders of instances.

        Args:
            given: {name: float32 [B, H, W, ...] in [0, 1]} of the fields of `translated_fields`; others are left out.
        """
        x = given["label_map"] if self.map_classes else 2.0 * given["image"] - 1.0
        return tf.concat([x, given["edges"][..., None]], axis=-1) if self.edges else x

    def update(self, batch):
        whole, kind = self.inputs_of(batch), self.kind or "all"
        size = halved if kind == "global" else tf.identity
        x, target = size(whole), size(2.0 * batch["target"] - 1.0)
        make = self.generator if kind == "global" or self.enhancer is None else self.refined

        def losses_fn():
            seen = whole
            if self.encoder is not None:
                seen = tf.concat([whole, self.instance_features(batch["target"], batch["instances"])], axis=-1)
            made = tf.cast(make(size(seen)), tf.float32)
            real, fake = (self.judge(x, y) for y in (target, made))
            pairs = list(zip(real, fake, strict=True))
            adversarial = tf.add_n([2.0 * _LEAST_SQUARES.generator(b["logit"]) for _, b in pairs])
            matching = multi_scale_feature_matching(*([scale["maps"] for scale in found] for found in (real, fake)))
            # Of this sum only the gradient for the discriminator's variables is used, on which the fakes do not depend.
            judged = tf.add_n([_LEAST_SQUARES.discriminator(a["logit"], b["logit"]) for a, b in pairs])
            loss, further = adversarial + self.matching_weight * matching, {}
            if self.feature_network is not None:
                of_phi = [list(self.feature_network(0.5 * one + 0.5).values()) for one in (target, made)]
                further["perceptual_loss"] = perceptual_distance(*of_phi)
                loss += self.perceptual_weight * further["perceptual_loss"]
            return {
                "generator_loss": loss, "adversarial_loss": adversarial, "matching_loss": matching,
                "discriminator_loss": judged, **further,
            }  # fmt: skip

        players = {"generator": "generator_loss", "discriminator": "discriminator_loss"}
        return self.step_players(players, losses_fn, variables={"generator": self._trained(kind)})

    def judge(self, x: tf.Tensor, y: tf.Tensor) -> list[dict]:
        """What the discriminators say, the finest first: {"logit": [B, h, w, 1], "maps": [[B, h, w, F], ...]}, all float32.

        Args:
            x: result of `inputs_of`.
            y: images float32 [B, H, W, target channels] in [-1, 1].
        """
        found = self.discriminator([x, y], training=True)
        return tf.nest.map_structure(lambda value: tf.cast(value, tf.float32), found)

    def _trained(self, kind):
        """The variables of the generators that a step of this kind trains."""
        own = self.generator.trainable_variables
        encoding = [] if self.encoder is None else self.encoder.trainable_variables
        if kind == "global" or self.enhancer is None:
            return own + encoding
        encoding = self.enhancer.trainable_variables + encoding
        if kind == "all":  # the enhancer has the features before G_1's last convolution
            last = {id(v) for v in self.generator.last.trainable_variables}
            return [v for v in own if id(v) not in last] + encoding
        return encoding

    # ---- features of instances

    def instance_features(self, image: tf.Tensor, instances: tf.Tensor) -> tf.Tensor:
        """E's features of images, float32 [B, H, W, feature_channels] in [-1, 1]; all pixels of an instance have the same.

        Args:
            image: float32 [B, H, W, target channels] in [0, 1].
            instances: float32 [B, H, W], numbers of instances over 255.
        """
        numbers = instance_features.numbers_of(instances)
        found = tf.cast(self.encoder(2.0 * image - 1.0), tf.float32)
        return instance_features.spread(instance_features.instance_means(found, numbers)[0], numbers)

    def cluster_features(self, batches: Iterable[dict], seed: int = 0) -> None:
        """Clusters the features of the instances of each class, of which `translate` then draws.

        Args:
            batches: batches as in training.
            seed: of k-means.
        """
        found: dict[int, list] = {}
        for batch in batches:
            numbers = instance_features.numbers_of(batch["instances"])
            features_of = self.instance_features(batch["target"], batch["instances"])
            means, pixels = (value.numpy() for value in instance_features.instance_means(features_of, numbers))
            classes = instance_features.instance_means(batch["label_map"], numbers)[0].numpy().argmax(axis=-1)
            large = pixels * instance_features.LEAST > np.prod(numbers.shape[1:])
            for kind in np.unique(classes[large]):
                found.setdefault(int(kind), []).extend(means[large & (classes == kind)])
        self.clusters.fit(found, seed)

    @property
    def concluded(self) -> bool:
        """Whether there are clusters, if the model has features of instances."""
        return self.encoder is None or bool(np.any(np.asarray(self.clusters.used)))

    def conclude(self, batches):
        if self.encoder is not None:
            self.cluster_features(batches, self.seed)

    def draw_features(self, label_map: tf.Tensor, instances: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        """Features float32 [B, H, W, feature_channels] that `translate` draws: for each instance a centre of its class."""
        numbers = instance_features.numbers_of(instances)
        return self.clusters.draw(label_map, numbers, random.keys(tf.cast(seeds, tf.int64)))

    def render(self, features: tf.Tensor, **given) -> dict[str, tf.Tensor]:
        """As `translate`, with features float32 [B, H, W, feature_channels] of one's own, changed ones for instance."""
        return self._rendered(tf.concat([self.inputs_of(given), features], axis=-1))

    def pictures(self, examples):
        """With the features of the targets."""
        if self.encoder is None or "target" not in examples:
            return super().pictures(examples)
        known = self._input_fields(self._config)
        encoded = self.instance_features(examples["target"], examples["instances"])
        outputs = self.render(encoded, **{field.name: examples[field.name] for field in known})
        return translation_pictures([field for field in known if field.name != "instances"], examples, outputs)

    def refined(self, x: tf.Tensor) -> tf.Tensor:
        """The image of the enhancer over the global generator, float [B, H, W, target channels] in [-1, 1], of inputs x."""
        return self.enhancer(x, added=self.generator.features(halved(x)))

    # ---- translation

    def translated_fields(self):
        return (*self._input_fields(self._config), *([] if self.encoder is None else [fields.seeds()]))

    def translate_rows(self, seeds: tf.Tensor | None = None, **given) -> dict[str, tf.Tensor]:
        """{"image": float32 [B, H, W, target channels] in [0, 1]}; in the first phase G_1's, enlarged."""
        if self.encoder is None:
            return self._rendered(self.inputs_of(given))
        seeds = tf.zeros(tf.shape(given["instances"])[:1], tf.int64) if seeds is None else seeds
        return self.render(self.draw_features(given["label_map"], given["instances"], seeds), **given)

    def signatures(self):
        """With E also `instance_features`, `draw_features` and `render`, the methods of these names."""
        found = super().signatures()
        if self.encoder is None:
            return found
        given = dict(found["translate"][1])
        seeds, numbers = given.pop("seeds"), given.pop("instances")
        channels = (self._config[name] for name in ("target_channels", "feature_channels"))
        image, drawn = (tf.TensorSpec([None, *self.image_shape[:2], count]) for count in channels)
        own = {
            "instance_features": ({"image": image, "instances": numbers}, self.instance_features),
            "draw_features": ({"label_map": given["label_map"], "instances": numbers, "seeds": seeds}, self.draw_features),
        }

        known = {field.argument: field for field in self.translated_fields()}
        known["image"] = fields.image(tuple(image.shape[1:]))

        def check(given):
            return {key: known[key].check(x, type(self).__name__) if key in known else x for key, x in given.items()}

        def named(make):  # no default of an argument: an export cannot hold a function
            return lambda **given: {"features": make(**check(given))}

        own = {name: (named(make), specs) for name, (specs, make) in own.items()}
        return {**found, **own, "render": (lambda **given: self.render(**check(given)), {"features": drawn, **given})}

    def _rendered(self, x):
        if self.enhancer is None:
            raw = self.generator(x)
        elif not self.global_steps:
            raw = self.refined(x)
        else:
            raw = tf.cond(
                tf.convert_to_tensor(self.step) < self.global_steps,
                lambda: tf.image.resize(tf.cast(self.generator(halved(x)), tf.float32), self.image_shape[:2]),
                lambda: tf.cast(self.refined(x), tf.float32),
            )
        return {"image": tf.clip_by_value(0.5 * tf.cast(raw, tf.float32) + 0.5, 0.0, 1.0)}
