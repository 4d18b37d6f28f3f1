"""Sampling with moving, batch and standing statistics."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.models import DCGAN, SNGAN

MODELS = {
    "batch norm": lambda: DCGAN(image_shape=(8, 8, 1), width=4, stages=2, latent_dim=3),
    "conditional batch norm": lambda: SNGAN(image_shape=(8, 8, 1), network="resnet", width=4, latent_dim=3, num_classes=3),
}


@pytest.fixture(params=MODELS)
def model(request):
    return MODELS[request.param]()


def labels(model, num):
    return {"labels": np.arange(num) % model.num_classes} if model.num_classes else {}


def test_batch_statistics_are_those_of_the_batch(model):
    images = model.sample(8, batch_size=8, batch_norm="batch", **labels(model, 8))
    seeds = tf.range(8, dtype=tf.int64)
    one_hot = model.one_hot(labels(model, 8)["labels"]) if model.num_classes else None
    raw = model.generate_raw(model.latents(seeds), one_hot, training=True)
    np.testing.assert_allclose(images, tf.clip_by_value(0.5 + 0.5 * raw, 0.0, 1.0), atol=1e-6)


def test_moving_statistics_stay_as_they_were(model):
    before = [v.numpy() for v in model.generator.variables]
    plain = model.sample(6, **labels(model, 6)).numpy()
    for kind in ("batch", "standing"):
        assert np.any(model.sample(6, batch_norm=kind, **labels(model, 6)).numpy() != plain)
    for variable, value in zip(model.generator.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    np.testing.assert_array_equal(model.sample(6, **labels(model, 6)).numpy(), plain)


def test_standing_statistics_make_images_independent_of_their_batch(model):
    draws = [model.sample(6, batch_size=64, batch_norm="standing", **labels(model, 6)).numpy() for _ in range(2)]
    np.testing.assert_array_equal(draws[0], draws[1])
    fewer = model.sample(2, batch_size=64, batch_norm="standing", **labels(model, 2)).numpy()
    np.testing.assert_allclose(fewer, draws[0][:2], atol=1e-6)


def test_standing_statistics_are_the_mean_over_batches():
    model = MODELS["batch norm"]()
    first = model.generator.dense_norms[0]
    means, seen = [], []
    model_call = model.generate_raw

    def spy(latents, one_hot=None, training=False):
        if training:
            means.append(tf.reduce_mean(model.generator.dense[0](latents), axis=0).numpy())
        elif not seen:
            with tf.init_scope():
                seen.append(first.moving_mean.numpy())
        return model_call(latents, one_hot, training)

    model.generate_raw = spy
    model.sample(4, batch_size=32, batch_norm="standing")
    assert len(means) == 16
    np.testing.assert_allclose(seen[0], np.mean(means, axis=0), atol=1e-5)


def test_unknown_statistics_are_named():
    with pytest.raises(ValueError, match="batch_norm must be 'moving', 'batch' or 'standing'; received 'live'"):
        MODELS["batch norm"]().sample(2, batch_norm="live")
