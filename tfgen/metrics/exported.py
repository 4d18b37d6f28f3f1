"""A SavedModel for the metrics: its signatures, its capabilities and the metadata that `tfgen.export` stored with it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfgen.data.source import Source
from tfgen.fields import Field, check_fields, with_defaults, with_start
from tfgen.files import sha256
from tfgen.models.capabilities import Completer, Sampler, capabilities_of
from tfgen.warmup import signatures

STYLES = ("map", "synthesize")  # the signatures of a model with styles


class ExportedModel:
    """A SavedModel, loaded with plain `tf.saved_model.load`, so that the metrics measure the model that is served.

    Example:
        >>> model = tfgen.models.Autoencoder(image_shape=(8, 8, 1), network="mlp", hidden=(8,), latent_dim=2)
        >>> path = tfgen.export.export_saved_model(model, "autoencoder", version=1)
        >>> exported = tfgen.metrics.ExportedModel("autoencoder")
        >>> [capability.NAME for capability in exported.capabilities]
        ['sampler', 'encoder']
        >>> exported.ask("encode", {"image": np.zeros([2, 8, 8, 1], "float32")})["latent"].shape
        (2, 2)

    Args:
      path: the folder of the SavedModel, or a folder of numbered versions (the latest is used).

    Attributes:
      path: the folder of the SavedModel.
      metadata: the dict in `assets.extra/tfgen.json`, which `tfgen.export` writes, or {}.
      signatures: {name: function}.
      capabilities: tuple of classes of `tfgen.models.capabilities`, derived from the names of the signatures.
      weights: "ema" or "raw". weights_hash: sha256 of its variables.
      binarization: the binarization of its training images, or None. dequantize: whether noise was added to them.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = path = _version(path)
        file = path / "assets.extra" / "tfgen.json"
        self.metadata = json.loads(file.read_text()) if file.exists() else {}
        self._loaded = tf.saved_model.load(str(path))
        self.signatures = self._loaded.signatures
        self.capabilities = capabilities_of(self.signatures)
        self.weights = self.metadata.get("weights", "raw")
        self.binarization, self.dequantize = self.metadata.get("binarization"), bool(self.metadata.get("dequantize"))
        variables = path / "variables"
        self.weights_hash = sha256(variables if variables.is_dir() else path / "saved_model.pb")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of its images; ValueError if the metadata lack it."""
        if "image_shape" not in self.metadata:
            raise ValueError(
                f"The image shape of {self.path} is unknown: assets.extra/tfgen.json is missing or has no 'image_shape'."
            )
        height, width, channels = self.metadata["image_shape"]
        return height, width, channels

    @property
    def conditions(self) -> tuple[Field, ...]:
        """The `tfgen.fields.Field`s that its signatures take in addition to images or seeds."""
        return tuple(Field(**config) for config in self.metadata.get("conditions", ()))

    def inputs(self, name: str) -> set[str]:
        """The names of the inputs of signature `name`."""
        return set(self.signatures[name].structured_input_signature[1])

    def input_fields(self, name: str) -> tuple[Field, ...]:
        """The `tfgen.fields.Field`s of the inputs of signature `name` that have one, in the order of the metadata."""
        inputs, found = self.inputs(name), {}
        for config in self._declared():
            if config["argument"] in inputs and config["argument"] not in found:
                found[config["argument"]] = Field(**config)
        return tuple(found.values())

    def missing(self, name: str, fields: Iterable[str]) -> list[str]:
        """The inputs of signature `name`, sorted, without a default, for which neither seeds nor `fields` (names in batches)
        have a value."""
        known = {*fields, "seeds", *(["start"] if "target" in fields else [])}
        known |= {config["name"] for config in self._declared() if config.get("default") is not None}
        return sorted(argument for argument in self.inputs(name) if self._field(argument) not in known)

    def ask(self, name: str, batch: dict) -> dict:
        """Calls signature `name` with a batch {field: array}, seeds int64 [B], and returns the outputs {name: array}.

        The known first frames of a clip, `start`, are those of `target`, see `tfgen.fields.with_start`. Inputs that the
        batch lacks have their defaults.
        """
        specs = self.signatures[name].structured_input_signature[1]
        batch = with_start(batch, [Field("start", specs["start"].shape[1:])] if "start" in specs else [])
        names = {argument: self._field(argument) for argument in self.inputs(name)}
        given = {argument: batch[field] for argument, field in names.items() if field in batch}
        given = with_defaults(given, self.input_fields(name))
        found = self.signatures[name](**{argument: tf.constant(value) for argument, value in given.items()})
        return {output: value.numpy() for output, value in found.items()}

    def _declared(self):
        """The configs of the fields in the metadata."""
        return [config for entry in ("inputs", "fields", "conditions") for config in self.metadata.get(entry, ())]

    def _field(self, argument):
        """The name in batches of an input of a signature."""
        names = {config["argument"]: config["name"] for config in self._declared()}
        return names.get(argument, "label" if argument == "labels" else argument)


class SavedModelGenerator(ExportedModel):
    """An `ExportedModel` with the signature `sample`: seeds int64 [B] (and labels int32 [B]) -> image [B, H, W, C].

    Samples get every class in turn. A model with other conditions, such as an embedding, gets the conditions of real images:
    see `Conditions`.

    Example:
        >>> model = tfgen.models.GAN(image_shape=(8, 8, 1), network="mlp", width=8, latent_dim=2)
        >>> path = tfgen.export.export_saved_model(model, "gan", version=1)
        >>> generator = tfgen.metrics.SavedModelGenerator("gan")
        >>> generator.images(seed=0, first=5, last=8).shape
        (3, 8, 8, 1)

    Args:
      path: see `ExportedModel`.
      real: None, or a `tfgen.data.Source` with the conditions that are not classes.

    Attributes:
      batch_norm: "moving": exported models sample with the moving statistics.
    """

    batch_norm = "moving"

    def __init__(self, path: str | os.PathLike, real: Source | None = None):
        super().__init__(path)
        if "sample" not in self.signatures:
            raise ValueError(f"{self.path} has no signature 'sample'; it has {sorted(self.signatures)}.")
        inputs, outputs = self.inputs("sample"), set(self.signatures["sample"].structured_outputs)
        if "seeds" not in inputs or "image" not in outputs:
            raise ValueError(
                f"{self.path}: the signature 'sample' must take seeds (and conditions) and return image; it takes "
                f"{sorted(inputs)} and returns {sorted(outputs)}"
            )
        if unknown := inputs - {"seeds"} - {field.argument for field in self.conditions}:
            raise ValueError(
                f"{self.path}: the signature 'sample' takes {', '.join(sorted(unknown))}, which assets.extra/tfgen.json "
                "does not declare as conditions"
            )
        self._given = Conditions(self.conditions, real)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of its images; without metadata, that of one image, which is drawn for it."""
        stored = self.metadata.get("image_shape")
        height, width, channels = self.images(0, 0, 1).shape[1:] if stored is None else stored
        return height, width, channels

    def images(self, seed: int, first: int, last: int) -> np.ndarray:
        """float32 [last - first, H, W, C], images `first` to `last - 1` of `seed`."""
        inputs = {"seeds": np.arange(first, last, dtype=np.int64) + (int(seed) << 32)}
        inputs |= self._given(first, last)
        return self.signatures["sample"](**{k: tf.constant(v) for k, v in inputs.items()})["image"].numpy()

    @property
    def has_latents(self) -> bool:
        """Whether its images are a smooth function of latents, which `latents` and `decode` compute."""
        return {"latents", "decode"} <= set(self.signatures) and Completer not in self.capabilities

    def latents(self, seed: int, first: int, last: int) -> np.ndarray:
        """float32 [last - first, Z], the latents of the images `first` to `last - 1` of `seed`."""
        seeds = tf.range(first, last, dtype=tf.int64) + (int(seed) << 32)
        return self.signatures["latents"](seeds=seeds)["latent"].numpy()

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Images float32 [B, H, W, C] of latents [B, Z], with the conditions of the first B images."""
        inputs = {"latent": tf.constant(latents, tf.float32)}
        inputs |= {k: tf.constant(v) for k, v in self._given(0, len(latents)).items()}
        return self.signatures["decode"](**inputs)["image"].numpy()

    @property
    def has_styles(self) -> bool:
        """Whether latents have styles w, which `styles` and `synthesize` compute."""
        return self.has_latents and set(STYLES) <= set(self.signatures)

    def styles(self, seed: int, first: int, last: int) -> np.ndarray:
        """float32 [last - first, W], the w of the latents of the images `first` to `last - 1`, without truncation."""
        inputs = {"latent": self.latents(seed, first, last), "truncation": np.ones(last - first, np.float32)}
        inputs |= self._given(0, last - first)
        return self.signatures["map"](**{k: tf.constant(v) for k, v in inputs.items()})["w"].numpy()[:, 0]

    def synthesize(self, styles: np.ndarray) -> np.ndarray:
        """Images float32 [B, H, W, C] of w [B, W], the same in all layers, with the noise of samples."""
        num_layers = self.signatures["synthesize"].structured_input_signature[1]["w"].shape[1]
        w = tf.repeat(tf.constant(styles, tf.float32)[:, None], num_layers, axis=1)
        return self.signatures["synthesize"](w=w, seeds=tf.zeros([len(styles)], tf.int64))["image"].numpy()


def load_exported(path: str | os.PathLike, real: Source | None = None) -> ExportedModel:
    """The `ExportedModel` at `path`; a `SavedModelGenerator` if it generates images (for `real` see there).

    Example:
        >>> model = tfgen.models.GAN(image_shape=(8, 8, 1), network="mlp", width=8, latent_dim=2)
        >>> path = tfgen.export.export_saved_model(model, "served", version=1)
        >>> type(tfgen.metrics.load_exported("served")).__name__
        'SavedModelGenerator'
    """
    path = _version(path)
    return SavedModelGenerator(path, real) if Sampler in capabilities_of(signatures(path)) else ExportedModel(path)


def _version(path):
    """The folder of a SavedModel: `path`, or its numbered folder with the largest number."""
    path = Path(path)
    if (path / "saved_model.pb").exists():
        return path
    versions = [p for p in path.iterdir() if p.name.isdigit() and (p / "saved_model.pb").exists()] if path.is_dir() else []
    if not versions:
        raise ValueError(f"{path} is not a SavedModel: neither it nor a numbered folder in it has a saved_model.pb")
    return max(versions, key=lambda p: int(p.name))


class Conditions:
    """A function (first, last) -> {argument: array [last - first, ...]}: the conditions of images first to last - 1.

    If all conditions are classes, the images get every class in turn. Otherwise each image gets all conditions of one
    example of `real`, in a fixed random order, which repeats.

    Args:
      conditions: tuple of `tfgen.fields.Field`.
      real: a `tfgen.data.Source`, or None.

    Raises:
      ValueError: a condition is not a class and `real` is None, or `real` lacks a field.
    """

    def __init__(self, conditions, real=None):
        self._fields = conditions
        classes = all(field.dtype == "int32" for field in conditions)
        self._real = None if classes else real
        if self._real is None:
            labels_in_turn(conditions, 0, 1)
        else:
            check_fields(conditions, real.fields, "The generator", real.name)
            self._order = np.random.default_rng(0).permutation(real.num_examples)

    def __call__(self, first, last):
        if self._real is None:
            return labels_in_turn(self._fields, first, last)
        rows = self._real.subset(self._order[np.arange(first, last) % len(self._order)])
        batch = next(iter(rows.batches(last - first)))
        return {field.argument: batch[field.name].numpy() for field in self._fields}


def labels_in_turn(conditions, first: int, last: int) -> dict[str, np.ndarray]:
    """{argument: int32 [last - first]} for images first to last - 1: every class in turn.

    Raises:
      ValueError: a condition is not a class.
    """
    return {field.argument: field.in_turn(first, last) for field in conditions}
