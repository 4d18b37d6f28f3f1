"""The pool of earlier images: against values worked out by hand, a list in Python, and what its draws promise."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers import ImagePool

# (size, what decides, places, given back, the pool at the end) for the images 1, 2, ...; what decides and the places begin
# with the first image after those that fill the pool. No place counts where the new image is given back.
BY_HAND = [
    (2, [0.9, 0.2, 0.7, 0.5, 0.6, 0.51], [0, 1, 1, 1, 0, 0], [1, 2, 1, 4, 2, 6, 3, 7], [8, 5]),
    (3, [0.1, 0.8, 0.8, 0.4, 0.95, 0.3, 0.77], [0, 2, 2, 0, 0, 0, 1], [1, 2, 3, 4, 3, 5, 7, 1, 9, 2], [8, 10, 6]),
]


def exchange(pool, numbers, decisions, places):
    """Of images that are one number each; `places` as numbers of places."""
    draws = np.stack([decisions, (np.array(places) + 0.5) / pool.size], axis=1)
    found = pool.exchange(tf.reshape(tf.constant(numbers, tf.float32), [-1, 1, 1, 1]), tf.constant(draws, tf.float32))
    return found.numpy().ravel().tolist()


@pytest.mark.parametrize(("size", "decisions", "places", "given_back", "end"), BY_HAND)
@pytest.mark.parametrize("batch", [1, 3, 10])
def test_values_by_hand_in_batches_of_any_size(size, decisions, places, given_back, end, batch):
    pool, found = ImagePool(size, (1, 1, 1)), []
    decisions, places = [0.9] * size + decisions, [0] * size + places
    for i in range(0, len(decisions), batch):
        part = slice(i, i + batch)
        found += exchange(pool, np.arange(1, len(decisions) + 1)[part], decisions[part], places[part])
    assert found == given_back
    assert pool.images.numpy().ravel().tolist() == end and int(pool.filled.numpy()) == size


def test_against_a_list():
    rng, pool, known = np.random.default_rng(0), ImagePool(5, (2, 1, 3)), []
    for batch in [1, 3, 2, 7, 4, 12, 1, 9]:
        images, draws = rng.random((batch, 2, 1, 3), "float32"), rng.random((batch, 2), "float32")
        expected = []
        for image, (decision, place) in zip(images, draws, strict=True):
            if len(known) < 5:
                known.append(image)
            elif decision > 0.5:
                i = int(place * 5)
                image, known[i] = known[i], image
            expected.append(image)
        np.testing.assert_array_equal(pool.exchange(tf.constant(images), tf.constant(draws)), expected)
        np.testing.assert_array_equal(pool.images.numpy()[: len(known)], known)
        assert int(pool.filled.numpy()) == len(known) and not np.any(pool.images.numpy()[len(known) :])


def test_half_are_old_and_their_age_is_that_of_the_draws():
    """Each new image replaces a stored one with probability 1 / (2 size), so the mean age of replaced ones is 2 size."""
    size, batch, pool, ages = 10, 100, ImagePool(10, (1, 1, 1)), []
    step = tf.function(pool.exchange)
    rng = np.random.default_rng(0)
    for i in range(100):
        numbers = np.arange(batch, dtype="float32") + batch * i
        found = step(tf.reshape(numbers, [-1, 1, 1, 1]), tf.constant(rng.random((batch, 2), "float32"))).numpy().ravel()
        ages += (numbers - found).tolist()
    ages = np.array(ages[batch:])
    assert np.mean(ages > 0) == pytest.approx(0.5, abs=0.02)
    assert np.mean(ages[ages > 0]) == pytest.approx(2 * size, rel=0.05)


def test_draws_at_the_ends_and_no_gradient():
    pool = ImagePool(3, (1, 1, 1))
    exchange(pool, [1, 2, 3], [0] * 3, [0] * 3)
    image = tf.Variable(tf.fill([2, 1, 1, 1], 4.0))
    with tf.GradientTape() as tape:
        found = pool.exchange(image, tf.constant([[1.0, 1.0], [1.0, 0.0]]))
    assert found.numpy().ravel().tolist() == [3.0, 1.0] and tape.gradient(found, image) is None


def test_replicas_have_the_pool_of_the_whole_batch():
    """With batches of other sizes on each: all is as on one device that gets them one after the other."""
    reduction = tf.distribute.ReductionToOneDevice()
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=reduction)
    with strategy.scope():
        pool = ImagePool(4, (1, 1, 1))
    alone, rng = ImagePool(4, (1, 1, 1)), np.random.default_rng(0)
    step = tf.function(lambda images, draws: strategy.run(pool.exchange, (images, draws)), reduce_retracing=True)
    for sizes in [(3, 2), (2, 2), (1, 3), (4, 3)]:
        images = [tf.constant(rng.random((n, 1, 1, 1), "float32")) for n in sizes]
        draws = [tf.constant(rng.random((n, 2), "float32")) for n in sizes]
        spread = [
            strategy.experimental_distribute_values_from_function(lambda c, some=some: some[c.replica_id_in_sync_group])
            for some in (images, draws)
        ]
        found = strategy.experimental_local_results(step(*spread))
        np.testing.assert_array_equal(tf.concat(found, 0), alone.exchange(tf.concat(images, 0), tf.concat(draws, 0)))
        for value in strategy.experimental_local_results(pool.images.value):
            np.testing.assert_array_equal(value, alone.images)
        assert int(pool.filled.numpy()) == int(alone.filled.numpy())


def test_an_empty_pool_is_refused():
    with pytest.raises(ValueError, match="size of an ImagePool must be at least 1; received 0"):
        ImagePool(0, (1, 1, 1))
