"""benchmarks.gpu: what it does for a GPU also works, with tiny networks, on a CPU."""

import json
import sys
import types

import keras
import numpy as np
import pytest

from benchmarks import gpu, turns


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function of words that runs the benchmark; -> its results."""

    def run(*words):
        out = tmp_path / "gpu.json"
        # The threads of TensorFlow cannot be set when it is in use.
        monkeypatch.setattr(turns.tf.config, "threading", types.SimpleNamespace(
            set_intra_op_parallelism_threads=lambda n: None, set_inter_op_parallelism_threads=lambda n: None,
        ))  # fmt: skip
        monkeypatch.setattr(turns, "THREADS", turns.THREADS)
        monkeypatch.setenv("PEER_DEVICE", "cpu")
        monkeypatch.setattr(sys, "argv", ["gpu", "--tiny", "--steps", "10", "--rounds", "1", "--out", str(out), *words])
        assert gpu.main() == 0
        return json.loads(out.read_text())["results"]

    return run


def test_steps_are_timed_in_both_types_without_and_with_xla(run, monkeypatch):
    made, fit = [], keras.Model.fit
    monkeypatch.setattr(keras.Model, "fit", lambda self, *a, **k: made.append(self) or fit(self, *a, **k))
    results = run("--models", "dcgan")
    assert {(model.compute_dtype, model.jit_compile) for model in made} == {
        ("float32", False), ("float32", True), ("bfloat16", False), ("bfloat16", True)
    }  # fmt: skip
    ways = {f"dcgan_{dtype}{xla}" for dtype in gpu.DTYPES for xla in ("", "_xla")}
    assert results["steps_per_second"].keys() == ways and results["dcgan_best"] in ways
    assert results["dcgan_bfloat16_gain"] > 0 and results["errors"] == {}
    assert results["dcgan_torch_best"] is None


@pytest.mark.long
@pytest.mark.parametrize("model", sorted(gpu.MODELS.keys() - {"dcgan"}))
def test_the_other_models_train(model):
    """Without XLA, which takes minutes to compile some of them for a CPU."""
    preset = gpu.preset_of(model, tiny=True)
    source = gpu.source_of(model, tuple(preset.model_args["image_shape"]))
    history = gpu.prepare(preset, source, 10, "bfloat16", xla=False)().history
    assert all(np.isfinite(values).all() and len(values) == 2 for values in history.values())


def test_the_peers_have_the_ways_that_are_asked_for():
    for model, (_, _, _, script, ways) in gpu.MODELS.items():
        text = (gpu.turns.__file__.rpartition("/")[0] + "/peers/") + script
        constants = {}
        lines = [line for line in open(text) if line.split(" ")[0] in ("WAYS", "TURN", "THREE", "GLIMPSES")]
        exec("".join(lines), constants)
        assert set(ways) <= set(constants["WAYS"]), model


def test_a_large_model_is_as_large_as_its_peer():
    assert gpu.preset_of("dcgan").model_args["width"] == 32 and gpu.preset_of("dcgan", tiny=True).model_args["width"] == 4
    assert gpu.preset_of("style_gan").batch_size == 64 and gpu.preset_of("draw").model_args["glimpses"] == 10


def test_unknown_models_are_refused(run, capsys):
    with pytest.raises(SystemExit):
        run("--models", "dcgan,vae")
    assert f"--models must be of {', '.join(gpu.MODELS)}; received dcgan,vae" in capsys.readouterr().err
