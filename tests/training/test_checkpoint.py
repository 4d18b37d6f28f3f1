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
    with pytest.raises(ValueError, match=r"another model.*\(64, 8\) here and \[64, 4\] there"):
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
