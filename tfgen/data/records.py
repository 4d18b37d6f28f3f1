"""TFRecord files of tf.Example: encoded images or float lists, plain or GZIP."""

import glob
import os
import tempfile
import zlib

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from tfgen.data.decode import ImageError, adapt_image, check_options, open_image
from tfgen.data.source import build_source

_BATCH = 512


def from_tfrecords(
    pattern_or_files,
    *,
    image_shape=None,
    size=None,
    channels=None,
    resize="center_crop",
    on_error="raise",
    split="train",
    levels=256,
    num_classes=None,
    class_names=None,
):
    """A Source of TFRecord files, in the order of the sorted file names and of the records in them.

    A record is a tf.Example with feature `image` and optionally `label` (one int64; in all records or in
    none). `image` is one encoded image (PNG, JPEG, ...) or a list of H*W*C floats in [0, 1], row by row with
    the channel last. Floats must be whole multiples of 1/255 (within 1e-6), because pixels are held in 8
    bits: other values mean that the records were normalised in another way, which would be lost silently.

    Args:
      pattern_or_files: a glob pattern, or a list of paths. GZIP is recognised by content.
      image_shape: (H, W, C) of the stored images. Needed for float lists; for encoded images it is checked if
        given.
      size, channels, resize, on_error, levels: as in `from_folder`. A record that cannot be read makes
        everything after it in its file unreachable: with on_error="skip" that loss is in `Source.skipped` as
        one entry.
      split: name of the split.
      num_classes, class_names: as in `from_arrays`.

    Raises:
      ValueError: no file matches; or, with file name and record number, a damaged record or an image that
        does not fit.
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
    reader = Records(
        [(f, 0, None) for f in files],
        image_shape=image_shape,
        on_error=on_error,
        options=dict(size=size, channels=channels, resize=resize),
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
    )


class Records:
    """The reader of `build_source`: one pass over the files (checksums, labels, offsets), then random reads.

    Args:
      files: list of (path, skip, take): which records to use; take=None means the rest.
      image_shape: (H, W, C) or None.
      on_error: "raise" or "skip".
      options: arguments of adapt_image.
      image_key, label_key: names of the features; label_key=None ignores labels.
    """

    def __init__(self, files, *, image_shape, on_error, options, image_key="image", label_key="label"):
        self._image_shape = None if image_shape is None else tuple(int(s) for s in image_shape)
        if self._image_shape is not None and (len(self._image_shape) != 3 or self._image_shape[2] not in (1, 3)):
            raise ValueError(f"image_shape must be (H, W, C) with C 1 or 3; received {image_shape!r}")
        self._on_error, self._options = on_error, options
        self._image_key, self._label_key = image_key, label_key
        self._names = [path for path, _, _ in files]
        self._paths = list(self._names)  # where the plain bytes are
        self._unpacked = None
        self.skipped, self._labels, entries = [], [], []
        for number, (path, skip, take) in enumerate(files):
            entries += [(number, *entry) for entry in self._scan(number, path, skip, take)]
        self._entries = np.array(entries, np.int64).reshape(-1, 4)  # file, record, offset, length

    def _scan(self, file, path, skip, take):
        """Checks one file and notes its labels. Returns [(record, offset, length)]."""
        damage = None
        with open(path, "rb") as f:
            if f.read(2) == b"\x1f\x8b":
                self._paths[file], damage = self._unpack(path, file)
        entries, offset, record = [], 0, 0
        try:
            for data in _payloads(self._paths[file]):
                if take is not None and record >= skip + take:
                    return entries
                if record >= skip:
                    try:
                        self._note_label(_parse(data))
                        # Around the data: 8 bytes length and 4 checksum before, 4 checksum after.
                        entries.append((record, offset + 12, len(data)))
                    except ImageError as e:
                        self._fail(f"{path}: record {record}", str(e), e)
                offset += len(data) + 16
                record += 1
        except tf.errors.DataLossError as e:
            damage = damage or e
        if take is not None and record < skip + take:  # TFDS knows how many there must be
            damage = damage or f"ends after {record} records, expected {skip + take}"
        if damage:
            reason = f"damaged ({damage}); this record and all that follow in the file cannot be read"
            self._fail(f"{path}: record {record}", reason, damage)
        return entries

    def _fail(self, where, reason, cause):
        if self._on_error == "raise":
            raise ValueError(f"{where}: {reason}") from (cause if isinstance(cause, Exception) else None)
        self.skipped.append((where, reason))

    def _unpack(self, path, file):
        """Random access needs plain bytes: unpacks into a folder that lives as long as this reader."""
        self._unpacked = self._unpacked or tempfile.TemporaryDirectory(prefix="tfgen-records-")
        plain = os.path.join(self._unpacked.name, str(file))
        # Not the gzip module: at a damage it withholds what it had unpacked before.
        inflate = zlib.decompressobj(wbits=31)
        with open(path, "rb") as packed, open(plain, "wb") as out:
            try:
                while chunk := packed.read(1 << 14):
                    while chunk:
                        if inflate.eof:  # a GZIP file may be several, one after the other
                            inflate = zlib.decompressobj(wbits=31)
                        out.write(inflate.decompress(chunk))
                        chunk = inflate.unused_data
            except zlib.error as e:
                return plain, e
        return plain, None if inflate.eof else "the GZIP stream ends early"

    def _note_label(self, features):
        label = None
        if self._image_key not in features:
            raise ImageError(f"has no feature {self._image_key!r}; found {sorted(features)}")
        if self._label_key in features:
            values = features[self._label_key].int64_list.value
            if len(values) != 1:
                raise ImageError(f"expected one int64 as {self._label_key!r}, found {len(values)}")
            label = values[0]
        if self._labels and (label is None) != (self._labels[0] is None):
            here, before = ("no label", "have one") if label is None else ("a label", "have none")
            raise ImageError(f"has {here}, but the records before {before}")
        self._labels.append(label)

    def __len__(self):
        return len(self._entries)

    def label(self, i):
        return self._labels[i]

    def where(self, i):
        file, record, _, _ = self._entries[i]
        return f"{self._names[file]}: record {record}"

    def decode(self, i):
        file, _, offset, length = self._entries[i]
        with open(self._paths[file], "rb", buffering=0) as f:
            f.seek(offset)
            feature = _parse(f.read(length))[self._image_key]
        kind = feature.WhichOneof("kind")
        if kind == "bytes_list" and len(feature.bytes_list.value) == 1:
            image = open_image(feature.bytes_list.value[0])
            shape = image.height, image.width, len(image.getbands())
            if self._image_shape not in (None, shape):
                raise ImageError(f"found an image of shape {shape}, expected image_shape={self._image_shape}")
            return adapt_image(image, **self._options)
        if kind == "float_list":
            return self._from_floats(np.array(feature.float_list.value, np.float32))
        found = f"{len(getattr(feature, kind).value)} values in {kind}" if kind else "an empty feature"
        raise ImageError(f"expected one encoded image or a float list as {self._image_key!r}, found {found}")

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


def _parse(data):
    try:
        return tf.train.Example.FromString(data).features.feature
    except DecodeError as e:
        raise ImageError(f"expected a tf.Example, found {len(data)} bytes of something else") from e


def _payloads(path):
    """Yields the records of a plain file as bytes; raises DataLossError where the file is damaged."""
    done = 0
    try:
        for batch in tf.data.TFRecordDataset(path).batch(_BATCH).as_numpy_iterator():
            yield from batch
            done += len(batch)
    except tf.errors.DataLossError:
        # The damage is within a batch: give what comes before it one by one, then raise.
        yield from tf.data.TFRecordDataset(path).skip(done).as_numpy_iterator()
