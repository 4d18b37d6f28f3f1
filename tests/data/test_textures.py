"""Procedural textures, and images with them as styles."""

import numpy as np
import pytest

from tfgen import data


def test_textures_are_what_their_names_say():
    source = data.textures(12, size=(24, 32))
    assert source.image_shape == (24, 32, 1) and len(set(map(bytes, source.images()))) == 12
    for name, image in zip(source.ids, source.images()[..., 0], strict=True):
        kind = name.split("-")[0]
        assert (np.ptp(image, axis=1).max() == 0) == (kind == "horizontal")
        assert (np.ptp(image, axis=0).max() == 0) == (kind == "vertical")
        assert (len(np.unique(image)) > 2) == (kind == "noise")
        assert np.ptp(image) > 0.15


def test_a_texture_is_a_function_of_its_number_and_the_seed():
    few, many = data.textures(4, size=16, channels=3), data.textures(9, size=np.int64(16), channels=3)
    np.testing.assert_array_equal(few.images(), many.images()[:4])
    assert few.fingerprint != data.textures(4, size=16, channels=3, seed=1).fingerprint
    colours = np.unique(few.images()[0].reshape(-1, 3), axis=0)
    assert len(colours) == 2 and np.any(colours[0] != colours[0, 0])


def test_textured_images():
    source = data.load("textured:digits", num=5, seed=2)
    assert isinstance(source, data.UnpairedSource) and source.second == "style" and source.name == "textured:digits"
    expected = data.textures(5, size=8, levels=17, seed=2).images()
    for batch in source.batches(4, shuffle=True, repeat=True).take(3).as_numpy_iterator():
        np.testing.assert_array_equal(batch["style"], expected[batch["places"][:, 1]])
        assert "other" not in batch and batch["label"].shape == (4,)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="^num must be"):
        data.textures(0)
    with pytest.raises(ValueError, match="takes the options|size"):
        data.load("textured:digits", size=4)
