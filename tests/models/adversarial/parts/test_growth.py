"""The plan of growth: positions, phases and batch sizes as functions of the step; the fade of real images."""

import fractions
import math

import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen.models.adversarial.parts.growth import Growth, for_levels, number_of_levels


@pytest.mark.parametrize("first_level, golden", [
    (0, {0: (3, 4), 600_000: (3, 4), 600_512: (2.99914667, 8), 900_000: (2.5, 8), 1_200_000: (2, 8), 2_100_000: (1.5, 16),
         3_300_000: (0.5, 32), 3_600_000: (0, 32)}),
    (1, {0: (2, 8), 900_000: (1.5, 16), 2_100_000: (0.5, 32), 2_400_000: (0, 32)}),
])  # fmt: skip
def test_golden_lod_of_32_pixels(first_level, golden):
    growth = Growth((32,) * 4, 600_000, 600_000, first_level)
    for images, (lod, size) in golden.items():
        step = images // 32
        assert growth.images(step) == images and growth.steps(images) == step
        assert 3 - float(growth.position(tf.constant(step, tf.int64))) == pytest.approx(lod, abs=1e-6)
        assert 4 * 2 ** growth.phases[growth.index(step)].level == size


PLANS = [
    Growth((8, 4), 16, 32), Growth((8, 8, 4, 3), 20, 7), Growth((5, 3, 7), 0, 11), Growth((64, 2, 1), 10, 10),
    Growth((4, 4, 4), 9, 1), Growth((4, 4, 4), 9, 5, first_level=1), Growth((4, 4, 4), 9, 5, first_level=2),
    Growth((6,), 3, 3),
]  # fmt: skip


@pytest.mark.parametrize("growth", PLANS)
def test_phases_agree_with_the_position_at_every_step(growth):
    """The images are added up step by step, and the position is exact, in fractions."""
    images, cycle, sizes = 0, growth.stable + growth.fade, []
    for step in range(60):
        passed, rest = divmod(images, cycle)
        exact = growth.first_level + passed + fractions.Fraction(max(rest - growth.stable, 0), growth.fade)
        exact, phase = min(exact, growth.last_level), growth.phases[growth.index(step)]
        assert growth.images(step) == images
        assert float(growth.position(tf.constant(step))) == pytest.approx(float(exact), abs=1e-6)
        assert phase.levels == tuple(range(math.floor(exact), math.ceil(exact) + 1)) and phase.level == math.ceil(exact)
        assert phase.batch_size == growth.batch_sizes[math.ceil(exact)]
        sizes.append(phase.batch_size)
        images += phase.batch_size
    assert images > cycle * (growth.last_level - growth.first_level), "all levels were reached"
    source = tfgen.data.from_arrays(np.zeros((100, 2, 2, 1), "uint8"))
    schedule = growth.batch_schedule()
    assert [schedule[0][0], *(b for (_, a), (_, b) in zip(schedule, schedule[1:], strict=False) if a == b)] == [0]
    batches = source.batches(schedule, shuffle=True, repeat=True).take(60)
    assert [len(batch["image"]) for batch in batches] == sizes


def test_real_images_fade_in_like_generated_ones():
    growth, images = Growth((4,) * 3, 10, 10), tf.reshape(tf.range(16.0), [1, 4, 4, 1])
    faded = growth.faded(images, (1, 2), tf.constant(1.75))
    np.testing.assert_allclose(faded[0, 0, :, 0], [0.625, 1.375, 2.625, 3.375], rtol=1e-6)
    np.testing.assert_array_equal(growth.faded(images, (2,), tf.constant(2.0)), images)
    means = np.array([[2.5, 4.5], [10.5, 12.5]]).repeat(2, 0).repeat(2, 1)
    np.testing.assert_allclose(growth.faded(images, (1,), tf.constant(1.0))[0, :, :, 0], means)
    np.testing.assert_allclose(growth.faded(images, (0,), tf.constant(0.0)), np.full((1, 4, 4, 1), 7.5))
    np.testing.assert_allclose(growth.faded(images, (0, 1), tf.constant(0.25))[0, :, :, 0], 7.5 + 0.25 * (means - 7.5))


@pytest.mark.parametrize("shape, start, levels", [
    ((32, 32, 1), (4, 4), 4), ((28, 28, 1), (7, 7), 3), ((1024, 1024, 3), (4, 4), 9), ((4, 4, 1), (4, 4), 1),
    ((48, 64, 3), (3, 4), 5),
])  # fmt: skip
def test_sizes_that_fit(shape, start, levels):
    assert number_of_levels(shape, start) == levels


@pytest.mark.parametrize("shape, start, message", [
    ((28, 28, 1), (4, 4), "4 x 4 that gives 4 x 4, 8 x 8, .*; received images of 28 x 28, .* 7 x 7, 14 x 14, 28 x 28 fits"),
    ((12, 12, 1), (4, 4), "start_size 3 x 3, 6 x 6, 12 x 12 fits"), ((8, 16, 1), (4, 4), "1 x 2, 2 x 4, 4 x 8, 8 x 16 fits"),
    ((2, 2, 1), (4, 4), "1 x 1, 2 x 2 fits"), ((15, 15, 1), (4, 4), "start_size 15 x 15 fits"),
])  # fmt: skip
def test_sizes_that_do_not_fit(shape, start, message):
    with pytest.raises(ValueError, match=message):
        number_of_levels(shape, start)


def test_settings_of_levels():
    assert for_levels("rates", 0.5, 3) == (0.5,) * 3 and for_levels("rates", [1, 2], 2) == (1, 2)
    with pytest.raises(ValueError, match=r"rates must be one number, or one for each of the 3 levels; received \(1, 2\)"):
        for_levels("rates", [1, 2], 3)
