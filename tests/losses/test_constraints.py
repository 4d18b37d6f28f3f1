"""Weight clipping, alone, in a critic's training and on two replicas."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import losses


def test_clipped_in_place():
    variables = [keras.Variable([[-3.0, 0.005], [0.01, 7.0]]), tf.Variable([-0.02, 0.0])]
    losses.clip_weights(variables, 0.01)
    np.testing.assert_allclose(variables[0], [[-0.01, 0.005], [0.01, 0.01]])
    np.testing.assert_allclose(variables[1], [-0.01, 0.0])


def test_linear_critic_ends_at_the_edge_of_the_box():
    """Points at 0 and d, critic w x + b: |w| reaches the limit, and the loss -limit d, whatever b."""
    limit, distance, rate = 0.1, 2.0, 0.03
    for sign in (1.0, -1.0):
        weight, bias = tf.Variable(0.0), tf.Variable(5.0)
        for _ in range(10):
            with tf.GradientTape() as tape:
                loss = losses.OBJECTIVES["wasserstein"].discriminator(
                    weight * sign * [distance] + bias, [0.0] * weight + bias
                )
            weight.assign_sub(rate * tape.gradient(loss, weight))
            losses.clip_weights([weight], limit)
        assert float(weight) == pytest.approx(sign * limit)
        assert float(loss) == pytest.approx(-limit * distance)


def test_clipped_on_every_replica():
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        layer = keras.layers.Dense(4)
        layer.build([None, 8])

    @tf.function
    def step():
        strategy.run(lambda: losses.clip_weights(layer.trainable_variables, 0.01))

    before = np.array(layer.kernel)
    step()
    for copy in strategy.experimental_local_results(layer.kernel.value):
        np.testing.assert_allclose(copy, np.clip(before, -0.01, 0.01))


@pytest.mark.parametrize("limit", [0.0, -0.01, float("nan"), float("inf")])
def test_limit_is_checked(limit):
    with pytest.raises(ValueError, match="limit must be positive and finite; received"):
        losses.clip_weights([], limit)
