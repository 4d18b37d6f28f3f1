"""Fast style transfer: counts of the paper, losses in closed form, rows of styles, new styles, sizes."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen.export import export_saved_model
from tfgen.metrics import ExportedModel
from tfgen.models import FastStyleTransfer
from tfgen.models.translation.fast_style_transfer import _Painter

RNG = np.random.default_rng(0)
FEATURES = {"maker": "random_conv", "arguments": {"filters": [4, 6]}}
SMALL = {"image_shape": (8, 12, 1), "num_styles": 3, "width": 4, "halvings": 1, "blocks": 2, "kernel_size": 5,
         "feature_network": FEATURES, "content_layer": "relu_1"}  # fmt: skip
IMAGES, STYLES = RNG.random((2, 2, 8, 12, 1), dtype="float32")
BATCH = {"image": IMAGES, "style": STYLES, "style_label": np.array([2, 0], "int32")}


def made(seed=0, **settings):
    """A model whose styles differ."""
    keras.utils.set_random_seed(seed)
    model = FastStyleTransfer(**{**SMALL, **settings})
    rng = np.random.default_rng(seed)
    for layer in stylized(model):
        layer.norm.gamma.assign(rng.uniform(0.5, 1.5, layer.norm.gamma.shape))
        layer.norm.beta.assign(rng.normal(size=layer.norm.beta.shape) * 0.3)
    return model


@pytest.fixture(scope="module")
def model():
    return made()


def stylized(model):
    painter = model.painter
    return [*painter.downs, *painter.blocks, *painter.ups, painter.last]


def tables(model):
    return [table.numpy() for layer in stylized(model) for table in (layer.norm.gamma, layer.norm.beta)]


def kernels(model):
    return [layer.conv.kernel.numpy() for layer in stylized(model)]


def one_hot(*numbers, count=3):
    return np.eye(count, dtype="float32")[list(numbers)]


def train(model, batch=BATCH, rate=0.1):
    model.compile(keras.optimizers.Adam(rate), run_eagerly=True)
    model.fit(tf.data.Dataset.from_tensors(batch).repeat(2), verbose=0)


# ---- networks


def test_parameters_of_the_paper():
    settings = {"channels": 3, "width": 32, "halvings": 2, "blocks": 5, "kernel_size": 9}
    counts = []
    for num_styles in (1, 32):
        painter = _Painter(num_styles=num_styles, **settings)
        painter.build([(None, 8, 8, 3), (None, num_styles)])
        counts.append(painter.count_params())
    assert counts[1] == 1_777_024 and counts[1] - counts[0] == 31 * 3_206
    assert np.std(painter.blocks[3].conv.kernel) == pytest.approx(0.01, rel=0.02)


def test_parameters_of_the_small_network():
    painter = _Painter(channels=1, num_styles=1, width=8, halvings=2, blocks=5, kernel_size=9)
    painter.build([(None, 8, 8, 1), (None, 1)])
    assert painter.count_params() == 104_976 + 2 * (8 + 16 + 32 + 10 * 32 + 16 + 8 + 1)


def test_a_layer_is_a_mirrored_convolution_and_a_norm(model):
    """Also the last one; the second of a block has no activation."""
    x, weights = RNG.normal(size=(1, 6, 6, 8)).astype("float32"), one_hot(1)
    for i, layer in enumerate(model.painter.blocks):
        padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], "reflect")
        h = tf.nn.conv2d(padded, layer.conv.kernel.value, 1, "VALID").numpy()
        mean, spread = h.mean((1, 2)), np.sqrt(h.var((1, 2)) + 1e-5)
        h = layer.norm.gamma.numpy()[1] * (h - mean) / spread + layer.norm.beta.numpy()[1]
        np.testing.assert_allclose(layer([x, weights]), np.maximum(h, 0) if i % 2 == 0 else h, atol=1e-4)
    last = model.painter.last
    found = last([RNG.normal(size=(1, 6, 6, 4)).astype("float32"), weights]).numpy()
    logits = np.log(found / (1 - found))
    assert logits.mean() == pytest.approx(float(last.norm.beta[1, 0]), abs=1e-4)
    assert logits.std() == pytest.approx(float(last.norm.gamma[1, 0]), rel=1e-2)


def test_blocks_add_to_their_input(model):
    painter, weights = model.painter, one_hot(0, 1)
    x = painter.downs[1]([painter.downs[0]([IMAGES, weights]), weights])
    assert x.shape == (2, 4, 6, 8)
    for first, second in (painter.blocks[:2], painter.blocks[2:]):
        x = x + second([first([x, weights]), weights])
    x = painter.ups[0]([np.repeat(np.repeat(x, 2, 1), 2, 2), weights])
    np.testing.assert_allclose(model.paint(IMAGES, weights), painter.last([x, weights]), atol=1e-5)


# ---- losses


def test_losses_in_closed_form():
    model = made(style_weight=7.0, content_weight=2.0, variation_weight=3.0)
    losses = model.losses_of(model.as_batch(BATCH))
    image = model.paint(IMAGES, one_hot(2, 0))
    content, style, found = (model.feature_network(x) for x in (IMAGES, STYLES, image))
    content_loss = np.mean((found["relu_1"].numpy() - content["relu_1"].numpy()) ** 2)
    style_loss = 0.0
    for name in ("relu_0", "relu_1"):
        grams = [np.einsum("bhwi,bhwj->bij", x, x) / (x.shape[1] * x.shape[2]) for x in (found[name], style[name])]
        style_loss += np.mean((grams[0] - grams[1]) ** 2)
    variation = float(tfgen.losses.total_variation(image))
    assert float(losses["content_loss"]) == pytest.approx(content_loss, rel=1e-4)
    assert float(losses["style_loss"]) == pytest.approx(style_loss, rel=1e-4)
    assert float(losses["loss"]) == pytest.approx(2 * content_loss + 7 * style_loss + 3 * variation, rel=1e-4)
    model.compile()
    assert model.evaluate(BATCH, verbose=0, return_dict=True)["content_loss"] == pytest.approx(content_loss, rel=1e-4)


def test_which_losses_reach_what(model):
    batch = model.as_batch(BATCH)
    with tf.GradientTape(persistent=True) as tape:
        losses = model.losses_of(batch)
    variables = [v.value for v in model.painter.trainable_variables]
    for name in ("content_loss", "style_loss"):
        assert all(g is not None and np.any(g) for g in tape.gradient(losses[name], variables))
    for layer in stylized(model):  # style 1 is in no row
        for gradient in tape.gradient(losses["loss"], [layer.norm.gamma.value, layer.norm.beta.value]):
            assert np.any(gradient[0]) and np.any(gradient[2]) and not np.any(gradient[1])


def test_training_leaves_the_features_as_they_are():
    model = made()
    before, old = model.feature_network.fingerprint, kernels(model)
    train(model)
    assert tfgen.features.frozen.fingerprint(model.feature_network.network) == before
    assert all(np.any(a != b) for a, b in zip(old, kernels(model), strict=True))
    assert not [key for key in model.state() if "relu" in key or "feature" in key]


# ---- styles


def test_one_weight_is_one_style(model):
    """The network of one style with its row alone."""
    for k in range(3):
        alone = made(num_styles=1)
        for layer, own in zip(stylized(alone), stylized(model), strict=True):
            layer.conv.kernel.assign(own.conv.kernel.value)
            layer.norm.gamma.assign(own.norm.gamma.value[k : k + 1])
            layer.norm.beta.assign(own.norm.beta.value[k : k + 1])
        expected = alone.translate(image=IMAGES)["image"]
        np.testing.assert_allclose(model.translate(image=IMAGES, style_weights=one_hot(k, k))["image"], expected, atol=1e-6)


def test_mixtures_of_rows_and_the_default(model):
    mixed = made(num_styles=1)
    weights = np.float32([[0.2, 0.5, 0.3]])
    for layer, own in zip(stylized(mixed), stylized(model), strict=True):
        layer.conv.kernel.assign(own.conv.kernel.value)
        layer.norm.gamma.assign(weights @ own.norm.gamma.numpy())
        layer.norm.beta.assign(weights @ own.norm.beta.numpy())
    found = model.translate(image=IMAGES, style_weights=weights.repeat(2, 0))["image"]
    np.testing.assert_allclose(found, mixed.translate(image=IMAGES)["image"], atol=1e-5)
    equal = model.translate(image=IMAGES, style_weights=np.full((2, 3), 1 / 3, "float32"))["image"]
    np.testing.assert_array_equal(model.translate(image=IMAGES)["image"], equal)
    assert np.abs(found - equal).max() > 1e-3


def test_labels_are_the_numbers_of_styles(model):
    batch = model.as_batch(BATCH)
    np.testing.assert_array_equal(batch["style_weights"], one_hot(2, 0))
    np.testing.assert_array_equal(model.translated_picture(batch), model.paint(IMAGES, one_hot(2, 0)))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"style_label must lie in \[0, 3\); received a range of 0 3"):
        model.as_batch({**BATCH, "style_label": np.array([0, 3])})
    with pytest.raises(ValueError, match="needs the field 'style_label' .*tfgen.data.unpaired"):
        model.as_batch({"image": IMAGES, "style": STYLES})


def test_data_must_have_as_many_styles():
    source = tfgen.data.load("textured:digits", num=4)
    parameters = {name: p.default for name, p in FastStyleTransfer.config_parameters().items()}
    FastStyleTransfer.check_source({**parameters, "num_styles": 4}, source)
    FastStyleTransfer.check_source({**parameters, "num_styles": 6, "first_style": 2}, source)
    with pytest.raises(ValueError, match="num_styles=3 with first_style=0 needs 3 pictures of styles; .* has 4"):
        FastStyleTransfer.check_source({**parameters, "num_styles": 3}, source)


def test_new_styles_train_their_rows_alone():
    model = made()
    larger = model.with_new_styles(2)
    assert (larger.num_styles, larger.first_style) == (5, 3)
    for old, new in zip(tables(model), tables(larger), strict=True):
        np.testing.assert_array_equal(new[:3], old)
        np.testing.assert_allclose(new[3:], [old.mean(0)] * 2, atol=1e-6)
    before = {"kernels": kernels(larger), "tables": tables(larger)}
    np.testing.assert_array_equal(larger.as_batch({**BATCH, "style_label": [1, 1]})["style_weights"][:, 4], 1.0)
    train(larger, {**BATCH, "style_label": np.array([1, 1])})
    for a, b in zip(before["kernels"], kernels(larger), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(before["tables"], tables(larger), strict=True):
        np.testing.assert_array_equal(a[:4], b[:4])
        assert np.any(a[4] != b[4])
    found = larger.translate(image=IMAGES, style_weights=one_hot(2, 0, count=5))["image"]
    np.testing.assert_allclose(found, model.translate(image=IMAGES, style_weights=one_hot(2, 0))["image"], atol=1e-6)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"style_label must lie in \[0, 2\); received a range of 0 2"):
        larger.as_batch(BATCH)


# ---- translation


def test_any_size(model, tmp_path):
    free = made(any_size=True)
    given = {"image": IMAGES, "style_weights": one_hot(2, 0)}
    np.testing.assert_allclose(free.translate(**given)["image"], model.translate(**given)["image"], atol=1e-6)
    image = RNG.random((2, 9, 15, 1)).astype("float32")
    whole = np.pad(image, [(0, 0), (0, 1), (0, 1), (0, 0)], "reflect")
    found = free.translate(**{**given, "image": image})["image"]
    assert found.shape == (2, 9, 15, 1)
    np.testing.assert_allclose(found, free.translate(**{**given, "image": whole})["image"][:, :9, :15], atol=1e-6)
    exported = ExportedModel(export_saved_model(free, tmp_path))
    np.testing.assert_allclose(exported.ask("translate", {**given, "image": image})["image"], found, atol=1e-5)
    alone = {"image": image}  # the default of the weights is in the export: all styles alike
    assert exported.missing("translate", alone) == []
    np.testing.assert_allclose(exported.ask("translate", alone)["image"], free.translate(**alone)["image"], atol=1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError, match="sides of image must be at least 4 pixels"):
        free.translate(**{**given, "image": image[:, :3]})


def test_without_the_features_it_still_translates(model):
    config = json.loads(json.dumps(model.get_config()))
    config["feature_network"]["fingerprint"] = "another"
    again = FastStyleTransfer.from_config(config)
    again.painter.set_weights(model.painter.get_weights())
    np.testing.assert_array_equal(again.translate(image=IMAGES)["image"], model.translate(image=IMAGES)["image"])
    with pytest.raises(ValueError, match="fingerprint another is missing"):
        again.losses_of(again.as_batch(BATCH))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_shape": (9, 12, 1)}, "multiples of 2, at least 4.*received 9 x 12"),
        ({"first_style": 3}, "first_style must be below num_styles, 3; received 3"),
        ({"content_layer": "relu_2"}, r"content_layer must be one of the layers \('relu_0', 'relu_1'\); received 'relu_2'"),
        ({"kernel_size": 4}, "^kernel_size must be"),
        ({"kernel_size": 17}, r"Images \(8, 12, 1\) are too small for kernel_size=17"),
        ({"num_styles": 0}, "^num_styles must be"),
        ({"image_shape": (8, 12, 3)}, r"must take images \(None, None, 3\)"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        FastStyleTransfer(**{**SMALL, **settings})


def test_presets():
    for name in ("32-styles-code", "photos-16-styles", "digits-textures"):
        tfgen.presets.get(f"fast-style-transfer/{name}").check()
    tfgen.presets.get("fast-style-transfer/digits-textures").build()
