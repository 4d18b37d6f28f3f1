"""The zoo: every entry is reloaded and has the metric that its record's run had."""

import json

import numpy as np
import pytest

import tfgen
from benchmarks import zoo

ENTRIES = sorted(path.parent.name for path in zoo.FOLDER.glob("*/metadata.json"))


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_has_its_metric(name):
    recorded, found, tolerance = zoo.check(zoo.FOLDER / name)
    assert abs(found - recorded) <= tolerance


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_is_small_and_of_its_record(name):
    folder = zoo.FOLDER / name
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 1_000_000
    metadata = json.loads((folder / "metadata.json").read_text())
    assert metadata["sha256"].keys() == {path.name for path in folder.iterdir()} - {"metadata.json"}
    record = json.loads((zoo.ROOT / metadata["record"]).read_text())
    kept = metadata["training"]["trained_by"]
    assert kept in [training["trained_by"] for training in record["trainings"].values()], "the record is of other runs"


@pytest.fixture(scope="module")
def model():
    model = tfgen.models.VAE(image_shape=(8, 8, 1), hidden=(8,), latent_dim=2, seed=0)
    model.compile(ema_decay=0.5)
    source = tfgen.data.load("digits")
    model.fit(source.batches(100, binarization="threshold"), steps_per_epoch=14, verbose=0)
    return model


def keep(model, tmp_path, monkeypatch, record="benchmarks/reproduce/mine.json", metric="negative_elbo_nats"):
    monkeypatch.setattr(zoo, "FOLDER", tmp_path)
    train, test = (tfgen.data.load("digits", split) for split in ("train", "test"))
    zoo.keep(zoo.ROOT / record, model, metric, training={}, train=train, test=test, binarization="threshold")
    return tmp_path / "mine"


def test_what_is_kept_is_found_again(model, tmp_path, monkeypatch):
    folder = keep(model, tmp_path, monkeypatch)
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.weights.h5", "examples.npz", "metadata.json"}
    metadata = json.loads((folder / "metadata.json").read_text())
    assert (metadata["weights"], metadata["dtype"]) == ("averaged", "float16")
    recorded, found, tolerance = zoo.check(folder)
    assert 0 < tolerance < 1 and abs(found - recorded) <= tolerance
    loaded = zoo.load(folder)
    kernel = loaded.trainable_variables[0].numpy()
    with model.ema.swapped():
        np.testing.assert_array_equal(kernel, model.trainable_variables[0].numpy().astype(np.float16))

    other = json.loads((folder / "config.json").read_text())
    other["config"]["seed"] = 1
    (folder / "config.json").write_text(json.dumps(other))
    with pytest.raises(ValueError, match=r"config.json has the sha256"):
        zoo.check(folder)


def test_what_float16_would_change_is_kept_in_float32(model, tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "_halve", lambda path, halve=zoo._halve: (halve(path), _spoil(path)))
    metadata = json.loads((keep(model, tmp_path, monkeypatch) / "metadata.json").read_text())
    assert metadata["dtype"] == "float32" and metadata["metric"]["value_in_float16"] != metadata["metric"]["value"]
    recorded, found, _ = zoo.check(tmp_path / "mine")
    assert found == pytest.approx(recorded, rel=1e-4)


def _spoil(path):
    import h5py

    with h5py.File(path, "r+") as file:
        file.visititems(lambda name, item: item.write_direct(np.zeros_like(item[()])) if getattr(item, "size", 0) else None)


def test_what_is_too_large_or_of_a_trial_is_not_kept(model, tmp_path, monkeypatch, capsys):
    assert not keep(model, tmp_path, monkeypatch, record="runs/mine.json").exists()
    monkeypatch.setattr(zoo, "LIMIT", 100)
    assert not keep(model, tmp_path, monkeypatch).exists()
    assert "Not kept in the zoo: mine has" in capsys.readouterr().out
