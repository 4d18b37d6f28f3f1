"""Presets of PixelCNN."""

from tfgen.models import preset
from tfgen.models.autoregressive.pixel_cnn import PixelCNN
from tfgen.models.preset import Preset, cosine_decay


def adam(learning_rate, clip=1.0):
    return preset.adam(learning_rate, global_clipnorm=clip)


def rmsprop(learning_rate):
    return {"optimizer": {"class_name": "RMSprop", "config": {"learning_rate": learning_rate}}}


_COLOUR = {"image_shape": (32, 32, 3), "width": 128, "depth": 15, "head_width": 1024}

PRESETS = [
    Preset(
        "pixel-cnn/mnist-paper", PixelCNN, {"image_shape": (28, 28, 1), "levels": 2}, data="mnist", binarization="fixed",
        source="table 1 and section 5.3, with the sizes of the Diagonal BiLSTM for MNIST: h = 16, 7 layers; RMSProp, batch "
        "16; rate and number of steps are not published", batch_size=16, steps=400_000, compile_args=rmsprop(1e-3),
        paper="81.30 nats (table 4)",
    ),
    Preset(
        "pixel-cnn/cifar10-paper", PixelCNN, _COLOUR, data="cifar10",
        source="table 1 and section 5.4: 15 layers, h = 128; RMSProp, batch 16; rate and number of steps are not published",
        batch_size=16, steps=400_000, compile_args=rmsprop(1e-3), paper="3.14 bits/dim test, 3.08 train (table 5)",
    ),
    Preset(
        "pixel-cnn/mnist", PixelCNN, {"image_shape": (28, 28, 1), "levels": 2, "width": 32, "depth": 7}, data="mnist",
        binarization="fixed", source="for a short run: h = 32, Adam, cosine decay", batch_size=32, steps=21_000,
        compile_args={**adam(cosine_decay(3e-3)), "ema_decay": 0.999},
    ),
    Preset(
        "pixel-cnn/digits", PixelCNN,
        {"image_shape": (8, 8, 1), "levels": 17, "width": 16, "depth": 4, "first_kernel_size": 7}, data="digits",
        source="scikit-learn's 8x8 digits: 4 blocks, h = 16, Adam 3e-3", batch_size=100, steps=1_000,
        compile_args=adam(3e-3),
    ),
]  # fmt: skip
