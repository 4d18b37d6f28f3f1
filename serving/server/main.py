"""`tfgen serve`: TensorFlow Serving's protocols in one Python process.

    tfgen serve --model_name=digits --model_base_path=models/vae-digits --port=8500 --rest_api_port=8501
    tfgen serve --model_name=digits --preset=vae/digits --rest_api_port=8501

The ports open when every configured model has an available version. Exit status: 0 after SIGTERM or SIGINT, 1 if a model
cannot be loaded, 2 for wrong flags or files, or a base path without a version (see --wait_for_versions).
"""

import logging
import signal
import sys
import threading
import time

from tfgen import onednn
from tfgen.files import TemporaryFolder

onednn.choose()

# Modules that import TensorFlow are imported by `start`, after the flags, files and ports have been checked.
from tfgen_serving.errors import ServingError  # noqa: E402
from tfgen_serving.memory_budget import MemoryBudget  # noqa: E402
from tfgen_serving.server import flags as flags_module  # noqa: E402
from tfgen_serving.server import ports  # noqa: E402
from tfgen_serving.server.flags import ConfigError, Stopped  # noqa: E402
from tfgen_serving.server.repeated_warning import RepeatedWarning  # noqa: E402

_log = logging.getLogger("tfgen.serving")


class RunningServer:
    """A running server with the ports `grpc_port` and `rest_port` (None without REST)."""

    def __init__(self, manager, metrics, batcher, grpc, grpc_port, rest, config_poller, folder=None):
        self.manager, self.metrics = manager, metrics
        self.grpc_port, self.rest_port = grpc_port, rest.port if rest else None
        self._batcher, self._grpc, self._rest, self._config_poller = batcher, grpc, rest, config_poller
        self._folder = folder  # of an export that is removed with this object
        self._stopped = False

    def stop(self, grace=5.0):
        """Refuses new requests, finishes running ones for up to `grace` seconds, and unloads. A second call does nothing."""
        if self._stopped:
            return
        self._stopped = True
        end = time.monotonic() + grace
        self.manager.end_waits()  # a reload that waits for a model
        if self._config_poller is not None:
            self._config_poller.stop()
        if self._rest is not None:
            self._rest.stop()
        finished = self._grpc.stop(grace)
        if self._rest is not None:
            self._rest.join(max(0.0, end - time.monotonic()))
        finished.wait(max(0.0, end - time.monotonic()) + 1)
        if self._batcher is not None:
            self._batcher.stop()
        self.manager.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class _ConfigPoller:
    """Reads the model config file periodically; an invalid file changes nothing."""

    def __init__(self, flags, manager, current):
        self._flags, self._manager, self._current = flags, manager, current
        self._refused = RepeatedWarning(first_pause=flags.model_config_file_poll_wait_seconds)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="config", daemon=True)
        self._thread.start()

    def _poll(self):
        while not self._stop.wait(self._flags.model_config_file_poll_wait_seconds):
            try:
                config = flags_module.model_config(self._flags)
                if config != self._current:
                    self._manager.apply(config)  # does not wait for models, which may not exist yet
                    self._current = config
                self._refused.clear()
            except (ConfigError, ServingError) as error:
                self._refused.log(f"{self._flags.model_config_file} is not applied: {error}", topic=str(error))
            except Exception:  # if this thread died, the configuration would never change again
                _log.exception("Reading %s failed", self._flags.model_config_file)

    def stop(self):
        self._stop.set()
        self._thread.join(timeout=5)


def start(argv_or_flags, *, stop=None, wrap=None):
    """Starts a server in this process.

    Args:
        argv_or_flags: list of command-line words, or a namespace from `flags.parse`.
        stop: a `threading.Event` that ends the wait for models with `flags.Stopped`.
        wrap: function of the REST application, a `rest_server.App`, that returns the one to serve; None: itself.

    Returns:
        `RunningServer`, its ports open and every configured model available.

    Raises:
        ConfigError: flags or files are invalid, or a port is in use.
        ServingError: a configuration is refused or a model could not be loaded.
    """
    flags = argv_or_flags if hasattr(argv_or_flags, "model_base_path") else flags_module.parse(argv_or_flags)
    flags_module.check(flags)
    folder = None
    if flags.preset:
        folder = TemporaryFolder("tfgen-serve-")
        flags.model_base_path = str(folder.path / "model")  # an export locks its folder, and this one is locked
    config = flags_module.model_config(flags)
    page_path = flags_module.prometheus_path(flags)
    parameters = flags_module.batching_parameters(flags)
    ssl = flags_module.ssl_config(flags)
    ports.bind(flags.host, flags.port, "gRPC").close()  # gRPC binds it again when the models are loaded
    rest_socket = None if flags.rest_api_port is None else ports.bind(flags.host, flags.rest_api_port, "REST")
    try:
        if folder is not None:
            _export(flags.preset, flags.model_base_path)
        return _load_and_serve(flags, config, page_path, parameters, ssl, rest_socket, stop, folder, wrap)
    except BaseException:
        if rest_socket is not None:
            rest_socket.close()
        raise


def _export(preset, folder):
    """Exports the trained model of a preset, or of a folder of save_to_preset."""
    from tfgen.export import export_saved_model
    from tfgen.pretrained import from_preset

    _log.info("Exporting %s to %s ...", preset, folder)
    try:
        export_saved_model(from_preset(preset, allow_download=True), folder, metadata={"preset": preset})
    except (ValueError, OSError) as error:
        raise ConfigError(f"--preset: {error}") from error


def _load_and_serve(flags, config, page_path, parameters, ssl, rest_socket, stop, folder, wrap):
    from tfgen_serving.server import grpc_server
    from tfgen_serving.server.batching import Batcher
    from tfgen_serving.server.loader import Loader
    from tfgen_serving.server.metrics import Metrics
    from tfgen_serving.server.model_manager import ModelManager

    metrics, batcher = Metrics(), Batcher(parameters) if parameters is not None else None
    manager = ModelManager(
        Loader(flags, batcher), poll_wait=flags.file_system_poll_wait_seconds, max_load_retries=flags.max_num_load_retries,
        retry_interval=flags.load_retry_interval_micros / 1e6,
        allow_labels_for_unavailable=flags.allow_version_labels_for_unavailable_models,
    )  # fmt: skip
    budget = MemoryBudget(flags.request_memory_bytes)
    grpc = rest = None
    try:
        names = manager.apply(config)
        missing = [] if flags.wait_for_versions else manager.missing(names)
        if missing:
            raise ConfigError(f"{' '.join(missing)} With --wait_for_versions the server waits for a version.")
        manager.wait_available(names, stop=stop)
        grpc, grpc_port = grpc_server.serve(
            flags.host, flags.port, manager, metrics, threads=flags.grpc_max_threads,
            max_request_bytes=flags.max_request_bytes, max_elements=flags.max_request_elements, budget=budget, ssl=ssl,
            health=flags.enable_grpc_healthcheck_service, reload=flags.grpc_reload,
        )  # fmt: skip
        _log.info("Running gRPC ModelServer at %s:%d ...", flags.host, grpc_port)
        if rest_socket is not None:
            from tfgen_serving.server import rest_server

            app = rest_server.App(
                rest_server.Handler(manager, metrics), page=metrics.page, page_path=page_path,
                timeout=flags.rest_api_timeout_in_ms / 1000, max_bytes=flags.max_request_bytes,
                max_elements=flags.max_request_elements, budget=budget, threads=flags.rest_api_num_threads,
                cors=flags.rest_api_enable_cors_support,
            )  # fmt: skip
            app = app if wrap is None else wrap(app)
            rest = rest_server.RestServer(rest_socket, app, patience=flags.rest_api_header_timeout_in_ms / 1000,
                                          grace=flags.shutdown_grace_seconds)  # fmt: skip
            _log.info("Exporting HTTP/REST API at:%s:%d ...", flags.host, rest.port)
            if ssl is not None:
                _log.warning("--ssl_config_file is for gRPC; REST is served without TLS")
    except BaseException:
        if grpc is not None:
            grpc.stop(0)
        if batcher is not None:
            batcher.stop()
        manager.stop()
        raise
    poll = flags.model_config_file and flags.model_config_file_poll_wait_seconds
    poller = _ConfigPoller(flags, manager, config) if poll else None
    return RunningServer(manager, metrics, batcher, grpc, grpc_port, rest, poller, folder)


def main(argv=None):
    """Runs a server until SIGTERM or SIGINT; returns the exit status."""
    flags = flags_module.parser().parse_args(sys.argv[1:] if argv is None else list(argv))
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    _log.setLevel(logging.INFO)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        server = start(flags, stop=stop)
    except Stopped:
        return 0
    except (ConfigError, ServingError) as error:
        print(f"Failed to start server. Error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) or error.code.name == "INVALID_ARGUMENT" else 1
    stop.wait()
    _log.info("Finishing requests under way (up to %d s) ...", flags.shutdown_grace_seconds)
    server.stop(flags.shutdown_grace_seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
