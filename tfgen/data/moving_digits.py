"""Clips of coloured digits that move over a moving texture, with maps of classes and exact optical flow.

A small task for translation of clips, as in Wang et al., "Video-to-Video Synthesis", 2018, arXiv:1808.06601. The colours of
the digits do not follow from their classes, so a model has to carry them from frame to frame.
"""

import colorsys

import numpy as np

from tfgen import fields, settings
from tfgen.data.label_maps import instance_edges, label_pictures
from tfgen.data.source import Source, from_arrays, linked
from tfgen.settings import PositiveInt, Seed

DIGIT = 14  # pixels
_NUM_DIGITS, _CELL = 2, 6  # cell: pixels between the random values of the texture
CONFIDENT = 0.02  # of squared differences of values in [-1, 1], summed over the channels


def moving_digits(
    source: Source, *, num: PositiveInt = 1000, num_frames: PositiveInt = 6, size: PositiveInt = 32, seed: Seed = 0
) -> Source:  # fmt: skip
    """Clips of two digits of `source` over a smooth texture.

    The texture moves by a step in {-1, 0, 1} each way, each digit by a step in {-2, ..., 2} each way, and bounces off the
    border. A digit has one saturated colour; the second one hides the first.

    Example:
        >>> source = tfgen.data.load("moving:digits", num=4)
        >>> {name: field.shape for name, field in source.fields.items()}  # doctest: +NORMALIZE_WHITESPACE
        {'image': (32, 32, 3), 'frames': (6, 32, 32, 3), 'target': (6, 32, 32, 3), 'label_map': (6, 32, 32, 11),
         'edges': (6, 32, 32), 'confidence': (6, 32, 32), 'flow': (6, 32, 32, 2)}

    Args:
      source: grey images with labels of at most 255 classes; their pixels >= 1/2, at 14x14, are a digit.
      num: number N of clips. Clip i is a function of (source, num_frames, size, seed, i).
      num_frames: T.
      size: height and width S, at least 14.
      seed: int >= 0.

    Returns:
      a Source with `target`, the clip; `label_map`, one-hot: background, then the classes; `edges`, a mask of the borders of
      the digits; `frames`, pictures of `label_map`; `image`, the first frame of `target`; `flow`, (dx, dy) in pixels from a
      pixel to the place of its point in the frame before, 0 in the first frame: minus the last step of a digit, elsewhere
      minus that of the texture; `confidence`, a mask: 1 where the frame before, moved by the flow, differs by less than
      `CONFIDENT`, 0 in the first frame.

    Raises:
      ValueError: the images have colours or no labels, or `size` is too small.
    """
    settings.check(moving_digits, num=num, num_frames=num_frames, size=size, seed=seed)
    check_digits(source, size, "moving digits")
    shape = num, num_frames, size, size
    clip, flow = np.empty((*shape, 3), np.uint8), np.zeros((*shape, 2), np.float32)
    classes, instances = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    labels, chosen = source.labels(), np.empty((num, _NUM_DIGITS), int)
    for i in range(num):
        rng = np.random.default_rng((seed, i))
        chosen[i] = rng.integers(len(source), size=_NUM_DIGITS)
        digits = digit_masks(source, chosen[i])
        _one(rng, digits, labels[chosen[i]], clip[i], flow[i], classes[i], instances[i])
    assert source.num_classes is not None
    num_classes = source.num_classes + 1
    return from_arrays(
        clip[:, 0],
        fields={
            "frames": label_pictures(classes, num_classes),
            "target": clip,
            "label_map": (classes, fields.label_map(size, size, num_classes, num_frames=num_frames)),
            "edges": (instance_edges(instances), fields.mask(size, size, "edges", num_frames=num_frames)),
            "confidence": (confidence(clip, flow), fields.mask(size, size, "confidence", num_frames=num_frames)),
            "flow": (flow, fields.Field("flow", (num_frames, size, size, 2))),
        },
        origins=linked(chosen),
        name=f"moving:{source.name}",
        split=source.split,
    )


def check_digits(source: Source, size: int, what: str) -> None:
    """Raises ValueError if the images have no labels or colours, or do not fit into pictures of this side; names `what`."""
    if source.num_classes is None or source.image_shape[2] != 1 or source.num_classes > 255:
        raise ValueError(f"{what} need grey images with labels of at most 255 classes; received {source!r}")
    if size < DIGIT:
        raise ValueError(f"size must be at least {DIGIT}, the size of a digit; received {size}")


def digit_masks(source: Source, chosen: np.ndarray) -> np.ndarray:
    """Where these images are bright, at the nearest pixels of a `DIGIT` x `DIGIT` grid: bool [n, DIGIT, DIGIT]."""
    rows, columns = ((2 * np.arange(DIGIT) + 1) * n // (2 * DIGIT) for n in source.image_shape[:2])
    return source.subset(chosen).images()[:, rows][:, :, columns, 0] >= 0.5


def confidence(clips: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Where a frame is explained by the one before and the flow.

    Args:
      clips: uint8 [N, T, H, W, 3].
      flow: whole numbers (dx, dy) of pixels, float [N, T, H, W, 2].

    Returns:
      bool [N, T, H, W]; false in the first frame. The flow is cut off at the border of the frame.
    """
    n, _, height, width, _ = clips.shape
    step = np.rint(flow[:, 1:]).astype(np.int64)
    rows = np.clip(np.arange(height)[:, None] + step[..., 1], 0, height - 1)
    columns = np.clip(np.arange(width) + step[..., 0], 0, width - 1)
    which = np.arange(n)[:, None, None, None], np.arange(step.shape[1])[:, None, None]
    before = (*which, rows, columns)
    difference = (clips[:, 1:].astype(np.float32) - clips[:, :-1][before]) / 127.5
    found = np.zeros(clips.shape[:-1], bool)
    found[:, 1:] = np.sum(difference**2, axis=-1) < CONFIDENT
    return found


def _one(rng, digits, labels, clip, flow, classes, instances):
    """Draws one clip into the arrays of its frames."""
    num_frames, size = clip.shape[:2]
    step = rng.integers(-1, 2, size=2)  # (dy, dx) of the texture
    canvas = _texture(rng, size + 2 * (num_frames - 1))
    places = rng.integers(size - DIGIT + 1, size=(len(digits), 2))
    steps = rng.integers(-2, 3, size=(len(digits), 2))
    colours = [np.rint(255 * np.array(colorsys.hsv_to_rgb(hue, 1.0, 1.0))) for hue in rng.uniform(size=len(digits))]
    for t in range(num_frames):
        top, left = (num_frames - 1) - t * step  # the content moves by `step`, so the window moves the other way
        clip[t] = canvas[top : top + size, left : left + size]
        if t:
            flow[t] = -step[::-1]
            steps = np.where((places + steps < 0) | (places + steps > size - DIGIT), -steps, steps)
            # A digit between two borders that it would cross both ways stays.
            steps = np.where((places + steps < 0) | (places + steps > size - DIGIT), 0, steps)
            places = places + steps
        for k, digit in enumerate(digits):
            window = np.s_[t, places[k, 0] : places[k, 0] + DIGIT, places[k, 1] : places[k, 1] + DIGIT]
            clip[window][digit] = colours[k]
            classes[window][digit], instances[window][digit] = labels[k] + 1, k + 1
            if t:
                flow[window][digit] = -steps[k, ::-1]


def _texture(rng, size):
    """uint8 [size, size, 3]: random values every few pixels, interpolated linearly, from a quarter to three quarters."""
    cells = size // _CELL + 2
    values, at = rng.uniform(64, 192, size=(cells, cells, 3)), np.arange(size) / _CELL
    for axis in (0, 1):
        low = at.astype(int)
        share = (at - low).reshape([-1 if k == axis else 1 for k in range(3)])
        values = (1 - share) * values.take(low, axis) + share * values.take(low + 1, axis)
    return np.rint(values).astype(np.uint8)
