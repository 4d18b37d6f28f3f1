"""Presets of VAE."""

from tfgen.models.autoencoders.vae import VAE
from tfgen.models.preset import Preset, adam, cosine_decay

_ADAGRAD = {"optimizer": {"class_name": "Adagrad", "config": {"learning_rate": 0.02, "initial_accumulator_value": 0.1}}}

# Rounds of 1, 3, 9, ... 3^7 epochs of 3,000 batches.
_ROUNDS = {
    "module": "keras.optimizers.schedules",
    "class_name": "PiecewiseConstantDecay",
    "config": {"boundaries": [3_000 * sum(3**j for j in range(i + 1)) for i in range(7)],
               "values": [1e-3 * 10 ** (-i / 7) for i in range(8)]},
}  # fmt: skip

PRESETS = [
    Preset(
        "vae/mnist-paper",
        VAE,
        {"image_shape": (28, 28, 1), "latent_dim": 20, "hidden": (500,), "activation": "tanh"},
        data="mnist",
        source="AEVB section 5: 500 tanh units, minibatch 100, Adagrad (step size from {0.01, 0.02, 0.1})",
        steps=200_000,
        compile_args=_ADAGRAD,
        binarization="dynamic",
        paper="curves only (figure 2)",
    ),
    Preset(
        "vae/freyfaces-paper",
        VAE,
        {"image_shape": (28, 20, 1), "latent_dim": 10, "hidden": (200,), "activation": "tanh", "likelihood": "gaussian"},
        data="folder:freyfaces",
        source="AEVB section 5: 200 tanh units, Gaussian decoder with means in (0, 1), minibatch 100, Adagrad",
        steps=100_000,
        compile_args=_ADAGRAD,
        dequantize=True,
        paper="curves only (figure 2)",
    ),
    Preset(
        "vae/mnist-likelihood-paper",
        VAE,
        {"image_shape": (28, 28, 1), "latent_dim": 3, "hidden": (100,), "activation": "tanh"},
        data="mnist",
        source="AEVB section 5, marginal likelihood: 100 hidden units, 3 latents",
        steps=100_000,
        compile_args=_ADAGRAD,
        binarization="dynamic",
        paper="curves only (figure 3)",
    ),
    Preset(
        "vae/mnist-iwae",
        VAE,
        {"image_shape": (28, 28, 1), "latent_dim": 50, "hidden": (200, 200), "activation": "tanh"},
        data="mnist",
        source="IWAE section 5, one stochastic layer: 784-200-200-50; rate 1e-3 to 1e-4 in rounds of 3^i epochs, Adam's "
        "epsilon 1e-4; the code starts the output's bias from the mean image, this from 0",
        batch_size=20,
        steps=9_840_000,
        compile_args=adam(_ROUNDS, epsilon=1e-4),
        binarization="dynamic",
        paper="86.76 nats, IWAE table 1 (VAE, k=1, bound with 5,000 samples)",
    ),
    Preset(
        "vae/mnist",
        VAE,
        {"image_shape": (28, 28, 1), "latent_dim": 32, "hidden": (500, 500), "activation": "tanh"},
        data="mnist",
        source="the paper's width with a second hidden layer; Adam, cosine decay; for 20 minutes on two cores",
        steps=90_000,
        compile_args=adam(cosine_decay(1e-3)),
        binarization="dynamic",
    ),
    Preset(
        "vae/digits",
        VAE,
        {"image_shape": (8, 8, 1), "latent_dim": 8, "hidden": (128, 64), "activation": "relu", "levels": 17},
        data="digits",
        source="64-128-8-128-64 for scikit-learn's 8x8 digits, 250 epochs",
        steps=3_500,
        compile_args=adam(2e-3),
        binarization="threshold",
    ),
    Preset(
        "vae/digits-conv",
        VAE,
        {"image_shape": (8, 8, 1), "latent_dim": 8, "network": "conv", "hidden": (32, 64, 64), "activation": "relu",
         "likelihood": "discretized_logistic", "levels": 17},
        data="digits",
        source="the convolutional network on the 17 grey levels of the digits",
        steps=3_500,
        compile_args=adam(1e-3),
    ),
    *(
        Preset(
            f"vae/images-{side}",
            VAE,
            {"image_shape": (side, side, 3), "latent_dim": 64, "network": "conv", "hidden": (32, 64, 256),
             "activation": "relu", "likelihood": "discretized_logistic"},
            data="folder:images",
            source="images of your own: the convolutional network on their grey levels, for minutes on two cores",
            batch_size=batch_size,
            steps=steps,
            compile_args=adam(cosine_decay(1e-3)),
            own_images=True,
        )
        for side, batch_size, steps in ((32, 64, 5_000), (64, 32, 4_000))
    ),
]  # fmt: skip
