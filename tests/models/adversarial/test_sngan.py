"""SNGAN: what is normalised, when u moves, and the projection discriminator."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers.spectral_norm import SpectralNorm
from tfgen.models import SNGAN

CONV = {"image_shape": (8, 8, 1), "width": 4, "latent_dim": 3, "network_args": {"stages": 1}}
RESNET = {"image_shape": (8, 8, 1), "network": "resnet", "width": 4, "latent_dim": 3}
BATCH = {"image": np.random.default_rng(0).random((4, 8, 8, 1), dtype="float32"), "label": np.array([0, 1, 2, 0])}


def spectral_layers(model):
    return [layer for layer in model.discriminator._flatten_layers() if isinstance(layer, SpectralNorm)]


@pytest.mark.parametrize("args", [CONV, RESNET, {**CONV, "network": "mlp", "network_args": None}])
def test_every_weight_of_the_discriminator_is_normalised_and_none_of_the_generator(args):
    model = SNGAN(**args, num_classes=3)
    raw = {id(layer.raw_weight) for layer in spectral_layers(model)}
    kernels = [v for v in model.discriminator.trainable_variables if len(v.shape) > 1]
    assert {id(v) for v in kernels} == raw
    assert not any(isinstance(layer, SpectralNorm) for layer in model.generator._flatten_layers())
    assert all("embedding" != v.name for v in model.generator.variables)


def test_u_moves_once_in_a_discriminator_step_and_not_otherwise():
    model = SNGAN(**CONV)
    model.compile(run_eagerly=True)
    state = [layer.u for layer in spectral_layers(model)]
    before = [u.numpy() for u in state]
    batch = {"raw": tf.constant(2 * BATCH["image"] - 1)}
    model.update_generator(batch)
    model.logits(batch["raw"], training=True)
    for u, old in zip(state, before, strict=True):
        np.testing.assert_array_equal(u.numpy(), old)
    expected = []
    for layer in spectral_layers(model):
        kernel = layer.raw_weight.numpy()
        matrix = kernel.reshape(-1, kernel.shape[-1])
        v = matrix @ layer.u.numpy()
        u = matrix.T @ (v / np.linalg.norm(v))
        expected.append(u / np.linalg.norm(u))
    model.update_discriminator(batch, stream=0)
    for u, value in zip(state, expected, strict=True):
        np.testing.assert_allclose(u.numpy(), value, atol=1e-5)


def test_critic_is_bounded_by_construction():
    """After training with a large rate, every effective kernel still has norm about 1."""
    model = SNGAN(**CONV, discriminator_steps=1)
    model.compile({"discriminator": keras.optimizers.Adam(0.01)})
    model.fit(tf.data.Dataset.from_tensors(BATCH["image"]).repeat(), steps_per_epoch=100, verbose=0)
    for layer in spectral_layers(model):
        kernel = layer.kernel.numpy()
        assert np.linalg.norm(kernel.reshape(-1, kernel.shape[-1]), 2) == pytest.approx(1.0, abs=0.05)


def test_zero_class_vectors_make_it_unconditional():
    model = SNGAN(**RESNET, num_classes=3)
    raw = tf.constant(2 * BATCH["image"] - 1)
    logits = [model.logits(raw, tf.one_hot([k] * 4, 3)).numpy() for k in range(3)]
    assert np.any(logits[0] != logits[1])
    embedding = model.discriminator.embedding
    embedding.raw_weight.assign(tf.zeros_like(embedding.raw_weight.value))
    logits = [model.logits(raw, tf.one_hot([k] * 4, 3)).numpy() for k in range(3)]
    np.testing.assert_array_equal(logits[0], logits[1])


def test_projection_is_a_difference_of_inner_products():
    """s(x, a) - s(x, b) = (V_a - V_b) . f(x), with V spectrally normalised."""
    model = SNGAN(**RESNET, num_classes=3)
    raw = tf.constant(2 * BATCH["image"] - 1)
    a, b = (model.discriminate(raw, tf.one_hot([k] * 4, 3)) for k in (0, 2))
    vectors = model.discriminator.embedding.embeddings.numpy()
    features = a["features"].numpy()
    np.testing.assert_allclose(a["logit"] - b["logit"], features @ (vectors[0] - vectors[2]), atol=1e-5)


def test_features_are_summed_over_positions():
    model = SNGAN(**RESNET)
    raw = tf.constant(2 * BATCH["image"] - 1)
    x = raw
    for block in model.discriminator.blocks:
        x = block(x)
    np.testing.assert_allclose(model.discriminate(raw)["features"], tf.reduce_sum(tf.nn.relu(x), [1, 2]), rtol=1e-5)


def test_labels_reach_the_residual_generator_through_batch_norm_alone():
    model = SNGAN(**RESNET, num_classes=3)
    latents = model.latents(tf.range(3, dtype=tf.int64))
    same = [model.decode_images(latents, labels=[k] * 3).numpy() for k in range(2)]
    np.testing.assert_array_equal(same[0], same[1], err_msg="equal tables: class 0 and 1 are the same before training")
    gamma = [v for v in model.generator.trainable_variables if v.name == "gamma" and v.shape[0] == 3]
    gamma[0].assign(gamma[0] * np.array([[1.0], [2.0], [1.0]]))
    different = [model.decode_images(latents, labels=[k] * 3).numpy() for k in range(2)]
    np.testing.assert_array_equal(different[0], same[0])
    assert np.any(different[1] != same[1])
