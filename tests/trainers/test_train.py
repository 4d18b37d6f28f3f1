"""The training job: resumable to the bit, loud about wrong input, and never silently wrong."""

import json
import os
import signal
import subprocess
import sys
import time
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen.models import TrainableModel
from tfgen.models.capabilities import Encoder
from tfgen.models.preset import Preset
from tfgen.training import TrainingDiverged
from tfgen_trainers.train import (
    TrainConfig,
    check_fields_fit,
    check_images_fit,
    load_run,
    only_training_in,
    run_name,
    train,
)  # fmt: skip

TINY = {
    "vae/digits": {"hidden": (8,), "latent_dim": 2, "batch_size": 50, "binarization": "dynamic", "ema_decay": 0.9},
    "dcgan/digits": {
        "width": 4, "dense_width": 8, "latent_dim": 4, "batch_size": 32, "augmentation": {"shift": 1, "colour": 0.1}
    },
}


@pytest.fixture(scope="module")
def source():
    return tfgen.data.load("digits")


def config(preset="vae/digits", **settings):
    overrides = {**TINY[preset], **settings.pop("overrides", {})}
    defaults = {"steps": 40, "log_every": 10, "checkpoint_every": 20, "sample_every": 20}
    return TrainConfig(preset=preset, overrides=overrides, **{**defaults, **settings})


def checkpoint(workdir):
    reader = tf.train.load_checkpoint(str(workdir / "checkpoints"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in name}


def test_run_folder_and_result(source, tmp_path):
    lines = []
    result = train(config(steps=45), source, tmp_path / "run", report=lines.append)
    assert result.step == 45
    assert [line["step"] for line in result.history] == [10, 20, 30, 40, 45]
    assert all(np.isfinite(list(line.values())).all() for line in result.history)
    names = {p.name for p in (tmp_path / "run").iterdir()}
    assert names == {".lock", "config.json", "training.json", "checkpoints", "history.jsonl", "tensorboard", "samples"}
    assert [p.name for p in sorted((tmp_path / "run" / "samples").iterdir())] == [
        "step-00000020.png", "step-00000040.png", "step-00000045.png"
    ]  # fmt: skip
    assert any("steps/s" in line for line in lines)
    record = json.loads((tmp_path / "run/config.json").read_text())
    assert record["run"]["preset"]["model_args"]["latent_dim"] == 2
    assert record["run"]["data"]["fingerprint"] == source.fingerprint
    events = [
        value.tag for file in (tmp_path / "run/tensorboard").iterdir()
        for event in tf.compat.v1.train.summary_iterator(str(file)) for value in event.summary.value
    ]  # fmt: skip
    assert {"loss", "kl", "reconstruction", "samples"} <= set(events)

    model, _ = load_run(tmp_path / "run")
    np.testing.assert_array_equal(model.sample(3), result.model.sample(3))
    again = train(config(steps=45), source, tmp_path / "run", report=None)
    assert again.step == 45 and len(again.history) == 5, "a finished run is not trained again"
    more = train(config(steps=60), source, tmp_path / "run", report=None)
    assert more.step == 60, "but can be trained further"


@pytest.mark.long
def test_dequantised_and_conditional_presets_train(source, tmp_path):
    train(config("dcgan/digits", overrides={"num_classes": 10}, steps=2, log_every=2), source, tmp_path / "a", report=None)
    grey = {"likelihood": "gaussian", "binarization": None, "dequantize": True, "levels": 17}
    train(config(overrides=grey, steps=2, log_every=2), source, tmp_path / "b", report=None)
    for kind, dtype in ((True, "bfloat16"), ("bfloat16", "bfloat16"), ("float16", "float16")):
        found = train(config(steps=2, log_every=2, mixed_precision=kind), source, tmp_path / f"c-{kind}", report=None)
        assert found.model.compute_dtype == dtype
        scaled = [isinstance(o, keras.optimizers.LossScaleOptimizer) for o in found.model.player_optimizers.values()]
        assert all(one == (dtype == "float16") for one in scaled)


@pytest.mark.parametrize("preset", ["vae/digits", pytest.param("dcgan/digits", marks=pytest.mark.long)])
def test_a_run_that_stopped_within_an_accumulation_goes_on_with_it(preset, source, tmp_path, monkeypatch):
    first = tf.config.list_logical_devices("CPU")[:1]  # other tests of this process may have asked for two
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: first if kind == "CPU" else [])
    settings = {"overrides": {"accumulate": 3}, "log_every": 2, "checkpoint_every": 2}
    whole = train(config(preset, steps=8, **settings), source, tmp_path / "whole", report=None)
    train(config(preset, steps=4, **settings), source, tmp_path / "parts", report=None)
    parts = train(config(preset, steps=8, **settings), source, tmp_path / "parts", report=None)
    a, b = checkpoint(tmp_path / "whole"), checkpoint(tmp_path / "parts")
    assert any("accumulator" in name for name in a) and a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    updates = [int(o.iterations) for o in parts.model.player_optimizers.values()]
    assert updates == [int(o.iterations) for o in whole.model.player_optimizers.values()] and set(updates) == {2}


class Shift(Encoder, TrainableModel):
    """No sampler: reconstructs images a little brighter, at first by their mean."""

    initialized_by_data = True
    seen = []

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.shift = self.add_weight(name="shift", shape=[], initializer="zeros")
        self.built = True

    def initialize(self, batch):
        self.seen.append(len(batch["image"]))
        self.shift.assign(tf.reduce_mean(batch["image"]))

    def encode(self, images):
        return images

    def reconstruct(self, images):
        return tf.clip_by_value(images + self.shift, 0.0, 1.0)

    def update(self, batch):
        return self.step_players({"model": "loss"}, lambda: {"loss": self.shift**2})


def test_a_model_that_is_no_sampler_and_starts_from_data(source, tmp_path, monkeypatch):
    preset = Preset("shift/digits", Shift, {"image_shape": (8, 8, 1)}, data="digits", source="this test", batch_size=40,
                    compile_args={"optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.0}}})  # fmt: skip
    monkeypatch.setattr(tfgen.presets, "get", lambda name: preset)
    for steps in (2, 4):
        result = train(TrainConfig("shift/digits", steps=steps, log_every=2), source, tmp_path, report=None)
    assert Shift.seen == [500], "once, before the first step"
    shift = float(result.model.shift.numpy())
    assert 0.2 < shift < 0.5
    picture = tf.io.decode_png((tmp_path / "samples/step-00000004.png").read_bytes()).numpy()[..., 0] / 255
    first = next(iter(source.batches(40, shuffle=True, seed=0)))["image"].numpy()[..., 0]
    above = [[picture[1 + 9 * r : 9 + 9 * r, 1 + 9 * c : 9 + 9 * c] for c in range(8)] for r in range(2)]
    np.testing.assert_allclose(above[0], first[:8], atol=1 / 255)
    np.testing.assert_allclose(above[1], np.minimum(first[:8] + shift, 1.0), atol=2 / 255)


def arguments(preset, workdir):
    command = [sys.executable, "-m", "tfgen_commands.main", "train", "--preset", preset, "--workdir", str(workdir)]
    command += ["--steps", "300", "--log_every", "20", "--checkpoint_every", "60", "--sample_every", "1000"]
    for name, value in TINY[preset].items():
        command += ["--set", f"{name}={value}"]
    return command


@pytest.mark.long
@pytest.mark.parametrize("preset", ["vae/digits", "dcgan/digits"])
def test_killed_run_ends_with_the_bits_of_one_that_was_not(preset, tmp_path):
    """kill -9 in mid-epoch; weights, averages, optimisers and step are then compared."""
    env = {**os.environ, "PYTHONPATH": os.getcwd()}
    whole = subprocess.Popen(arguments(preset, tmp_path / "whole"), env=env, stdout=subprocess.PIPE, text=True)
    killed = subprocess.Popen(arguments(preset, tmp_path / "killed"), env=env, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 240
    while not (tmp_path / "killed/checkpoints/checkpoint").exists():  # written last, it names the checkpoint to resume from
        assert time.monotonic() < deadline and killed.poll() is None
        time.sleep(0.005)
    time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert whole.wait(timeout=240) == 0
    resumed = subprocess.run(arguments(preset, tmp_path / "killed"), env=env, stdout=subprocess.PIPE, text=True, check=True)
    assert "resumed at step" in resumed.stdout
    a, b = checkpoint(tmp_path / "whole"), checkpoint(tmp_path / "killed")
    assert a.keys() == b.keys() and len(a) > 10
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    histories = [(tmp_path / run / "history.jsonl").read_text().splitlines() for run in ("whole", "killed")]
    assert [json.loads(line)["step"] for line in histories[0]] == [json.loads(line)["step"] for line in histories[1]]


def test_nan_stops_with_the_step_and_the_last_good_checkpoint(source, tmp_path):
    train(config(steps=20), source, tmp_path, report=None)
    good = checkpoint(tmp_path)
    model_step = {}

    def poison(line):
        model_step["line"] = line

    # An infinite learning rate ruins the weights in the first step; the loss of the next one tells.
    bad = config(steps=60, overrides={"learning_rate": 1e38})
    other = tmp_path / "other"
    with pytest.raises(TrainingDiverged, match=r"not finite at step 1 .*Last good checkpoint: none"):
        train(bad, source, other, report=poison)
    assert not list(other.glob("checkpoints/ckpt-*"))
    for name, value in checkpoint(tmp_path).items():
        np.testing.assert_array_equal(value, good[name])


def test_weights_that_are_not_finite_are_never_saved(source, tmp_path):
    result = train(config(steps=20), source, tmp_path, report=None)
    checkpoints = tfgen.training.Checkpoints(result.model, tmp_path / "checkpoints")
    before = checkpoints.latest
    weight = result.model.trainable_variables[0]
    weight.assign(tf.fill(weight.shape, float("nan")))
    with pytest.raises(FloatingPointError, match="ckpt-20"):
        checkpoints.save()
    assert checkpoints.latest == before


@pytest.mark.parametrize("rate", [1e38, 1e30])
@pytest.mark.long
def test_divergence_with_a_checkpoint_after_every_step(source, tmp_path, rate):
    """The weights of the first step are already of no use, so there is nothing to save."""
    bad = config("dcgan/digits", steps=6, log_every=1, checkpoint_every=1, overrides={"learning_rate": rate})
    with pytest.raises(TrainingDiverged, match=r"of the player '(generator|discriminator)'.*Last good checkpoint: none"):
        train(bad, source, tmp_path, report=None)
    assert not list(tmp_path.glob("checkpoints/ckpt-*"))


def test_late_divergence_names_the_last_good_checkpoint(source, tmp_path, monkeypatch):
    """At step 30 weights grow beyond all bounds, but stay finite: that checkpoint, whose samples are NaN, is not saved."""
    save = tfgen.training.Checkpoints.save

    def grown(self):
        if int(self.source.step.value.numpy()) == 30:
            for variable in [*self.source.ema.shadows, *self.source.trainable_variables]:
                variable.assign(tf.random.normal(variable.shape) * 1e37)
        return save(self)

    monkeypatch.setattr(tfgen.training.Checkpoints, "save", grown)
    bad = config(steps=40, log_every=10, checkpoint_every=10, sample_every=1000)
    with pytest.raises(TrainingDiverged, match=rf"Not saved at step 30: .*Last good checkpoint: {tmp_path}.*ckpt-20\."):
        train(bad, source, tmp_path, report=None)
    model, _ = load_run(tmp_path)
    assert int(model.step.value.numpy()) == 20 and np.isfinite(model.sample(4)).all()


def test_nan_in_data_is_named_with_the_step(tmp_path):
    class Poisoned(tfgen.data.Source):
        def batches(self, *args, start_step=0, **kwargs):
            clean = super().batches(*args, start_step=start_step, **kwargs)
            bad = lambda i, batch: {k: tf.where(i == 12, float("nan"), v) if k == "image" else v for k, v in batch.items()}  # noqa: E731, E501  # fmt: skip
            return clean.enumerate(start_step).map(bad)

    poisoned = tfgen.data.load("digits")
    poisoned.__class__ = Poisoned
    with pytest.raises(ValueError, match=r"batch of step 12 was refused: .*Images must lie in .*Last good .*ckpt-10"):
        train(config(steps=40, log_every=10, checkpoint_every=10), poisoned, tmp_path, report=None)


def test_two_trainings_in_one_workdir(source, tmp_path):
    with only_training_in(tmp_path), pytest.raises(OSError, match=f"Another training is at work in {tmp_path}"):
        train(config(), source, tmp_path, report=None)
    assert [p.name for p in tmp_path.iterdir()] == [".lock"]
    for name in (".config.json.77.tmp", ".history.jsonl.77.tmp", "samples/.step-00000020.png.77.tmp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with only_training_in(tmp_path):
        assert sorted(p.name for p in tmp_path.rglob("*")) == [".lock", "samples"], "what killed runs left is gone"


@pytest.mark.long
def test_a_sample_grid_that_was_lost_is_drawn_after_the_interruption(source, tmp_path, monkeypatch):
    """Stopped while the picture of a step is written at which a checkpoint is due."""
    settings = {"steps": 60, "log_every": 10, "checkpoint_every": 20, "sample_every": 20}
    train(config(**settings), source, tmp_path / "whole", report=None)
    save_png = tfgen.sampling.save_png

    def stopped(path, *args):
        if "40" in path.name:
            raise KeyboardInterrupt
        return save_png(path, *args)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(tfgen.sampling, "save_png", stopped)
        train(config(**settings), source, tmp_path / "stopped", report=None)
    train(config(**settings), source, tmp_path / "stopped", report=None)
    pictures = [{p.name: p.read_bytes() for p in (tmp_path / run / "samples").iterdir()} for run in ("whole", "stopped")]
    assert pictures[0] == pictures[1] and len(pictures[0]) == 3


def test_folder_that_cannot_be_written(source, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot be written"):
        train(config(), source, tmp_path / "file" / "run", report=None)
    with pytest.raises(OSError, match="cannot be written"):
        train(config(), source, "/proc/tfgen-run", report=None)


def test_another_run_in_the_folder_is_an_error(source, tmp_path):
    train(config(steps=10), source, tmp_path, report=None)
    for other in (config(overrides={"latent_dim": 3}), config(seed=1)):
        with pytest.raises(ValueError, match="holds another run; it differs in"):
            train(other, source, tmp_path, report=None)
    with pytest.raises(ValueError, match="data.fingerprint"):
        train(config(), source.take(200), tmp_path, report=None)
    assert run_name(config(), source) == run_name(config(steps=99), source) != run_name(config(seed=1), source)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"preset": "vae/digit"}, "Did you mean 'vae/digits'"),
        ({"overrides": {"latent_dims": 3}}, "no setting 'latent_dims'. Did you mean 'latent_dim'"),
        ({"overrides": {"image_shape": (28, 28, 1)}}, r"is for images \(28, 28, 1\)"),
        ({"overrides": {"batch_size": 5000}}, "exceeds the 1400 images"),
        ({"overrides": {"augmentation": {"mirror": True}}}, "no setting 'mirror'; it has flip, shift, crop, colour"),
        ({"overrides": {"augmentation": {"crop": 6}}}, r"has \(6, 6, 1\) after the crop"),
        ({"steps": 0}, "steps must be an integer >= 1"),
        ({"preset": "dcgan/digits", "overrides": {"num_classes": 7}}, "num_classes=7"),
    ],
)
def test_bad_requests(source, tmp_path, bad, message):
    with pytest.raises(ValueError, match=message):
        train(TrainConfig(**{"preset": "vae/digits", **bad}), source, tmp_path / "run", report=None)
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_augmentation_changes_the_batches_and_is_part_of_the_run(source, tmp_path):
    plain, moved = config(steps=2, log_every=2), config(steps=2, log_every=2, overrides={"augmentation": {"shift": 2}})
    losses = [train(c, source, tmp_path / str(i), report=None).history[-1]["loss"] for i, c in enumerate((plain, moved))]
    assert losses[0] != losses[1] and run_name(plain, source) != run_name(moved, source)
    assert json.loads((tmp_path / "1/config.json").read_text())["run"]["preset"]["augmentation"] == {"shift": 2}
    with pytest.raises(ValueError, match="preset.augmentation"):
        train(plain, source, tmp_path / "1", report=None)
    crops = config(steps=2, log_every=2, overrides={"augmentation": {"crop": 6}, "image_shape": (6, 6, 1)})
    assert train(crops, source, tmp_path / "crops", report=None).step == 2


def test_fields_of_the_model_are_asked_for():
    class Model:
        config_parameters, fields_of = dict, lambda config: (tfgen.fields.image((8, 8, 1)), tfgen.fields.vector("view", 3))

    preset = types.SimpleNamespace(name="a/b", model=Model, model_args={}, augmentation=None)
    images = np.zeros((2, 8, 8, 1), np.uint8)
    check_fields_fit(preset, tfgen.data.from_arrays(images, fields={"view": np.zeros((2, 3))}))
    with pytest.raises(ValueError, match=r"Preset 'a/b' needs the field 'view', float32 \[batch, 3\]; arrays has .*'image'"):
        check_fields_fit(preset, tfgen.data.from_arrays(images))


def test_every_preset_takes_the_images_it_is_made_for():
    for preset in tfgen.presets.all_presets().values():
        args = preset.model_args
        images = types.SimpleNamespace(
            image_shape=args["image_shape"], num_classes=args.get("num_classes"),
            num_examples=max(size for _, size in tfgen.data.check_batch_size(preset.batch_size)),
            groups=args.get("factors", ("azimuth", "elevation", "light")), name=preset.data,
        )  # fmt: skip
        check_images_fit(preset, images)


def test_colour_images_for_a_grey_preset(tmp_path):
    colour = tfgen.data.from_arrays(np.zeros((200, 8, 8, 3), "uint8"))
    with pytest.raises(ValueError, match=r"\(8, 8, 1\).*has \(8, 8, 3\)"):
        train(config(), colour, tmp_path, report=None)
