"""A short campaign, with kills at random times. `tests.faults.campaign`, run by hand, places them at system calls."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
needs_tfx = pytest.mark.skipif(importlib.util.find_spec("tfx") is None, reason="tfx is not installed")


@pytest.mark.long
@pytest.mark.parametrize("what", [*(pytest.param(w, marks=needs_tfx) for w in ("push", "pipeline")), "training", "export"])
def test_nothing_is_lost(what, tmp_path):
    command = [sys.executable, "-m", "tests.faults.campaign", what, "--kills", "3", "--models", "1", "--at", "times",
               "--folder", str(tmp_path)]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    logs = "".join(path.read_text()[-1000:] for path in tmp_path.glob("*.log"))
    assert done.returncode == 0 and "0 losses" in done.stdout, done.stdout + done.stderr[-2000:] + logs
