"""The dependency field equals what a changed pixel does."""

import numpy as np
import pytest

import tfgen
from tests.models.autoregressive.helpers import conditions, images, made
from tfgen.metrics import dependency_field
from tfgen.models import GatedPixelCNN, PixelCNN

SHAPE = (4, 6)
ARGS = {"width": 6, "depth": 6, "first_kernel_size": 3}
MODELS = {
    "blind spot": (PixelCNN, {**ARGS, "image_shape": (*SHAPE, 1), "levels": 3}),
    "colours": (GatedPixelCNN, {**ARGS, "image_shape": (*SHAPE, 3), "levels": 2, "num_classes": 2}),
}


@pytest.mark.parametrize("name", MODELS)
def test_it_is_not_zero_where_a_change_has_an_effect(name):
    model = made(MODELS[name][0], scale=0.4, **MODELS[name][1])
    shown, given = images(model, 8), conditions(model, 8)
    field = dependency_field(model, shown, 2, 1, **given)
    assert field.shape == SHAPE and field.dtype == np.float32
    before = np.asarray(model.distribution(shown, **given).distribution.logits)[:, 2, 1]
    for row, column in np.ndindex(SHAPE):
        changed = shown.copy()
        changed[:, row, column] = 1.0 - changed[:, row, column]
        after = np.asarray(model.distribution(changed, **given).distribution.logits)[:, 2, 1]
        assert (field[row, column] > 0) == (np.abs(after - before).max() > 0), (row, column)


def test_it_grows_with_the_weights():
    """Twice the last layer's kernel: twice the gradient; zero: none."""
    model = made(PixelCNN, scale=0.4, **MODELS["blind spot"][1])
    field, last = dependency_field(model, images(model, 4), 2, 1), model.head.convs[-1].kernel
    for factor in (2.0, 0.0):
        kernel = last.numpy()
        last.assign(factor * kernel)
        np.testing.assert_allclose(dependency_field(model, images(model, 4), 2, 1), factor * field, rtol=1e-4)
        last.assign(kernel)


@pytest.mark.parametrize("pixel", [(4, 0), (0, 6), (-1, 0)])
def test_a_pixel_outside_of_the_image(pixel):
    model = made(PixelCNN, **MODELS["blind spot"][1])
    with pytest.raises(ValueError, match=r"must be one of 4 x 6, counted from 0; received \("):
        dependency_field(model, images(model, 1), *pixel)


def test_models_without_one_network_of_the_whole_image_are_refused():
    multi = tfgen.presets.get("multi-scale-pixel-rnn/digits").build(seed=0)
    for model, name in ((multi, "MultiScalePixelRNN"), (tfgen.presets.get("vae/digits").build(seed=0), "VAE")):
        with pytest.raises(ValueError, match=f"must be autoregressive, .*; received a {name}"):
            dependency_field(model, np.zeros([1, 8, 8, 1], np.float32), 2, 1)
