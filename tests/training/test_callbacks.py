"""Histories, sample grids and the stop on NaN."""

import json
import re
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import fields
from tfgen.models import DCGAN, VAE, GatedPixelCNN, GlimpseClassifier, TrainableModel
from tfgen.models.capabilities import Encoder, Translator
from tfgen.training import History, SampleGrid, StopOnNonFinite, TrainingDiverged
from tfgen.training.callbacks import grid_of, read_history


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


def test_history_says_how_long_it_will_take(model, tmp_path):
    """After a hundred steps, from the second call of the graph on; in between a line in some seconds."""
    lines = []
    history = History(model, tmp_path, total_steps=100_130, report=lines.append)
    data = tf.data.Dataset.from_tensors({"image": images()}).repeat()
    model.compile(steps_per_execution=10)
    model.fit(data, steps_per_epoch=10, epochs=13, verbose=0, callbacks=[history])
    assert [line.split("  ")[0] for line in lines] == ["step 10/100130", lines[1]]
    assert re.fullmatch(r"the 100,030 steps to go will take about (\d+ s|\d+ min), until (\d+ \w+ )?\d\d:\d\d", lines[1])
    first, since = history.since
    assert first == 10
    history.since = first, since + time.perf_counter() - since - 240.0  # 120 steps in 240 s
    history.said = -float("inf")
    history.on_epoch_end(13, {"loss": 2.0})
    assert lines[-1] == "step 130/100130  loss 2  2 s/step, 2 d 8 h left"
    assert len(read_history(tmp_path / "history.jsonl")) == 14


def test_damaged_lines_of_a_history_are_left_out_alone(model, tmp_path, caplog):
    path = tmp_path / "history.jsonl"
    lines = [b'{"step": 2, "loss": 1.0}', b'{"step": 4, "lo', b"\0\0\xff", b"7", b'{"loss": 1.0}', b'{"step": 6, "loss": 3}']
    path.write_bytes(b"\n".join([*lines, b'{"step": 8,']))
    assert [line["step"] for line in read_history(path)] == [2, 6]
    for number in (2, 3, 4, 5):
        assert f"line {number} is damaged" in caplog.text
    assert "line 7 is incomplete, as an interrupted run leaves it" in caplog.text
    model.step.assign(8)
    History(model, tmp_path, total_steps=8)
    assert path.read_bytes() == lines[0] + b"\n" + lines[-1] + b"\n"


def test_a_history_is_replaced_whole(model, tmp_path, monkeypatch):
    """A full disk, or a kill, while lines are dropped loses no other line."""
    path = tmp_path / "history.jsonl"
    path.write_text('{"step": 4, "loss": 1.0}\n{"step": 8, "loss": 2.0}\n')
    before = path.read_text()
    model.step.assign(4)
    with monkeypatch.context() as patched, pytest.raises(OSError, match=f"{path} could .*No space"):
        patched.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        History(model, tmp_path, total_steps=8)
    assert path.read_text() == before
    inode = path.stat().st_ino
    model.step.assign(8)
    History(model, tmp_path, total_steps=8)
    assert path.stat().st_ino == inode, "a history that is all right is not written again"


def test_pictures_are_drawn_at_the_same_steps_after_an_interruption(model, tmp_path):
    def drawn(folder, *parts):
        for steps in parts:
            grid = SampleGrid(model, tmp_path / folder, every_steps=10, num=1)
            grid.set_params({"epochs": None})
            grid.on_train_begin()
            for _ in range(steps // 4):
                model.step.assign_add(4)
                grid.on_epoch_end(0)
        model.step.assign(0)
        return sorted(p.name for p in (tmp_path / folder).iterdir())

    assert drawn("whole", 48) == drawn("interrupted", 8, 12, 4, 24) == [
        f"step-{step:08d}.png" for step in (12, 20, 32, 40)
    ]  # fmt: skip


def test_a_picture_of_nan_is_not_drawn(model, tmp_path, caplog):
    kernel = model.decoder.layers[-2].kernel
    kernel.assign(tf.fill(kernel.shape, float("nan")))
    grid = SampleGrid(model, tmp_path / "samples", num=1)
    grid.set_params({"epochs": 1})
    grid.on_train_begin()
    grid.on_epoch_end(0)
    assert not (tmp_path / "samples").exists() and "No picture of step 0" in caplog.text


def test_sample_grid_writes_pictures_in_any_fit(model, tmp_path):
    data = tf.data.Dataset.from_tensors({"image": images()}).repeat()
    grid = SampleGrid(model, tmp_path, every_steps=4, num=4)
    model.fit(data, steps_per_epoch=2, epochs=3, verbose=0, callbacks=[grid])
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["step-00000004.png", "step-00000006.png"]


def test_a_grid_is_that_of_the_first_capability_that_has_one(model):
    batch = {"image": images(20)}
    grid = grid_of(model, 10, batch)
    assert grid.shape == (2, 4, 8, 8, 1)
    np.testing.assert_allclose(grid.reshape(-1, 8, 8, 1), model.sample(8), atol=1e-6)
    # Classes in turn; other conditions are those of the examples.
    gan = DCGAN(image_shape=(8, 8, 1), latent_dim=4, width=4, stages=1, num_classes=3)
    np.testing.assert_allclose(grid_of(gan, 4).reshape(-1, 8, 8, 1), gan.sample(4, labels=[0, 1, 2, 0]), atol=1e-6)
    pixels = GatedPixelCNN(image_shape=(4, 4, 1), levels=2, width=4, depth=1, first_kernel_size=3, embedding_dim=2)
    assert grid_of(pixels, 4) is None, "there is nothing to sample with"
    given = np.array([[1.0, -1.0], [3.0, 0.5], [-2.0, 0.0]], "float32")
    grid = grid_of(pixels, 4, pixels.as_batch({"image": images(3)[:, :4, :4], "embedding": given}))
    np.testing.assert_array_equal(grid[0], images(3)[:2, :4, :4])  # above the samples of their embeddings
    np.testing.assert_array_equal(grid[1], pixels.sample(2, embedding=given[:2]))


def test_the_grid_shows_the_averaged_weights(model):
    model.compile(ema_decay=0.9)
    for shadow in model.ema.shadows:
        shadow.assign(0.5 * tf.convert_to_tensor(shadow.value))
    raw = model.sample(4).numpy()
    with model.ema.swapped():
        averaged = model.sample(4).numpy()
    grid = grid_of(model, 4).reshape(-1, 8, 8, 1)
    np.testing.assert_allclose(grid, averaged, atol=1e-6)
    assert np.abs(grid - raw).max() > 1e-3


class Darkener(Encoder, TrainableModel):
    """No sampler: halves images."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.built = True

    def encode(self, images):
        return images

    def reconstruct(self, images):
        return 0.5 * images


class Painter(Translator, TrainableModel):
    """Inverts `image` and looks at `style`, which has another size."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.built = True

    def translated_fields(self):
        return fields.image(self.image_shape), fields.image((4, 4, 1), "style")

    def translate_rows(self, image, style):
        return {"image": 1.0 - image}


def test_a_model_that_is_no_sampler_is_shown_by_the_examples(tmp_path):
    batch = {"image": tf.constant(images(6))}
    grid = grid_of(Darkener(image_shape=(8, 8, 1)), 8, batch)
    assert grid.shape == (2, 4, 8, 8, 1)
    np.testing.assert_array_equal(grid[0], images(6)[:4])
    np.testing.assert_array_equal(grid[1], 0.5 * images(6)[:4])
    grid = grid_of(Darkener(image_shape=(8, 8, 1)), 32, {"image": tf.constant(images(16))})
    assert grid.shape == (4, 8, 8, 8, 1)
    np.testing.assert_array_equal(grid[3], 0.5 * images(16)[8:])

    batch |= {"style": tf.fill([6, 4, 4, 1], 0.5), "target": tf.zeros([6, 8, 8, 1])}
    grid = grid_of(Painter(image_shape=(8, 8, 1)), 12, batch)
    assert grid.shape == (4, 3, 8, 8, 1)  # the style is enlarged
    rows = images(6), np.full([6, 8, 8, 1], 0.5), 1.0 - images(6), np.zeros([6, 8, 8, 1])
    for row, wanted in zip(grid, rows, strict=True):
        np.testing.assert_allclose(row, wanted[:3], atol=1e-6)
    for model in (Darkener(image_shape=(8, 8, 1)), Painter(image_shape=(8, 8, 1))):
        assert grid_of(model, 8) is None


def test_nothing_is_drawn_of_a_classifier(tmp_path):
    model = GlimpseClassifier(image_shape=(8, 8, 1), num_classes=3, glimpses=1, hidden=4, read_size=2)
    model.compile()
    batch = {"image": images(), "label": np.arange(8) % 3}
    grid = SampleGrid(model, tmp_path / "samples", examples=batch)
    model.fit(tf.data.Dataset.from_tensors(batch), verbose=0, callbacks=[grid])
    assert not (tmp_path / "samples").exists()
