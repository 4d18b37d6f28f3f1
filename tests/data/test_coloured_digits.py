"""Coloured digits: the colour of each digit, its class and its instance belong to the same pixels."""

import numpy as np
import pytest

from tfgen import data
from tfgen.data.label_maps import instance_numbers

SOURCE = data.load("digits")


def arrays(source):
    maps = source.values("label_map").argmax(axis=-1)
    numbers = np.round(255 * source.values("instances")).astype(int)
    return np.round(255 * source.values("target")).astype(int), maps, numbers


def test_each_digit_has_one_colour():
    source = data.coloured_digits(SOURCE, num=20, seed=1)
    target, maps, numbers = arrays(source)
    assert source.image_shape == (32, 32, 3) and np.array_equal(maps > 0, numbers > 0) and not target[maps == 0].any()
    colours = []
    for i in range(20):
        for k in np.unique(numbers[i])[1:]:
            inside = numbers[i] == k
            assert len(np.unique(target[i][inside], axis=0)) == 1 and len(np.unique(maps[i][inside])) == 1
            colours.append((maps[i][inside][0], *target[i][inside][0]))
            assert {0, 255} <= set(colours[-1][1:])  # saturated
    assert len(colours) > 30 and len(set(colours)) == len(colours)  # not that of the class
    np.testing.assert_array_equal(source.values("edges"), data.instance_edges(numbers))
    np.testing.assert_array_equal(instance_numbers(numbers), numbers)


def test_the_colour_of_the_class():
    target, maps, _ = arrays(data.load("coloured:digits", num=8, colours="class"))
    np.testing.assert_array_equal(target, data.label_pictures(maps, 11))


def test_an_image_is_a_function_of_its_number():
    long, short = (data.coloured_digits(SOURCE, num=num, seed=3) for num in (6, 4))
    np.testing.assert_array_equal(long.values("target", 4), short.values("target"))
    assert data.coloured_digits(SOURCE, num=4, seed=4).fingerprint != short.fingerprint


def test_wrong_settings():
    with pytest.raises(ValueError, match="at least 14"):
        data.coloured_digits(SOURCE, size=13)
    with pytest.raises(ValueError, match="'instance' or 'class'|one of"):
        data.coloured_digits(SOURCE, colours="random")
    with pytest.raises(ValueError, match="grey images with labels"):
        data.coloured_digits(data.from_arrays(np.zeros([4, 8, 8, 3], "uint8")))
