import numpy as np
import pytest

from tfgen import data
from tfgen_pipelines.components.generative_evaluator import figures


def test_grid_places_images_row_by_row_and_enlarges_small_ones():
    images = np.stack([np.full((8, 8, 1), v) for v in (0.0, 0.2, 0.4)])
    canvas = figures.grid(images, 2)
    assert canvas.shape == (2 * 34 + 2, 2 * 34 + 2, 1) and canvas.dtype == np.uint8
    assert canvas[3, 3] == 0 and canvas[3, 40] == 51 and canvas[40, 3] == 102
    assert canvas[40, 40] == 255 and canvas[0, 0] == 255  # an empty place, the border


def test_grid_keeps_large_colour_images_and_survives_nan():
    images = np.full((1, 40, 50, 3), np.nan)
    assert figures.grid(images, 1).shape == (44, 54, 3)
    with pytest.raises(ValueError, match="received shape"):
        figures.grid(np.zeros((0, 4, 4, 1)), 1)


def read(path):
    import tensorflow as tf

    return tf.io.decode_png(tf.io.read_file(str(path))).numpy()


def test_reconstructions_stand_below_their_images(tmp_path):
    images = np.stack([np.full((32, 32, 1), v) for v in (0.0, 0.2, 0.4, 0.6)])
    figures.write_reconstructions(tmp_path / "r.png", images, images + 0.2, columns=2)
    pixels = read(tmp_path / "r.png")
    values = [[int(pixels[2 + 34 * r, 2 + 34 * c, 0]) for c in range(2)] for r in range(4)]
    assert values == [[0, 51], [51, 102], [102, 153], [153, 204]]


def test_translations_stand_below_their_inputs(tmp_path):
    groups = [np.stack([np.full((32, 32, 1), v + k) for v in (0.0, 0.2, 0.4, 0.6)]) for k in (0.0, 0.1, 0.2)]
    figures.write_translations(tmp_path / "t.png", groups, columns=2)
    pixels = read(tmp_path / "t.png")
    values = [[round(pixels[2 + 34 * r, 2 + 34 * c, 0] / 25.5) for c in range(2)] for r in range(6)]
    assert values == [[0, 2], [1, 3], [2, 4], [4, 6], [5, 7], [6, 8]]


def test_neighbours_are_the_nearest_in_order(tmp_path):
    reference = data.from_arrays(np.stack([np.full((32, 32, 1), v) for v in (0.0, 0.4, 1.0)]))
    for part in (1, 2, 2048):  # of the reference in memory
        figures.write_neighbours(tmp_path / "n.png", np.full((1, 32, 32, 1), 0.6), reference, k=5, part=part)
        pixels = read(tmp_path / "n.png")
        assert [int(pixels[2, 2 + 34 * c, 0]) for c in range(4)] == [153, 102, 255, 0]
    figures.write_neighbours(tmp_path / "n.png", np.full((1, 32, 32, 1), 0.6), reference, k=2, part=1)
    assert [int(read(tmp_path / "n.png")[2, 2 + 34 * c, 0]) for c in range(3)] == [153, 102, 255]
