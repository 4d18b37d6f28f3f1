"""Exports a trained model as a SavedModel for TensorFlow Serving, which can be loaded without tfgen."""

import contextlib
import json
import os
import pathlib
import platform
import time
from collections.abc import Iterator, Sequence

import keras
import tensorflow as tf
from absl import logging

from tfgen import card, settings
from tfgen.files import new_version
from tfgen.models.capabilities import Codec, Likelihood
from tfgen.settings import PositiveInt, Text
from tfgen.training.finite import not_finite
from tfgen.training.state import fixed_networks, named_variables
from tfgen.warmup import write_warmup

METADATA = "assets.extra/tfgen.json"
CODEC = "assets.extra/codec.npz"


def export_saved_model(
    model: keras.Model, base_dir: Text | os.PathLike, *, version: PositiveInt | None = None, use_ema: bool = True,
    class_names: Sequence[str] | None = None, metadata: dict | None = None, warmup: bool = True,
) -> pathlib.Path:  # fmt: skip
    """Writes `<base_dir>/<version>/` with the signatures that `model.signatures()` names, and `card`, see `tfgen.card`.

    Every input and output has a free batch dimension and is float32, integer or bytes; outputs are named. The tables of a
    `Codec` are stored in `assets.extra/codec.npz`. The version is written to a hidden folder, which is then renamed, so a
    server that polls the folder never loads an incomplete version. The next export removes hidden folders of killed exports.

    Args:
        model: a `TrainableModel`.
        base_dir: the model's folder; made if missing.
        version: positive int; None: the largest version in `base_dir` plus 1.
        use_ema: export the averaged weights if the model has them.
        class_names: names of the classes for the card, in the order of their numbers, such as `source.class_names`; left out
            of a model without classes.
        metadata: dict that is stored with the model's own metadata in `assets.extra/tfgen.json`.
        warmup: write warm-up requests for TensorFlow Serving. Needs the extra [serving]; without it the version has no
            warm-up requests, and a warning is logged.

    Returns:
        `pathlib.Path` of the version's folder.

    Raises:
        ValueError: the version is not a positive integer; there are more class names than classes.
        FileExistsError: the version exists.
        FloatingPointError: a weight is not finite; nothing is written.
    """
    settings.check(
        export_saved_model, base_dir=base_dir, version=version, use_ema=use_ema, class_names=class_names, metadata=metadata,
        warmup=warmup,
    )  # fmt: skip
    content = card.card(model, class_names)
    with weights_to_export(model, base_dir, use_ema) as ema:
        with new_version(pathlib.Path(base_dir), None if version is None else int(version)) as (hidden, target):
            write_saved_model(model, hidden, content)
            file = hidden / METADATA
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(metadata_of(model, content, ema, metadata or {}), indent=2, default=str))
            if Codec in model.capabilities():
                model.codec().save(hidden / CODEC)
            if warmup:
                _write_warmup(hidden)
    return target


@contextlib.contextmanager
def weights_to_export(model: keras.Model, to: str | os.PathLike, use_ema: bool) -> Iterator[bool]:
    """A context in which the model has the weights that are exported.

    Args:
        to: where they go, for the message.

    Yields:
        Whether they are the averages.

    Raises:
        FloatingPointError: a weight is not finite.
    """
    if not model.concluded:
        logging.warning(
            "%s is exported without what follows its training: `conclude(batches)` has not set it yet (`tfgen train` calls "
            "it after the last step).", type(model).__name__,
        )  # fmt: skip
    ema = model.ema is not None and use_ema
    with model.ema.swapped() if ema else contextlib.nullcontext():
        bad = not_finite(model, {f"weights/{path}": variable for path, variable in named_variables(model).items()})
        if bad:
            raise FloatingPointError(f"Not exported to {to}: {bad}{' (averaged)' if ema else ''}.")
        yield ema


def write_saved_model(model: keras.Model, path: str | pathlib.Path, content: dict | None = None) -> None:
    """`tf.saved_model.save` of the model's signatures with its current weights, to exactly `path`.

    Args:
        content: the card without signatures, see `tfgen.card.card`; None: no signature `card`.
    """
    module = tf.Module()
    # Plain variables: a tf.Module cannot track Keras' variables, and the reader should not need Keras.
    fixed = [held.network for held in fixed_networks(model).values() if held.network is not None]
    module.weights = [v.value for network in (model, *fixed) for v in network.variables]
    signatures = model.signatures()
    concrete = {name: _traced(name, *signature) for name, signature in signatures.items()}
    # And what else they read, such as the weights of an encoder of texts.
    known = {id(v) for v in module.weights}
    module.weights += [v for one in concrete.values() for v in one.variables if id(v) not in known]
    if content is not None:
        described = {name: (specs, concrete[name].structured_outputs) for name, (_, specs) in signatures.items()}
        content = {**content, "signatures": card.signatures_of(model, described, content["classes"])}
        concrete[card.SIGNATURE] = _traced(card.SIGNATURE, *card.signature_of(content))
    module.functions = list(concrete.values())
    tf.saved_model.save(module, str(path), signatures=concrete)


def _traced(name, function, specs):
    # As in training and in the verbs, AutoGraph converts no function: of Keras' layers it takes longer than all the rest.
    # jit_compile is off, since CPU servers refuse XLA functions.
    named = {key: tf.TensorSpec(spec.shape, spec.dtype, name=key) for key, spec in specs.items()}
    traced = tf.function(function, jit_compile=False, autograph=False).get_concrete_function(**named)
    _check_outputs(name, traced.structured_outputs)
    return traced


def _check_outputs(signature, outputs):
    for name, tensor in outputs.items():
        if tensor.shape.rank is None or tensor.shape.rank < 1 or tensor.shape[0] is not None:
            raise ValueError(
                f"Output {name!r} of signature {signature!r} must have a free batch dimension; has {tensor.shape}."
            )
        if tensor.dtype in (tf.float16, tf.bfloat16) or tensor.dtype.is_complex:
            raise ValueError(f"Output {name!r} of signature {signature!r} is {tensor.dtype.name}; JSON has no such numbers.")


def _write_warmup(path):
    try:
        write_warmup(path)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "tensorflow_serving":
            raise
        logging.warning(
            "No warm-up requests were written: tensorflow-serving-api is not installed (install tfgen[serving])."
        )


def metadata_of(model: keras.Model, content: dict, ema: bool, extra: dict) -> dict:
    """The metadata of an export, a dict for JSON.

    Args:
        content: the card without signatures, see `tfgen.card.card`.
        ema: whether the weights are the averages.
        extra: entries that are added, or replace others.
    """
    own = {
        **content,
        "inputs": [field.config() for field in model.input_fields()],
        "config": model.get_config(),
        "weights": "ema" if ema else "raw",
        "step": int(model.step.value.numpy()),
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "versions": versions(),
    }
    if Likelihood in model.capabilities():
        own["importance_samples"] = model.importance_samples
    return {**own, **extra}


def read_metadata(path: str | pathlib.Path) -> dict:
    """The metadata that `export_saved_model` stored with a SavedModel, as a dict; ValueError if there is none."""
    file = pathlib.Path(path) / METADATA
    if not file.exists():
        raise ValueError(f"{path} has no {METADATA}: it was not exported by tfgen.")
    return json.loads(file.read_text())


def versions() -> dict[str, str]:
    """{package: version} of the packages on which results depend."""
    import numpy
    import tensorflow_probability

    import tfgen

    modules = {
        "tfgen": tfgen,
        "tensorflow": tf,
        "keras": keras,
        "tensorflow-probability": tensorflow_probability,
        "numpy": numpy,
    }
    return {"python": platform.python_version(), **{name: module.__version__ for name, module in modules.items()}}
