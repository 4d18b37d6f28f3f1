"""The studio without a browser: the page's files, the proxy, the command line. No model is loaded."""

import asyncio
import base64
import io
import json
import pathlib
import re
import types

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.responses import Response

from tfgen_commands import studio as command
from tfgen_commands.main import main
from tfgen_serving.server import ports
from tfgen_serving.server.rest_server import RestServer
from tfgen_serving.studio.app import Proxy, Studio

STATIC = pathlib.Path(command.__file__).resolve().parents[1] / "serving" / "studio" / "static"
OWN = [path for path in STATIC.iterdir() if path.suffix in (".js", ".css", ".html", ".svg") and path.name != "lit.js"]


class ModelServer:
    """An ASGI application in place of a model server: it says what it was asked."""

    def __init__(self):
        self.asked, self.left = [], []

    def close(self):
        pass

    async def __call__(self, scope, receive, send):
        body = (await receive())["body"]
        self.asked.append((scope["method"], scope["raw_path"].decode(), body))
        if b"slow" in body:
            self.left.append((await receive())["type"])
            return
        refused = b"wrong" in body
        reply = {"error": "no such signature"} if refused else {"outputs": [1.0]}
        await Response(json.dumps(reply), 400 if refused else 200, media_type="application/json")(scope, receive, send)


def served(app):
    return RestServer(ports.bind("127.0.0.1", 0, "a test"), app, patience=5, grace=1)


@pytest.fixture(scope="module")
def server():
    """(client of a studio with a model server in it, that model server, client of a studio with a proxy to the first)."""
    inner = ModelServer()
    opened = []

    def open_model(name):
        if name != "vae":
            raise ValueError(f"the studio has no model {name!r}; it has vae")
        opened.append(name)

    examples = {"vae": {"test": np.arange(8, dtype=np.uint8).reshape(2, 2, 2, 1)}}
    given = {"models": lambda: [{"name": "vae"}], "examples": lambda name: examples.get(name, {})}
    first = served(Studio(inner, open_model=open_model, **given))
    url = f"http://127.0.0.1:{first.port}"
    second = served(Studio(Proxy(url, timeout=5), models=list, open_model=open_model, address=url))
    with httpx.Client(base_url=url) as client, httpx.Client(base_url=f"http://127.0.0.1:{second.port}") as through:
        yield types.SimpleNamespace(client=client, inner=inner, through=through, opened=opened)
    for one in (second, first):
        one.stop()
        one.join(1)


# ---- the page's files


@pytest.mark.parametrize("path", ["", *sorted(path.name for path in STATIC.iterdir() if path.suffix != ".ts")])
def test_files_come_with_their_type_and_the_policy(server, path):
    reply = server.client.get(f"/{path}")
    types = {"": "text/html", ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    assert reply.status_code == 200
    assert reply.headers["content-type"].split(";")[0] == types.get(pathlib.Path(path).suffix, "text/plain")
    policy = dict(part.strip().split(" ", 1) for part in reply.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'" and policy["script-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in str(policy) and "http" not in str(policy)
    assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["/app.py", "/../app.py", "/%2e%2e/app.py", "/static/index.html", "/nothing.js", "/lit.d.ts", "/studio/nothing"]
)
def test_nothing_else_is_served(server, path):
    reply = server.client.get(path)
    assert reply.status_code == 404 and path.rpartition("/")[2].split("%")[0] in reply.json()["error"]


@pytest.mark.parametrize("file", OWN, ids=lambda path: path.name)
def test_the_page_names_no_other_host(file):
    text = file.read_text().replace("http://www.w3.org/2000/svg", "")
    assert not re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z]{2,}", text)
    assert file.suffix != ".css" or not re.search(r"@import|url\(", text)


def test_lit_is_whole_and_has_its_licence():
    assert "BSD 3-Clause" in (STATIC / "lit.LICENSE.txt").read_text()
    assert not re.findall(r"https?://(?!www\.w3\.org)[^\s\"'`)]+", (STATIC / "lit.js").read_text())


def test_nothing_of_the_page_is_inline():
    """The policy allows neither inline scripts nor style attributes, so such a part would have no effect."""
    page = (STATIC / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", page)
    for file in OWN:
        if file.suffix == ".js":
            assert not re.search(r"[\s<]style=|\son(?:click|input|change)=\"", file.read_text()), file.name


def test_modules_import_what_is_there():
    for file in OWN:
        for name in re.findall(r"from \"\./([^\"]+)\"", file.read_text()):
            assert (STATIC / name).exists(), f"{file.name} imports {name}"


def test_the_page_is_light():
    assert sum(path.stat().st_size for path in STATIC.iterdir() if path.suffix not in (".txt", ".ts")) < 300_000


# ---- what the studio answers itself


def test_models_and_opening(server):
    assert server.client.get("/studio/models").json() == {"models": [{"name": "vae"}], "address": None}
    assert server.client.post("/studio/open", json={"name": "vae"}).json() == {"name": "vae"}
    assert server.opened == ["vae"]
    reply = server.client.post("/studio/open", json={"name": "gan"})
    assert reply.status_code == 400
    assert reply.json()["error"] == "gan was not opened: the studio has no model 'gan'; it has vae"


def test_examples(server):
    found = server.client.get("/studio/examples/vae").json()
    assert found["test"]["shape"] == [2, 2, 2, 1] and base64.b64decode(found["test"]["pixels"]) == bytes(range(8))
    assert found["training"] is None
    assert server.client.get("/studio/examples/gan").json() == {"test": None, "training": None}


def frames(**changes):
    pixels = np.zeros((3, 2, 4, 1), np.uint8)
    pixels[1], pixels[2, :, 0] = 255, 128
    found = {
        "shape": list(pixels.shape),
        "pixels": base64.b64encode(pixels.tobytes()).decode(),
        "scale": 3,
        "milliseconds": 100,
    }
    return {**found, **changes}


def test_a_gif_has_the_frames(server):
    reply = server.client.post("/studio/gif", json=frames())
    assert reply.status_code == 200 and reply.headers["content-type"] == "image/gif"
    made = Image.open(io.BytesIO(reply.content))
    assert made.size == (12, 6) and made.n_frames == 3 and made.info["duration"] == 100 and made.info["loop"] == 0
    found = []
    for i in range(3):
        made.seek(i)
        found.append(np.asarray(made.convert("L")))
    assert found[0].max() == 0 and found[1].min() == 255
    assert (found[2][:, :3] == 128).all() and (found[2][:, 3:] == 0).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"shape": [3, 2, 4]}, "shape: got [3, 2, 4], expected [frames, height, width, 1 or 3]"),
        ({"shape": [3, 2, 4, 2]}, "shape: got"), ({"shape": "3"}, "shape: got '3'"),
        ({"scale": 0}, "scale: got 0, expected"),
        ({"scale": True}, "scale: got True"), ({"milliseconds": 1}, "milliseconds: got 1, expected a whole number from 20"),
        ({"pixels": "AAAA"}, "pixels: got bytes that are not those of the shape"), ({"pixels": "-"}, "pixels: got"),
        ({"pixels": None}, "pixels: got None, expected a text"), ({"shape": [9999, 999, 999, 1]}, "expected less"),
    ],
)  # fmt: skip
def test_wrong_frames_are_named(server, changes, said):
    reply = server.client.post("/studio/gif", json=frames(**changes))
    assert reply.status_code == 400 and said in reply.json()["error"]


@pytest.mark.parametrize("body", [b"", b"[1]", b"{"])
def test_a_body_that_is_no_object(server, body):
    reply = server.client.post("/studio/open", content=body)
    assert reply.status_code == 400 and "must be a JSON object" in reply.json()["error"]


@pytest.mark.parametrize(
    ("host", "status"), [("localhost", 200), ("127.0.0.1:8600", 200), ("[::1]:1", 200), ("evil.example", 403)]
)
def test_names_of_other_sites_are_refused(server, host, status):
    for path in ("/", "/v1/models/vae"):
        assert server.client.get(path, headers={"host": host}).status_code == status


def test_pages_of_other_sites_are_refused(server):
    for path in ("/studio/open", "/v1/models/vae:predict"):
        reply = server.client.post(path, json={"name": "vae"}, headers={"sec-fetch-site": "cross-site"})
        assert reply.status_code == 403 and "another site" in reply.json()["error"]
        own = server.client.post(path, json={"name": "vae"}, headers={"sec-fetch-site": "same-origin"})
        assert own.status_code == 200


# ---- the model server, in the studio or behind its proxy


@pytest.mark.parametrize("client", ["client", "through"])
def test_requests_and_errors_are_passed_on(server, client):
    asked = getattr(server, client)
    reply = asked.post("/v1/models/a%20b:predict", content=b'{"inputs": 1}')
    assert reply.status_code == 200 and reply.json() == {"outputs": [1.0]}
    assert server.inner.asked[-1] == ("POST", "/v1/models/a%20b:predict", b'{"inputs": 1}')
    reply = asked.post("/v1/models/vae:predict", content=b"wrong")
    assert reply.status_code == 400 and reply.json() == {"error": "no such signature"}
    assert asked.get("/v1/models/vae/metadata").status_code == 200
    assert server.inner.asked[-1][:2] == ("GET", "/v1/models/vae/metadata")


def test_a_request_that_is_given_up_is_given_up_behind_the_proxy(server):
    with pytest.raises(httpx.ReadTimeout):
        server.through.post("/v1/models/vae:predict", content=b"slow", timeout=0.3)
    for _ in range(40):  # less than the timeout of the proxy itself
        if server.inner.left:
            break
        asyncio.run(asyncio.sleep(0.05))
    assert server.inner.left == ["http.disconnect"]


def test_a_server_that_is_not_there():
    bound = ports.bind("127.0.0.1", 0, "a test")  # nobody listens
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    studio = served(Studio(Proxy(url), models=list, open_model=print))
    try:
        reply = httpx.get(f"http://127.0.0.1:{studio.port}/v1/models/vae")
    finally:
        studio.stop()
        studio.join(1)
        bound.close()
    assert reply.status_code == 502 and f"{url} cannot be reached" in reply.json()["error"]


# ---- the command line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--serving", "localhost:8501"], "the address of a server, as http://HOST:PORT"),
        (["--serving", "http://"], "the address of a server"),
        (["--port", "70000"], "--port: got 70000, expected an integer in [0, 65535]"),
        (["--port", "x"], "--port"), (["--model", "vae/digits"], "it takes no option --model"),
        (["no/such"], "no/such"), (["setup.cfg"], "a model in one file is a .keras file; received setup.cfg"),
        (["docs"], "docs is no run folder, no exported folder and no folder of save_to_preset"),
    ],
)  # fmt: skip
def test_wrong_words(words, said, capsys):
    try:
        status = main(["studio", *words])
    except SystemExit as error:
        status = error.code
    assert status == 2
    assert said in capsys.readouterr().err


def test_a_port_in_use_is_said_before_anything_is_exported(capsys, monkeypatch):
    monkeypatch.setattr(command, "_export", lambda *_: pytest.fail("a model was exported"))
    bound = ports.bind("127.0.0.1", 0, "a test")
    bound.listen()
    port = str(bound.getsockname()[1])
    for words in (["vae/digits"], ["--serving", "http://localhost:1"]):
        assert main(["studio", "--port", port, *words]) == 2
        assert f"cannot listen on 127.0.0.1:{port} for the page" in capsys.readouterr().err
    bound.close()


def test_names_of_models(tmp_path):
    for version in ("vae/1", "vae/2", "other/vae/7"):
        (tmp_path / version).mkdir(parents=True)
        (tmp_path / version / "saved_model.pb").touch()
    library = command.Library(["vae/digits", str(tmp_path / "vae"), str(tmp_path / "vae/1"), str(tmp_path / "other/vae")])
    assert list(library.sources) == ["vae-digits", "vae", "vae-2", "vae-3"]
    for name in ("vae", "vae-2"):
        library.prepare(name)
    configs = library.config().model_config_list.config
    assert [(one.name, one.base_path) for one in configs] == [
        ("vae", str(tmp_path / "vae")),
        ("vae-2", str(tmp_path / "vae")),
    ]
    assert list(configs[1].model_version_policy.specific.versions) == [1]
    assert [one["open"] for one in library.models()] == [False, True, True, False]


def test_without_names_there_are_the_weights_that_come_with_tfgen():
    library = command.Library([])
    assert library.first == "vae-digits" and len(library.sources) > 20
    found = library.examples("vae-digits")
    assert found["test"].shape[1:] == (8, 8, 1) and found["training"].shape == (1400, 8, 8, 1)
    assert library.examples("nothing") == {}
