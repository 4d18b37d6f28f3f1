"""benchmarks.synthesis_speed: our work and that of its PyTorch peer is of the same size."""

import ast
import pathlib

import numpy as np

import tfgen
from benchmarks import synthesis_speed as speed


def conv(size, before, after):
    return size * size * before * after + after


def dense(before, after):
    return before * after + after


def parameters(network):
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


# Of benchmarks/peers/torch_synthesis.py, counted by hand.
GENERATOR = dense(128, 256) + dense(256, 3136) + conv(4, 64, 64) + conv(3, 64, 32) + conv(4, 32, 1)
CLASSIFIER = conv(3, 1, 32) + conv(3, 32, 64) + dense(3136, 128) + dense(128, 10)


def fractal(filters, columns):
    count, before = dense(filters[-1], 10), 3
    for after in filters:
        count += columns * conv(3, before, after) + (2**columns - 1 - columns) * conv(3, after, after)
        before = after
    return count


def test_networks_of_the_ascent():
    network = tfgen.features.encoder_network((28, 28, 1), 10)
    made = tfgen.models.DeePSiM(image_shape=(28, 28, 1), encoder=network, encoder_layers=("code", "maps"))
    assert (parameters(made.generator), parameters(network)) == (GENERATOR, CLASSIFIER)


def test_the_fractal_network():
    preset = tfgen.presets.get("fractal-net/cifar10").override(speed.FRACTAL)
    model = preset.build()
    assert len(model.convs) == 5 * 7 and parameters(model) == fractal(speed.FRACTAL["filters"], 3)
    given = constants()
    assert (given["FILTERS"], given["RATES"]) == (speed.FRACTAL["filters"], speed.FRACTAL["dropout"])
    assert (given["COLUMNS"], given["DROP"], given["BATCH"]) == (model.columns, model.local_drop, preset.batch_size)
    assert model.global_share == 0.5 and not model.column_losses


def constants():
    """{name: value} of the constants of the peer, which is not imported: PyTorch is not here."""
    text = (pathlib.Path(speed.__file__).parent / "peers/torch_synthesis.py").read_text()
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign):
            names = [one.id for one in getattr(node.targets[0], "elts", node.targets)]
            try:
                values = ast.literal_eval(node.value)
            except ValueError:  # computed
                continue
            found |= dict(zip(names, values if len(names) > 1 else [values], strict=True))
    return found


def test_numbers_of_steps_and_rows():
    given = constants()
    assert given["ROWS"] == speed.ROWS and given["STEPS"] == speed.CLIMB_STEPS == speed.PROJECTION_STEPS
    assert given["KINDS"] == speed.KINDS and set(speed.GATES) == {f"torch_over_{name}" for name in speed.KINDS}


def test_random_weights_keep_the_size_of_outputs():
    """So that generators with them draw images that differ, and a projection has a way to go."""
    gan = tfgen.presets.get("dcgan/mnist").build()
    before = float(np.std(gan.sample(16)))
    speed.random_weights(gan.generator)
    images = gan.sample(16).numpy()
    assert np.std(images) > 0.1 > 5 * before
    assert np.std(images - images.mean(axis=0)) > 0.05


def test_projections_have_a_way_to_go(monkeypatch):
    """The averaged weights of the generator are random too: a start without a gradient would be an end."""
    monkeypatch.setattr(speed, "ROWS", 2)
    monkeypatch.setattr(speed, "PROJECTION_STEPS", 30)
    _, error = speed.project()
    assert error() < 0.7
