"""Several workers that train one model together, each a process, on one machine or on many.

Each is told by TF_CONFIG who the workers are and which of them it is, as by Kubeflow, Vertex or `launch`:

    {"cluster": {"worker": ["host-a:2222", "host-b:2222"]}, "task": {"type": "worker", "index": 0}}

Every worker has the same weights, computes the gradients of its part of each batch, and updates with the mean of all
(MultiWorkerMirroredStrategy). The first, the chief, alone writes the run folder, from which all of them start, so the folder
must be one that all see.

`choose` names another strategy for this process, or the devices of one.
"""

import contextlib
import ctypes
import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

from tfgen import quiet

STRATEGIES = ("mirrored", "multi_worker", "one_device")

_strategy = None
_chosen = None


@dataclasses.dataclass(frozen=True)
class Worker:
    """One of several workers.

    Attributes:
        index: its place among them.
        count: their number, at least 2.
    """

    index: int
    count: int

    @property
    def is_chief(self) -> bool:
        """Whether it writes the run folder."""
        return self.index == 0


def mine() -> Worker | None:
    """The worker that this process is, by TF_CONFIG; None where it trains alone.

    Raises:
        ValueError: TF_CONFIG is no such description, or has tasks that are no workers.
    """
    text = os.environ.get("TF_CONFIG", "")
    if not text.strip():
        return None
    try:
        found = json.loads(text)
        cluster, task = found.get("cluster") or {}, found.get("task") or {"type": "worker", "index": 0}
        addresses = [*cluster.get("chief", []), *cluster.get("worker", [])]
        others, kind = sorted(set(cluster) - {"chief", "worker"}), task["type"]
        index = int(task["index"]) + (len(cluster.get("chief", [])) if kind == "worker" else 0)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            'TF_CONFIG must be {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}; '
            f"received {text!r}."
        ) from error
    if not addresses:
        return None
    if others or kind not in ("chief", "worker") or not 0 <= index < len(addresses):
        raise ValueError(
            f"TF_CONFIG must have workers alone, with a chief or without, and the task of one of them; received {text!r}."
        )
    return Worker(index, len(addresses)) if len(addresses) > 1 else None


def choose(kind: str | None = None, devices: Sequence[str] = ()) -> None:
    """Sets by which strategy this process trains from now on, in place of the one that it finds by itself.

    That is, by itself: with several workers theirs, else MirroredStrategy over all GPUs, or without them over the CPU.

    Args:
        kind: "mirrored", a replica on each device; "multi_worker", see `strategy`; "one_device", without replicas; None: by
            itself, or with `devices` "mirrored".
        devices: their names, such as "GPU:1"; none: all, or for "one_device" the first GPU, or the CPU without one.

    Raises:
        ValueError: `kind` is no such strategy or does not fit TF_CONFIG; a device is not here, is named twice or is of
            another kind than the others; several for "one_device", or any for "multi_worker".
    """
    global _chosen
    if kind not in (None, *STRATEGIES):
        raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}; received {kind!r}.")
    worker = mine()
    if kind == "multi_worker" and worker is None:
        raise ValueError("strategy multi_worker needs several workers, by TF_CONFIG or --workers; received none.")
    if worker is not None and (devices or kind not in (None, "multi_worker")):
        given = f"devices {','.join(devices)}" if devices else f"strategy {kind}"
        raise ValueError(
            f"With several workers, strategy must be multi_worker, and each has the GPUs of its CUDA_VISIBLE_DEVICES; "
            f"received {given} and {worker.count} workers."
        )
    if worker is not None or (kind is None and not devices):
        _chosen = None
        return
    here = [device.name.removeprefix("/device:") for device in tf.config.list_logical_devices()]
    first = next((name for name in here if name.startswith("GPU:")), "CPU:0")
    names = [name.upper() for name in devices] or [first]
    if not set(names) <= set(here) or len(set(names)) < len(names) or len({name.partition(":")[0] for name in names}) > 1:
        raise ValueError(f"devices must be different ones of one kind, of {', '.join(here)}; received {','.join(devices)}.")
    if kind == "one_device":
        if len(names) > 1:
            raise ValueError(f"strategy one_device has one of the devices; received {','.join(devices)}.")
        # Keras accumulates gradients without a strategy alone, and the first device is the one it takes then.
        _chosen = tf.distribute.get_strategy() if names == [first] else tf.distribute.OneDeviceStrategy(names[0])
    else:
        _chosen = mirrored(names if devices else [name for name in here if name.startswith(first[:4])])


def mirrored(names: Sequence[str]) -> tf.distribute.MirroredStrategy:
    """MirroredStrategy over devices of one kind, such as ["GPU:0", "GPU:1"]."""
    # On CPU the collectives of two strategies in one process mix up their messages; this reduction uses no collectives.
    cross = None if names[0].startswith("GPU:") else tf.distribute.ReductionToOneDevice()
    return tf.distribute.MirroredStrategy(list(names), cross_device_ops=cross)


def strategy() -> tf.distribute.Strategy | None:
    """The strategy that was chosen, or that of this process's workers, the same in every call; None where it trains alone.

    The first call waits for the other workers. It must come before TensorFlow has computed anything, so before data are
    loaded.

    Raises:
        ValueError: as by `mine`; or TensorFlow is in use already.
    """
    global _strategy
    if mine() is None:
        return _chosen
    if _strategy is None:
        ring = tf.distribute.experimental.CommunicationImplementation.RING  # the other ones are for GPUs
        gpus = tf.config.list_physical_devices("GPU")
        options = None if gpus else tf.distribute.experimental.CommunicationOptions(implementation=ring)
        try:
            _strategy = quiet.filtered(lambda: tf.distribute.MultiWorkerMirroredStrategy(communication_options=options))
        except RuntimeError as error:
            raise ValueError(
                "TF_CONFIG names several workers, but TensorFlow has computed something in this process before they were "
                f"joined: call tfgen_trainers.workers.strategy() first, before data are loaded. ({error})"
            ) from error
    return _strategy


def shared(strategy: tf.distribute.Strategy, batches: Callable[..., tf.data.Dataset]) -> tf.data.Dataset:
    """The batches for `fit`, of which each worker reads its own part alone.

    Args:
        strategy: that of `strategy()`.
        batches: function of `part`, see `tfgen.data.Source.batches`.
    """

    def of_worker(context):
        mine = batches(part=(context.input_pipeline_id, context.num_input_pipelines))
        replicas = strategy.num_replicas_in_sync // context.num_input_pipelines

        def of_replicas(batch):
            rows = tf.nest.map_structure(lambda x: tf.reshape(x, tf.concat([[replicas, -1], tf.shape(x)[1:]], 0)), batch)
            return tf.data.Dataset.from_tensor_slices(rows)

        return mine if replicas == 1 else mine.flat_map(of_replicas)

    return strategy.distribute_datasets_from_function(of_worker)


def agree(strategy: tf.distribute.Strategy, what: str, number: int) -> None:
    """Waits for all workers.

    Raises:
        ValueError: `number` is not the same on all.
    """

    @tf.function
    def mean_and_square():
        mine = tf.constant([number, number**2], tf.float64)
        return strategy.reduce("MEAN", strategy.run(lambda: mine), axis=None)

    mean, square = mean_and_square().numpy()
    if mean != number or square != number**2:
        raise ValueError(
            f"{what} is {number} on this worker and {mean:g} in the mean of all: the run folder must be one that all see."
        )


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Says which worker was lost where TensorFlow's error only shows that one was.

    Raises:
        RuntimeError: a worker was lost.
    """
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.InternalError) as error:
        me = mine()
        if me is None:
            raise
        lost = sorted({int(k) for k in re.findall(r"task:(\d+)", str(error))} - {me.index})
        who = f"worker {lost[0]}" if len(lost) == 1 else "another worker"
        raise RuntimeError(
            f"Worker {me.index} stops, since {who} of {me.count} was lost. The same command on all of them goes on from the "
            f"last checkpoint. ({str(error).splitlines()[0][:200]})"
        ) from error


def launch(count: int, argv: Sequence[str]) -> int:
    """Runs a command as so many workers on this machine, waits for them, and returns the exit status.

    The lines of the chief are shown; of the others what they say on stderr. When one fails, the others are ended.

    Args:
        count: at least 2.
        argv: the words of `tfgen`, without those that ask for several workers.
    """
    with contextlib.ExitStack() as stack:
        free = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in free:
            one.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in free]
    processes = []
    try:
        for index in range(count):
            config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            env = {**quiet.environment(), "TF_CONFIG": json.dumps(config)}
            out = None if index == 0 else subprocess.DEVNULL
            command = [sys.executable, "-m", "tfgen_commands.main", *argv]
            processes.append(subprocess.Popen(command, env=env, stdout=out, preexec_fn=_end_with_parent))
        while any(process.poll() is None for process in processes):
            failed = [k for k, process in enumerate(processes) if process.poll() not in (None, 0)]
            if failed:
                status = processes[failed[0]].returncode
                how = f"by signal {-status}" if status < 0 else f"with status {status}"
                print(f"worker {failed[0]} of {count} ended {how}; the others are ended too", file=sys.stderr)
                return status if status > 0 else 1
            time.sleep(0.1)
        return max(abs(process.returncode) for process in processes)
    finally:
        _end(processes)


def _end_with_parent():
    """So that no worker is left when this process is killed (Linux)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _end(processes):
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    for process in processes:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
