"""Presets of MultiScalePixelRNN."""

from tfgen.models.autoregressive.multi_scale_pixel_rnn import MultiScalePixelRNN
from tfgen.models.autoregressive.pixel_cnn_presets import adam, rmsprop
from tfgen.models.preset import Preset

_DIGITS = {"image_shape": (8, 8, 1), "levels": 17, "width": 16, "depth": 2, "map_channels": 16}

PRESETS = [
    Preset(
        "multi-scale-pixel-rnn/imagenet32-paper", MultiScalePixelRNN,
        {"image_shape": (32, 32, 3), "factors": (4,), "cell": "row", "width": 384, "depth": 12, "head_width": 1024},
        data="downsampled_imagenet/32x32", source="section 3.6: 8 x 8 pixels first; sizes, optimiser settings and "
        "likelihood are not published, these are those of the unconditional model", batch_size=64, steps=400_000,
        compile_args=rmsprop(1e-4),
    ),
    Preset(
        "multi-scale-pixel-rnn/digits", MultiScalePixelRNN, {**_DIGITS, "first_kernel_size": 7}, data="digits",
        source="scikit-learn's 8x8 digits: 4x4 pixels first; Diagonal BiLSTM, 2 layers, h = 16, Adam 3e-3", batch_size=100,
        steps=1_000, compile_args=adam(3e-3),
    ),
]  # fmt: skip
