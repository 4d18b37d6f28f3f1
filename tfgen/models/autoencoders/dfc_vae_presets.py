"""Presets of DFCVAE."""

from typing import Any

from tfgen.models.autoencoders.dfc_vae import DFCVAE
from tfgen.models.preset import Preset, adam, cosine_decay


def _celeba(layers_of, name):
    return Preset(
        f"dfc-vae/celeba-{name}-paper", DFCVAE,
        {"image_shape": (64, 64, 3), "latent_dim": 100, "width": 32, "stages": 4, "feature_network": "vgg19",
         "feature_layers": tuple(f"block{i}_conv1" for i in layers_of), "kl_weight": 1.0, "feature_weight": 0.5},
        data="celeb_a",
        source=f"sections 3 and 4: VAE-{name}, 64 px, batches of 64, 5 epochs of 202,599 images, rate halved after each; "
        "beta_1 .5 as in the code",
        batch_size=64, steps=15_825, compile_args=adam(_halved(5e-4, every=3165), beta_1=0.5),
        paper="qualitative; attributes from codes: " + {"123": "86.95", "345": "88.73"}[name] + " % mean accuracy",
    )  # fmt: skip


def _halved(learning_rate, every):
    schedule = {"initial_learning_rate": learning_rate, "decay_steps": every, "decay_rate": 0.5, "staircase": True}
    return {"module": "keras.optimizers.schedules", "class_name": "ExponentialDecay", "config": schedule}


_FASHION: dict[str, Any] = {
    "data": "fashion_mnist", "batch_size": 64, "steps": 5_000, "compile_args": adam(cosine_decay(1e-3)),
}  # fmt: skip
_SMALL: dict[str, Any] = {"image_shape": (28, 28, 1), "latent_dim": 32, "width": 32, "stages": 2}

PRESETS = [
    _celeba((1, 2, 3), "123"),
    _celeba((3, 4, 5), "345"),
    Preset(
        "dfc-vae/fashion-mnist", DFCVAE,
        {**_SMALL, "feature_network": "runs/dfc_vae-features-0.keras", "feature_weight": 500.0},
        source="the paper's network with two stages; features of a classifier of the same images, which "
        "benchmarks/reproduce/dfc_vae.py trains and puts there; Adam, cosine decay",
        **_FASHION,
    ),
    Preset(
        "dfc-vae/fashion-mnist-pixels", DFCVAE, {**_SMALL, "feature_weight": 2.0 * 28 * 28},
        source="the same on pixels: summed squared errors, as the paper's PVAE", **_FASHION,
    ),
]  # fmt: skip
