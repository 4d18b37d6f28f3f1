"""benchmarks.large_gan_speed: our networks and those of its PyTorch peer are of the same size."""

import numpy as np
import pytest

import tfgen
from benchmarks.large_gan_speed import GATES, MODELS, WAYS


# Of benchmarks/peers/torch_large_gans.py, counted by PyTorch 2.13.
@pytest.mark.parametrize("way, counts", [
    ("style", (343_491, 324_993)), ("big", (205_761, 264_129)), ("sngan", (368_771, 264_768)),
])  # fmt: skip
def test_the_networks_have_as_many_parameters_as_those_of_pytorch(way, counts):
    name, changes = WAYS[way]
    preset = tfgen.presets.get(name).override(changes)
    model = preset.model(**preset.model_args)
    networks = (model.generator, model.discriminator)
    assert tuple(sum(int(np.prod(v.shape)) for v in one.trainable_variables) for one in networks) == counts


def test_the_ways_differ_in_one_setting():
    assert {f"torch_over_{name}" for name in MODELS} < set(GATES)
    for way, other, setting in (
        ("diff_augment", "sngan", "discriminator_augmentation"), ("without_r1", "style", "penalty"),
        ("lazy_r1", "style", "penalty_interval"),
    ):  # fmt: skip
        assert WAYS[way][0] == WAYS[other][0] and setting in WAYS[way][1]
        assert {**WAYS[way][1], setting: None} == {**WAYS[other][1], setting: None}
