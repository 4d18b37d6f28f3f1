"""Checkpoints: what they hold, and what cannot be written or read."""

import os
import subprocess
import sys

import numpy as np
import pytest

import tfgen
from tfgen.models import VAE

FULL_DISK = """
import resource, sys
import tfgen
from tfgen.models import VAE
model = VAE(image_shape=(8, 8, 1), hidden=(64,))
model.compile()
checkpoints = tfgen.training.Checkpoints(model, sys.argv[1])
checkpoints.save()
model.step.assign(7)
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))  # what a file may grow to: writes fail as on a full disk
try:
    checkpoints.save()
except OSError as error:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "step 7" in str(error) and "Last good checkpoint" in str(error) and "ckpt-0" in str(error), error
else:
    raise SystemExit("nothing failed")
assert tfgen.training.Checkpoints(model, sys.argv[1]).restore() == 0 and int(model.step.value) == 0
print("kept")
"""


def test_full_disk_while_checkpointing_keeps_the_last_one(tmp_path):
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], env={**os.environ, "PYTHONPATH": os.getcwd()},
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0 and "kept" in done.stdout, done.stderr[-2000:]


def test_a_checkpoint_of_another_model_names_what_differs(tmp_path):
    small, large = (tfgen.presets.get("vae/digits").override({"hidden": (n,)}).build() for n in (4, 8))
    tfgen.training.Checkpoints(small, tmp_path).save()
    with pytest.raises(ValueError, match=r"another model.*has shape \(64, 4\) in it; the model needs shape \(64, 8\)"):
        tfgen.training.Checkpoints(large, tmp_path).restore()


def test_averaged_weights_are_in_a_checkpoint(tmp_path):
    """A model that trained elsewhere draws by its averages what it drew before."""

    def compiled():
        model = VAE(image_shape=(8, 8, 1), latent_dim=2, hidden=(8,))
        model.compile(ema_decay=0.9, run_eagerly=True)
        return model

    first, second = compiled(), compiled()
    first.fit(np.random.default_rng(0).integers(0, 2, (8, 8, 8, 1)).astype("float32"), epochs=3, verbose=0)
    tfgen.training.Checkpoints(first, tmp_path).save()
    assert tfgen.training.Checkpoints(second, tmp_path).restore() == 3
    live = first.sample(4)
    with first.ema.swapped(), second.ema.swapped():
        averaged = first.sample(4)
        np.testing.assert_array_equal(second.sample(4), averaged)
    assert np.any(averaged != live)
    np.testing.assert_array_equal(second.sample(4), live)


def saved(folder, *steps):
    """A small model, and a folder with its checkpoints of these steps; `mean` says of which step weights are."""
    model = VAE(image_shape=(8, 8, 1), latent_dim=2, hidden=(8,))
    model.compile()
    checkpoints = tfgen.training.Checkpoints(model, folder, keep=3)
    for step in steps:
        model.step.assign(step)
        model.trainable_variables[0].assign(np.full(model.trainable_variables[0].shape, step / 100))
        checkpoints.save()
    return model


def mean(model):
    return float(np.mean(model.trainable_variables[0]))


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("suffix", ["index", "data-00000-of-00001"])
@pytest.mark.parametrize("damage", [cut, flip, lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_a_damaged_newest_checkpoint_is_skipped_and_named(damage, suffix, tmp_path):
    model, said = saved(tmp_path, 10, 20), []
    damage(tmp_path / f"ckpt-20.{suffix}")
    checkpoints = tfgen.training.Checkpoints(model, tmp_path, report=said.append)
    assert checkpoints.restore() == 10 and mean(model) == pytest.approx(0.1)
    (line,) = said
    assert f"ckpt-20.{suffix} is " in line and line.endswith(f"restored {tmp_path / 'ckpt-10'} instead")
    assert checkpoints.latest == str(tmp_path / "ckpt-10")
    model.step.assign(15)
    checkpoints.save()
    assert sorted(p.stem for p in tmp_path.glob("*.index")) == ["ckpt-10", "ckpt-15"], "the damaged one is gone"
    assert tfgen.training.Checkpoints(model, tmp_path, report=said.append).restore() == 15 and len(said) == 1


def test_unreadable_checkpoints_are_an_error(tmp_path):
    model = saved(tmp_path, 10, 20)
    for path in tmp_path.glob("*.data*"):
        cut(path)
    with pytest.raises(ValueError, match=r"No checkpoint in .* can be read: .*ckpt-20\.data.*ckpt-10\.data"):
        tfgen.training.Checkpoints(model, tmp_path).restore()


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b""), cut])
def test_checkpoints_without_their_index_are_an_error(damage, tmp_path):
    model = saved(tmp_path, 10, 20)
    damage(tmp_path / "checkpoint")
    with pytest.raises(ValueError, match=r"checkpoint is (missing|damaged), but there are the checkpoints ckpt-10, ckpt-20"):
        tfgen.training.Checkpoints(model, tmp_path)
    hint = 'model_checkpoint_path: "ckpt-20"\nall_model_checkpoint_paths: "ckpt-20"\n'
    (tmp_path / "checkpoint").write_text(hint)
    assert tfgen.training.Checkpoints(model, tmp_path).restore() == 20


def test_a_first_checkpoint_that_was_interrupted_is_a_new_start(tmp_path, monkeypatch):
    """Its files are complete, but the index does not exist yet."""
    model = saved(tmp_path)

    def killed(path, content):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("tfgen.training.checkpoint.write_whole", killed)
        tfgen.training.Checkpoints(model, tmp_path).save()
    assert (tmp_path / "ckpt-0.index").exists() and not (tmp_path / "checkpoint").exists()
    checkpoints = tfgen.training.Checkpoints(model, tmp_path)
    assert checkpoints.restore() == 0
    model.step.assign(5)
    checkpoints.save()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint", "ckpt-5.data-00000-of-00001", "ckpt-5.index"]


def test_leftovers_of_interrupted_saves_are_removed(tmp_path):
    model = saved(tmp_path, 10, 20)
    for name in ("checkpoint.tmp0123", ".checkpoint.77.tmp", "ckpt-30.data-00000-of-00001", "ckpt-30.index",
                 "ckpt-5.index", "ckpt-20.data-00000-of-00001.tempstate123"):  # fmt: skip
        (tmp_path / name).write_text("")
    (tmp_path / "ckpt-20_temp").mkdir()
    (tmp_path / "ckpt-20_temp/part-00000-of-00001.index").write_text("")
    (tmp_path / "ckpt-best.index").write_text("mine")
    checkpoints = tfgen.training.Checkpoints(model, tmp_path)
    assert checkpoints.restore() == 20
    checkpoints.remove_leftovers()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "checkpoint", "ckpt-10.data-00000-of-00001", "ckpt-10.index", "ckpt-20.data-00000-of-00001", "ckpt-20.index",
        "ckpt-best.index",
    ]  # fmt: skip
