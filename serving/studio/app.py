"""The ASGI application of the studio: the page, what it asks of the studio itself, and before it all a model server.

GET  /                     the page; its modules and styles are beside it
GET  /studio/models        the models that can be opened
POST /studio/open          opens one: {"name": ...}
GET  /studio/examples/NAME example images of a model, if it brings some
POST /studio/gif           an animation of frames
*    /v1/...               the model server, see `tfgen_serving.server.rest_server.App` and `Proxy`
"""

import asyncio
import base64
import importlib.resources
import io
import ipaddress
import json
import pathlib
import urllib.parse
from collections.abc import Callable

import numpy as np
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

MAX_BYTES = 64 << 20  # of a request to the studio itself, as `tfgen serve` has it for those to models
HEADERS = {
    # The page has no inline script and no inline style, and asks this server alone.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}
_TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml", ".txt": "text/plain"}


class StudioError(ValueError):
    """What the studio cannot do, in words for its user; `status` is that of the reply."""

    def __init__(self, message: str, status: int = 400):
        super().__init__(message)
        self.status = status


class Studio:
    """The page in front of a model server.

    Example:
        >>> studio = Studio(server, models=lambda: [{"name": "vae"}], open_model=lambda name: None)  # doctest: +SKIP

    Args:
        server: the ASGI application that answers `/v1/...`; it has a method `close`.
        models: function that returns the models as JSON objects with at least `name`.
        open_model: function of a name that returns when the server has this model; ValueError says why it cannot.
        examples: function of a name that returns {"test", "training"}, each uint8 [n, H, W, C], or None if there are none.
        address: where else the server can be asked, for commands that are copied from the page; None: at this address.
        host: the name by which the studio is reached, beside addresses and localhost; None: no other.
    """

    def __init__(
        self, server: Callable, *, models: Callable[[], list[dict]], open_model: Callable[[str], None],
        examples: Callable[[str], dict[str, np.ndarray | None]] = lambda name: {}, address: str | None = None,
        host: str | None = None,
    ):  # fmt: skip
        self.server, self.models, self.open_model, self.examples = server, models, open_model, examples
        self.address, self.host = address, host
        self._folder = importlib.resources.files(__package__) / "static"

    def close(self) -> None:
        """Frees what the server holds."""
        self.server.close()

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        if not self._is_ours(request.headers.get("host", "")):
            # A page of another site whose name leads to this address would else be of the same origin.
            received = request.headers.get("host")
            response = _error(403, f"The studio is not reached by the name {received!r}; use its address.")
        elif request.method == "POST" and request.headers.get("sec-fetch-site") == "cross-site":
            response = _error(403, "The studio answers its own page; this request is from a page of another site.")
        elif scope["path"].lower().startswith("/v1/"):
            return await self.server(scope, receive, send)
        else:
            try:
                response = await self._respond(request)
            except ClientDisconnect:
                return
        await response(scope, receive, send)

    def _is_ours(self, host):
        name = urllib.parse.urlsplit(f"//{host}").hostname or ""
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in ("localhost", self.host)
        return True

    async def _respond(self, request):
        method, path = request.method, request.scope["path"]
        if method in ("GET", "HEAD"):
            name = path.removeprefix("/") or "index.html"
            if "/" not in name and (kind := _TYPES.get(pathlib.PurePath(name).suffix)) and (self._folder / name).is_file():
                return Response((self._folder / name).read_bytes(), media_type=kind, headers=HEADERS)
            if path == "/studio/models":
                return _json({"models": self.models(), "address": self.address})
        answers = {("POST", "/studio/open"): self._open, ("POST", "/studio/gif"): self._gif}
        answer = answers.get((method, path))
        try:
            if method == "GET" and path.startswith("/studio/examples/"):
                return await asyncio.to_thread(self._examples, path.removeprefix("/studio/examples/"))
            if answer is None:
                return _error(404, f"The studio has no {method} {path}")
            return await asyncio.to_thread(answer, await _body(request))
        except StudioError as error:
            return _error(error.status, str(error))

    def _open(self, given):
        name = _text(given, "name")
        try:
            self.open_model(name)
        except (ValueError, OSError, RuntimeError) as error:
            raise StudioError(f"{name} was not opened: {error}") from error
        return _json({"name": name})

    def _examples(self, name):
        found = {"test": None, "training": None, **self.examples(name)}
        return _json({kind: None if images is None else _packed(images) for kind, images in found.items()})

    def _gif(self, given):
        return Response(gif(given), media_type="image/gif", headers=HEADERS)


def gif(given: dict) -> bytes:
    """A GIF that repeats.

    Args:
        given: {"shape": [frames, H, W, 1 or 3], "pixels": their bytes in base64, "scale": side of a pixel, from 1 to 64,
            "milliseconds": duration of a frame, from 20 to 10000}.

    Raises:
        StudioError: a value is missing or wrong.
    """
    from PIL import Image

    shape = given.get("shape")
    whole = isinstance(shape, list) and len(shape) == 4 and all(isinstance(n, int) and n > 0 for n in shape)
    if not whole or shape[3] not in (1, 3):
        raise StudioError(f"shape: got {shape!r}, expected [frames, height, width, 1 or 3], positive whole numbers")
    scale, milliseconds = _whole(given, "scale", 1, 64), _whole(given, "milliseconds", 20, 10_000)
    size = shape[0] * shape[1] * shape[2] * scale**2
    if size > MAX_BYTES:
        raise StudioError(f"scale: got {scale}, expected less: the frames would have {size:,} pixels, at most {MAX_BYTES:,}")
    try:
        pixels = np.frombuffer(base64.b64decode(_text(given, "pixels"), validate=True), np.uint8).reshape(shape)
    except ValueError as error:
        raise StudioError(f"pixels: got bytes that are not those of the shape {shape}: {error}") from error
    pixels = pixels.repeat(scale, axis=1).repeat(scale, axis=2)
    first, *others = [Image.fromarray(frame[..., 0] if shape[3] == 1 else frame) for frame in pixels]
    made = io.BytesIO()
    first.save(made, "GIF", save_all=True, append_images=others, duration=milliseconds, loop=0)
    return made.getvalue()


class Proxy:
    """Passes requests on to a model server elsewhere, so that the page asks its own origin alone.

    Args:
        url: "http://host:port" or "https://host:port", with or without a path.
        timeout: seconds that the server may take.
    """

    def __init__(self, url: str, timeout: float = 60.0):
        import httpx

        self.url, self._httpx, self._timeout = url.rstrip("/"), httpx, timeout
        self._client = None

    def close(self) -> None:
        """Does nothing: connections end with the loop that made them."""

    async def __call__(self, scope, receive, send):
        request = Request(scope, receive)
        try:
            body = await _read(request)
        except ClientDisconnect:
            return
        except StudioError as error:
            return await _error(error.status, str(error))(scope, receive, send)
        passing = asyncio.ensure_future(self._pass_on(request, body))
        # When the page gives a request up, the server need not answer it either.
        leaving = asyncio.ensure_future(_left(receive))
        await asyncio.wait((passing, leaving), return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        if not passing.done():
            passing.cancel()
            return
        await passing.result()(scope, receive, send)

    async def _pass_on(self, request, body):
        if self._client is None:  # in the loop that uses it; proxies of the environment are meant for the internet
            self._client = self._httpx.AsyncClient(timeout=self._timeout, trust_env=False)
        path = request.scope["raw_path"].decode("ascii")
        try:
            reply = await self._client.request(
                request.method, self.url + path, content=body, headers={"content-type": "application/json"}
            )
        except self._httpx.TimeoutException:
            return _error(504, f"{self.url} did not answer within {self._timeout:g} seconds.")
        except (self._httpx.HTTPError, self._httpx.InvalidURL) as error:
            why = str(error) or type(error).__name__
            return _error(502, f"{self.url} cannot be reached: {why}. Is the server running, with its REST port open?")
        kind = reply.headers.get("content-type", "application/json")
        return Response(reply.content, reply.status_code, media_type=None, headers={**HEADERS, "content-type": kind})


async def _left(receive):
    while (await receive())["type"] != "http.disconnect":
        pass


async def _read(request):
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BYTES:
            raise StudioError(f"The request has more than {MAX_BYTES:,} bytes", 413)
        chunks.append(chunk)
    return b"".join(chunks)


async def _body(request):
    try:
        found = json.loads(await _read(request))
    except ValueError as error:
        if isinstance(error, StudioError):
            raise
        raise StudioError(f"The request must be a JSON object: {error}") from error
    if not isinstance(found, dict):
        raise StudioError(f"The request must be a JSON object; received {type(found).__name__}")
    return found


def _text(given, name):
    if not isinstance(found := given.get(name), str) or not found:
        raise StudioError(f"{name}: got {found!r}, expected a text")
    return found


def _whole(given, name, low, high):
    found = given.get(name)
    if not isinstance(found, int) or isinstance(found, bool) or not low <= found <= high:
        raise StudioError(f"{name}: got {found!r}, expected a whole number from {low} to {high}")
    return found


def _packed(images):
    return {"shape": list(images.shape), "pixels": base64.b64encode(images.astype(np.uint8).tobytes()).decode()}


def _json(value, status=200):
    return Response(json.dumps(value), status, media_type="application/json", headers=HEADERS)


def _error(status, message):
    """As TensorFlow Serving says errors, so that the page has one way to read them."""
    return _json({"error": message}, status)
