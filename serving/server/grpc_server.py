"""PredictionService and ModelService over grpcio."""

import concurrent.futures
import logging
import threading
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

from tfgen_serving.allowance import Allowance
from tfgen_serving.errors import ServingError
from tfgen_serving.server import inference
from tfgen_serving.server.flags import ConfigError
from tfgen_serving.server.model_manager import Stopped
from tfgen_serving.server.protos import HealthCheckRequest, HealthCheckResponse

SERVICES = {
    "PredictionService": ("Predict", "Classify", "Regress", "MultiInference", "GetModelMetadata"),
    "ModelService": ("GetModelStatus", "HandleReloadConfigRequest"),
}
MAX_DETAILS = 1024
MAX_CONCURRENT = 1000  # limit of requests that run or wait for a thread; more are refused at once
LONGEST_DEADLINE = 30 * 24 * 3600.0  # seconds; a longer timeout means none
RELOAD_SECONDS = 300.0  # seconds that a reload without a deadline waits for its models
MAX_WAITING_RELOADS = 8  # more are refused at once
HEALTH = "grpc.health.v1.Health"
SERVING = 1  # HealthCheckResponse.ServingStatus
_log = logging.getLogger("tfgen.serving")
_INVALID, _DENIED = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.PERMISSION_DENIED
RELOAD = "HandleReloadConfigRequest"
MESSAGE_COPIES = 4  # of a request's bytes, while it is read
# protobuf's warning about surplus bytes, which `_parse` checks itself.
warnings.filterwarnings("ignore", message="Unexpected end-group tag", category=RuntimeWarning)


def serve(host, port, manager, metrics, *, threads, max_request_bytes, max_elements, budget, ssl=None, health=False,
          reload="any"):  # fmt: skip
    """Starts a gRPC server: (server, port). ConfigError if the port is not available.

    Args:
        max_elements, budget: arguments of the `Allowance` of a request.
        ssl: `SSLConfig` or None.
        health: whether to offer the service grpc.health.v1.Health.
        reload: what HandleReloadConfigRequest accepts, one of `flags.RELOADS`.
    """
    # Threads wait inside TensorFlow or in a queue most of the time, so there are more threads than cores.
    pool = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="grpc")
    options = [
        ("grpc.max_receive_message_length", max_request_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),  # a port that is taken is an error
        ("grpc.server_handshake_timeout_ms", 10_000),
        ("grpc.http2.max_ping_strikes", 10),
    ]
    reloads = _ReloadPool()
    server = grpc.server(pool, options=options, maximum_concurrent_rpcs=MAX_CONCURRENT, interceptors=[_ReloadLimit(reloads)])
    service = Service(manager, metrics, budget=budget, max_elements=max_elements, reload=reload)
    for name, methods in SERVICES.items():
        handlers = {
            method: grpc.unary_unary_rpc_method_handler(getattr(service, method), response_serializer=_serialize)
            for method in methods
        }
        if RELOAD in handlers:
            handlers[RELOAD] = reloads.handler(service.HandleReloadConfigRequest)
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(f"tensorflow.serving.{name}", handlers)])
    if health:
        check = {"Check": grpc.unary_unary_rpc_method_handler(_health_check, response_serializer=_serialize)}
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(HEALTH, check)])
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        bound = server.add_secure_port(address, _credentials(ssl)) if ssl else server.add_insecure_port(address)
    except RuntimeError as error:
        bound, cause = 0, error
    else:
        cause = None
    if not bound:
        with_tls = " with the key and certificate of --ssl_config_file" if ssl else ""
        raise ConfigError(f"cannot listen on {address} for gRPC{with_tls}") from cause
    server.start()
    return server, bound


def _credentials(ssl):
    pair = ssl.server_key.encode(), ssl.server_cert.encode()
    return grpc.ssl_server_credentials([pair], ssl.custom_ca.encode() or None, require_client_auth=ssl.client_verify)


def _health_check(data, context):
    """Answers grpc.health.v1.Health/Check, with the services that TensorFlow Serving names."""
    reply = HealthCheckResponse()
    try:
        service = _parse(HealthCheckRequest, data).service
        if service and service.rpartition(".")[2] not in SERVICES:
            raise ServingError(grpc.StatusCode.NOT_FOUND, f"unknown service {service}")
        reply.status = SERVING
    except ServingError as error:
        _refuse(context, error)
    return reply


class _ReloadPool(concurrent.futures.ThreadPoolExecutor):
    """The only thread of reloads. They wait for models, and must not occupy the threads of other requests meanwhile."""

    def __init__(self):
        super().__init__(1, thread_name_prefix="reload")
        self.waiting, self._lock = 0, threading.Lock()

    def submit(self, *args, **kwargs):
        self._count(1)
        future = super().submit(*args, **kwargs)
        future.add_done_callback(lambda _: self._count(-1))
        return future

    def _count(self, change):
        with self._lock:
            self.waiting += change

    def handler(self, method):
        def run(data, context):
            return method(data, context)

        run.experimental_thread_pool = self  # grpcio runs the method there
        return grpc.unary_unary_rpc_method_handler(run, response_serializer=_serialize)


class _ReloadLimit(grpc.ServerInterceptor):
    """Refuses reloads while too many wait, since each is one of MAX_CONCURRENT requests."""

    def __init__(self, pool):
        self._pool = pool

    def intercept_service(self, continuation, details):
        if details.method.endswith(f"/{RELOAD}") and self._pool.waiting > MAX_WAITING_RELOADS:
            return grpc.unary_unary_rpc_method_handler(self._refuse, response_serializer=_serialize)
        return continuation(details)

    def _refuse(self, data, context):
        why = f"{MAX_WAITING_RELOADS} reloads are waiting already"
        _refuse(context, ServingError(grpc.StatusCode.RESOURCE_EXHAUSTED, why))
        return model_management_pb2.ReloadConfigResponse()


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


def failure(error, what):
    """The `ServingError` for the client after any exception. Errors of the server itself are logged with a traceback."""
    if isinstance(error, ServingError):
        return error
    if isinstance(error, Stopped):
        return ServingError(grpc.StatusCode.UNAVAILABLE, "The server is shutting down")
    if isinstance(error, MemoryError):
        _log.error("%s: out of memory", what)
        return ServingError(grpc.StatusCode.RESOURCE_EXHAUSTED, "Out of memory")
    _log.error("%s failed", what, exc_info=error)
    return ServingError(grpc.StatusCode.INTERNAL, "The server could not answer; its log has the reason")


def _refuse(context, error):
    context.set_code(error.code)
    details = error.message
    context.set_details(details if len(details) <= MAX_DETAILS else details[:MAX_DETAILS] + "...TRUNCATED")


def _method(api, request_class, reply_class, name_of):
    """Turns a function (service, request, reply, context, allowance) into a gRPC method on bytes, with metrics and error
    statuses.
    """

    def decorate(function):
        def method(self, data, context):
            started, code, name = time.monotonic(), grpc.StatusCode.OK, ""
            reply = reply_class()
            timeout = _timeout(context)
            deadline = None if timeout is None else started + timeout
            try:
                with Allowance(budget=self.budget, max_elements=self.max_elements, deadline=deadline) as allowance:
                    allowance.reserve(MESSAGE_COPIES * len(data))
                    request = _parse(request_class, data)
                    name = name_of(request)
                    function(self, request, reply, context, allowance)
            except Exception as error:
                refused = failure(error, api)
                code = refused.code
                _refuse(context, refused)
            if self.manager.is_configured(name):  # any other name comes from a client, and metrics are never deleted
                self.metrics.request(name, api, "GRPC", code.name, time.monotonic() - started)
            return reply

        return method

    return decorate


def _timeout(context):
    """Seconds until the deadline of a call, None without a deadline."""
    seconds = context.time_remaining()
    # Without a deadline grpcio returns one that is centuries away, more than a thread can wait.
    return None if seconds is None or seconds > LONGEST_DEADLINE else seconds


def _spec_name(request):
    return request.model_spec.name


def _first_task(request):
    return request.tasks[0].model_spec.name if request.tasks else ""


class Service:
    """Both gRPC services, with one manager."""

    def __init__(self, manager, metrics, *, budget, max_elements, reload="any"):
        self.manager, self.metrics = manager, metrics
        self.budget, self.max_elements, self.reload = budget, max_elements, reload

    @_method("Predict", predict_pb2.PredictRequest, predict_pb2.PredictResponse, _spec_name)
    def Predict(self, request, reply, context, allowance):
        _need_spec(request)
        with self.manager.acquire(request.model_spec) as servable:
            inference.predict_proto(servable, request, reply, _timeout(context), allowance)

    @_method("Classify", classification_pb2.ClassificationRequest, classification_pb2.ClassificationResponse, _spec_name)
    def Classify(self, request, reply, context, allowance):
        _need_spec(request)
        with self.manager.acquire(request.model_spec) as servable:
            inference.classify(servable, request, reply, _timeout(context), allowance)

    @_method("Regress", regression_pb2.RegressionRequest, regression_pb2.RegressionResponse, _spec_name)
    def Regress(self, request, reply, context, allowance):
        _need_spec(request)
        with self.manager.acquire(request.model_spec) as servable:
            inference.regress(servable, request, reply, _timeout(context), allowance)

    @_method("MultiInference", inference_pb2.MultiInferenceRequest, inference_pb2.MultiInferenceResponse, _first_task)
    def MultiInference(self, request, reply, context, allowance):
        with self.manager.acquire(request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec()) as servable:
            inference.multi_inference(servable, request, reply, _timeout(context), allowance)

    @_method(
        "GetModelMetadata",
        get_model_metadata_pb2.GetModelMetadataRequest,
        get_model_metadata_pb2.GetModelMetadataResponse,
        _spec_name,
    )
    def GetModelMetadata(self, request, reply, context, allowance):
        metadata(self.manager, request, reply)

    @_method(
        "GetModelStatus", get_model_status_pb2.GetModelStatusRequest, get_model_status_pb2.GetModelStatusResponse, _spec_name
    )
    def GetModelStatus(self, request, reply, context, allowance):
        _need_spec(request)
        status(self.manager, request.model_spec, reply)

    @_method(
        "HandleReloadConfigRequest",
        model_management_pb2.ReloadConfigRequest,
        model_management_pb2.ReloadConfigResponse,
        lambda request: "",
    )
    def HandleReloadConfigRequest(self, request, reply, context, allowance):
        try:
            if request.config.WhichOneof("config") != "model_config_list":
                raise ServingError(_INVALID, "ServerModelConfig type not supported by HandleReloadConfigRequest. Only "
                                   "ModelConfigList is currently supported")  # fmt: skip
            if self.reload == "off":
                raise ServingError(_DENIED, "This server does not reload its configuration by gRPC (--grpc_reload=off)")
            if self.reload == "same_paths":
                self._need_same_paths(request.config.model_config_list)
            timeout = _timeout(context)
            self.manager.reload(request.config, timeout=RELOAD_SECONDS if timeout is None else timeout,
                                gone=lambda: not context.is_active())  # fmt: skip
        except ServingError as error:
            reply.status.error_code, reply.status.error_message = error.code.value[0], error.message
            raise

    def _need_same_paths(self, models):
        for model in models.config:
            if self.manager.base_path(model.name) != model.base_path:
                raise ServingError(_DENIED, f"This server reloads its own models only (--grpc_reload=same_paths); model "
                                   f"{model.name} at {model.base_path} is not one of them")  # fmt: skip


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
