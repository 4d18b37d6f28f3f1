"""Presets of DGN-AM. Their steps of training measure the bounds of codes."""

from tfgen.models.preset import Preset
from tfgen.models.synthesis.deepsim_presets import encoder_of
from tfgen.models.synthesis.dgn_am import DGNAM


def generator_of(data):
    """The file of the generator of the DeePSiM preset of a data set."""
    return f"runs/generator-{data.replace('_', '-')}.keras"


def _small(data, image_shape):
    name = data.replace("_", "-")
    return Preset(
        f"dgn-am/{name}", DGNAM,
        {"image_shape": image_shape, "classifier": encoder_of(data), "layer": "logits", "generator": generator_of(data),
         "encoder": encoder_of(data), "encoder_layer": "code", "first_rate": 1.0},
        data=data, batch_size=100, steps=15,
        source=f'the paper\'s rule with a smaller step; the generator of deepsim/{name}, saved by model.generator.save("'
        f'{generator_of(data)}"), and its encoder, whose units are examined',
    )  # fmt: skip


PRESETS = [
    Preset(
        "dgn-am/imagenet-fc6-paper", DGNAM,
        {"image_shape": (227, 227, 3), "classifier": "runs/caffenet.keras", "layer": "fc8",
         "generator": "runs/generator-imagenet-fc6.keras", "encoder": "runs/caffenet.keras", "encoder_layer": "fc6"},
        data="imagenet", batch_size=64, steps=800,
        source="section 3 and the code: 200 steps from 8 to 1e-10, decay .99, clip to [0, mean + 3 sigma] of 50,000 images; "
        "the networks of deepsim/imagenet-fc6-paper",
        paper="qualitative",
    ),
    _small("mnist", (28, 28, 1)),
    _small("fashion_mnist", (28, 28, 1)),
    _small("digits", (8, 8, 1)),
]  # fmt: skip
