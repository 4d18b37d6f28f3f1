"""TensorFlow Serving's REST protocol."""

import base64
import json
import time
import urllib.parse

import numpy as np

from tfgen_serving.codes import StatusCode
from tfgen_serving.errors import ServingError

_CODES = {
    400: StatusCode.INVALID_ARGUMENT, 401: StatusCode.UNAUTHENTICATED, 403: StatusCode.PERMISSION_DENIED,
    404: StatusCode.NOT_FOUND, 408: StatusCode.DEADLINE_EXCEEDED, 409: StatusCode.ABORTED,
    413: StatusCode.RESOURCE_EXHAUSTED, 429: StatusCode.RESOURCE_EXHAUSTED, 499: StatusCode.CANCELLED,
    500: StatusCode.INTERNAL, 501: StatusCode.UNIMPLEMENTED, 502: StatusCode.UNAVAILABLE, 503: StatusCode.UNAVAILABLE,
    504: StatusCode.DEADLINE_EXCEEDED,
}  # fmt: skip
_DTYPES = {"DT_FLOAT": "float32", "DT_DOUBLE": "float64", "DT_HALF": "float16"}  # others: the name in lower case


class RestTransport:
    """Requests to one model, over HTTP. The methods are those of `GrpcTransport`.

    Args:
        target: "http://host:port" or "https://host:port", with or without a path.
        model: name of the model.
        headers: {name: value}.

    Raises:
        ImportError: httpx is not installed.
    """

    def __init__(self, target, model, headers):
        try:
            import httpx
        except ModuleNotFoundError as error:
            raise ImportError(
                f"REST needs the package httpx ({error}). Install it, or use gRPC: host:port, which needs the packages "
                "grpcio and protobuf."
            ) from error
        self._httpx, self.target = httpx, target.rstrip("/")
        self._url = f"{self.target}/v1/models/{urllib.parse.quote(model, safe='')}"
        # Proxies from the environment are ignored: they are meant for the internet. Redirects are not followed.
        self._client = httpx.Client(headers={"Content-Type": "application/json", **headers}, trust_env=False)

    def close(self):
        self._client.close()

    def predict(self, name, signature, outputs, inputs, version, seconds):
        body = _json_bytes({"signature_name": name, "inputs": {key: _plain(array) for key, array in inputs.items()}})
        reply = self._run("POST", f"{self._path({'version': version})}:predict", seconds, body)
        if "outputs" not in reply:
            raise ServingError(StatusCode.INTERNAL, f"The reply has no 'outputs'; it has {sorted(reply)}")
        found = reply["outputs"]
        if len(signature["outputs"]) == 1:  # a single output has no name in the reply
            found = dict.fromkeys(signature["outputs"], found)
        try:
            return [_array(found[output], signature["outputs"][output]["dtype"]) for output in outputs]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            message = f"The reply of {self.target} does not hold the outputs {', '.join(outputs)} of {name!r}"
            raise ServingError(StatusCode.INTERNAL, message) from error

    def metadata(self, choice, seconds):
        found = self._run("GET", f"{self._path(choice)}/metadata", seconds)
        try:
            return int(found["model_spec"]["version"]), {
                name: {kind: {key: _tensor(info) for key, info in signature.get(kind, {}).items()}
                       for kind in ("inputs", "outputs")}
                for name, signature in found["metadata"]["signature_def"]["signature_def"].items()
            }  # fmt: skip
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ServingError(StatusCode.INTERNAL, f"The metadata of {self.target} have no signatures") from error

    def _path(self, choice):
        if choice.get("version") is not None:
            return f"{self._url}/versions/{int(choice['version'])}"
        if choice.get("label") is not None:
            return f"{self._url}/labels/{urllib.parse.quote(choice['label'], safe='')}"
        return self._url

    def _run(self, method, url, seconds, body=None):
        end = time.monotonic() + seconds
        try:
            with self._client.stream(method, url, content=body, timeout=seconds) as reply:
                content = bytearray()
                for chunk in reply.iter_bytes():
                    content += chunk
                    if time.monotonic() > end:  # httpx's timeout is that of each single read
                        raise ServingError(StatusCode.DEADLINE_EXCEEDED, f"The reply of {self.target} did not end in time")
        except self._httpx.TimeoutException as error:
            raise ServingError(StatusCode.DEADLINE_EXCEEDED, f"No answer from {self.target} in time") from error
        except self._httpx.TransportError as error:
            raise ServingError(StatusCode.UNAVAILABLE, f"{self.target}: {error}") from error
        if reply.status_code != 200:
            code = _CODES.get(reply.status_code, StatusCode.UNKNOWN)
            raise ServingError(code, f"HTTP {reply.status_code}: {_error_text(content)}")
        try:
            parsed = _parse(content)
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict):
            message = f"The reply of {self.target} is not a JSON object: {_error_text(content)}"
            raise ServingError(StatusCode.INTERNAL, message)
        return parsed


def _tensor(info):
    shape = info["tensor_shape"]
    sizes = [int(dim["size"]) for dim in shape.get("dim", [])]
    return {
        "dtype": _DTYPES.get(info["dtype"], info["dtype"].removeprefix("DT_").lower()),
        "shape": None if shape.get("unknown_rank") else [None if size < 0 else size for size in sizes],
    }


def _plain(array):
    """Strings as base64 objects, which carry any bytes; numbers as they are."""
    if array.dtype.kind != "O":
        return array
    values = np.empty(array.shape, object)
    values.ravel()[:] = [{"b64": base64.b64encode(value).decode()} for value in array.ravel()]
    return values.tolist()


def _array(value, dtype):
    if dtype != "string":
        return np.asarray(value, dtype)
    array = np.array(value, object)
    flat = [base64.b64decode(v["b64"]) if isinstance(v, dict) else v.encode() for v in array.ravel()]
    found = np.empty(array.shape, object)
    found.ravel()[:] = flat
    return found


def _json_bytes(value):
    finite = all(array.dtype.kind != "f" or np.isfinite(array).all() for array in value["inputs"].values()
                 if isinstance(array, np.ndarray))  # fmt: skip
    try:
        import orjson  # 10 times as fast on images, and half as long: float32 is written with the fewest digits
    except ImportError:
        orjson = None
    if orjson is None or not finite:  # orjson writes null for NaN
        return json.dumps(value, default=np.ndarray.tolist).encode()
    return orjson.dumps(value, default=np.ndarray.tolist, option=orjson.OPT_SERIALIZE_NUMPY)  # default: for views


def _parse(content):
    try:
        import orjson

        return orjson.loads(content)
    except ImportError:
        return json.loads(content)
    except ValueError:  # TensorFlow Serving prints NaN and Infinity, which orjson refuses
        return json.loads(content)


def _error_text(content):
    try:
        return json.loads(content)["error"]
    except (ValueError, TypeError, KeyError):  # not from the server itself, but e.g. from a proxy before it
        return bytes(content[:200]).decode("utf-8", "replace")
