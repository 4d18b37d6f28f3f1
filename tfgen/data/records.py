"""Reads TFRecord files of tf.Example: encoded images or float lists, plain or GZIP."""

import dataclasses
import glob
import os
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from tfgen import fields as declared
from tfgen.data.image_files import ImageError, adapt_image, check_options, open_image
from tfgen.data.source import Source, build_source
from tfgen.files import TemporaryFolder
from tfgen.settings import MAX_CLASSES, Channels, ImageShape, Levels, OnError, PositiveInt, Resize, Size

_BATCH = 512


# Features that become fields of a Source without a declaration.
RECOGNISED = ("target", "mask", "frames", "embedding", "view", "attributes")


def from_tfrecords(
    pattern_or_files: str | os.PathLike | Sequence[str | os.PathLike], *, fields: Sequence[declared.Field] | None = None,
    shard: tuple[int, int] | None = None, image_shape: ImageShape | None = None,
    size: Size | None = None, channels: Channels | None = None, resize: Resize = "center_crop",
    on_error: OnError = "raise", split: str = "train", levels: Levels = 256, num_classes: PositiveInt | None = None,
    class_names: Sequence[str] | None = None, in_memory: bool | None = None,
) -> Source:  # fmt: skip
    """A Source of TFRecord files, in the order of the sorted file names and of the records in them.

    Example:
        whole = tfgen.data.from_tfrecords("photos-*.tfrecord", fields=[tfgen.fields.vector("embedding", 16)])
        part = tfgen.data.from_tfrecords("photos-*.tfrecord", shard=(0, 4))  # opens a quarter of the files

    A record is a tf.Example with feature `image`, optionally `label` (one int64; in all records or in
    none), and further fields. `image` is one encoded image (PNG, JPEG, ...) or a list of H*W*C floats in [0, 1], row by row
    with the channel last. Floats must be whole multiples of 1/255 (within 1e-6), because pixels are held in 8
    bits: other values raise an error, since they mean that the records were normalised differently.
    `id`, a text or an int64, identifies the record (see `Source.ids`); the default is `<file name>__<record number>`.

    Args:
      pattern_or_files: a glob pattern, or a list of paths. GZIP is recognised by content.
      fields: `tfgen.fields.Field`s of the other features to read: images, clips (several encoded images) and masks as
        encoded images, vectors as floats, int32 as int64. None: the features named in `RECOGNISED` that the first record
        has. Then several encoded images are a clip, one image named "mask" is a mask, floats are a vector, integers named
        "attributes" are attributes (0 or 1), and other integers are int32 with the range found in the records. A "view" is
        directional: pictures beside it are not mirrored or shifted.
      shard: (index, count): read only part `index` of `count` equal parts of the sorted files; the other files are not
        opened. Give num_classes, since a part may lack some classes.
      image_shape: (H, W, C) of the stored images. Needed for float lists; for encoded images it is checked if
        given.
      size, channels, resize, on_error, levels, in_memory: as in `from_folder`; size and resize apply to all fields. After a
        damaged record the rest of its file cannot be read: with on_error="skip", `Source.skipped` gets one entry for it.
      split: name of the split.
      num_classes, class_names: as in `from_arrays`.

    Raises:
      ValueError: no file matches; fewer files than shards; or, with file name and record number, a damaged record, or a
        field that is missing or does not fit.
    """
    size = check_options(size, channels, resize, on_error)
    if isinstance(pattern_or_files, (str, os.PathLike)):
        name = os.fspath(pattern_or_files)
        files = sorted(glob.glob(os.path.expanduser(name)))
        if not files:
            raise ValueError(f"no TFRecord file matches {name!r}; received from the folder {os.getcwd()}")
    else:
        files = sorted(os.fspath(f) for f in pattern_or_files)
        if not files:
            raise ValueError("received an empty list of TFRecord files")
        name = os.path.commonprefix(files) + ("*" if len(files) > 1 else "")
    if shard is not None:
        index, count = check_shard(shard)
        if count > len(files):
            raise ValueError(f"{name!r} has {len(files)} files, fewer than the {count} shards of shard={shard!r}")
        files = [str(file) for file in np.array_split(files, count)[index]]
        name += f" shard {index} of {count}"
    reader = Records(
        [(f, 0, None) for f in files],
        image_shape=image_shape,
        options=dict(size=size, channels=channels, resize=resize),
        fields=fields,
    )
    return build_source(
        reader,
        on_error=on_error,
        skipped=reader.skipped,
        name=f"tfrecord:{name}",
        split=split,
        levels=levels,
        num_classes=num_classes,
        class_names=class_names,
        in_memory=in_memory,
    )


def described(files: Sequence[str | os.PathLike], description: dict, split: str = "train") -> Source:
    """The Source of records that were written from another Source, with the attributes in that Source's `description`.

    Example:
        >>> source = tfgen.data.load("digits").take(3)
        >>> with tf.io.TFRecordWriter("digits.tfrecord") as writer:
        ...     for i in range(3):
        ...         writer.write(source.example(i).SerializeToString())
        >>> again = tfgen.data.described(["digits.tfrecord"], source.description())
        >>> again.name, again.levels, bool((again.images() == source.images()).all())
        ('digits', 17, True)

    Args:
      files: list of paths.
      description: a dict from `Source.description`, also after a round trip through JSON. Its optional entry `read`, a dict
        of size, channels, resize and on_error, has the options for reading images.
      split: name of the split.

    Raises:
      ValueError: as `from_tfrecords`, or the images have another shape than the description.
    """
    read = description.get("read") or {}
    source = from_tfrecords(
        files,
        fields=[declared.Field(**config) for config in description["fields"]],
        image_shape=None if read else description["image_shape"],
        split=split,
        levels=description["levels"],
        num_classes=description["num_classes"],
        class_names=description["class_names"],
        **read,
    )
    if source.image_shape != tuple(description["image_shape"]):
        raise ValueError(f"{source!r} has images {source.image_shape}, expected {tuple(description['image_shape'])}")
    source.name = description["name"]  # for protocols: the name of the data set, not the folder of this run
    if description.get("groups") is not None:
        from tfgen.data.factors import FactorSource

        source = FactorSource.of(source, description["groups"])
    if description.get("unpaired"):
        from tfgen.data.unpaired import UnpairedSource

        source = UnpairedSource.of(source)
    return source


def check_shard(shard):
    """Returns the pair (index, count) as ints; ValueError if it is not such a pair with 0 <= index < count."""
    try:
        index, count = shard
        if int(index) == index and int(count) == count and 0 <= index < count:
            return int(index), int(count)
    except (TypeError, ValueError):
        pass
    raise ValueError(f"shard must be (index, count) with 0 <= index < count; received {shard!r}")


class Records:
    """The reader of `build_source`: one pass over the files (checksums, values, offsets), then random reads.

    Args:
      files: list of (path, skip, take), the records to use; take=None means all after `skip`.
      image_shape: (H, W, C) or None.
      options: arguments of adapt_image.
      fields: Fields other than image and label; None: the recognised features of the first record.
      image_key, label_key: names of the features; label_key=None ignores labels.
      keys: {field: names of the features that are its components}, for fields that consist of several features.
    """

    def __init__(
        self, files, *, image_shape, options, fields=None, image_key="image", label_key="label", keys=None
    ):
        self._image_shape = None if image_shape is None else tuple(int(s) for s in image_shape)
        if self._image_shape is not None and (len(self._image_shape) != 3 or self._image_shape[2] not in (1, 3)):
            raise ValueError(f"image_shape must be (H, W, C) with C 1 or 3; received {image_shape!r}")
        self._options = options
        self._image_key, self._label_key, self._keys = image_key, label_key, keys or {}
        self._names = [path for path, _, _ in files]
        self._paths = list(self._names)  # paths of the uncompressed files
        self._unpacked = None
        # Without fields those of the first record, which `__init__` reads.
        self._fields: Any = None if fields is None else {f.name: f for f in fields if f.name not in ("image", "label")}
        self.skipped, self._labels, self._ids, self._values, entries = [], [], [], {}, []
        for number, (path, skip, take) in enumerate(files):
            entries += [(number, *entry) for entry in self._scan(number, path, skip, take)]
        self._entries = np.array(entries, np.int64).reshape(-1, 4)  # file, record, offset, length
        self.pixels = ("image", *(name for name, field in (self._fields or {}).items() if field.pixels))

    def _scan(self, file, path, skip, take):
        """Checks one file and keeps the small values of its records. Returns [(record, offset, length)]."""
        damage = None
        with open(path, "rb") as f:
            if f.read(3) == b"\x1f\x8b\x08":  # a plain file begins with the length of its first record
                self._paths[file], damage = self._unpack(path, file)
        entries: list[tuple] = []
        offset, record = 0, 0
        try:
            for data in _payloads(self._paths[file]):
                if take is not None and record >= skip + take:
                    return entries
                if record >= skip:
                    try:
                        self._note(_parse(data), f"{os.path.basename(path)}__{record}")
                        # Around the data: 8 bytes length and 4 checksum before, 4 checksum after.
                        entries.append((record, offset + 12, len(data)))
                    except ImageError as e:
                        self.skipped.append((f"{path}: record {record}", str(e)))
                offset += len(data) + 16
                record += 1
        except tf.errors.DataLossError as e:
            damage = damage or e
        if take is not None and record < skip + take:  # TFDS stores the number of records of a file
            damage = damage or f"ends after {record} records, expected {skip + take}"
        if damage:
            reason = f"damaged ({damage}); this record and all that follow in the file cannot be read"
            self.skipped.append((f"{path}: record {record}", reason))
        return entries

    def _unpack(self, path, file):
        """Unpacks a file for random access, into a folder that is deleted with this reader."""
        self._unpacked = self._unpacked or TemporaryFolder("tfgen-records-")
        plain = os.path.join(self._unpacked.path, str(file))
        # Not the gzip module, which would lose the records before the damage.
        inflate = zlib.decompressobj(wbits=31)
        with open(path, "rb") as packed, open(plain, "wb") as out:
            try:
                while chunk := packed.read(1 << 14):
                    while chunk:
                        if inflate.eof:  # a GZIP file may consist of several members
                            inflate = zlib.decompressobj(wbits=31)
                        out.write(inflate.decompress(chunk))
                        chunk = inflate.unused_data
            except zlib.error as e:
                return plain, e
        return plain, None if inflate.eof else "the GZIP data end early"

    def _note(self, features, default_id):
        """Keeps label, id and the values of the fields without pixels."""
        label = None
        if self._image_key not in features:
            raise ImageError(f"has no feature {self._image_key!r}; found {sorted(features)}")
        if self._label_key is not None and self._label_key in features:
            values = features[self._label_key].int64_list.value
            if len(values) != 1:
                raise ImageError(f"expected one int64 as {self._label_key!r}, found {len(values)}")
            label = values[0]
            if not 0 <= label < MAX_CLASSES:
                raise ImageError(f"expected {self._label_key!r} in [0, {MAX_CLASSES}), found {label}")
        if self._labels and (label is None) != (self._labels[0] is None):
            here, before = ("no label", "have one") if label is None else ("a label", "have none")
            raise ImageError(f"has {here}, but the records before {before}")
        if self._fields is None:
            self._fields = {name: _recognised(name, features[name]) for name in RECOGNISED if name in features}
        found = {}
        for name, field in self._fields.items():
            keys = self._keys.get(name, [name])
            missing = [key for key in keys if key not in features]
            if missing:
                raise ImageError(f"has no feature {missing[0]!r}; found {sorted(features)}")
            if not field.pixels:
                found[name] = _numbers(field, [features[key] for key in keys])
        key = _id(features) or default_id
        for name, values in found.items():
            self._values.setdefault(name, []).append(values)
        self._labels.append(label)
        self._ids.append(key)

    def __len__(self):
        return len(self._entries)

    def label(self, i):
        return self._labels[i]

    def id(self, i):
        return self._ids[i]

    def where(self, i, name):
        file, record, _, _ = self._entries[i]
        return f"{self._names[file]}: record {record}"

    def declare(self, name, shape):
        return self._fields[name].of_stored(shape)

    def further(self, keep):
        """{name: (Field, array)} of the fields without pixels."""
        found = {}
        for name, values in self._values.items():
            field, values = self._fields[name], np.stack([values[i] for i in keep])
            if field.dtype == "int32" and field.high is None and field.low is None:
                field = dataclasses.replace(field, low=int(values.min()), high=int(values.max()))
            found[name] = field, values
        return found

    def _feature(self, i, name):
        file, _, offset, length = self._entries[i]
        with open(self._paths[file], "rb", buffering=0) as f:
            f.seek(offset)
            return _parse(f.read(length))[self._image_key if name == "image" else name]

    def files(self, i, name):
        return list(self._feature(i, name).bytes_list.value) or None

    def read(self, i, name):
        feature = self._feature(i, name)
        kind = feature.WhichOneof("kind")
        files = feature.bytes_list.value
        if name != "image":
            return self._pixels_of(self._fields[name], files)
        if len(files) == 1:
            image = open_image(files[0])
            shape = image.height, image.width, len(image.getbands())
            if self._image_shape not in (None, shape):
                raise ImageError(f"found an image of shape {shape}, expected image_shape={self._image_shape}")
            return adapt_image(image, **self._options)
        if kind == "float_list":
            return self._from_floats(np.array(feature.float_list.value, np.float32))
        found = f"{len(getattr(feature, kind).value)} values in {kind}" if kind else "an empty feature"
        raise ImageError(f"expected one encoded image or a float list as {self._image_key!r}, found {found}")

    def _pixels_of(self, field, files):
        """The pixels of a field as uint8: [H, W] of a mask or map, [H, W, C] of an image, [T, ...] of a clip."""
        clip = field.files_shape
        wanted = (clip[0] or max(1, len(files))) if clip else 1
        if len(files) != wanted:
            raise ImageError(f"expected {wanted} encoded images as {field.name!r}, found {len(files)}")
        grey = not field.encoded
        options = {**self._options, "channels": 1 if grey else self._options["channels"] or field.shape[-1]}
        images = [adapt_image(open_image(file), **options, nearest=grey) for file in files]
        if len({image.shape for image in images}) > 1:
            raise ImageError(f"the images of {field.name!r} have different shapes")
        pixels = np.stack(images)[..., 0] if grey else np.stack(images)
        pixels = pixels if clip else pixels[0]
        if field.classes is not None and pixels.max() >= field.classes:
            raise ImageError(f"expected {field.name!r} with classes in [0, {field.classes}), found {pixels.max()}")
        if self._options["size"] is None and not tf.TensorShape(field.stored_shape).is_compatible_with(pixels.shape):
            raise ImageError(f"found {field.name!r} of shape {pixels.shape}, expected {field.stored_shape}")
        return pixels

    def _from_floats(self, values):
        if self._image_shape is None:
            raise ImageError(f"holds {values.size} floats as image: pass image_shape=(height, width, channels)")
        if values.size != np.prod(self._image_shape):
            raise ImageError(f"found {values.size} floats, expected image_shape={self._image_shape}")
        whole = np.round(values * 255.0)
        bad = np.flatnonzero(~((np.abs(whole / 255 - values) <= 1e-6) & (whole >= 0) & (whole <= 255)))
        if bad.size:
            raise ImageError(
                f"expected multiples of 1/255 in [0, 1]; {bad.size} of {values.size} floats are not, the "
                f"first is {values[bad[0]]} at {bad[0]}"
            )
        image = whole.astype(np.uint8).reshape(self._image_shape)
        if self._options["size"] is None and self._options["channels"] is None:
            return image
        from PIL import Image

        return adapt_image(Image.fromarray(image[..., 0] if image.shape[2] == 1 else image), **self._options)


def _recognised(name, feature):
    """The Field of a feature without a declaration; the range of integers is found later."""
    kind = feature.WhichOneof("kind")
    count = len(getattr(feature, kind).value) if kind else 0
    if kind == "bytes_list":
        if name == "mask":
            return declared.mask(None, None)
        return declared.frames((count, None, None, None), name) if count > 1 else declared.image((None, None, None), name)
    if name == "attributes":
        return declared.attributes(count)
    return declared.Field(name, (count,), "int32" if kind == "int64_list" else "float32", directional=name == "view")


def _numbers(field, features):
    """The value of a field without pixels: from one feature, or from one feature for each component."""
    values = []
    for feature in features:
        kind = feature.WhichOneof("kind")
        if kind not in ("int64_list", "float_list") or (kind == "float_list" and field.dtype == "int32"):
            raise ImageError(f"expected numbers ({field.dtype}) as {field.name!r}, found {kind or 'an empty feature'}")
        values += getattr(feature, kind).value
    values, size = np.array(values, np.float64), int(np.prod(field.shape))
    if len(values) != size:
        raise ImageError(f"expected {size} numbers as {field.name!r}, found {len(values)}")
    limit = 2**31 - 1 if field.dtype == "int32" else np.inf
    low, high = (-limit if field.low is None else field.low), (limit if field.high is None else field.high)
    bad = np.flatnonzero(~(np.isfinite(values) & (values >= low) & (values <= high)))
    if bad.size:
        raise ImageError(f"expected {field.name!r} finite, in [{low}, {high}]; found {values[bad[0]]}")
    return values.astype(field.dtype).reshape(field.shape)


def _id(features):
    """The text of the feature `id`, or None."""
    if "id" not in features:
        return None
    texts, numbers = features["id"].bytes_list.value, features["id"].int64_list.value
    if len(texts) + len(numbers) != 1:
        raise ImageError(f"expected one text or int64 as 'id', found {len(texts) + len(numbers)}")
    return texts[0].decode("utf-8", "replace") if texts else str(numbers[0])


def _parse(data):
    try:
        return tf.train.Example.FromString(data).features.feature
    except DecodeError as e:
        raise ImageError(f"expected a tf.Example, found {len(data)} bytes of something else") from e


def _payloads(path):
    """Yields the records of a plain file as bytes; raises DataLossError if the file is damaged."""
    done = 0
    try:
        for batch in tf.data.TFRecordDataset(path).batch(_BATCH).as_numpy_iterator():
            yield from batch
            done += len(batch)
    except tf.errors.DataLossError:
        # The damage is within a batch: yield the records before it one by one, then raise.
        yield from tf.data.TFRecordDataset(path).skip(done).as_numpy_iterator()
