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

from tfgen.losses import Objective
from tfgen.models.adversarial.free_network import FreeNetworkModel


@keras.saving.register_keras_serializable("tfgen")
class SNGAN(FreeNetworkModel):
    """SNGAN. With `num_classes` > 0 its discriminator is the projection discriminator.

    Args:
        **kwargs: see `FreeNetworkModel` and `AdversarialModel`.
    """

    def __init__(
        self, *, latent_dim: int = 128, objective: str | Objective = "hinge", discriminator_steps: int = 5, **kwargs
    ):
        super().__init__(latent_dim=latent_dim, objective=objective, discriminator_steps=discriminator_steps, **kwargs)

    def network_defaults(self, network):
        spectral = {"convolution": "spectral", "conditioning": "projection"}
        discriminators = {
            "mlp": {"norm": None, "slope": 0.1},
            "conv": {"norm": None, "slope": 0.1, "use_bias": True},
            "resnet": {"logit_bias": False},
        }
        return {"discriminator": {**spectral, **discriminators.get(network, {})}}

    def default_optimizer(self):
        return keras.optimizers.Adam(2e-4, beta_1=0.0, beta_2=0.9)
