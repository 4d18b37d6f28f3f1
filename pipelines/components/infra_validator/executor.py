"""TFX's executor of the infra validator, with a local process instead of a container."""

import contextlib
import os
import pathlib
import select
import subprocess
import sys
import tempfile
import threading
import time

from absl import logging
from tfx.components.infra_validator import error_types
from tfx.components.infra_validator import executor as tfx_executor
from tfx.components.infra_validator.model_server_runners import base_runner
from tfx.utils.model_paths import tf_serving_flavor

_LOG_TAIL = 20_000  # bytes
_POLLING_SECONDS = 0.1


class LocalServerRunner(base_runner.BaseModelServerRunner):
    """Runs the compatible server on one model in a separate process: a model that crashes the server fails validation but
    not the pipeline.

    Args:
        model_path: `.../<model name>/<version>`.
    """

    command = (sys.executable, "-m", "tfgen_pipelines.components.infra_validator.serve")

    def __init__(self, model_path):
        base, name, _ = tf_serving_flavor.parse_model_path(model_path)
        self._flags = [f"--model_name={name}", f"--model_base_path={os.path.join(base, name)}"]
        self._process = self._log = self._port = None

    def __repr__(self):
        return f"LocalServerRunner({' '.join(self._flags)})"

    def GetEndpoint(self):
        assert self._port is not None, "The server is not running yet."
        return f"127.0.0.1:{self._port}"

    def Start(self):
        assert self._process is None, "A runner starts one server."
        self._log = tempfile.TemporaryFile()
        # On the CPU: the process that trained may hold all memory of the accelerator, and speed is not tested.
        # The process imports the same package as this one, installed or not.
        root = str(pathlib.Path(__file__).resolve().parents[3])
        path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            [*self.command, *self._flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": path},
        )  # fmt: skip

    def WaitUntilRunning(self, deadline):
        # The server writes its port when the model is loaded and warmed up, and exits if that fails.
        while not select.select([self._process.stdout], [], [], _POLLING_SECONDS)[0]:
            if time.time() >= deadline:
                raise error_types.DeadlineExceeded("Deadline exceeded while waiting for the server to load the model.")
        line = self._process.stdout.readline().strip()
        if not line:
            raise error_types.JobAborted(f"The server ended with status {self._process.wait()} instead of serving.")
        self._port = int(line)

    def Stop(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()
            self._process.stdout.close()

    def GetLogs(self):
        if self._log is None:
            return None
        # pread: a seek here would move the position at which the server writes.
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), _LOG_TAIL, max(0, size - _LOG_TAIL)).decode("utf-8", "replace")


class Executor(tfx_executor.Executor):
    """Replaces the runner in TFX's `_ValidateOnce`; the rest of the class is TFX's.

    TFX chooses the runner in a function of its module, which supports only docker and Kubernetes.
    """

    runner_class = LocalServerRunner

    def _ValidateOnce(self, model_path, serving_binary, serving_spec, validation_spec, requests):
        deadline = time.time() + validation_spec.max_loading_time_seconds
        runner = self.runner_class(model_path)
        try:
            logging.info("Starting %r.", runner)
            runner.Start()
            runner.WaitUntilRunning(deadline)
            client = serving_binary.MakeClient(runner.GetEndpoint())
            with _stopped_at(deadline, runner):  # TFX's client sends requests without a deadline
                client.WaitUntilModelLoaded(deadline, polling_interval_sec=_POLLING_SECONDS)
                client.SendRequests(requests)
        except Exception:
            logging.error("Infra validation failed. The server's log:\n%s", runner.GetLogs())
            raise
        finally:
            logging.info("Stopping %r.", runner)
            runner.Stop()


@contextlib.contextmanager
def _stopped_at(deadline, runner):
    timer = threading.Timer(max(0.0, deadline - time.time()), runner.Stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
