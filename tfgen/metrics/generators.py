"""Sources of generated images: exported models, run folders and models in memory. Image i depends only on seed and i."""

from __future__ import annotations

import hashlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfgen.data.source import Source
from tfgen.metrics.exported import STYLES, Conditions, SavedModelGenerator
from tfgen.models.capabilities import Completer, Sampler

__all__ = ["RunGenerator", "SavedModelGenerator", "Samples", "imitated"]


class Samples:
    """A function (first, last) -> float32 [last - first, H, W, C]: images first to last - 1 of a generator.

    Image i is generated from the serving seed `seed * 2**32 + i`, as in `Sampler.sample`.

    Example:
        >>> model = tfgen.models.VAE(image_shape=(8, 8, 1), hidden=(8,), latent_dim=2)
        >>> samples = tfgen.metrics.Samples(tfgen.metrics.RunGenerator(model), seed=0)
        >>> samples(0, 3).shape, samples.latents(0, 3).shape
        ((3, 8, 8, 1), (3, 2))
    """

    def __init__(self, generator: Any, seed: int):
        if not 0 <= seed < 2**31:
            raise ValueError(f"seed must be in [0, 2**31); received {seed}")
        self.generator, self.seed = generator, seed

    def __call__(self, first: int, last: int) -> np.ndarray:
        return self.generator.images(self.seed, first, last)

    @property
    def has_latents(self) -> bool:
        """Whether images are a smooth function of latents, which `latents` and `decode` compute."""
        return getattr(self.generator, "has_latents", False)

    @property
    def is_conditional(self) -> bool:
        """Whether images depend on more than their latents."""
        return bool(self.generator.conditions)

    def latents(self, first: int, last: int) -> np.ndarray:
        """float32 [last - first, Z]: the latents of images first to last - 1."""
        return self.generator.latents(self.seed, first, last)

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Images float32 [B, H, W, C] of latents [B, Z], with the conditions of the first B images."""
        return self.generator.decode(latents)

    @property
    def has_styles(self) -> bool:
        """Whether latents have styles w, which `styles` and `synthesize` compute."""
        return getattr(self.generator, "has_styles", False)

    def styles(self, first: int, last: int) -> np.ndarray:
        """float32 [last - first, W]: the w of images first to last - 1, without truncation; of a conditional model with the
        conditions of the first last - first images.
        """
        return self.generator.styles(self.seed, first, last)

    def synthesize(self, styles: np.ndarray) -> np.ndarray:
        """Images float32 [B, H, W, C] of w [B, W], the same in all layers, with the noise of samples."""
        return self.generator.synthesize(styles)


class RunGenerator:
    """A model in memory, for instance loaded from a run folder.

    Example:
        >>> model = tfgen.models.VAE(image_shape=(8, 8, 1), hidden=(8,), latent_dim=2)
        >>> generator = tfgen.metrics.RunGenerator(model)
        >>> some, all_of_them = generator.images(0, 5, 8), generator.images(0, 0, 8)  # image i depends on the seed and on i
        >>> some.shape, bool(np.allclose(some, all_of_them[5:], atol=1e-5))
        ((3, 8, 8, 1), True)

    Args:
      model: a `TrainableModel` that is a `Sampler`.
      use_ema: use the averaged weights if the model has them. They stay swapped into the model.
      batch_norm: "moving", "batch" or "standing", see `AdversarialModel.sample`. With the last two, an image depends
        on the others, so all images are made at once and kept in memory.
      num: number of images, for "batch" and "standing".
      binarization: the binarization of its training images.
      real: None, or a `tfgen.data.Source` with the conditions that are not classes, see `SavedModelGenerator`.

    Raises:
      ValueError: the model is not a sampler, it does not have this batch norm mode, or conditions are missing.
    """

    capabilities = (Sampler,)  # the only capability that is used, under the name of `ExportedModel.capabilities`

    def __init__(
        self, model: keras.Model, *, use_ema: bool = True, batch_norm: str = "moving", num: int | None = None,
        binarization: str | None = None, real: Source | None = None,
    ):  # fmt: skip
        if Sampler not in model.capabilities():
            can = ", ".join(capability.NAME for capability in model.capabilities())
            raise ValueError(f"{type(model).__name__} is not a sampler; its capabilities are: {can}")
        if batch_norm not in model.batch_norm_modes:
            raise ValueError(
                f"batch_norm of {type(model).__name__} must be one of {', '.join(model.batch_norm_modes)}; received "
                f"{batch_norm!r}"
            )
        self._given = Conditions(model.conditions(), real)
        self.model, self.batch_norm, self.binarization = model, batch_norm, binarization
        self.conditions = model.conditions()
        self.has_latents = batch_norm == "moving" and Completer not in model.capabilities()
        self.has_styles = self.has_latents and set(STYLES) <= model.signatures().keys()
        self.image_shape = model.image_shape
        ema = model.ema is not None and use_ema
        self.weights = "ema" if ema else "raw"
        if ema:
            model.ema.swap()
        digest = hashlib.sha256()
        for variable in (v for player in model.players().values() for v in player.averaged_variables):
            value = np.ascontiguousarray(variable)
            digest.update(f"{value.dtype}{value.shape}".encode() + value.tobytes())
        self.weights_hash, self._num = digest.hexdigest(), num
        self._all: dict[int, np.ndarray] = {}

    def images(self, seed: int, first: int, last: int) -> np.ndarray:
        """float32 [last - first, H, W, C], images `first` to `last - 1` of `seed`."""
        if self.batch_norm == "moving":
            seeds = tf.range(first, last, dtype=tf.int64) + (int(seed) << 32)
            return self.model.generate_function(seeds, **self._given(first, last)).numpy()
        if seed not in self._all:
            given = self._given(0, self._num)
            self._all = {seed: self.model.sample(self._num, seed=seed, batch_norm=self.batch_norm, **given).numpy()}
        return self._all[seed][first:last]

    def latents(self, seed: int, first: int, last: int) -> np.ndarray:
        """float32 [last - first, Z], the latents of the images `first` to `last - 1` of `seed`."""
        return self.model.latents(tf.range(first, last, dtype=tf.int64) + (int(seed) << 32)).numpy()

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Images float32 [B, H, W, C] of latents [B, Z], with the conditions of the first B images."""
        return self.model.decode_images(tf.constant(latents, tf.float32), **self._given(0, len(latents))).numpy()

    def styles(self, seed: int, first: int, last: int) -> np.ndarray:
        """float32 [last - first, W], the w of the latents of the images `first` to `last - 1`, see `Samples.styles`."""
        return self.model.map(self.latents(seed, first, last), **self._given(0, last - first))[:, 0].numpy()

    def synthesize(self, styles: np.ndarray) -> np.ndarray:
        """Images float32 [B, H, W, C] of w [B, W]."""
        return self.model.synthesize(tf.constant(styles, tf.float32)).numpy()


def imitated(source: Source, binarization: str | None) -> Source:
    """A Source of the real images that samples of a model should be compared with.

    A model trained on images binarised at a threshold is compared with images binarised in the same way. A model trained
    on Bernoulli draws of the grey levels outputs means, which are compared with the grey levels.

    Example:
        >>> digits = tfgen.data.load("digits").take(2)
        >>> binary = tfgen.metrics.imitated(digits, "threshold")
        >>> sorted(set(binary.images().ravel().tolist()))
        [0.0, 1.0]
    """
    if binarization != "threshold":
        return source
    from tfgen import data

    batches = source.batches(500, binarization="threshold")
    images = np.concatenate([np.uint8(255) * batch["image"].numpy().astype(np.uint8) for batch in batches])
    return data.from_arrays(
        images, source.labels() if source.has_labels else None,
        levels=2, name=f"{source.name}-binarized", split=source.split, num_classes=source.num_classes,
        class_names=source.class_names,
    )  # fmt: skip
