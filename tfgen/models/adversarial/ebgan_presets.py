"""Presets of EBGAN."""

from tfgen.models.adversarial.ebgan import EBGAN
from tfgen.models.preset import Preset


def _adam(learning_rate):
    spec = {"class_name": "Adam", "config": {"learning_rate": learning_rate, "beta_1": 0.5, "epsilon": 1e-8}}
    return {"optimizer": spec}


_STDDEVS = {"generator_stddev": 2e-4, "discriminator_stddev": 2e-3}
_MNIST = {
    "image_shape": (28, 28, 1), "network": "mlp", "width": 800, "depth": 4, "encoder": (1024,), "margin": 10.0, **_STDDEVS,
}  # fmt: skip
_64 = {"image_shape": (64, 64, 3), "width": 128, **_STDDEVS}
_DIGITS = {
    "image_shape": (8, 8, 1), "network": "mlp", "width": 256, "latent_dim": 32, "encoder": (256, 64), "margin": 2.0,
    "energy": "squared", "norm": False,
}  # fmt: skip
_ASSUMED = "; Adam 1e-3 as for MNIST, batch and steps as DCGAN's"


def _imagenet(side, width, margin):
    return {
        "image_shape": (side, side, 3), "width": width, "encoder": (64, 128, 256, 512), "margin": margin,
        "pulling_away": 0.1, **_STDDEVS,
    }  # fmt: skip


PRESETS = [
    Preset(
        "ebgan/mnist-paper", EBGAN, _MNIST, data="mnist",
        source="the best of the grid for MNIST: 5 and 2 layers, 800 and 1024 units, margin 10, Adam 1e-3; 50 epochs",
        batch_size=100, steps=30_000, compile_args=_adam(1e-3),
    ),
    Preset(
        "ebgan-pt/mnist-paper", EBGAN, {**_MNIST, "pulling_away": 0.1}, data="mnist",
        source="ebgan/mnist-paper with the pulling-away term", batch_size=100, steps=30_000, compile_args=_adam(1e-3),
    ),
    Preset(
        "ebgan/lsun-bedrooms-paper", EBGAN, {**_64, "margin": 80.0}, data="lsun/bedroom",
        source="section 4.3: 64 px, margin 80" + _ASSUMED, batch_size=128, steps=118_000, compile_args=_adam(1e-3),
    ),
    Preset(
        "ebgan-pt/lsun-bedrooms-paper", EBGAN, {**_64, "margin": 80.0, "pulling_away": 0.1}, data="lsun/bedroom",
        source="section 4.3: with the pulling-away term" + _ASSUMED, batch_size=128, steps=118_000, compile_args=_adam(1e-3),
    ),
    Preset(
        "ebgan/celeba-paper", EBGAN, {**_64, "margin": 20.0}, data="celeb_a",
        source="section 4.3: 64 px, margin 20" + _ASSUMED, batch_size=128, steps=40_000, compile_args=_adam(1e-3),
    ),
    Preset(
        "ebgan-pt/celeba-paper", EBGAN, {**_64, "margin": 20.0, "pulling_away": 0.1}, data="celeb_a",
        source="section 4.3: with the pulling-away term" + _ASSUMED, batch_size=128, steps=40_000, compile_args=_adam(1e-3),
    ),
    Preset(
        "ebgan-pt/imagenet-128-paper", EBGAN, _imagenet(128, 64, 40.0), data="imagenet2012",
        source="section 4.4: 128 px, margin 40" + _ASSUMED, batch_size=128, steps=250_000, compile_args=_adam(1e-3),
    ),
    Preset(
        "ebgan-pt/imagenet-256-paper", EBGAN, _imagenet(256, 64, 80.0), data="imagenet2012",
        source="section 4.4: 256 px, margin 80" + _ASSUMED, batch_size=128, steps=250_000, compile_args=_adam(1e-3),
    ),
    Preset(
        "ebgan/mnist", EBGAN,
        {"image_shape": (28, 28, 1), "width": 32, "depth": 2, "encoder": (32, 64, 128), "margin": 10.0, "latent_dim": 64},
        data="mnist", source="the convolutional networks at half width", batch_size=64, steps=10_000,
        compile_args={**_adam(1e-3), "ema_decay": 0.999},
    ),
    Preset(
        "ebgan/digits", EBGAN, _DIGITS, data="digits",
        source="autoencoder 64-256-64-256-64 without batch norm, squared errors, margin 2", batch_size=64, steps=6_000,
        compile_args={**_adam(1e-3), "ema_decay": 0.995},
    ),
    Preset(
        "ebgan-pt/digits", EBGAN, {**_DIGITS, "pulling_away": 0.1}, data="digits",
        source="ebgan/digits with the pulling-away term", batch_size=64, steps=6_000,
        compile_args={**_adam(1e-3), "ema_decay": 0.995},
    ),
]  # fmt: skip
