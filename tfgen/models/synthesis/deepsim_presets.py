"""Presets of DeePSiM."""

from tfgen.models.preset import Preset, adam
from tfgen.models.synthesis.deepsim import DeePSiM

# 2e-4, halved at these steps.
_HALVED = {
    "module": "keras.optimizers.schedules", "class_name": "PiecewiseConstantDecay",
    "config": {"boundaries": [300_000, 500_000, 700_000, 900_000, 1_100_000],
               "values": [2e-4, 1e-4, 5e-5, 2.5e-5, 1.25e-5, 6.25e-6]},
}  # fmt: skip
_PAPER_SIDE = 227
# The code's sums over 2 N as means: of pixels in 0 ... 255, and of the 6 x 6 x 256 features of pool5.
PAPER_WEIGHTS = {
    "image_weight": 2e-6 / 2 * 255**2 * _PAPER_SIDE**2 * 3, "feature_weight": 0.01 / 2 * 6 * 6 * 256,
    "adversarial_weight": 100.0,
}  # fmt: skip


def encoder_of(data):
    """The file of the encoder of a data set, from `tfgen.features.train_encoder`."""
    return f"runs/encoder-{data.replace('_', '-')}.keras"


def _small(data, image_shape, steps):
    return Preset(
        f"deepsim/{data.replace('_', '-')}", DeePSiM,
        {"image_shape": image_shape, "encoder": encoder_of(data), "encoder_layers": ("code", "maps")},
        data=data, batch_size=64, steps=steps,
        compile_args={"optimizer": {
            "generator": adam(5e-4)["optimizer"], "discriminator": adam(2e-4)["optimizer"]}},
        source="the idea in small: the code is the dense layer of a classifier of the same images, compared are the maps of "
        f'its convolutions; make it by tfgen.features.train_encoder(tfgen.data.load("{data}"), "{encoder_of(data)}")',
    )  # fmt: skip


PRESETS = [
    Preset(
        "deepsim/imagenet-fc6-paper", DeePSiM,
        {"image_shape": (_PAPER_SIDE, _PAPER_SIDE, 3), "encoder": "runs/caffenet.keras", "encoder_layers": ("fc6", "pool5"),
         **PAPER_WEIGHTS, "relative": False, "generator_hidden": (4096, 4096), "generator_grid": 256,
         "generator_filters": ((256, 512), (256, 256), (128, 128), (64,), (32,)), "output": "linear",
         "discriminator_convs": ((32, 7, 4), (64, 5, 1), (128, 3, 2), (256, 3, 1), (256, 3, 2)),
         "discriminator_code": (1024, 512), "discriminator_units": 512},
        data="imagenet", batch_size=64, steps=1_300_000, compile_args=adam(_HALVED),
        source="the authors' definitions: fc6 of CaffeNet is inverted, pool5 is compared; 256 px cut to 227. The user "
        "brings CaffeNet as a Keras file of images in [0, 1] with layers of these names",
        paper="qualitative",
    ),
    _small("mnist", (28, 28, 1), 1_500),
    _small("fashion_mnist", (28, 28, 1), 1_500),
    _small("digits", (8, 8, 1), 1_500),
    Preset(
        "deepsim/photos-32", DeePSiM,
        {"image_shape": (32, 32, 3),
         "encoder": {"maker": "efficientnet_lite0",
                     "arguments": {"path": "~/.keras/models/efficientnet_lite0.npz", "image_shape": [32, 32, 3],
                                   "resize": 128, "layers": ["block_10", "block_4"]}},
         "generator_hidden": (128,), "generator_grid": 128, "generator_filters": ((64, 64),)},
        data="cifar10", batch_size=64, steps=6_000, compile_args=adam(3e-4),
        source="block 10 of EfficientNet-Lite0 is inverted, block 4 is compared; images are enlarged to 128 px before it",
    ),
]  # fmt: skip
