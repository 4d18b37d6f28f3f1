"""The PixelCNN autoencoder: a causal decoder of a code that is learnt through it."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.models.autoregressive.helpers import images, made
from tfgen.models import GatedPixelCNN, PixelCNNAutoencoder
from tfgen.models.capabilities import Completer, Encoder, Sampler
from tfgen.sampling.cached import Whole

ARGS = {
    "image_shape": (6, 5, 1), "levels": 4, "width": 6, "depth": 2, "head_width": 16, "first_kernel_size": 3,
    "embedding_dim": 2, "encoder_widths": (4, 8),
}  # fmt: skip


def build(scale=0.4, **more):
    return made(PixelCNNAutoencoder, scale=scale, **{**ARGS, **more})


def parameters(model, levels, codes):
    return tf.cast(model.network(model.prepare(levels), Whole(), model.condition(embedding=codes)), tf.float32)


def test_gradients_of_the_likelihood_reach_the_encoder():
    model = build()
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(model.log_prob(images(model, 4)))
    gradients = tape.gradient(loss, [v.value for v in model.encoder.trainable_variables])
    assert all(np.any(gradient.numpy() != 0.0) for gradient in gradients) and len(gradients) == 6


def test_the_code_changes_every_pixel_and_is_all_the_decoder_sees_of_the_image():
    model = build()
    levels = tf.repeat(model.levels_of(images(model, 1)), 2, axis=0)
    found = parameters(model, levels, tf.constant([[0.5, -1.0], [0.6, -1.0]])).numpy()
    assert np.all(np.any(found[0] != found[1], axis=-1))
    given = images(model, 2)
    expected = model.log_prob(given, embedding=model.encode(given))
    np.testing.assert_array_equal(model.log_prob(given), expected)
    other = model.log_prob(given, embedding=model.encode(given)[::-1])
    assert np.all(np.abs(other.numpy() - expected.numpy()) > 1e-4)


def test_the_decoder_is_causal_given_a_code():
    model, count = build(), 30
    levels = tf.repeat(model.levels_of(images(model, 1)), count, axis=0)
    codes = tf.repeat(tf.constant([[0.3, -0.7]]), count, axis=0)
    with tf.GradientTape() as tape:
        tape.watch(levels)
        outputs = tf.reduce_sum(parameters(model, levels, codes) * [1.0, 0.3, -0.2, 0.7], axis=-1)
        total = tf.reduce_sum(tf.linalg.diag_part(tf.reshape(outputs, [count, count])))
    jacobian = tape.gradient(total, levels).numpy().reshape(count, count)
    assert not np.any(np.triu(jacobian)) and np.mean(np.diag(jacobian, -1) != 0.0) > 0.5


def test_probabilities_given_a_code_sum_to_one():
    model = build(image_shape=(3, 3, 1), levels=2)
    every = np.array(list(itertools.product((0.0, 1.0), repeat=9)), "float32").reshape(-1, 3, 3, 1)
    codes = np.repeat([[1.0, -2.0]], len(every), axis=0).astype("float32")
    np.testing.assert_allclose(np.exp(model.log_prob(every, embedding=codes)).sum(), 1.0, atol=1e-5)


def test_what_it_can_do_and_exports():
    """log p(x | h(x)) is no likelihood of x; codes are exported by the name that `Client.encode` asks for."""
    model = build()
    assert model.capabilities() == (Sampler, Encoder, Completer) and not model.exact_likelihood
    signatures = model.signatures()
    assert "log_prob" not in signatures
    given = images(model, 3)
    found = signatures["encode"][0](given)
    assert found.keys() == {"latent"}
    np.testing.assert_array_equal(found["latent"], model.encode(given))
    np.testing.assert_array_equal(model.codes(given), model.encode(given))


def test_it_is_a_gated_pixel_cnn_of_its_codes():
    """log p(x | h), samples and completion are those of the conditional model with the same weights."""
    model = build()
    names = ("embedding_dim", *(set(ARGS) - {"encoder_widths", "embedding_dim"}))
    decoder = made(GatedPixelCNN, **{name: ARGS[name] for name in names})
    of_decoder = [v for v in model.trainable_variables if not any(v is w for w in model.encoder.trainable_variables)]
    for ours, theirs in zip(of_decoder, decoder.trainable_variables, strict=True):
        theirs.assign(ours)
    given, codes = images(model, 3), model.encode(images(model, 3))
    np.testing.assert_allclose(model.log_prob(given), decoder.log_prob(given, embedding=codes), rtol=1e-6)
    np.testing.assert_array_equal(model.reconstruct(given, seed=2), decoder.sample(3, seed=2, embedding=codes))
    mask = np.arange(6)[:, None].repeat(5, 1) < 3
    found = model.complete(given, mask, num=2, seed=1, embedding=codes)
    np.testing.assert_array_equal(found, decoder.complete(given, mask, num=2, seed=1, embedding=codes))
    np.testing.assert_array_equal(np.asarray(found)[:, 0][:, mask], given[:, mask])


def test_without_embeddings_codes_have_the_moments_of_training():
    model, steps = build(), 60
    model.compile(optimizer={"class_name": "SGD", "config": {"learning_rate": 0.0}}, steps_per_execution=20)
    model.fit(tf.data.Dataset.from_tensors({"image": images(model, 8)}).repeat(), steps_per_epoch=steps, verbose=0)
    codes, left = model.encode(images(model, 8)).numpy(), 0.99**steps
    mean = (1.0 - left) * codes.mean(axis=0)
    variance = (1.0 - left) * np.mean(codes**2, axis=0) + left - mean**2
    drawn = model.latents(tf.range(20_000, dtype=tf.int64)).numpy()[:, -2:]
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.05 * np.sqrt(variance).min())
    np.testing.assert_allclose(drawn.std(axis=0), np.sqrt(variance), rtol=0.03)
    assert np.any(model.sample(4, seed=0).numpy() != model.sample(4, seed=1).numpy())
    # The code is in the latents: the same pixels' noise and another code are another image.
    latents = model.latents(tf.range(4, dtype=tf.int64)).numpy()
    np.testing.assert_array_equal(model.decode_images(latents), model.sample(4))
    np.testing.assert_array_equal(
        model.decode_images(latents, embedding=codes[:4]),
        model.decode_images(np.concatenate([latents[:, :-2], codes[:4]], axis=1)),
    )


def test_it_learns_what_only_the_code_can_say():
    """Images of one level each: the first pixel cannot be known but by the code."""
    levels = np.arange(8) % 4
    batch = {"image": np.broadcast_to((levels / np.float32(3))[:, None, None, None], (8, 6, 5, 1))}
    model = build(scale=None)
    model.compile(optimizer={"class_name": "Adam", "config": {"learning_rate": 1e-2}}, steps_per_execution=50)
    model.fit(tf.data.Dataset.from_tensors(batch).repeat(), epochs=1, steps_per_epoch=200, verbose=0)
    assert -np.mean(model.log_prob(batch["image"])) < 0.5 * np.log(4.0)
    assert np.mean(model.reconstruct(batch["image"]) == batch["image"]) > 0.8


@pytest.mark.parametrize("size", [0, 2.5, True])
def test_bad_code_size(size):
    with pytest.raises(ValueError, match=f"embedding_dim must be an integer >= 1; received {size}"):
        build(embedding_dim=size)


def test_bad_input():
    model = build()
    with pytest.raises(ValueError, match="num_classes or embedding_dim, not both"):
        build(num_classes=3)
    with pytest.raises(ValueError, match="labels"):
        model.sample(1, labels=[0])
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        model.sample(1, embedding=np.zeros((1, 3), "float32"))
