"""What all models with a KL term do with its weight."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance.registry import CASES
from tfgen.models.capabilities import Encoder

RATE, WEIGHT = 0.01, 3.0
WEIGHTED = sorted(
    name for name, case in CASES.items() if "kl_weight" in case.model.config_parameters() and issubclass(case.model, Encoder)
)
ACTIVE = {"dc-ign": [0]}  # latents whose KL term counts in the batch of the case; all of them where it is not named


def made(case, **settings):
    """The case's model; its encoder has larger weights than at the start, so that its KL term is not nearly 0."""
    keras.utils.set_random_seed(0)
    model, rng = case.model(**{**case.args, **settings}), np.random.default_rng(0)
    for variable in model.encoder.trainable_variables:
        variable.assign(variable + rng.normal(0.0, 0.1, variable.shape))
    return model


def trained(case, weight):
    """(the losses of one step of gradient descent, the model after it)."""
    model = made(case, kl_weight=weight)
    model.compile(keras.optimizers.SGD(RATE), run_eagerly=True)
    history = model.fit(tf.data.Dataset.from_tensors(case.batch()), verbose=0).history
    return {name: values[0] for name, values in history.items()}, model


@pytest.mark.parametrize("name", WEIGHTED)
def test_kl_counts_by_its_weight(name):
    """sum (stddev^2 + mean^2 - 1 - ln stddev^2) / 2, mean over the batch, in the loss and in its gradient."""
    case = CASES[name]
    start = made(case)
    with tf.GradientTape() as tape:
        outputs = tf.cast(start.encoder(case.batch()["image"], training=True), tf.float32)
        mean, log_variance = (tf.gather(x, ACTIVE.get(name, range(3)), axis=1) for x in tf.split(outputs, 2, axis=-1))
        kl = tf.reduce_mean(tf.reduce_sum(tf.exp(log_variance) + mean**2 - 1.0 - log_variance, axis=1) / 2.0)
    gradients = tape.gradient(kl, [v.value for v in start.encoder.trainable_variables])
    (without, a), (weighted, b) = trained(case, 0.0), trained(case, WEIGHT)
    assert float(kl) > 1e-3
    assert without["kl"] == pytest.approx(float(kl), rel=1e-4)
    assert weighted["loss"] - without["loss"] == pytest.approx(WEIGHT * float(kl), rel=1e-3, abs=1e-4)
    pairs = zip(a.encoder.trainable_variables, b.encoder.trainable_variables, strict=True)
    for (x, y), gradient in zip(pairs, gradients, strict=True):
        np.testing.assert_allclose(y - x, -RATE * WEIGHT * gradient, rtol=0.02, atol=1e-6, err_msg=x.path)
    for x, y in zip(a.decoder.trainable_variables, b.decoder.trainable_variables, strict=True):
        np.testing.assert_allclose(x, y, atol=1e-6)
