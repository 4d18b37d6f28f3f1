"""Presets of GMVAE."""

from tfgen.models.autoencoders.gmvae import GMVAE
from tfgen.models.preset import Preset, adam, cosine_decay


def _mnist(num_clusters, num_samples, paper):
    variant = "" if (num_clusters, num_samples) == (10, 1) else f"-{num_clusters}-clusters-{num_samples}-samples"
    return Preset(
        f"gmvae/mnist{variant}-paper", GMVAE,
        {"image_shape": (28, 28, 1), "network": "conv", "hidden": (16, 32, 64, 500), "num_clusters": num_clusters,
         "num_samples": num_samples},
        data="mnist",
        source=f"section 4.3, K = {num_clusters}, M = {num_samples}; sizes, free bits .5, batch 50, Adam 1e-4, 100 epochs: "
        "the code",
        batch_size=50, steps=120_000, compile_args=adam(1e-4), binarization="dynamic",
        paper=f"accuracy best / mean and deviation of the runs, in %: {paper} (table 1)",
    )  # fmt: skip


PRESETS = [
    _mnist(10, 1, "87.31 / 77.78 +- 5.75"),
    _mnist(10, 10, "88.54 / 82.31 +- 3.75"),
    _mnist(16, 1, "89.01 / 85.09 +- 1.99"),
    _mnist(16, 10, "96.92 / 87.82 +- 5.33"),
    _mnist(30, 1, "95.84 / 92.77 +- 1.60"),
    _mnist(30, 10, "93.22 / 89.27 +- 2.50"),
    Preset(
        "gmvae/svhn-paper", GMVAE,
        {"image_shape": (32, 32, 3), "network": "strided", "hidden": (64, 128, 256, 500), "likelihood": "gaussian"},
        data="svhn_cropped",
        source="the code's SVHN branch: its network, 64 filters at first, K = 10, batch 128, 500 epochs (of the training "
        "images without the extra ones); free bits as for MNIST",
        batch_size=128, steps=286_000, compile_args=adam(1e-4), dequantize=True, paper="samples only",
    ),
    Preset(
        "gmvae/mnist", GMVAE,
        {"image_shape": (28, 28, 1), "num_clusters": 16, "latent_dim": 10, "style_dim": 8, "hidden": (500,),
         "prior_hidden": 200, "free_bits": 1.0},
        data="mnist", source="fully connected, for a few minutes on two cores", steps=10_000,
        compile_args=adam(cosine_decay(1e-3)), binarization="dynamic",
    ),
    Preset(
        "gmvae/digits", GMVAE,
        {"image_shape": (8, 8, 1), "latent_dim": 10, "style_dim": 6, "hidden": (128, 64), "prior_hidden": 64,
         "free_bits": 1.0},
        data="digits", source="64-128-64-10 for scikit-learn's 8x8 digits, 200 epochs", steps=2_800,
        compile_args=adam(cosine_decay(1e-3)), binarization="threshold",
    ),
]  # fmt: skip
