"""The client: methods for the signatures of a model, with deadlines, retries and one version for all requests of a call."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from tfgen_serving.client.arguments import (
    decode_inputs,
    floats,
    images_of,
    integers,
    layers_of,
    positive,
    same_rows,
    seeds_of,
    texts_of,
    truncation_of,
    with_conditions,
)  # fmt: skip
from tfgen_serving.client.grpc_transport import GrpcTransport
from tfgen_serving.client.rest_transport import RestTransport
from tfgen_serving.client.signatures import check_outputs, checked_inputs
from tfgen_serving.codes import StatusCode
from tfgen_serving.errors import ServingError

if TYPE_CHECKING:
    import grpc

_VERSION_CHANGES = 3  # attempts of a call if its version is unloaded meanwhile
_CACHE_SECONDS = 1.0  # how long the metadata of a version are kept; servers search for new versions at this interval


class Client:
    """One model on one server. Thread-safe; close it, or use it as a context manager.

    Every call has a deadline, which includes all its requests and retries. A request is repeated, with growing pauses, only
    if the server was UNAVAILABLE (not reachable, or the connection broke). Requests only read, so they can be repeated. Any
    other error is raised at once.

    All requests of one call (many seeds, `interpolate`) are answered by the same version of the model, also while the server
    changes versions. Each call is checked against the signatures of that version, which the client requests at most once a
    second: names of inputs and outputs, shapes and dtypes. A server ignores unknown inputs over REST; the client refuses
    them over both protocols, with the code INVALID_ARGUMENT.

    A call needs a signature of the model. If the model lacks it, the call raises a ServingError with the code UNIMPLEMENTED,
    which names the missing signature and those that the model has. Conditions are arguments with the names of their fields
    and one row for each image: `labels=` int [n], `embedding=` float [n, D], and so on.

    Args:
        target: "host:port" for gRPC; "http://host:port" or "https://host:port", with or without a path, for REST.
        model: name of the model on the server.
        version: int; None: the latest.
        label: version label such as "stable", instead of a version.
        timeout: seconds for a call; each call has an argument to change it.
        retries: how often a request may be repeated; 0: never.
        batch_size: rows per request. The default is the largest size in the shipped batching.config and in warm-up files.
        credentials: `grpc.ChannelCredentials` for TLS; None: plain text.
        headers: {name: value} sent with each request (gRPC: as metadata).

    Raises:
        ValueError: an argument is wrong.
        ImportError: a package that the protocol needs is not installed.
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
        self._timeout, self._retries, self._batch_size = positive(timeout), int(retries), int(batch_size)
        headers = dict(headers or {})
        if target.startswith(("http://", "https://")):
            if credentials is not None:
                raise ValueError("credentials are for gRPC; REST uses TLS with https://.")
            self._transport = RestTransport(target, model, headers)
        elif "://" not in target and target.rpartition(":")[2].isdecimal():
            self._transport = GrpcTransport(target, model, headers, credentials)
        else:
            raise ValueError(f"target must be host:port, http://host:port or https://host:port; received {target!r}.")
        self._cached = (-np.inf, None)  # (time of the request, result of `_served`)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()

    # ---- calls

    def sample(
        self, seeds: ArrayLike, labels: ArrayLike | None = None, codes: ArrayLike | None = None, *,
        truncation: float | ArrayLike | None = None, text: Sequence[str] | None = None, timeout: float | None = None,
        **conditions,
    ) -> np.ndarray:  # fmt: skip
        """Images float32 [n, H, W, C] in [0, 1] of integer seeds [n]; `labels` int [n] for a conditional model.

        The image of a seed is always the same for the same version. `codes` float [n, codes] are for InfoGAN: the
        categorical ones as whole numbers, then the continuous ones. `truncation`, a number or float [n], is for BigGAN, the
        threshold > 0 above which latents are drawn again, and for StyleGAN, psi of any sign. `text`, a list of n sentences,
        takes the place of `embedding` for a StackGAN that was exported with an encoder of texts.

        Raises (as every call):
            ValueError: an argument has the wrong shape or type.
            ServingError: with `code`, a `grpc.StatusCode` (without grpcio an enum of the same names), and a message.
        """
        inputs = with_conditions(seeds_of(seeds), labels=labels, **conditions)
        if truncation is not None:
            inputs = same_rows({**inputs, "truncation": truncation_of(truncation, len(inputs["seeds"]))})
        if text is not None:
            if truncation is not None or codes is not None:
                raise ValueError("text cannot be given together with codes or truncation.")
            return self._call("sample_text", "image", same_rows({**inputs, "text": texts_of(text)}), timeout)
        if codes is None:
            return self._call("sample", "image", inputs, timeout) if truncation is None else self._truncated(inputs, timeout)
        codes = floats(codes, "codes", ("n", "codes"))
        if len(codes) != len(inputs["seeds"]):
            raise ValueError(f"codes must have one row for each seed; received {len(codes)} for {len(seeds)} seeds.")
        return self._call("sample_codes", "image", {**inputs, "codes": codes}, timeout)

    def sample_png(
        self, seeds: ArrayLike, labels: ArrayLike | None = None, *, timeout: float | None = None, **conditions
    ) -> list[bytes]:
        """List of PNG files (bytes), one for each seed."""
        inputs = with_conditions(seeds_of(seeds), labels=labels, **conditions)
        return list(self._call("serving_default", "image_bytes", inputs, timeout))

    def latents(self, seeds: ArrayLike, *, timeout: float | None = None) -> np.ndarray:
        """Latent codes float32 [n, Z] of integer seeds [n]."""
        return self._call("latents", "latent", seeds_of(seeds), timeout)

    def decode(
        self, latents: ArrayLike, labels: ArrayLike | None = None, *, timeout: float | None = None, **conditions
    ) -> np.ndarray:
        """Images float32 [n, H, W, C] of latent codes float [n, Z]."""
        return self._call("decode", "image", decode_inputs(latents, labels=labels, **conditions), timeout)

    def map(
        self, seeds: ArrayLike | None = None, labels: ArrayLike | None = None, *, latents: ArrayLike | None = None,
        truncation: float | ArrayLike = 1.0, timeout: float | None = None,
    ) -> np.ndarray:  # fmt: skip
        """Styles w float32 [n, layers, W] of integer seeds [n], or of latents float [n, Z] (StyleGAN).

        `truncation`: psi, any finite number or float [n], of the first 8 layers; 1 changes nothing, 0 gives the mean.
        `labels`: int [n], of a conditional model.
        """
        if (seeds is None) == (latents is None):
            raise ValueError("map needs seeds or latents, and not both.")
        first = seeds_of(seeds) if latents is None else decode_inputs(latents)
        (num,) = {len(value) for value in first.values()}
        given = same_rows({**first, **with_conditions({"truncation": truncation_of(truncation, num)}, labels=labels)})

        def work(send, _):
            inputs = {name: value for name, value in given.items() if name != "seeds"}
            if latents is None:
                inputs["latent"] = send("latents", ["latent"], first)[0]
            return send("map", ["w"], inputs)[0]

        return self._consistently(work, ("map",) if latents is not None else ("latents", "map"), timeout)

    def synthesize(self, w: ArrayLike, seeds: ArrayLike | None = None, *, timeout: float | None = None) -> np.ndarray:
        """Images float32 [n, H, W, C] in [0, 1] of styles w float [n, layers, W] (StyleGAN).

        `seeds`: int [n], of the noise; None: the noise of `sample`, which is that of the seed 0.
        """
        w = floats(w, "w", ("n", "layers", "W"))
        noise = seeds_of(np.zeros(len(w), np.int64) if seeds is None else seeds)
        return self._call("synthesize", "image", same_rows({"w": w, **noise}), timeout)

    def mix(self, w_a: ArrayLike, w_b: ArrayLike, layers: Sequence[int], *, timeout: float | None = None) -> np.ndarray:
        """Images float32 [n, H, W, C] in [0, 1] of the styles w_a, but in `layers` of w_b (StyleGAN).

        Args:
            w_a, w_b: float [n, layers, W]; image i mixes row i of both.
            layers: whole numbers in [0, layers of w); range(4) are the coarse ones.
        """
        w_a, w_b = (floats(w, name, ("n", "layers", "W")) for name, w in (("w_a", w_a), ("w_b", w_b)))
        inputs = {"w_a": w_a, "w_b": w_b, "layers": layers_of(layers, len(w_a), w_a.shape[1])}
        return self._call("mix", "image", same_rows(inputs), timeout)

    def encode(self, images: ArrayLike, *, timeout: float | None = None) -> np.ndarray:
        """Codes float32 [n, Z] of images float [n, H, W, C] in [0, 1]: of a VAE, the posterior means."""
        return self._call("encode", "latent", {"image": images_of(images)}, timeout)

    def reconstruct(self, images: ArrayLike, seeds: ArrayLike | None = None, *, timeout: float | None = None) -> np.ndarray:
        """Reconstructions float32 [n, H, W, C] of images float [n, H, W, C]; `seeds` int [n] if the model draws them."""
        inputs = {"image": images_of(images), **({} if seeds is None else seeds_of(seeds))}
        return self._call("reconstruct", "image", same_rows(inputs), timeout)

    def log_prob(
        self, images: ArrayLike, labels: ArrayLike | None = None, *, timeout: float | None = None, **conditions
    ) -> np.ndarray:
        """log p(image), float32 [n], nats: exact for an autoregressive model, the importance weighted bound for a VAE."""
        inputs = with_conditions({"image": images_of(images)}, labels=labels, **conditions)
        return self._call("log_prob", "log_prob", inputs, timeout)

    def classify(self, images: ArrayLike, *, timeout: float | None = None) -> np.ndarray:
        """Probabilities of the classes, float32 [n, classes], of images float [n, H, W, C] in [0, 1]."""
        return self._call("classify", "probability", {"image": images_of(images)}, timeout)

    def translate(
        self, images: ArrayLike | None = None, *, seeds: ArrayLike | None = None, back: bool = False, output: str = "image",
        timeout: float | None = None, **fields,
    ) -> np.ndarray:  # fmt: skip
        """Translates pictures: float32 [n, H, W, C] in [0, 1], or clips [n, T, H, W, C].

        Args:
            images: float [n, H, W, C] in [0, 1], the field `image`; None if the model has no such field.
            seeds: int [n], if the model draws noise; the translation of a seed and an image is always the same for the same
                version.
            back: whether the images are of the second domain of a CycleGAN and become ones of the first.
            output: "image", or "frames" for a model that makes clips.
            **fields: the other fields that the model takes, by name, such as `content=` and `style=`.
        """
        inputs = with_conditions({} if images is None else {"image": images_of(images)}, **fields)
        if not inputs:  # seeds alone are no picture
            raise ValueError("translate needs images, or the fields that the model takes by their names; received none.")
        inputs = same_rows({**inputs, **({} if seeds is None else seeds_of(seeds))})
        return self._call("translate_back" if back else "translate", output, inputs, timeout)

    def start_clip(self, start: ArrayLike, *, timeout: float | None = None, **fields) -> np.ndarray:
        """The state float32 [n, ...] of clips after their first frames, which `next_frame` goes on from (Vid2Vid).

        Args:
            start: float [n, T, H, W, C] in [0, 1], the first frames, as many as the signature `start_state` takes.
            **fields: the fields of these frames that the model takes, by name, such as `label_map=` float [n, T, H, W, K].
        """
        inputs = with_conditions({"start": floats(start, "start", ("n", "T", "H", "W", "C"))}, **fields)
        return self._call("start_state", "state", inputs, timeout)

    def next_frame(
        self, state: ArrayLike | None = None, images: ArrayLike | None = None, *, timeout: float | None = None, **fields
    ) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
        """The next frames float32 [n, H, W, C] in [0, 1] of clips, and the state after them (Vid2Vid).

            for label_map in clip:
                image, state = client.next_frame(state, label_map=label_map)

        Each call may be answered by another version of the model.

        Args:
            state: what `start_clip` or the last call returned; None: the clips begin with this frame.
            images: float [n, H, W, C] in [0, 1], the field `image`; None if the model has no such field.
            **fields: the other fields of the frame that the model takes, by name, such as `label_map=` float [n, H, W, K].
        """
        inputs = with_conditions({} if images is None else {"image": images_of(images)}, **fields)
        if not inputs:
            raise ValueError("next_frame needs images, or the fields that the model takes by their names; received none.")
        if state is not None:
            inputs = same_rows({**inputs, "state": floats(state, "state", ("n", "N", "H", "W", "any"))})

        def work(send, signatures):
            given = inputs
            if state is None:
                shape = signatures["next_frame"]["inputs"]["state"]["shape"][1:]
                given = {**inputs, "state": np.zeros((len(next(iter(inputs.values()))), *shape), np.float32)}
            return tuple(send("next_frame", ["image", "state"], given))

        return self._consistently(work, ("next_frame",), timeout)

    def maximize(
        self, unit: ArrayLike, seeds: ArrayLike, steps: int | ArrayLike, *, timeout: float | None = None
    ) -> np.ndarray:
        """Images float32 [n, H, W, C] in [0, 1] that excite units of a network.

        Args:
            unit: int [n], the units.
            seeds: int [n]; the image of a seed and a unit is always the same for the same version.
            steps: number of optimisation steps, int or int [n], up to the model's maximum.
        """
        unit = integers(unit, "unit", np.int32)
        steps = integers(np.broadcast_to(steps, unit.shape) if np.ndim(steps) == 0 else steps, "steps", np.int32)
        return self._call("maximize", "image", same_rows({**seeds_of(seeds), "unit": unit, "steps": steps}), timeout)

    def project(self, images: ArrayLike, *, timeout: float | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(codes float32 [n, Z], their images float32 [n, H, W, C]) that come closest to images float [n, H, W, C]."""
        return tuple(self._predict("project", ["latent", "image"], {"image": images_of(images)}, timeout))

    def edit(self, images: ArrayLike, *, timeout: float | None = None, **fields) -> np.ndarray:
        """Images float32 [n, H, W, C] in [0, 1], projected and changed.

        To change one image in many ways, call `project` once, and `decode` with changed codes (if the model has `decode`).

        Args:
            images: float [n, H, W, C] in [0, 1].
            **fields: the fields of the model's edits, by name, one row for each image: mostly `direction=` float [n, Z], of
                the codes, and `amount=` float [n].
        """
        return self._call("edit", "image", with_conditions({"image": images_of(images)}, **fields), timeout)

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
        images, mask = images_of(images), np.asarray(mask)
        if mask.dtype != bool or mask.shape not in (images.shape[:3], images.shape[1:3]):
            raise ValueError(
                f"mask must be bool {list(images.shape[1:3])}, or one for each image; received {mask.dtype} {mask.shape}."
            )
        mask = np.broadcast_to(mask, images.shape[:3]).astype(np.float32)
        inputs = same_rows({**seeds_of(seeds), "image": images, "mask": mask})
        return self._call("complete", "image", with_conditions(inputs, labels=labels, **conditions), timeout)

    def signatures(self, *, timeout: float | None = None) -> dict[str, dict]:
        """The signatures of the version that answers now, sorted by name.

        Returns:
            {name: {"inputs": {name: tensor}, "outputs": {name: tensor}}}; a tensor is {"dtype": name, "shape": sizes}, with
            None for a free size. If tfgen exported the model, inputs with bounds also have "low" and "high", and "names" of
            the classes or components if the model has them.
        """

        def work(send, signatures):
            described = self._request_card(send)["signatures"] if "card" in signatures else {}
            return {name: described.get(name, signature) for name, signature in sorted(signatures.items())}

        return self._consistently(work, (), timeout, fresh=True)

    def card(self, *, timeout: float | None = None) -> dict:
        """The card of the model: capabilities, shape of its images, classes and their names, codes, fields.

        docs/serving.md describes the dict.
        """
        return self._consistently(lambda send, _: self._request_card(send), ("card",), timeout)

    def predict(
        self, signature: str, inputs: dict[str, ArrayLike], outputs: Sequence[str], *, timeout: float | None = None
    ) -> list[np.ndarray]:
        """Calls any signature of the model and returns a list of arrays [n, ...], one for each name in `outputs`.

            canvases, boxes = client.predict("canvases", {"seeds": [1, 2, 3]}, ["canvas", "boxes"])  # DRAW

        Args:
            signature: its name; the README lists the signatures of each model.
            inputs: {name: array [n, ...]} with n >= 1 rows. Whole numbers and floats are converted to the dtypes of the
                signature; strings are bytes or str.
            outputs: names, at least one. The arrays have the dtypes of the signature; strings are object arrays of bytes.
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
        """Images float32 [steps, H, W, C] of a path between the latents of two seeds, ends included.

        Args:
            rule: "lerp" or "slerp", see `tfgen.sampling`.
            label: int, the class of all images of a conditional model.
            **conditions: other conditions, each for one image: `embedding=` float [D].
        """
        from tfgen.sampling.interpolation import latent_path

        ends = seeds_of([seed_a, seed_b])

        def work(send, _):
            ((a, b),) = send("latents", ["latent"], ends)
            path = latent_path(a, b, steps, rule=rule)
            given = {"labels": label, **conditions}
            given = {name: [value] * len(path) for name, value in given.items() if value is not None}
            return send("decode", ["image"], decode_inputs(path, **given))[0]

        return self._consistently(work, ("latents", "decode"), timeout)

    def served_version(self, *, timeout: float | None = None) -> int:
        """The version that answers now; ServingError NOT_FOUND if there is none."""
        return self._served(self._deadline(timeout), fresh=True)[0]

    def wait_until_ready(self, timeout: float | None = None) -> int:
        """Waits until the model answers, also while the server starts, and returns its version."""
        deadline = self._deadline(timeout)
        while True:
            try:
                return self._served(deadline, fresh=True)[0]
            except ServingError as error:
                if error.code not in (StatusCode.NOT_FOUND, StatusCode.UNAVAILABLE) or deadline - time.monotonic() < 0.2:
                    raise
            time.sleep(0.1)

    # ---- requests

    def _truncated(self, inputs, timeout):
        """`sample_truncated`. The card says whether a number may be 0 or below."""

        def work(send, signatures):
            low = inputs["truncation"].min()
            if low <= 0.0:
                card = self._request_card(send) if "card" in signatures else {"signatures": {}}
                described = card["signatures"].get("sample_truncated", {"inputs": {"truncation": {"low": 0.0}}})
                if described["inputs"]["truncation"].get("low") is not None:
                    raise ValueError(f"truncation must be above 0; received {low}.")
            return send("sample_truncated", ["image"], inputs)[0]

        return self._consistently(work, ("sample_truncated",), timeout)

    def _deadline(self, timeout):
        return time.monotonic() + (self._timeout if timeout is None else positive(timeout))

    def _call(self, signature, output, inputs, timeout):
        return self._predict(signature, [output], inputs, timeout)[0]

    def _predict(self, signature, outputs, inputs, timeout):
        return self._consistently(lambda send, _: send(signature, outputs, inputs), (signature,), timeout)

    def _request_card(self, send):
        ((text,),) = send("card", ["card"], {"unused": np.zeros(1, np.int32)})
        return json.loads(text)

    def _consistently(self, work, needed, timeout, fresh=False):
        """The result of `work(send, signatures)`, with the same version of the model for all requests by `send`.

        Args:
            work: a function; send(signature, outputs, inputs) returns the outputs, signatures is {name: signature}.
            needed: names of the signatures that `work` uses.
            fresh: whether to ignore cached metadata of the version.
        """
        deadline = self._deadline(timeout)
        for attempt in range(_VERSION_CHANGES):
            _, signatures = served = self._served(deadline, fresh or attempt > 0)
            missing = [name for name in needed if name not in signatures]
            if missing:
                names, found = ", ".join(map(repr, missing)), ", ".join(sorted(signatures))
                message = f"{self.model!r} has no signature {names}; it has {found}"
                raise ServingError(StatusCode.UNIMPLEMENTED, message)
            try:
                return work(lambda *request, served=served: self._send(*request, served, deadline), signatures)
            except ServingError as error:
                # A newer version may have replaced it: then all requests are repeated.
                if error.code is not StatusCode.NOT_FOUND or attempt == _VERSION_CHANGES - 1:
                    raise

    def _send(self, name, outputs, inputs, served, deadline):
        version, signatures = served
        signature, called = signatures[name], f"signature {name!r} of {self.model!r}, version {version},"
        inputs = checked_inputs(called, signature, inputs)
        check_outputs(called, signature, outputs)
        rows, size = len(next(iter(inputs.values()))), self._batch_size
        chunks = []
        for i in range(0, rows, size):
            part = {key: value[i : i + size] for key, value in inputs.items()}
            chunk = self._retried(
                lambda left, part=part: self._transport.predict(name, signature, outputs, part, version, left), deadline
            )
            for values in chunk:
                if values.shape[:1] != (min(size, rows - i),):
                    message = f"{name} answered {min(size, rows - i)} rows with an array of the shape {values.shape}"
                    raise ServingError(StatusCode.INTERNAL, message)
            chunks.append(chunk)
        return [np.concatenate(values) for values in zip(*chunks, strict=True)]

    def _served(self, deadline, fresh):
        """(version, {name: signature}) of the version that answers."""
        requested, served = self._cached
        if fresh or time.monotonic() - requested > _CACHE_SECONDS:
            version, found = self._retried(lambda left: self._transport.metadata(self._choice, left), deadline)
            # Names like __saved_model_init_op are TensorFlow's own.
            served = version, {name: signature for name, signature in found.items() if not name.startswith("__")}
            self._cached = time.monotonic(), served
        return served

    def _retried(self, request, deadline):
        for attempt in range(self._retries + 1):
            left = deadline - time.monotonic()
            if left <= 0:
                raise ServingError(StatusCode.DEADLINE_EXCEEDED, f"No answer from {self._transport.target} in time")
            try:
                return request(left)
            except ServingError as error:
                # Full jitter, so that clients that lost the same server do not come back all at once.
                pause = random.uniform(0.0, min(2.0, 0.1 * 2**attempt))
                late = time.monotonic() + pause >= deadline
                if error.code is not StatusCode.UNAVAILABLE or attempt == self._retries or late:
                    raise
                time.sleep(pause)
