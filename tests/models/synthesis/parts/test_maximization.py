"""Measured bounds of codes, activations of units, falling rates: numbers by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.features import encoder_network
from tfgen.models.synthesis.parts.maximization import CodeStatistics, Units, falling_rate
from tfgen.sampling import Step

layers = keras.layers
ACTIVATIONS = np.array([[0, 2, 1], [4, 2, 0], [2, 6, 0], [2, 2, 3]], "float32")
BOUND_3 = [6.2426406871, 8.1961524227, 4.6742346142]
BOUND_1 = [3.4142135624, 4.7320508076, 2.2247448714]


@pytest.mark.parametrize("parts", [(4,), (2, 4), (1, 2, 3, 4), (3, 4)])
def test_bounds_of_all_rows_in_any_batches(parts):
    statistics = CodeStatistics((3,))
    for first, last in zip((0, *parts), parts, strict=False):
        statistics.observe(tf.constant(ACTIVATIONS[first:last]))
    for deviations, wanted in ((3.0, BOUND_3), (1.0, BOUND_1)):
        low, high = statistics.bounds(deviations)
        np.testing.assert_allclose(high, wanted, rtol=1e-6)
        np.testing.assert_array_equal(low, np.zeros(3))
    low, high = statistics.bounds(3.0, symmetric=True)
    np.testing.assert_allclose((low + high) / 2, ACTIVATIONS.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(high, BOUND_3, rtol=1e-6)


def test_the_change_of_the_means_and_bounds_before_any_code():
    statistics = CodeStatistics((3,))
    assert np.all(np.isinf(statistics.bounds(3.0))) and statistics.bounds(3.0)[0][0] < 0
    assert float(statistics.observe(tf.constant(ACTIVATIONS))) == pytest.approx(np.mean([2.0, 3.0, 1.0]))
    assert float(statistics.observe(tf.constant(ACTIVATIONS))) == pytest.approx(0.0, abs=1e-6)
    assert float(statistics.observe(tf.constant(ACTIVATIONS + 3))) == pytest.approx(1.0)


def test_rates_fall_in_a_straight_line():
    rate = falling_rate(8.0, 1e-10, tf.constant([200, 200, 200, 20]))
    found = rate(Step(tf.constant([0, 100, 199, 10]), None))
    np.testing.assert_allclose(found, [8.0, 4.0, 0.04, 4.0], rtol=1e-5)
    assert np.isfinite(falling_rate(1.0, 0.0, tf.constant([0]))(Step(tf.constant([0]), None)))


def maps():
    """Maps that are the image, in three channels: x, 2 x, 3 x; and their sum over the image."""
    image = keras.Input((5, 4, 1))
    x = layers.Concatenate(name="maps")([layers.Rescaling(float(k))(image) for k in (1, 2, 3)])
    return keras.Model(image, layers.GlobalAveragePooling2D(name="means")(x))


def test_units_of_maps_are_channels_at_a_position():
    images = tf.constant(np.arange(20, dtype="float32").reshape(1, 5, 4, 1) / 20)
    centre = Units(maps(), "maps", (5, 4, 1))
    assert centre.count == 3 and centre.position == (2, 2)
    np.testing.assert_allclose(centre(images), [[0.5, 1.0, 1.5]], rtol=1e-6)
    np.testing.assert_allclose(Units(maps(), "maps", (5, 4, 1), position=(4, 0))(images), [[0.8, 1.6, 2.4]], rtol=1e-6)
    np.testing.assert_allclose(Units(maps(), None, (5, 4, 1))(images), [[0.475, 0.95, 1.425]], rtol=1e-6)


def test_images_of_another_size():
    network = encoder_network((16, 16, 1), 10)
    with pytest.raises(ValueError, match=r"classifier: .* \(8, 8, 1\); received one .* \(16, 16, 1\)\. resize= enlarges"):
        Units(network, "logits", (8, 8, 1))
    images = np.random.default_rng(0).random((2, 8, 8, 1)).astype("float32")
    for method in ("bilinear", "bicubic"):
        units = Units(network, "logits", (8, 8, 1), resize=method)
        np.testing.assert_allclose(units(images), network(tf.image.resize(images, (16, 16), method)), atol=1e-5)
    with pytest.raises(ValueError, match="of 3 channels, those of image_shape"):
        Units(network, "logits", (8, 8, 3), resize="bilinear")


def test_wrong_layers_and_positions():
    with pytest.raises(ValueError, match=r"examined: feature_layers must be some of .*'means'\]; received \('fc8',\)"):
        Units(maps(), "fc8", (5, 4, 1), name="examined")
    for position, layer in (((5, 0), "maps"), ((0, 4), "maps"), ((0, 0), "means")):
        with pytest.raises(ValueError, match=f"position must be a row and a column of the layer '{layer}'"):
            Units(maps(), layer, (5, 4, 1), position=position)


def test_images_are_reduced_without_aliasing():
    images = np.random.default_rng(0).random((1, 20, 16, 1)).astype("float32")
    found = Units(maps(), "maps", (20, 16, 1), resize="bilinear")(tf.constant(images))
    smooth, aliased = (tf.image.resize(images, (5, 4), "bilinear", antialias=way)[0, 2, 2, 0] for way in (True, False))
    np.testing.assert_allclose(found[0], [smooth, 2 * smooth, 3 * smooth], rtol=1e-5)
    assert abs(float(aliased - smooth)) > 0.01
