"""Presets of PixelCNNAutoencoder."""

from tfgen.models.autoregressive.pixel_cnn_autoencoder import PixelCNNAutoencoder
from tfgen.models.autoregressive.pixel_cnn_presets import adam, rmsprop
from tfgen.models.preset import Preset

_IMAGENET = {
    "image_shape": (32, 32, 3), "width": 384, "depth": 20, "kernel_size": 5, "head_width": 1024,
    "encoder_widths": (128, 256, 512),
}  # fmt: skip


def _imagenet(size):
    return Preset(
        f"pixel-cnn-autoencoder/imagenet32-{size}-paper", PixelCNNAutoencoder, {**_IMAGENET, "embedding_dim": size},
        data="downsampled_imagenet/32x32",
        source=f"section 3.4: m = {size}, 32 x 32; the encoder, the decoder's sizes and the training are not published: the "
        "decoder is that of section 3.1", batch_size=128, steps=200_000, compile_args=rmsprop(1e-4),
    )  # fmt: skip


PRESETS = [
    _imagenet(10),
    _imagenet(100),
    Preset(
        "pixel-cnn-autoencoder/mnist", PixelCNNAutoencoder,
        {"image_shape": (28, 28, 1), "levels": 2, "embedding_dim": 10, "width": 24, "depth": 4, "first_kernel_size": 5},
        data="mnist", binarization="fixed", source="for a short run: m = 10, 4 layers, p = 24, Adam", batch_size=64,
        steps=10_000, compile_args={**adam(1e-3), "ema_decay": 0.999},
    ),
]  # fmt: skip
