"""Small tasks of image translation, made from any Source by fixed rules: outlines, segments, quadrants, unpaired domains.

Nothing is downloaded. The result is a function of the Source and the arguments; of a Source that reads files when they are
needed, the pictures are also made when they are needed.
"""

import functools
from collections.abc import Callable
from typing import Literal

import numpy as np

from tfgen import fields, settings
from tfgen.data.label_maps import instance_edges, label_pictures
from tfgen.data.pixels import Pixels
from tfgen.data.source import Source, level_values
from tfgen.data.unpaired import UnpairedSource
from tfgen.settings import Seed

QUADRANTS = ("upper_left", "upper_right", "lower_left", "lower_right")
TINT = ((0, 160, 255), (255, 200, 120))  # colours for grey values 0 and 255, see `tinted`


def edges(images: np.ndarray) -> np.ndarray:
    """Outlines: 255 where the Sobel gradient is at least that of a straight step of half the range, else 0.

    Args:
      images: uint8 [..., H, W, C]; of colours the gradient is the sum over the channels, divided by C.

    Returns:
      uint8 of the same shape; all channels are equal. Outside of the image its border is repeated.
    """
    x = images.astype(np.int32).sum(axis=-1)  # [..., H, W]
    x = np.pad(x, [(0, 0)] * (x.ndim - 2) + [(1, 1), (1, 1)], "edge")
    vertical = x[..., :-2, :] + 2 * x[..., 1:-1, :] + x[..., 2:, :]
    horizontal = x[..., :-2] + 2 * x[..., 1:-1] + x[..., 2:]
    dx, dy = vertical[..., 2:] - vertical[..., :-2], horizontal[..., 2:, :] - horizontal[..., :-2, :]
    # A straight step of h grey levels has the gradient 4 h. Integers: the same on every machine.
    found = dx.astype(np.int64) ** 2 + dy.astype(np.int64) ** 2 >= (510 * images.shape[-1]) ** 2
    return np.repeat(found[..., None], images.shape[-1], axis=-1).astype(np.uint8) * np.uint8(255)


def inverted(images: np.ndarray, levels: int = 256) -> np.ndarray:
    """The negative of uint8 images with `levels` grey levels: level v becomes levels - 1 - v."""
    values, table = level_values(levels), np.zeros(256, np.uint8)
    table[values] = values[::-1]
    return table[images]


def tinted(images: np.ndarray) -> np.ndarray:
    """Grey images uint8 [..., 1 or 3] -> uint8 [..., 3] between two colours, `TINT`: 0 is blue, 255 is sand."""
    dark, light = np.array(TINT, np.int32)
    grey = images.astype(np.int32).mean(axis=-1, keepdims=True)
    return np.rint(dark + (light - dark) * grey / 255).astype(np.uint8)


def edge_pairs(source: Source) -> Source:
    """Outlines and the images that they are the outlines of, as edges -> photo of pix2pix (Isola et al. 2017).

    Example:
        >>> source = tfgen.data.load("edges:digits")
        >>> list(source.fields)
        ['image', 'target', 'label']

    Args:
      source: any Source without a field `target`.

    Returns:
      a Source with `image`, the `edges` of each image, `target`, the image itself, and all other fields of `source`.
    """
    target = source._part()["images"]
    found = _mapped(source, lambda pixels, places: edges(pixels))
    return _replaced(source, found, {"target": _image(target, "target")}, f"edges:{source.name}")


def segment_maps(source: Source) -> Source:
    """Maps of classes and the images that they are the maps of, as label map -> photo of pix2pixHD (Wang et al. 2018).

    A pixel whose mean over the channels is 128 or more belongs to the class 1 + label of its image, others to class 0, the
    background.

    Example:
        >>> source = tfgen.data.load("segments:digits")
        >>> source.fields["label_map"].shape, source.fields["edges"].shape, source.fields["target"].shape
        ((8, 8, 11), (8, 8), (8, 8, 1))

    Args:
      source: a Source of at most 255 classes with labels, without the fields `label_map`, `edges` and `target`.

    Returns:
      a Source with `image`, a picture of the map in colours, `label_map`, in batches one-hot [H, W, 1 + classes], `edges`, a
      mask of its `instance_edges`, `target`, the image itself, and all other fields of `source`.

    Raises:
      ValueError: `source` has no labels, too many classes, or one of the fields.
    """
    if source.num_classes is None or source.num_classes > 255:
        raise ValueError(f"segments need images with labels of at most 255 classes; received {source!r}")
    (height, width, channels), labels = source.image_shape, source.labels()
    count = 1 + source.num_classes

    def maps(pixels, places):
        bright = pixels.sum(axis=-1, dtype=np.int32) >= 128 * channels
        return np.where(bright, 1 + labels[places][:, None, None], 0).astype(np.uint8)

    def outlines(pixels, places):
        return instance_edges(maps(pixels, places)).astype(np.uint8) * np.uint8(255)

    further = {
        "label_map": (fields.label_map(height, width, count), _mapped(source, maps)),
        "edges": (fields.mask(height, width, "edges"), _mapped(source, outlines)),
        "target": _image(source._part()["images"], "target"),
    }
    pictures = _mapped(source, lambda pixels, places: label_pictures(maps(pixels, places), count))
    return _replaced(source, pictures, further, f"segments:{source.name}", levels=256)


def quadrant_pairs(
    source: Source, *, quadrant: Literal["random", "upper_left", "upper_right", "lower_left", "lower_right"] = "random",
    seed: Seed = 0,
) -> Source:  # fmt: skip
    """Images of which one quadrant is hidden, and the whole images.

    Example:
        >>> source = tfgen.data.load("quadrants:digits", quadrant="lower_right")
        >>> float(source.values("mask")[0].mean())
        0.75

    Args:
      source: any Source without the fields `target` and `mask`.
      quadrant: the one that is hidden, or "random": drawn for each image from `seed`.
      seed: of the draws.

    Returns:
      a Source with `image`, 0 in the hidden quadrant, `target`, the whole image, `mask`, 1 where a pixel is known, and all
      other fields of `source`. Of an odd height or width the lower or right part has one pixel more.
    """
    settings.check(quadrant_pairs, quadrant=quadrant, seed=seed)
    height, width, _ = source.image_shape
    known = np.full((4, height, width), 255, np.uint8)
    for k in range(4):
        rows, columns = (slice(n // 2) if low else slice(n // 2, None) for n, low in ((height, k < 2), (width, k % 2 == 0)))
        known[k, rows, columns] = 0
    which = np.random.default_rng(seed).integers(4, size=len(source))
    if quadrant != "random":
        which[:] = QUADRANTS.index(quadrant)

    def hide(pixels, places):
        return np.where(known[which[places]][..., None] > 0, pixels, np.uint8(0))

    mask = _mapped(source, lambda pixels, places: known[which[places]])
    further = {"target": _image(source._part()["images"], "target"), "mask": (fields.mask(height, width), mask)}
    return _replaced(source, _mapped(source, hide), further, f"quadrants:{source.name}")


def domains(source: Source, *, other: Literal["inverted", "tinted", "edges"] = "inverted") -> UnpairedSource:
    """Two domains without pairs whose true translation is known: images, and translated other images.

    Every second image of `source` belongs to the one domain, as it is; the others belong to the other one, translated. So
    no image is seen in both. `target` is the translation of `image`; it is for measurements only.

    Example:
        >>> source = tfgen.data.load("inverted:digits")
        >>> len(source.image_source), len(source.other_source)
        (700, 700)

    Args:
      source: a Source of 2 images or more, without the fields `target`, `other` and `places`.
      other: the translation: `inverted`, `tinted` (grey images; both domains then have three channels) or `edges`.

    Returns:
      an `UnpairedSource` with the labels of `image`.
    """
    settings.check(domains, other=other)
    if len(source) < 2:
        raise ValueError(f"two domains need 2 images or more; received {source!r}")
    if other == "tinted":
        if source.image_shape[2] != 1:
            raise ValueError(f'other="tinted" needs grey images; received {source!r}')
        three = _mapped(source, lambda pixels, places: np.repeat(pixels, 3, axis=-1))
        source = _replaced(source, three, name=source.name, levels=256)
    functions: dict[str, Callable] = {
        "inverted": functools.partial(inverted, levels=source.levels), "tinted": tinted, "edges": edges,
    }  # fmt: skip
    first, second = (source.subset(np.arange(k, len(source), 2)) for k in (0, 1))
    there = [_mapped(half, lambda pixels, places: functions[other](pixels)) for half in (first, second)]
    first = _replaced(first, first._part()["images"], {"target": _image(there[0], "target")}, source.name)
    second = _replaced(second, there[1], name=source.name)
    return UnpairedSource(first, second, name=f"{'outlined' if other == 'edges' else other}:{source.name}")


def _mapped(source, function):
    """The Pixels of function(uint8 [B, H, W, C], their places [B]) of the images of `source`."""
    places = np.arange(len(source))
    if source.in_memory:
        return Pixels(function(source._read("image", places), places))

    def one(place):
        place = np.array([place])
        return function(source._read("image", place), place)[0]

    return Pixels(from_file=one, indices=places, shape=one(0).shape)


def _image(pixels, name):
    return fields.image(pixels.shape[1:], name), pixels


def _replaced(source, pixels, further=(), name=None, **changes):
    """`source` with other images, `further` fields and another name."""
    part = source._part()
    clash = [key for key in dict(further) if key in part["fields"]]
    if clash:
        raise ValueError(f"the Source must have no field {clash[0]!r}; received {source!r}")
    return Source(**{**part, "images": pixels, "fields": {**dict(further), **part["fields"]}, "name": name, **changes})
