"""AdaIN style transfer: losses in closed form, what is trained, strength, regions, colours, sizes."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen.export import export_saved_model
from tfgen.features.frozen import fingerprint
from tfgen.metrics import ExportedModel
from tfgen.models import AdaINStyleTransfer
from tfgen.models.translation.adain import _Decoder, match_colours

RNG = np.random.default_rng(0)
SMALL = {"image_shape": (8, 12, 3), "decoder_filters": ((6,), (5, 4)),
         "feature_network": {"maker": "random_conv", "arguments": {"filters": [4, 6], "channels": 3}}}  # fmt: skip
IMAGES, STYLES, OTHERS = RNG.random((3, 2, 8, 12, 3), dtype="float32")
BATCH = {"image": IMAGES, "style": STYLES}


@pytest.fixture(scope="module")
def model():
    return made()


@pytest.fixture(scope="module")
def regions():
    """With the weights of `model`."""
    return made(regions=2)


def made(**settings):
    keras.utils.set_random_seed(0)
    return AdaINStyleTransfer(**{**SMALL, **settings})


def moments(maps):
    return np.mean(maps, (1, 2), keepdims=True), np.std(maps, (1, 2), keepdims=True)


def adain(content, style, region=None):
    """By NumPy; `region`: the rows of the maps from which the content's statistics are."""
    (mean, spread), (to, wide) = moments(content if region is None else content[:, region]), moments(style)
    return (content - mean) / np.sqrt(spread**2 + 1e-5) * np.sqrt(wide**2 + 1e-5) + to


def deepest(model, images):
    return model.features(tf.constant(images))[-1].numpy()


def decoded(model, maps):
    return np.clip(model.decode(tf.constant(maps)), 0.0, 1.0)


# ---- networks


def test_parameters_of_the_paper():
    filters = AdaINStyleTransfer.config_parameters()["decoder_filters"].default
    decoder = _Decoder(filters=filters, channels=3)
    decoder.build((None, 2, 3, 512))
    assert decoder.count_params() == 3_505_219
    assert decoder(tf.zeros([1, 2, 3, 512])).shape == (1, 16, 24, 3)


@pytest.mark.long
def test_the_encoder_of_the_paper():
    """The first convolution of the code's VGG-19, 1 x 1 with 12 weights, is a layer without weights here."""
    network = tfgen.features.vgg19(None, tfgen.models.translation.adain.VGG19_LAYERS)
    assert network.network.count_params() == 3_505_740 - 12
    model = AdaINStyleTransfer(image_shape=(32, 32, 3), feature_network=network)
    assert model.count_params() == 3_505_219 + 2  # the counters of steps
    assert [maps.shape[1:] for maps in model.features(tf.zeros([1, 32, 32, 3]))] == [
        (32, 32, 64), (16, 16, 128), (8, 8, 256), (4, 4, 512)
    ]  # fmt: skip


def test_the_decoder_mirrors_borders_and_is_linear_at_its_end(model):
    first, last = model.decoder.convs[0], model.decoder.last
    x = tf.constant(RNG.random((1, 4, 6, 6), dtype="float32"))
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], "reflect")
    shapes = [conv.kernel.shape for conv in (*model.decoder.convs, last)]
    assert shapes == [(3, 3, 6, 6), (3, 3, 6, 5), (3, 3, 5, 4), (3, 3, 4, 3)]
    h = np.maximum(tf.nn.conv2d(padded, first.kernel.value, 1, "VALID"), 0).repeat(2, 1).repeat(2, 2)
    for conv in (*model.decoder.convs[1:], last):
        h = tf.nn.conv2d(np.pad(h, [(0, 0), (1, 1), (1, 1), (0, 0)], "reflect"), conv.kernel.value, 1, "VALID").numpy()
        h = h if conv is last else np.maximum(h, 0)
    np.testing.assert_allclose(model.decode(x), h, atol=1e-5)
    assert np.min(h) < 0


# ---- losses


def test_losses_in_closed_form():
    model = made(style_weight=(0.5, 2.0), variation_weight=3.0)
    content, style = deepest(model, IMAGES), model.features(tf.constant(STYLES))
    target = adain(content, style[-1].numpy())
    image = model.decode(tf.constant(target, tf.float32))
    found = model.features(image)
    content_loss = np.mean((found[-1].numpy() - target) ** 2)
    style_loss = 0.0
    for weight, a, b in zip((0.5, 2.0), found, style, strict=True):
        for one, other in zip(moments(a.numpy()), moments(b.numpy()), strict=True):
            style_loss += weight * np.sum((one - other) ** 2) / 2
    losses = model.losses_of(tf.constant(IMAGES), tf.constant(STYLES))
    assert float(losses["content_loss"]) == pytest.approx(content_loss, rel=1e-3)
    assert float(losses["style_loss"]) == pytest.approx(style_loss, rel=1e-3)
    variation = 3.0 * float(tfgen.losses.total_variation(image))
    assert float(losses["loss"]) == pytest.approx(content_loss + style_loss + variation, rel=1e-3)
    model.compile()
    assert model.evaluate(BATCH, verbose=0, return_dict=True)["style_loss"] == pytest.approx(style_loss, rel=1e-3)


def test_only_the_decoder_is_trained():
    model = made()
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    assert [v.path.split("/")[0] for v in model.trainable_variables] == ["decoder"] * 8
    assert not [key for key in model.state() if "features" in key or "relu" in key]
    before, encoder = model.decoder.get_weights(), fingerprint(model.encoder.network)
    model.fit(tf.data.Dataset.from_tensors(BATCH), verbose=0)
    assert all(np.any(a != b) for a, b in zip(before, model.decoder.get_weights(), strict=True))
    assert fingerprint(model.encoder.network) == encoder == model.encoder.fingerprint


def test_no_gradient_reaches_the_encoder_and_none_the_target(model):
    images = tf.constant(IMAGES)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(images)
        losses = model.losses_of(images, tf.constant(STYLES))
    assert tape.gradient(losses["loss"], images) is None
    weights = [v.value for v in model.decoder.trainable_variables]
    for name in ("content_loss", "style_loss"):
        assert all(g is not None and np.any(g) for g in tape.gradient(losses[name], weights))
    assert all(not v.trainable for v in model.encoder.network.variables)


# ---- strength


def test_strength(model):
    content, target = deepest(model, IMAGES), adain(deepest(model, IMAGES), deepest(model, STYLES))
    for alpha in (0.0, 0.25, 1.0):
        found = model.translate(**BATCH, alpha=[alpha] * 2)["image"]
        np.testing.assert_allclose(found, decoded(model, (1 - alpha) * content + alpha * target), atol=2e-5)
    np.testing.assert_array_equal(model.translate(**BATCH, alpha=[1.0] * 2)["image"], model.translate(**BATCH)["image"])
    rows = model.translate(**BATCH, alpha=[0.0, 1.0])["image"]
    np.testing.assert_allclose(rows[0], decoded(model, content)[0], atol=2e-5)
    np.testing.assert_allclose(rows[1], decoded(model, target)[1], atol=2e-5)
    # alpha 0 is the reconstruction, whatever the style
    plain = model.translate(image=IMAGES, style=OTHERS, alpha=[0.0] * 2)["image"]
    np.testing.assert_allclose(plain, decoded(model, content), atol=2e-5)
    assert np.abs(plain - model.translate(**BATCH)["image"]).max() > 1e-3


# ---- regions


def seen_by_decoder(model, **given):
    """The maps that `translate` decodes."""
    seen, decode = [], model.decode
    object.__setattr__(model, "decode", lambda maps: (seen.append(maps.numpy()), decode(maps))[1])
    try:
        model.translate(**given)
    finally:
        object.__setattr__(model, "decode", decode)
    return seen[0]


def test_masks_of_ones_are_no_masks(model, regions):
    ones = np.ones((2, 8, 12), "float32")
    expected = model.translate(**BATCH)["image"]
    np.testing.assert_allclose(regions.translate(**BATCH)["image"], expected, atol=1e-6)
    np.testing.assert_allclose(regions.translate(**BATCH, mask=ones)["image"], expected, atol=2e-5)
    found = regions.translate(**BATCH, mask=ones, style_2=OTHERS, mask_2=0 * ones)["image"]
    np.testing.assert_allclose(found, expected, atol=2e-5)
    found = regions.translate(**BATCH, mask=0 * ones, style_2=OTHERS, mask_2=ones)["image"]
    np.testing.assert_allclose(found, model.translate(image=IMAGES, style=OTHERS)["image"], atol=2e-5)
    found = regions.translate(**BATCH, mask=0 * ones)["image"]
    np.testing.assert_allclose(found, model.translate(**BATCH, alpha=[0.0] * 2)["image"], atol=2e-5)


def test_regions_have_styles_of_their_own(regions):
    """Above and below: statistics of the content's region, and of the whole style."""
    upper = np.zeros((2, 8, 12), "float32")
    upper[:, :4] = 1.0
    content, first, second = (deepest(regions, images) for images in (IMAGES, STYLES, OTHERS))
    above, below = adain(content, first, slice(2)), adain(content, second, slice(2, None))
    given = {**BATCH, "mask": upper, "style_2": OTHERS, "mask_2": 1 - upper}
    found = seen_by_decoder(regions, **given)
    np.testing.assert_allclose(found[:, :2], above[:, :2], atol=1e-4)
    np.testing.assert_allclose(found[:, 2:], below[:, 2:], atol=1e-4)
    half = seen_by_decoder(regions, **given, alpha=[0.5] * 2)
    np.testing.assert_allclose(half, (content + found) / 2, atol=1e-4)
    alone = seen_by_decoder(regions, **BATCH, mask=upper)
    np.testing.assert_allclose(alone[:, :2], above[:, :2], atol=1e-4)
    np.testing.assert_allclose(alone[:, 2:], content[:, 2:], atol=1e-4)


def test_constant_masks_mix_styles(regions):
    content, first, second = (deepest(regions, images) for images in (IMAGES, STYLES, OTHERS))
    mixed = 0.25 * adain(content, first) + 0.75 * adain(content, second)
    for scale in (1.0, 4 / 3):  # a sum above 1 is divided by it
        masks = {name: np.full((2, 8, 12), w * scale, "float32") for name, w in (("mask", 0.25), ("mask_2", 0.75))}
        found = seen_by_decoder(regions, **BATCH, style_2=OTHERS, **masks)
        np.testing.assert_allclose(found, mixed, atol=1e-4)


def test_hard_masks_stay_hard(regions):
    """At the size of the maps a mask has values of its pixels, and no means of them."""
    mask = RNG.integers(0, 2, (2, 8, 12)).astype("float32")
    small = regions._small(tf.constant(mask), tf.zeros([2, 4, 6, 1]))
    assert small.shape == (2, 4, 6, 1) and set(np.unique(small)) == {0.0, 1.0}


def test_a_style_without_its_mask(regions):
    for alone in ({"style_2": OTHERS}, {"mask_2": np.ones((2, 8, 12), "float32")}):
        with pytest.raises(ValueError, match="takes style_2 and mask_2 together; received one of them"):
            regions.translate(**BATCH, **alone)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"mask must lie in \[0, 1\]"):
        regions.translate(**BATCH, mask=np.full((2, 8, 12), 1.5))
    with pytest.raises(ValueError, match="translate takes image, style, alpha, mask, style_2, mask_2; received .*mask_3"):
        regions.translate(**BATCH, mask_3=np.ones((2, 8, 12)))


# ---- colours


def test_colours_have_the_mean_and_covariance_of_the_content():
    style, content = RNG.random((2, 9, 7, 3)).astype("float32"), (RNG.random((2, 5, 6, 3)) ** 2 * 0.7).astype("float32")
    content[..., 2] = 0.5 * content[..., 0] + 0.3 * content[..., 2]
    found = match_colours(tf.constant(style), tf.constant(content)).numpy().reshape(2, -1, 3)
    for row, wanted in zip(found, content.reshape(2, -1, 3), strict=True):
        np.testing.assert_allclose(row.mean(0), wanted.mean(0), atol=1e-4)
        np.testing.assert_allclose(np.cov(row.T, bias=True), np.cov(wanted.T, bias=True), atol=2e-4)
    np.testing.assert_allclose(match_colours(tf.constant(style), tf.constant(style)), style, atol=1e-3)
    # The transform with the least change: colours that are alike but for scale and shift keep their order.
    np.testing.assert_allclose(match_colours(0.5 * style + 0.1, tf.constant(style)), style, atol=2e-3)
    for flat in (np.full_like(content, 0.4), content[..., :1].repeat(3, -1)):
        assert np.all(np.isfinite(match_colours(tf.constant(style), tf.constant(flat))))


def test_colours_are_preserved_on_demand(model):
    keeping = made(preserve_colour=True)
    expected = model.translate_rows(tf.constant(IMAGES), match_colours(tf.constant(STYLES), tf.constant(IMAGES)))["image"]
    np.testing.assert_allclose(keeping.translate(**BATCH)["image"], expected, atol=1e-5)
    assert np.abs(expected - model.translate(**BATCH)["image"]).max() > 1e-3


# ---- sizes


def test_any_size(model, tmp_path):
    free = made(any_size=True, regions=1)
    np.testing.assert_allclose(free.translate(**BATCH)["image"], model.translate(**BATCH)["image"], atol=1e-6)
    image, style = RNG.random((1, 9, 15, 3)).astype("float32"), RNG.random((1, 7, 5, 3)).astype("float32")
    whole = np.pad(image, [(0, 0), (0, 1), (0, 1), (0, 0)], "reflect")
    mask = RNG.integers(0, 2, (1, 9, 15)).astype("float32")
    given = {"image": image, "style": style, "mask": mask, "alpha": np.ones(1, "float32")}
    found = free.translate(**given)["image"]
    larger = np.pad(mask, [(0, 0), (0, 1), (0, 1)], "reflect")
    assert found.shape == (1, 9, 15, 3)
    np.testing.assert_allclose(found, free.translate(image=whole, style=style, mask=larger)["image"][:, :9, :15], atol=1e-6)
    exported = ExportedModel(export_saved_model(free, tmp_path))
    np.testing.assert_allclose(exported.ask("translate", given)["image"], found, atol=1e-5)
    del given["mask"], given["alpha"]  # an export has their defaults
    assert exported.missing("translate", given) == [] and exported.missing("translate", {"image": image}) == ["style"]
    np.testing.assert_allclose(exported.ask("translate", given)["image"], free.translate(**given)["image"], atol=1e-5)
    given["mask"] = mask
    for small in ({"image": image[:, :3]}, {"style": style[:, :, :3]}):
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"sides of {next(iter(small))} must be at least 4 pixels"):
            free.translate(**{**given, **small, "mask": mask[:, : small.get("image", image).shape[1]]})
    with pytest.raises(ValueError, match=r"made for images \[batch, 8, 12, 3\]"):
        model.translate(image=image, style=style)


def test_a_further_style_has_no_default(regions):
    defaults = {field.name: field.default for field in regions.translated_fields() if field.default is not None}
    assert defaults == {"alpha": 1.0, "mask": 1.0}


@pytest.mark.long
def test_served_for_images_of_several_sizes(tmp_path):
    """By both protocols; `translate` is the only verb, and the card says which sizes are free."""
    pytest.importorskip("grpc")
    from tfgen_serving.client import Client
    from tfgen_serving.server import main as server

    free = made(any_size=True)
    export_saved_model(free, tmp_path / "adain", warmup=False)
    flags = ["--model_name=adain", f"--model_base_path={tmp_path / 'adain'}", "--port=0", "--rest_api_port=0"]
    with server.start(flags) as to:
        for target in (f"127.0.0.1:{to.grpc_port}", f"http://127.0.0.1:{to.rest_port}"):
            with Client(target, "adain") as client:
                inputs = client.signatures()["translate"]["inputs"]
                assert inputs["style"]["shape"] == [None, None, None, 3] and inputs["alpha"]["high"] == 1.0
                for side in (8, 11):
                    image, style = (RNG.random((2, *size, 3), dtype="float32") for size in ((side, 10), (6, side)))
                    found = client.translate(image, style=style, alpha=[0.3, 1.0])
                    expected = free.translate(image=image, style=style, alpha=[0.3, 1.0])["image"]
                    np.testing.assert_allclose(found, expected, atol=1e-5)
                with pytest.raises(Exception, match="alpha"):
                    client.translate(image, style=style)


# ---- settings


def test_fields(model, regions):
    assert [field.name for field in model.batch_fields()] == ["image", "style"]
    assert [field.name for field in regions.translated_fields()] == ["image", "style", "alpha", "mask", "style_2", "mask_2"]
    with pytest.raises(ValueError, match="needs the field 'style' in its batches"):
        model.as_batch({"image": IMAGES})


def test_the_config_has_the_encoder_by_its_fingerprint(model):
    config = json.loads(json.dumps(model.get_config()))
    again = AdaINStyleTransfer.from_config(config)
    again.decoder.set_weights(model.decoder.get_weights())
    np.testing.assert_array_equal(again.translate(**BATCH)["image"], model.translate(**BATCH)["image"])
    config["feature_network"]["fingerprint"] = "another"
    with pytest.raises(ValueError, match="needs its feature_network, which is missing: random_conv now has the fingerprint"):
        AdaINStyleTransfer.from_config(config)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_shape": (9, 12, 3)}, r"'relu_1' .* must have maps of 1/2 of the sides of image_shape, 9 x 12"),
        ({"decoder_filters": ((4,), (4,), (4,))}, "With 3 groups of decoder_filters"),
        ({"decoder_filters": ((4,), ())}, "^decoder_filters must be"),
        ({"image_shape": (2, 12, 3)}, "at least 2 x 2"),
        ({"image_shape": (8, 12, 1)}, r"must take images \(None, None, 1\); received one whose input is"),
        ({"style_weight": (1.0,)}, r"one for each of \('relu_0', 'relu_1'\); received \(1.0,\)"),
        ({"style_weight": -1.0}, "^style_weight must be"),
        ({"regions": 17}, r"^regions must be an integer in \[0, 16\]; received 17"),
        ({"feature_network": "vgg"}, "feature_network must be inception_v3, vgg16, vgg19"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        AdaINStyleTransfer(**{**SMALL, **settings})


def test_any_size_needs_an_encoder_of_any_size():
    fixed = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, 2, "same")])
    given = {"image_shape": (8, 8, 1), "feature_network": fixed, "decoder_filters": ((4,), (4,))}
    AdaINStyleTransfer(**given)
    with pytest.raises(ValueError, match=r"any_size needs a feature_network of .*\(None, None, 1\); received .*\(8, 8, 1\)"):
        AdaINStyleTransfer(**given, any_size=True)
    with pytest.raises(ValueError, match=r"feature_network must take images \(16, 16, 1\); received .*\(8, 8, 1\)"):
        AdaINStyleTransfer(**{**given, "image_shape": (16, 16, 1)})


def test_presets():
    for name in ("vgg19-code", "photos-128", "mnist-textures", "digits-textures"):
        tfgen.presets.get(f"adain/{name}").check()
    spec = tfgen.presets.get("adain/vgg19-code").compile_args["optimizer"]["config"]["learning_rate"]
    rate = keras.saving.deserialize_keras_object(spec)
    found = [float(rate(step)) for step in (0, 20_000, 80_000, 160_000)]
    assert found == pytest.approx([1e-4, 5e-5, 2e-5, 1.1111e-5], rel=1e-4)
    tfgen.presets.get("adain/mnist-textures").build()


def test_masks_must_have_the_size_of_the_image():
    model = made(regions=1, any_size=True)
    for height, width in ((7, 50), (1, 1)):
        given = {"image": np.zeros([1, 20, 32, 3], "f"), "style": np.zeros([1, 16, 16, 3], "f")}
        with pytest.raises(tf.errors.InvalidArgumentError, match=rf"mask must have the sides of image.*{height}.*{width}"):
            model.translate(**given, mask=np.ones([1, height, width], "f"))
