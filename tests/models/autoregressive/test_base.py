"""What every autoregressive model promises: causality, a likelihood that sums to one, sampling with caches, completion."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance.registry import CASES
from tests.models.autoregressive.helpers import conditions, dependence, images, made, parameters
from tfgen.models import GatedPixelCNN, PixelCNN, PixelCNNPP, PixelRNN
from tfgen.models.autoregressive.base import AutoregressiveModel, lower_half

_CNN = {"width": 6, "depth": 2, "head_width": 16, "first_kernel_size": 3}
_PP = {"width": 4, "resnets": 1, "halvings": 0, "components": 2}

# name: (model, arguments without image_shape and levels). A new model adds a line here.
MODELS = {
    "pixel-cnn": (PixelCNN, _CNN),
    "pixel-cnn-classes": (PixelCNN, {**_CNN, "num_classes": 3}),
    "gated": (GatedPixelCNN, _CNN),
    "gated-wide-first": (GatedPixelCNN, {**_CNN, "first_kernel_size": 5, "depth": 1}),
    "gated-classes": (GatedPixelCNN, {**_CNN, "num_classes": 3}),
    "gated-vector": (GatedPixelCNN, {**_CNN, "embedding_dim": 2}),
    "row-lstm": (PixelRNN, {**_CNN, "cell": "row"}),
    "diagonal-lstm": (PixelRNN, {**_CNN, "cell": "diagonal"}),
    "diagonal-lstm-classes": (PixelRNN, {**_CNN, "cell": "diagonal", "depth": 1, "num_classes": 3}),
    "gated-place": (GatedPixelCNN, {**_CNN, "num_classes": 3, "map_channels": 2}),
    "pixel-cnn-pp": (PixelCNNPP, _PP),
    "pixel-cnn-pp-classes": (PixelCNNPP, {**_PP, "num_classes": 3}),
}
SHAPES = {"grey": ((6, 5, 1), 4), "colour": ((4, 5, 3), 3)}
TINY = {
    "binary-3x3": ((3, 3, 1), 2),
    "binary-3x4": ((3, 4, 1), 2),
    "colour-1x3": ((1, 3, 3), 2),
    "levels-2x3": ((2, 3, 1), 4),
}


def build(name, shape, **more):
    model, args = MODELS[name]
    (image_shape, levels), scale = {**SHAPES, **TINY}[shape], 0.4
    args = {
        key: 1 if key == "first_kernel_size" and 2 * min(image_shape[:2]) <= value else value for key, value in args.items()
    }
    if min(image_shape[:2]) < 2 and "kernel_size" in model.config_parameters():
        args = {**args, "kernel_size": 1}
    return made(model, image_shape=image_shape, levels=levels, scale=scale, **{**args, **more})


def _long(name, shape):
    """Whether a variant waits in colour: other cells and conditions are seen in grey, their base model in both."""
    variants = ("row-lstm", "diagonal-lstm-", "gated-", "pixel-cnn-classes", "pixel-cnn-pp-")
    return shape == "colour" and name.startswith(variants)


@pytest.fixture(
    params=[
        pytest.param((name, shape), id=f"{name}-{shape}", marks=[pytest.mark.long] * _long(name, shape))
        for name in MODELS for shape in SHAPES
    ]
)  # fmt: skip
def model(request):
    return build(*request.param)


# Completion does not depend on the network: a case for each way to draw a pixel, with and without conditions.
@pytest.fixture(params=[("gated-classes", "grey"), ("pixel-cnn", "colour"), ("pixel-cnn-pp", "colour")], ids="-".join)
def some_model(request):
    return build(*request.param)


def test_no_pixel_sees_itself_or_those_behind_it(model):
    seen = dependence(model, 0) | dependence(model, 1)
    assert not np.any(np.triu(seen)), f"{np.sum(np.triu(seen))} entries of the Jacobian on or above its diagonal"
    # The pixel before is seen, but for rectifiers that happen to be closed.
    assert np.mean(np.diag(seen, -1)) > 0.5


def test_bits_of_pixels(some_model):
    """They add up to those of the image, and a pixel changes its own and those of later ones alone."""
    model, count = some_model, np.prod(some_model.image_shape[:2])
    levels = np.random.default_rng(0).integers(0, model.levels, (2, *model.image_shape))
    images = levels.astype("float32") / (model.levels - 1)
    given = conditions(model, 2)
    bits = model.pixel_bits(images, **given).numpy().reshape(2, count)
    nats = model.log_prob(images, **given)
    np.testing.assert_allclose(bits.sum(axis=1), -np.log2(np.e) * nats, rtol=1e-5)
    changed = images.copy().reshape(2, count, -1)
    changed[:, 5] = (changed[:, 5] == 0).astype("float32")
    after = model.pixel_bits(changed.reshape(images.shape), **given).numpy().reshape(2, count)
    np.testing.assert_allclose(after[:, :5], bits[:, :5], rtol=1e-5)
    assert np.all(np.abs(after - bits)[:, 5] > 1e-4)
    exported = model.signatures()["pixel_bits"][0](image=tf.constant(images), **given)
    np.testing.assert_allclose(exported["pixel_bits"].numpy().reshape(2, count), bits, rtol=1e-5)


@pytest.mark.parametrize("shape", TINY)
@pytest.mark.parametrize("name", MODELS)
def test_probabilities_of_all_images_sum_to_one(name, shape):
    model = build(name, shape)
    size = int(np.prod(model.image_shape))
    every = np.array(list(itertools.product(range(model.levels), repeat=size)), "float32") / (model.levels - 1)
    given = {key: np.repeat(value, len(every), axis=0) for key, value in conditions(model, 1).items()}
    total = np.exp(model.log_prob(every.reshape(-1, *model.image_shape), **given).numpy().astype("float64")).sum()
    np.testing.assert_allclose(total, 1.0, atol=1e-5)


def test_cached_parameters_equal_those_of_the_whole_image(model):
    """Along a sampled image, at every pixel; in a graph, with a free batch dimension."""

    @tf.function(input_signature=[tf.TensorSpec([None, model.latent_dim])])
    def draw(latents):
        given = {key: tf.constant(value)[: tf.shape(latents)[0]] for key, value in conditions(model, 3).items()}
        return model.draw_levels(latents, model.condition(**given), keep_parameters=True)

    levels, found = draw(model.latents(tf.range(3, dtype=tf.int64)))
    expected = parameters(model, levels, **conditions(model, 3))
    np.testing.assert_allclose(found, expected, atol=1e-5 * max(1.0, float(tf.reduce_max(tf.abs(expected)))))
    assert len(np.unique(levels)) > 1  # the sample says something


def test_samples_are_what_the_distribution_says(some_model):
    """Step-wise log-probabilities of what was drawn add up to log_prob."""
    model = some_model
    levels, found = model.draw_levels(
        model.latents(tf.range(3, dtype=tf.int64)), model.condition(**conditions(model, 3)), keep_parameters=True
    )
    step_wise = model.likelihood.distribution(found).log_prob(levels)
    np.testing.assert_allclose(step_wise, model.log_prob(model.images_of(levels), **conditions(model, 3)), rtol=1e-4)


def test_completion_keeps_the_known_and_draws_the_rest(some_model):
    model = some_model
    known, given = images(model, 2), conditions(model, 2)
    mask = lower_half(*model.image_shape[:2])
    found = model.complete(known, mask, num=3, seed=1, **given).numpy()
    assert found.shape == (2, 3, *model.image_shape)
    np.testing.assert_array_equal(found[:, :, mask], np.repeat(known[:, None][:, :, mask], 3, axis=1))
    assert np.any(found[:, 0] != found[:, 1])
    one = {key: value[:1] for key, value in given.items()}
    np.testing.assert_array_equal(model.complete(known[0], mask, num=2, seed=1, **one), found[0, :2])
    # The values of unknown pixels do not matter, and need not be levels.
    hidden = np.where(mask[None, :, :, None], known, 0.123).astype("float32")
    np.testing.assert_array_equal(model.complete(hidden, mask, num=3, seed=1, **given), found)


def test_completion_of_nothing_is_sampling_and_of_everything_the_image(some_model):
    model = some_model
    known, given = images(model, 2), conditions(model, 2)
    mask = np.zeros((2, *model.image_shape[:2]), bool)
    np.testing.assert_array_equal(model.complete(known, mask, seed=4, **given)[0, 0], model.sample(2, seed=4, **given)[0])
    np.testing.assert_array_equal(model.complete(known, ~mask, **given)[:, 0], known)


def test_completion_sees_known_pixels_of_any_mask(some_model):
    """A known pixel changes what is drawn behind it, and nothing before it."""
    model = some_model
    height, width, channels = model.image_shape
    mask, given = np.zeros((height, width), bool), conditions(model, 1)
    mask[1, 2] = True
    dark, bright = (
        model.complete(np.full(model.image_shape, value, "float32"), mask, num=60, **given).numpy() for value in (0, 1)
    )
    place = width + 2
    dark, bright = (found.reshape(60, height * width, channels) for found in (dark, bright))
    np.testing.assert_array_equal(dark[:, :place], bright[:, :place])
    assert np.any(dark[:, place + 1 :] != bright[:, place + 1 :])


@pytest.mark.parametrize("name", [name for name in MODELS if name.endswith(("classes", "vector", "place"))])
def test_conditions_reach_every_pixel(name):
    model = build(name, "grey")
    levels = tf.constant(images(model, 2)[:1].repeat(2, axis=0)) * (model.levels - 1)
    found = parameters(model, levels, **conditions(model, 2)).numpy()
    assert np.all(np.any(found[0] != found[1], axis=-1)), "some pixels do not depend on the condition"


@pytest.mark.parametrize("name", sorted(name for name, case in CASES.items() if issubclass(case.model, AutoregressiveModel)))
def test_bits_per_dim(name):
    """Nats over ln 2, per pixel and channel: of images, in the logs of training and of evaluation."""
    case = CASES[name]
    model, batch, dims = case.build(), case.batch(), 64
    given = {field.argument: batch[field.name] for field in model.conditions()}
    nats = model.log_prob(batch["image"], **given).numpy()
    np.testing.assert_allclose(model.bits_per_dim(batch["image"], **given), -np.log2(np.exp(nats / dims)), rtol=1e-4)
    of_pixels = tf.reduce_sum(model.pixel_bits(batch["image"], **given), axis=[1, 2])
    np.testing.assert_allclose(of_pixels, -nats / np.log(2), rtol=1e-4)
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    data = tf.data.Dataset.from_tensors(batch)
    evaluated = model.evaluate(data, verbose=0, return_dict=True)
    trained = model.fit(data, verbose=0).history
    assert evaluated["nll"] == pytest.approx(-nats.mean(), rel=1e-4)
    assert evaluated["bits_per_dim"] == pytest.approx(-nats.mean() / dims / 0.6931472, rel=1e-4)
    assert trained["bits_per_dim"][0] == pytest.approx(trained["nll"][0] / dims / 0.6931472, rel=1e-4)


def test_bits_per_dim_of_equal_probabilities_are_those_of_a_level():
    for levels, bits in ((2, 1.0), (4, 2.0), (256, 8.0)):
        model = PixelCNN(image_shape=(3, 4, 3), levels=levels, **{**_CNN, "head_width": 3})
        for variable in model.head.trainable_variables:
            variable.assign(0.0 * variable)
        np.testing.assert_allclose(model.bits_per_dim(images(model, 2)), [bits, bits], rtol=1e-5)


def test_training_descends_bits_per_dim():
    """Not nats: gradients, and so their clipping, do not grow with the image."""
    model = build("gated", "grey")
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    batch = images(model, 4)
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(model.log_prob(batch)) / (30 * 0.6931472)
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    before = [v.numpy() for v in model.trainable_variables]
    model.fit(tf.data.Dataset.from_tensors(batch), verbose=0)
    for variable, old, gradient in zip(model.trainable_variables, before, gradients, strict=True):
        np.testing.assert_allclose(variable, old - 0.1 * gradient, rtol=1e-4, atol=1e-6, err_msg=variable.path)


BAD = {
    "between levels": (lambda model: model.log_prob(images(model, 1) * 0.9), "the values k / 3 of levels=4"),
    "channels": (lambda model: model.log_prob(np.zeros((1, 6, 5, 3), "float32")), "was made for images"),
    "mask shape": (lambda model: model.complete(images(model, 1), np.ones((5, 6), bool)), r"mask must be bool \[6"),
    "mask dtype": (lambda model: model.complete(images(model, 1), np.ones((6, 5))), r"mask must be bool .* float64"),
    "masks": (lambda model: model.complete(images(model, 2), np.ones((3, 6, 5), bool)), "mask must have as many rows"),
    "num": (lambda model: model.complete(images(model, 1), np.ones((6, 5), bool), num=0), "num must be an integer"),
    "labels": (lambda model: model.sample(1, labels=[1]), "takes no labels"),
    "known": (
        lambda model: model.complete(images(model, 1) * 0.9, np.ones((6, 5), bool)), "Images must have the values"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    call, message = BAD[case]
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=message):
        call(build("gated", "grey"))


BAD_ARGS = [
    ({"levels": 1}, "levels must be an integer >= 2; received 1"),
    ({"levels": 3.5}, "received 3.5"),
    ({"kernel_size": 2}, "kernel_size must be an integer >= 1 that is odd; received 2"),
    ({"first_kernel_size": 15}, "first_kernel_size 15 reaches beyond images of 6 x 5 pixels"),
    ({"depth": 0}, "depth must be an integer in .1, 1000.; received 0"),
    ({"image_shape": (6, 5, 3), "width": 2}, "at least 3 channels"),
    ({"num_classes": -1}, "num_classes must be an integer in"),
]


@pytest.mark.parametrize("args, message", BAD_ARGS)
@pytest.mark.parametrize("model", [PixelCNN, GatedPixelCNN])
def test_bad_arguments(model, args, message):
    with pytest.raises(ValueError, match=message):
        model(**{"image_shape": (6, 5, 1), "levels": 4, **_CNN, **args})


def test_labels_are_needed_and_checked():
    model = build("gated-classes", "grey")
    with pytest.raises(ValueError, match="labels, int"):
        model.log_prob(images(model, 1))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"labels must lie in \[0, 3\)"):
        model.log_prob(images(model, 1), labels=[3])
    model.compile()
    with pytest.raises(ValueError, match="needs the field 'label'"):
        model.fit(images(model, 2), verbose=0)
