"""Presets of Autoencoder."""

from tfgen.models.autoencoders.autoencoder import Autoencoder
from tfgen.models.preset import Preset, adam, cosine_decay

PRESETS = [
    Preset(
        "autoencoder/mnist-paper", Autoencoder,
        {"image_shape": (28, 28, 1), "latent_dim": 30, "network": "mlp", "hidden": (1000, 500, 250), "activation": "sigmoid",
         "output_activation": "sigmoid"},
        data="mnist",
        source="Hinton, Salakhutdinov 2006: 784-1000-500-250-30, logistic units, linear code, batches of 1,000, 200 epochs; "
        "Adam instead of their pre-training and conjugate gradients",
        batch_size=1000, steps=12_000, compile_args=adam(1e-3),
        paper="squared error 3.00 per test image (logistic PCA 8.01, PCA 13.87)",
    ),
    Preset(
        "autoencoder/mnist-dec-paper", Autoencoder,
        {"image_shape": (28, 28, 1), "latent_dim": 10, "network": "mlp", "hidden": (500, 500, 2000)},
        data="mnist",
        source="DEC section 4.3: 784-500-500-2000-10, ReLU, batches of 256, 100,000 steps for the whole stack; Adam instead "
        "of SGD, whose 0.1 goes with the pre-training",
        batch_size=256, steps=100_000, compile_args=adam(1e-3),
        paper="81.84 % accuracy of k-means on codes (table 2; 53.49 % on pixels)",
    ),
    Preset(
        "autoencoder/mnist", Autoencoder, {"image_shape": (28, 28, 1), "latent_dim": 32, "hidden": (32, 64)}, data="mnist",
        source="the usual small convolutional network; Adam, cosine decay, 13 epochs", batch_size=128, steps=6_000,
        compile_args=adam(cosine_decay(1e-3)),
    ),
    Preset(
        "autoencoder/digits", Autoencoder, {"image_shape": (8, 8, 1), "latent_dim": 16, "hidden": (32, 64)}, data="digits",
        source="the same on scikit-learn's 8x8 digits, about 150 epochs", batch_size=100, steps=2_100,
        compile_args=adam(cosine_decay(2e-3)),
    ),
]  # fmt: skip
