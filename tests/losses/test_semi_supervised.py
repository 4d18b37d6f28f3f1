"""The K-class discriminator against the explicit softmax over K + 1 classes."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen import losses

LOGITS = tf.constant([[1.0, 2.0, -1.0]], tf.float64)
NONE = tf.constant([[-800.0, -800.0, -800.0]], tf.float64)  # Z = -800: a fake term of 0


def test_golden_vector():
    logit = losses.semi_supervised_logit(LOGITS)
    assert float(logit[0]) == pytest.approx(2.3490122168, abs=1e-9)
    assert float(tf.sigmoid(logit[0])) == pytest.approx(0.9128556813, abs=1e-9)
    assert float(losses.supervised_loss(LOGITS, [1])) == pytest.approx(0.3490122168, abs=1e-9)
    assert 2 * float(losses.unsupervised_loss(LOGITS, NONE)) == pytest.approx(0.0911774818, abs=1e-9)
    assert 2 * float(losses.unsupervised_loss(-NONE, LOGITS)) == pytest.approx(2.4401896986, abs=1e-9)


def test_equal_to_a_softmax_over_one_more_class():
    rng = np.random.default_rng(0)
    real, fake, labels = rng.normal(size=(7, 4)) * 3, rng.normal(size=(7, 4)) * 3, rng.integers(0, 4, 7)

    def log_softmax(logits):
        logits = np.concatenate([logits, np.zeros([7, 1])], axis=1)
        return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    log_p, log_q = log_softmax(real), log_softmax(fake)
    is_real = np.log(np.exp(log_p[:, :4]).sum(axis=1))
    assert float(losses.supervised_loss(real, labels)) == pytest.approx(np.mean(is_real - log_p[range(7), labels]))
    expected = -0.5 * (is_real.mean() + log_q[:, 4].mean())
    assert float(losses.unsupervised_loss(real, fake)) == pytest.approx(expected)


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
@pytest.mark.parametrize("size", [-1000.0, 1000.0])
def test_stable_for_large_logits(size, dtype):
    logits = tf.cast([[size, size], [size, -size]], dtype)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = losses.supervised_loss(logits, [0, 0]) + losses.unsupervised_loss(logits, logits)
    # |Z| is 1000 in each row but for ln 2 in the first; the supervised loss is ln 2, and 0 or 2000.
    big = [0.0, 2000.0][size < 0]
    z = [size + np.log(2), 1000.0]
    expected = (np.log(2) + big) / 2 + sum(np.logaddexp(0, v) + np.logaddexp(0, -v) for v in z) / 4
    assert float(loss) == pytest.approx(expected, rel=1e-6)
    assert np.isfinite(tf.cast(tape.gradient(loss, logits), tf.float32)).all()


def test_wrong_labels():
    with pytest.raises(ValueError, match=r"labels must be integers.*\(1, 3\); received float32 \(1,\)"):
        losses.supervised_loss(LOGITS, [1.0])
    with pytest.raises(ValueError, match=r"received int32 \(2,\)"):
        losses.supervised_loss(LOGITS, [1, 2])
