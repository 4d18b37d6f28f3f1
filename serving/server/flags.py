"""Parses the command line and text-proto files, with the names and defaults of `tensorflow_model_server`."""

import argparse
import os

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from tensorflow_serving.config import model_server_config_pb2

PLATFORM = "tensorflow"
PROMETHEUS_PATH = "/monitoring/prometheus/metrics"


class ConfigError(ValueError):
    """An invalid flag or configuration file."""


def parser():
    """The argument parser of `tfgen serve`."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = max(16, 4 * cores)
    p = argparse.ArgumentParser(
        prog="tfgen serve", allow_abbrev=False,
        description="Serves SavedModels over TensorFlow Serving's gRPC and REST protocols.",
        epilog="Flags have the names of tensorflow_model_server; it does not have those marked (own).",
    )  # fmt: skip
    add = p.add_argument
    add("--host", default="127.0.0.1", help="(own) address to listen on; 0.0.0.0 for all (default: %(default)s)")
    add("--port", type=_port, default=8500, help="gRPC port; 0 picks a free one (default: %(default)s)")
    add("--rest_api_port", type=_port, help="REST port; 0 picks a free one (default: no REST)")
    add("--model_name", default="default", help="name of the one model of --model_base_path (default: %(default)s)")
    add("--model_base_path", help="folder whose numbered folders are versions of the model")
    add("--model_config_file", help="text ModelServerConfig with any number of models")
    add("--model_config_file_poll_wait_seconds", type=_natural, default=0, help="seconds between readings; 0: only one")
    add("--file_system_poll_wait_seconds", type=_natural, default=1,
        help="seconds between searches for versions; 0: only at the start (default: %(default)s)")  # fmt: skip
    _add_bool(p, "--enable_batching", False, "merge concurrent requests into one run of the model")
    add("--batching_parameters_file", help="text BatchingParameters; needs --enable_batching")
    add("--monitoring_config_file", help="text MonitoringConfig; prometheus_config { enable: true } shows metrics")
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
    add("--rest_api_header_timeout_in_ms", type=_positive, default=10_000,
        help="(own) timeout of headers, and of a client that stops reading (default: %(default)s)")  # fmt: skip
    add("--shutdown_grace_seconds", type=_natural, default=25,
        help="(own) time to finish running requests after SIGTERM (default: %(default)s)")  # fmt: skip
    return p


def parse(argv):
    """Parses a list of words to a namespace of checked flags; `ConfigError` if they contradict each other."""
    flags = parser().parse_args(list(argv))
    check(flags)
    return flags


def check(flags):
    if bool(flags.model_base_path) == bool(flags.model_config_file):
        raise ConfigError("give either --model_base_path or --model_config_file")
    if flags.batching_parameters_file and not flags.enable_batching:
        raise ConfigError("--batching_parameters_file is set without --enable_batching")
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


def _bounded(low, high, what):
    def convert(text):
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"expected {what}, received {text!r}")
        return int(text)

    return convert


_port = _bounded(0, 65535, "a port from 0 to 65535")
_natural = _bounded(0, 2**53, "a whole number from 0 on")
_positive = _bounded(1, 2**31 - 1, "a positive whole number")


def _messages():
    """Message classes that tensorflow-serving-api lacks, made in a separate descriptor pool.

    Field names are those of session_bundle_config.proto and monitoring_config.proto; only their text form is used.
    """
    types = descriptor_pb2.FieldDescriptorProto
    wrappers = ".google.protobuf."
    file = descriptor_pb2.FileDescriptorProto(
        name="tfgen/serving.proto", package="tensorflow.serving", syntax="proto3", dependency=[wrappers_pb2.DESCRIPTOR.name]
    )

    def message(name, *fields):
        proto = file.message_type.add(name=name)
        for number, (field, kind, label) in enumerate(fields, 1):
            made = proto.field.add(name=field, number=number, label=label)
            if isinstance(kind, str):
                made.type, made.type_name = types.TYPE_MESSAGE, kind
            else:
                made.type = kind

    one, many = types.LABEL_OPTIONAL, types.LABEL_REPEATED
    message(
        "BatchingParameters",
        ("max_batch_size", wrappers + "Int64Value", one),
        ("batch_timeout_micros", wrappers + "Int64Value", one),
        ("max_enqueued_batches", wrappers + "Int64Value", one),
        ("num_batch_threads", wrappers + "Int64Value", one),
        ("thread_pool_name", wrappers + "StringValue", one),
        ("allowed_batch_sizes", types.TYPE_INT64, many),
        ("pad_variable_length_inputs", types.TYPE_BOOL, one),
        ("enable_large_batch_splitting", wrappers + "BoolValue", one),
    )
    message("PrometheusConfig", ("enable", types.TYPE_BOOL, one), ("path", types.TYPE_STRING, one))
    message("MonitoringConfig", ("prometheus_config", ".tensorflow.serving.PrometheusConfig", one))
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    if hasattr(message_factory, "GetMessageClass"):
        make = message_factory.GetMessageClass
    else:  # protobuf 3
        make = message_factory.MessageFactory(pool).GetPrototype
    return [make(pool.FindMessageTypeByName(f"tensorflow.serving.{n}")) for n in ("BatchingParameters", "MonitoringConfig")]


BatchingParameters, MonitoringConfig = _messages()
