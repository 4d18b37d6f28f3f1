"""The measurements of the records of translations, on untrained models and few images; what they count, by hand."""

import argparse

import numpy as np
import pytest

import tfgen
from benchmarks.reproduce import cycle_gan, pix2pix, pix2pix_hd, translation
from benchmarks.reproduce.__main__ import COMMANDS


class Classifier:
    """Sees the class of an image in its first pixel."""

    accuracy, weights_hash = 0.5, "hash"

    def logits(self, images):
        return np.eye(10)[np.rint(9 * images[:, 0, 0, 0]).astype(int)]

    def features(self, images):
        return images.reshape(len(images), -1)[:, ::31].astype("float64")


def digits(num, size, seed=0):
    """Noise whose first pixel has the class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(num) % 10
    pixels = rng.integers(0, 256, (num, size, size, 1), dtype="uint8")
    pixels[:, 0, 0, 0] = np.rint(255 * labels / 9)
    return tfgen.data.from_arrays(pixels, labels, name="mnist", num_classes=10)


def arguments(name, **more):
    return argparse.Namespace(name=name, seed=0, steps=2, workdir="runs", manual_dir=None, validate=False, **more)


def trained(args, source, preset, seed=0, steps=None, settings=None, folder=None, **load):
    """The model of the preset as it begins, narrow."""
    found = tfgen.presets.get(preset).override({"width": 4, "discriminator_width": 4, **(settings or {})})
    return found.model(**found.model_args), {"folder": folder, "load": load}, 1.0


@pytest.fixture
def small(monkeypatch):
    """Twenty images, no training."""
    made = {"edges:mnist": tfgen.data.edge_pairs, "quadrants:mnist": tfgen.data.quadrant_pairs,
            "inverted:mnist": lambda source: tfgen.data.domains(source, other="inverted"),
            "unpaired:mnist+usps": lambda source: tfgen.data.unpaired(source, digits(14, 28, 1))}  # fmt: skip

    def sources(args, spec, size=(28, 28)):
        return *(made[spec](digits(20, size[0], seed)) for seed in (0, 1)), {"spec": spec}

    for module in (pix2pix, cycle_gan):
        monkeypatch.setattr(module, "sources", sources)
        monkeypatch.setattr(module, "trained", trained)
        monkeypatch.setattr(module, "train_classifier", lambda *args, **kwargs: Classifier())
    monkeypatch.setattr(pix2pix, "digits_classifier", lambda args: Classifier())
    monkeypatch.setattr(tfgen.data, "load", lambda *args, **kwargs: None)


def check(found, gates):
    """Every gate has its number, pictures are of equal shape, trainings have a name."""
    results, _, trainings, (model, train, test), rows, protocol = found
    assert set(gates) <= set(results) and all(np.isfinite(results[name]) for name in gates), results
    assert trainings and len({row.shape for row in rows}) == 1 and protocol["n_test"] == len(test)
    return results


@pytest.mark.parametrize("name", ["edges", "quadrants"])
def test_pix2pix(name, small):
    measure = {"edges": pix2pix.edges, "quadrants": pix2pix.quadrants}[name]
    results = check(measure(arguments(name)), pix2pix.GATES[name])
    assert results["recognised_targets"] == 1.0
    if name == "edges":
        assert abs(results["d_right_minus_wrong"]) < 0.2 and 0.3 < results["d_right"] < 0.7  # it knows nothing yet
    assert pix2pix.VARIANTS.keys() == {"l1", "patch_1", "patch_16", "patch_34", "patch_70"}


def test_gradient_energy_by_hand():
    """Steps of 1 between columns, of 2 between rows; only between neighbours that are both inside."""
    image = np.float32(np.arange(4)[None] + 2 * np.arange(3)[:, None])[None, ..., None]
    inside = np.ones((1, 3, 4), bool)
    assert pix2pix.gradient_energy(image, inside) == 3.0
    image[0, :, 0] = 99
    inside[0, :, 0] = False
    assert pix2pix.gradient_energy(image, inside) == 3.0


@pytest.mark.parametrize("name", ["inverted", "usps"])
def test_cycle_gan(name, small):
    measure = {"inverted": cycle_gan.inverted, "usps": cycle_gan.usps}[name]
    results = check(measure(arguments(name)), cycle_gan.GATES[name])
    if name == "inverted":
        assert results["l1"] == max(results["l1_there"], results["l1_back"])
        assert {"l1", "cycle_l1", "kept_there", "kept_back"} <= {key.removeprefix("without_cycle_") for key in results}
    else:
        assert results["kept_without_translation_in_usps"] == 1.0 and results["real_precision_in_mnist"] > 0


@pytest.mark.parametrize("name", ["digits", "features"])
def test_pix2pix_hd(name, small):
    """A network that draws the features alone changes its own instance alone."""
    settings = {**pix2pix_hd.SETTINGS[name], "width": 4, "discriminator_width": 4, "blocks": 1, "enhancer_blocks": 1}
    preset = tfgen.presets.get(pix2pix_hd.PRESET).override(settings)
    model, test = preset.model(**preset.model_args), tfgen.data.coloured_digits(digits(30, 28), num=20)
    if name == "digits":
        test = tfgen.data.coloured_digits(digits(30, 28), num=20, colours="class")
        results, rows = pix2pix_hd.digits(arguments(name), model, test)
        assert results["agreement_of_targets"] == 1.0
    else:
        model.clusters.centres.assign(np.random.default_rng(0).random(model.clusters.centres.shape))
        model.clusters.used.assign(np.full(11, 5))
        object.__setattr__(model, "_rendered", lambda x: {"image": np.asarray(x)[..., -3:]})
        results, rows = pix2pix_hd.features(arguments(name), model, test)
        assert results["inside"] == pytest.approx(1.0) and results["changed"] > 0.9 and results["recoloured"] > 10
    assert set(pix2pix_hd.GATES[name]) - {"frozen_equal", "train_seconds"} <= set(results)
    assert len({row.shape for row in rows}) == 1


def test_nearest_classes_by_hand():
    maps = np.arange(11).reshape(1, 1, 11)
    assert np.array_equal(pix2pix_hd.nearest_classes(tfgen.data.label_pictures(maps, 11) / 255 * 0.9), maps)


def test_validation_is_a_part_of_training():
    train, held = translation.divided(digits(50, 8))
    assert (len(train), len(held)) == (40, 10) and not set(train.ids) & set(held.ids)
    train, held = translation.divided(tfgen.data.unpaired(digits(50, 8), digits(10, 8)))
    assert (len(train.other_source), len(held.other_source)) == (8, 2)
    assert not set(train.other_source.ids) & set(held.other_source.ids)


def test_every_record_has_a_command():
    wanted = {f"{module}_{name}": [module, name] for module, gates in (
        ("pix2pix", pix2pix.GATES), ("cycle_gan", cycle_gan.GATES), ("pix2pix_hd", pix2pix_hd.GATES)) for name in gates}
    assert wanted.items() <= COMMANDS.items()


@pytest.mark.long
def test_the_frozen_phase_of_pix2pix_hd_is_checked(tmp_path, monkeypatch):
    """By a run through its three phases, and for a later evaluation by what that run found."""
    settings = {**pix2pix_hd.SETTINGS["digits"], "width": 4, "discriminator_width": 4, "blocks": 1, "enhancer_blocks": 1,
                "global_steps": 1, "frozen_steps": 1, "batch_size": 4}  # fmt: skip
    monkeypatch.setitem(pix2pix_hd.SETTINGS, "digits", settings)
    args = argparse.Namespace(name="digits", seed=0, steps=3, workdir=str(tmp_path))
    source = tfgen.data.coloured_digits(digits(30, 28), num=8, colours="class")
    for _ in range(2):
        model, training, seconds, equal = pix2pix_hd.trained(args, source, {"spec": "coloured:mnist", "split": "train"})
        assert equal is True and int(model.step.value.numpy()) == 3 and training["load"]["split"] == "train"
