"""What PixelRNN and its multi-scale form promise beyond the family (see test_base.py)."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.models.autoregressive.helpers import conditions, dependence, images, made, parameters
from tfgen.models import MultiScalePixelRNN, PixelRNN
from tfgen.models.autoregressive.base import lower_half

_RNN = {"width": 4, "depth": 2, "head_width": 8, "first_kernel_size": 3}
_SCALES = {**_RNN, "first_kernel_size": 1, "map_channels": 3}


def test_diagonal_cells_see_all_but_the_end_of_the_row_above():
    """With mask A the last pixel of a row is in no feature of its row; from the next only the first convolution sees it."""
    model = made(PixelRNN, image_shape=(5, 6, 1), levels=4, cell="diagonal", **_RNN, scale=0.5)
    seen = (dependence(model, 0) | dependence(model, 1)).reshape(5, 6, 5, 6)
    expected = np.tri(30, k=-1, dtype=bool).reshape(5, 6, 5, 6)
    for i in range(4):
        expected[i + 1, :4, i, 5] = False  # the first convolution reaches one column to the right
    np.testing.assert_array_equal(seen, expected)


def test_row_cells_see_a_triangle():
    """First convolution: one row up, one column to each side. Then each layer's rows widen it by one on each side."""
    model = made(PixelRNN, image_shape=(4, 9, 1), levels=4, cell="row", **{**_RNN, "depth": 1}, scale=0.5)
    seen = (dependence(model, 0) | dependence(model, 1)).reshape(4, 9, 4, 9)[3, 4]
    reach = 1 + np.arange(4)[::-1]  # right of the pixel
    assert not any(seen[i, 4 + reach[i] + 1 :].any() for i in range(3)) and not seen[3, 4:].any()
    assert sum(seen[i, 4 + reach[i] - 1] for i in range(3)) >= 2


@pytest.mark.parametrize("cell", ["row", pytest.param("diagonal", marks=pytest.mark.long)])
def test_skips_and_residuals(cell):
    """Cached and whole parameters agree in all four arrangements, whose numbers of weights differ as they must."""
    counts = {}
    for residual, skip in itertools.product((False, True), repeat=2):
        model = made(PixelRNN, image_shape=(4, 3, 1), levels=3, cell=cell, residual=residual, skip=skip, **_RNN, scale=0.4)
        counts[residual, skip] = model.count_params()
        assert not np.any(np.triu(dependence(model)))
        levels, found = model.draw_levels(model.latents(tf.range(2, dtype=tf.int64)), keep_parameters=True)
        np.testing.assert_allclose(found, parameters(model, levels), atol=1e-5)
    one = 4 * 8 + 8  # a 1x1 convolution from h to 2h
    assert counts[True, False] == counts[False, False] == counts[True, True] - one == counts[False, True] - one


def every_image(model):
    size = int(np.prod(model.image_shape))
    levels = np.array(list(itertools.product(range(model.levels), repeat=size)), "float32")
    return (levels / (model.levels - 1)).reshape(-1, *model.image_shape)


def scales(shape, levels=2, factors=(2,), **more):
    args = {**_SCALES, "image_shape": shape, "levels": levels, "factors": factors, **more}
    return made(MultiScalePixelRNN, scale=0.4, **args)


MULTI = {
    "grey": lambda: scales((4, 6, 1), 3),
    "colour": lambda: scales((4, 4, 3), 3, cell="row"),
    "three scales": lambda: scales((4, 4, 1), 4, factors=(2, 2)),
    "classes": lambda: scales((4, 6, 1), 3, num_classes=3),
}


@pytest.fixture(
    params=[pytest.param(name, marks=[pytest.mark.long] * (name in ("three scales", "classes"))) for name in MULTI]
)  # fmt: skip
def multi(request):
    return MULTI[request.param]()


def order(model):
    """Sub-pixels in the order in which they are drawn: indices into those of raster order."""
    height, width, channels = model.image_shape
    strides = [int(np.prod(model.factors[k:])) for k in range(len(model.factors) + 1)]
    rows, columns = np.mgrid[:height, :width]
    scale = np.zeros([height, width], int)
    for stride in strides[:-1]:
        scale += (rows % stride != 0) | (columns % stride != 0)
    pixels = np.argsort(scale.reshape(-1), kind="stable")
    return (pixels[:, None] * channels + np.arange(channels)).reshape(-1)


def test_scales_come_one_after_the_other(multi):
    """In the order of drawing no pixel sees itself or those behind it; the larger scales see all of the small image."""
    seen = dependence(multi, 0) | dependence(multi, 1)
    place = order(multi)
    seen = seen[place][:, place]
    assert not np.any(np.triu(seen)), f"{np.sum(np.triu(seen))} entries on or above the diagonal"
    small = len(place) // int(np.prod(multi.factors)) ** 2
    assert np.mean(seen[small:, :small]) > 0.3 and np.any(seen[small, small - 1 : small])


@pytest.mark.parametrize("shape, levels, cell", [((2, 4, 1), 3, "diagonal"), ((2, 4, 1), 2, "row"), ((2, 2, 3), 2, "row")])
def test_probabilities_of_all_images_sum_to_one(shape, levels, cell):
    model = scales(shape, levels, cell=cell, kernel_size=1)
    total = np.exp(model.log_prob(every_image(model)).numpy().astype("float64")).sum()
    np.testing.assert_allclose(total, 1.0, atol=1e-5)


def test_cached_parameters_equal_those_of_whole_images(multi):
    given = conditions(multi, 3)
    levels, found = multi.draw_levels(
        multi.latents(tf.range(3, dtype=tf.int64)), multi.condition(**given), keep_parameters=True
    )
    np.testing.assert_allclose(found, parameters(multi, levels, **given), atol=1e-5)
    assert len(np.unique(levels)) > 1


def test_small_image_is_drawn_by_the_first_network():
    """It is the same, whatever the weights of the others."""
    model = scales((4, 6, 1), 3)
    before = model.sample(4).numpy()
    for variable in (*model.bodies[1].trainable_variables, *model.grow_layers[0].trainable_variables):
        variable.assign(variable + 1.0)
    after = model.sample(4).numpy()
    np.testing.assert_array_equal(after[:, ::2, ::2], before[:, ::2, ::2])
    assert np.any(after != before)


@pytest.mark.long
def test_completion_keeps_the_known_at_every_scale():
    model = scales((4, 6, 1), 3)
    known, mask = images(model, 2), lower_half(4, 6)
    found = model.complete(known, mask, num=2, seed=1).numpy()
    np.testing.assert_array_equal(found[:, :, mask], np.repeat(known[:, None][:, :, mask], 2, axis=1))
    assert np.any(found[:, 0] != found[:, 1])
    np.testing.assert_array_equal(model.complete(known, np.ones([4, 6], bool))[:, 0], known)
    np.testing.assert_array_equal(model.complete(known, np.zeros([4, 6], bool), seed=3)[0, 0], model.sample(1, seed=3)[0])


def test_known_pixels_of_the_small_image_reach_pixels_before_them():
    """Those of the large image above them: what a single scale cannot do."""
    model = scales((4, 4, 1), 2)
    mask = np.zeros([4, 4], bool)
    mask[2, 2] = True
    dark, bright = (model.complete(np.full([4, 4, 1], v, "float32"), mask, num=100).numpy() for v in (0, 1))
    np.testing.assert_array_equal(dark[:, 0, 0], bright[:, 0, 0])
    assert np.any(dark[:, 1] != bright[:, 1])


BAD = [
    (PixelRNN, {"cell": "column"}, "cell must be 'row' or 'diagonal'; received 'column'"),
    (PixelRNN, {"cell": "row", "kernel_size": 2}, "kernel_size must be an integer >= 1 that is odd; received 2"),
    (PixelRNN, {"first_kernel_size": 15}, "reaches beyond images of 6 x 4 pixels"),
    (PixelRNN, {"depth": 0}, "depth must be an integer in .1, 1000.; received 0"),
    (MultiScalePixelRNN, {"factors": ()}, "factors must be a sequence of integers >= 2 that is not empty; received"),
    (MultiScalePixelRNN, {"factors": (2, 1)}, "factors must be a sequence of integers >= 2"),
    (MultiScalePixelRNN, {"factors": 2}, "factors must be a sequence of integers >= 2"),
    (MultiScalePixelRNN, {"factors": (4,)}, "The product of the factors, 4, must divide the sides .* received 6 x 4"),
    (MultiScalePixelRNN, {"map_channels": 0}, "map_channels must be an integer >= 1; received 0"),
    (MultiScalePixelRNN, {"first_kernel_size": 5}, "reaches beyond images of 3 x 2 pixels"),
]  # fmt: skip


@pytest.mark.parametrize("model, args, message", BAD)
def test_bad_arguments(model, args, message):
    more = {"map_channels": 3} if model is MultiScalePixelRNN else {}
    with pytest.raises(ValueError, match=message):
        model(**{"image_shape": (6, 4, 1), "levels": 3, **_RNN, **more, **args})
