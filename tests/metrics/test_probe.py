"""Linear probes: what they fit and see, and that the discriminator stays as it is."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.seeds import set_seed
from tfgen import metrics
from tfgen.metrics._checks import standardized
from tfgen.models import DCGAN, SNGAN, SSGAN, VAE
from tfgen.training import Checkpoints

RNG = np.random.default_rng(0)
IMAGES = RNG.random((6, 8, 8, 1), dtype="float32")
RESNET = {"image_shape": (8, 8, 1), "network": "resnet", "width": 4, "latent_dim": 3}


@pytest.fixture(scope="module")
def critic():
    """Not trained; tests do not change it."""
    set_seed(0)
    return SSGAN(**RESNET)


def blobs(size, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, size)
    return rng.normal(size=(size, 5)) + 8.0 * np.eye(5)[labels], labels


# ---- the classifier


def test_separable_classes_and_labels_without_meaning():
    assert metrics.linear_probe(*blobs(90), *blobs(60, seed=1)) == (1.0, 1.0)
    noise, labels = RNG.normal(size=(40, 100)), RNG.integers(0, 2, 40)
    probe = metrics.linear_probe(noise, labels, RNG.normal(size=(500, 100)), RNG.integers(0, 2, 500))
    assert probe.train == 1.0 and abs(probe.test - 0.5) < 0.1 and probe.gap == probe.train - probe.test


def test_scales_of_features_do_not_matter():
    train, labels = blobs(60)
    train = train + RNG.normal(size=train.shape) * 3
    test, test_labels = train + RNG.normal(size=train.shape), labels
    plain = metrics.linear_probe(train, labels, test, test_labels)
    scale, shift = np.array([1e-3, 1.0, 50.0, 7.0, 1.0]), np.array([0.0, 9.0, -3.0, 0.0, 2.0])
    assert metrics.linear_probe(train * scale + shift, labels, test * scale + shift, test_labels) == plain
    assert plain.test < 1.0


def test_a_larger_penalty_fits_less_closely():
    noise, labels = RNG.normal(size=(60, 40)), RNG.integers(0, 2, 60)
    loose, tight = (metrics.linear_probe(noise, labels, noise, labels, penalty=p).train for p in (1e-3, 1e4))
    assert loose == 1.0 and tight < 0.95


# ---- the features


def test_features_are_the_means_of_the_positive_parts_of_a_layers_output(critic):
    x = 2.0 * IMAGES - 1.0
    inner = critic.discriminator.discriminator
    maps = inner.blocks[1](inner.blocks[0](x)).numpy()
    expected = np.maximum(maps, 0).mean((1, 2))
    for name in ("block_1", "discriminator/block_1"):
        found = metrics.critic_features(critic, name, IMAGES, batch_size=4)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert maps.min() < 0 and found.dtype == np.float32
    outputs = critic.discriminate(x)
    np.testing.assert_allclose(metrics.critic_features(critic, "features", IMAGES), outputs["features"], atol=1e-6)
    np.testing.assert_allclose(metrics.critic_features(critic, "rotation", IMAGES), np.maximum(outputs["rotation"], 0),
                               atol=1e-6)  # fmt: skip


def test_labels_do_not_reach_features():
    set_seed(0)
    model = DCGAN(image_shape=(8, 8, 1), latent_dim=3, width=4, stages=1, num_classes=3)  # labels join the images
    found = metrics.critic_features(model, "features", IMAGES)
    np.testing.assert_allclose(found, model.discriminate(2.0 * IMAGES - 1.0, np.zeros((6, 3), "float32"))["features"])
    one_hot = model.discriminate(2.0 * IMAGES - 1.0, np.eye(3, dtype="float32")[[0, 1, 2, 0, 1, 2]])["features"]
    assert np.abs(found - one_hot).max() > 1e-3


def test_a_layer_is_found_by_its_name(critic):
    names = metrics.critic_layers(critic)
    assert {"features", "rotation", "discriminator/block_3/conv_1"} <= set(names)
    with pytest.raises(ValueError, match="layer must be one of features, .*discriminator/block_3.*; received 'block_9'"):
        metrics.critic_features(critic, "block_9", IMAGES)
    with pytest.raises(ValueError, match="layer must be one of discriminator/block_0/conv_0, .*; received 'conv_0'"):
        metrics.critic_features(critic, "conv_0", IMAGES)
    with pytest.raises(ValueError, match=r"'discriminator' must return one tensor .*; it returned \['dict'\]"):
        metrics.critic_features(critic, "discriminator", IMAGES)
    assert not any("call" in vars(layer) for layer in critic.discriminator._flatten_layers())


def test_networks_of_the_user():
    x = keras.Input((8, 8, 1))
    hidden = keras.layers.Conv2D(3, 3, name="maps")(x)
    model = DCGAN(image_shape=(8, 8, 1), latent_dim=3, width=4, stages=1, discriminator=keras.Model(
        x, keras.layers.Dense(1, name="last")(keras.layers.Flatten(name="flat")(hidden))))  # fmt: skip
    assert "features" not in metrics.critic_layers(model)
    kernel = np.array(model.discriminator.variables[0])
    raw = 2.0 * IMAGES - 1.0
    expected = np.maximum(tf.nn.conv2d(raw, kernel, 1, "VALID"), 0).mean((1, 2))
    np.testing.assert_allclose(metrics.critic_features(model, "maps", IMAGES), expected, atol=1e-5)
    with pytest.raises(ValueError, match="layer must be one of .*flat.*; received 'features'"):
        metrics.critic_features(model, "features", IMAGES)


def test_the_discriminator_does_not_change():
    model = SNGAN(**RESNET)
    model.compile(ema_decay=0.9)
    before = {key: keras.ops.convert_to_numpy(v).copy() for key, v in model.state().items()}
    metrics.critic_features(model, "block_0", IMAGES)
    for key, variable in model.state().items():
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), before[key])


# ---- models


@pytest.fixture(scope="module")
def digits():
    return tfgen.data.load("digits").take(300), tfgen.data.load("digits", "test").take(100)


def test_a_discriminator_that_forgets(digits):
    """One whose kernels are 0 knows nothing: the most frequent class is the best answer."""
    set_seed(0)
    model = SNGAN(**{**RESNET, "width": 16})
    probe = metrics.CriticProbe(["block_0", "features"], *digits, penalty=0.1)
    found = probe(model)
    assert list(found) == ["block_0", "features"] and found["features"].test > 0.5
    train, test = digits
    features = [metrics.critic_features(model, "block_0", one.images()) for one in digits]
    assert found["block_0"] == metrics.linear_probe(features[0], train.labels(), features[1], test.labels(), penalty=0.1)
    for variable in model.discriminator.trainable_variables:
        variable.assign(tf.zeros_like(variable.value))
    most_frequent = np.bincount(train.labels()).argmax()
    assert probe(model)["features"].test == np.mean(test.labels() == most_frequent)


def test_every_checkpoint_of_a_training(digits, tmp_path):
    probe, images = metrics.CriticProbe(["features"], *digits), digits[0].images()[:64]
    model = SNGAN(**{**RESNET, "network": "mlp"}, discriminator_steps=1)
    model.compile(ema_decay=0.9, run_eagerly=True)
    checkpoints, expected = Checkpoints(model, tmp_path, keep=3), []
    for _ in range(4):
        model.fit({"image": images}, batch_size=64, epochs=2, verbose=0)
        checkpoints.save()
        expected.append((int(model.step.value.numpy()), probe(model)))
    other = SNGAN(**{**RESNET, "network": "mlp"}, discriminator_steps=1)
    other.compile(ema_decay=0.9)
    assert list(metrics.probe_checkpoints(other, tmp_path, probe)) == expected[1:]
    assert len({found["features"] for _, found in expected}) > 1
    next(tmp_path.glob("ckpt-6.index")).write_bytes(b"damaged")
    found = metrics.probe_checkpoints(other, tmp_path, lambda model: None)
    assert next(found) == (4, None)
    with pytest.raises(ValueError, match="ckpt-6 cannot be probed"):
        next(found)
    with pytest.raises(ValueError, match="has no checkpoints"):
        next(metrics.probe_checkpoints(other, tmp_path / "none", probe))


def test_bad_arguments(critic, digits):
    features, labels = blobs(30)
    good = (features, labels, features, labels)
    for change, message in (
        ({"penalty": 0.0}, "penalty must be above 0"), ({"penalty": float("inf")}, "penalty"),
        ({"max_iterations": 0}, "max_iterations at least 1"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            metrics.linear_probe(*good, **change)
    with pytest.raises(ValueError, match="test_labels must be 30 integers"):
        metrics.linear_probe(features, labels, features, labels[:3])
    with pytest.raises(ValueError, match="at least 2 classes"):
        metrics.linear_probe(features, np.zeros(30, int), features, labels)
    with pytest.raises(ValueError, match="same number of features"):
        metrics.linear_probe(features, labels, features[:, :2], labels)
    with pytest.raises(ValueError, match="received VAE"):
        metrics.critic_layers(VAE(image_shape=(2, 2, 1), latent_dim=3, hidden=(4,)))
    with pytest.raises(ValueError, match="images must be of shape"):
        metrics.critic_features(critic, "features", IMAGES[:, :4])
    with pytest.raises(ValueError, match="batch_size"):
        metrics.critic_features(critic, "features", IMAGES, batch_size=0)
    with pytest.raises(ValueError, match="list of at least one name"):
        metrics.CriticProbe("features", *digits)
    unlabelled = tfgen.data.from_arrays(np.zeros((3, 8, 8, 1), np.uint8))
    with pytest.raises(ValueError, match="test, .*, has none"):
        metrics.CriticProbe(["features"], digits[0], unlabelled)


def test_a_constant_column_decides_nothing():
    """.1 is no float32, so the standard deviation of a column of it is 1e-17 and not 0."""
    train, test = np.full([1001, 1], 0.1), np.full([2, 1], 0.1 + 1e-6)
    assert train.std() > 0.0
    for found in standardized(train, test):
        np.testing.assert_allclose(found, 0.0, atol=1e-5)
