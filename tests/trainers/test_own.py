"""A preset and a model of the user's own, in a file, from training to the evaluator's anchor and the cache key."""

import json
import shutil
import sys

import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.test_presets import clean, write  # noqa: F401
from tfgen import presets
from tfgen.export import export_saved_model, read_metadata
from tfgen_trainers.code_hash import own_hash
from tfgen_trainers.train import TrainConfig, export_metadata, load_run, run_name, train


@pytest.fixture
def folder(tmp_path, clean):  # noqa: F811
    return tmp_path


def test_a_run_of_a_preset_in_a_file(folder, monkeypatch):
    path = write(folder, "of_a_run")
    source = tfgen.data.load("digits")
    monkeypatch.chdir(folder)
    config = TrainConfig("of_a_run.py", log_every=2)
    assert config.preset == str(path)
    result = train(config, source, "run", report=None)
    assert run_name(config, source).startswith("of_a_run-digits-")
    trained = json.loads((folder / "run/training.json").read_text())["trained_by"]
    assert "of_a_run" in trained[0]["modules"]["followed"]

    monkeypatch.chdir("/")
    model, record = load_run(folder / "run")
    assert type(model) is type(result.model) and type(model).__name__ == "Model_of_a_run"
    np.testing.assert_array_equal(model.sample(2), result.model.sample(2))
    version = export_saved_model(model, folder / "exported", warmup=False, metadata=export_metadata(record))
    metadata = read_metadata(version)
    assert (metadata["preset"], metadata["own_preset"]) == ("of_a_run/digits", str(path))
    assert "own_preset" not in export_metadata({**record, "config": {"preset": "vae/digits"}})

    evaluate = pytest.importorskip("tfgen_pipelines.components.generative_evaluator.evaluate", exc_type=ImportError)
    presets._classes.clear()  # as elsewhere
    evaluate.export_untrained(metadata, str(folder / "untrained"), 0, {"sample"})
    assert "sample" in tf.saved_model.load(str(folder / "untrained")).signatures
    assert evaluate.draws_reconstructions(metadata) is tfgen.models.VAE.draws_reconstructions

    path.rename(folder / "elsewhere.py")
    with pytest.raises(ValueError, match=r"config\.json has the preset '.*of_a_run\.py': There is no file .*of_a_run"):
        load_run(folder / "run")


def test_the_cache_key_follows_the_preset_the_model_and_their_helpers(folder):
    model, separate = write(folder, "keyed"), folder / "keyed_elsewhere.py"
    separate.write_text("import dataclasses\nimport keyed\nHERE = dataclasses.replace(keyed.MINE, name='here/digits')\n")
    keys, name = set(), f"{separate}:HERE"
    for edited in (model, folder / "keyed_helper.py", separate, None):
        for module in ("keyed", "keyed_helper", separate.stem):  # as elsewhere
            sys.modules.pop(module, None)
        presets._imported.clear()
        shutil.rmtree(folder / "__pycache__", ignore_errors=True)
        found = presets.get(name)
        keys.add(own_hash(found, presets.module_of(name)))
        if edited is not None:
            edited.write_text(edited.read_text() + "\nchanged = 1\n")
            with pytest.raises(ValueError, match=f"here/digits has changed .* in {edited.stem}, .*a new process"):
                own_hash(found, presets.module_of(name))
    assert len(keys) == 4
