"""The REST API, with starlette and uvicorn in a separate thread.

Routes, codes and texts follow tensorflow/serving 2.16.1 (http_rest_api_handler.cc, http_rest_api_util.cc, http_server.cc).
"""

import asyncio
import collections
import concurrent.futures
import contextlib
import fcntl
import gzip
import json
import logging
import re
import resource
import sys
import termios
import threading
import time
import urllib.parse
import zlib

import grpc
import h11
import uvicorn
from google.protobuf import json_format
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    regression_pb2,
)
from uvicorn.protocols.http.h11_impl import H11Protocol

from tfgen_serving import json_tensor
from tfgen_serving.allowance import Allowance
from tfgen_serving.errors import ServingError, http_status
from tfgen_serving.json_tensor import dialect
from tfgen_serving.server import examples_json, grpc_server, inference
from tfgen_serving.server.flags import ConfigError
from tfgen_serving.server.servable import DEFAULT_SIGNATURE

MAX_CONNECTIONS = 1000
PEER_SHARE = 0.9  # of all connections that one address may have; the others are a reserve for other addresses
LARGE_BODY_BYTES = 1 << 20
_PART_BYTES = 1 << 20  # of a gzip body that are unpacked at a time
KEEP_ALIVE_SECONDS = 75
# Replies of this size in bytes are compressed for clients that accept it. Compressing megabytes takes longer than the model.
GZIP_BYTES = range(1024, 1 << 20)
_JSON = {"content-type": "application/json"}
_CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "POST, GET",
    "access-control-allow-headers": "Content-Type",
}
_PLACE = r"/v1/models/([^/:]+)(?:/versions/([0-9]+)|/labels/([^/:]+))?"
_PREDICT = re.compile(_PLACE + r":(classify|regress|predict)", re.IGNORECASE)
_STATUS = re.compile(r"/v1/models(?:/([^/:]+))?(?:/versions/([0-9]+)|/labels/([^/:]+))?(?:/(metadata))?", re.IGNORECASE)
_log = logging.getLogger("tfgen.serving")
_INVALID = grpc.StatusCode.INVALID_ARGUMENT


class Handler:
    """Computes the reply to each REST request. Thread-safe."""

    def __init__(self, manager, metrics):
        self.manager, self.metrics = manager, metrics
        # Parsing holds Python's lock, so parsing several large bodies at once takes more memory and no less time.
        self._large_body = threading.Lock()

    def answer(self, method, path, body, allowance):
        """The reply to a request: (HTTP status, body).

        Args:
            path: percent-encoded, without the query.
            allowance: an `Allowance` with a deadline.
        """
        started, code = time.monotonic(), grpc.StatusCode.OK
        spec, api = model_pb2.ModelSpec(), None
        try:
            api, fill = self._route(method, path, spec)
            reply = fill(spec, body, allowance)
        except Exception as error:
            failure = grpc_server.failure(error, f"{method} {path}")
            code, reply = failure.code, json_tensor.format_error(failure.message)
        if api and self.manager.is_configured(spec.name):
            self.metrics.request(spec.name, api, "REST", code.name, time.monotonic() - started)
        return http_status(code), reply

    def _route(self, method, path, spec):
        match = None
        if method == "POST":
            match = _PREDICT.fullmatch(path)
        elif method == "GET":
            match = _STATUS.fullmatch(path)
        if match is None:
            raise _malformed(method, path)
        name, version, label, what = match.groups()
        if name is None:
            raise ServingError(_INVALID, "Missing model name in request.")
        # The name is used as a dictionary key, never as part of a file name.
        spec.name = _unquoted(name)
        if version is not None:
            if len(version) > 30 or int(version) >= 2**63:
                raise ServingError(_INVALID, f"Failed to convert version: {version} to numeric.")
            spec.version.value = int(version)
        if label is not None:
            spec.version_label = _unquoted(label)
        if method == "GET":
            if what is None:
                return "GetModelStatus", self._status
            if what == "metadata":
                return "GetModelMetadata", self._metadata
        fills = {"predict": self._predict, "classify": self._classify, "regress": self._regress}
        if what in fills:  # the pattern ignores case, but methods are case-sensitive
            return what.capitalize(), fills[what]
        raise _malformed(method, path)

    def _predict(self, spec, body, allowance):
        with contextlib.ExitStack() as stack:
            servable = None

            def signature_of(name):
                nonlocal servable  # the same version for the signature and the run
                servable = servable or stack.enter_context(self.manager.acquire(spec))
                name = name or DEFAULT_SIGNATURE
                if name not in servable.signatures:
                    raise ServingError(_INVALID, f'Serving signature name: "{name}" not found in signature def')
                return servable.signatures[name]

            with self._turn(body, allowance):
                request = json_tensor.parse_predict(body, signature_of, allowance)
            timeout = allowance.deadline - time.monotonic()
            outputs = inference.predict(servable, request.signature_name, request.inputs, timeout=timeout)
        return json_tensor.format_predict(outputs, request.row)

    @contextlib.contextmanager
    def _turn(self, body, allowance):
        """Bodies of LARGE_BODY_BYTES and more are parsed one after the other."""
        if len(body) < LARGE_BODY_BYTES:
            yield
            return
        if not self._large_body.acquire(timeout=max(0.0, allowance.deadline - time.monotonic())):
            raise ServingError(grpc.StatusCode.DEADLINE_EXCEEDED, "Timed out while other large requests were read")
        try:
            yield
        finally:
            self._large_body.release()

    def _classify(self, spec, body, allowance):
        request, reply = classification_pb2.ClassificationRequest(), classification_pb2.ClassificationResponse()
        with self._turn(body, allowance):
            request.input.CopyFrom(_examples(spec, body, request.model_spec, allowance))
        with self.manager.acquire(spec) as servable:
            inference.classify(servable, request, reply, allowance.deadline - time.monotonic(), allowance)
        return examples_json.format_classify(reply.result)

    def _regress(self, spec, body, allowance):
        request, reply = regression_pb2.RegressionRequest(), regression_pb2.RegressionResponse()
        with self._turn(body, allowance):
            request.input.CopyFrom(_examples(spec, body, request.model_spec, allowance))
        with self.manager.acquire(spec) as servable:
            inference.regress(servable, request, reply, allowance.deadline - time.monotonic(), allowance)
        return examples_json.format_regress(reply.result)

    def _status(self, spec, body, allowance):
        reply = get_model_status_pb2.GetModelStatusResponse()
        grpc_server.status(self.manager, spec, reply)
        return _json(_as_dict(reply, preserving_proto_field_name=True))

    def _metadata(self, spec, body, allowance):
        request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec, metadata_field=["signature_def"])
        reply = get_model_metadata_pb2.GetModelMetadataResponse()
        grpc_server.metadata(self.manager, request, reply)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        reply.metadata["signature_def"].Unpack(signatures)
        return _json({
            "model_spec": _as_dict(reply.model_spec, preserving_proto_field_name=True),
            "metadata": {"signature_def": _as_dict(signatures, preserving_proto_field_name=True)},
        })  # fmt: skip


def _examples(spec, body, target, allowance):
    target.CopyFrom(spec)
    target.signature_name, examples = examples_json.parse_examples(body, allowance)
    return examples


def _malformed(method, path):
    return ServingError(_INVALID, f"Malformed request: {method} {path}")


def _unquoted(text):
    return urllib.parse.unquote_to_bytes(text).decode("utf-8", "replace")


def _as_dict(message, **options):
    """A message as JSON values with every primitive field printed."""
    try:
        return json_format.MessageToDict(message, always_print_fields_with_no_presence=True, **options)
    except TypeError:  # protobuf before 5
        return json_format.MessageToDict(message, including_default_value_fields=True, **options)


def _json(value):
    return json.dumps(value, indent=1).encode()


class App:
    """The ASGI application: reads requests within limits, answers them in threads, compresses replies.

    Args:
        handler: a `Handler`.
        page: function that returns the text of the metrics, or None.
        page_path: URL path of the metrics.
        timeout: seconds for a request from its headers to its answer.
        max_bytes: limit for a body, before and after decompression.
        max_elements: limit for the values in a body.
        budget: a `MemoryBudget`.
        threads: number of threads that compute replies.
        cors: whether replies have CORS headers.
    """

    def __init__(self, handler, *, page, page_path, timeout, max_bytes, max_elements, budget, threads, cors):
        self.handler, self.page, self.page_path = handler, page, page_path
        self.timeout, self.max_bytes, self.cors = timeout, max_bytes, cors
        self.max_elements, self.budget = max_elements, budget
        self.pool = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="rest")

    def close(self):
        """Ends the threads, without waiting for those that compute."""
        self.pool.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            response = await self.respond(request)
        except ClientDisconnect:
            return
        except Exception:
            _log.exception("%s %s failed", request.method, scope["path"])
            response = self.error(500, "Internal error")
        await response(scope, receive, send)

    async def respond(self, request):
        deadline = time.monotonic() + self.timeout
        path = request.scope["raw_path"].decode("ascii")
        if self.page_path is not None and path == self.page_path:
            return Response(self.page(), media_type="text/plain", headers={"content-type": "text/plain"})
        if "transfer-encoding" in request.headers and "content-length" in request.headers:
            # Two servers that read such a request differently see different requests after it.
            return self.error(400, "A request must not have both Content-Length and Transfer-Encoding", close=True)
        if not path.lower().startswith("/v1/"):
            return Response("Not Found", 404, media_type="text/plain")
        if request.method == "OPTIONS":
            allowed = re.search("https?://", request.headers.get("origin", "")) is not None
            return Response(status_code=200 if allowed else 400, headers=_CORS if self.cors else None)
        allowance = Allowance(budget=self.budget, max_elements=self.max_elements, deadline=deadline)
        try:
            body = await asyncio.wait_for(self.read(request, allowance), self.timeout)
        except BaseException as error:
            allowance.release()
            if isinstance(error, asyncio.TimeoutError):
                return self.error(408, "The request did not arrive in time")
            if isinstance(error, _Refused):
                return self.error(error.status, str(error))
            if isinstance(error, ServingError):
                return self.error(http_status(error.code), error.message, close=True)
            raise
        loop = asyncio.get_running_loop()
        packed = len(body) and request.headers.get("content-encoding", "identity").lower().strip()
        work = self.pool.submit(self.work, request.method, path, body, packed, allowance)
        # The thread may run for longer than the wait below.
        work.add_done_callback(lambda _: allowance.release())
        del body
        try:
            # The run has this deadline too; here it limits the wait for a thread and operations that cannot be interrupted.
            status, reply = await asyncio.wait_for(asyncio.wrap_future(work), deadline - time.monotonic() + 0.25)
        except asyncio.TimeoutError:
            return self.error(504, f"Not answered within {self.timeout:g} seconds")
        headers = dict(_JSON)
        if len(reply) in GZIP_BYTES and _accepts_gzip(request.headers.get("accept-encoding", "")):
            reply = await loop.run_in_executor(self.pool, gzip.compress, reply, 1)
            headers |= {"content-encoding": "gzip", "vary": "Accept-Encoding"}
        return Response(reply, status, headers=headers | (_CORS if self.cors else {}))

    def work(self, method, path, body, packed, allowance):
        if packed and packed != "identity":
            try:
                body = _unpack(body, packed, self.max_bytes, allowance)
            except _Refused as refused:
                return refused.status, json_tensor.format_error(str(refused))
            except ServingError as error:
                return http_status(error.code), json_tensor.format_error(error.message)
        return self.handler.answer(method, path, body, allowance)

    def error(self, status, message, *, close=False):
        headers = _JSON | (_CORS if self.cors else {}) | ({"connection": "close"} if close else {})
        return Response(json_tensor.format_error(message), status, headers=headers)

    async def read(self, request, allowance):
        length = request.headers.get("content-length", "0")
        too_large = _Refused(413, f"The request body is larger than {self.max_bytes} bytes")
        if int(length) > self.max_bytes:  # h11 has checked that it is a number
            raise too_large
        chunks, size = [], 0
        async for chunk in request.stream():
            chunks.append(chunk)
            size += len(chunk)
            if size > self.max_bytes:
                raise too_large
            allowance.reserve(len(chunk))
        return b"".join(chunks)


class _Refused(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def _unpack(body, encoding, max_bytes, allowance):
    if encoding not in ("gzip", "x-gzip"):
        raise _Refused(415, f"Content-Encoding {encoding} is not supported; gzip is")
    unpacker, parts, size, elements, position = zlib.decompressobj(wbits=31), [], 0, 0, 0
    while not unpacker.eof:
        allowance.check_time()
        data = unpacker.unconsumed_tail
        if not data:
            data = body[position : position + _PART_BYTES]
            position += len(data)
            if not data:
                raise _Refused(400, "The gzip body is incomplete")
        try:
            parts.append(unpacker.decompress(data, _PART_BYTES))
        except zlib.error as error:
            raise _Refused(400, f"The body is not gzip: {error}") from error
        size += len(parts[-1])
        if size > max_bytes:
            raise _Refused(413, f"The unpacked request body is larger than {max_bytes} bytes")
        elements += dialect.count_elements(parts[-1])
        allowance.check_elements(elements)  # few bytes may unpack to millions of elements
        allowance.reserve(2 * len(parts[-1]))  # the parts and the whole
    if rest := len(unpacker.unused_data) + len(body) - position:
        raise _Refused(400, f"{rest} bytes follow the end of the gzip body")
    return b"".join(parts)


def _accepts_gzip(header):
    for part in header.lower().split(","):
        name, _, parameters = part.partition(";")
        if name.strip() in ("gzip", "*"):
            return re.search(r"q\s*=\s*0(\.0*)?\s*$", parameters) is None
    return False


class Protocol(H11Protocol):
    """uvicorn's HTTP/1.1 with limits for connections, and timeouts for clients that send headers slowly or do not read.

    If the connections reach a limit, a new one replaces one that waits for a request.
    """

    patience = 10.0  # seconds; set by `RestServer`
    max_connections = MAX_CONNECTIONS  # also set by `RestServer`

    def connection_made(self, transport):
        super().connection_made(transport)
        self._reading = self._writing = None
        self._unsent, self._since = 0, self.loop.time()
        if self._make_room():
            self._watch()
        else:
            transport.abort()

    def _make_room(self):
        """Whether the connections, with this one, are within the limits, after closing at most one."""
        by_peer = collections.defaultdict(list)
        for other in self.connections:
            by_peer[other.client and other.client[0]].append(other)
        crowd = by_peer[self.client and self.client[0]]
        if len(crowd) <= PEER_SHARE * self.max_connections:
            if len(self.connections) <= self.max_connections:
                return True
            crowd = max(by_peer.values(), key=len)
        waiting = [other for other in crowd if other is not self and other._waits()]
        if waiting:
            # First those that have never sent a request.
            min(waiting, key=lambda other: (other.cycle is not None, other._since)).transport.abort()
        return bool(waiting)

    def _waits(self):
        between = self.cycle is None or self.cycle.response_complete
        return between and not self.transport.is_closing() and not self.transport.get_write_buffer_size()

    def data_received(self, data):
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._watch()  # the headers of the next request, or the rest of a refused body
        else:
            self._unwatch()

    def on_response_complete(self):
        super().on_response_complete()
        self._since = self.loop.time()
        if self.cycle.more_body or self.conn.trailing_data[0]:
            self._watch()  # answered before the whole request was read, or the next request has begun

    def send_400_response(self, msg):
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # a reply is being sent, so no other can be sent
            self.transport.abort()
            return
        body = json_tensor.format_error(msg)
        headers = [*_JSON.items(), ("content-length", str(len(body))), ("connection", "close")]
        for event in (h11.Response(status_code=400, headers=headers, reason="Bad Request"), h11.Data(data=body)):
            self.transport.write(self.conn.send(event))
        self.transport.close()

    def pause_writing(self):
        super().pause_writing()
        self._unsent = self._unsent_bytes()
        self._stop_writing_timer()
        self._writing = self.loop.call_later(self.patience, self._check_progress)

    def _check_progress(self):
        unsent = self._unsent_bytes()
        if unsent >= self._unsent:
            self.transport.abort()
            return
        self._unsent = unsent
        self._writing = self.loop.call_later(self.patience, self._check_progress)

    def _unsent_bytes(self):
        """Bytes that the client has not received: those here, and those of the socket, which may be megabytes."""
        size = self.transport.get_write_buffer_size()
        try:
            queued = fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, b"\0" * 4)
        except OSError:
            return size  # the connection is closed
        return size + int.from_bytes(queued, sys.byteorder)

    def resume_writing(self):
        super().resume_writing()
        self._stop_writing_timer()

    def _stop_writing_timer(self):
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    def connection_lost(self, exc):
        self._unwatch()
        self._stop_writing_timer()
        super().connection_lost(exc)

    def _watch(self):
        if self._reading is None:  # counted from the first byte, so that slow bytes do not extend it
            self._reading = self.loop.call_later(self.patience, self.transport.abort)

    def _unwatch(self):
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None


def _open_files():
    """How many files and sockets this process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class RestServer:
    """uvicorn in a thread, on a socket that is bound to an address (`ports.bind`)."""

    def __init__(self, bound, app, *, patience, grace):
        self._socket = bound
        self._socket.listen(256)
        self.port = self._socket.getsockname()[1]
        self.app = app
        settings = {"patience": patience, "max_connections": min(MAX_CONNECTIONS, _open_files() // 2)}
        config = uvicorn.Config(
            app, http=type("Protocol", (Protocol,), settings), ws="none", lifespan="off", log_config=None,
            access_log=False, server_header=False, timeout_keep_alive=KEEP_ALIVE_SECONDS, timeout_graceful_shutdown=grace,
            h11_max_incomplete_event_size=64 << 10,
        )  # fmt: skip
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="rest", daemon=True)
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise ConfigError(f"the REST server on port {self.port} did not start")
            time.sleep(0.005)

    def stop(self):
        """Refuses new connections and returns at once. Running requests are finished."""
        self._server.should_exit = True

    def join(self, timeout):
        self._thread.join(timeout)
        self._server.force_exit = True
        self._thread.join(1)
        self._socket.close()
        self.app.close()
