"""`Source`: a finite, ordered, immutable set of images, and the batches made from it."""

import functools
import hashlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf
from absl import logging

from tfgen.data.batches import make_batches
from tfgen.data.decode import ImageError

# Bytes of uint8 pixels up to which a source is decoded once and held in memory; larger ones are read and
# decoded batch by batch, in the same order and with the same noise.
MEMORY_LIMIT = 2 * 2**30
_CHUNK = 256


class Source:
    """A finite, ordered, immutable set of images, made by the `from_*` functions and `load`.

    Attributes:
      name: where the images come from, for people and protocols.
      split: "train", "test", ... or whatever the maker was asked for.
      num_examples: N.
      image_shape: (H, W, C) with C 1 or 3.
      num_classes: number of classes, None without labels.
      class_names: list of their names, None without labels.
      levels: number of grey levels L; `round(x * (L - 1))` of a pixel x in [0, 1] is its level in 0..L-1.
      has_labels: whether batches hold "label".
      skipped: list of (file, reason) of what was left out under on_error="skip".
    """

    def __init__(self, images, labels, *, name, split, levels=256, num_classes=None, class_names=None, skipped=()):
        """`images`: uint8 [N, H, W, C], taken over without a copy, or LazyImages."""
        if not 2 <= levels <= 256:
            raise ValueError(f"levels must lie in [2, 256]; received {levels!r}")
        n = images.shape[0]
        if n == 0:
            raise ValueError(f"{name} (split {split!r}) holds no images" + _list_skipped(skipped))
        if images.shape[3] not in (1, 3):
            raise ValueError(f"{name}: expected 1 or 3 channels, found image shape {tuple(images.shape[1:])}")
        self._images = images
        self.name, self.split, self.levels = name, split, int(levels)
        self.num_examples, self.image_shape = n, tuple(int(s) for s in images.shape[1:])
        self.skipped = list(skipped)
        self.has_labels = labels is not None
        self._labels = self.num_classes = self.class_names = None
        if isinstance(images, np.ndarray):
            _check_levels(images, self.levels, name)
            images.flags.writeable = False
        if self.has_labels:
            self._labels, self.class_names = _check_labels(labels, n, num_classes, class_names, name)
            self.num_classes = len(self.class_names)

    def __repr__(self):
        what = f"{self.num_classes} classes" if self.has_labels else "no labels"
        return f"Source({self.name!r}, {self.split!r}: {self.num_examples} images {self.image_shape}, {what})"

    def __len__(self):
        return self.num_examples

    @property
    def in_memory(self):
        """Whether all pixels are held in memory (else they are read from disk batch by batch)."""
        return isinstance(self._images, np.ndarray)

    def images(self, n=None):
        """The first n images (default all) in stored order: float32 [n, H, W, C] in [0, 1]."""
        return self._read(np.arange(self._count(n))).astype(np.float32) / np.float32(255)

    def labels(self, n=None):
        """The labels of the first n images (default all): int32 [n]. ValueError if there are none."""
        if not self.has_labels:
            raise ValueError(f"{self!r} has no labels")
        return self._labels[: self._count(n)].copy()

    @functools.cached_property
    def fingerprint(self):
        """sha256 (hex) over shape, pixels and labels in stored order. Reads everything once."""
        digest = hashlib.sha256(repr((self.num_examples, *self.image_shape)).encode())
        for begin in range(0, self.num_examples, _CHUNK):
            digest.update(self._read(np.arange(begin, min(begin + _CHUNK, self.num_examples))).tobytes())
        digest.update(b"no labels" if self._labels is None else self._labels.astype("<i4").tobytes())
        return digest.hexdigest()

    def batches(
        self,
        batch_size,
        *,
        shuffle=False,
        repeat=False,
        seed=0,
        start_step=0,
        drop_remainder=None,
        binarization=None,
        threshold=0.5,
        dequantize=False,
    ):
        """A tf.data.Dataset of {"image": float32 [B, H, W, C] in [0, 1], "label": int32 [B] if known}.

        The batch at global step t is a pure function of the source, the arguments and t: with `start_step=t`
        the dataset continues bit for bit what an uninterrupted iteration gives from step t on, without
        reading what comes before.

        Args:
          batch_size: B.
          shuffle: a fresh permutation of all images for each epoch, from (seed, epoch). Else stored order.
          repeat: endless, epoch after epoch (no batch spans two epochs); else one epoch, and with `shuffle` each
            iteration over the same dataset is the next epoch, in a new order and with new noise.
          seed: of the order and the noise; any 64-bit integer.
          start_step: global step of the first batch.
          drop_remainder: leave out the last, smaller batch of each epoch. Default: the value of `repeat`.
          binarization: None, or pixels become 0 or 1: "threshold": x >= threshold; "fixed": Bernoulli(x),
            drawn once for each image, from (seed, index); "dynamic": Bernoulli(x), drawn anew each time, from
            (seed, global position), where the position counts the places of all epochs.
          threshold: in (0, 1], for binarization="threshold".
          dequantize: (round(x * (levels - 1)) + u) / levels, u uniform in (0, 1) from (seed, global
            position); floor(y * levels) gives the level back exactly. Excludes `binarization`.

        Raises:
          ValueError: an argument is out of range, or no full batch exists.
        """
        return make_batches(
            self,
            self._graph_read,
            batch_size,
            shuffle=shuffle,
            repeat=repeat,
            seed=seed,
            start_step=start_step,
            drop_remainder=drop_remainder,
            binarization=binarization,
            threshold=threshold,
            dequantize=dequantize,
        )

    def take(self, n):
        """The first n examples as a Source."""
        return self.subset(np.arange(self._count(n)))

    def subset(self, indices):
        """The examples at `indices` (in [0, N), in the given order) as a Source with the same classes."""
        indices = np.asarray(indices)
        if indices.ndim != 1 or indices.size == 0 or not np.issubdtype(indices.dtype, np.integer):
            raise ValueError(f"indices must be a non-empty list of whole numbers; received {indices.dtype} {indices.shape}")
        bad = indices[(indices < 0) | (indices >= self.num_examples)]
        if bad.size:
            raise ValueError(f"index {bad[0]} is outside [0, {self.num_examples}) of {self!r}")
        images = self._images[indices] if self.in_memory else self._images.select(indices)
        labels = self._labels[indices] if self.has_labels else None
        return Source(images, labels, name=self.name, split=self.split, levels=self.levels, class_names=self.class_names)

    def write_tfrecords(self, path, shards=1):
        """Writes TFRecords: `image` (PNG bytes) and, with labels, `label` (int64), in stored order.

        Args:
          path: the file; with shards > 1, its name gets "-00000-of-00004" and so on before the suffix. The
            suffix .gz makes it GZIP.
          shards: number of files, each a run of consecutive examples.

        Returns:
          The list of absolute paths. Each file is complete once it has its name: it is written under a
          temporary one.
        """
        if int(shards) != shards or not 1 <= shards <= self.num_examples:
            raise ValueError(f"shards must be a whole number in [1, {self.num_examples}]; received {shards!r}")
        stem, suffix = os.path.splitext(os.path.abspath(os.path.expanduser(os.fspath(path))))
        folder = os.path.dirname(stem)
        os.makedirs(folder, exist_ok=True)
        compression = "GZIP" if suffix.lower() == ".gz" else ""
        paths = []
        for shard, indices in enumerate(np.array_split(np.arange(self.num_examples), shards)):
            final = stem + suffix if shards == 1 else f"{stem}-{shard:05d}-of-{shards:05d}{suffix}"
            # Hidden, so that no pattern picks up what a killed writer leaves.
            temporary = os.path.join(folder, f".{os.path.basename(final)}.tmp-{os.getpid()}")
            try:
                with tf.io.TFRecordWriter(temporary, compression) as writer:
                    for i in indices:
                        writer.write(self._example(i).SerializeToString())
                os.replace(temporary, final)
            finally:
                if os.path.exists(temporary):
                    os.remove(temporary)
            paths.append(final)
        return paths

    def _example(self, i):
        png = tf.io.encode_png(self._read(np.array([i]))[0]).numpy()
        feature = {"image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[png]))}
        if self.has_labels:
            label = tf.train.Int64List(value=[int(self._labels[i])])
            feature["label"] = tf.train.Feature(int64_list=label)
        return tf.train.Example(features=tf.train.Features(feature=feature))

    def _count(self, n):
        if n is None:
            return self.num_examples
        if int(n) != n or not 1 <= n <= self.num_examples:
            raise ValueError(f"n must be a whole number in [1, {self.num_examples}] for {self!r}; received {n!r}")
        return int(n)

    def _read(self, indices):
        return self._images[indices] if self.in_memory else self._images.read(indices)

    @functools.cached_property
    def _tensor(self):
        with tf.init_scope(), tf.device("CPU:0"):  # for tf.data, which runs on the host
            return tf.constant(self._images)

    def _graph_read(self, indices):
        """uint8 [B, H, W, C] of int64 [B] indices, inside a tf.data function."""
        if self.in_memory:
            return tf.gather(self._tensor, indices)
        images = tf.numpy_function(self._images.read, [indices], tf.uint8, stateful=False)
        return tf.ensure_shape(images, [None, *self.image_shape])


def from_arrays(images, labels=None, *, levels=256, name="arrays", split="train", class_names=None, num_classes=None):
    """A Source of arrays (copied).

    Args:
      images: uint8 [N, H, W, C] or [N, H, W], or floats in [0, 1] of such a shape. Pixels are held in 8 bits:
        floats are rounded to the nearest of `levels` values.
      labels: None or whole numbers [N] in [0, num_classes).
      levels: number of grey levels; uint8 pixels must be round(255 * v / (levels - 1)) for whole v.
      name: name of the source.
      split: name of the split.
      class_names: names of the classes; default their numbers.
      num_classes: default len(class_names), else the largest label plus 1.

    Raises:
      ValueError: wrong shape or dtype; a value that is not finite or not in [0, 1]; labels that do not fit.
    """
    images = np.array(images)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4:
        raise ValueError(f"images must have shape [N, H, W, C] or [N, H, W]; received {images.shape}")
    if not 2 <= levels <= 256:
        raise ValueError(f"levels must lie in [2, 256]; received {levels!r}")
    if np.issubdtype(images.dtype, np.floating):
        bad = np.argwhere(~((images >= 0) & (images <= 1)))  # also true for NaN
        if len(bad):
            place = tuple(int(k) for k in bad[0])
            raise ValueError(
                f"float images must lie in [0, 1]; {len(bad)} values do not, the first is {images[place]} at index {place}"
            )
        images = _level_values(levels)[np.round(images * (levels - 1)).astype(np.int64)]
    elif images.dtype != np.uint8:
        raise ValueError(f"images must be uint8, or floats in [0, 1]; received dtype {images.dtype}")
    return Source(
        images,
        labels,
        name=name,
        split=split,
        levels=levels,
        num_classes=num_classes,
        class_names=class_names,
    )


class LazyImages:
    """Images that stay on disk; `read` decodes those asked for. `decode(i)` gives uint8 [H, W, C]."""

    def __init__(self, decode, indices, image_shape):
        self._decode, self._indices = decode, indices
        self.shape = (len(indices), *image_shape)

    def read(self, places):
        out = np.empty((len(places), *self.shape[1:]), np.uint8)
        for k, place in enumerate(places):
            out[k] = self._decode(self._indices[place])
        return out

    def select(self, places):
        return LazyImages(self._decode, self._indices[places], self.shape[1:])


def build_source(reader, *, on_error, skipped=(), **attributes):
    """Makes a Source of a reader: decoded in parallel into memory if it fits there, else lazy.

    Args:
      reader: an object with `len()`, `label(i)` (int or None), `where(i)` (text for messages) and `decode(i)`
        (uint8 [H, W, C], raising ImageError).
      on_error: "raise" or "skip".
      skipped: (file, reason) pairs from before.
      **attributes: further arguments of Source.
    """
    skipped, n = list(skipped), len(reader)
    shape = first = None
    for first in range(n):
        try:
            shape = reader.decode(first).shape
            break
        except ImageError as e:
            if on_error == "raise":
                raise ValueError(f"{reader.where(first)}: {e}") from e
    if shape is None:
        skipped += [(reader.where(i), "unreadable") for i in range(n)]
        raise ValueError(f"{attributes['name']} holds no usable image" + _list_skipped(skipped))

    def decode(i):
        try:
            image = reader.decode(i)
            if image.shape != shape:
                raise ImageError(_mismatch(image.shape, shape, reader.where(first)))
            return image
        except ImageError as e:
            raise ValueError(f"{reader.where(i)}: {e}") from e

    fits = n * int(np.prod(shape)) <= MEMORY_LIMIT
    images = np.empty((n, *shape), np.uint8) if fits else None
    good = np.ones(n, bool)
    if fits or on_error == "skip":
        for i, reason in _decode_all(decode, n, images, on_error):
            good[i] = False
            skipped.append((reader.where(i), reason))
    keep = np.flatnonzero(good)
    labels = [reader.label(i) for i in keep]
    if not fits:
        images = LazyImages(decode, keep, shape)
    elif len(keep) < n:
        images = images[keep]
    if skipped:
        logging.warning(
            "%s: %d of %d images skipped%s",
            attributes["name"],
            len(skipped),
            len(skipped) + len(keep),
            _list_skipped(skipped),
        )
    return Source(images, None if labels[0] is None else labels, skipped=skipped, **attributes)


def _decode_all(decode, n, images, on_error):
    """Decodes 0..n-1 on all cores into `images` (None: only checks). Returns failures as (i, reason)."""
    from tqdm import tqdm

    def work(begin):
        failures = []
        for i in range(begin, min(begin + _CHUNK, n)):
            try:
                image = decode(i)
                if images is not None:
                    images[i] = image
            except ValueError as e:
                if on_error == "raise":
                    raise
                failures.append((i, str(e.__cause__ or e)))
        return failures

    quiet = n <= 20_000 or not sys.stderr.isatty()
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm(total=n, desc="decoding", unit=" images", disable=quiet, leave=False) as bar,
    ):
        failures = []
        try:
            for found in pool.map(work, range(0, n, _CHUNK)):
                failures += found
                bar.update(_CHUNK)
        except ValueError:
            pool.shutdown(cancel_futures=True)
            raise
    return failures


def _mismatch(shape, expected, first):
    if shape[2] != expected[2]:
        kind = {1: "grey", 3: "colour"}
        return (
            f"found a {kind[shape[2]]} image, but {first} is {kind[expected[2]]}; pass channels=1 or "
            "channels=3 to convert all"
        )
    return (
        f"found {shape[0]}x{shape[1]} pixels, but {first} has {expected[0]}x{expected[1]}; pass size="
        "(height, width) or one number, and a resize rule"
    )


def _list_skipped(skipped):
    if not skipped:
        return ""
    return f" ({len(skipped)} skipped, the first: {skipped[0][0]}: {skipped[0][1]})"


def _level_values(levels):
    """uint8 [levels]: the stored value of each level."""
    return np.round(np.arange(levels) * (255 / (levels - 1))).astype(np.uint8)


def _check_levels(images, levels, name):
    if levels == 256:
        return
    allowed = np.zeros(256, bool)
    allowed[_level_values(levels)] = True
    bad = np.argwhere(~allowed[images])
    if len(bad):
        place = tuple(int(k) for k in bad[0])
        raise ValueError(
            f"{name}: pixel value {images[place]} at index {place} is none of the {levels} levels "
            f"round(255 * v / {levels - 1})"
        )


def _check_labels(labels, n, num_classes, class_names, name):
    """Returns (int32 [N], class names)."""
    labels = np.array(labels)
    if labels.shape != (n,) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"{name}: labels must be {n} whole numbers, one for each image; received shape {labels.shape}, "
            f"dtype {labels.dtype}"
        )
    if class_names is not None and num_classes is not None and len(class_names) != num_classes:
        raise ValueError(f"{name}: num_classes={num_classes}, but there are {len(class_names)} class_names")
    if num_classes is None:
        num_classes = len(class_names) if class_names is not None else int(labels.max()) + 1
    bad = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if bad.size:
        raise ValueError(
            f"{name}: label {labels[bad[0]]} of example {bad[0]} is outside [0, {num_classes}) ({bad.size} such labels)"
        )
    labels = labels.astype(np.int32)
    labels.flags.writeable = False
    return labels, list(class_names) if class_names is not None else [str(k) for k in range(num_classes)]
