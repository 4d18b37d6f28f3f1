"""Trained models: the one way in which sub-commands are given one, and use it.

A model in memory and an exported one have the same signatures (see `tfgen.export`). A command that asks for signatures works
with both; one that needs gradients or other sizes of images asks for a model in memory.
"""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import re
import typing
from collections.abc import Sequence

import numpy as np

from tfgen.settings import NaturalInt, Text
from tfgen_trainers.arguments import option

if typing.TYPE_CHECKING:
    import keras

    from tfgen.metrics import ExportedModel

MODEL = """\
MODEL is a preset whose trained weights come with tfgen, such as vae/digits; a run folder of `tfgen train`; a folder of
`tfgen export`; a folder of save_to_preset; a .keras file; or hf://USER/REPO. Where a folder has the name of a preset, it is
the folder that --model means. --preset and --workdir take only what their names say.
"""
BATCH = 256  # rows that a signature computes at once


# ---- options


def add_model(parser: argparse.ArgumentParser) -> None:
    """Adds the options that name a trained model; see `load`."""
    add = parser.add_mutually_exclusive_group(required=True).add_argument
    add("--model", type=option(Text), help="trained model: a preset with weights such as vae/digits, run folder, exported "
        "folder, folder of save_to_preset, .keras file or hf://USER/REPO")  # fmt: skip
    add("--preset", type=option(Text), help="the same: a preset whose weights come with tfgen, such as vae/digits; a folder "
        "of save_to_preset; hf://USER/REPO")  # fmt: skip
    add("--workdir", type=option(Text), help="the same: a run folder of `tfgen train`")


def add_class(parser: argparse.ArgumentParser) -> None:
    """Adds --label; see `class_of`."""
    parser.add_argument("--label", type=option(NaturalInt), help="the class of all images, of a model that takes classes")


def place(args: argparse.Namespace) -> str:
    """What the model was named by, for messages."""
    return next(value for value in (args.model, args.preset, args.workdir) if value is not None)


# ---- loading


def load(args: argparse.Namespace, *, at_best: bool = False) -> tuple[keras.Model | ExportedModel, dict | None]:
    """The model that the options of `add_model` name.

    Args:
        args: with these options.
        at_best: the best snapshot of a run in place of the last one.

    Returns:
        (a `TrainableModel`, or an `ExportedModel` if it is an exported folder; how it was trained, if that is known: the
        config.json of its run folder, or the entry `training` of the metadata of its weights, with "config" and "data").

    Raises:
        ValueError: there is no such model, or it is damaged; or `at_best` of what is no run folder.
    """
    path = pathlib.Path(place(args))
    is_run = args.workdir is not None or (path / "config.json").exists() and not (path / "metadata.json").exists()
    if at_best and (not is_run or args.preset is not None):
        raise ValueError(f"--best is for run folders, as of --workdir; received {path}")
    if args.workdir is not None:
        return _of_run(path, at_best)
    if args.preset is not None:
        return _of_preset(args.preset)
    try:
        if is_run:
            return _of_run(path, at_best)
        if path.is_file():
            return _of_file(path), None
        if (path / "metadata.json").exists() or not path.is_dir():
            return _of_preset(args.model)
        exported = _of_export(path)
    except ValueError as error:
        raise ValueError(f"--model: {error}") from error
    return exported, None


def _of_export(path):
    from tfgen import metrics

    try:
        return metrics.load_exported(path)
    except ValueError:
        exported = metrics.ExportedModel(path)
        if all(field.dtype == "int32" for field in exported.conditions):
            raise
        return exported  # what its samples need beside seeds is not known here


def _of_run(path, at_best):
    from tfgen_trainers.train import load_run

    return load_run(path, at_best=at_best)


def _of_preset(name):
    from tfgen import pretrained

    folder = pretrained.find(name, allow_download=True)
    training = pretrained.check(folder).get("training")
    return pretrained.read(folder), training


def _of_file(path):
    import keras

    from tfgen.models import TrainableModel

    if path.suffix != ".keras":
        raise ValueError(f"a model in one file is a .keras file, as `model.save` writes it; received {path}")
    model = keras.saving.load_model(path)
    if not isinstance(model, TrainableModel):
        raise ValueError(f"{path} has a {type(model).__name__}, which is no model of tfgen")
    return model


def capabilities(model: keras.Model | ExportedModel) -> tuple[type, ...]:
    """The capabilities of a model of `load`."""
    return model.capabilities if _is_exported(model) else model.capabilities()


def require(model: keras.Model | ExportedModel, capability: type, path: str, hint: str = "") -> None:
    """Checks that a model has a capability.

    Args:
        model: of `load`.
        capability: a class of `tfgen.models.capabilities`.
        path: where the model is from, for the message.
        hint: what to do, for the end of the message.

    Raises:
        ValueError: it has not; the message lists those that it has.
    """
    if capability not in (found := capabilities(model)):
        can = ", ".join(one.NAME for one in found) or "nothing that is known"
        raise ValueError(f"{path} is {_called(model)}, which is no {capability.NAME}; it is: {can}{hint}")


def check_raw(args: argparse.Namespace, model: keras.Model | ExportedModel, training: dict | None) -> None:
    """Raises ValueError unless a model of `load` can have other weights beside the averages, as --raw asks for."""
    if "run" not in (training or {}) and getattr(model, "ema", None) is None:
        raise ValueError(f"--raw is for run folders; the weights of {place(args)} are the averages, if there are any")


def _is_exported(model):
    from tfgen.metrics import ExportedModel

    return isinstance(model, ExportedModel)


def _called(model):
    if not _is_exported(model):
        return _with_article(type(model).__name__)
    name = model.metadata.get("model")
    return "an export of another program" if name is None else f"an export of {_with_article(name)}"


def _with_article(name):
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"


# ---- using


class Trained:
    """A trained model, by its signatures: functions of arrays. It is what `tfgen.sampling` takes for a model.

    Args:
        model: of `load`; its averages are its weights now, if it has averages.
        path: where it is from, for messages.
        class_names: None, or those that its run folder has; an export has its own.

    Attributes:
        signatures: {name: {input name: tf.TensorSpec}}.
        image_shape: (H, W, C). conditions: the `tfgen.fields.Field`s that it takes beside images or seeds.
        fields: {argument: `Field`} of what signatures take. codes: the `Field`s of the parts of the argument `codes`.
        class_names: the names of its classes, or None. levels: the number of values of its pixels, or None if it is free.
    """

    def __init__(self, model, path, class_names=None):
        from tfgen.fields import Field

        self.model, self.path, self.name = model, path, _called(model)
        self.image_shape = tuple(model.image_shape)
        if _is_exported(model):
            self._functions = dict(model.signatures)
            self.signatures = {name: one.structured_input_signature[1] for name, one in self._functions.items()}
            self.conditions, self.class_names = model.conditions, (model.metadata.get("classes") or {}).get("names")
            self.levels = model.metadata.get("config", {}).get("levels")
            inputs, self.codes = (
                tuple(Field(**config) for config in model.metadata.get(entry, ())) for entry in ("inputs", "codes")
            )
        else:
            self._functions, self._made, self.class_names = {}, model.signatures(), class_names
            self.levels = getattr(model, "levels", None)
            self.signatures = {name: specs for name, (_, specs) in self._made.items()}
            self.conditions, inputs, self.codes = model.conditions(), model.input_fields(), model.code_fields()
        self.fields = {field.argument: field for field in (*inputs, *self.conditions)}

    def require(self, signature: str, what: str) -> None:
        """Raises ValueError if the model lacks a signature; what: that it is for, as the end of "... cannot"."""
        if signature not in self.signatures:
            raise ValueError(f"{self.path} is {self.name}, which cannot {what}: it has no signature {signature}")

    def require_latents(self) -> None:
        """Raises ValueError if images are no smooth function of latents, which `decode_images` computes."""
        self.require("decode", "draw images of latents")
        if "complete" in self.signatures:
            raise ValueError(f"{self.path} is {self.name}, which draws pixel by pixel: there is no way between its latents")

    def ask(self, signature: str, **given) -> dict[str, np.ndarray]:
        """The outputs {name: array [B, ...]} of a signature for inputs [B, ...]; ValueError for values out of range."""
        import tensorflow as tf

        function, specs = self._function(signature), self.signatures[signature]
        given = {name: np.asarray(value, specs[name].dtype.as_numpy_dtype) for name, value in given.items()}
        (rows,) = {len(value) for value in given.values()}
        try:
            parts = [
                function(**{name: tf.constant(value[i : i + BATCH]) for name, value in given.items()})
                for i in range(0, rows, BATCH)
            ]
        except tf.errors.InvalidArgumentError as error:
            inside = re.search(r"assertion failed: (.*)", error.message)
            why = inside[1] if inside else error.message.partition("\n")[0]
            raise ValueError(f"{self.path}: {why}") from error
        return {name: np.concatenate([part[name].numpy() for part in parts]) for name in parts[0]}

    def _function(self, signature):
        import tensorflow as tf

        if signature not in self._functions:
            function, specs = self._made[signature]
            named = {name: tf.TensorSpec(spec.shape, spec.dtype, name=name) for name, spec in specs.items()}
            made = tf.function(function, autograph=False)
            self._functions[signature] = made.get_concrete_function(**named)
        return self._functions[signature]

    # ---- the methods of models that tfgen.sampling calls

    def latents(self, seeds: Sequence[int]) -> np.ndarray:
        return self.ask("latents", seeds=seeds)["latent"]

    def decode_images(self, latents: np.ndarray, **conditions) -> np.ndarray:
        return self.ask("decode", latent=latents, **conditions)["image"]

    def codes_of(self, images: np.ndarray) -> np.ndarray:
        """The latents [B, Z] of images: those of the encoder, else of the projection."""
        return self.ask("encode" if "encode" in self.signatures else "project", image=images)["latent"]

    def map(self, latents: np.ndarray, labels: Sequence[int] | None = None, *, truncation: float = 1.0) -> np.ndarray:
        given = {} if labels is None else {"labels": labels}
        return self.ask("map", latent=latents, truncation=np.full(len(latents), truncation), **given)["w"]

    def synthesize(self, w: np.ndarray) -> np.ndarray:
        return self.ask("synthesize", w=w, seeds=np.zeros(len(w)))["image"]

    def mix(self, w_rows: np.ndarray, w_columns: np.ndarray, layers: Sequence[int]) -> np.ndarray:
        """Images [R, C, H, W, C] of all pairs, as `StyleGAN.mix`."""
        rows, columns = len(w_rows), len(w_columns)
        chosen = np.zeros((rows * columns, w_rows.shape[1]))
        chosen[:, list(layers)] = 1
        made = self.ask("mix", w_a=np.repeat(w_rows, columns, axis=0), w_b=np.tile(w_columns, (rows, 1, 1)), layers=chosen)
        return made["image"].reshape(rows, columns, *self.image_shape)


def opened(args: argparse.Namespace, stack: contextlib.ExitStack, *capabilities_needed: type) -> Trained:
    """The model that the options of `add_model` name, with its averages as weights while `stack` is open.

    Args:
        args: with these options.
        stack: a context.
        *capabilities_needed: classes of `tfgen.models.capabilities`, of which the model must have one.

    Raises:
        ValueError: as `load`, or it has none of them.
    """
    from tfgen.training.callbacks import averaged_weights

    model, training = load(args)
    if not any(one in capabilities(model) for one in capabilities_needed):
        require(model, capabilities_needed[0], place(args))
    if not _is_exported(model):
        stack.enter_context(averaged_weights(model))
    return Trained(model, place(args), (training or {}).get("class_names"))


def class_of(model: Trained, label: int | None, rows: int) -> dict[str, np.ndarray]:
    """{argument: array [rows]} of the conditions of a model: the class of --label in each row, or {} if it takes none.

    Raises:
        ValueError: --label is missing, not needed or no class, or the model takes what the command line cannot give.
    """
    names = [field.name for field in model.conditions if field.name != "label"]
    if names:
        raise ValueError(f"{model.path} is {model.name}, which needs {', '.join(names)}; this command cannot give them")
    if not model.conditions:
        if label is not None:
            raise ValueError(f"--label is for models that take a class; {model.path} is {model.name}, which takes none")
        return {}
    (field,) = model.conditions
    if label is None or label > field.high:
        received = "none" if label is None else label
        raise ValueError(f"--label must be a class of the model, a whole number in [0, {field.high}]; received {received}")
    return {field.argument: np.full(rows, label, np.int32)}
