"""Crops of one size, cut from photos of any size."""

import os
from collections.abc import Sequence

import numpy as np

from tfgen.data.folder import image_files
from tfgen.data.image_files import ImageError, adapt_image, check_options, open_image
from tfgen.data.source import Source, unusable
from tfgen.settings import Channels, OnError, PositiveInt, Seed, Size


def crops(
    photos: str | os.PathLike | Sequence[str | os.PathLike], *, split: str | None = None, size: Size = 128,
    num: PositiveInt = 10_000, seed: Seed = 0, channels: Channels = 3, on_error: OnError = "raise",
) -> Source:  # fmt: skip
    """A Source of random crops, equally many (or one more) of each photo; their positions are drawn uniformly.

    Example:
        >>> photo = np.zeros([40, 60, 3], "uint8")
        >>> path = tfgen.sampling.save_png("photos/a.png", photo[None] / 255, padding=0)
        >>> source = tfgen.data.crops("photos", size=16, num=10)
        >>> len(source), source.image_shape
        (10, (16, 16, 3))

    Args:
      photos: a folder (see `tfgen.data.from_folder`; class folders are allowed and their names ignored), or a list of image
        files.
      split: a sub-folder, as in `from_folder`.
      size: size of a crop, int or (height, width).
      num: number of crops; all are held in memory.
      seed: the crops are a function of the photos, `size`, `num` and `seed`.
      channels: 1 or 3; photos are converted.
      on_error: "raise", or "skip" to leave out photos that cannot be read or are smaller than a crop.

    Returns:
      a Source without labels. Its `origins` are the photos, so crops of one photo are held out together.

    Raises:
      ValueError: see `from_folder`; a photo is smaller than a crop; `num` is smaller than the number of photos.
    """
    checked = check_options(size, channels, "none", on_error)
    if checked is None:
        raise ValueError("size must be an integer or two, (height, width); received None")
    height, width = checked
    if channels is None:
        raise ValueError("channels must be 1 or 3; received None")
    if isinstance(photos, (str, os.PathLike)):
        name, files = f"crops:{os.path.abspath(os.path.expanduser(photos))}", image_files(photos, split)
    else:
        name, files = f"crops of {len(photos)} photos", [os.fspath(path) for path in photos]
    images, used, skipped = [], [], []
    for path in files:
        try:
            image = adapt_image(open_image(path), channels=channels)
            if image.shape[0] < height or image.shape[1] < width:
                raise ImageError(f"found {image.shape[0]}x{image.shape[1]} pixels, less than a crop of {height}x{width}")
            images.append(image)
            used.append(path)
        except ImageError as error:
            skipped.append((path, str(error)))
    if skipped and on_error == "raise":
        raise unusable(name, [f"{path}: {reason}" for path, reason in skipped])
    if not images or num < len(images):
        raise ValueError(f"{name}: expected 1 usable photo or more, and num >= their number; found {len(images)}, num={num}")
    rng = np.random.default_rng(seed)
    found = np.empty((num, height, width, channels), np.uint8)
    for k, crop in enumerate(found):
        image = images[k % len(images)]
        top, left = (rng.integers(0, n - m + 1) for n, m in zip(image.shape, (height, width), strict=False))
        crop[:] = image[top : top + height, left : left + width]
    origins = [used[k % len(used)] for k in range(num)]
    return Source(found, None, name=name, split=split or "train", skipped=skipped, origins=origins)
