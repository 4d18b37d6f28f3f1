"""Presets of GatedPixelCNN."""

from tfgen.models.autoregressive.gated_pixel_cnn import GatedPixelCNN
from tfgen.models.autoregressive.pixel_cnn_presets import adam, rmsprop
from tfgen.models.preset import Preset, cosine_decay

_IMAGENET = {"image_shape": (32, 32, 3), "width": 384, "depth": 20, "kernel_size": 5, "head_width": 1024}
_CIFAR = {**_IMAGENET, "width": 128, "depth": 10}
_DIGITS = {"image_shape": (8, 8, 1), "levels": 17, "width": 24, "depth": 4, "first_kernel_size": 3}

PRESETS = [
    Preset(
        "gated-pixel-cnn/imagenet32-paper", GatedPixelCNN, _IMAGENET, data="downsampled_imagenet/32x32",
        source="section 3: 20 layers, 384 maps, 5 x 5; 200,000 updates of batch 128; the optimiser is not published",
        batch_size=128, steps=200_000, compile_args=rmsprop(1e-4), paper="3.83 bits/dim validation, 3.77 train (table 2)",
    ),
    Preset(
        "gated-pixel-cnn/imagenet32-classes-paper", GatedPixelCNN, {**_IMAGENET, "num_classes": 1000},
        data="imagenet_resized/32x32",
        source="section 3.2, with the sizes of the unconditional model", batch_size=128, steps=200_000,
        compile_args=rmsprop(1e-4),
    ),
    Preset(
        "gated-pixel-cnn/cifar10-paper", GatedPixelCNN, _CIFAR, data="cifar10",
        source="section 3.1; sizes and training are not published", batch_size=32, steps=400_000,
        compile_args=rmsprop(1e-3), paper="3.03 bits/dim test, 2.90 train (table 1)",
    ),
    Preset(
        "gated-pixel-cnn/mnist", GatedPixelCNN, {"image_shape": (28, 28, 1), "levels": 2, "width": 20, "depth": 10},
        data="mnist", binarization="fixed", source="for a short run: p = 20, 10 layers, Adam, cosine decay", batch_size=32,
        steps=13_000, compile_args={**adam(cosine_decay(3e-3)), "ema_decay": 0.999},
    ),
    Preset(
        "gated-pixel-cnn/digits", GatedPixelCNN, _DIGITS, data="digits",
        source="scikit-learn's 8x8 digits: p = 24, 4 layers of 3 x 3, Adam 3e-3", batch_size=100, steps=500,
        compile_args=adam(3e-3),
    ),
    Preset(
        "gated-pixel-cnn/digits-classes", GatedPixelCNN, {**_DIGITS, "num_classes": 10}, data="digits",
        source="as gated-pixel-cnn/digits, conditioned on the class", batch_size=100, steps=500, compile_args=adam(3e-3),
    ),
]  # fmt: skip
