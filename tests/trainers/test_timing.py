"""The time of a preset's steps."""

import dataclasses
import json
import time

import pytest

import tfgen
from tfgen_trainers import timing
from tfgen_trainers.timing import Timing


def test_steps_are_timed_on_values_that_the_model_takes():
    """Of a GAN whose critic has five steps to one of the generator, of a model of binary images, of one of classes."""
    small = {"hidden": 8}
    models = {"wgan/digits": {}, "vae/digits": {"hidden": (8,), "binarization": None}, "glimpse-classifier/digits": small}
    for name, small in models.items():
        preset = tfgen.presets.get(name).override({**small, "batch_size": 4})
        found = timing.time_steps(preset, budget=0.01)
        assert 0 < found.seconds_per_step < 1 and 0 < found.cpu_seconds_per_step < 1 and found.date > "2026"


def test_the_time_is_that_of_the_steps(monkeypatch):
    """A step that sleeps."""
    preset = tfgen.presets.get("vae/digits").override({"hidden": (8,), "batch_size": 4})
    build, calls = type(preset).build, []

    def slow(self, **extra):
        model = build(self, **extra)

        def function(batches):
            calls.append(model.steps_per_execution)
            time.sleep(0.02 * model.steps_per_execution + (1.0 if len(calls) == 1 else 0.0))  # the first one traces

        model.make_train_function = lambda: function
        return model

    monkeypatch.setattr(type(preset), "build", slow)
    found = timing.time_steps(preset, budget=0.3)
    assert found.seconds_per_step == pytest.approx(0.02, rel=0.3) and found.cpu_seconds_per_step < 0.01


def test_timings_are_kept_by_preset_and_machine(monkeypatch, tmp_path):
    monkeypatch.setenv("TFGEN_CACHE", str(tmp_path))
    vae, other = tfgen.presets.get("vae/digits"), tfgen.presets.get("vae/mnist")
    assert timing.cached(vae) is None
    known = Timing(0.5, 0.9, True, "2026-11-29")
    timing.write_whole(timing._path(vae), json.dumps(dataclasses.asdict(known)).encode())
    assert timing.cached(vae) == known and timing.cached(other) is None
    assert timing.cached(dataclasses.replace(vae, batch_size=7)) is None
    monkeypatch.setattr(timing.onednn, "processor", lambda: "another")
    assert timing.cached(vae) is None


@pytest.mark.long
def test_presets_are_timed_in_a_process_of_their_own(monkeypatch, tmp_path):
    monkeypatch.setenv("TFGEN_CACHE", str(tmp_path))
    monkeypatch.delenv(timing.onednn.VARIABLE, raising=False)
    preset = tfgen.presets.get("vae/digits")
    found = timing.measure(preset)
    assert 0 < found.seconds_per_step < 1 and timing.cached(preset) == found
    assert isinstance(found.onednn, bool)  # TensorFlow's default for this CPU: the preset is dense
    with pytest.raises(RuntimeError, match="There is no preset 'vae/nothing'"):
        timing.measure(dataclasses.replace(preset, name="vae/nothing"))
