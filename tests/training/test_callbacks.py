"""Histories, sample grids and the stop on NaN."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.models import VAE
from tfgen.training import History, SampleGrid, StopOnNonFinite, TrainingDiverged
from tfgen.training.callbacks import read_history


@pytest.fixture
def model():
    model = VAE(image_shape=(8, 8, 1), latent_dim=2, hidden=(8,))
    model.compile()
    return model


def images(n=8):
    return np.random.default_rng(0).integers(0, 2, (n, 8, 8, 1)).astype("float32")


def test_stop_on_nan_in_a_plain_fit_names_the_step_inside_a_call(model):
    model.compile(steps_per_execution=5)
    kernel = model.decoder.layers[-2].kernel

    class Poison(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 5:
                kernel.assign(tf.fill(kernel.shape, float("inf")))

    data = tf.data.Dataset.from_tensors({"image": images()}).repeat(20)
    with pytest.raises(TrainingDiverged, match="not finite at step 5 .*Last good checkpoint: none"):
        model.fit(data, verbose=0, callbacks=[Poison(), StopOnNonFinite()])


def test_history_drops_what_a_killed_run_wrote_beyond_its_checkpoint(model, tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text('{"step": 4, "loss": 1.0}\n{"step": 8, "loss": 2.0}\n{"step": 12, "lo')
    model.step.assign(4)
    lines = []
    history = History(model, tmp_path, total_steps=8, report=lines.append)
    data = tf.data.Dataset.from_tensors({"image": images()}).repeat()
    model.fit(data, steps_per_epoch=4, epochs=1, verbose=0, callbacks=[history])
    assert [line["step"] for line in read_history(path)] == [4, 8]
    assert json.loads(path.read_text().splitlines()[1])["loss"] != 2.0
    assert len(lines) == 1 and lines[0].startswith("step 8/8")


def test_sample_grid_writes_pictures_in_any_fit(model, tmp_path):
    data = tf.data.Dataset.from_tensors({"image": images()}).repeat()
    grid = SampleGrid(model, tmp_path, every_steps=4, num=4)
    model.fit(data, steps_per_epoch=2, epochs=3, verbose=0, callbacks=[grid])
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["step-00000004.png", "step-00000006.png"]
