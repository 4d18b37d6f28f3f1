"""Averaged weights, histories and the stop on NaN, on their own."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.models import DCGAN, VAE
from tfgen.training import EMA, History, SampleGrid, StopOnNonFinite, TrainingDiverged
from tfgen.training.callbacks import read_history


def test_ema_is_the_recursion_with_its_warm_up():
    variable = keras.Variable(np.array([1.0, -2.0], "float32"))
    ema, expected = EMA([variable], decay=0.9), np.array([1.0, -2.0])
    for step in range(200):
        value = np.array([np.sin(step), step / 100], "float32")
        variable.assign(value)
        ema.update(tf.constant(step, tf.int64))
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    np.testing.assert_allclose(ema.shadows[0], expected, rtol=1e-5)


def test_ema_of_a_constant_stays_and_swapping_is_undone():
    model = DCGAN(image_shape=(8, 8, 1), width=4, stages=1, latent_dim=2)
    model.compile(ema_decay=0.99)
    names = [v.path for v in model.ema.variables]
    assert any("moving_variance" in name for name in names), "batch norm's moving statistics are averaged too"
    assert all("discriminator" not in name for name in names)
    live = [v.numpy() for v in model.ema.variables]
    model.ema.update(tf.constant(5))
    for shadow, value in zip(model.ema.shadows, live, strict=True):
        np.testing.assert_allclose(shadow, value, rtol=1e-6)
    for shadow in model.ema.shadows:
        shadow.assign(tf.zeros_like(shadow.value))
    with pytest.raises(KeyError), model.ema.swapped():
        assert all(not np.any(v.numpy()) for v in model.ema.variables)
        with pytest.raises(RuntimeError, match="nested"), model.ema.swapped():
            pass
        raise KeyError
    for variable, value in zip(model.ema.variables, live, strict=True):
        np.testing.assert_array_equal(variable, value)


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
