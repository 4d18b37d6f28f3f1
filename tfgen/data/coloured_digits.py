"""Images of coloured digits with their maps of classes and instances: a small task for pix2pixHD (Wang et al. 2018)."""

import colorsys
from typing import Literal

import numpy as np

from tfgen import settings
from tfgen.data.label_maps import label_maps, label_pictures
from tfgen.data.moving_digits import DIGIT, check_digits, digit_masks
from tfgen.data.source import Source, linked
from tfgen.settings import PositiveInt, Seed

_NUM_DIGITS = 2


def coloured_digits(
    source: Source, *, num: PositiveInt = 5000, colours: Literal["instance", "class"] = "instance",
    size: PositiveInt = 32, seed: Seed = 0,
) -> Source:  # fmt: skip
    """Images of two digits of `source` on black; the second one hides the first.

    Example:
        >>> source = tfgen.data.load("coloured:digits", num=4)
        >>> {name: field.shape for name, field in source.fields.items()}  # doctest: +NORMALIZE_WHITESPACE
        {'image': (32, 32, 3), 'label_map': (32, 32, 11), 'edges': (32, 32), 'instances': (32, 32), 'target': (32, 32, 3)}

    Args:
      source: grey images with labels of at most 255 classes; their pixels >= 1/2, at 14x14, are a digit.
      num: number N of images. Image i is a function of (source, colours, size, seed, i).
      colours: of a digit, one saturated colour: "instance": drawn for each, so that it does not follow from the map;
        "class": that of its class in pictures of the map.
      size: height and width S, at least 14.
      seed: int >= 0.

    Returns:
      a Source with the fields of `tfgen.data.label_maps`; the background is the instance 0, the digits are 1 and 2.

    Raises:
      ValueError: the images have colours or no labels, or `size` is too small.
    """
    settings.check(coloured_digits, num=num, colours=colours, size=size, seed=seed)
    check_digits(source, size, "coloured digits")
    assert source.num_classes is not None
    num_classes, labels = source.num_classes + 1, source.labels()
    draws = [np.random.default_rng((seed, i)) for i in range(num)]
    chosen = np.stack([rng.integers(len(source), size=_NUM_DIGITS) for rng in draws])
    digits = digit_masks(source, chosen.ravel())
    of_class = label_pictures(np.arange(num_classes), num_classes)
    target = np.zeros((num, size, size, 3), np.uint8)
    classes, instances = np.zeros((num, size, size), np.uint8), np.zeros((num, size, size), np.uint8)
    for i, rng in enumerate(draws):
        for k in range(_NUM_DIGITS):
            top, left = rng.integers(size - DIGIT + 1, size=2)
            hue, label = rng.uniform(), labels[chosen[i, k]] + 1
            digit, window = digits[_NUM_DIGITS * i + k], np.s_[i, top : top + DIGIT, left : left + DIGIT]
            own = np.rint(255 * np.array(colorsys.hsv_to_rgb(hue, 1.0, 1.0)))
            target[window][digit] = own if colours == "instance" else of_class[label]
            classes[window][digit], instances[window][digit] = label, k + 1
    return label_maps(
        classes, num_classes, target=target, instances=instances, origins=linked(chosen), name=f"coloured:{source.name}",
        split=source.split,
    )  # fmt: skip
