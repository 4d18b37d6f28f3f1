"""Sources of generated images: exported models, run folders and models in memory. Image i depends only on seed and i."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfgen.files import sha256

BATCH_NORM = ("moving", "batch", "standing")


class Samples:
    """A function (first, last) -> float32 [last - first, H, W, C]: images first to last - 1 of a generator.

    Image i is generated from the serving seed `seed * 2**32 + i`, as in `Sampler.sample`.
    """

    def __init__(self, generator, seed: int):
        if not 0 <= seed < 2**31:
            raise ValueError(f"seed must be in [0, 2**31); received {seed}")
        self.generator, self.seed = generator, seed

    def __call__(self, first, last):
        return self.generator.images(self.seed, first, last)


def conditions(num_classes: int, first: int, last: int) -> dict[str, np.ndarray]:
    """Labels of images first to last - 1: every class in turn. Empty for an unconditional model."""
    return {"labels": np.arange(first, last, dtype=np.int32) % num_classes} if num_classes else {}


class SavedModelGenerator:
    """A SavedModel with the signature `sample`: seeds int64 [B] (and labels int32 [B]) -> image [B, H, W, C] in [0, 1].

    Args:
      path: the folder of the SavedModel, or a folder of numbered versions (the latest is used).

    Attributes:
      metadata: the dict that `tfgen.export` stores in the SavedModel's assets.extra, or {}.
      image_shape: (H, W, C). weights: "ema" or "raw". batch_norm: "moving". weights_hash: sha256 of its variables.
      binarization: the binarization of its training images, or None.
    """

    batch_norm = "moving"

    def __init__(self, path):
        path = Path(path)
        if not (path / "saved_model.pb").exists():
            versions = (
                [p for p in path.iterdir() if p.name.isdigit() and (p / "saved_model.pb").exists()] if path.is_dir() else []
            )
            if not versions:
                raise ValueError(f"{path} is no SavedModel: neither it nor a numbered folder in it has a saved_model.pb")
            path = max(versions, key=lambda p: int(p.name))
        self.path = path
        file = path / "assets.extra" / "tfgen.json"
        self.metadata = json.loads(file.read_text()) if file.exists() else {}
        self._loaded = tf.saved_model.load(str(path))
        self.signatures = self._loaded.signatures
        if "sample" not in self.signatures:
            raise ValueError(f"{path} has no signature 'sample'; it has {sorted(self.signatures)}.")
        inputs, outputs = (
            set(self.signatures["sample"].structured_input_signature[1]), self.signatures["sample"].structured_outputs
        )  # fmt: skip
        if "seeds" not in inputs or inputs - {"seeds", "labels"} or "image" not in outputs:
            raise ValueError(
                f"{path}: the signature 'sample' must take seeds (and labels) and give image; it takes {sorted(inputs)} "
                f"and gives {sorted(outputs)}"
            )
        self.weights = self.metadata.get("weights", "raw")
        self.binarization = self.metadata.get("binarization")
        self.num_classes = self.metadata.get("config", {}).get("num_classes", 0) if "labels" in inputs else 0
        if "labels" in inputs and not self.num_classes:
            raise ValueError(f"{path} takes labels, and nothing beside it says how many classes there are")
        self.image_shape = self.images(0, 0, 1).shape[1:]
        variables = path / "variables"
        self.weights_hash = sha256(variables if variables.is_dir() else path / "saved_model.pb")

    def images(self, seed: int, first: int, last: int) -> np.ndarray:
        """float32 [last - first, H, W, C], images `first` to `last - 1` of `seed`."""
        inputs = {"seeds": np.arange(first, last, dtype=np.int64) + (int(seed) << 32)}
        inputs |= conditions(self.num_classes, first, last)
        return self.signatures["sample"](**{k: tf.constant(v) for k, v in inputs.items()})["image"].numpy()


class RunGenerator:
    """A model in memory, for instance loaded from a run folder.

    Args:
      model: a `TrainableModel`.
      use_ema: use the averaged weights if the model has them. They stay swapped into the model.
      batch_norm: "moving", "batch" or "standing", see `AdversarialModel.sample`. With the last two, an image depends
        on the others, so all images are made at once and kept in memory.
      num: number of images, for "batch" and "standing".
      binarization: the binarization of its training images.
    """

    def __init__(
        self, model, *, use_ema: bool = True, batch_norm: str = "moving", num: int | None = None, binarization=None
    ):
        if batch_norm not in BATCH_NORM:
            raise ValueError(f"batch_norm must be one of {', '.join(BATCH_NORM)}; received {batch_norm!r}")
        if batch_norm != "moving" and not hasattr(model, "generator"):
            raise ValueError(
                f"{type(model).__name__} samples with moving statistics only; received batch_norm={batch_norm!r}"
            )
        self.model, self.batch_norm, self.binarization = model, batch_norm, binarization
        self.image_shape, self.num_classes = model.image_shape, getattr(model, "num_classes", 0)
        ema = model.ema is not None and use_ema
        self.weights = "ema" if ema else "raw"
        if ema:
            model.ema.swap()
        digest = hashlib.sha256()
        for variable in model.ema_variables():
            value = np.ascontiguousarray(variable)
            digest.update(f"{value.dtype}{value.shape}".encode() + value.tobytes())
        self.weights_hash, self._num, self._all = digest.hexdigest(), num, {}

    def images(self, seed: int, first: int, last: int) -> np.ndarray:
        """float32 [last - first, H, W, C], images `first` to `last - 1` of `seed`."""
        if self.batch_norm == "moving":
            seeds = tf.range(first, last, dtype=tf.int64) + (int(seed) << 32)
            return self.model.generate_function(seeds, **conditions(self.num_classes, first, last)).numpy()
        if seed not in self._all:
            labels = conditions(self.num_classes, 0, self._num)
            self._all = {seed: self.model.sample(self._num, seed=seed, batch_norm=self.batch_norm, **labels).numpy()}
        return self._all[seed][first:last]


def imitated(source, binarization):
    """A Source of the real images that samples of a model should be compared with.

    A model trained on images binarised at a threshold is compared with images binarised in the same way. A model trained
    on Bernoulli draws of the grey levels outputs means, which are compared with the grey levels.
    """
    if binarization != "threshold":
        return source
    from tfgen import data

    batches = source.batches(500, binarization="threshold")
    return data.from_arrays(
        np.concatenate([batch["image"].numpy() for batch in batches]), source.labels() if source.has_labels else None,
        levels=2, name=f"{source.name}-binarized", split=source.split, num_classes=source.num_classes,
        class_names=source.class_names,
    )  # fmt: skip
