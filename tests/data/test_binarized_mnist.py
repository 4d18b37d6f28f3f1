"""Fixed-binarised MNIST from files of both formats, made here."""

import numpy as np
import pytest
from scipy.io import savemat

from tfgen import data

PIXELS = np.random.default_rng(0).integers(0, 2, (5, 784))


def write(folder, split, pixels, kind):
    path = folder / f"binarized_mnist_{split}.{kind}"
    if kind == "mat":
        savemat(path, {"X": pixels})
    else:
        np.savetxt(path, pixels, fmt="%d")


@pytest.mark.parametrize("kind", ["mat", "amat"])
def test_both_formats(tmp_path, kind):
    write(tmp_path, "valid", PIXELS, kind)
    source = data.load("binarized_mnist", "valid", manual_dir=str(tmp_path))
    assert (source.levels, source.image_shape, source.has_labels) == (2, (28, 28, 1), False)
    np.testing.assert_array_equal(source.images().reshape(5, 784), PIXELS)


@pytest.mark.parametrize("kind", ["mat", "amat"])
@pytest.mark.parametrize("pixels", [PIXELS[:, :-1], PIXELS * 2])
def test_files_of_something_else(tmp_path, pixels, kind):
    write(tmp_path, "test", pixels, kind)
    with pytest.raises(ValueError, match="784 numbers, 0 or 1"):
        data.load("binarized_mnist", "test", manual_dir=str(tmp_path))


def test_splits_and_files_are_named(tmp_path):
    with pytest.raises(ValueError, match="'valid'.*received 'validation'"):
        data.load("binarized_mnist", "validation", manual_dir=str(tmp_path))
    for options in ({}, {"manual_dir": str(tmp_path)}):
        with pytest.raises(ValueError, match=r"binarized_mnist_train.amat or .mat; received manual_dir="):
            data.load("binarized_mnist", **options)
    with pytest.raises(ValueError, match="takes the options"):
        data.load("binarized_mnist", manual_dir=str(tmp_path), size=32)
