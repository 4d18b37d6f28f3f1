"""Pixels in memory and on disk, and the bytes of the files that they came from."""

import io

import numpy as np
from PIL import Image

from tfgen.data.pixels import Pixels, encode_png


def pixels_of(data):
    return np.asarray(Image.open(io.BytesIO(data)))


def pixels(shape, n=5):
    return np.random.default_rng(0).integers(0, 256, (n, *shape), np.uint8)


def test_lazy_pixels_read_only_the_requested_examples():
    stored, asked = pixels((3, 4, 1)), []

    def from_file(i):
        asked.append(int(i))
        return stored[i]

    lazy = Pixels(from_file=from_file, indices=np.array([4, 0, 2]), shape=(3, 4, 1))
    assert lazy.shape == (3, 3, 4, 1) and lazy.array is None and asked == []
    np.testing.assert_array_equal(lazy.read(np.array([2, 0])), stored[[2, 4]])
    assert asked == [2, 4]
    part = lazy.select(np.array([1]))
    np.testing.assert_array_equal(part.read(np.array([0])), stored[[0]])


def test_files_are_png_if_there_are_no_original_files():
    for shape in ((3, 4, 1), (3, 4, 3), (3, 4), (2, 3, 4, 1)):
        stored = pixels(shape)
        files = Pixels(stored).files(1)
        images = stored[1] if len(shape) == 4 else [stored[1]]
        assert len(files) == len(images)
        for file, image in zip(files, images, strict=True):
            np.testing.assert_array_equal(pixels_of(file), image[..., 0] if image.shape[-1] == 1 else image)


def test_a_clip_of_masks_is_a_file_for_each():
    stored = pixels((2, 4, 3))
    files = Pixels(stored).files(1, grey=True)
    np.testing.assert_array_equal([pixels_of(file) for file in files], stored[1])


def test_original_files_stay_with_their_examples():
    stored = pixels((3, 4, 1))
    origin = {0: [b"zero"], 2: [b"two"], 4: None}
    made = Pixels(stored[[4, 0, 2]], encoded=origin.get, indices=np.array([4, 0, 2])).select(np.array([2, 0]))
    assert made.files(0) == [b"two"]
    np.testing.assert_array_equal(pixels_of(made.files(1)[0]), stored[4, ..., 0])


def test_png_is_lossless():
    for channels in (1, 3):
        image = pixels((7, 5, channels), 1)[0]
        np.testing.assert_array_equal(pixels_of(encode_png(image)).reshape(image.shape), image)
