"""The zoo: every entry is reloaded and has the metric that its record's run had."""

import json
import os
import re

import numpy as np
import pytest

import tfgen
from benchmarks import zoo
from benchmarks.reproduce.claims.gaussians import toy_model
from benchmarks.reproduce.status import records

ENTRIES = sorted(path.parent.name for path in zoo.FOLDER.glob("*/metadata.json"))


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_has_its_metric(name):
    network = json.loads((zoo.FOLDER / name / "config.json").read_text())["config"].get("feature_network") or {}
    path = network.get("arguments", {}).get("path") if isinstance(network, dict) else None
    if path and not os.path.exists(path):
        pytest.skip(f"needs the feature network {path}")
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


def test_every_record_of_trainings_has_an_entry_or_says_why_not():
    without = {name for name, record in records().items() if record.get("trainings")} - {*ENTRIES}
    # Variants of pix2pix_quadrants and of sngan_digits, which have the models.
    for name in without - {"pix2pix_patches", "claim_few_images"}:
        assert "bytes" in records()[name]["zoo"]["why"], name


@pytest.fixture(scope="module")
def model():
    model = tfgen.models.VAE(image_shape=(8, 8, 1), hidden=(8,), latent_dim=2, seed=0)
    model.compile(ema_decay=0.5)
    source = tfgen.data.load("digits")
    model.fit(source.batches(100, binarization="threshold"), steps_per_epoch=14, verbose=0)
    return model


def keep(model, tmp_path, monkeypatch, folder="benchmarks/reproduce"):
    """(the entry, the record after)"""
    monkeypatch.setattr(zoo, "ROOT", tmp_path)
    monkeypatch.setattr(zoo, "FOLDER", tmp_path / "zoo")
    record = tmp_path / folder / "mine.json"
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text('{"seed": 1}')
    train, test = (tfgen.data.load("digits", split) for split in ("train", "test"))
    zoo.keep(record, model, "negative_elbo_nats", training={}, train=train, test=test, binarization="threshold")
    return tmp_path / "zoo/mine", json.loads(record.read_text())


def test_what_is_kept_is_found_again(model, tmp_path, monkeypatch):
    folder, record = keep(model, tmp_path, monkeypatch)
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.weights.h5", "examples.npz", "metadata.json"}
    metadata = json.loads((folder / "metadata.json").read_text())
    assert (metadata["weights"], metadata["dtype"]) == ("averaged", "float16")
    recorded, found, tolerance = zoo.check(folder)
    assert 0 < tolerance < 1 and abs(found - recorded) <= tolerance
    size = sum(path.stat().st_size for path in folder.iterdir() if path.name != "metadata.json")
    assert record == {"seed": 1, "zoo": {"kept": True, "bytes": size, "dtype": "float16", "negative_elbo_nats": recorded}}
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
    monkeypatch.setattr(zoo.pretrained, "halve", lambda path, halve=zoo.pretrained.halve: (halve(path), _spoil(path)))
    folder, _ = keep(model, tmp_path, monkeypatch)
    metadata = json.loads((folder / "metadata.json").read_text())
    assert metadata["dtype"] == "float32" and metadata["metric"]["value_in_float16"] != metadata["metric"]["value"]
    recorded, found, _ = zoo.check(folder)
    assert found == pytest.approx(recorded, rel=1e-4)


def _spoil(path):
    import h5py

    with h5py.File(path, "r+") as file:
        file.visititems(lambda name, item: item.write_direct(np.zeros_like(item[()])) if getattr(item, "size", 0) else None)


@pytest.mark.parametrize(
    ("limit", "why"),
    ((100, r"the weights have [\d,]+ bytes in float16, more than 100"), (10_000, r"the files have [\d,]+ bytes .*")),
)
def test_a_record_says_that_its_model_is_too_large(model, tmp_path, monkeypatch, limit, why):
    monkeypatch.setattr(zoo, "LIMIT", limit)
    folder, record = keep(model, tmp_path, monkeypatch)
    assert not folder.exists() and record["zoo"]["kept"] is False and re.fullmatch(why, record["zoo"]["why"])


def test_nothing_is_kept_of_a_trial(model, tmp_path, monkeypatch):
    folder, record = keep(model, tmp_path, monkeypatch, folder="runs")
    assert not folder.exists() and record == {"seed": 1}


def test_a_metric_that_needs_no_images(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "ROOT", tmp_path)
    monkeypatch.setattr(zoo, "FOLDER", tmp_path / "zoo")
    (tmp_path / "benchmarks/reproduce").mkdir(parents=True)
    record = tmp_path / "benchmarks/reproduce/mine.json"
    record.write_text("{}")
    zoo.keep(record, toy_model("wgan-gp", steps=100), "within_3_std", training={}, mixture="25")
    assert not (tmp_path / "zoo/mine/examples.npz").exists()
    recorded, found, tolerance = zoo.check(tmp_path / "zoo/mine")
    assert 0 < recorded < 1 and abs(found - recorded) <= tolerance


def test_a_model_that_needs_files_of_others_is_not_kept(tmp_path, monkeypatch):
    gan = tfgen.models.DCGAN(image_shape=(8, 8, 1), latent_dim=3, width=4, stages=1)
    gan.save(tmp_path / "gan.keras")
    model = tfgen.models.IGAN(image_shape=(8, 8, 1), generator=str(tmp_path / "gan.keras"), width=4)
    monkeypatch.setattr(zoo, "ROOT", tmp_path)
    monkeypatch.setattr(zoo, "FOLDER", tmp_path / "zoo")
    record = tmp_path / "benchmarks/reproduce/mine.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    zoo.keep(record, model, "mse", training={})
    size = (tmp_path / "gan.keras").stat().st_size
    why = f"it needs files of other networks beside its weights: {tmp_path / 'gan.keras'} ({size:,} bytes)"
    assert json.loads(record.read_text())["zoo"] == {"kept": False, "why": why} and not (tmp_path / "zoo").exists()
