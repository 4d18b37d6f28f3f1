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
in [0, 1] with a sigmoid in the generator. The convolutional networks start from N(0, 0.02^2), those of the code from uniform
values of variance 4 / (inputs + outputs) (the residual networks do here too). Batch norm's gain starts from N(1, 0.02^2) in
the convolutional networks, in the code from 1. Samples use its moving statistics; the code uses those of the batch. The
conditional CIFAR-10 network has conditional batch norm in G as in the code, but a projection critic instead of an auxiliary
classifier. Labels of fakes are drawn uniformly; in the critic's updates the code takes those of the real batch.
"""

import keras

from tfgen.models.adversarial.free_network import FreeNetworkModel
from tfgen.models.preset import Preset, linear_decay


@keras.saving.register_keras_serializable("tfgen")
class WGANGP(FreeNetworkModel):
    """WGAN-GP. In its logs, `real_logit` - `fake_logit` estimates the distance: it should fall.

    Args:
        **kwargs: see `FreeNetworkModel` and `AdversarialModel`.
    """

    def __init__(
        self, *, latent_dim=128, objective="wasserstein", penalty="gradient_penalty", penalty_weight=10.0,
        discriminator_steps=5, **kwargs,
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


def _adam(learning_rate, beta_1=0.5):
    config = {"learning_rate": learning_rate, "beta_1": beta_1, "beta_2": 0.9, "epsilon": 1e-8}
    return {"class_name": "Adam", "config": config}


def _both(spec):
    return {"generator_optimizer": spec, "discriminator_optimizer": spec}


_CIFAR_RESNET = {
    "image_shape": (32, 32, 3), "network": "resnet", "width": 128, "generator_batch_factor": 2,
}  # fmt: skip
_CIFAR_ADAM = _both(_adam(linear_decay(2e-4), beta_1=0.0))

PRESETS = [
    Preset(
        "wgan-gp/mnist-paper", WGANGP,
        {"image_shape": (28, 28, 1), "width": 64,
         "network_args": {"stages": 3, "generator": {"norm": None, "use_bias": True}}},
        data="mnist", source="the code's gan_mnist.py: batch 50, 200,000 generator steps", batch_size=50,
        steps=1_000_000, compile_args=_both(_adam(1e-4)),
    ),
    Preset(
        "wgan-gp/cifar10-dcgan-paper", WGANGP, {"image_shape": (32, 32, 3), "width": 128, "network_args": {"stages": 3}},
        data="cifar10", source="the code's gan_cifar.py: DIM 128, batch norm in G, batch 64, 200,000 generator steps",
        batch_size=64, steps=1_000_000, compile_args=_both(_adam(1e-4)),
    ),
    Preset(
        "wgan-gp/cifar10-resnet-paper", WGANGP, _CIFAR_RESNET, data="cifar10",
        source="appendix F and the code's gan_cifar_resnet.py: 100,000 generator steps, rate to 0", batch_size=64,
        steps=500_000, compile_args=_CIFAR_ADAM, paper="Inception score 7.86 +- .07 (table 3)",
    ),
    Preset(
        "wgan-gp/cifar10-conditional-paper", WGANGP, {**_CIFAR_RESNET, "num_classes": 10}, data="cifar10",
        source="as cifar10-resnet-paper, with labels (a projection critic instead of AC-GAN's)", batch_size=64,
        steps=500_000, compile_args=_CIFAR_ADAM, paper="Inception score 8.42 +- .10 with AC-GAN (table 3)",
    ),
    Preset(
        "wgan-gp/mnist", WGANGP,
        {"image_shape": (28, 28, 1), "width": 32, "penalty_weight": 10.0, "discriminator_steps": 2,
         "network_args": {"kernel_size": 4, "dense_width": 256}},
        data="mnist", source="the 28 px networks at half width, batch norm in G; for a short run two critic steps a "
        "turn and a rate that falls to 0", batch_size=64, steps=32_000,
        compile_args={**_both(_adam(linear_decay(5e-4))), "ema_decay": 0.999},
    ),
    Preset(
        "wgan-gp/digits", WGANGP,
        {"image_shape": (8, 8, 1), "network": "mlp", "width": 256, "latent_dim": 32},
        data="digits", source="fully connected, on scikit-learn's 8x8 digits: 6,000 generator steps", batch_size=64,
        steps=30_000, compile_args={**_both(_adam(3e-4)), "ema_decay": 0.999},
    ),
]  # fmt: skip
