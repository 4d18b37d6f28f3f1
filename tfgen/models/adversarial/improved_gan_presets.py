"""Presets of ImprovedGAN."""

from tfgen.models.adversarial.improved_gan import ImprovedGAN
from tfgen.models.preset import Preset, held_decay


def _adam(learning_rate, beta_1=0.5, epsilon=1e-4):
    spec = {"class_name": "Adam", "config": {"learning_rate": learning_rate, "beta_1": beta_1, "epsilon": epsilon}}
    return {"optimizer": spec}


_MNIST = {"image_shape": (28, 28, 1), "num_labels": 10, "feature_matching": "squared"}
_CONV = {
    "image_shape": (32, 32, 3), "network": "conv", "widths": (96, 192), "generator_widths": (512, 256, 128),
    "noise": (0.0, 0.0), "dropout": (0.2, 0.5), "num_labels": 10, "feature_matching": "absolute",
}  # fmt: skip
_DIGITS = {
    "image_shape": (8, 8, 1), "widths": (256, 256), "generator_widths": (256, 256), "noise": (0.15, 0.3),
    "latent_dim": 32, "num_labels": 10, "feature_matching": "squared",
}  # fmt: skip

PRESETS = [
    *(
        Preset(
            f"improved-gan/mnist-{10 * n}-labels-paper", ImprovedGAN, _MNIST, data="mnist", labels_per_class=n,
            source="section 5.1 and the code: 300 epochs of 600 steps, Adam 3e-3 beta_1 .5", batch_size=100,
            steps=180_000, compile_args={**_adam(3e-3), "ema_decay": 0.9999}, paper=f"{errors} errors of 10,000 (table 1)",
        )
        for n, errors in ((2, "1677 +- 452"), (5, "221 +- 136"), (10, "93 +- 6.5"), (20, "90 +- 4.2"))
    ),
    Preset(
        "improved-gan/cifar10-paper", ImprovedGAN, _CONV, data="cifar10", labels_per_class=400,
        source="section 5.2 and the code: 1,200 epochs, Adam 3e-4 beta_1 .5, falling to 0 over the last third",
        batch_size=100, steps=600_000, compile_args={**_adam(held_decay(3e-4, held=2 / 3)), "ema_decay": 0.9999},
        paper="18.63 +- 2.32 % errors with 4,000 labels; 21.83, 19.61, 17.72 with 1,000, 2,000, 8,000 (table 2)",
    ),
    Preset(
        "improved-gan/svhn-paper", ImprovedGAN, {**_CONV, "widths": (64, 128)}, data="svhn_cropped", labels_per_class=100,
        source="section 5.3 and the code: 900 epochs, Adam 3e-4 beta_1 .5, falling to 0 over the last third",
        batch_size=100, steps=658_800, compile_args={**_adam(held_decay(3e-4, held=2 / 3)), "ema_decay": 0.9999},
        paper="8.11 +- 1.3 % errors with 1,000 labels; 18.44, 6.16 with 500, 2,000 (table 3)",
    ),
    Preset(
        "improved-gan/cifar10-samples-paper", ImprovedGAN,
        {**_CONV, "noise": (0.2, 0.0), "dropout": (0.0, 0.5), "feature_matching": None, "objective": "minimax",
         "minibatch_kernels": 100, "generator_steps": 3, "real_target": 0.9, "reference_size": 100},
        data="cifar10", labels_per_class=400,
        source="section 5.2 and the code of minibatch discrimination, with the virtual batch norm and the label smoothing "
        "that table 3's full model has and that code has not", batch_size=100, steps=600_000,
        compile_args={**_adam(held_decay(3e-4, held=2 / 3)), "ema_decay": 0.9999},
        paper="Inception score 8.09 +- .07 (table 3)",
    ),
    Preset(
        "improved-gan/mnist", ImprovedGAN, {**_MNIST, "scaled_by_data": False}, data="mnist", labels_per_class=10,
        source="the paper's, for a short run: scales of 1, and the rate falls to 0 over the last third", batch_size=100,
        steps=27_000, compile_args={**_adam(held_decay(3e-3, held=2 / 3)), "ema_decay": 0.999},
    ),
    Preset(
        "improved-gan/digits", ImprovedGAN, _DIGITS, data="digits", labels_per_class=5,
        source="the MNIST networks scaled down to scikit-learn's 8x8 digits", batch_size=100, steps=4_000,
        compile_args={**_adam(1e-3), "ema_decay": 0.999},
    ),
    Preset(
        "improved-gan/digits-supervised", ImprovedGAN, {**_DIGITS, "unlabelled_weight": 0.0}, data="digits",
        labels_per_class=5, source="as improved-gan/digits, but learning from the labelled images alone", batch_size=100,
        steps=4_000, compile_args={**_adam(1e-3), "ema_decay": 0.999},
    ),
]  # fmt: skip
