"""A client for models behind TensorFlow Serving or `tfgen serve`, over gRPC or REST.

    from tfgen_serving.client import Client

    with Client("localhost:8500", "vae-digits") as client:      # gRPC
        images = client.sample([1, 2, 3])                       # float32 [3, 8, 8, 1] in [0, 1]
    with Client("http://localhost:8501", "vae-digits") as client:  # REST
        pngs = client.sample_png([1, 2, 3])

gRPC carries images as raw numbers and is the faster one; over REST prefer `sample_png`. REST needs httpx, gRPC needs
tensorflow-serving-api; each is imported when it is used.
"""

import base64
import json
import random
import time
import urllib.parse
from collections.abc import Sequence

import grpc
import numpy as np
from numpy.typing import ArrayLike

from tfgen_serving.errors import ServingError

_Code = grpc.StatusCode
_CODES = {
    400: _Code.INVALID_ARGUMENT, 401: _Code.UNAUTHENTICATED, 403: _Code.PERMISSION_DENIED, 404: _Code.NOT_FOUND,
    408: _Code.DEADLINE_EXCEEDED, 409: _Code.ABORTED, 413: _Code.RESOURCE_EXHAUSTED, 429: _Code.RESOURCE_EXHAUSTED,
    499: _Code.CANCELLED, 500: _Code.INTERNAL, 501: _Code.UNIMPLEMENTED, 502: _Code.UNAVAILABLE,
    503: _Code.UNAVAILABLE, 504: _Code.DEADLINE_EXCEEDED,
}  # fmt: skip
_ANY_SIZE = 1 << 62  # bytes of a reply
_VERSION_CHANGES = 3  # attempts of a call of several requests whose version is unloaded under it


class Client:
    """One model on one server. Thread-safe; close it, or use it as a context manager.

    Every call has a deadline, which includes all its requests and retries. A request is repeated, with growing pauses, only
    if the server was UNAVAILABLE (not reachable, or the connection broke). Requests only read, so they can be repeated. Any
    other error is raised at once.

    All requests of one call (many seeds, `interpolate`) are answered by the same version of the model, also while the server
    changes versions.

    Which calls a model answers depends on what it can do; a call that it cannot answer is a ServingError with the code
    UNIMPLEMENTED that names the signature it would need and those that there are. Conditions are arguments by the names of
    their fields, with one row for each image: `labels=` int [n], `embedding=` float [n, D], and so on.

    Args:
        target: "host:port" for gRPC; "http://host:port" or "https://host:port", with or without a path, for REST.
        model: name of the model on the server.
        version: int; None: the latest.
        label: version label such as "stable", instead of a version.
        timeout: seconds for a call; each call has an argument to change it.
        retries: how often a request may be repeated; 0: never.
        batch_size: rows per request; the size up to which the shipped batching.config and warm-up files go.
        credentials: `grpc.ChannelCredentials` for TLS; None: plain text.
        headers: {name: value} sent with each request (gRPC: as metadata).

    Raises:
        ValueError: an argument is wrong.
    """

    def __init__(
        self, target: str, model: str, *, version: int | None = None, label: str | None = None, timeout: float = 30.0,
        retries: int = 4, batch_size: int = 32, credentials: grpc.ChannelCredentials | None = None,
        headers: dict[str, str] | None = None,
    ):  # fmt: skip
        if not model or not isinstance(model, str):
            raise ValueError(f"model must be the model's name on the server; received {model!r}.")
        if version is not None and label is not None:
            raise ValueError(f"Give a version or a label, not both; received {version!r} and {label!r}.")
        if retries < 0 or batch_size < 1:
            raise ValueError(f"retries must be at least 0 and batch_size at least 1; received {retries} and {batch_size}.")
        self.model, self._choice = model, {"version": version} if label is None else {"label": label}
        self._timeout, self._retries, self._batch_size = _positive(timeout), int(retries), int(batch_size)
        headers = dict(headers or {})
        if target.startswith(("http://", "https://")):
            if credentials is not None:
                raise ValueError("credentials are for gRPC; REST uses TLS with https://.")
            self._transport = _Rest(target, model, headers)
        elif "://" not in target and target.rpartition(":")[2].isdecimal():
            self._transport = _Grpc(target, model, headers, credentials)
        else:
            raise ValueError(f"target must be host:port, http://host:port or https://host:port; received {target!r}.")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        self._transport.close()

    # ---- calls

    def sample(
        self, seeds: ArrayLike, labels: ArrayLike | None = None, codes: ArrayLike | None = None, *,
        timeout: float | None = None, **conditions,
    ) -> np.ndarray:  # fmt: skip
        """Images float32 [n, H, W, C] in [0, 1] of integer seeds [n]; `labels` int [n] for a conditional model.

        The image of a seed is always the same for the same version. `codes` float [n, codes] are for InfoGAN: the
        categorical ones as whole numbers, then the continuous ones.

        Raises (as every call):
            ValueError: an argument has the wrong shape or type.
            ServingError: with `code`, a `grpc.StatusCode`, and the server's message.
        """
        inputs = _with(_seeds(seeds), labels=labels, **conditions)
        if codes is None:
            return self._call("sample", "image", inputs, timeout)
        codes = _floats(codes, "codes", ("n", "codes"))
        if len(codes) != len(inputs["seeds"]):
            raise ValueError(f"One row of codes for each seed is needed; received {len(codes)} for {len(seeds)} seeds.")
        return self._call("sample_codes", "image", {**inputs, "codes": codes}, timeout)

    def sample_png(
        self, seeds: ArrayLike, labels: ArrayLike | None = None, *, timeout: float | None = None, **conditions
    ) -> list[bytes]:
        """List of PNG files (bytes), one for each seed."""
        inputs = _with(_seeds(seeds), labels=labels, **conditions)
        return list(self._call("serving_default", "image_bytes", inputs, timeout))

    def latents(self, seeds: ArrayLike, *, timeout: float | None = None) -> np.ndarray:
        """Latent codes float32 [n, Z] of integer seeds [n]."""
        return self._call("latents", "latent", _seeds(seeds), timeout)

    def decode(
        self, latents: ArrayLike, labels: ArrayLike | None = None, *, timeout: float | None = None, **conditions
    ) -> np.ndarray:
        """Images float32 [n, H, W, C] of latent codes float [n, Z]."""
        return self._call("decode", "image", _decode_inputs(latents, labels=labels, **conditions), timeout)

    def encode(self, images: ArrayLike, *, timeout: float | None = None) -> np.ndarray:
        """Codes float32 [n, Z] of images float [n, H, W, C] in [0, 1]: of a VAE, the posterior means."""
        return self._call("encode", "latent", {"image": _images(images)}, timeout)

    def reconstruct(self, images: ArrayLike, seeds: ArrayLike | None = None, *, timeout: float | None = None) -> np.ndarray:
        """Images float32 [n, H, W, C] that the model makes of the codes of images; `seeds` int [n] where it draws them."""
        inputs = {"image": _images(images), **({} if seeds is None else _seeds(seeds))}
        return self._call("reconstruct", "image", _same_rows(inputs), timeout)

    def log_prob(
        self, images: ArrayLike, labels: ArrayLike | None = None, *, timeout: float | None = None, **conditions
    ) -> np.ndarray:
        """log p(image), float32 [n], nats: exact for an autoregressive model, the importance weighted bound for a VAE."""
        return self._call("log_prob", "log_prob", _with({"image": _images(images)}, labels=labels, **conditions), timeout)

    def classify(self, images: ArrayLike, *, timeout: float | None = None) -> np.ndarray:
        """Probabilities of the classes, float32 [n, classes], of images float [n, H, W, C] in [0, 1]."""
        return self._call("classify", "probability", {"image": _images(images)}, timeout)

    def translate(
        self, images: ArrayLike | None = None, *, output: str = "image", timeout: float | None = None, **fields
    ) -> np.ndarray:
        """Translates pictures: float32 [n, H, W, C] in [0, 1], or clips [n, T, H, W, C].

        Args:
            images: float [n, H, W, C] in [0, 1], the field `image`; None if the model has no such field.
            output: "image", or "frames" of a model that makes clips.
            **fields: the other fields that it takes, by name, such as `content=` and `style=`.
        """
        inputs = _with({} if images is None else {"image": _images(images)}, **fields)
        if not inputs:
            raise ValueError("translate needs images, or the fields that the model takes by their names; received none.")
        return self._call("translate", output, inputs, timeout)

    def maximize(
        self, unit: ArrayLike, seeds: ArrayLike, steps: int | ArrayLike, *, timeout: float | None = None
    ) -> np.ndarray:
        """Images float32 [n, H, W, C] in [0, 1] that excite units of a network.

        Args:
            unit: int [n], the units.
            seeds: int [n]; the image of a seed and a unit is always the same for the same version.
            steps: int, or int [n], of the optimisation; a model has a largest number.
        """
        unit = _integers(unit, "unit", np.int32)
        steps = _integers(np.broadcast_to(steps, unit.shape) if np.ndim(steps) == 0 else steps, "steps", np.int32)
        return self._call("maximize", "image", _same_rows({**_seeds(seeds), "unit": unit, "steps": steps}), timeout)

    def project(self, images: ArrayLike, *, timeout: float | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(codes float32 [n, Z], their images float32 [n, H, W, C]) that come closest to images float [n, H, W, C]."""
        inputs, outputs = {"image": _images(images)}, ["latent", "image"]
        return tuple(self._explained(lambda: self._predict("project", outputs, inputs, timeout), ("project",), timeout))

    def edit(self, images: ArrayLike, *, timeout: float | None = None, **fields) -> np.ndarray:
        """Images float32 [n, H, W, C] in [0, 1], projected and changed.

        To change one image in many ways, call `project` once and `decode` with changed codes, where the model has it.

        Args:
            images: float [n, H, W, C] in [0, 1].
            **fields: what the model's edits take, by name, one row for each image: mostly `direction=` float [n, Z], of the
                codes, and `amount=` float [n].
        """
        return self._call("edit", "image", _with({"image": _images(images)}, **fields), timeout)

    def complete(
        self, images: ArrayLike, mask: ArrayLike, seeds: ArrayLike, labels: ArrayLike | None = None, *,
        timeout: float | None = None, **conditions,
    ) -> np.ndarray:  # fmt: skip
        """Images float32 [n, H, W, C] with new values for unknown pixels (autoregressive models).

        Args:
            images: float [n, H, W, C] in [0, 1], of the model's levels where they are known.
            mask: bool [n, H, W], or [H, W] for all of them; true where the image is known.
            seeds: int [n]; the completion of a seed and an image is always the same for the same version.
            labels: int [n], for a conditional model.
        """
        images, mask = _images(images), np.asarray(mask)
        if mask.dtype != bool or mask.shape not in (images.shape[:3], images.shape[1:3]):
            raise ValueError(
                f"mask must be bool {list(images.shape[1:3])}, or one for each image; received {mask.dtype} {mask.shape}."
            )
        mask = np.broadcast_to(mask, images.shape[:3]).astype(np.float32)
        inputs = _same_rows({**_seeds(seeds), "image": images, "mask": mask})
        return self._call("complete", "image", _with(inputs, labels=labels, **conditions), timeout)

    def signatures(self, *, timeout: float | None = None) -> list[str]:
        """Names of the signatures of the version that answers now, sorted."""
        deadline = self._deadline(timeout)
        return sorted(self._retried(lambda left: self._transport.signatures(self._choice, left), deadline))

    def predict(
        self, signature: str, inputs: dict[str, ArrayLike], outputs: Sequence[str], *, timeout: float | None = None
    ) -> list[np.ndarray]:
        """Any signature of the model: a list of arrays [n, ...], one for each name in `outputs`.

            canvases, boxes = client.predict("canvases", {"seeds": [1, 2, 3]}, ["canvas", "boxes"])  # DRAW

        Args:
            signature: its name; those of each model are in the README.
            inputs: {name: array [n, ...]}, one row for each of n >= 1 questions, of the dtypes of the signature.
            outputs: names, at least one. Over REST, which has no types, the arrays are float32.
        """
        inputs, outputs = {name: np.asarray(value) for name, value in inputs.items()}, list(outputs)
        shapes = {name: value.shape for name, value in inputs.items()}
        rows = {shape[:1] for shape in shapes.values()}
        if len(rows) != 1 or rows & {(), (0,)}:
            raise ValueError(f"inputs must be arrays with the same number of rows, at least one; received {shapes}.")
        if not outputs or not all(isinstance(name, str) for name in outputs):
            raise ValueError(f"outputs must be a list of names; received {outputs!r}.")
        return self._predict(signature, outputs, inputs, timeout)

    def interpolate(
        self, seed_a: int, seed_b: int, steps: int = 9, *, rule: str = "lerp", label: int | None = None,
        timeout: float | None = None, **conditions,
    ) -> np.ndarray:  # fmt: skip
        """Images float32 [steps, H, W, C] on the way from the image of one seed to that of another, both included.

        Args:
            rule: "lerp" or "slerp", see `tfgen.sampling`.
            label: int, the class of all images of a conditional model.
            **conditions: others, each of one image: `embedding=` float [D].
        """
        from tfgen.sampling import latent_path

        ends = _seeds([seed_a, seed_b])

        def work(ask):
            ((a, b),) = ask("latents", ["latent"], ends)
            path = latent_path(a, b, steps, rule=rule)
            given = {"labels": label, **conditions}
            given = {name: [value] * len(path) for name, value in given.items() if value is not None}
            return ask("decode", ["image"], _decode_inputs(path, **given))[0]

        return self._explained(lambda: self._consistently(work, timeout, requests=2), ("latents", "decode"), timeout)

    def served_version(self, *, timeout: float | None = None) -> int:
        """The version that answers now; ServingError NOT_FOUND if there is none."""
        return self._resolve(self._deadline(timeout))

    def wait_until_ready(self, timeout: float | None = None) -> int:
        """Waits until the model answers, also while the server starts, and returns its version."""
        deadline = self._deadline(timeout)
        while True:
            try:
                return self._resolve(deadline)
            except ServingError as error:
                if error.code not in (_Code.NOT_FOUND, _Code.UNAVAILABLE) or deadline - time.monotonic() < 0.2:
                    raise
            time.sleep(0.1)

    # ---- requests

    def _deadline(self, timeout):
        return time.monotonic() + (self._timeout if timeout is None else _positive(timeout))

    def _call(self, signature, output, inputs, timeout):
        return self._explained(lambda: self._predict(signature, [output], inputs, timeout)[0], (signature,), timeout)

    def _explained(self, call, needed, timeout):
        """`call()`; an error that comes of a signature which the model has not says so."""
        try:
            return call()
        except ServingError as error:
            if "signature" not in error.message.lower():
                raise
            try:
                there = self.signatures(timeout=timeout)
            except ServingError:
                raise error from None
            missing = [name for name in needed if name not in there]
            if not missing:
                raise
            message = f"{self.model!r} has no signature {', '.join(map(repr, missing))}; it has {', '.join(there)}"
            raise ServingError(_Code.UNIMPLEMENTED, message) from error

    def _predict(self, signature, outputs, inputs, timeout):
        rows = len(next(iter(inputs.values())))
        return self._consistently(
            lambda ask: ask(signature, outputs, inputs), timeout, requests=-(-rows // self._batch_size)
        )

    def _consistently(self, work, timeout, requests):
        """work(ask) with one version of the model behind all its requests."""
        deadline = self._deadline(timeout)
        if requests == 1 or self._choice.get("version") is not None:
            return work(lambda *request: self._ask(*request, self._choice, deadline))
        for attempt in range(_VERSION_CHANGES):
            choice = {"version": self._resolve(deadline)}
            try:
                return work(lambda *request, choice=choice: self._ask(*request, choice, deadline))
            except ServingError as error:
                # Between two requests a newer version may have taken its place: then all of them again.
                if error.code is not _Code.NOT_FOUND or attempt == _VERSION_CHANGES - 1:
                    raise

    def _ask(self, signature, outputs, inputs, choice, deadline):
        rows, size = len(next(iter(inputs.values()))), self._batch_size
        chunks = []
        for i in range(0, rows, size):
            part = {name: value[i : i + size] for name, value in inputs.items()}
            chunk = self._retried(
                lambda left, part=part: self._transport.predict(signature, outputs, part, choice, left), deadline
            )
            for values in chunk:
                if len(values) != min(size, rows - i):
                    raise ServingError(_Code.INTERNAL, f"{signature} answered {min(size, rows - i)} rows with {len(values)}")
            chunks.append(chunk)
        return [np.concatenate(values) for values in zip(*chunks, strict=True)]

    def _resolve(self, deadline):
        return self._retried(lambda left: self._transport.version(self._choice, left), deadline)

    def _retried(self, request, deadline):
        for attempt in range(self._retries + 1):
            left = deadline - time.monotonic()
            if left <= 0:
                raise ServingError(_Code.DEADLINE_EXCEEDED, f"No answer from {self._transport.target} in time")
            try:
                return request(left)
            except ServingError as error:
                # Full jitter, so that clients that lost the same server do not come back all at once.
                pause = random.uniform(0.0, min(2.0, 0.1 * 2**attempt))
                if error.code is not _Code.UNAVAILABLE or attempt == self._retries or time.monotonic() + pause >= deadline:
                    raise
                time.sleep(pause)


# ---- arguments


def _positive(timeout):
    if not timeout > 0:
        raise ValueError(f"timeout must be a positive number of seconds; received {timeout!r}.")
    return float(timeout)


def _integers(values, name, dtype):
    array = np.asarray(values)
    if array.ndim != 1 or not array.size or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{name} must be a list of at least one integer; received {array.dtype} of shape {array.shape}.")
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    if int(array.min()) < low or int(array.max()) > high:
        raise ValueError(
            f"{name} must fit {np.dtype(dtype)}; received up to {int(array.max())}, down to {int(array.min())}."
        )
    return array.astype(dtype)


def _floats(values, name, axes):
    array = np.asarray(values)
    if array.ndim != len(axes) or not array.size or not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"{name} must be float [{', '.join(axes)}]; received {array.dtype} of shape {array.shape}.")
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite; received NaN or infinity.")
    return array


def _images(values):
    return _floats(values, "images", ("n", "H", "W", "C"))


def _seeds(seeds):
    return {"seeds": _integers(seeds, "seeds", np.int64)}


def _decode_inputs(latents, **conditions):
    return _with({"latent": _floats(latents, "latents", ("n", "Z"))}, **conditions)


def _with(inputs, **conditions):
    """The inputs and conditions, arrays [n, ...]: whole numbers are int32, others float32; None is left out."""
    inputs = dict(inputs)
    for name, values in conditions.items():
        if values is None:
            continue
        array = np.asarray(values)
        if name == "labels" or (array.ndim == 1 and np.issubdtype(array.dtype, np.integer)):
            inputs[name] = _integers(values, name, np.int32)
        else:
            inputs[name] = _floats(values, name, ("n", *["..."] * (array.ndim - 1)) if array.ndim else ("n",))
    return _same_rows(inputs)


def _same_rows(inputs):
    rows = {name: len(value) for name, value in inputs.items()}
    if len(set(rows.values())) > 1:
        raise ValueError(f"There must be one row of each for every image; received {rows}.")
    return inputs


# ---- transports: predict(signature, outputs, inputs, choice, seconds) -> [ndarray], version(choice, seconds) -> int,
# signatures(choice, seconds) -> names


class _Grpc:
    def __init__(self, target, model, headers, credentials):
        from tensorflow_serving.apis import get_model_metadata_pb2, model_pb2, predict_pb2, prediction_service_pb2_grpc

        self._metadata_pb2, self._model_pb2, self._predict_pb2 = get_model_metadata_pb2, model_pb2, predict_pb2
        self.target, self._model = target, model
        self._headers = [(name.lower(), value) for name, value in headers.items()]
        options = [
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            # After a failed connection gRPC refuses calls for a second and more, doubled each time: longer than our pauses.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
        ]
        if credentials is None:
            self._channel = grpc.insecure_channel(target, options)
        else:
            self._channel = grpc.secure_channel(target, credentials, options)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def close(self):
        self._channel.close()

    def predict(self, signature, outputs, inputs, choice, seconds):
        import tensorflow as tf

        from tfgen_serving.server import tensors  # tf.make_ndarray takes 10 times as long for the values of a reply

        request = self._predict_pb2.PredictRequest(model_spec=self._spec(choice), output_filter=outputs)
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        reply = self._run(self._stub.Predict, request, seconds)
        _require(outputs, reply.outputs)
        return [tensors.from_proto(reply.outputs[name], name, _ANY_SIZE) for name in outputs]

    def version(self, choice, seconds):
        return self._metadata(choice, seconds).model_spec.version.value

    def signatures(self, choice, seconds):
        found = self._metadata_pb2.SignatureDefMap()
        self._metadata(choice, seconds).metadata["signature_def"].Unpack(found)
        return [name for name in found.signature_def if not name.startswith("__")]

    def _metadata(self, choice, seconds):
        request = self._metadata_pb2.GetModelMetadataRequest(model_spec=self._spec(choice), metadata_field=["signature_def"])
        return self._run(self._stub.GetModelMetadata, request, seconds)

    def _spec(self, choice):
        spec = self._model_pb2.ModelSpec(name=self._model)
        if choice.get("version") is not None:
            spec.version.value = choice["version"]
        elif choice.get("label") is not None:
            spec.version_label = choice["label"]
        return spec

    def _run(self, method, request, seconds):
        try:
            return method(request, timeout=seconds, metadata=self._headers)
        except grpc.RpcError as error:
            raise ServingError(error.code(), error.details() or "") from error


class _Rest:
    def __init__(self, target, model, headers):
        import httpx

        self._httpx, self.target = httpx, target.rstrip("/")
        self._url = f"{self.target}/v1/models/{urllib.parse.quote(model, safe='')}"
        # No proxy from the environment: a model server is a neighbour. Redirects are not followed.
        self._client = httpx.Client(headers={"Content-Type": "application/json", **headers}, trust_env=False)

    def close(self):
        self._client.close()

    def predict(self, signature, outputs, inputs, choice, seconds):
        body = _json_bytes({"signature_name": signature, "inputs": inputs})
        reply = self._run("POST", f"{self._path(choice)}:predict", seconds, body)
        if "outputs" not in reply:
            raise ServingError(_Code.INTERNAL, f"The reply has no 'outputs'; it has {sorted(reply)}")
        found = reply["outputs"]
        if not isinstance(found, dict):  # a single output comes without its name
            found = {outputs[0]: found}
        _require(outputs, found)
        return [_rest_array(name, found[name]) for name in outputs]

    def version(self, choice, seconds):
        return int(self._run("GET", f"{self._path(choice)}/metadata", seconds)["model_spec"]["version"])

    def signatures(self, choice, seconds):
        found = self._run("GET", f"{self._path(choice)}/metadata", seconds)
        try:
            names = found["metadata"]["signature_def"]["signature_def"]
        except (KeyError, TypeError) as error:
            raise ServingError(_Code.INTERNAL, f"The metadata of {self.target} names no signatures") from error
        return [name for name in names if not name.startswith("__")]

    def _path(self, choice):
        if choice.get("version") is not None:
            return f"{self._url}/versions/{int(choice['version'])}"
        if choice.get("label") is not None:
            return f"{self._url}/labels/{urllib.parse.quote(choice['label'], safe='')}"
        return self._url

    def _run(self, verb, url, seconds, body=None):
        end = time.monotonic() + seconds
        try:
            with self._client.stream(verb, url, content=body, timeout=seconds) as reply:
                content = bytearray()
                for chunk in reply.iter_bytes():
                    content += chunk
                    if time.monotonic() > end:  # httpx's timeout is that of each single read
                        raise ServingError(_Code.DEADLINE_EXCEEDED, f"The reply of {self.target} did not end in time")
        except self._httpx.TimeoutException as error:
            raise ServingError(_Code.DEADLINE_EXCEEDED, f"No answer from {self.target} in time") from error
        except self._httpx.TransportError as error:
            raise ServingError(_Code.UNAVAILABLE, f"{self.target}: {error}") from error
        if reply.status_code != 200:
            code = _CODES.get(reply.status_code, _Code.UNKNOWN)
            raise ServingError(code, f"HTTP {reply.status_code}: {_error_text(content)}")
        try:
            parsed = _parse(content)
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict):
            raise ServingError(_Code.INTERNAL, f"The reply of {self.target} is no JSON object: {_error_text(content)}")
        return parsed


def _require(outputs, found):
    for name in outputs:
        if name not in found:
            raise ServingError(_Code.INTERNAL, f"The reply has no output {name!r}; it has {sorted(found)}")


def _rest_array(name, value):
    if not name.endswith("_bytes"):
        return np.asarray(value, np.float32)
    array = np.empty(len(value), object)
    array[:] = [base64.b64decode(row["b64"]) for row in value]
    return array


def _json_bytes(value):
    try:
        import orjson  # 10 times as fast on images, and half as long: it writes float32 with the digits that it needs
    except ImportError:
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
