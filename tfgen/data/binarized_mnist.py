"""MNIST with a fixed binarisation, in the split of Larochelle and Murray 2011: 50,000, 10,000 and 10,000 images of 0 and 1.

Published likelihoods of binary MNIST refer to this set (van den Oord et al. 2016, arXiv:1601.06759, section 5.3).
"""

import os

import numpy as np

from tfgen.data.source import from_arrays

SPLITS = ("train", "valid", "test")


def binarized_mnist(split="train", *, manual_dir=None):
    """A Source of 28x28 images with 2 levels, without labels, in the order of the files (which may be sorted by class).

    Args:
        split: "train", "valid" or "test".
        manual_dir: the folder with the files binarized_mnist_{train,valid,test}.amat (text, 784 numbers in a line) or
            binarized_mnist_{train,valid,test}.mat (MATLAB, an array X [N, 784]).

    Raises:
        ValueError: the split is unknown; the file is missing; an image is not 784 numbers, each 0 or 1.
    """
    if split not in SPLITS:
        raise ValueError(f"binarized_mnist has the splits {list(SPLITS)}; received {split!r}")
    folder = os.path.abspath(os.path.expanduser(manual_dir or "."))
    path = os.path.join(folder, f"binarized_mnist_{split}")
    if manual_dir is not None and os.path.exists(f"{path}.mat"):
        from scipy.io import loadmat

        pixels = loadmat(f"{path}.mat").get("X", np.empty(0))
    elif manual_dir is not None and os.path.exists(f"{path}.amat"):
        pixels = np.fromfile(f"{path}.amat", dtype=np.float32, sep=" ")
        pixels = pixels.reshape(-1, 784) if pixels.size % 784 == 0 else pixels
    else:
        raise ValueError(
            f"binarized_mnist needs manual_dir, a folder with binarized_mnist_{split}.amat or .mat; received "
            f"manual_dir={manual_dir!r}"
        )
    if pixels.ndim != 2 or pixels.shape[1] != 784 or not np.isin(pixels, (0, 1)).all():
        raise ValueError(f"expected 784 numbers, 0 or 1, for each image in {path}.*; found an array {pixels.shape}")
    images = pixels.reshape(-1, 28, 28, 1).astype(np.float32)
    return from_arrays(images, levels=2, name="binarized_mnist", split=split)
