"""Callbacks of the user's own in a training."""

import keras
import pytest

import tfgen
from tests.test_presets import clean  # noqa: F401
from tfgen_trainers import callbacks
from tfgen_trainers.train import TrainConfig, load_run, train

TEXT = """
import keras

NUMBER = 3
seen = []


class Stop(keras.callbacks.Callback):
    def __init__(self, workdir, model):
        super().__init__()
        seen.append((workdir, model))

    def on_epoch_end(self, epoch, logs=None):
        seen.append(sorted(logs))
        if len(seen) == 3:
            self.model.stop_training = True


def two():
    return [keras.callbacks.Callback(), keras.callbacks.Callback()]


def nothing():
    return None
"""


@pytest.fixture
def file(tmp_path, clean):  # noqa: F811
    path = tmp_path / "own_callbacks.py"
    path.write_text(TEXT)
    return path


def test_what_makes_callbacks_and_what_does_not(file):
    assert len(callbacks.made([f"{file}:two", f"{file}:Stop", f"{file}:two"], workdir="w", model=None, config=None)) == 5
    assert all(isinstance(one, keras.callbacks.Callback) for one in callbacks.made(["own_callbacks:two"]))
    for name, message in (
        ("two", "must be package.module:NAME or file.py:NAME; received 'two'"),
        (str(file), "must be package.module:NAME or file.py:NAME; received"),
        (f"{file}:tow", "must be a function or a class; .* has no tow. Did you mean 'two'"),
        (f"{file}:NUMBER", "must be a function or a class; .* has 3"),
        (f"{file}:nothing", "must make a keras.callbacks.Callback or a list of them; it made None"),
        ("no.where:make", "The callback no.where:make: Python finds no module 'no'"),
    ):
        with pytest.raises(ValueError, match=message):
            callbacks.made([name])


def test_a_callback_sees_a_training_and_may_stop_it(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"hidden": (4,), "latent_dim": 2, "batch_size": 20}
    config = TrainConfig("vae/digits", settings, 8, log_every=2, checkpoint_every=100, callbacks=("own_callbacks.py:Stop",))
    lines = []
    result = train(config, tfgen.data.load("digits"), tmp_path / "run", report=lines.append)
    import own_callbacks

    assert own_callbacks.seen[0][0] == tmp_path / "run" and own_callbacks.seen[0][1] is result.model
    assert "loss" in own_callbacks.seen[1] and result.step == 4 and "stopped at step 4 of 8 by a callback" in lines
    monkeypatch.chdir("/")
    model, record = load_run(tmp_path / "run")
    assert int(model.step) == 4 and record["config"]["callbacks"] == [f"{file}:Stop"]
