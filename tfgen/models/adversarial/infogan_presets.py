"""Presets of InfoGAN."""

from tfgen.models.adversarial.infogan import InfoGAN
from tfgen.models.preset import Preset


def _adam(generator, discriminator):
    return {
        "optimizer": {
            name: {"class_name": "Adam", "config": {"learning_rate": rate, "beta_1": 0.5, "epsilon": 1e-8}}
            for name, rate in (("generator", generator), ("discriminator", discriminator))
        }
    }


_MNIST = {"image_shape": (28, 28, 1), "categorical": (10,), "continuous": 2, "noise_dim": 62, "slope": 0.01}
_COLOUR = {
    "image_shape": (32, 32, 3),
    "network_args": {"generator": {"filters": [448, 256, 128, 64]}, "discriminator": {"filters": [64, 128, 256]}},
}
_UNPUBLISHED = "; the number of steps is not published"

PRESETS = [
    Preset(
        "infogan/mnist-paper", InfoGAN, {**_MNIST, "network_args": {"dense_width": 1024}}, data="mnist",
        source="appendix C.1 and the code: lambda 1, G 1e-3, D 2e-4, batch 128, 50 times 100 steps", batch_size=128,
        steps=5_000, compile_args=_adam(1e-3, 2e-4), paper="5 % error of the categorical code as a classifier (section 7.2)",
    ),
    Preset(
        "infogan/svhn-paper", InfoGAN,
        {**_COLOUR, "categorical": (10,) * 4, "continuous": 4, "noise_dim": 124, "code_stddev": None},
        data="svhn_cropped", source=f"appendix C.2: 4 Cat(10), 4 uniform, lambda 1{_UNPUBLISHED}", batch_size=128,
        steps=30_000, compile_args=_adam(1e-3, 2e-4),
    ),
    Preset(
        "infogan/celeba-paper", InfoGAN, {**_COLOUR, "categorical": (10,) * 10, "continuous": 0, "noise_dim": 128},
        data="celeb_a", source=f"appendix C.3: 10 Cat(10), lambda 1, 32 px{_UNPUBLISHED}", batch_size=128, steps=80_000,
        compile_args=_adam(1e-3, 2e-4),
    ),
    Preset(
        "infogan/faces-paper", InfoGAN,
        {"image_shape": (32, 32, 1), "categorical": (), "continuous": 5, "noise_dim": 128, "code_stddev": None,
         "continuous_weight": 0.2, "network_args": {"stages": 2, "dense_width": 1024}},
        data="folder:faces", source=f"appendix C.4: 3D faces, 5 uniform, lambda .2, G 5e-4, D 2e-4{_UNPUBLISHED}",
        batch_size=128, steps=30_000, compile_args=_adam(5e-4, 2e-4),
    ),
    Preset(
        "infogan/chairs-paper", InfoGAN,
        {"image_shape": (64, 64, 1), "categorical": (20,) * 3, "continuous": 1, "noise_dim": 128, "code_stddev": None,
         "categorical_weight": 10.0, "continuous_weight": 10.0,
         "network_args": {"dense_width": 1024,
                          "generator": {"filters": [256, 256, 256, 128, 64], "strides": [1, 1, 2, 2, 2]},
                          "discriminator": {"filters": [64, 128, 256, 256, 256], "strides": [2, 2, 2, 1, 1]}}},
        data="folder:chairs",
        source="appendix C.5: 3D chairs, 3 Cat(20), 1 uniform, lambda 10; strides of D as the mirror image of G's. An "
        f"experiment of the authors has lambda .01 and D 1e-4: uncertain{_UNPUBLISHED}",
        batch_size=128, steps=30_000, compile_args=_adam(1e-3, 2e-4),
    ),
    Preset(
        "infogan/mnist", InfoGAN, {**_MNIST, "width": 32, "network_args": {"dense_width": 256}}, data="mnist",
        source="the MNIST networks at half width, the published settings", batch_size=128, steps=5_000,
        compile_args={**_adam(1e-3, 2e-4), "ema_decay": 0.999},
    ),
    Preset(
        "infogan/digits", InfoGAN,
        {"image_shape": (8, 8, 1), "categorical": (10,), "continuous": 2, "noise_dim": 20, "continuous_weight": 0.1,
         "network": "mlp", "width": 256},
        data="digits", source="fully connected, on scikit-learn's 8x8 digits", batch_size=128, steps=5_000,
        compile_args={**_adam(1e-3, 2e-4), "ema_decay": 0.995},
    ),
]  # fmt: skip
