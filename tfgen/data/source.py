"""`Source`: a finite, ordered, immutable set of examples, and the batches made from it."""

import dataclasses
import functools
import hashlib
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import numpy as np
import tensorflow as tf
from absl import logging

from tfgen import fields as declared
from tfgen import settings
from tfgen.data.batches import Binarization, make_batches
from tfgen.data.image_files import ImageError, plain_file
from tfgen.data.pixels import Pixels
from tfgen.settings import MAX_CLASSES, Levels, PositiveFraction, Seed, within

# A source of at most this many bytes of uint8 pixels is read once and held in memory. A larger one is read from files
# batch by batch, in the same order and with the same noise.
MEMORY_LIMIT = 2 * 2**30
_CHUNK = 256


class Source:
    """A finite, ordered, immutable set of examples, made by the `from_*` functions and `load`.

    An example is an image, its label if labels are known, and any other fields: more images, clips, masks, vectors.

    Example:
        >>> photos = maps = np.zeros([8, 32, 32, 3], "uint8")
        >>> source = tfgen.data.from_arrays(photos, fields={"target": maps, "embedding": np.zeros([8, 16])})
        >>> list(source.fields), source.fields["embedding"].shape
        (['image', 'target', 'embedding'], (16,))
        >>> next(iter(source.batches(4)))["target"].shape
        TensorShape([4, 32, 32, 3])

    Attributes:
      name: the origin of the images, for messages and protocols.
      split: "train", "test", ..., or another name that was given to the function that made the Source.
      num_examples: N.
      image_shape: (H, W, C) with C 1 or 3.
      num_classes: number of classes, None without labels.
      class_names: list of their names, None without labels.
      levels: number of grey levels L; a pixel x in [0, 1] has the level `round(x * (L - 1))` in 0..L-1. It holds for all
        images and clips.
      has_labels: whether batches hold "label".
      stored_fields: {name: `tfgen.fields.Field`} of the stored values of each example, "image" first.
      skipped: list of (file, reason) of the examples that on_error="skip" left out.
      origins: texts [N], equal for examples that are parts of one photo, one clip or one object, and so nearly known from
        each other; None: examples are independent.
    """

    def __init__(
        self, images: np.ndarray | Pixels, labels: np.ndarray | None, *, name: str, split: str, fields: dict | None = None,
        ids: Sequence[str] | None = None, levels: Levels = 256, num_classes: int | None = None,
        class_names: Sequence[str] | None = None, skipped: Sequence[tuple[str, str]] = (),
        origins: Sequence[str] | np.ndarray | None = None,
    ):  # fmt: skip
        """`images`: uint8 [N, H, W, C], not copied, or Pixels.

        `fields`: {name: (Field, Pixels or array [N, ...])} of the other fields; arrays have the field's dtype, or uint8 if
        it has pixels. `ids`: N different texts; None: the positions 0, 1, ... `origins`: N texts, see the attribute.

        Raises:
          ValueError: no images, or values that do not fit the number of images, the levels or the fields.
        """
        settings.check(Source, levels=levels)
        n = images.shape[0]
        if n == 0:
            raise ValueError(f"{name} (split {split!r}) holds no images" + _list_skipped(skipped))
        if images.shape[3] not in (1, 3):
            raise ValueError(f"{name}: expected 1 or 3 channels, found image shape {tuple(images.shape[1:])}")
        self.name, self.split, self.levels = name, split, int(levels)
        height, width, channels = images.shape[1:]
        self.num_examples, self.image_shape = n, (int(height), int(width), int(channels))
        self.skipped = list(skipped)
        self.has_labels = labels is not None
        self.num_classes = self.class_names = None
        self.stored_fields = {"image": declared.image(self.image_shape)}
        self._columns: dict[str, Any] = {"image": images}  # Pixels, or an array of a field without pixels
        for key, (field, column) in (fields or {}).items():
            if key in ("image", "label", "id") or key != field.name:
                raise ValueError(
                    f"{name}: the keys of fields must be the fields' names, and not image, label or id; received {key!r} "
                    f"for the field {field.name!r}"
                )
            if column.shape[0] != n:
                raise ValueError(f"{name}: {key!r} has {column.shape[0]} examples, but there are {n} images")
            self.stored_fields[key], self._columns[key] = field, column
        if self.has_labels:
            labels, self.class_names = _check_labels(labels, n, num_classes, class_names, name)
            self.num_classes = len(self.class_names)
            self.stored_fields["label"], self._columns["label"] = declared.label(self.num_classes), labels
        for key, field in self.stored_fields.items():
            if field.pixels and isinstance(self._columns[key], np.ndarray):
                self._columns[key] = Pixels(self._columns[key])
            column = self._columns[key].array if field.pixels else self._columns[key]
            if column is not None:
                if field.encoded:
                    _check_levels(column, self.levels, name if key == "image" else f"{name}: {key!r}")
                column.flags.writeable = False
        self._ids = None if ids is None else np.asarray(ids, object)
        if self._ids is not None and self._ids.shape != (n,):
            raise ValueError(f"{name}: expected {n} ids, one for each image; received {len(self._ids)}")
        self.origins = None if origins is None else np.asarray(origins, object)
        if self.origins is not None and self.origins.shape != (n,):
            raise ValueError(f"{name}: expected {n} origins, one for each image; received {len(self.origins)}")

    def __repr__(self):
        what = f"{self.num_classes} classes" if self.has_labels else "no labels"
        further = [name for name in self.stored_fields if name not in ("image", "label")]
        what += f", and {', '.join(further)}" if further else ""
        return f"{type(self).__name__}({self.name!r}, {self.split!r}: {self.num_examples} images {self.image_shape}, {what})"

    def __len__(self):
        return self.num_examples

    @property
    def fields(self) -> dict[str, declared.Field]:
        """{name: `tfgen.fields.Field`} of its batches, "image" first, with the fields that only shuffled batches have."""
        return dict(self.stored_fields)

    @property
    def in_memory(self) -> bool:
        """Whether all pixels are held in memory. If not, they are read from disk batch by batch."""
        return all(c.array is not None for c in self._columns.values() if isinstance(c, Pixels))

    @property
    def ids(self) -> np.ndarray:
        """Texts [N] that identify the examples; they do not depend on subset, shard or order.

        They are the feature `id` of records (see `from_tfrecords`), the paths of the images in a folder, or else the
        positions of the examples in the whole set.
        """
        return np.array([str(i) for i in range(self.num_examples)], object) if self._ids is None else self._ids.copy()

    def images(self, n: int | None = None) -> np.ndarray:
        """The first n images (default all) in stored order: float32 [n, H, W, C] in [0, 1]."""
        return self.values("image", n)

    def labels(self, n: int | None = None) -> np.ndarray:
        """The labels of the first n images (default all): int32 [n]; ValueError if the Source has no labels."""
        if not self.has_labels:
            raise ValueError(f"{self!r} has no labels")
        return self.values("label", n)

    def values(self, name: str, n: int | None = None) -> np.ndarray:
        """The field `name` of the first n examples (default all) as in batches: float32, in [0, 1] for pixels, or int32."""
        if name not in self.stored_fields:
            raise ValueError(f"{self!r} has no field {name!r}; it has {', '.join(self.stored_fields)}")
        values, field = self._read(name, np.arange(self._count(n))), self.stored_fields[name]
        if field.classes is not None:
            return (values[..., None] == np.arange(field.classes)).astype(np.float32)
        return values.astype(np.float32) / np.float32(255) if field.pixels else values

    @functools.cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) of shape, pixels, labels and all other fields in stored order. Reads everything once."""
        return self._fingerprint()

    def _fingerprint(self, without=()):
        digest = hashlib.sha256(repr((self.num_examples, *self.image_shape)).encode())
        self._digest("image", digest)
        if self.has_labels:
            self._digest("label", digest)
        else:
            digest.update(b"no labels")
        found = digest.hexdigest()
        for name in sorted(self.stored_fields.keys() - {"image", "label", *without}):
            field = dataclasses.replace(self.stored_fields[name], directional=False)  # does not change the data
            digest = hashlib.sha256(f"{found} {field.config()}".encode())
            self._digest(name, digest)
            found = digest.hexdigest()
        return found

    def _digest(self, name, digest):
        for begin in range(0, self.num_examples, _CHUNK):
            values = self._read(name, np.arange(begin, min(begin + _CHUNK, self.num_examples)))
            digest.update(values.astype(values.dtype.newbyteorder("<")).tobytes())

    def batches(
        self, batch_size: int | Sequence[tuple[int, int]], *, shuffle: bool = False, repeat: bool = False, seed: int = 0,
        start_step: int = 0, drop_remainder: bool | None = None, binarization: Binarization | None = None,
        threshold: float = 0.5, dequantize: bool = False, augmentation: dict | None = None,
        part: Sequence[int] | None = None,
    ) -> tf.data.Dataset:  # fmt: skip
        """A tf.data.Dataset of {"image": float32 [B, H, W, C] in [0, 1], "label": int32 [B] if known, and all `fields`}.

        The batch at global step t is a pure function of the source, the arguments and t: with `start_step=t` the dataset
        returns the same bits as an uninterrupted iteration from step t on, without reading the batches before.

        Args:
          batch_size: B, or a list of (first step, B), such as [(0, 64), (1000, 16)]: 16 from step 1000 on. The first steps
            must begin with 0 and increase. Each phase begins with a new epoch. Several phases need `repeat`.
          shuffle: whether each epoch has its own permutation of all images, from (seed, epoch); else stored order.
          repeat: True: endless, epoch after epoch (no batch spans two epochs). False: one epoch; with `shuffle` each new
            iteration over the dataset is the next epoch, in a new order and with new noise.
          seed: seed of the order and the noise; any 64-bit integer.
          start_step: global step of the first batch.
          drop_remainder: whether to leave out the last, smaller batch of each epoch; default: the value of `repeat`.
          binarization: None, or how pixels of all images and clips become 0 or 1. "threshold": x >= threshold. "fixed":
            Bernoulli(x), drawn once for each image from (seed, index). "dynamic": Bernoulli(x), drawn each time from (seed,
            global position), where the position is epoch * N + place in the epoch.
          threshold: in (0, 1], for binarization="threshold".
          dequantize: (round(x * (levels - 1)) + u) / levels, u uniform in (0, 1) from (seed, global
            position); floor(y * levels) is exactly the level. Not together with `binarization`.
          augmentation: None, or random flips, shifts, crops and colours, such as {"flip": True, "shift": 2, "crop": 32,
            "colour": 0.1}, from (seed, global position), the same for all images, clips and masks of an example; see
            `tfgen.data.augmentation`. It comes before binarisation and dequantisation.
          part: None, or (k, n): only the k-th of n equal parts of the rows of each batch, for worker k of n. Others are not
            read. n must divide B, and all batches must be full.

        Raises:
          ValueError: an argument is out of range, or no full batch exists.
        """
        return make_batches(
            self,
            batch_size,
            shuffle=shuffle,
            repeat=repeat,
            seed=seed,
            start_step=start_step,
            drop_remainder=drop_remainder,
            binarization=binarization,
            threshold=threshold,
            dequantize=dequantize,
            augmentation=augmentation,
            part=part,
        )

    def take(self, n: int) -> "Source":
        """The first n examples as a Source."""
        return self.subset(np.arange(self._count(n)))

    def subset(self, indices: Sequence[int] | np.ndarray) -> "Source":
        """The examples at `indices` (in [0, N), in the given order) as a Source of the same name, classes and `skipped`."""
        return Source(**self._part(indices))

    def _part(self, indices=None):
        """The arguments for a Source of the examples at `indices`, or of all examples without a copy."""
        if indices is None:
            return self._arguments(dict(self._columns), self._ids, self.origins)
        indices = np.asarray(indices)
        if indices.ndim != 1 or indices.size == 0 or not np.issubdtype(indices.dtype, np.integer):
            raise ValueError(f"indices must be a non-empty list of whole numbers; received {indices.dtype} {indices.shape}")
        bad = indices[(indices < 0) | (indices >= self.num_examples)]
        if bad.size:
            raise ValueError(f"index {bad[0]} is outside [0, {self.num_examples}) of {self!r}")
        columns = {
            name: column.select(indices) if isinstance(column, Pixels) else column[indices]
            for name, column in self._columns.items()
        }
        origins = None if self.origins is None else self.origins[indices]
        return self._arguments(columns, [str(i) for i in indices] if self._ids is None else self._ids[indices], origins)

    def held_out(self, share: PositiveFraction, seed: Seed = 0) -> tuple["Source", "Source"]:
        """Two Sources: the other examples, and a random share that is held out, at least one example, both in stored order.

        Examples of one of the `origins` are on one side. Then the share is one of origins.

        Example:
            >>> rest, held_out = tfgen.data.load("digits").held_out(0.1)
            >>> len(rest), len(held_out)
            (1260, 140)

        Raises:
          ValueError: the share leaves none, as of a single origin.
        """
        settings.check(Source.held_out, share=share, seed=seed)
        numbers = np.arange(self.num_examples)
        if self.origins is not None:
            known = {origin: number for number, origin in enumerate(dict.fromkeys(self.origins))}
            numbers = np.array([known[origin] for origin in self.origins])
        count = 1 + int(numbers.max())
        held = max(1, round(share * count))
        if held == count:
            what = "examples" if self.origins is None else "photos, clips or objects that its examples are parts of"
            raise ValueError(f"{self!r}: a share of {share} of the {count} {what} leaves none")
        chosen = np.isin(numbers, np.random.default_rng(seed).permutation(count)[:held])
        return self.subset(np.flatnonzero(~chosen)), self.subset(np.flatnonzero(chosen))

    def _arguments(self, columns, ids, origins):
        return {
            "images": columns.pop("image"),
            "labels": columns.pop("label", None),
            "fields": {name: (self.stored_fields[name], column) for name, column in columns.items()},
            "ids": ids,
            "origins": origins,
            "name": self.name,
            "split": self.split,
            "levels": self.levels,
            "class_names": self.class_names,
            "skipped": self.skipped,
        }

    def description(self) -> dict:
        """The attributes that records do not hold, as a JSON-able dict, for `tfgen.data.described`."""
        return {
            "name": self.name,
            "image_shape": list(self.image_shape),
            "num_classes": self.num_classes,
            "class_names": self.class_names,
            "levels": self.levels,
            "fields": [field.config() for field in self.stored_fields.values()],
        }

    def write_tfrecords(self, path: str | os.PathLike, shards: int = 1) -> list[str]:
        """Writes TFRecords of all examples, in stored order; see `example` for their features.

        Args:
          path: the file; with shards > 1, "-00000-of-00004" and so on is put before the suffix. The suffix .gz means GZIP.
          shards: number of files, each a run of consecutive examples.

        Returns:
          The list of absolute paths. Each file is written under a temporary name and renamed when it is complete.

        Raises:
          ValueError: two examples have the same id.
        """
        settings.check_values({"shards": Annotated[int, within(1, self.num_examples)]}, {"shards": shards})
        self.check_ids()
        stem, suffix = os.path.splitext(os.path.abspath(os.path.expanduser(os.fspath(path))))
        folder = os.path.dirname(stem)
        os.makedirs(folder, exist_ok=True)
        compression = "GZIP" if suffix.lower() == ".gz" else ""
        paths = []
        for shard, indices in enumerate(np.array_split(np.arange(self.num_examples), shards)):
            final = stem + suffix if shards == 1 else f"{stem}-{shard:05d}-of-{shards:05d}{suffix}"
            # Hidden, so that no glob pattern matches the unfinished file of a killed writer.
            temporary = os.path.join(folder, f".{os.path.basename(final)}.tmp-{os.getpid()}")
            try:
                with tf.io.TFRecordWriter(temporary, compression) as writer:
                    for i in indices:
                        writer.write(self.example(i).SerializeToString())
                os.replace(temporary, final)
            finally:
                if os.path.exists(temporary):
                    os.remove(temporary)
            paths.append(final)
        return paths

    def check_ids(self) -> None:
        """Raises ValueError if two examples have the same id."""
        ids = self.ids
        if len(set(ids)) < len(ids):
            seen: dict[str, int] = {}
            for i, key in enumerate(ids):
                if seen.setdefault(key, i) != i:
                    raise ValueError(f"{self!r}: examples {seen[key]} and {i} have the same id {key!r}")

    def example(self, i: int) -> tf.train.Example:
        """Example i as a tf.train.Example: `id` (text), and all `stored_fields` by name.

        Images, clips and masks are the bytes of files, one for each image: the original file if it is a PNG or JPEG and was
        neither resized nor converted, else a PNG. Vectors are floats, or int64.
        """
        feature = {"id": _feature("bytes_list", [str(i if self._ids is None else self._ids[i]).encode()])}
        for name, field in self.stored_fields.items():
            if field.pixels:
                feature[name] = _feature("bytes_list", self._columns[name].files(i, grey=not field.encoded))
            else:
                kind = "int64_list" if field.dtype == "int32" else "float_list"
                feature[name] = _feature(kind, np.ravel(self._columns[name][i]).tolist())
        return tf.train.Example(features=tf.train.Features(feature=feature))

    def _count(self, n):
        if n is None:
            return self.num_examples
        settings.check_values({"n": Annotated[int, within(1, self.num_examples)]}, {"n": n}, repr(self))
        return int(n)

    def _read(self, name, indices):
        """uint8 for pixels, else float32 or int32: [len(indices), ...]."""
        column = self._columns[name]
        return column.read(indices) if isinstance(column, Pixels) else column[indices]

    @functools.cached_property
    def _tensors(self):
        with tf.init_scope(), tf.device("CPU:0"):  # tf.data runs on the host
            arrays = {k: c.array if isinstance(c, Pixels) else c for k, c in self._columns.items()}
            return {name: tf.constant(array) for name, array in arrays.items() if array is not None}

    def graph_read(self, name: str, indices: tf.Tensor) -> tf.Tensor:
        """Reads the field `name` at int64 [B] indices inside a tf.data function: uint8 for pixels, else float32 or int32."""
        if name in self._tensors:
            return tf.gather(self._tensors[name], indices)
        column = self._columns[name]
        pixels = tf.numpy_function(column.read, [indices], tf.uint8, stateful=False)
        return tf.ensure_shape(pixels, [None, *column.shape[1:]])


def from_arrays(
    images: np.ndarray, labels: np.ndarray | None = None, *, fields: dict | None = None, ids: Sequence[str] | None = None,
    levels: Levels = 256, name: str = "arrays", split: str = "train", class_names: Sequence[str] | None = None,
    num_classes: int | None = None, origins: Sequence[str] | np.ndarray | None = None,
) -> Source:  # fmt: skip
    """A Source of arrays, which are copied.

    Example:
        >>> images, labels = np.zeros([10, 28, 28, 1], "uint8"), np.arange(10)
        >>> source = tfgen.data.from_arrays(images, labels, fields={"embedding": np.zeros([10, 16])})
        >>> source.num_classes, source.image_shape
        (10, (28, 28, 1))

    Args:
      images: uint8 [N, H, W, C] or [N, H, W], or floats in [0, 1] of such a shape. Pixels are held in 8 bits:
        floats are rounded to the nearest of `levels` values.
      labels: None or whole numbers [N] in [0, num_classes).
      fields: other fields, {name: array} or {name: (array, `tfgen.fields.Field`)}. The array of a map of classes
        (`tfgen.fields.label_map`) has the class of each pixel, [N, H, W]. Without a Field, an array of uint8,
        or of floats if it has three axes or more, is an image [N, H, W, C], a clip [N, T, H, W, C] or a mask [N, H, W]
        (a mask may be boolean); other floats are a number [N] or vector [N, size] of any range; booleans [N, A] are
        attributes; integers [N, ...] are int32 with the range of the array.
      ids: N different texts; default the positions 0, 1, ...
      levels: number of grey levels; uint8 pixels must be round(255 * v / (levels - 1)) for whole v.
      name: name of the source.
      split: name of the split.
      class_names: names of the classes; default their numbers.
      num_classes: default len(class_names), else the largest label plus 1.
      origins: N texts, equal for windows of one video, crops of one photo and the like, see `Source`.

    Raises:
      ValueError: wrong shape or dtype; a value that is not finite or not in [0, 1]; labels that do not fit.
    """
    settings.check(from_arrays, levels=levels)
    images = np.array(images)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4:
        raise ValueError(f"images must have shape [N, H, W, C] or [N, H, W]; received {images.shape}")
    return Source(
        _eight_bits(images, levels, "images"),
        labels,
        fields={key: _column(key, value, levels) for key, value in (fields or {}).items()},
        ids=None if ids is None else [str(key) for key in ids],
        name=name,
        split=split,
        levels=levels,
        num_classes=num_classes,
        class_names=class_names,
        origins=None if origins is None else [str(key) for key in origins],
    )


def _column(name, values, levels):
    """(Field, array) of a value of `fields` of `from_arrays`."""
    values, field = values if isinstance(values, tuple) else (values, None)
    values = np.array(values)
    pixels = field.pixels if field else values.ndim >= 3 and values.dtype.kind in "ufb"
    if field and field.classes is not None:
        return field.of_stored(values.shape[1:]), _class_indices(values, field)
    if pixels and field and not field.encoded and values.ndim == 4:  # a clip of masks
        values = values.astype(np.uint8) * np.uint8(255) if values.dtype == bool else _eight_bits(values, 256, name)
        num_frames, height, width = values.shape[1:]
        found = declared.mask(height, width, name, num_frames=num_frames)
    elif pixels:
        if values.dtype == bool:
            values = values.astype(np.uint8) * np.uint8(255)
        if values.ndim not in (3, 4, 5):
            raise ValueError(f"{name} must have the shape of images, clips or masks; received {values.shape}")
        if values.ndim == 3:
            found = declared.mask(values.shape[1], values.shape[2], name)
        else:
            found = (declared.image if values.ndim == 4 else declared.frames)(values.shape[1:], name)
        values = _eight_bits(values, 256 if values.ndim == 3 else levels, name)
    elif values.dtype == bool and values.ndim == 2:
        found, values = declared.attributes(values.shape[1], name), values.astype(np.float32)
    elif values.dtype.kind == "f":
        found = declared.Field(name, values.shape[1:], directional=name == "view")
        values = values.astype(np.float32)
    elif values.dtype.kind in "iu":
        low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
        if not -(2**31) <= low <= high < 2**31:
            raise ValueError(f"{name} must be whole numbers of 32 bits; received {low} to {high}")
        found = declared.Field(name, values.shape[1:], "int32", low=low, high=high, directional=name == "view")
        values = values.astype(np.int32)
    else:
        raise ValueError(f"{name} must be numbers or booleans; received dtype {values.dtype}")
    if field is not None:
        if found.dtype != field.dtype or not tf.TensorShape(field.shape).is_compatible_with(found.shape):
            raise ValueError(
                f"{name} was declared as {field.dtype} {list(field.shape)}; received {values.dtype} {values.shape[1:]}"
            )
        found = dataclasses.replace(field, shape=found.shape)
    if not pixels:
        low, high = (-np.inf if found.low is None else found.low), (np.inf if found.high is None else found.high)
        bad = np.argwhere(~(np.isfinite(values) & (values >= low) & (values <= high)))
        if len(bad):
            place = tuple(int(k) for k in bad[0])
            raise ValueError(f"{name} must be finite, in [{low}, {high}]; received {values[place]} at index {place}")
    return found, values


def _class_indices(values, field):
    """uint8 of whole numbers [N, ...], the classes of pixels; ValueError if one is no class, or the shape is another one."""
    if not np.issubdtype(values.dtype, np.integer):
        raise ValueError(f"{field.name} must be the classes of pixels, whole numbers; received dtype {values.dtype}")
    if not tf.TensorShape(field.stored_shape).is_compatible_with(values.shape[1:]):
        raise ValueError(f"{field.name} was declared as classes {list(field.stored_shape)}; received {values.shape[1:]}")
    bad = np.argwhere((values < 0) | (values >= field.classes))
    if len(bad):
        place = tuple(int(k) for k in bad[0])
        raise ValueError(
            f"{field.name} must be classes in [0, {field.classes}); received {values[place]} at index {place} "
            f"({len(bad)} such pixels)"
        )
    return values.astype(np.uint8)


def _eight_bits(values, levels, name):
    if np.issubdtype(values.dtype, np.floating):
        bad = np.argwhere(~((values >= 0) & (values <= 1)))  # also true for NaN
        if len(bad):
            place = tuple(int(k) for k in bad[0])
            raise ValueError(
                f"float {name} must lie in [0, 1]; {len(bad)} values do not, the first is {values[place]} at index {place}"
            )
        return level_values(levels)[np.round(values * (levels - 1)).astype(np.int64)]
    if values.dtype != np.uint8:
        raise ValueError(f"{name} must be uint8, or floats in [0, 1]; received dtype {values.dtype}")
    return values


def _feature(kind, values):
    lists = {"bytes_list": tf.train.BytesList, "float_list": tf.train.FloatList, "int64_list": tf.train.Int64List}
    return tf.train.Feature(**{kind: lists[kind](value=values)})


def build_source(reader, *, on_error, skipped=(), in_memory=None, **attributes):
    """Makes a Source from a reader: reads all files in parallel if the pixels fit in memory, else each when it is needed.

    Args:
      reader: an object with
        `pixels`: names of the fields with pixels, "image" first;
        `len()`, `label(i)` (int or None), `id(i)` (text), `where(i, name)` (text for messages);
        `read(i, name)` -> uint8 [...], which may raise ImageError; `files(i, name)` -> the bytes of its files, or None;
        `declare(name, shape)`: the Field called `name`, of stored examples with this shape, for all but "image";
        `further(keep)`: {name: (Field, array)} of all other fields of the examples `keep`;
        `origin(i)` (text), if it has this method: see `Source.origins`.
      on_error: "raise" or "skip".
      skipped: (file, reason) pairs of examples that were skipped already.
      in_memory: None: read now if all fits in memory; False: hold nothing in memory.
      **attributes: the other arguments of Source.
    """
    skipped, n, names = list(skipped), len(reader), reader.pixels
    shapes = first = None

    def read(i, name):
        try:
            pixels = reader.read(i, name)
            if shapes is not None and pixels.shape != shapes[name]:
                raise ImageError(_mismatch(pixels.shape, shapes[name], reader.where(first, name)))
            return pixels
        except ImageError as e:
            raise ValueError(f"{reader.where(i, name)}: {e}") from e

    failures = []
    for first in range(n):
        try:
            shapes = {name: read(first, name).shape for name in names}
            break
        except ValueError as e:
            failures.append((first, e))
    if shapes is None and on_error == "skip":
        skipped += [(reader.where(i, "image"), _reason(e)) for i, e in failures]
        raise ValueError(f"{attributes['name']} holds no usable image" + _list_skipped(skipped))
    if shapes is None:
        raise unusable(attributes["name"], [*(f"{file}: {reason}" for file, reason in skipped), *(e for _, e in failures)])

    def encoded(i, name):
        grey = name != "image" and not reader.declare(name, shapes[name]).encoded  # masks and maps
        shape = (*shapes[name], 1) if grey else shapes[name]
        files = reader.files(i, name)
        return files if files is not None and all(plain_file(file, shape[-3:]) for file in files) else None

    size = n * sum(int(np.prod(shape)) for shape in shapes.values())
    fits = size <= MEMORY_LIMIT if in_memory is None else in_memory
    arrays = {name: np.empty((n, *shape), np.uint8) if fits else None for name, shape in shapes.items()}
    good = np.ones(n, bool)
    if fits or on_error == "skip":
        failures = _read_all(read, n, arrays)
    if on_error == "raise" and (skipped or failures):
        raise unusable(attributes["name"], [*(f"{file}: {reason}" for file, reason in skipped), *(e for _, e in failures)])
    for i, e in failures:
        good[i] = False
        skipped.append((reader.where(i, "image"), _reason(e)))
    keep = np.flatnonzero(good)
    if skipped:
        logging.warning(
            "%s: %d of %d images skipped%s",
            attributes["name"],
            len(skipped),
            len(skipped) + len(keep),
            _list_skipped(skipped),
        )
    columns = {
        name: Pixels(
            array if array is None or len(keep) == n else array[keep],
            from_file=functools.partial(read, name=name),
            encoded=functools.partial(encoded, name=name),
            indices=keep,
            shape=shapes[name],
        )
        for name, array in arrays.items()
    }
    images = columns.pop("image")
    labels: Any = [reader.label(i) for i in keep]
    further = {name: (reader.declare(name, shapes[name]), column) for name, column in columns.items()}
    return Source(
        images, None if not labels or labels[0] is None else labels, fields={**further, **reader.further(keep)},
        ids=[reader.id(i) for i in keep], skipped=skipped,
        origins=[reader.origin(i) for i in keep] if hasattr(reader, "origin") else None, **attributes,
    )  # fmt: skip


def _reason(error):
    return str(error.__cause__ or error)


def unusable(name, texts, listed=50):
    """The ValueError of on_error="raise"; `texts`: file and reason of each example that cannot be used."""
    texts = [str(text) for text in texts]
    if len(texts) == 1:
        return ValueError(f'{texts[0]}; on_error="skip" leaves it out')
    more = [f"and {len(texts) - listed} more"] if len(texts) > listed else []
    head = f'{name}: {len(texts)} files cannot be used; on_error="skip" leaves them out:'
    return ValueError("\n  ".join([head, *texts[:listed], *more]))


def skipped_text(skipped, num_examples):
    """"3 of 403 files skipped"; `num_examples`: the number of examples that were used, or a list of one for each split."""
    used = sum(np.atleast_1d(num_examples))
    return f"{len(skipped)} of {used + len(skipped)} files skipped"


def _read_all(read, n, arrays):
    """Reads 0..n-1 on all cores into `arrays` {name: array or None}. Returns failures as (i, ValueError)."""
    from tqdm import tqdm

    def work(begin):
        failures = []
        for i in range(begin, min(begin + _CHUNK, n)):
            try:
                for name, array in arrays.items():
                    pixels = read(i, name)
                    if array is not None:
                        array[i] = pixels
            except ValueError as e:
                failures.append((i, e))
        return failures

    quiet = n <= 20_000 or not sys.stderr.isatty()
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm(total=n, desc="reading", unit=" images", disable=quiet, leave=False) as bar,
    ):
        failures = []
        for found in pool.map(work, range(0, n, _CHUNK)):
            failures += found
            bar.update(_CHUNK)
    return failures


def _mismatch(shape, expected, first):
    if len(shape) != 3 or len(expected) != 3:
        return f"found the shape {shape}, but {first} has {expected}"
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


def level_values(levels):
    """uint8 [levels]: the stored value of each level."""
    return np.round(np.arange(levels) * (255 / (levels - 1))).astype(np.uint8)


def _check_levels(images, levels, name):
    if levels == 256:
        return
    allowed = np.zeros(256, bool)
    allowed[level_values(levels)] = True
    bad = np.argwhere(~allowed[images])
    if len(bad):
        place = tuple(int(k) for k in bad[0])
        raise ValueError(
            f"{name}: pixel value {images[place]} at index {place} is not one of the {levels} levels "
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
    if num_classes > MAX_CLASSES:
        raise ValueError(f"{name}: the labels must be of at most {MAX_CLASSES} classes; received labels of {num_classes}")
    bad = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if bad.size:
        raise ValueError(
            f"{name}: label {labels[bad[0]]} of example {bad[0]} is outside [0, {num_classes}) ({bad.size} such labels)"
        )
    labels = labels.astype(np.int32)
    labels.flags.writeable = False
    return labels, list(class_names) if class_names is not None else [str(k) for k in range(num_classes)]


def linked(parts: np.ndarray) -> list[str]:
    """`origins` of examples that are made of several parts: examples that share a part, or are linked by others, have one.

    Example:
        >>> linked(np.array([[0, 1], [2, 3], [1, 4]]))
        ['0', '1', '0']

    Args:
      parts: numbers int [N, parts of an example].
    """
    parents = np.arange(parts.max() + 1)

    def root(part):
        while parents[part] != part:
            parents[part] = part = parents[parents[part]]
        return part

    for first, *others in parts:
        for other in others:
            parents[root(other)] = root(first)
    roots = [root(first) for first, *_ in parts]
    numbers = {one: number for number, one in enumerate(dict.fromkeys(roots))}
    return [str(numbers[one]) for one in roots]
