"""Canvases with several small images: one digit among fragments of other digits, and two digits.

The first data set is that of Mnih, Heess, Graves, Kavukcuoglu, "Recurrent Models of Visual Attention", 2014,
arXiv:1406.6247, section 4; both were used by Gregor et al. 2015 (DRAW, arXiv:1502.04623, sections 4.1 and 4.3).
"""

import numpy as np

from tfgen.data.source import Source, from_arrays


def cluttered_canvas(
    source: Source, *, size: int = 100, num_distractors: int = 8, distractor_size: int = 8, seed: int = 0
) -> Source:
    """Puts each image of `source` at a random place of an empty canvas, among fragments of other images.

    Fragments are squares cut at random places from random images of `source`, and are put at random places. Where pixels
    overlap, the brighter one is kept. With num_distractors=0 the result is the "translated" data set.

    Example:
        >>> source = tfgen.data.cluttered_canvas(tfgen.data.load("digits").take(4), size=32, distractor_size=4)
        >>> len(source), source.image_shape, source.num_classes
        (4, (32, 32, 1), 10)

    Args:
        source: a Source.
        size: height and width S of the canvas.
        num_distractors: number of fragments on each canvas.
        distractor_size: height and width of a fragment in pixels.
        seed: int >= 0; the canvases are a function of (source, arguments).

    Returns:
        a Source of images [S, S, C] with the levels and labels of `source`, in its order.

    Raises:
        ValueError: the canvas is smaller than an image or fragment, an image smaller than a fragment, or a number negative.
    """
    height, width, _ = source.image_shape
    if num_distractors < 0 or not 1 <= distractor_size <= min(height, width):
        raise ValueError(
            f"expected num_distractors >= 0 and distractor_size in [1, {min(height, width)}], the smaller side of the "
            f"images of {source!r}; received {num_distractors} and {distractor_size}"
        )
    images, canvases, rng = _begin(source, size, seed)
    n, part = len(images), distractor_size
    for canvas, image in zip(canvases, images, strict=True):
        _at_random(canvas, image, rng, np.maximum)
        for other in rng.integers(n, size=num_distractors):
            row, column = rng.integers(height - part + 1), rng.integers(width - part + 1)
            _at_random(canvas, images[other, row : row + part, column : column + part], rng, np.maximum)
    return _end(canvases, source, f"{source.name} cluttered {size} {num_distractors}x{part} seed {seed}", source)


def two_digits(source: Source, *, size: int = 60, num_images: int | None = None, seed: int = 0) -> Source:
    """Puts two random images of `source` at random places of each canvas; overlapping values are added and clipped to 1.

    Example:
        >>> source = tfgen.data.two_digits(tfgen.data.load("digits"), size=16, num_images=5)
        >>> len(source), source.image_shape, source.has_labels
        (5, (16, 16, 1), False)

    Args:
        source: a Source.
        size: height and width S of the canvas.
        num_images: number of canvases; None: as many as `source` has images.
        seed: int >= 0.

    Returns:
        a Source of images [S, S, C] with the levels of `source`, without labels.

    Raises:
        ValueError: the canvas is smaller than an image, or a number out of range.
    """
    num_images = len(source) if num_images is None else num_images
    if num_images < 1:
        raise ValueError(f"num_images must be at least 1; received {num_images}")
    images, canvases, rng = _begin(source, size, seed, num_images)

    def add(a, b):
        return np.minimum(a.astype(np.int32) + b, source.levels - 1)

    for canvas in canvases:
        for which in rng.integers(len(images), size=2):
            _at_random(canvas, images[which], rng, add)
    return _end(canvases, source, f"{source.name} pairs {size} seed {seed}")


def _begin(source, size, seed, num=None):
    """(the images of `source` as levels, uint8; `num` empty canvases; the random generator of `seed`)."""
    height, width, channels = source.image_shape
    if size < max(height, width) or seed < 0:
        raise ValueError(
            f"expected size >= {max(height, width)}, the larger side of the images of {source!r}, and seed >= 0; "
            f"received size={size} and seed={seed}"
        )
    images = np.rint(source.images() * (source.levels - 1)).astype(np.uint8)
    return images, np.zeros((num or len(images), size, size, channels), np.uint8), np.random.default_rng(seed)


def _at_random(canvas, image, rng, combine):
    height, width = image.shape[:2]
    row, column = rng.integers(len(canvas) - height + 1), rng.integers(len(canvas) - width + 1)
    place = canvas[row : row + height, column : column + width]
    place[:] = combine(place, image)


def _end(canvases, source, name, labelled=None):
    values = np.rint(255.0 * np.arange(source.levels) / (source.levels - 1)).astype(np.uint8)
    labels = {} if labelled is None or not labelled.has_labels else {
        "labels": labelled.labels(), "class_names": labelled.class_names
    }  # fmt: skip
    return from_arrays(values[canvases], levels=source.levels, name=name, split=source.split, **labels)
