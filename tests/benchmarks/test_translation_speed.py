"""benchmarks.translation_speed: our networks and those of its PyTorch peer are of the same size."""

import ast
import pathlib

import numpy as np
import pytest

import tfgen
from benchmarks.translation_speed import GATES, SHAPE, WAYS, source_for


def conv(size, before, after, norm=False):
    return size * size * before * after + after + (2 * after if norm else 0)


# Of benchmarks/peers/torch_translation.py, counted by hand.
U_NET = sum([
    conv(4, 1, 16), conv(4, 16, 32, True), conv(4, 32, 64, True), conv(4, 64, 128, True), conv(4, 128, 128),
    conv(4, 128, 128, True), conv(4, 256, 64, True), conv(4, 128, 32, True), conv(4, 64, 16, True), conv(4, 32, 1),
])  # fmt: skip
RESIDUAL = sum([
    conv(7, 1, 16), conv(3, 16, 32), conv(3, 32, 64), *[conv(3, 64, 64)] * 6, conv(3, 64, 32), conv(3, 32, 16),
    conv(7, 16, 1),
])  # fmt: skip


@pytest.mark.parametrize("way, names, counts", [
    ("pix2pix", ("generator", "discriminator"),
     (U_NET, sum([conv(4, 2, 16), conv(4, 16, 32, True), conv(4, 32, 64, True), conv(4, 64, 1)]))),
    ("cycle", ("to_b", "to_a", "discriminator_a", "discriminator_b"),
     (RESIDUAL, RESIDUAL, *[sum([conv(4, 1, 16), conv(4, 16, 32), conv(4, 32, 64), conv(4, 64, 1)])] * 2)),
])  # fmt: skip
def test_the_networks_have_as_many_parameters_as_those_of_pytorch(way, names, counts):
    name, changes = WAYS[way]
    preset = tfgen.presets.get(name).override(changes)
    assert preset.model_args["image_shape"] == SHAPE
    model = preset.model(**preset.model_args)
    found = [sum(int(np.prod(v.shape)) for v in getattr(model, one).trainable_variables) for one in names]
    assert found == list(counts)
    batch = next(iter(source_for(way).batches(preset.batch_size, shuffle=True, repeat=True)))
    model.as_batch(batch)


def test_batches_and_weights_are_those_of_the_peer():
    """Without PyTorch: the settings that stand in its file."""
    text = (pathlib.Path(__file__).parents[2] / "benchmarks/peers/torch_translation.py").read_text()
    (batch,) = [
        ast.literal_eval(node.value) for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and node.targets[0].id == "BATCH"
    ]  # fmt: skip
    assert batch.keys() == WAYS.keys() and set(GATES) == {f"torch_over_{name}" for name in WAYS}
    for way, (name, changes) in WAYS.items():
        assert tfgen.presets.get(name).override(changes).batch_size == batch[way]
