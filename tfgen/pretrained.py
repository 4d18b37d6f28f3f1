"""Trained models as folders of a few small files, found by the name of a preset, a path or an address.

    model = tfgen.from_preset("vae/digits")         # weights that come with tfgen, see `names`
    model.save_to_preset("mine")                    # after `fit`; a folder
    model = tfgen.from_preset("mine")
    model = tfgen.models.VAE.from_preset("mine")    # also of a class of your own

A folder has the form of KerasHub's presets, and nothing in it is code:

    config.json          {"class_name", "config"}
    model.weights.h5     the weights: the averaged ones, if the model has averages
    metadata.json        which weights these are, their dtype on disk, versions, and the sha256 of every other file
    README.md            a model card, if one was given
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import re
import secrets
import shutil
import tempfile
import zipfile
from importlib import metadata as distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfgen.files import SCHEMES, sha256, to_disk, weights_file

if TYPE_CHECKING:
    from tfgen.models.base import TrainableModel

CONFIG, WEIGHTS, METADATA, CARD = "config.json", "model.weights.h5", "metadata.json", "README.md"
EXAMPLES = "examples.npz"  # of the zoo of this repository
DTYPES = ("float32", "float16")
HUB = "hf://"


def names() -> list[str]:
    """The names of the presets whose trained weights are here: in the folder `TFGEN_ZOO`, else those that are installed."""
    return sorted(_index(_zoo()))


def _zoo():
    if folder := os.environ.get("TFGEN_ZOO"):
        return Path(folder)
    everything = importlib.util.find_spec("tfgen_zoo_all")  # of the package tfgen-zoo
    if everything and everything.origin:
        return Path(everything.origin).parent
    return Path(__file__).resolve().parents[1] / "tfgen_zoo"


@functools.cache
def _index(zoo):
    found: dict[str, Any] = {}
    for path in sorted(zoo.glob(f"*/{METADATA}")):
        preset = ((json.loads(path.read_text()).get("training") or {}).get("config") or {}).get("preset")
        if preset and not path.parent.name.startswith("claim_"):  # those are of a comparison, not the preset at its best
            found.setdefault(preset, path.parent)
    return found


def from_preset(
    source: str | os.PathLike, *, sha256: str | None = None, allow_download: bool = False,
    cache: str | os.PathLike | None = None, model_class: type | None = None,
) -> TrainableModel:  # fmt: skip
    """The trained model of a preset, not compiled. `compile(ema_decay=...)` and `fit` train it further.

    Example:
        >>> tfgen.from_preset("vae/digits").sample(2).shape if tfgen.pretrained.names() else (2, 8, 8, 1)
        TensorShape([2, 8, 8, 1])

    Args:
        source: one of `names()`; a folder of `save_to_preset`; "hf://USER/REPO" or "hf://USER/REPO@REVISION", a repository
            of the Hugging Face hub with these files, which needs the package huggingface_hub; or the URL of a .zip of them.
        sha256: of the .zip; a URL needs it.
        allow_download: whether a .zip that is not in the cache may be downloaded. The hub's client keeps its own cache, and
            asks the hub only if this is True.
        cache: folder for downloads; None: `tfgen.files.default_cache()`.
        model_class: the class of the model, if it is none of `tfgen.models`; `MyModel.from_preset` gives it.

    Raises:
        ValueError: there is no such preset, a file is missing or not the one that was saved (the message has both hashes),
            or the model is of another class.
    """
    folder = find(source, sha256=sha256, allow_download=allow_download, cache=cache)
    check(folder)
    return read(folder, model_class)


def find(
    source: str | os.PathLike, *, sha256: str | None = None, allow_download: bool = False,
    cache: str | os.PathLike | None = None,
) -> Path:  # fmt: skip
    """The folder of a trained model, by what `from_preset` takes; `check` looks at its files and returns its metadata.

    Example:
        >>> tfgen.pretrained.find("vae/digits").name if tfgen.pretrained.names() else "vae_digits"
        'vae_digits'
    """
    return _folder(str(source), sha256, allow_download, cache)


def save_to_preset(
    model: TrainableModel, folder: str | os.PathLike, *, dtype: str = "float32", card: str | None = None,
    metadata: dict | None = None,
) -> Path:  # fmt: skip
    """Saves a model as a folder for `from_preset`: all of it, or nothing if the process is killed.

    Optimizers are not saved: a run of `tfgen train`, or Keras' `model.save`, has them.

    Example:
        >>> model = tfgen.models.VAE(image_shape=(8, 8, 1), hidden=(4,), latent_dim=2)
        >>> folder = tempfile.mkdtemp() + "/mine"
        >>> sorted(path.name for path in save_to_preset(model, folder).iterdir())
        ['config.json', 'metadata.json', 'model.weights.h5']

    Args:
        model: a model of tfgen, or of a subclass of yours.
        folder: must not exist, or be empty.
        dtype: "float32", or "float16" on disk, which halves the file; loaded weights are float32 with these values.
        card: text of the README.md.
        metadata: further entries of metadata.json.

    Returns:
        The path of the folder.

    Raises:
        FileExistsError: the folder has files.
        ValueError: the dtype is none of these.
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}; received {dtype!r}.")
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(f"{target} exists: a saved model is never overwritten. Choose another folder.")
    target.parent.mkdir(parents=True, exist_ok=True)
    hidden = target.parent / f".{target.name}-{secrets.token_hex(4)}"
    try:
        hidden.mkdir()
        write(model, hidden, dtype=dtype, card=card, metadata=metadata)
        for path in (*hidden.iterdir(), hidden):
            to_disk(path)
        hidden.rename(target)  # takes the place of an empty folder
        to_disk(target.parent)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    return target


def write(model, folder: Path, *, dtype="float32", card=None, metadata=None) -> None:
    """Writes the files of `save_to_preset` into a folder, whose other files are in metadata.json too."""
    from tfgen import __version__
    from tfgen.training.state import named_variables

    config = {"class_name": type(model).__name__, "config": model.get_config()}
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    averaged, plain = model.ema is not None, type(model).from_config(json.loads(json.dumps(config["config"])))
    if averaged:
        with model.ema.swapped():
            _copy(named_variables(model), named_variables(plain))
    else:
        _copy(named_variables(model), named_variables(plain))
    plain.save_weights(folder / WEIGHTS)
    if dtype == "float16":
        halve(folder / WEIGHTS)
    if card is not None:
        (folder / CARD).write_text(card)
    content = {
        "weights": "averaged" if averaged else "as trained", "dtype": dtype, "parameters": plain.count_params(),
        "step": int(model.step.value.numpy()), "versions": {"tfgen": __version__, "keras": distributions.version("keras")},
        **(metadata or {}),
        "sha256": {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.name != METADATA},
    }  # fmt: skip
    (folder / METADATA).write_text(json.dumps(content, indent=2) + "\n")


def read(folder: str | os.PathLike, model_class: type | None = None) -> TrainableModel:
    """The model of a folder, whatever its hashes are; see `from_preset`."""
    folder = Path(folder)
    config = json.loads((folder / CONFIG).read_text())
    model = _class_of(config, folder, model_class).from_config(config["config"])
    model.load_weights(folder / WEIGHTS)
    return model


def _copy(variables, others):
    for name, variable in others.items():
        variable.assign(variables[name])


def check(folder: str | os.PathLike) -> dict:
    """The metadata of a folder, after a look at the sha256 of its files.

    Raises:
        ValueError: a file is missing or not the one that was saved.
    """
    folder = Path(folder)
    for name in (METADATA, CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise ValueError(f"{folder} is no trained model: it has no {name}, which `save_to_preset` writes.")
    metadata = json.loads((folder / METADATA).read_text())
    hashes = metadata.get("sha256", {})
    if missing := {CONFIG, WEIGHTS} - set(hashes):
        raise ValueError(f"{folder / METADATA} must have the sha256 of {CONFIG} and {WEIGHTS}; it lacks {sorted(missing)}.")
    for name, expected in hashes.items():
        path = folder / name
        if not path.is_file():
            raise ValueError(f"{path} is missing; {METADATA} has its sha256, {expected}.")
        if (found := sha256(path)) != expected:
            raise ValueError(f"{path} has the sha256 {found}; {METADATA} has {expected}.")
    return metadata


def halve(path: Path) -> None:
    """Rewrites a file of weights with float16 in place of float32."""
    import h5py
    import numpy as np

    def copy(old, new):
        new.attrs.update(old.attrs)
        for name, item in old.items():
            if isinstance(item, h5py.Group):
                copy(item, new.create_group(name))
            else:
                values = item[()]
                new[name] = values.astype(np.float16) if item.dtype == np.float32 else values
                new[name].attrs.update(item.attrs)

    smaller = path.with_name(f".{path.name}.half")  # a new file: the old one would keep the room of what was replaced
    with h5py.File(path) as old, h5py.File(smaller, "w") as new:
        copy(old, new)
    smaller.replace(path)


# ---- Finding


def _folder(source, expected, allow_download, cache):
    if source.startswith(HUB):
        return _from_hub(source, allow_download, cache)
    if source.startswith(SCHEMES):
        path, _ = weights_file(
            "The trained model", source, sha256_expected=expected, allow_download=allow_download, cache=cache
        )
        return _unpacked(path)
    if expected is not None:
        raise ValueError(f"sha256 is that of a .zip at a URL; {source} is a folder, whose {METADATA} has the hashes.")
    known = _index(_zoo())
    if source in known:
        return known[source]
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    from tfgen import presets, settings

    if source in presets.names() or (presets.is_reference(source) and presets.get(source)):
        raise ValueError(
            f"The preset {source!r} has no trained weights here; presets.get({source!r}).build() makes its untrained model. "
            f"There are weights of: {', '.join(sorted(known)) or 'none'}."
        )
    here = ", ".join(sorted(known)) or "none, since this installation has no weights"
    raise ValueError(
        f"There is no trained model {source!r}.{settings.did_you_mean(source, known)} Give a folder, hf://USER/REPO, a URL "
        f"of a .zip, or the preset of weights that are here: {here}."
    )


def _from_hub(source, allow_download, cache):
    found = re.fullmatch(HUB + r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", source)
    if not found:
        raise ValueError(f"A model of the Hugging Face hub is hf://USER/REPO or hf://USER/REPO@REVISION; received {source}.")
    try:
        import huggingface_hub
    except ImportError as error:
        raise ValueError(f"{source} needs the hub's client: pip install huggingface_hub.") from error
    try:
        return Path(
            huggingface_hub.snapshot_download(
                found[1], revision=found[2], local_files_only=not allow_download,
                allow_patterns=[CONFIG, WEIGHTS, METADATA, CARD, EXAMPLES],
                cache_dir=None if cache is None else Path(cache).expanduser() / "hub",
            )
        )  # fmt: skip
    except Exception as error:  # the client has many
        hint = "" if allow_download else " Pass allow_download=True to ask the hub."
        raise ValueError(f"{source} could not be had: {error}{hint}") from error


def _unpacked(path):
    """The folder of a .zip in the cache, unpacked beside it once."""
    folder = path.with_name(f"{path.name}.files")
    if not folder.is_dir():
        hidden = Path(tempfile.mkdtemp(prefix=f".{folder.name}", dir=path.parent))
        try:
            with zipfile.ZipFile(path) as archive:
                for one in archive.infolist():
                    name = Path(one.filename).name
                    if not one.is_dir() and name in (CONFIG, WEIGHTS, METADATA, CARD, EXAMPLES):  # in any folder
                        (hidden / name).write_bytes(archive.read(one))
            hidden.rename(folder)
        except zipfile.BadZipFile as error:
            raise ValueError(f"{path} is no .zip of a trained model: {error}.") from error
        finally:
            shutil.rmtree(hidden, ignore_errors=True)
    return folder


def _class_of(config, folder, wanted):
    from tfgen.presets import model_class

    # A file must not call functions: no module is imported because a folder names it.
    name = config["class_name"]
    if wanted is not None and name == wanted.__name__:
        return wanted
    found = model_class(name)
    if wanted is None:
        if found is None:
            raise ValueError(
                f"{folder} has a {name}, which is no model of tfgen: load it by {name}.from_preset(folder). It is "
                "also found if an installed package has presets of it, see tfgen.presets."
            )
        return found
    if found is None or not issubclass(found, wanted):
        raise ValueError(f"{folder} has a {name}, not a {wanted.__name__}.")
    return found
