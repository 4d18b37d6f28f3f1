"""Wasserstein GAN with gradient penalty.

Gulrajani, Ahmed, Arjovsky, Dumoulin, Courville, "Improved Training of Wasserstein GANs", NeurIPS 2017, arXiv:1704.00028;
settings as in the authors' code (igul222/improved_wgan_training).

The idea: clipping the critic's weights makes the critic too simple a function, and its gradients vanish or explode. An
optimal critic has gradient norm 1 almost everywhere between the two distributions. So deviations from 1 are penalised, at
random points between real and generated images:

    critic minimises E f(G(z)) - E f(x) + lambda E (||d f(y) / d y||_2 - 1)^2,  y = a x + (1 - a) G(z), a ~ U[0, 1)  (eq. 3)

There is one norm for each image; lambda = 10. The critic has no batch norm, because the penalty is of each image's own
gradient.

What differs from the paper: all images are in [-1, 1], and the penalty's gradient is by these values; MNIST in the code is
in [0, 1] with a sigmoid in the generator. The convolutional networks start from N(0, 0.02^2) unless `network_args` say
otherwise; the presets of the paper start from uniform values of variance 4 / (inputs + outputs), as the code does, and the
residual networks always do. Batch norm's gain starts from N(1, 0.02^2) in
the convolutional networks, in the code from 1. Samples use its moving statistics; the code uses those of the batch. The
conditional CIFAR-10 network has conditional batch norm in G as in the code, but a projection critic instead of an auxiliary
classifier. Labels of fakes are drawn uniformly; in the critic's updates the code takes those of the real batch.
"""


import keras

from tfgen.losses import Objective
from tfgen.losses.penalties import PenaltyName
from tfgen.models.adversarial.base import ObjectiveName
from tfgen.models.adversarial.parts.free_network import FreeNetworkModel
from tfgen.settings import NonNegativeFloat, PositiveInt


@keras.saving.register_keras_serializable("tfgen")
class WGANGP(FreeNetworkModel):
    """WGAN-GP. In its logs, `real_logit` - `fake_logit` estimates the distance: it should fall.

    Example:
        >>> model = tfgen.models.WGANGP(image_shape=(8, 8, 1), network="mlp", width=16, latent_dim=4)
        >>> model.compile()
        >>> images = tfgen.data.load("digits").take(64)
        >>> sorted(model.fit(images.batches(32), verbose=0).history)
        ['discriminator_loss', 'fake_logit', 'generator_loss', 'real_logit']

    Args:
        **kwargs: see `FreeNetworkModel` and `AdversarialModel`.
    """

    def __init__(
        self, *, latent_dim: PositiveInt = 128, objective: ObjectiveName | Objective = "wasserstein",
        penalty: PenaltyName | None = "gradient_penalty", penalty_weight: NonNegativeFloat = 10.0,
        discriminator_steps: PositiveInt = 5, **kwargs,
    ):  # fmt: skip
        super().__init__(
            latent_dim=latent_dim, objective=objective, penalty=penalty, penalty_weight=penalty_weight,
            discriminator_steps=discriminator_steps, **kwargs,
        )  # fmt: skip
        if any(isinstance(layer, keras.layers.BatchNormalization) for layer in self.discriminator._flatten_layers()):
            raise ValueError("The critic of WGAN-GP has no batch norm: the penalty is of each image's own gradient.")

    def network_defaults(self, network):
        critics = {"mlp": {"norm": None}, "conv": {"norm": None, "use_bias": True}, "resnet": {"pooling": "mean"}}
        return {"discriminator": critics.get(network, {})}

    def default_optimizer(self):
        return keras.optimizers.Adam(1e-4, beta_1=0.5, beta_2=0.9)
