"""DCGAN's networks as published, its training step, and what the paper does with it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import losses, sampling
from tfgen.models import DCGAN

TINY = {"image_shape": (8, 8, 1), "width": 4, "stages": 1, "latent_dim": 3}


def trainable(network):
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


def test_official_parameter_counts_at_64():
    model = DCGAN(image_shape=(64, 64, 3))
    assert trainable(model.generator) == 18_885_760
    assert trainable(model.discriminator) == 17_232_768


def test_parameter_counts_at_32_and_28_from_their_layer_tables():
    def bn(n):
        return 2 * n

    model = DCGAN(image_shape=(32, 32, 3), width=128)
    assert trainable(model.generator) == (
        100 * 16 * 512 + bn(16 * 512) + 25 * (512 * 256 + 256 * 128 + 128 * 3) + bn(256 + 128)
    )
    assert trainable(model.discriminator) == 25 * (3 * 128 + 128 * 256 + 256 * 512) + bn(256 + 512) + 16 * 512

    # The code's MNIST network: conditional, labels joined to the input of every layer (batch norm affine here).
    model = DCGAN(image_shape=(28, 28, 1), width=64, dense_width=1024, num_classes=10)
    assert trainable(model.generator) == (
        110 * 1024 + bn(1024) + 1034 * 128 * 49 + bn(128 * 49) + 25 * (138 * 64 + 74 * 1) + bn(64)
    )
    assert trainable(model.discriminator) == (25 * (11 * 64 + 74 * 128) + bn(128) + (128 * 49 + 10) * 1024 + bn(1024) + 1034)


@pytest.mark.parametrize(
    ("shape", "stages"), [((64, 64, 3), 4), ((32, 32, 3), 3), ((28, 28, 1), 2), ((8, 8, 1), 1), ((16, 24, 1), 2)]
)
def test_output_shape_and_range(shape, stages):
    model = DCGAN(image_shape=shape, width=2, latent_dim=5)
    assert len(model.discriminator.convs) == len(model.generator.deconvs) == stages
    raw = model.generate_raw(10.0 * tf.random.stateless_normal([4, 5], [0, 1]), training=True)
    assert raw.shape == (4, *shape) and float(tf.reduce_max(tf.abs(raw))) <= 1.0
    images = model.sample(2)
    assert float(tf.reduce_min(images)) >= 0 and float(tf.reduce_max(images)) <= 1
    assert model.logits(raw).shape == (4,)


def test_guidelines_of_the_paper():
    model = DCGAN(image_shape=(32, 32, 3), width=4)
    norms = [
        layer.name for layer in model.discriminator._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert len(norms) == 2, "no batch norm at D's input layer"
    assert len(model.generator.norms) == len(model.generator.deconvs) - 1, "nor at G's output"
    assert not any(isinstance(layer, keras.layers.Pooling) if hasattr(keras.layers, "Pooling") else "pool" in layer.name
                   for layer in model._flatten_layers())  # fmt: skip
    kernels = [v.numpy() for v in model.trainable_variables if len(v.shape) > 1]
    for kernel in kernels:
        assert kernel.std() == pytest.approx(0.02, rel=0.25)


def test_features_are_pooled_to_a_grid_of_four():
    model = DCGAN(image_shape=(64, 64, 3), width=8)
    images = np.random.default_rng(0).random((2, 64, 64, 3), dtype="float32")
    features = model.features(images)
    assert features.shape == (2, 16 * (8 + 16 + 32 + 64))
    first = model.discriminator.maps(2 * images - 1)[0].numpy()  # [2, 32, 32, 8]
    expected = first.reshape(2, 4, 8, 4, 8, 8).max(axis=(2, 4))
    np.testing.assert_allclose(features[:, : 16 * 8], expected.reshape(2, -1), rtol=1e-6)


def test_which_loss_moves_which_network():
    model = DCGAN(**TINY)
    model.compile()
    real = 2 * np.random.default_rng(0).random((4, 8, 8, 1), dtype="float32") - 1

    def moved(step):
        before = [[v.numpy() for v in network.trainable_variables] for network in (model.generator, model.discriminator)]
        step()
        after = [[v.numpy() for v in network.trainable_variables] for network in (model.generator, model.discriminator)]
        return [any(np.any(a != b) for a, b in zip(x, y, strict=True)) for x, y in zip(before, after, strict=True)]

    assert moved(lambda: model.update_discriminator({"raw": tf.constant(real)}, stream=0)) == [False, True]
    assert moved(lambda: model.update_generator({"raw": tf.constant(real)})) == [True, False]


def test_training_keeps_real_and_fake_apart_in_batch_norm():
    """One joint batch would tell real from fake by its statistics."""
    model = DCGAN(**{**TINY, "stages": 2})
    real = tf.constant(np.random.default_rng(0).random((4, 8, 8, 1), dtype="float32"))
    batches = []
    model.discriminate = lambda x, one_hot=None, training=False: (
        batches.append(x.shape[0]) or DCGAN.discriminate(model, x, one_hot, training)
    )
    model.compile(run_eagerly=True)
    model.update_discriminator({"raw": real}, stream=0)
    assert batches == [4, 4]


@pytest.mark.parametrize("objective", sorted(losses.OBJECTIVES))
@pytest.mark.parametrize("penalty", [None, *losses.PENALTIES])
def test_axes_are_independent(objective, penalty):
    model = DCGAN(**TINY, objective=objective, penalty=penalty, regularizer="l2")
    model.compile(run_eagerly=True)
    logs = model.train_step({"image": tf.constant(np.random.default_rng(0).random((4, 8, 8, 1), dtype="float32"))})
    assert all(np.isfinite(float(v)) for v in logs.values())


def test_labels_steer_and_are_checked():
    model = DCGAN(**TINY, num_classes=3)
    a, b = (model.sample(2, labels=np.array(labels)) for labels in ([0, 1], [0, 2]))
    np.testing.assert_array_equal(a[0], b[0])
    assert np.any(a[1].numpy() != b[1].numpy())
    with pytest.raises(ValueError, match="conditional"):
        model.sample(2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="must lie in"):
        model.sample(2, labels=[0, 3])
    with pytest.raises(ValueError, match="takes no labels"):
        DCGAN(**TINY).sample(2, labels=[0, 1])
    model.compile()
    bad = {"image": np.zeros((2, 8, 8, 1), "float32"), "label": np.array([0, 7])}
    with pytest.raises(tf.errors.InvalidArgumentError, match="must lie in"):
        model.fit(tf.data.Dataset.from_tensors(bad), verbose=0)


def test_interpolation_and_arithmetic_on_the_model():
    model = DCGAN(**TINY)
    path = sampling.interpolate(model, [1], [2], steps=9)
    assert path.shape == (1, 9, 8, 8, 1)
    np.testing.assert_allclose(path[0, 0], model.generate([1])[0], atol=1e-6)
    np.testing.assert_allclose(path[0, -1], model.generate([2])[0], atol=1e-6)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"stages": 4}, "multiples of 16"),
        ({"objective": "l1"}, "objective must be"),
        ({"penalty": "gp"}, "penalty must be"),
        ({"latent_distribution": "cauchy"}, "latent_distribution"),
        ({"latent_dim": 0}, "latent_dim must be an integer >= 1; received 0"),
        ({"regularizer": "l1"}, "regularizer must be"),
    ],
)
def test_bad_arguments(bad, message):
    with pytest.raises(ValueError, match=message):
        DCGAN(**{**TINY, **bad})
