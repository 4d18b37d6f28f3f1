"""Spectrally normalised GAN, and the projection discriminator.

Miyato, Kataoka, Koyama, Yoshida, "Spectral Normalization for Generative Adversarial Networks", ICLR 2018, arXiv:1802.05957;
Miyato, Koyama, "cGANs with Projection Discriminator", ICLR 2018, arXiv:1802.05637; settings as in the authors' code
(pfnet-research/sngan_projection).

The idea: every weight matrix of the discriminator is divided by its largest singular value. Power iteration estimates this
value at the cost of two matrix-vector products a step. The discriminator's Lipschitz constant is then bounded by
construction: no penalty, no clipping, no second derivatives.

    W_SN = W / sigma(W)        D minimises E max(0, 1 - s(x)) + E max(0, 1 + s(G(z))),   G minimises -E s(G(z))

With labels y the discriminator's logit is s(x, y) = w . f(x) + V_y . f(x): the log ratio of two softmax models over the same
features f. A discriminator with y joined to its input would have to learn this structure. The generator has conditional
batch norm. Labels of fakes are drawn uniformly, as in the authors' code.

What differs from the paper: u is updated once in each discriminator step. In the code every pass in training updates it: on
real images, on fakes, and while the generator is trained. The generator's turn comes after the discriminator's updates; in
the code it comes before them. The last layer of residual networks has no bias, as in the code for CIFAR-10; the code for
ImageNet has one, and so have those presets. The initial weights of the standard CNN are DCGAN's, N(0, 0.02^2); the code has
no such network.
"""

import keras

from tfgen.layers.spectral_norm import SpectralNorm
from tfgen.losses import Objective
from tfgen.models.adversarial.base import ObjectiveName
from tfgen.models.adversarial.parts.free_network import FreeNetworkModel
from tfgen.settings import PositiveInt


@keras.saving.register_keras_serializable("tfgen")
class SNGAN(FreeNetworkModel):
    """SNGAN. With `num_classes` > 0 its discriminator is the projection discriminator.

    A `discriminator` of your own must have spectral norm itself, by the layers of `tfgen.layers` (`SpectralDense`,
    `SpectralConv2D`, `SpectralConv2DTranspose`, `SpectralEmbedding`) or Keras' wrapper `SpectralNormalization`. It
    also defines how labels are used; projection is only in the built-in one.

    Example:
        >>> model = tfgen.models.SNGAN(image_shape=(8, 8, 1), network="resnet", width=4, latent_dim=3, num_classes=2)
        >>> model.sample(2, seed=0, labels=[0, 1]).shape
        TensorShape([2, 8, 8, 1])

    Args:
        **kwargs: see `FreeNetworkModel` and `AdversarialModel`.
    """

    def __init__(
        self, *, latent_dim: PositiveInt = 128, objective: ObjectiveName | Objective = "hinge",
        discriminator_steps: PositiveInt = 5, **kwargs
    ):
        super().__init__(latent_dim=latent_dim, objective=objective, discriminator_steps=discriminator_steps, **kwargs)

    def _own_networks(self, generator, discriminator):
        own = super()._own_networks(generator, discriminator)
        if own[1] is not None:
            _check_spectral(own[1])
        return own

    def network_defaults(self, network):
        spectral = {"convolution": "spectral", "conditioning": "projection"}
        discriminators: dict[str, dict] = {
            "mlp": {"norm": None, "slope": 0.1},
            "conv": {"norm": None, "slope": 0.1, "use_bias": True},
            "resnet": {"logit_bias": False},
        }
        return {"discriminator": {**spectral, **discriminators.get(network, {})}}

    def default_optimizer(self):
        return keras.optimizers.Adam(2e-4, beta_1=0.0, beta_2=0.9)


def _check_spectral(network):
    """Raises ValueError unless every layer with a kernel or embeddings has spectral norm."""
    layers = network._flatten_layers()
    wrappers = [layer for layer in layers if isinstance(layer, keras.layers.SpectralNormalization)]
    normalized = [*(w.layer for w in wrappers), *(layer for layer in layers if isinstance(layer, SpectralNorm))]
    known = {id(layer) for layer in (*wrappers, *normalized)}
    kernels = [(layer, v) for layer in layers for v in layer._trainable_variables]
    plain = [layer.name for layer, v in kernels if id(layer) not in known and ("kernel" in v.name or "embeddings" in v.name)]
    if plain or not normalized:
        raise ValueError(
            "discriminator: every layer with a kernel or embeddings needs spectral norm in an SNGAN. Use SpectralDense, "
            "SpectralConv2D, SpectralConv2DTranspose and SpectralEmbedding of tfgen.layers, or wrap layers in "
            f"keras.layers.SpectralNormalization. {_without(plain)} Projection of labels is also up to this network."
        )


def _without(plain):
    return f"Without it: {', '.join(dict.fromkeys(plain))}." if plain else "The network that was given has no such layer."
