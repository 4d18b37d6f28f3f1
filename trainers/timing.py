"""How long a preset trains on this machine: some of its steps, timed on random images, and kept in the cache.

    python -m tfgen_trainers.timing vae/mnist

prints {"seconds_per_step": ..., ...} as JSON.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import math
import os
import pathlib
import platform
import subprocess
import sys
import time
import typing
from collections.abc import Iterable, Sequence

import numpy as np

import tfgen
from tfgen import onednn
from tfgen.files import default_cache, write_whole

if typing.TYPE_CHECKING:
    from tfgen import presets
    from tfgen.fields import Field

BUDGET = 2.0  # seconds of timed steps, if there are at least two calls of the graph in it
WINDOW = 1000  # steps in which every kind of step is seen


@dataclasses.dataclass(frozen=True)
class Timing:
    """The time of a preset's steps on this machine.

    Attributes:
        seconds_per_step: mean of the timed steps, without the first ones, which trace graphs.
        cpu_seconds_per_step: the same of the time of all CPU cores, which other load on the machine changes less.
        onednn: whether TensorFlow used oneDNN.
        date: ISO, UTC.
    """

    seconds_per_step: float
    cpu_seconds_per_step: float
    onednn: bool
    date: str


def time_steps(preset: presets.Preset, budget: float = BUDGET) -> Timing:
    """Times steps in the middle of a preset's run, in this process, on one batch of random values.

    Args:
        preset: a resolved `tfgen.presets.Preset`.
        budget: seconds of timed steps, > 0; at least two calls of the graph are timed.
    """
    import tensorflow as tf

    from tfgen.data import check_batch_size
    from tfgen_trainers.train import STEPS_PER_CALL

    middle = preset.steps // 2
    size = [size for first, size in check_batch_size(preset.batch_size) if first <= middle][-1]
    model = preset.build(seed=0)
    batch = random_batch(model.batch_fields(), size)
    if model.initialized_by_data:
        model.initialize(batch)
    model.step.assign(middle)
    kinds, cycle = [model.step_kind(step) for step in range(middle, middle + WINDOW)], 1
    while set(kinds[:cycle]) != set(kinds):
        cycle += 1
    batches, function = iter(tf.data.Dataset.from_tensors(batch).repeat()), model.make_train_function()

    def seconds(steps):
        model.steps_per_execution, started = steps, time.perf_counter()
        function(batches)
        return time.perf_counter() - started

    seconds(cycle)  # traces the graphs
    steps = cycle * math.ceil(STEPS_PER_CALL / cycle) if seconds(cycle) < budget * cycle / STEPS_PER_CALL else cycle
    seconds(steps)
    spent, cpu = [], time.process_time()
    while len(spent) < 2 or sum(spent) < budget:
        spent.append(seconds(steps))
    count, cpu = len(spent) * steps, time.process_time() - cpu
    date = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    return Timing(sum(spent) / count, cpu / count, onednn.enabled(), date)


def random_batch(fields: Iterable[Field], size: int) -> dict:
    """{field: array [size, ...]} of random classes, and of images and other values of 0 and 1, which every model takes."""
    rng, batch = np.random.default_rng(0), {}
    for field in fields:
        shape = (size, *(1 if n is None else n for n in field.shape))
        if field.dtype == "int32":
            values = rng.integers(int(field.low or 0), int(1 if field.high is None else field.high) + 1, shape)
        else:
            values = rng.integers(0, 2, shape)
        batch[field.name] = values.astype(field.dtype)
    return batch


def cached(preset: presets.Preset) -> Timing | None:
    """The timing of the preset, with these settings, on this machine and these versions, or None."""
    path = _path(preset)
    try:
        return Timing(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def measure(preset: presets.Preset, name: str | None = None) -> Timing:
    """Times a preset of `tfgen.presets` in a process of its own, with the kernels that `tfgen train` chooses, and keeps it.

    Args:
        preset: one without overrides, since the process finds it by its name.
        name: the name by which `tfgen.presets.get` finds it, if that is not its own.

    Raises:
        RuntimeError: the preset cannot be built or trained here; the message says why.
    """
    path = os.pathsep.join(filter(None, [str(pathlib.Path(tfgen.__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "tfgen_trainers.timing", name or preset.name]
    run = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError((run.stderr.strip().splitlines() or [f"exit status {run.returncode}"])[-1])
    timing = Timing(**json.loads(run.stdout.splitlines()[-1]))
    write_whole(_path(preset), json.dumps(dataclasses.asdict(timing)).encode())
    return timing


def _path(preset):
    import keras
    import tensorflow as tf

    key = {
        "preset": preset.config(), "machine": [platform.node(), onednn.processor(), os.cpu_count()],
        "versions": [tfgen.__version__, tf.__version__, keras.__version__],
        "gpus": len(tf.config.list_physical_devices("GPU")), "onednn": os.environ.get(onednn.VARIABLE),
    }  # fmt: skip
    text = json.dumps(key, sort_keys=True)
    return default_cache() / "timings" / f"{hashlib.sha256(text.encode()).hexdigest()}.json"


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the timing of the preset that `argv` (None: of this process) names, as JSON; returns the exit status."""
    (name,) = sys.argv[1:] if argv is None else argv
    onednn.choose([name])
    from tfgen import presets

    print(json.dumps(dataclasses.asdict(time_steps(presets.get(name)))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
