"""Spectrally normalised GAN, and the projection discriminator.

Miyato, Kataoka, Koyama, Yoshida, "Spectral Normalization for Generative Adversarial Networks", ICLR 2018, arXiv:1802.05957;
Miyato, Koyama, "cGANs with Projection Discriminator", ICLR 2018, arXiv:1802.05637; settings as in the authors' code
(pfnet-research/sngan_projection).

The idea: divide every weight matrix of the discriminator by its largest singular value, which power iteration follows at
the cost of two matrix-vector products a step. The discriminator's Lipschitz constant is then bounded by construction: no
penalty, no clipping, no second derivatives.

    W_SN = W / sigma(W)        D minimises E max(0, 1 - s(x)) + E max(0, 1 + s(G(z))),   G minimises -E s(G(z))

With labels y the discriminator's logit is s(x, y) = w . f(x) + V_y . f(x): the log ratio of two softmax models over the same
features f, whereas joining y to the input leaves that structure to be learnt. The generator has conditional batch norm.

What differs from the paper: u is updated once per discriminator step, and not again while the generator is trained.
"""

import keras

from tfgen.models.adversarial.free_network import FreeNetworkModel


@keras.saving.register_keras_serializable("tfgen")
class SNGAN(FreeNetworkModel):
    """SNGAN; with `num_classes` > 0 the discriminator is the projection discriminator.

    Args:
        **kwargs: see `FreeNetworkModel` and `AdversarialModel`.
    """

    def __init__(self, *, latent_dim=128, objective="hinge", discriminator_steps=5, **kwargs):
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
