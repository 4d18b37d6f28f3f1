"""Presets of fast style transfer."""

from tfgen.models.preset import Preset, adam
from tfgen.models.translation.adain_presets import LITE0
from tfgen.models.translation.fast_style_transfer import FastStyleTransfer

_RATE = adam(1e-3, epsilon=1e-8)
# A quarter of the paper's filters, and smaller first and last convolutions, for images of 28 pixels or less.
_SMALL = {"width": 8, "kernel_size": 5}

PRESETS = [
    Preset(
        "fast-style-transfer/32-styles-code", FastStyleTransfer, {"image_shape": (256, 256, 3), "num_styles": 32},
        data="styles:imagenet-32-paintings", source="appendix A and the code: contents of ImageNet, 32 paintings, batches "
        "of 16", batch_size=16, steps=40_000, compile_args=_RATE,
    ),
    Preset(
        "fast-style-transfer/photos-16-styles", FastStyleTransfer,
        {"image_shape": (128, 128, 3), "num_styles": 16, "width": 16, "blocks": 3, "feature_network": LITE0,
         "content_layer": "block_3_expand_relu", "style_weight": 3.0},
        data="styles:photos-16-styles", source="half of the paper's filters, features of EfficientNet-Lite0, batches of 4",
        batch_size=4, steps=3_000, compile_args=_RATE,
    ),
    Preset(
        "fast-style-transfer/digits-textures", FastStyleTransfer,
        {"image_shape": (8, 8, 1), "num_styles": 16, "halvings": 1, "blocks": 2, **_SMALL,
         "feature_network": {"maker": "random_conv", "arguments": {"filters": [16, 32]}}, "content_layer": "relu_1",
         "style_weight": 10.0},
        data="textured:digits", source="8x8 digits in 16 textures; features of random convolutions, batches of 16",
        batch_size=16, steps=2_000, compile_args=_RATE,
    ),
]  # fmt: skip
