"""Energy-based GAN: the discriminator is an autoencoder, and its reconstruction error an energy.

Zhao, Mathieu, LeCun, "Energy-based Generative Adversarial Network", ICLR 2017, arXiv:1609.03126.

The idea: the discriminator gives each image an energy, low near the data and high elsewhere, and the generator searches for
images of low energy. The reconstruction error of an autoencoder that is trained on the data is such a function. It learns
from all values of an image, a binary discriminator from one bit. Energies of fakes are raised up to a margin m and no
further.

    e(x) = |Dec(Enc(x)) - x|                                                                        (section 2.3)
    D minimises E e(x) + E max(0, m - e(G(z)))        G minimises E e(G(z)) + w PT                        (eq. 1, 2)
    PT = 1 / (N (N - 1)) sum_{i != j} cos^2(Enc(G(z_i)), Enc(G(z_j)))        pulling away, section 2.4

At the optimum real and fake images have the same energies, and D's loss is m. PT keeps the codes of a batch of fakes apart.

Networks: fully connected for MNIST (G of five layers of 800 units, D 784-1024-784); else convolutions of kernel 4 and stride
2, the encoder of 64, 128, 256 (and 512) filters, the decoder its mirror image, and DCGAN's generator. All activations are
ReLU. Batch norm follows every layer but G's output, D's first layer and D's output.

What differs from the paper: no code of the authors is known to us; the sizes are those of the text. Real and fake images
pass the autoencoder's batch norm in separate batches. The paper's search over dropout and SGD and its semi-supervised ladder
network are not here. `energy="squared"` (the sum of squares, whose gradient vanishes with the error) and conditional models
are additions; labels of fakes are drawn uniformly.
"""

import math
from collections.abc import Callable
from typing import Literal

import keras
import tensorflow as tf

from tfgen.layers.initializers import normal
from tfgen.losses import ebgan, pulling_away
from tfgen.models.adversarial.base import AdversarialModel
from tfgen.networks.common import Network, flatten, join, layers, split
from tfgen.networks.conv import ConvGenerator
from tfgen.networks.mlp import MLPGenerator
from tfgen.networks.slots import batch_norm
from tfgen.settings import Count, ImageShape, NonNegativeFloat, PositiveFloat, PositiveInt, Widths


def norm_energy(errors):
    """|errors| of each row; its gradient at 0 is taken as 0."""
    return tf.sqrt(tf.maximum(squared_energy(errors), 1e-12))


def squared_energy(errors):
    return tf.reduce_sum(tf.square(errors), axis=-1)


Energy = Literal["norm", "squared"]
ENERGIES: dict[Energy, Callable] = {"norm": norm_energy, "squared": squared_energy}


def energy_of(energy, reconstruction, images):
    """{"logit": energy [B, 1], "reconstruction"} of reconstructions of images, each [B, H, W, C]."""
    reconstruction = tf.cast(reconstruction, tf.float32)
    errors = flatten(reconstruction - tf.cast(images, tf.float32))
    return {"logit": energy(errors)[:, None], "reconstruction": reconstruction}


class WithEnergy(layers.Layer):
    """The user's autoencoder, a `tfgen.networks.GivenNetwork` with the output "reconstruction", as a discriminator."""

    def __init__(self, autoencoder, energy, **kwargs):
        super().__init__(dtype=autoencoder.dtype_policy, autocast=False, **kwargs)
        self.autoencoder, self.energy = autoencoder, energy

    def build(self, input_shape):
        self.built = True

    def call(self, inputs, training=False):
        found = self.autoencoder(inputs, training=training)
        return {**found, **energy_of(self.energy, found["reconstruction"], inputs[0])}


class Autoencoder(Network):
    """Images [B, H, W, C] in [-1, 1] -> {"logit": energy [B, 1], "features": codes [B, F], "reconstruction": [B, H, W, C]}.

    One-hot labels, if given, are joined to the input of every layer.

    Args:
        conv: whether layers are convolutions of kernel 4 and stride 2, or fully connected.
        widths: filters or units of the encoder's layers, the last one the size of the code. The decoder mirrors them.
        energy: a name in `ENERGIES`.
        norm: whether batch norm follows every layer but the first and the last.
        kernel_initializer: of all kernels.
    """

    def __init__(self, *, image_shape, conv, widths, energy, norm, kernel_initializer, **kwargs):
        super().__init__(**kwargs)
        self.image_shape, self.conv, self.energy = image_shape, conv, ENERGIES[energy]
        settings = {"kernel_initializer": kernel_initializer, "dtype": self.dtype_policy}

        def make(units, name, up):
            if not conv:
                return layers.Dense(units, name=name, **settings)
            cls = layers.Conv2DTranspose if up else layers.Conv2D
            return cls(units, 4, strides=2, padding="same", name=name, **settings)

        out = image_shape[-1] if conv else math.prod(image_shape)
        back = [*reversed(widths[:-1]), out]
        self.encoder = [make(units, f"encoder_{i}", False) for i, units in enumerate(widths)]
        self.decoder = [make(units, f"decoder_{i}", True) for i, units in enumerate(back)]
        self.norms = [
            batch_norm(self.dtype_policy, f"norm_{i}") if norm and 0 < i < 2 * len(widths) - 1 else None
            for i in range(2 * len(widths))
        ]

    def call(self, inputs, training=False):
        images, one_hot = split(inputs)
        x = images if self.conv else flatten(images)
        sizes, num = [], len(self.encoder)
        for i, layer in enumerate([*self.encoder, *self.decoder]):
            if i < num:
                sizes.append(x.shape[1:-1])
            x = layer(join(x, one_hot))
            if i >= num and self.conv:  # an odd side was rounded up on its way down
                height, width = sizes.pop()
                x = x[:, :height, :width]
            norm = self.norms[i]
            if norm is not None:
                x = norm(x, training=training)
            if i < 2 * num - 1:
                x = tf.nn.relu(x)
            if i == num - 1:
                codes = flatten(x) if self.conv else x
        reconstruction = tf.reshape(tf.tanh(tf.cast(x, tf.float32)), [-1, *self.image_shape])
        return {**energy_of(self.energy, reconstruction, images), "features": codes}


@keras.saving.register_keras_serializable("tfgen")
class EBGAN(AdversarialModel):
    """EBGAN. The discriminator's outputs are energies >= 0; the logs have their means as `real_logit` and `fake_logit`.

    Example:
        >>> model = tfgen.models.EBGAN(image_shape=(8, 8, 1), network="mlp", width=16, encoder=(16, 8), pulling_away=0.1)
        >>> images = model.sample(2, seed=0)
        >>> model.energy(images).shape, model.reconstruct(images).shape
        (TensorShape([2]), TensorShape([2, 8, 8, 1]))

    Args:
        network: "conv" or "mlp": the kind of both networks.
        width: of the generator: filters next to the image, or units of each hidden layer.
        depth: of the generator: convolutions of stride 2 (None: as many as keep a grid of at least 4 x 4), or hidden layers.
        encoder: widths of the encoder's layers, the last one the size of the code.
        margin: m > 0, on the scale of the energy of images in [-1, 1].
        energy: "norm" (the paper's), the Euclidean norm of the error, or "squared", its square.
        pulling_away: w >= 0, the weight of PT in the generator's loss. With several replicas, PT compares the codes of each
            replica among themselves.
        norm: whether both networks have batch norm; a fully connected generator always has it.
        generator_stddev, discriminator_stddev: deviation of the initial kernels; None: Glorot's uniform initialisation for
            "mlp", .02 for "conv".
        generator: a network of your own; then leave out `depth` and `generator_stddev`.
        discriminator: an autoencoder of your own, whose energy is computed as for the built-in one: images [B, H, W, C] in
            [-1, 1] -> their reconstructions and, for `pulling_away`, codes [B, any] as a second output, or a dict
            {"reconstruction", "features"}. Then leave out `encoder` and `discriminator_stddev`; with both networks also
            `network`, `width` and `norm`.
        objective: must be "ebgan"; the other models of the family also have this argument.
        **kwargs: see `AdversarialModel`.
    """

    loss_names = (*AdversarialModel.loss_names, "pulling_away")
    own_networks = {
        ("generator",): ("depth", "generator_stddev"),
        ("discriminator",): ("encoder", "discriminator_stddev"),
        ("generator", "discriminator"): ("network", "width", "norm"),
    }

    def __init__(
        self, *, image_shape: ImageShape, network: Literal["conv", "mlp"] = "conv", width: PositiveInt = 64,
        depth: Count | None = None, encoder: Widths = (64, 128, 256), margin: PositiveFloat = 10.0,
        energy: Energy = "norm", pulling_away: NonNegativeFloat = 0.0, norm: bool = True,
        generator_stddev: PositiveFloat | None = None, discriminator_stddev: PositiveFloat | None = None,
        objective: Literal["ebgan"] = "ebgan", **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, objective=ebgan(margin), **kwargs)
        self.pulling_away = float(pulling_away)
        conv, shared = network == "conv", {"image_shape": self.image_shape, "dtype": self.dtype_policy}

        def initializer(stddev):
            default = normal(0.02) if conv else "glorot_uniform"
            return default if stddev is None else normal(stddev)

        generator, discriminator = self.generator, self.discriminator
        settings = {"width": width, "kernel_initializer": initializer(generator_stddev), "name": "generator", **shared}
        if generator is None and conv:
            settings |= {"kernel_size": 4, "norm": "batch" if norm else None, "use_bias": not norm}
            generator = ConvGenerator(stages=depth, **settings)
        elif generator is None:
            generator = MLPGenerator(depth=2 if depth is None else depth, **settings)
        if discriminator is None:
            discriminator = Autoencoder(
                conv=conv, widths=list(encoder), energy=energy, norm=norm, name="discriminator",
                kernel_initializer=initializer(discriminator_stddev), **shared,
            )  # fmt: skip
        else:
            discriminator = WithEnergy(discriminator, ENERGIES[energy], name="discriminator_with_energy")
        self.set_networks(generator, discriminator)

    def discriminator_outputs(self):
        outputs = {"reconstruction": self.image_shape, "features": (None,)}
        return outputs, tuple(outputs) if self._config["pulling_away"] else ("reconstruction",)

    def default_optimizer(self):
        return keras.optimizers.Adam(1e-3, beta_1=0.5)

    def generator_terms(self, batch, fake):
        if not self.pulling_away:
            return {}
        return {"pulling_away": self.pulling_away * pulling_away(fake.outputs["features"])}

    def energy(self, images: tf.Tensor, labels: tf.Tensor | None = None) -> tf.Tensor:
        """The energy of images: low near the data, high elsewhere.

        Args:
            images: float [B, H, W, C] in [0, 1].
            labels: int [B] if the model is conditional.

        Returns:
            float32 [B], at least 0. The energy of an image does not depend on the other images in its batch.
        """
        return self._discriminate_images(images, labels)["logit"]

    def reconstruct(self, images: tf.Tensor, labels: tf.Tensor | None = None) -> tf.Tensor:
        """The autoencoder's reconstructions of images: float32 [B, H, W, C] in [0, 1], as the images are."""
        return 0.5 + 0.5 * self._discriminate_images(images, labels)["reconstruction"]

    def _discriminate_images(self, images, labels):
        return self.discriminate(2.0 * self.check_images(images) - 1.0, None if labels is None else self.one_hot(labels))
