"""Presets of AdaIN style transfer."""

from tfgen.models.preset import Preset, adam
from tfgen.models.translation.adain import AdaINStyleTransfer

# The code's rate after t steps, 1e-4 / (1 + 5e-5 t).
_FALLING = {
    "module": "keras.optimizers.schedules", "class_name": "InverseTimeDecay",
    "config": {"initial_learning_rate": 1e-4, "decay_steps": 1, "decay_rate": 5e-5},
}  # fmt: skip
_LAYERS = ["stem", "block_1_expand_relu", "block_3_expand_relu"]
# Features that were trained on ImageNet, without VGG-19; the sides of the last layer are a quarter of the images'.
LITE0 = {
    "maker": "efficientnet_lite0",
    "arguments": {"path": "~/.keras/models/efficientnet_lite0.npz", "layers": _LAYERS, "resize": None},
}


def _random(*filters):
    return {"maker": "random_conv", "arguments": {"filters": list(filters)}}


PRESETS = [
    Preset(
        "adain/vgg19-code", AdaINStyleTransfer, {"image_shape": (256, 256, 3)}, data="styles:coco-wikiart",
        source="section 6.2 and the code: contents of MS-COCO and paintings of WikiArt, of 512 px (--size 512), of which "
        "random windows of 256 px are used, batches of 8",
        batch_size=8, steps=160_000, compile_args=adam(_FALLING, epsilon=1e-8), augmentation={"crop": 256},
    ),
    Preset(
        "adain/photos-128", AdaINStyleTransfer,
        {"image_shape": (128, 128, 3), "feature_network": LITE0, "decoder_filters": ((64, 64), (64, 32), (32,)),
         "style_weight": 0.02},
        data="styles:photos", source="features of EfficientNet-Lite0, a quarter of the paper's filters, batches of 8",
        batch_size=8, steps=2_500, compile_args=adam(1e-3, epsilon=1e-8),
    ),
    Preset(
        "adain/mnist-textures", AdaINStyleTransfer,
        {"image_shape": (28, 28, 1), "feature_network": _random(16, 32, 64), "decoder_filters": ((64,), (64, 32), (32, 16))},
        data="textured:mnist", source="digits in procedural textures; features of random convolutions, batches of 16",
        batch_size=16, steps=3_000, compile_args=adam(1e-3, epsilon=1e-8),
    ),
    Preset(
        "adain/digits-textures", AdaINStyleTransfer,
        {"image_shape": (8, 8, 1), "feature_network": _random(16, 32), "decoder_filters": ((32,), (32, 16))},
        data="textured:digits", source="8x8 digits in procedural textures; features of random convolutions, batches of 16",
        batch_size=16, steps=2_000, compile_args=adam(1e-3, epsilon=1e-8),
    ),
]  # fmt: skip
