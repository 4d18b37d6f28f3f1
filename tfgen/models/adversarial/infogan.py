"""InfoGAN.

Chen, Duan, Houthooft, Schulman, Sutskever, Abbeel, "InfoGAN: Interpretable Representation Learning by Information Maximizing
Generative Adversarial Nets", NeurIPS 2016, arXiv:1606.03657; MNIST as in the authors' code (openai/InfoGAN).

The idea: part of the latent vector is a code c, and the generator is rewarded for the mutual information of c and its image.
So the parts of the code come to mean something (the digit, its slant, its width) without any label. A network Q that
predicts the code from the image gives a lower bound of the information. Q shares all layers of the discriminator D but the
last ones. Q is then a classifier that was trained without labels.

    L_I = E log Q(c | G(z, c)) + H(c) <= I(c; G(z, c)),  in nats                                                  (eq. 5)
    D, Q minimise E softplus(-s(x)) + E softplus(s(G)) - lambda L_I,   G minimises E softplus(-s(G)) - lambda L_I   (eq. 6)

Latents are [z, one-hot codes ..., continuous codes]: z and continuous codes uniform in (-1, 1), a categorical code uniform
over its K values. Q's outputs are logits for each categorical code, and a mean and a deviation for each continuous one (a
Gaussian); its own layers are Dense 128, batch norm, leaky ReLU, Dense. L_I is computed on generated images alone.

What differs from the paper: all outputs are tanh and images are in [-1, 1]; the MNIST network of the code has a sigmoid and
images in [0, 1]. Losses are computed from logits; the code adds 1e-8 to probabilities inside logarithms. H of a continuous
code is that of its uniform distribution; the code takes E of minus the log density of N(0, 1), also a constant. Kernels of
convolutions start from N(0, 0.02^2), in the code from that truncated at two deviations. A learned deviation is exp(output /
2) plus a floor, without which L_I and its gradients have no bound.

As in the code, lambda L_I is in the loss of D and Q too, so it shapes the shared layers; batch norm follows every hidden
layer but D's first; and Q has outputs for a deviation even where it is fixed. MNIST fixes it at 1, so L_I is at most -0.226
nats for each continuous code: its rise matters, not its level. The slope of the leaky ReLU is .1 in the text, and .01 in the
code and in the MNIST presets.
"""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tfgen import fields, losses, random, settings
from tfgen.layers.initializers import normal
from tfgen.models.adversarial.base import AdversarialModel, LatentDistribution
from tfgen.models.adversarial.parts.code_layout import CodeLayout
from tfgen.models.capabilities import Classifier
from tfgen.networks import NetworkKind
from tfgen.networks.common import Network, layers
from tfgen.networks.slots import batch_norm
from tfgen.settings import ImageShape, NaturalInt, NonNegativeFloat, PositiveFloat, PositiveInt, Seed, TwoOrMore

MIN_STDDEV = 0.1  # least deviation of a learned Q(c|x); that of a code is .577


class DiscriminatorWithQ(Network):
    """A discriminator with Q on top of its features: its outputs and "code" [B, outputs], the raw outputs of Q."""

    def __init__(self, discriminator, outputs, *, width, slope, **kwargs):
        super().__init__(**kwargs)
        settings = {"kernel_initializer": normal(0.02), "dtype": self.dtype_policy}
        self.discriminator, self.slope = discriminator, slope
        self.hidden = layers.Dense(width, name="q_hidden", **settings)
        self.norm = batch_norm(self.dtype_policy, "q_norm")
        self.code = layers.Dense(outputs, name="q_code", **settings)

    def call(self, inputs, training=False):
        found = self.discriminator(inputs, training=training)
        hidden = self.norm(self.hidden(found["features"]), training=training)
        return {**found, "code": self.code(tf.nn.leaky_relu(hidden, self.slope))}


@keras.saving.register_keras_serializable("tfgen")
class InfoGAN(Classifier, AdversarialModel):
    """InfoGAN. Its logs have L_I of each kind of code, in nats. For categorical codes it rises towards sum ln K.

    Example:
        >>> model = tfgen.models.InfoGAN(
        ...     image_shape=(8, 8, 1), network="mlp", width=16, categorical=(5,), continuous=2, noise_dim=3, q_width=8)
        >>> model.latent_dim
        10
        >>> model.traversal(0, rows=2).shape  # the five values of the categorical code
        TensorShape([2, 5, 8, 8, 1])

    Args:
        categorical: number of values of each categorical code.
        continuous: number of continuous codes.
        noise_dim: number of noise variables.
        latent_dim: None, or the sum of the widths of all of these; another number is an error.
        categorical_weight, continuous_weight: lambda > 0 of each kind of code.
        code_stddev: standard deviation of Q's Gaussians; None: Q predicts it.
        q_width: units of Q's own hidden layer.
        slope: of the leaky ReLU in D and Q.
        network: "mlp" or "conv", see `tfgen.networks`.
        width: of the networks.
        network_args: dict of further settings of both networks; `generator` and `discriminator` in it are dicts for one of
            them.
        **kwargs: see `AdversarialModel`. The model takes no labels: num_classes must be 0. A `generator` and a
            `discriminator` of your own replace the networks that `width`, `network` and `network_args` describe. The
            discriminator also returns features [B, any], from which Q predicts the codes.
    """

    own_networks = {("generator", "discriminator"): ("width", "network", "network_args")}

    loss_names = (*AdversarialModel.loss_names, "categorical_information", "continuous_information")

    def __init__(
        self, *, image_shape: ImageShape, categorical: Sequence[TwoOrMore] = (10,),
        continuous: NaturalInt = 2, noise_dim: NaturalInt = 62, latent_dim: PositiveInt | None = None,
        categorical_weight: PositiveFloat = 1.0, continuous_weight: PositiveFloat = 1.0,
        code_stddev: PositiveFloat | None = 1.0, q_width: PositiveInt = 128, slope: NonNegativeFloat = 0.1,
        network: NetworkKind | dict = "conv", width: PositiveInt = 64, network_args: dict | None = None,
        latent_distribution: LatentDistribution = "uniform", **kwargs,
    ):  # fmt: skip
        layout = CodeLayout(noise_dim, tuple(categorical), continuous)
        total = sum(layout.sizes)
        if latent_dim not in (None, total):
            raise ValueError(
                f"noise_dim={noise_dim}, categorical={tuple(categorical)} and continuous={continuous} make {total} latent "
                f"variables; received latent_dim={latent_dim!r}."
            )
        super().__init__(image_shape=image_shape, latent_dim=total, latent_distribution=latent_distribution, **kwargs)
        if self.num_classes:
            raise ValueError(f"InfoGAN learns without labels; received num_classes={self.num_classes}.")
        self.layout, self.code_stddev = layout, code_stddev
        self.information_weights = {"categorical": float(categorical_weight), "continuous": float(continuous_weight)}
        settings = {**({"kernel_size": 4, "use_bias": True} if network == "conv" else {}), **(network_args or {})}
        settings["discriminator"] = {"slope": slope, **settings.get("discriminator", {})}
        generator, discriminator = self.make_networks(network, width=width, **settings)
        outputs = sum(layout.categorical) + 2 * layout.continuous
        with_q = DiscriminatorWithQ(
            discriminator, outputs, width=q_width, slope=slope, dtype=self.dtype_policy, name="discriminator_with_q"
        )
        self.set_networks(generator, with_q)

    def discriminator_outputs(self):
        outputs, _ = super().discriminator_outputs()
        return outputs, tuple(outputs)

    def draw_latents(self, keys):
        sizes, count = self.layout.categorical, len(self.layout.categorical)
        noise = random.DISTRIBUTIONS[self.latent_distribution](random.fold(keys, 0), self.layout.noise)
        drawn = random.uniform(random.fold(keys, 1), self.layout.num_codes)  # [B, codes] in (0, 1)
        one_hots = [tf.one_hot(tf.cast(drawn[:, i] * size, tf.int32), size) for i, size in enumerate(sizes)]
        return self.layout.join(noise, one_hots, 2.0 * drawn[:, count:] - 1.0)

    # ---- Q

    def posterior(self, outputs: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor | float]:
        """Q's raw outputs [B, outputs] -> ([logits [B, K], ...], mean [B, continuous], stddev as mean or a number)."""
        *logits, mean, log_variance = tf.split(outputs, [*self.layout.categorical, *[self.layout.continuous] * 2], axis=-1)
        stddev = MIN_STDDEV + tf.exp(0.5 * log_variance) if self.code_stddev is None else float(self.code_stddev)
        return logits, mean, stddev

    def information(self, outputs: tf.Tensor, latents: tf.Tensor) -> dict[str, tf.Tensor]:
        """L_I of generated images, in nats: a mean over the batch.

        Args:
            outputs: raw outputs of Q for the images, float32 [B, outputs].
            latents: the latents of the images, float32 [B, latent_dim].

        Returns:
            {"categorical": scalar, "continuous": scalar}, without a kind of code that the layout does not have.
        """
        logits, mean, stddev = self.posterior(outputs)
        _, one_hots, values = self.layout.split(latents)
        bounds = {}
        if one_hots:
            found = [losses.categorical_log_likelihood(q, c) for q, c in zip(logits, one_hots, strict=True)]
            entropy = sum(losses.categorical_entropy(size) for size in self.layout.categorical)
            bounds["categorical"] = tf.reduce_mean(tf.add_n(found)) + entropy
        if self.layout.continuous:
            found = losses.gaussian_log_likelihood(mean, values, stddev)
            bounds["continuous"] = tf.reduce_mean(found) + losses.uniform_entropy(self.layout.continuous)
        return bounds

    def discriminator_terms(self, batch, real, fake):
        return self.generator_terms(batch, fake)

    def generator_terms(self, batch, fake):
        bounds = self.information(fake.outputs["code"], fake.latents)
        return {f"{kind}_term": -self.information_weights[kind] * bound for kind, bound in bounds.items()}

    def update(self, batch):
        logs = super().update(batch)
        terms = {kind: logs[f"{kind}_term"] for kind in self.information_weights if f"{kind}_term" in logs}
        return logs | {f"{kind}_information": -term / self.information_weights[kind] for kind, term in terms.items()}

    def code_posterior(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Q(c | x) of images.

        Args:
            images: float32 [B, H, W, C] in [0, 1].

        Returns:
            {"category_0": probabilities float32 [B, K], ...}, one entry for each categorical code; where there are
            continuous codes also "mean" and "stddev", float32 [B, continuous].
        """
        logits, mean, stddev = self.posterior(self.discriminate(2.0 * self.check_images(images) - 1.0)["code"])
        found = {f"category_{i}": tf.nn.softmax(values) for i, values in enumerate(logits)}
        if self.layout.continuous:
            found |= {"mean": mean, "stddev": stddev * tf.ones_like(mean)}
        return found

    @property
    def num_labels(self) -> int:
        """The number of values of the first categorical code, which are the classes of `classify`, in any order."""
        return self.layout.categorical[0] if self.layout.categorical else 0

    def class_logits(self, images):
        """Logits of Q(c | x) of the first categorical code, float32 [B, K]."""
        return self.posterior(self.discriminate(2.0 * self.check_images(images) - 1.0)["code"])[0][0]

    def classify(self, images: tf.Tensor, code: int = 0) -> tf.Tensor:
        """The most probable value of categorical code `code` under Q: int32 [B] in [0, K) of images as in `code_posterior`.

        The model was trained without labels, so the values are in no given order: `tfgen.metrics.hungarian_accuracy`
        assigns them to classes.
        """
        self.layout.check_code(code, categorical=True)
        return tf.argmax(self.code_posterior(images)[f"category_{code}"], axis=-1, output_type=tf.int32)

    def traversal(
        self, code: int, values: Sequence[float] | None = None, *, rows: PositiveInt = 10, seed: Seed = 0
    ) -> tf.Tensor:  # fmt: skip
        """Rows of images: along a row one code changes and the rest of the latent vector stays (figure 2).

        Args:
            code: number of the code, the categorical ones first.
            values: the values of the code along a row. None: all values of a categorical code; 10 values from -2 to 2 of a
                continuous one, beyond the (-1, 1) of training, as in the paper's figures.
            rows: number of rows; row i has the other codes and the noise of image i of `sample(rows, seed=seed)`.

        Returns:
            float32 [rows, number of values, H, W, C] in [0, 1].

        Raises:
            ValueError: no such code; values, rows or seed out of range.
        """
        self.layout.check_code(code)
        settings.check(InfoGAN.traversal, rows=rows, seed=seed)
        if values is None:
            sizes = self.layout.categorical
            values = np.arange(sizes[code]) if code < len(sizes) else np.linspace(-2.0, 2.0, 10)
        values = np.asarray(values)
        if values.ndim != 1 or not values.size:
            raise ValueError(f"values must be a list of at least one number; received shape {values.shape}.")
        latents = np.repeat(self.latents(np.arange(rows) + (seed << 32)), len(values), axis=0)
        images = self.decode_images(self.layout.replace(latents, code, np.tile(values, rows)))
        return tf.reshape(images, [rows, len(values), *self.image_shape])

    def generate(self, seeds: tf.Tensor, codes: tf.Tensor | None = None) -> tf.Tensor:
        """As `Sampler.generate`. `codes` [B, number of codes] replace those of the seeds, see `CodeLayout.set`."""
        latents = self.latents(seeds)
        return self.decode_images(latents if codes is None else self.layout.set(latents, codes))

    def code_fields(self):
        categories = [fields.label(size, f"category_{i}") for i, size in enumerate(self.layout.categorical)]
        numbers = [fields.Field(f"continuous_{i}", (), low=-1.0, high=1.0) for i in range(self.layout.continuous)]
        return (*categories, *numbers)

    def input_fields(self):
        names = tuple(field.name for field in self.code_fields())
        return (*super().input_fields(), fields.Field("codes", (len(names),), names=names))

    def signatures(self):
        """The signatures of the family; `sample_codes`, which takes the codes of each row; and `code_posterior`."""
        image = {"image": tf.TensorSpec([None, *self.image_shape], tf.float32)}
        signatures, codes = super().signatures(), tf.TensorSpec([None, self.layout.num_codes], tf.float32)

        def sample_codes(seeds, codes):
            return {"image": self.generate(seeds, codes)}

        return {
            **signatures,
            "sample_codes": (sample_codes, {**signatures["sample"][1], "codes": codes}),
            "code_posterior": (lambda image: self.code_posterior(image), image),
        }
