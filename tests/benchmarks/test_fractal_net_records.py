"""The measurements of the records of FractalNet, on untrained models and few images."""

import argparse

import numpy as np
import pytest

import tfgen
from benchmarks.reproduce import fractal_net
from benchmarks.reproduce.__main__ import COMMANDS


def source(num, seed):
    images = np.random.default_rng(seed).integers(0, 256, (num, 8, 8, 1), dtype="uint8")
    return tfgen.data.from_arrays(images, np.arange(num) % 3, num_classes=3)


def test_what_is_measured():
    model = tfgen.models.FractalNet(image_shape=(8, 8, 1), num_classes=3, filters=(2, 3), columns=2)
    train, test = source(40, 0), source(12, 1)
    model.classes.set_weights([np.zeros((3, 3), "float32"), np.array([0, 1, 0], "float32")])  # always class 1
    found = fractal_net.measure(model, train, test)
    assert found["accuracy"] == found["accuracy_as_trained"] == pytest.approx(1 / 3)
    assert found["columns"] == pytest.approx([1 / 3] * 2) and found["lowest_column_share"] == pytest.approx(1)
    drawn = fractal_net.draw(found | {f"without_{key}": value for key, value in found.items()})
    np.testing.assert_allclose(drawn.axes[0].lines[0].get_ydata(), [1 / 3] * 2)


def test_validation_images_are_training_images_that_are_left_out(monkeypatch):
    made = {"train": source(50, 0), "test": source(12, 1)}
    monkeypatch.setattr(tfgen.data, "load", lambda spec, split, manual_dir: made[split])
    load = lambda validate: fractal_net.sources(argparse.Namespace(manual_dir=None, validate=validate), "digits")  # noqa: E731
    assert load(False) == (made["train"], made["test"])
    train, validation = load(True)
    together = np.concatenate([train.images(), validation.images()])
    assert len(validation) == 10 and len(np.unique(together, axis=0)) == len(together) == 50
    assert {image.tobytes() for image in together} == {image.tobytes() for image in made["train"].images()}
    assert len(set(validation.labels())) == 3  # of all classes, though files are often ordered by class


def test_names_and_gates():
    assert {name: words for name, words in COMMANDS.items() if words[0] == "fractal_net"} == {
        f"fractal_net_{name}": ["fractal_net", name] for name in fractal_net.RUNS
    }
    for preset, _, gates in fractal_net.RUNS.values():
        assert tfgen.presets.get(preset).model is tfgen.models.FractalNet and "accuracy" in gates
