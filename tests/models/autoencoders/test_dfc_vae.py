"""DFC-VAE: what is compared, who learns, and what a saved model needs."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen.features.preprocessing import VGGInput
from tfgen.models import DFCVAE
from tfgen.models.autoencoders import dfc_vae_presets
from tfgen.models.autoencoders.dfc_vae import ReplicationPadding

layers = keras.layers
SMALL = {"image_shape": (8, 8, 1), "latent_dim": 3, "width": 4, "stages": 2}


def phi(shape=(8, 8, 1)):
    """Two convolutions and a dense layer behind them, named; the second is of stride 2."""
    keras.utils.set_random_seed(7)
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv2D(3, 3, activation="tanh", name="first"),
            layers.BatchNormalization(name="norm"),
            layers.Conv2D(5, 3, strides=2, name="second"),
            layers.Flatten(name="flat"),
            layers.Dense(2, name="logits"),
        ]
    )


def images(count=6, shape=(8, 8, 1), seed=0):
    return np.random.default_rng(seed).random((count, *shape)).astype("float32")


def fitted(model, steps=3):
    model.compile(keras.optimizers.SGD(1e-3), ema_decay=0.9)
    model.fit(tf.data.Dataset.from_tensors(images()).repeat(), steps_per_epoch=steps, verbose=0)
    return model


# ---- the loss


def test_feature_loss_is_half_the_mean_square_of_each_layer():
    network = phi()
    model = DFCVAE(**SMALL, feature_network=network, feature_layers=("first", "second"))
    a, b = images(4), images(4, seed=1)
    expected = np.zeros(4)
    for name in ("first", "second"):
        part = keras.Model(network.inputs[0], network.get_layer(name).output)
        difference = part(a, training=False).numpy() - part(b, training=False).numpy()
        expected += (difference**2).sum(axis=(1, 2, 3)) / (2 * np.prod(difference.shape[1:]))
    np.testing.assert_allclose(model.feature_loss(a, b), expected, rtol=1e-5)
    np.testing.assert_array_equal(model.feature_loss(a, a), np.zeros(4))


def test_without_features_it_is_half_the_squared_error_of_pixels():
    model = DFCVAE(**SMALL, feature_weight=2.0 * 64)
    a, b = images(4), images(4, seed=1)
    squared = ((a - b) ** 2).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(model.feature_loss(a, b), 0.5 * squared / 64, rtol=1e-5)
    noise = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    terms = {name: float(value) for name, value in model.losses_of(a, noise).items()}
    posterior = model.encode(a)
    outputs = model.decode_raw(posterior.mean() + posterior.stddev() * noise).numpy()
    mean, variance = posterior.mean().numpy(), posterior.variance().numpy()
    kl = 0.5 * (variance + mean**2 - 1 - np.log(variance)).sum(axis=1).mean()
    assert terms["kl"] == pytest.approx(kl, rel=1e-4)
    assert terms["loss"] == pytest.approx(kl + ((a - outputs) ** 2).sum(axis=(1, 2, 3)).mean(), rel=1e-4)


def test_gradients_pass_through_the_features_to_the_decoder_but_not_into_them_or_the_target():
    model = DFCVAE(**SMALL, feature_network=phi(), feature_layers=("second",), kl_weight=0.0)
    network, target, outputs = model.feature_network.network, tf.constant(images(2)), tf.constant(images(2, seed=1))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([target, outputs])
        tape.watch([v.value for v in network.variables])
        apart = tf.reduce_sum(model.feature_loss(target, outputs))
        loss = model.losses_of(target, tf.zeros([2, 3]), training=True)["loss"]
    assert tape.gradient(apart, target) is None
    assert np.all(tape.gradient(apart, outputs).numpy()[:, 1:-1, 1:-1] != 0)
    # All of the decoder learns. (A convolution's bias before batch norm has no effect, and so no gradient but rounding.)
    for variable in model.decoder.trainable_variables:
        gradient = tape.gradient(loss, variable.value).numpy()
        if variable.name == "kernel":
            assert np.any(np.abs(gradient) > 1e-7), variable.path
    learning = {id(v) for v in model.trainable_variables}
    assert not learning & {id(v) for v in network.variables} and not network.trainable_variables
    assert learning == {id(v) for v in model.encoder.trainable_variables + model.decoder.trainable_variables}


def test_training_moves_the_model_and_leaves_the_features_and_the_user_network_alone():
    network = phi()
    network.get_layer("norm").moving_mean.assign([0.3, -0.2, 0.1])
    given = [v.copy() for v in network.get_weights()]
    model = DFCVAE(**SMALL, feature_network=network)
    before = [v.numpy() for v in model.feature_network.network.variables]
    kernel = model.decoder.layers[0].kernel.numpy()
    fitted(model)
    for a, b in zip(before, model.feature_network.network.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(given, network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert network.trainable and len(network.trainable_variables) == 8
    assert np.any(kernel != model.decoder.layers[0].kernel.numpy())
    fixed = {id(v) for v in model.feature_network.network.variables}
    assert not fixed & {id(v) for v in [*model.variables, *model.state().values()]}
    assert len(model.ema.shadows) == len(model.encoder.weights) + len(model.decoder.weights)


def test_it_reconstructs_what_the_features_see():
    """Phi sees the mean of the upper half alone: it comes back, while the lower half is free."""
    x = inputs = keras.Input((8, 8, 1))
    x = layers.Cropping2D(((0, 4), (0, 0)))(x)
    network = keras.Model(inputs, layers.AveragePooling2D((4, 8), name="mean")(x))
    keras.utils.set_random_seed(0)
    model = DFCVAE(**SMALL, feature_network=network, feature_weight=3000.0)
    model.compile(keras.optimizers.Adam(3e-3), steps_per_execution=50)
    brightness = np.linspace(0.1, 0.9, 32, dtype="float32")[:, None, None, None]
    bright = np.broadcast_to(brightness, (32, 8, 8, 1)).copy()
    model.fit(tf.data.Dataset.from_tensors(bright).repeat(), steps_per_epoch=200, verbose=0)
    again = model.decode_raw(model.encode(bright).mean()).numpy()
    assert np.abs(again[:, :4].mean(axis=(1, 2, 3)) - bright[:, 0, 0, 0]).mean() < 0.1
    assert np.abs(again - bright).mean() > 0.2  # the pixels themselves were never asked for


# ---- the network


def test_replication_padding_keeps_constants_constant():
    maps = np.full((1, 4, 5, 2), 0.7, "float32")
    padded = ReplicationPadding()(maps)
    assert padded.shape == (1, 6, 7, 2)
    averaging = layers.Conv2D(1, 3, kernel_initializer=keras.initializers.Constant(1 / 18))
    np.testing.assert_allclose(averaging(padded), np.full((1, 4, 5, 1), 0.7), rtol=1e-6)
    rising = np.arange(12, dtype="float32").reshape(1, 3, 4, 1)
    np.testing.assert_array_equal(ReplicationPadding()(rising)[0, :, :, 0], np.pad(rising[0, :, :, 0], 1, "edge"))


def test_network_of_the_paper():
    model = DFCVAE(image_shape=(64, 64, 3))
    convolutions = [layer for layer in model.encoder.layers if isinstance(layer, layers.Conv2D)]
    assert [(c.filters, c.kernel_size, c.strides) for c in convolutions] == [(n, (4, 4), (2, 2)) for n in (32, 64, 128, 256)]
    convolutions = [layer for layer in model.decoder.layers if isinstance(layer, layers.Conv2D)]
    assert [(c.filters, c.kernel_size, c.strides) for c in convolutions] == [(n, (3, 3), (1, 1)) for n in (128, 64, 32, 3)]
    assert isinstance(model.decoder.layers[-1], layers.Conv2D)  # neither batch norm nor activation behind the last
    assert model.decoder.layers[1].target_shape == (4, 4, 256)
    norms = [layer for layer in model._flatten_layers() if isinstance(layer, layers.BatchNormalization)]
    assert len(norms) == 4 + 3


# ---- the feature network by path and by name


def test_saved_models_hold_how_the_features_are_made_and_not_their_weights(tmp_path):
    network, path = phi(), tmp_path / "phi.keras"
    network.save(path)
    model = fitted(DFCVAE(**SMALL, feature_network=str(path), feature_layers=("second", "first")))
    a, b = images(4), images(4, seed=1)
    expected = model.feature_loss(a, b).numpy()
    np.testing.assert_array_equal(
        DFCVAE(**SMALL, feature_network=network, feature_layers=["second", "first"]).feature_loss(a, b), expected
    )
    without = DFCVAE(**SMALL)
    assert [v.shape for v in model.variables] == [v.shape for v in without.variables]
    model.save(tmp_path / "model.keras")
    tfgen.training.Checkpoints(model, tmp_path / "checkpoints").save()
    config = json.loads(json.dumps(model.get_config()))
    assert config["feature_network"]["fingerprint"] == model.feature_network.fingerprint

    def restored():
        twin = DFCVAE.from_config(config)
        assert twin.get_config() == config
        twin.compile(keras.optimizers.SGD(1e-3), ema_decay=0.9)
        tfgen.training.Checkpoints(twin, tmp_path / "checkpoints").restore()
        return keras.saving.load_model(tmp_path / "model.keras", compile=False), twin

    for found in restored():
        np.testing.assert_array_equal(found.feature_loss(a, b), expected)
        np.testing.assert_array_equal(found.reconstruct(a), model.reconstruct(a))

    def check_missing(reason):
        for found in restored():
            np.testing.assert_array_equal(found.reconstruct(a), model.reconstruct(a))
            with pytest.raises(ValueError, match=f"{model.feature_network.fingerprint} is missing: {reason}"):
                found.feature_loss(a, b)

    other = phi()
    other.set_weights([1.001 * w for w in other.get_weights()])
    other.save(path)
    changed = DFCVAE(**SMALL, feature_network=str(path), feature_layers=("second", "first")).feature_network.fingerprint
    assert changed != model.feature_network.fingerprint
    check_missing(f"from_keras now has the fingerprint {changed}")
    path.unlink()
    check_missing(f"feature_network must be the path of a .keras file that exists; received '{path}'")


@pytest.mark.parametrize("channels", [1, 3])
def test_vgg19_by_name(channels, monkeypatch):
    """The whole way but for the download: the same constructor, with random weights."""
    build = keras.applications.VGG19
    monkeypatch.setattr(keras.applications, "VGG19", lambda **settings: build(**{**settings, "weights": None}))
    shape = (32, 32, channels)
    names = ("block1_conv1", "block2_conv1", "block3_conv1")
    model = DFCVAE(image_shape=shape, latent_dim=2, width=2, stages=2, feature_network="vgg19", feature_layers=names)
    given = images(1, shape)
    maps = model.features(given)
    assert [tuple(m.shape) for m in maps] == [(1, 32, 32, 64), (1, 16, 16, 128), (1, 8, 8, 256)]
    kernel, bias = model.feature_network.network.get_weights()[:2]
    inputs = VGGInput()(given.repeat(3 // channels, axis=-1))
    expected = tf.nn.relu(tf.nn.conv2d(inputs, kernel, 1, "SAME") + bias)  # relu1_1: behind the activation
    np.testing.assert_allclose(maps[0], expected, rtol=1e-4, atol=1e-3)
    assert max(model.feature_network.network.count_params(), 1) < 2_000_000  # nothing behind the last of the layers is kept
    assert DFCVAE.from_config(json.loads(json.dumps(model.get_config()))).get_config() == model.get_config()


def test_vgg19_needs_32_pixels():
    with pytest.raises(ValueError, match=r"32 pixels or more with 1 or 3 channels; received \(28, 28, 1\)"):
        DFCVAE(image_shape=(28, 28, 1), stages=2, feature_network="vgg19")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"stages": 4}, r"multiples of 2\*\*stages = 16; received \(8, 8, 1\)"), ({"width": 0}, "width must be"),
        ({"latent_dim": 1.5}, "latent_dim must be an integer >= 1; received 1.5"),
        ({"feature_network": "no/such.keras"}, "path of a .keras file that exists; received 'no/such.keras'"),
        ({"feature_network": 3}, "received 3"),
        ({"feature_network": phi, "feature_layers": ("third",)}, r"some of \[.*'first'.*received \('third',\)"),
        ({"feature_network": phi, "feature_layers": ()}, "feature_layers must be some of"),
        ({"feature_network": lambda: phi((8, 8, 3))}, r"images \(8, 8, 1\); received one whose input is \(8, 8, 3\)"),
        ({"feature_network": lambda: keras.Sequential([layers.Flatten()])}, "sequential model with one known input"),
        ({"feature_layers": ("first",)}, "feature_layers names layers of feature_network, which is None"),
    ],
)  # fmt: skip
def test_bad_arguments(bad, message):
    bad = {name: value() if callable(value) else value for name, value in bad.items()}
    with pytest.raises(ValueError, match=message):
        DFCVAE(**{**SMALL, **bad})


def test_presets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where no classifier of the reproduction lies
    presets = {preset.name: preset for preset in dfc_vae_presets.PRESETS}
    model = presets["dfc-vae/fashion-mnist-pixels"].build()
    assert model.reconstruct(images(1, (28, 28, 1))).shape == (1, 28, 28, 1)
    with pytest.raises(ValueError, match="path of a .keras file that exists"):
        presets["dfc-vae/fashion-mnist"].build()
    paper = presets["dfc-vae/celeba-123-paper"]
    rate = keras.optimizers.get(json.loads(json.dumps(paper.compile_args["optimizer"]))).learning_rate
    epoch = 202_599 // 64
    schedule = keras.optimizers.schedules.deserialize(paper.compile_args["optimizer"]["config"]["learning_rate"])
    rates = [float(schedule(step)) for step in (0, epoch - 1, epoch, 3 * epoch)]
    np.testing.assert_allclose(rates, [5e-4, 5e-4, 2.5e-4, 6.25e-5], rtol=1e-6)
    assert float(rate) == pytest.approx(5e-4) and paper.steps == 5 * epoch
