"""GAN inversion and photo editing: iGAN.

Zhu, Kraehenbuehl, Shechtman, Efros, "Generative Visual Manipulation on the Natural Image Manifold", ECCV 2016,
arXiv:1609.03552; settings as in the authors' code (junyanz/iGAN).

The idea: the images of a generator G are close to the manifold of natural images, so a photo is edited by moving its code z.
A photo's code is predicted by a network P and then improved by optimisation (section 4.1). A user's strokes are constraints
on G(z), and the edited code is the one near the photo's that meets them (section 4.2); at last the change of G's image is
transferred to the photo itself (section 4.3).

    project:  z0 = argmin_z  mean (G(z) - x)^2 + .002 mean (C(G(z)) - C(x))^2      from P(x), by L-BFGS      (eq. 3, 5)
    train P:  the same of z = P(x), over P's weights                                                         (eq. 4)
    edit:     argmin_z  colours + .2 edges + 5 mean (z - z0)^2 + w softplus(-D(G(z)))   by Adam, 32 times    (eq. 7)
              colours, edges: see `parts/constraints.py`; their images are in [-1, 1]
    transfer: motion and colours along the images of 8 codes from z0 to z, see `parts/transfer.py`           (eq. 8)

A uniform z is optimised as c tanh(v), so it stays in its range.

What differs from the paper: P is trained on samples of G first, whose codes are known, and then on images. Several starts
are possible, and an image never gets a code that is worse than P's, or than the start of an edit. The distance of an edit to
z0 is that of codes; the code compares z0 with the free v. The first of the candidates is z0 without noise. Each edit begins
with fresh moments of Adam. The code of a StyleGAN is w. Networks of features C are any frozen one, and by default there is
none. P's batch norm uses moving statistics; the code computes them anew after training.
"""

import os
from collections.abc import Sequence
from typing import Any, Literal

import keras
import tensorflow as tf

from tfgen import features, random
from tfgen.layers.initializers import normal
from tfgen.models.base import TrainableModel
from tfgen.models.capabilities import Encoder, Projector
from tfgen.models.capabilities.capability import in_graph
from tfgen.models.fixed import Fixed
from tfgen.models.synthesis.parts.latent_generator import Distribution, LatentGenerator, frozen, use_averages
from tfgen.models.synthesis.parts.minimize import minimize
from tfgen.models.synthesis.parts.photo_editing import PhotoEditingMixin, repeated
from tfgen.networks.common import Network, flatten
from tfgen.networks.conv import default_stages
from tfgen.networks.slots import make_norm, normalize
from tfgen.settings import Count, ImageShape, NaturalInt, NonNegativeFloat, PositiveFloat, PositiveInt
from tfgen.training.players import Player

Method = Literal["hybrid", "optimization", "predictor"]


class _Predictor(Network):
    """P: images [B, H, W, C] in [0, 1] -> codes float32 [B, Z]; the form of a DCGAN's discriminator."""

    def __init__(self, *, width, stages, size, bound, **kwargs):
        super().__init__(kernel_initializer=normal(0.02), **kwargs)
        self.bound = bound
        self.convs = [self.make_conv(width * 2**i, 5, strides=2, use_bias=False, name=f"conv_{i}") for i in range(stages)]
        self.norms = [make_norm("batch" if i else None, self.dtype_policy, f"norm_{i}") for i in range(stages)]
        self.code = self.make_dense(size, use_bias=False, name="code")

    def call(self, inputs, training=False):
        x = 2.0 * inputs[0] - 1.0
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = tf.nn.leaky_relu(normalize(norm, conv(x), training), 0.2)
        code = tf.cast(self.code(flatten(x)), tf.float32)
        return code if self.bound is None else self.bound * tf.tanh(code)


@keras.saving.register_keras_serializable("tfgen")
class IGAN(PhotoEditingMixin, Encoder, Projector, TrainableModel):  # type: ignore[misc]  # `edit_rows` takes other fields
    """iGAN: codes of photos in a trained generator, and edits of photos.

    `encode` gives P's codes, `project` the improved ones, `edit` an edited photo. The generator is not trained and no part
    of the model; its averaged weights are used, if it has them.

    Example:
        >>> gan = tfgen.models.DCGAN(image_shape=(8, 8, 1), latent_dim=4, width=4)
        >>> model = tfgen.models.IGAN(
        ...     image_shape=(8, 8, 1), generator=gan, width=4, projection_steps=5, edit_steps=2, flow_steps=2)
        >>> photos = gan.sample(2)
        >>> white = tf.ones([2, 8, 8, 1])
        >>> found = model.edit(photos, strokes=white, mask=white[..., 0])
        >>> {name: tuple(value.shape) for name, value in found.items()}
        {'latent': (2, 4), 'image': (2, 8, 8, 1), 'candidates': (2, 16, 8, 8, 1), 'transferred': (2, 8, 8, 1)}

    Args:
        image_shape: (H, W, C).
        generator: G: a trained `Sampler` of tfgen without conditions, a `keras.Model`: codes -> images in [0, 1], or the
            path of a .keras file of one (`tfgen export --workdir RUN --to FILE.keras` writes that of a run).
        latent_distribution: "normal", "uniform" (in (-1, 1)) or "unit_uniform", of the codes of a Keras network; None: of a
            sampler its own, of a network "normal".
        width: filters of P's first convolution; they double with each.
        stages: convolutions of stride 2 of P; None: as many as keep a grid of at least 4 x 4.
        sample_steps: the first training steps, on samples of G, in which P also learns their codes.
        feature_network: C: None, or what `tfgen.features.get` takes; not part of the model, whose config has its recipe.
        feature_layers: layers of C; None: its outputs.
        feature_weight: of C's distance.
        method: "hybrid": `project` starts at P's codes; "optimization": at codes that are drawn, without P; "predictor": P
            alone.
        starts: number of starts of each image, of which the best counts. Those after P's code, of "optimization" after the
            mean code, are drawn, the same for all images.
        projection_steps: of L-BFGS, at most.
        candidates: number of candidates of an edit.
        edit_steps: steps of Adam of each.
        edit_rate: its rate.
        edge_weight: of the error of edges.
        edge_cell: side in pixels of the cells in which edges are compared, even; the code has 8 in colour and 4 in grey.
        smoothness_weight: of the distance to the photo's code.
        realism_weight: w; with a discriminator that compares the images of a batch an edit is not independent of others.
        frames: number of images between which motion and colours are found.
        flow_steps: steps of Adam for these, at each of two sizes.
        **kwargs: see `TrainableModel`.

    Raises:
        ValueError: the generator is not found, takes more than a code or makes images of another shape; sides that P cannot
            halve; C does not take the images; `realism_weight` without a discriminator; a setting has no effect.

    References:
        [1]: Zhu, Kraehenbuehl, Shechtman, Efros, ECCV 2016, arXiv:1609.03552.
    """

    loss_names = ("loss", "pixel_error")

    def __init__(
        self, *, image_shape: ImageShape, generator: keras.Model | dict | str,
        latent_distribution: Distribution | None = None, width: PositiveInt = 64, stages: Count | None = None,
        sample_steps: NaturalInt = 0, feature_network: features.FeatureNetwork | keras.Model | dict | str | None = None,
        feature_layers: Sequence[str] | None = None, feature_weight: NonNegativeFloat = 0.002, method: Method = "hybrid",
        starts: PositiveInt = 1, projection_steps: NaturalInt = 100, candidates: PositiveInt = 32,
        edit_steps: NaturalInt = 40, edit_rate: PositiveFloat = 0.1, edge_weight: NonNegativeFloat = 0.2,
        edge_cell: PositiveInt = 4, smoothness_weight: NonNegativeFloat = 5.0, realism_weight: NonNegativeFloat = 0.0,
        frames: PositiveInt = 8, flow_steps: NaturalInt = 80, **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, **kwargs)
        if isinstance(generator, str) and not os.path.exists(generator):
            raise ValueError(
                f"generator: there is no file {generator}; tfgen export --workdir RUN --to FILE.keras writes that of a run."
            )
        self.generator = Fixed(frozen(generator), "generator")
        if self.generator.path is not None:
            use_averages(self.generator.network)
        self.latent_generator = LatentGenerator(self.generator.network, self.image_shape, latent_distribution)
        self._config["generator"] = self.generator.get_config()
        self.feature_network: Any = None
        if feature_network is not None:
            self.feature_network = features.get(feature_network, feature_layers, self.image_shape)
            self._config["feature_network"] = self.feature_network.get_config()
        else:
            names = ("feature_layers", "feature_weight") if feature_weight else ("feature_layers",)
            self.check_without_effect("feature_network=None", *names)
        if edge_cell % 2:
            raise ValueError(f"edge_cell must be even; received {edge_cell}.")
        if frames < 2:
            raise ValueError(f"frames must be at least 2; received {frames}.")
        if realism_weight and not self.latent_generator.judges:
            raise ValueError(f"realism_weight={realism_weight} needs a generator with its discriminator, such as a DCGAN.")
        self.latent_dim, self.method, self.starts = self.latent_generator.size, method, starts
        self.projection_steps = projection_steps
        self.sample_steps, self.feature_weight = sample_steps, float(feature_weight)
        self.candidates, self.edit_steps, self.edit_rate = candidates, edit_steps, float(edit_rate)
        self.edge_weight, self.edge_cell = float(edge_weight), edge_cell
        self.smoothness_weight, self.realism_weight = float(smoothness_weight), float(realism_weight)
        self.frames, self.flow_steps = frames, flow_steps
        self.predictor = _Predictor(
            width=width, stages=default_stages(self.image_shape) if stages is None else stages, size=self.latent_dim,
            bound=self.latent_generator.bound, dtype=self.dtype_policy, name="predictor",
        )  # fmt: skip
        self.predictor.build([(None, *self.image_shape)])
        self.built = True

    def players(self):
        return {"predictor": Player(self.predictor)}

    def default_optimizer(self):
        return keras.optimizers.Adam(2e-4, beta_1=0.5)

    # ---- the training of P

    def step_kind(self, step: int) -> str:
        """`samples` for the first `sample_steps` steps, then `images`."""
        return "samples" if step < self.sample_steps else "images"

    def update(self, batch):
        images, codes = batch["image"], None
        if self.kind == "samples":
            codes = self.latent_generator.draw(self.noise_keys(tf.shape(images)[0], 0))
            images = self.decode_images(codes)
        wanted = self._features(images)

        def losses_fn():
            found = self.predictor([images], training=True)
            losses = self._predicted_losses(found, images, wanted)
            if codes is not None:
                losses["loss"] += tf.reduce_mean((found - codes) ** 2)
            return losses

        return self.step_players({"predictor": "loss"}, losses_fn)

    def evaluation_losses(self, batch):
        return self._predicted_losses(self.encode(batch["image"]), batch["image"], self._features(batch["image"]))

    def _predicted_losses(self, codes, images, wanted):
        made = self.decode_images(codes)
        return {
            "loss": tf.reduce_mean(self._distance(made, images, wanted)),
            "pixel_error": tf.reduce_mean(tf.stop_gradient((made - images) ** 2)),
        }

    def _features(self, images):
        """{layer: features} of images, constants; {} without a network."""
        found = {} if self.feature_network is None else self.feature_network(images)
        return {name: tf.stop_gradient(values) for name, values in found.items()}

    def _distance(self, made, images, wanted):
        """Eq. 3 for each row, float32 [B]; wanted: `_features` of the images."""
        total = tf.reduce_mean((made - images) ** 2, axis=[1, 2, 3])
        if wanted:
            found = self.feature_network(made)
            for name, values in wanted.items():
                square = tf.reshape((found[name] - values) ** 2, [tf.shape(made)[0], -1])
                total += self.feature_weight * tf.reduce_mean(square, axis=1)
        return total

    # ---- codes of images

    def call(self, inputs, training=False):
        """As `reconstruct`."""
        return self.reconstruct(inputs)

    def encode(self, images):
        """P's codes, float32 [B, latent_dim]."""
        return self.predictor([self.check_images(images)])

    def reconstruct(self, images):
        """The generator's images of P's codes."""
        return self.decode_images(self.encode(images))

    def decode_images(self, latents):
        return self.latent_generator.decode(latents)

    def projection_cost(self, images: tf.Tensor, latents: tf.Tensor) -> tf.Tensor:
        """What `project` minimises, float32 [B]: eq. 3 for images and codes."""
        return self._distance(self.decode_images(latents), images, self._features(images))

    def invert(self, images: tf.Tensor, method: Method | None = None) -> tf.Tensor:
        """Codes of checked images, see `Projector.invert`; method: None: that of the model."""
        method = method or self.method
        if method == "predictor":
            return self.encode(images)
        return in_graph(self, f"invert_{method}")(images)  # traced once, for projections and edits

    def invert_hybrid(self, images: tf.Tensor) -> tf.Tensor:
        """`invert` from P's codes."""
        return self._optimized(images, self.encode(images))

    def invert_optimization(self, images: tf.Tensor) -> tf.Tensor:
        """`invert` without P."""
        return self._optimized(images, None)

    def _optimized(self, images, predicted):
        codes = self.latent_generator
        rows, num = tf.shape(images)[0], self.starts
        start = predicted if predicted is not None else tf.repeat(codes.center()[None], rows, axis=0)
        if num > 1:
            drawn = codes.draw(random.fold(random.key(self.seed), tf.range(num - 1)))
            start = tf.concat([start[:, None], tf.repeat(drawn[None], rows, axis=0)], axis=1)
            start = tf.reshape(start, [-1, self.latent_dim])
        images_of, wanted = repeated(images, num), repeated(self._features(images), num)

        def cost(free):
            return self._distance(self.decode_images(codes.to_codes(free)), images_of, wanted)

        free, costs = minimize(cost, codes.to_free(start), steps=self.projection_steps)
        costs = tf.reshape(costs, [-1, num])
        best = tf.argmin(costs, axis=1)
        found = tf.gather(tf.reshape(codes.to_codes(free), [-1, num, self.latent_dim]), best, batch_dims=1)
        if predicted is None:
            return found
        # Optimisation starts inside of the bound, where P's own code need not lie.
        better = tf.reduce_min(costs, axis=1) <= self.projection_cost(images, predicted)
        return tf.where(better[:, None], found, predicted)

    def signatures(self):
        """Those of the capabilities, and `decode`: latent [n, latent_dim] -> image."""
        latent = {"latent": tf.TensorSpec([None, self.latent_dim], tf.float32)}
        return {**super().signatures(), "decode": (lambda latent: {"image": self.decode_images(latent)}, latent)}
