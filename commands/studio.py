"""`tfgen studio`: one page in the browser for all models, in front of a model server."""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import signal
import sys
import threading
import webbrowser
from collections.abc import Sequence
from typing import Annotated

import numpy as np

from tfgen.settings import Rule, Text, within
from tfgen_trainers.arguments import option

SUMMARY = "open a page in the browser in which every model can be tried"
DESCRIPTION = """\
Serves one page for all models, on this machine alone unless --host says otherwise. Without MODEL it has the models whose
trained weights come with tfgen. Each is exported when it is opened; exported folders are served as they are.

MODEL is a preset whose trained weights come with tfgen, such as vae/digits; a run folder of `tfgen train`; a folder of
`tfgen export`; a folder of save_to_preset; a .keras file; or hf://USER/REPO. With --serving, MODEL is the name of a model on
that server: any one that speaks TensorFlow Serving's REST API, which has no list of its models.
"""
EPILOG = """\
examples:
  tfgen studio
  tfgen studio runs/vae models/dcgan style-gan/digits
  tfgen studio --serving http://localhost:8501 vae
"""
PORT = 8600
FIRST = "vae/digits"  # of the weights that come with tfgen, what is opened first: the fastest
HttpAddress = Annotated[
    Text, Rule("", lambda text: re.fullmatch(r"https?://[^\s/?#@]+[^\s?#]*", text) is not None),
    "the address of a server, as http://HOST:PORT",
]  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `tfgen studio`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("models", type=option(Text), nargs="*", metavar="MODEL", help="models of the page, the first is opened first")
    add("--serving", type=option(HttpAddress), metavar="URL",
        help="be in front of a server that runs already, as http://HOST:8501")  # fmt: skip
    add("--host", type=option(Text), default="127.0.0.1",
        help="address to listen on; 0.0.0.0 for all, without any password (default: %(default)s)")  # fmt: skip
    add("--port", type=option(Annotated[int, within(0, 65535)]), default=PORT,
        help="port of the page; 0 picks a free one (default: %(default)s)")  # fmt: skip
    add("--browser", action="store_true", help="also open the page in the browser of this machine")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Runs the command until SIGINT or SIGTERM.

    Args:
        args: the options of `add_arguments`.

    Raises:
        ValueError: an unknown model, or a port in use.
        RuntimeError: the server does not start.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with start(args) as server:
        host = f"[{args.host}]" if ":" in args.host else {"0.0.0.0": "127.0.0.1"}.get(args.host, args.host)
        url = f"http://{host}:{server.port}/"
        print(f"The studio is at {url} (Ctrl-C ends it).", flush=True)
        if args.browser and not webbrowser.open(url):
            print("No browser was found here; open this address in one.", file=sys.stderr)
        stop.wait()


class Running:
    """A studio that runs: `port` is that of the page. As a context it is stopped at the end."""

    def __init__(self, port, stop):
        self.port, self._stop = port, stop

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop()


def start(args: argparse.Namespace) -> Running:
    """Starts the studio in this process; raises as `run`."""
    from tfgen_serving.errors import ServingError

    try:
        return _start_in_front(args) if args.serving else _start_server(args)
    except ServingError as error:
        raise RuntimeError(str(error)) from error


def _start_in_front(args):
    from tfgen_serving.server import ports, rest_server
    from tfgen_serving.studio.app import Proxy, Studio

    names = args.models or ["default"]  # the name of a model where TensorFlow Serving is given none
    models = [{"name": name, "source": name, "open": True} for name in names]
    bound = ports.bind(args.host, args.port, "the page")
    studio = Studio(
        Proxy(args.serving), models=lambda: models, open_model=lambda name: None, address=args.serving.rstrip("/"),
        host=args.host,
    )  # fmt: skip
    server = rest_server.RestServer(bound, studio, patience=10.0, grace=1)

    def stop():
        server.stop()
        server.join(2.0)

    return Running(server.port, stop)


def _start_server(args):
    library = Library(args.models)
    from tfgen_serving.server import flags, main
    from tfgen_serving.server.ports import bind
    from tfgen_serving.studio.app import Studio

    bind(args.host, args.port, "the page").close()  # a port in use is said before a model is exported
    config = library.folder.path / "models.config"
    library.prepare(library.first)
    config.write_text(str(library.config()))
    given = flags.parser().parse_args([
        f"--model_config_file={config}", f"--host={args.host}", "--port=0", f"--rest_api_port={args.port}",
        # Models are looked for when they are opened. A first request takes its time then, and not the start of the page.
        "--file_system_poll_wait_seconds=0", "--enable_model_warmup=false", "--rest_api_timeout_in_ms=120000",
        "--shutdown_grace_seconds=2", "--grpc_reload=off",
    ])  # fmt: skip

    def wrap(app):
        library.manager = app.handler.manager
        return Studio(app, models=library.models, open_model=library.open, examples=library.examples, host=args.host)

    server = main.start(given, wrap=wrap)
    return Running(server.rest_port, lambda: server.stop(2.0))


class Library:
    """The models of a studio, exported when they are opened.

    Args:
        sources: what `tfgen studio` takes for models; empty: the weights that come with tfgen.

    Attributes:
        folder: a temporary folder of the exports.
        first: the name of the model that is opened first.
        manager: the `ModelManager` that serves them; set when it exists.

    Raises:
        ValueError: there is no such model.
    """

    def __init__(self, sources: Sequence[str]):
        from tfgen import pretrained
        from tfgen.files import TemporaryFolder

        if not sources:
            sources = pretrained.names()
            if not sources:
                raise ValueError("no weights came with this tfgen; name a MODEL: a run folder or an exported folder")
            sources = sorted(sources, key=lambda source: source != FIRST)
        self.sources = {}
        for source in sources:
            _check(source)
            self.sources[_free_name(source, self.sources)] = source
        self.first = next(iter(self.sources))
        self.folder, self.manager = TemporaryFolder("tfgen-studio-"), None
        self._opened, self._lock = {}, threading.Lock()

    def models(self) -> list[dict]:
        """[{"name", "source", "open": whether it is served already}] in the order of the sources."""
        return [{"name": name, "source": source, "open": name in self._opened} for name, source in self.sources.items()]

    def prepare(self, name: str) -> None:
        """Exports a model, if it is no exported folder, so that `config` has it."""
        source = self.sources[name]
        self._opened[name] = _exported(source) or (_export(source, self.folder.path / "models" / name), None)

    def open(self, name: str) -> None:
        """Serves a model; ValueError if there is none of this name or it cannot be loaded."""
        from tfgen_serving.errors import ServingError

        if name not in self.sources:
            raise ValueError(f"the studio has no model {name!r}; it has {', '.join(self.sources)}")
        with self._lock:
            if name in self._opened:
                return
            try:
                self.prepare(name)
                self.manager.apply(self.config())
                self.manager.wait_available([name], timeout=300)
            except (ServingError, ValueError, OSError) as error:
                self._opened.pop(name, None)
                raise ValueError(str(error)) from error

    def config(self) -> object:
        """The `ModelServerConfig` of the models that are open."""
        from tensorflow_serving.config import model_server_config_pb2

        from tfgen_serving.server.flags import PLATFORM

        found = model_server_config_pb2.ModelServerConfig()
        for name, (path, version) in self._opened.items():
            one = found.model_config_list.config.add(name=name, base_path=str(path), model_platform=PLATFORM)
            if version is not None:
                one.model_version_policy.specific.versions.append(version)
        return found

    def examples(self, name: str) -> dict[str, np.ndarray | None]:
        """{"test", "training"}: images of the splits of a model's data, uint8 [n, H, W, C], or None.

        Test images come with the weights. Training images are those of data that need no files, such as the digits.
        """
        from tfgen import data, pretrained

        source = self.sources.get(name)
        if source not in pretrained.names() or pathlib.Path(source).exists():
            return {}
        folder, found = pretrained.find(source), {}
        if (folder / pretrained.EXAMPLES).exists():
            with np.load(folder / pretrained.EXAMPLES) as arrays:
                found["test"] = arrays["images"]
        if json.loads((folder / "metadata.json").read_text()).get("data", "").startswith("digits "):
            found["training"] = np.rint(255.0 * data.load("digits", "train").images()).astype(np.uint8)
        return found


def _free_name(source, taken):
    """A name for the address of a model, such as vae-digits; of folders theirs, of versions that of the folder above."""
    path = pathlib.Path(source)
    if path.exists():
        path = path.resolve()
        base = path.parent.name if path.name.isdigit() and (path / "saved_model.pb").exists() else path.stem
    else:
        base = source.removeprefix("hf://")
    base = re.sub(r"[^\w.-]+", "-", base).strip("-") or "model"
    return next(name for name in (base, *(f"{base}-{i}" for i in range(2, len(taken) + 3))) if name not in taken)


def _exported(source):
    """(base path, version or None) of an exported folder, or of a version of one; None of anything else."""
    path = pathlib.Path(source).resolve()
    if (path / "saved_model.pb").exists():
        if not path.name.isdigit():
            raise ValueError(f"{source}: the folder of a version has a number for a name; received {path.name}")
        return path.parent, int(path.name)
    if path.is_dir() and any(one.name.isdigit() and (one / "saved_model.pb").exists() for one in path.iterdir()):
        return path, None
    return None


def _check(source):
    """ValueError at once where there can be no model of this name; the content is checked when it is opened."""
    from tfgen import pretrained

    path = pathlib.Path(source)
    if source.startswith(pretrained.HUB):
        return
    if not path.exists():
        pretrained.find(source)
    elif path.is_file() and path.suffix != ".keras":
        raise ValueError(f"MODEL: a model in one file is a .keras file; received {source}")
    elif path.is_dir() and not (path / "config.json").exists() and _exported(source) is None:
        raise ValueError(
            f"MODEL: {source} is no run folder, no exported folder and no folder of save_to_preset: it has neither a "
            "config.json nor a saved_model.pb in a numbered folder"
        )


def _export(source, folder):
    from tfgen.export import export_saved_model
    from tfgen_commands import models

    model, training = models.load(argparse.Namespace(model=source, preset=None, workdir=None))
    return export_saved_model(
        model, folder, class_names=(training or {}).get("class_names"), metadata={"preset": source}, warmup=False
    ).parent
