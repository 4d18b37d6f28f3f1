"""Conditioning augmentation of both forms, and the gated linear unit, against numbers computed by hand."""

import keras
import numpy as np
import pytest

from tfgen.layers import ConditioningAugmentation, glu

E = np.array([[1.0, -2.0]], "float32")


def made(form):
    layer = ConditioningAugmentation(1, form)
    layer.build((None, 2))
    return layer


def test_glu():
    found = glu(np.array([[1, -2, 0.5, 3, 0, -1, 2, -0.5]]))
    np.testing.assert_allclose(found[0], [0.5, -0.5378828427, 0.440398539, 1.1326220064], atol=1e-9)
    with pytest.raises(ValueError, match=r"must be even; received the shape \(3,\)"):
        glu([1.0, 2.0, 3.0])


def test_the_first_form_has_leaky_relu_on_both_halves():
    layer = made("log_stddev")
    layer.dense.set_weights([np.eye(2, dtype="float32"), np.array([0.5, 0.0], "float32")])
    mean, log_stddev = layer(E)
    assert float(mean[0, 0]) == pytest.approx(1.5) and float(log_stddev[0, 0]) == pytest.approx(-0.4)


def test_the_second_form_is_gated_and_gives_a_variance():
    """Dense units a = e, b = (0, ln 3): gated [1 / 2, -2 * 3 / 4]; the second is ln variance."""
    layer = made("log_variance")
    kernel = np.concatenate([np.eye(2), np.zeros([2, 2])], axis=1)
    layer.dense.set_weights([kernel, np.array([0, 0, 0, np.log(3.0)])])
    mean, log_stddev = layer(E)
    assert float(mean[0, 0]) == pytest.approx(0.5) and float(log_stddev[0, 0]) == pytest.approx(-0.75)


def test_sizes():
    """Of the paper: 1024 -> 128. One dense layer with a bias."""
    for form, count in (("log_stddev", 262_400), ("log_variance", 524_800)):
        layer = ConditioningAugmentation(128, form)
        layer.build((None, 1024))
        assert layer.count_params() == count
    twin = ConditioningAugmentation.from_config(layer.get_config())
    assert (twin.size, twin.form) == (128, "log_variance")
    assert keras.saving.get_registered_name(ConditioningAugmentation) == "tfgen>ConditioningAugmentation"


@pytest.mark.parametrize("settings, message", [((0,), "size must be an integer >= 1"), ((3, "sigma"), "form must be 'log_")])
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        ConditioningAugmentation(*settings)
