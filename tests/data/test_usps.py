"""USPS from its file, and two data sets as one of unpaired images."""

import numpy as np
import pytest
from scipy.io import savemat

import tfgen
from tfgen.data.usps import FILE, usps

RNG = np.random.default_rng(0)
X, Y = RNG.uniform(-1, 1, (20, 256)), np.arange(20) % 10 + 1


@pytest.fixture
def folder(tmp_path):
    savemat(tmp_path / FILE, {"X": X, "Y": Y[None]})
    return tmp_path


def test_images_and_labels(folder):
    """Row by row, -1 is black; every fifth one is held out."""
    for split, keep in (("train", np.arange(20) % 5 < 4), ("test", np.arange(20) % 5 == 4)):
        source = tfgen.data.load("usps", split, manual_dir=folder)
        np.testing.assert_allclose(source.images()[..., 0], (X[keep].reshape(-1, 16, 16) + 1) / 2, atol=0.5 / 255 + 1e-6)
        np.testing.assert_array_equal(source.labels(), Y[keep] - 1)
        assert source.num_classes == 10 and source.split == split
    assert usps(manual_dir=folder, size=28).image_shape == (28, 28, 1)


def test_with_another_set(folder):
    source = tfgen.data.load("unpaired:usps+usps", "test", manual_dir=folder, size=8)
    assert isinstance(source, tfgen.data.UnpairedSource) and len(source) == 4
    assert source.fields["other"].shape == source.image_shape == (8, 8, 1)
    with pytest.raises(ValueError, match="unknown data set 'upsp'"):
        tfgen.data.load("unpaired:usps+upsp", manual_dir=folder)


def test_wrong_files(tmp_path):
    for given in (None, tmp_path):
        with pytest.raises(ValueError, match=f"usps needs manual_dir, a folder with {FILE}"):
            usps(manual_dir=given)
    with pytest.raises(ValueError, match="received 'valid'"):
        usps("valid", manual_dir=tmp_path)
    for arrays in ({"X": X[:, :99], "Y": Y}, {"X": 2 * X, "Y": Y}, {"X": X, "Y": Y - 1}, {"X": X, "Y": Y[:5]}, {"Y": Y}):
        savemat(tmp_path / FILE, arrays)
        with pytest.raises(ValueError, match="expected X in"):
            usps(manual_dir=tmp_path)
