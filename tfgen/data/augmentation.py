"""Augmentation of training images: flips, shifts, crops and colour, as a pure function of (seed, position in the data).

    {"flip": True, "jitter": 4, "shift": 2, "crop": 32, "colour": 0.1}

- flip: True mirrors half of the images, left to right.
- jitter: pixels, n: enlarges an image by n pixels in height and width and cuts out a window of the old size; its position
  is drawn uniformly, one of n + 1 each way. 30 for images of 256 pixels is the jitter of pix2pix (Isola et al. 2017,
  arXiv:1611.07004, section 6.2). Images and clips are interpolated linearly, with weights in steps of 1/256; masks and
  label maps get the nearest pixel.
- shift: pixels, n: moves an image by -n to n pixels up or down, and left or right; the border is repeated to fill the gap.
- crop: a size, n or (height, width): cuts out a window of that size; its position is drawn uniformly.
- colour: a in (0, 1]: multiplies the contrast and (of colour images) the saturation of each image by factors between 1 - a
  and 1 + a, adds a number in [-a, a] to all values, and clips them to [0, 1].

All random values are uniform and are drawn once for each row of a batch: all images, clips and masks of the row are moved
alike. Its images and clips get the same change of colour; masks keep their values. Each setting has its own random numbers,
so adding one setting does not change the effect of another.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfgen import random

_FLIP, _SHIFT, _CROP, _COLOUR, _JITTER = 1, 2, 3, 4, 5  # numbers of the random streams
SETTINGS = ("flip", "shift", "crop", "colour", "jitter")
_MOVES = {"flip", "jitter", "shift", "crop"}
_TURNS = {"flip", "shift"}  # these contradict a field that is directional


def check_augmentation(augmentation: dict | None) -> dict:
    """The settings as a dict without those that do nothing, `crop` as (height, width); {} for None.

    Example:
        >>> tfgen.data.check_augmentation({"crop": 28, "flip": False})
        {'crop': (28, 28)}

    Raises:
      ValueError: an unknown name, or a value out of range.
    """
    if augmentation is None:
        return {}
    if not isinstance(augmentation, dict):
        raise ValueError(f"augmentation must be a dict with names among {', '.join(SETTINGS)}; received {augmentation!r}.")
    unknown = sorted(set(augmentation) - set(SETTINGS), key=str)
    if unknown:
        raise ValueError(f"augmentation has no setting {unknown[0]!r}; it has {', '.join(SETTINGS)}.")
    found = {}
    for name, value in augmentation.items():
        if name == "flip":
            valid, wanted = isinstance(value, bool), "True or False"
        elif name in ("shift", "jitter"):
            valid, wanted = _whole(value) and value >= 0, "a whole number of pixels >= 0"
        elif name == "crop":
            value = (value, value) if _whole(value) else value
            valid = isinstance(value, (tuple, list)) and len(value) == 2 and all(_whole(n) and n > 0 for n in value)
            value, wanted = tuple(value) if valid else value, "a positive whole number or (height, width)"
        else:
            valid = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1
            wanted = "a number in [0, 1]"
        if not valid:
            raise ValueError(f"{name} of augmentation must be {wanted}; received {value!r}.")
        if value:
            found[name] = value
    return found


def augmented_shape(shape: Sequence[int], augmentation: dict | None) -> tuple[int, ...]:
    """The shape (H, W, C) in batches with this augmentation of images of shape `shape`, (H, W, C), of a Source.

    Example:
        >>> tfgen.data.augmented_shape((32, 32, 3), {"crop": 28})
        (28, 28, 3)
    """
    return (*check_augmentation(augmentation).get("crop", shape[:2]), *shape[2:])


class Augmentation:
    """Augments the rows of batches with these fields.

    Args:
      settings: see `check_augmentation`.
      fields: {name: Field} of the values; those without pixels do not change.
      name: the name of the Source, for error messages.

    Attributes:
      settings: the result of `check_augmentation`.
      shapes: {name: shape of one augmented example} of the fields with pixels.

    Raises:
      ValueError: see `check_augmentation`; a crop is larger than the images; jitter, shift or crop is set and the fields
        differ in height or width; flip or shift is set and a field is directional.
    """

    def __init__(self, settings, fields, name):
        self.settings = check_augmentation(settings)
        self._fields = {k: f for k, f in fields.items() if f.pixels}
        sizes = {k: f.stored_shape[len(f.files_shape) :][:2] for k, f in self._fields.items()}
        fixed = [k for k, f in fields.items() if k not in sizes and sizes["image"] in (f.shape[-3:-1], f.shape[-2:])]
        if fixed and self.settings.keys() & _MOVES:
            raise ValueError(
                f"Augmentation by flip, jitter, shift or crop cannot move the field {fixed[0]!r} of {name}, numbers for "
                f"each pixel; received {sorted(self.settings)}."
            )
        directional = [k for k, f in fields.items() if f.directional]
        if directional and self.settings.keys() & _TURNS:
            raise ValueError(
                f"Augmentation by flip or shift would contradict the field {directional[0]!r} of {name}, which says where "
                f"something is or which way it turns; received {sorted(self.settings)}."
            )
        if len(set(sizes.values())) > 1 and self.settings.keys() & _MOVES - {"flip"}:
            raise ValueError(
                f"Augmentation by jitter, shift or crop needs fields of the same height and width; those of {name} are "
                f"{sizes}."
            )
        crop = self.settings.get("crop")
        if crop and any(c > n for c, n in zip(crop, sizes["image"], strict=True)):
            raise ValueError(f"crop {crop} of augmentation is larger than the images {sizes['image']} of {name}.")
        self.shapes = {
            k: (*f.files_shape, *(crop or sizes[k]), *f.shape[len(f.files_shape) + 2 :]) for k, f in self._fields.items()
        }

    def move(self, values, keys):
        """{name: uint8 [B, ...]} of fields with pixels, enlarged, flipped, shifted and cropped; keys: uint64 [B]."""
        settings = self.settings
        if not settings.keys() & _MOVES:
            return values
        if "jitter" in settings:
            offsets = [_below(u, settings["jitter"] + 1) for u in _two(keys, _JITTER)]
            values = {name: self._enlarged(name, value, offsets) for name, value in values.items()}
        flip = random.uniform(random.fold(keys, _FLIP), 1) < (0.5 if "flip" in settings else 0.0)  # [B, 1]
        shift = [_below(u, 2 * settings.get("shift", 0) + 1) - settings.get("shift", 0) for u in _two(keys, _SHIFT)]
        places = _two(keys, _CROP)
        moved = {}
        for name, value in values.items():
            encoded = self._fields[name].encoded
            axis = len(value.shape) - (3 if encoded else 2)
            sizes, kept = value.shape[axis : axis + 2], self.shapes[name][axis - 1 : axis + 1]
            # The source row (column) of each row (column) of the result: [B, kept].
            rows, columns = (
                tf.clip_by_value(_below(u, n - m + 1) + d + tf.range(m)[None], 0, n - 1)
                for u, d, n, m in zip(places, shift, sizes, kept, strict=True)
            )
            columns = tf.where(flip, columns[:, ::-1], columns)
            value = tf.gather(value, rows, axis=axis, batch_dims=1)
            moved[name] = tf.gather(value, columns, axis=axis + 1, batch_dims=1)
        return moved

    def _enlarged(self, name, value, offsets):
        """The window of the old size that begins at `offsets`, int32 [B, 1] each, of `value` enlarged by "jitter"."""
        more, linear = self.settings["jitter"], self._fields[name].encoded
        rows = len(value.shape) - (3 if linear else 2)
        total, divisor = tf.cast(value, tf.int32), 1
        for axis, offset in zip((rows, rows + 1), offsets, strict=True):
            n = value.shape[axis]
            # The centre of pixel q of n + more is at (q + 1/2) n / (n + more) - 1/2 in pixels of the image. Integers: the
            # same on every machine.
            q = offset + tf.range(n)[None]  # [B, n]
            if not linear:
                total = tf.gather(total, (2 * q + 1) * n // (2 * (n + more)), axis=axis, batch_dims=1)
                continue
            numerator, denominator = (2 * q + 1) * n - (n + more), 2 * (n + more)
            first = numerator // denominator  # -1 for the first pixels, which lie outside of the centre of pixel 0
            weight = (256 * (numerator - first * denominator) + n + more) // denominator  # of the second, in 1/256, rounded
            shape = [-1, *[1] * (axis - 1), n, *[1] * (len(value.shape) - axis - 1)]
            weight = tf.reshape(weight, shape)
            pair = [tf.gather(total, tf.clip_by_value(first + k, 0, n - 1), axis=axis, batch_dims=1) for k in (0, 1)]
            total, divisor = (256 - weight) * pair[0] + weight * pair[1], 256 * divisor
        return tf.cast((total + divisor // 2) // divisor, tf.uint8)

    def colour(self, name, pixels, values, keys):
        """Changes the colours of `values`, the `pixels` uint8 [B, ...] of the field `name` as float32 in [0, 1]."""
        if "colour" not in self.settings or not self._fields[name].encoded:
            return values
        draws = np.float32(self.settings["colour"]) * random.symmetric(random.fold(keys, _COLOUR), 3)  # [B, 3]
        contrast, brightness, saturation = (
            tf.reshape(draws[:, k], [-1, *[1] * (len(values.shape) - 1)]) for k in range(3)
        )  # [B, 1, ...]
        # The sum is over integers: its result does not depend on the order, while a sum of floats may differ between
        # machines.
        axes, count = list(range(1, len(values.shape))), int(np.prod(pixels.shape[1:]))
        total = tf.reduce_sum(tf.cast(pixels, tf.int64), axis=axes, keepdims=True)
        mean = tf.cast(tf.cast(total, tf.float64) / (255.0 * count), tf.float32)
        if values.shape[-1] == 3:
            grey = (values[..., :1] + values[..., 1:2] + values[..., 2:]) / 3.0
            values = grey + (1.0 + saturation) * (values - grey)
        return tf.clip_by_value(mean + (1.0 + contrast) * (values - mean) + brightness, 0.0, 1.0)


def _two(keys, stream):
    """Two independent uniform numbers in (0, 1) for each key: a pair of float32 [B, 1]."""
    drawn = random.uniform(random.fold(keys, stream), 2)
    return drawn[:, :1], drawn[:, 1:]


def _below(u, n):
    """Uniform int32 in [0, n) from u in (0, 1). The minimum is needed since u * n can round up to n."""
    return tf.minimum(tf.cast(u * np.float32(n), tf.int32), n - 1)


def _whole(value):
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
