"""PredictionService and ModelService over grpcio."""

import concurrent.futures
import logging
import time
import warnings

import google.protobuf.message
import grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_pb2,
    predict_pb2,
    regression_pb2,
)

from tfgen_serving.errors import ServingError
from tfgen_serving.server import inference
from tfgen_serving.server.flags import ConfigError
from tfgen_serving.server.model_manager import Stopped
from tfgen_serving.server.servable import as_serving_error

SERVICES = {
    "PredictionService": ("Predict", "Classify", "Regress", "MultiInference", "GetModelMetadata"),
    "ModelService": ("GetModelStatus", "HandleReloadConfigRequest"),
}
MAX_DETAILS = 1024
MAX_CONCURRENT = 1000  # limit of requests that run or wait for a thread; more are refused at once
LONGEST_DEADLINE = 30 * 24 * 3600.0  # seconds; a longer timeout means none
RELOAD_SECONDS = 300.0  # seconds that a reload without a deadline waits for its models
_log = logging.getLogger("tfgen.serving")
_INVALID = grpc.StatusCode.INVALID_ARGUMENT
# protobuf's warning about surplus bytes, which `_parse` checks itself.
warnings.filterwarnings("ignore", message="Unexpected end-group tag", category=RuntimeWarning)


def serve(host, port, manager, metrics, *, threads, max_request_bytes):
    """Starts a gRPC server: (server, port). ConfigError if the port is not available."""
    # Threads wait inside TensorFlow or in a queue most of the time, so there are more threads than cores.
    pool = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="grpc")
    options = [
        ("grpc.max_receive_message_length", max_request_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),  # a port that is taken is an error
        ("grpc.server_handshake_timeout_ms", 10_000),
        ("grpc.http2.max_ping_strikes", 10),
    ]
    server = grpc.server(pool, options=options, maximum_concurrent_rpcs=MAX_CONCURRENT)
    service = Service(manager, metrics, max_request_bytes)
    for name, methods in SERVICES.items():
        handlers = {
            method: grpc.unary_unary_rpc_method_handler(getattr(service, method), response_serializer=_serialize)
            for method in methods
        }
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(f"tensorflow.serving.{name}", handlers)])
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        bound = server.add_insecure_port(address)
    except RuntimeError as error:
        bound, cause = 0, error
    else:
        cause = None
    if not bound:
        raise ConfigError(f"cannot listen on {address} for gRPC") from cause
    server.start()
    return server, bound


def _serialize(message):
    return message.SerializeToString()


def _parse(request_class, data):
    """Parses a message. grpcio could do it, but leaks 16 KiB for each request that it cannot parse."""
    request = request_class()
    try:
        complete = request.MergeFromString(data) == len(data)
    except (google.protobuf.message.DecodeError, ValueError):
        complete = False
    if not complete:
        raise ServingError(grpc.StatusCode.INTERNAL, f"Failed to parse the request as {request.DESCRIPTOR.full_name}")
    return request


def _method(api, request_class, reply_class, name_of):
    """Turns a function (service, request, reply, timeout) into a gRPC method on bytes, with metrics and error statuses."""

    def decorate(function):
        def method(self, data, context):
            started, code, name = time.monotonic(), grpc.StatusCode.OK, ""
            reply = reply_class()
            try:
                request = _parse(request_class, data)
                name = name_of(request)
                timeout = context.time_remaining()
                # Without a deadline grpcio returns one that is centuries away, more than a thread can wait.
                function(self, request, reply, None if timeout is None or timeout > LONGEST_DEADLINE else timeout)
            except Exception as error:
                if not isinstance(error, (ServingError, Stopped)):
                    _log.exception("%s failed", api)
                failure = as_serving_error(error)
                if isinstance(error, Stopped):
                    failure = ServingError(grpc.StatusCode.UNAVAILABLE, "The server is shutting down")
                code, details = failure.code, failure.message
                context.set_code(code)
                context.set_details(details if len(details) <= MAX_DETAILS else details[:MAX_DETAILS] + "...TRUNCATED")
            if self.manager.is_configured(name):  # any other name comes from a client, and metrics are never deleted
                self.metrics.request(name, api, "GRPC", code.name, time.monotonic() - started)
            return reply

        return method

    return decorate


def _spec_name(request):
    return request.model_spec.name


def _first_task(request):
    return request.tasks[0].model_spec.name if request.tasks else ""


class Service:
    """Both gRPC services, with one manager."""

    def __init__(self, manager, metrics, max_bytes):
        self.manager, self.metrics = manager, metrics
        # A shape can mean that a value is repeated, so the array may take more memory than the message.
        self.max_tensor_bytes = 4 * max_bytes

    @_method("Predict", predict_pb2.PredictRequest, predict_pb2.PredictResponse, _spec_name)
    def Predict(self, request, reply, timeout):
        _need_spec(request)
        with self.manager.acquire(request.model_spec) as servable:
            inference.predict_proto(servable, request, reply, timeout, self.max_tensor_bytes)

    @_method("Classify", classification_pb2.ClassificationRequest, classification_pb2.ClassificationResponse, _spec_name)
    def Classify(self, request, reply, timeout):
        _need_spec(request)
        with self.manager.acquire(request.model_spec) as servable:
            inference.classify(servable, request, reply, timeout)

    @_method("Regress", regression_pb2.RegressionRequest, regression_pb2.RegressionResponse, _spec_name)
    def Regress(self, request, reply, timeout):
        _need_spec(request)
        with self.manager.acquire(request.model_spec) as servable:
            inference.regress(servable, request, reply, timeout)

    @_method("MultiInference", inference_pb2.MultiInferenceRequest, inference_pb2.MultiInferenceResponse, _first_task)
    def MultiInference(self, request, reply, timeout):
        with self.manager.acquire(request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec()) as servable:
            inference.multi_inference(servable, request, reply, timeout)

    @_method(
        "GetModelMetadata",
        get_model_metadata_pb2.GetModelMetadataRequest,
        get_model_metadata_pb2.GetModelMetadataResponse,
        _spec_name,
    )
    def GetModelMetadata(self, request, reply, timeout):
        metadata(self.manager, request, reply)

    @_method(
        "GetModelStatus", get_model_status_pb2.GetModelStatusRequest, get_model_status_pb2.GetModelStatusResponse, _spec_name
    )
    def GetModelStatus(self, request, reply, timeout):
        _need_spec(request)
        status(self.manager, request.model_spec, reply)

    @_method(
        "HandleReloadConfigRequest",
        model_management_pb2.ReloadConfigRequest,
        model_management_pb2.ReloadConfigResponse,
        lambda request: "",
    )
    def HandleReloadConfigRequest(self, request, reply, timeout):
        try:
            if request.config.WhichOneof("config") != "model_config_list":
                raise ServingError(_INVALID, "ServerModelConfig type not supported by HandleReloadConfigRequest. Only "
                                   "ModelConfigList is currently supported")  # fmt: skip
            self.manager.reload(request.config, timeout=RELOAD_SECONDS if timeout is None else timeout)
        except ServingError as error:
            reply.status.error_code, reply.status.error_message = error.code.value[0], error.message
            raise


def metadata(manager, request, reply):
    """Answers a GetModelMetadataRequest."""
    _need_spec(request)
    if not request.metadata_field:
        raise ServingError(_INVALID, "GetModelMetadataRequest must specify at least one metadata_field")
    for field in request.metadata_field:
        if field != "signature_def":
            raise ServingError(_INVALID, f"Metadata field {field} is not supported")
    with manager.acquire(request.model_spec) as servable:
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, signature in servable.signatures.items():
            signatures.signature_def[name].CopyFrom(signature)
        inference.fill_spec(reply.model_spec, servable)
        reply.metadata["signature_def"].Pack(signatures)


def status(manager, spec, reply):
    """Fills a GetModelStatusResponse; a label is ignored, as upstream."""
    number = spec.version.value if spec.WhichOneof("version_choice") == "version" else None
    for version, state, (code, message) in manager.status(spec.name, number):
        made = reply.model_version_status.add(version=version, state=state)
        made.status.error_code, made.status.error_message = code.value[0], message


def _need_spec(request: google.protobuf.message.Message):
    if not request.HasField("model_spec"):
        raise ServingError(_INVALID, "Missing ModelSpec")
