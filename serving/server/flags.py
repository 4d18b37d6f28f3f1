"""Parses the command line and text-proto files, with the names and defaults of `tensorflow_model_server`."""

import argparse
import importlib.metadata
import os
import re

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from tfgen_serving.server.protos import BatchingParameters, MonitoringConfig, SSLConfig

PLATFORM = "tensorflow"
PROMETHEUS_PATH = "/monitoring/prometheus/metrics"
RELOADS = ("any", "same_paths", "off")


class ConfigError(ValueError):
    """An invalid flag or configuration file."""


class Stopped(Exception):
    """The server was stopped while it waited."""


def parser():
    """The argument parser of `tfgen serve`."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = max(16, 4 * cores)
    p = argparse.ArgumentParser(
        prog="tfgen serve", allow_abbrev=False, usage="%(prog)s --model_base_path=FOLDER | --preset=NAME [flag ...]",
        description="Serves SavedModels over TensorFlow Serving's gRPC and REST protocols.",
        epilog="Flags have the names of tensorflow_model_server, which does not have the flags marked (own).",
    )  # fmt: skip
    add = p.add_argument
    add("--host", type=_text, default="127.0.0.1", help="(own) address to listen on; 0.0.0.0 for all (default: %(default)s)")
    add("--port", type=_port, default=8500, help="gRPC port; 0 picks a free one (default: %(default)s)")
    add("--rest_api_port", type=_port, help="REST port; 0 picks a free one (default: no REST)")
    add("--model_name", type=_text, default="default",
        help="name of the one model of --model_base_path (default: %(default)s)")  # fmt: skip
    add("--model_base_path", type=_text, help="folder whose numbered folders are versions of the model")
    add("--preset", type=_text, help="(own) in place of a folder: a preset whose trained weights come with tfgen, such as "
        "vae/digits, a folder of save_to_preset or hf://USER/REPO; it is exported to a temporary folder")  # fmt: skip
    add("--model_config_file", type=_text, help="text ModelServerConfig with any number of models")
    add("--model_config_file_poll_wait_seconds", type=_natural, default=0, help="seconds between readings; 0: read once")
    add("--file_system_poll_wait_seconds", type=_natural, default=1,
        help="seconds between searches for versions; 0: only at the start (default: %(default)s)")  # fmt: skip
    _add_bool(p, "--wait_for_versions", False, "(own) wait for models whose base paths hold no version yet")
    _add_bool(p, "--enable_batching", False, "merge concurrent requests into one run of the model")
    add("--batching_parameters_file", type=_text, help="text BatchingParameters; needs --enable_batching")
    _add_bool(p, "--enable_per_model_batching_parameters", False,
              "batch only versions that have a file batching_params.pbtxt, by its settings")  # fmt: skip
    add("--ssl_config_file", type=_text,
        help="text SSLConfig; gRPC then uses TLS, and with client_verify asks clients for certificates")  # fmt: skip
    _add_bool(p, "--enable_grpc_healthcheck_service", False, "answer Check of grpc.health.v1.Health")
    add("--saved_model_tags", type=_text, default="serve",
        help="tags of the graph to load, with commas between (default: %(default)s)")  # fmt: skip
    add("--tensorflow_intra_op_parallelism", type=_natural, default=0, help="threads of one operation; 0: as many as cores")
    add("--tensorflow_inter_op_parallelism", type=_natural, default=0, help="operations at a time; 0: as many as cores")
    add("--monitoring_config_file", type=_text,
        help="text MonitoringConfig; prometheus_config { enable: true } shows metrics")  # fmt: skip
    add("--max_num_load_retries", type=_natural, default=5, help="retries to load a version (default: %(default)s)")
    add("--load_retry_interval_micros", type=_natural, default=60_000_000, help="between retries (default: %(default)s)")
    add("--rest_api_timeout_in_ms", type=_positive, default=30_000, help="timeout of a REST request (default: %(default)s)")
    _add_bool(p, "--rest_api_enable_cors_support", False, "answer with CORS headers")
    _add_bool(p, "--allow_version_labels_for_unavailable_models", False, "accept labels of versions not yet loaded")
    _add_bool(p, "--enable_model_warmup", True, "replay assets.extra/tf_serving_warmup_requests before serving")
    add("--grpc_max_threads", type=_positive, default=threads, help="(default: 4 a core, at least 16)")
    add("--rest_api_num_threads", type=_positive, default=threads, help="(default: 4 a core, at least 16)")
    add("--max_request_bytes", type=_positive, default=64 << 20,
        help="(own) size limit of a request, also after decompression (default: 64 MiB)")  # fmt: skip
    add("--max_request_elements", type=_positive, default=1 << 22,
        help="(own) limit of values in a JSON body, and of repeated values in a tensor (default: %(default)s)")  # fmt: skip
    add("--request_memory_bytes", type=_positive_long, default=1 << 30,
        help="(own) memory for reading all requests together; further ones are refused (default: 1 GiB)")  # fmt: skip
    add("--grpc_reload", choices=RELOADS, default="any",
        help="(own) HandleReloadConfigRequest: accept any models, accept only models whose base paths were configured at "
             "the start, or refuse all (default: %(default)s)")  # fmt: skip
    add("--rest_api_header_timeout_in_ms", type=_positive, default=10_000,
        help="(own) timeout of headers, and of a client that stops reading (default: %(default)s)")  # fmt: skip
    add("--shutdown_grace_seconds", type=_natural, default=25,
        help="(own) time to finish running requests after SIGTERM (default: %(default)s)")  # fmt: skip
    p.add_argument("--version", action="version", version=_versions(), help="show versions and exit")
    return p


def _versions():
    """The versions of tfgen and of the libraries that are installed, as text."""
    names = {"tfgen": "tfgen serve", "tensorflow": "TensorFlow Library", "tensorflow-serving-api": "TensorFlow Serving API"}
    lines = []
    for package, shown in names.items():
        try:
            lines.append(f"{shown}: {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return "; ".join(lines)


def parse(argv):
    """Parses a list of words to a namespace of checked flags; `ConfigError` if they contradict each other."""
    flags = parser().parse_args(list(argv))
    check(flags)
    return flags


def check(flags):
    """Raises ConfigError for flags that are missing or contradict each other."""
    given = [name for name in ("model_base_path", "model_config_file", "preset") if getattr(flags, name)]
    if len(given) != 1:
        received = ", ".join(f"--{name}" for name in given) or "none"
        raise ConfigError(f"give one of --model_base_path, --model_config_file and --preset; received {received}")
    if flags.batching_parameters_file and not flags.enable_batching:
        raise ConfigError("server_options.batching_parameters_file is set without setting server_options.enable_batching to "
                          "true.")  # fmt: skip
    if flags.enable_per_model_batching_parameters and not flags.enable_batching:
        raise ConfigError("--enable_per_model_batching_parameters is set without --enable_batching")
    if not all(flags.saved_model_tags.split(",")):
        raise ConfigError(f"--saved_model_tags needs tags with commas between; received {flags.saved_model_tags!r}")
    if flags.rest_api_port and flags.rest_api_port == flags.port:
        raise ConfigError("--rest_api_port cannot be the same as --port")


def model_config(flags):
    """The `ModelServerConfig` from the flags."""
    if flags.model_config_file:
        return read_text_proto(flags.model_config_file, model_server_config_pb2.ModelServerConfig())
    config = model_server_config_pb2.ModelServerConfig()
    path = flags.model_base_path if "://" in flags.model_base_path else os.path.abspath(flags.model_base_path)
    config.model_config_list.config.add(name=flags.model_name, base_path=path, model_platform=PLATFORM)
    return config


def prometheus_path(flags):
    """The path of the metrics page, or None if it is off."""
    if not flags.monitoring_config_file:
        return None
    config = read_text_proto(flags.monitoring_config_file, MonitoringConfig()).prometheus_config
    return (config.path or PROMETHEUS_PATH) if config.enable else None


def batching_parameters(flags):
    """`BatchingParameters`, or None if batching is off."""
    if not flags.enable_batching:
        return None
    message = BatchingParameters()
    if flags.batching_parameters_file:
        read_text_proto(flags.batching_parameters_file, message)
    return message


def ssl_config(flags):
    """`SSLConfig`, or None without TLS."""
    if not flags.ssl_config_file:
        return None
    config = read_text_proto(flags.ssl_config_file, SSLConfig())
    if not (config.server_key and config.server_cert):
        raise ConfigError(f"{flags.ssl_config_file} must have server_key and server_cert, the text of two PEM files")
    if config.client_verify and not config.custom_ca:
        raise ConfigError(f"{flags.ssl_config_file} sets client_verify, so it must have custom_ca, the text of a PEM file")
    return config


def read_text_proto(path, message):
    """Fills `message` from a text file; `ConfigError` with the position of the error."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    try:
        return text_format.Parse(text, message)
    except text_format.ParseError as error:
        name = message.DESCRIPTOR.full_name
        raise ConfigError(f"Error parsing text-format {name}: {error}. Invalid protobuf file: '{path}'") from error


def _add_bool(parser, name, default, text):
    parser.add_argument(name, type=_boolean, nargs="?", const=True, default=default, help=f"{text} (default: {default})")


def _boolean(text):
    if text.lower() in ("true", "t", "1"):
        return True
    if text.lower() in ("false", "f", "0"):
        return False
    raise argparse.ArgumentTypeError(f"expected true or false, received {text!r}")


def _text(text):
    if not text.strip() or "\0" in text:
        raise argparse.ArgumentTypeError(f"expected a text that is not empty, received {text!r}")
    return text


def _bounded(low, high, what):
    def convert(text):
        if not re.fullmatch("[0-9]{1,20}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"expected {what}, received {text!r}")
        return int(text)

    return convert


_port = _bounded(0, 65535, "a port from 0 to 65535")
_natural = _bounded(0, 2**53, "a whole number >= 0")
_positive_long = _bounded(1, 2**53, "a positive whole number")
_positive = _bounded(1, 2**31 - 1, "a positive whole number")
