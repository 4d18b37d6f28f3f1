"""PixelCNN++: its two stacks over several resolutions, its initialisation by data, its dropout."""

import copy

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models.autoregressive.helpers import conditions, dependence, images, made, parameters
from tfgen.layers.weight_norm import WeightNorm
from tfgen.models import PixelCNNPP
from tfgen.models.autoregressive.pixel_cnn_pp_presets import PRESETS
from tfgen.sampling.cached import Whole

TINY = {"levels": 4, "width": 4, "resnets": 1, "components": 2, "dropout": 0.0}
SHAPES = {
    "grey-quarter": {"image_shape": (8, 4, 1), "halvings": 2},
    "colour-half-classes": {"image_shape": (6, 4, 3), "halvings": 1, "resnets": 2, "num_classes": 3},
}


def build(scale=0.3, **args):
    return made(PixelCNNPP, scale=scale, **{**TINY, **args})


@pytest.fixture(params=["colour-half-classes", pytest.param("grey-quarter", marks=pytest.mark.long)])
def model(request):
    return build(**SHAPES[request.param])


@pytest.mark.long  # those of test_base.py are in the shorter suite
def test_cached_parameters_equal_those_of_the_whole_image(model):
    given = conditions(model, 3)
    latents = model.latents(tf.range(3, dtype=tf.int64))
    levels, found = model.draw_levels(latents, model.condition(**given), keep_parameters=True)
    np.testing.assert_allclose(found, parameters(model, levels, **given), atol=1e-5)
    assert len(np.unique(levels)) > 2
    # All channels of a pixel are drawn from its parameters and from its own uniforms.
    uniforms = tf.reshape(latents, [*levels.shape[:3], -1])
    np.testing.assert_array_equal(model.likelihood.draw(found, uniforms), levels)


def test_a_pixel_sees_all_pixels_before_it_and_no_other(model):
    seen = dependence(model, 0) | dependence(model, 1)
    assert not np.any(np.triu(seen))
    height, width, _ = model.image_shape
    before = np.tril(np.ones_like(seen), -1)
    # The right end of the row above reaches a pixel through as many layers as it lies columns away; others always do.
    near = np.abs(np.subtract.outer(np.arange(height * width) % width, np.arange(height * width) % width)) <= 2
    assert np.all(seen[before & near])


def recorded(layers, run):
    """(inputs by keyword, output) of every call of each of the layers during run()."""
    calls = []
    try:
        for layer in layers:
            place = []
            calls.append(place)

            def call(*args, _layer=layer, _place=place, **kwargs):
                output = type(_layer).call(_layer, *args, **kwargs)
                _place.append((kwargs, output))
                return output

            vars(layer)["call"] = call
        run()
    finally:
        for layer in layers:
            vars(layer).pop("call", None)
    return calls


def test_short_cuts_are_used_once_and_the_last_first():
    model = build(image_shape=(8, 8, 1), halvings=2, resnets=2)
    order_u = [model.first_u, *model.in_u[:2], model.down_u[0], *model.in_u[2:4], model.down_u[1], *model.in_u[4:]]
    order_v = [*model.in_v[:2], model.down_v[0], *model.in_v[2:4], model.down_v[1], *model.in_v[4:]]
    layers = [*order_u, *order_v, *model.in_v, *model.out_u, *model.out_v]
    by_layer = {id(layer): None for layer in layers}
    unique = [layer for i, layer in enumerate(layers) if layer not in layers[:i]]
    found = recorded(unique, lambda: parameters(model, tf.constant(images(model, 1)) * 3))
    by_layer = {id(layer): calls for layer, calls in zip(unique, found, strict=True)}
    assert all(len(calls) == 1 for calls in by_layer.values())

    def outputs(layers):
        return [by_layer[id(layer)][0][1] for layer in layers]

    def extras(layers):
        return [by_layer[id(layer)][0][0]["extra"] for layer in layers]

    nodes_u, nodes_v, width = outputs(order_u), outputs(order_v), model.width
    assert len(nodes_u) == 9
    for extra, node in zip(extras(model.in_v), outputs(model.in_u), strict=True):
        np.testing.assert_array_equal(extra, node)
    for extra, node in zip(extras(model.out_u), nodes_u[-2::-1], strict=True):
        np.testing.assert_array_equal(extra, node)
    both = extras(model.out_v)
    for extra, u in zip(both, outputs(model.out_u), strict=True):
        np.testing.assert_array_equal(extra[..., :width], u)
    for extra, node in zip(both[:-1], nodes_v[-2::-1], strict=True):  # the last one is that of the first layers
        np.testing.assert_array_equal(extra[..., width:], node)


def size_of(width, resnets, halvings, channels, outputs, classes=0):
    """Number of weights, by section 2 of the paper and the layers of the authors' code."""

    def conv(taps, inputs, outputs):
        return (taps * inputs + 2) * outputs  # a length and a bias each

    def residual(taps, extra):
        link = conv(1, 2 * extra, width) if extra else 0
        return conv(taps, 2 * width, width) + link + conv(taps, 2 * width, 2 * width) + classes * 2 * width

    first = sum(conv(taps, channels + 1, width) for taps in (6, 3, 2))
    inward = resnets * (halvings + 1) * (residual(6, 0) + residual(4, width))
    outward = (resnets * (halvings + 1) + halvings) * (residual(6, width) + residual(4, 2 * width))
    strided = 2 * halvings * (conv(6, width, width) + conv(4, width, width))
    return first + inward + outward + strided + conv(1, width, outputs)


@pytest.mark.parametrize("halvings, classes", [(0, 0), (2, 3)])
def test_number_of_weights(halvings, classes):
    model = build(image_shape=(8, 4, 3), halvings=halvings, resnets=2, num_classes=classes)
    assert sum(np.prod(v.shape) for v in model.trainable_variables) == size_of(4, 2, halvings, 3, 20, classes)


def test_every_convolution_has_weight_norm():
    model = build(image_shape=(4, 4, 3), halvings=1)
    levels = tf.constant(images(model, 2)) * 3
    before = parameters(model, levels)
    for layer in model._flatten_layers():
        assert not hasattr(layer, "kernel") or isinstance(layer, WeightNorm)
        if isinstance(layer, WeightNorm):
            layer.raw_weight.assign(3.0 * layer.raw_weight)
    np.testing.assert_allclose(parameters(model, levels), before, atol=1e-4)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_pre_activations_after_initialisation(dropout):
    model = made(PixelCNNPP, **{**TINY, "image_shape": (8, 8, 3), "halvings": 1, "num_classes": 3, "dropout": dropout})
    batch = {"image": images(model, 20), "label": np.arange(20, dtype="int32") % 3}
    model.initialize(batch)
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, WeightNorm)]
    assert len(layers) == 3 + 4 + 1 + 10 * 2 + 8  # 10 residual layers, of which the first of each u has no link
    levels, condition = tf.constant(batch["image"][:16]) * 3, model.condition(batch["label"][:16])
    calls = recorded(layers, lambda: model.network(model.prepare(levels), Whole(), condition, training=True))
    for layer, found in zip(layers, calls, strict=True):
        (_, output), stdv = found[0], 0.1 if layer.name == "second" else 1.0
        np.testing.assert_allclose(np.mean(output, axis=(0, 1, 2)), 0.0, atol=2e-3 * stdv, err_msg=layer.path)
        np.testing.assert_allclose(np.std(output, axis=(0, 1, 2)), stdv, rtol=2e-3, err_msg=layer.path)


def test_initialisation_is_for_the_start_alone():
    model = build(image_shape=(4, 4, 1), halvings=0, num_classes=3)
    with pytest.raises(ValueError, match="needs the field 'label'"):
        model.initialize(images(model, 4))
    with pytest.raises(ValueError, match="was made for images"):
        model.initialize({"image": np.zeros([4, 5, 4, 1], "float32"), "label": [0, 1, 2, 0]})
    model.step.assign(3)
    with pytest.raises(ValueError, match="before training; this one is at step 3"):
        model.initialize({"image": images(model, 4), "label": [0, 1, 2, 0]})


def test_initialisation_in_bfloat16():
    model = made(PixelCNNPP, **TINY, image_shape=(4, 4, 1), halvings=1, dtype="mixed_bfloat16")
    model.initialize(images(model, 16))
    assert np.all(np.isfinite(model.log_prob(images(model, 2))))
    assert model.first_u.scale.dtype == "float32" and np.all(model.first_u.scale != 1.0)


def test_dropout_is_a_function_of_the_step_and_of_training():
    model = build(image_shape=(4, 4, 1), halvings=1, dropout=0.5)
    batch = {"image": tf.constant(images(model, 4))}

    def nll(training=True):
        return float(model.nll_of(batch, training)["nll"])

    first, quiet = nll(), nll(training=False)
    assert first == nll() and first != quiet
    np.testing.assert_allclose(quiet, -np.mean(model.log_prob(batch["image"])), rtol=1e-5)
    model.step.assign(1)
    assert nll() not in (first, quiet) and nll(training=False) == quiet
    streams = [layer.dropout.stream for group in (model.in_u, model.in_v, model.out_u, model.out_v) for layer in group]
    assert len(set(streams)) == len(streams) == 10


def test_input_has_a_channel_of_ones():
    model = build(image_shape=(4, 4, 3), halvings=0)
    x = model.prepare(tf.constant(images(model, 2)) * 3)
    assert x.shape == (2, 4, 4, 4)
    np.testing.assert_array_equal(x[..., 3], 1.0)
    np.testing.assert_allclose(x[..., :3], 2.0 * images(model, 2) - 1.0, atol=1e-6)


BAD = [
    ({"width": 0}, "width must be an integer >= 1; received 0"),
    ({"resnets": 1.5}, "resnets must be an integer in .1, 1000.; received 1.5"),
    ({"halvings": -1}, "halvings must be an integer in .0, 13.; received -1"),
    ({"components": 0}, "components must be an integer >= 1; received 0"),
    ({"dropout": 1.0}, r"dropout must be a number in \[0, 1\); received 1.0"),
    ({"image_shape": (8, 6, 1), "halvings": 2}, r"multiples of 4 for halvings=2; received \(8, 6, 1\)"),
]


@pytest.mark.parametrize("args, message", BAD)
def test_bad_arguments(args, message):
    with pytest.raises(ValueError, match=message):
        PixelCNNPP(**{**TINY, "image_shape": (8, 8, 1), **args})


def test_rate_of_the_paper_falls_by_its_factor_each_step():
    preset = {preset.name: preset for preset in PRESETS}["pixel-cnn-pp/cifar10-paper"]
    optimizer = keras.optimizers.get(copy.deepcopy(preset.compile_args["optimizer"]))  # Keras writes into what it reads
    steps = np.array([0, 1, 1e6])
    np.testing.assert_allclose([optimizer._learning_rate(step) for step in steps], 1e-3 * 0.999995**steps, rtol=1e-4)
    assert (optimizer.beta_1, optimizer.beta_2) == (0.95, 0.9995)
    # 1e-8 under the root in the code, of sums over 128 images of 3,072 values in nats; ours are means of bits.
    assert optimizer.epsilon == pytest.approx(np.sqrt(1e-8) / (128 * 3072 * np.log(2)), rel=0.1)
