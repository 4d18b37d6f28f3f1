"""Presets of PPGN."""

from tfgen.models.preset import Preset, adam, cosine_decay
from tfgen.models.synthesis.deepsim_presets import encoder_of
from tfgen.models.synthesis.dgn_am_presets import generator_of
from tfgen.models.synthesis.ppgn import PPGN, JointPPGN

CHAINS = {"chain_steps": 100, "rate": 0.1, "epsilons": (1e-3, 1.0, 0.0)}


def _joint(data, image_shape, variant="", **settings):
    """As the DeePSiM preset of the data set, and chains of the classes of its encoder."""
    name, file = data.replace("_", "-"), encoder_of(data)
    return Preset(
        f"ppgn/{name}{variant}", JointPPGN,
        {"image_shape": image_shape, "encoder": file, "encoder_layers": ("code", "maps"), **CHAINS, **settings},
        data=data, batch_size=64, steps=1_500,
        compile_args={"optimizer": {"generator": adam(5e-4)["optimizer"], "discriminator": adam(2e-4)["optimizer"]}},
        source=f"the idea in small: as deepsim/{name}, and chains of the classes of its encoder; make that by "
        f'tfgen.features.train_encoder(tfgen.data.load("{data}"), "{file}")',
    )  # fmt: skip


def _of_codes(data, image_shape):
    name, file = data.replace("_", "-"), encoder_of(data)
    return Preset(
        f"ppgn/{name}-codes", PPGN,
        {"image_shape": image_shape, "prior": "codes", "generator": generator_of(data), "encoder": file,
         "encoder_layer": "code", "condition": file, "prior_widths": (512, 256, 512), **CHAINS},
        data=data, batch_size=128, steps=6_000, compile_args=adam(cosine_decay(1e-3)),
        source=f"PPGN-h in small; the generator of deepsim/{name} and its encoder, saved as for dgn-am/{name}",
    )  # fmt: skip


def _of_pixels(data, image_shape):
    return Preset(
        f"ppgn/{data.replace('_', '-')}-pixels", PPGN,
        {"image_shape": image_shape, "prior": "pixels", "condition": encoder_of(data), "prior_widths": (32, 64, 64),
         **CHAINS},
        data=data, batch_size=64, steps=800, compile_args=adam(1e-3),
        source="PPGN-x in small, the variant of whose chains the paper shows that they mix slowly",
    )  # fmt: skip


_MADE = {"mnist": (28, 28, 1), "fashion_mnist": (28, 28, 1), "digits": (8, 8, 1)}
PRESETS = [
    *(make(data, shape) for make in (_joint, _of_codes, _of_pixels) for data, shape in _MADE.items()),
    *(_joint(data, shape, "-noisy", noise=(0.1, 0.3, 0.3), code_weight=1.0) for data, shape in _MADE.items()),
]
