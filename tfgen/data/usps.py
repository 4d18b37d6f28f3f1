"""USPS: handwritten digits from envelopes, 16x16 grey (Hull 1994); a small part of it, from one file."""

import os

import numpy as np

from tfgen.data.image_files import adapt_image, check_options
from tfgen.data.source import Source, from_arrays
from tfgen.settings import Resize, Size

FILE = "USPSdata_20_uni.mat"


def usps(
    split: str = "train", *, manual_dir: str | os.PathLike | None = None, size: Size | None = None,
    resize: Resize = "center_crop",
) -> Source:  # fmt: skip
    """A fifth of USPS, 1854 digits with labels. Every fifth one is in the split "test", the others are in "train".

    Args:
      manual_dir: the folder with USPSdata_20_uni.mat: X float [1854, 256] in [-1, 1], row by row, and Y in 1..10, one more
        than the digit.
      size, resize: see `from_folder`; by default the images have 16x16 pixels.

    Raises:
      ValueError: the split is unknown; the file is missing or has other arrays.
    """
    size = check_options(size, None, resize, "raise")
    if split not in ("train", "test"):
        raise ValueError(f"usps has the splits 'train' and 'test'; received {split!r}")
    path = os.path.join(os.path.abspath(os.path.expanduser(manual_dir or ".")), FILE)
    if manual_dir is None or not os.path.exists(path):
        raise ValueError(f"usps needs manual_dir, a folder with {FILE}; received manual_dir={manual_dir!r}")
    from PIL import Image
    from scipy.io import loadmat

    arrays = loadmat(path)
    values, labels = arrays.get("X", np.empty(0)), arrays.get("Y", np.empty(0)).ravel()
    fits = values.ndim == 2 and values.shape[1] == 256 and len(values) == len(labels) and set(labels) <= set(range(1, 11))
    if not fits or not (np.abs(values) <= 1).all():
        raise ValueError(
            f"expected X in [-1, 1] [N, 256] and Y in 1..10 [N] in {path}; found X {values.shape} and Y {labels.shape}"
        )
    keep = (np.arange(len(values)) % 5 == 4) == (split == "test")
    pixels = np.rint(127.5 * (values[keep] + 1)).astype(np.uint8).reshape(-1, 16, 16)
    images = np.stack([adapt_image(Image.fromarray(one), size=size, resize=resize) for one in pixels])
    return from_arrays(images, labels[keep].astype(np.int64) - 1, num_classes=10, name="usps", split=split)
