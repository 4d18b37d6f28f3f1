import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers import MinibatchStdDev

X = (np.arange(16.0) ** 2 / 10).reshape(4, 2, 2, 1).astype("float32")


def by_hand(maps, groups):
    """The channel's value of every sample, from the indices of each group."""
    found = np.zeros(len(maps))
    for group in groups:
        found[group] = np.sqrt(maps[group].var(axis=0) + 1e-8).mean()
    return found


@pytest.mark.parametrize("size, expected", [(4, [6.90040817] * 4), (2, [4.4, 7.6, 4.4, 7.6]), (1, [1e-4] * 4),
                                            (8, [6.90040817] * 4)])  # fmt: skip
def test_golden_values(size, expected):
    out = MinibatchStdDev(size)(X).numpy()
    assert out.shape == (4, 2, 2, 2)
    np.testing.assert_array_equal(out[..., :1], X)
    np.testing.assert_allclose(out[..., 1], np.tile(np.reshape(expected, (4, 1, 1)), (1, 2, 2)), rtol=1e-5)


def test_groups_are_strided():
    rows = np.float32([[1, 2], [3, 4], [5, 9], [7, 1]]).reshape(4, 1, 1, 2)
    np.testing.assert_allclose(MinibatchStdDev(2)(rows)[:, 0, 0, 2], [2.75, 1.75, 2.75, 1.75], rtol=1e-5)


def test_identical_samples_have_1e_minus_4():
    np.testing.assert_allclose(MinibatchStdDev()(np.ones((4, 2, 2, 3), "float32"))[..., 3], 1e-4, rtol=1e-5)


@pytest.mark.parametrize("num, groups", [
    (1, [[0]]), (3, [[0, 1, 2]]), (5, [[0, 2, 4], [1, 3]]), (6, [[0, 2, 4], [1, 3, 5]]), (7, [[0, 2, 4, 6], [1, 3, 5]]),
    (8, [[0, 2, 4, 6], [1, 3, 5, 7]]), (9, [[0, 3, 6], [1, 4, 7], [2, 5, 8]]),
])  # fmt: skip
def test_batches_of_any_size(num, groups):
    maps = np.random.default_rng(num).normal(size=(num, 2, 3, 4)).astype("float32")
    run = tf.function(MinibatchStdDev(4), input_signature=[tf.TensorSpec([None, 2, 3, 4])], autograph=False)
    np.testing.assert_allclose(run(maps)[:, 0, 0, 4], by_hand(maps, groups), rtol=1e-4)


def test_gradients_couple_the_samples_of_a_group():
    """D_n = .5 x_n + std(x) of x = [1, 3]: the gradient of the sum is .5 -+ 1."""
    x, layer = tf.constant(np.float32([1, 3]).reshape(2, 1, 1, 1)), MinibatchStdDev()
    with tf.GradientTape() as tape:
        tape.watch(x)
        out = layer(x)
        total = tf.reduce_sum(0.5 * x + out[..., 1:])
    np.testing.assert_allclose(tape.gradient(total, x).numpy().ravel(), [-0.5, 1.5], rtol=1e-6)


def test_wrong_arguments():
    for wrong in (0, -1, 1.5, "4"):
        with pytest.raises(ValueError, match="group_size must be"):
            MinibatchStdDev(wrong)
    with pytest.raises(ValueError, match="needs maps"):
        MinibatchStdDev()(np.ones((4, 3)))


def test_saving_and_mixed_precision(tmp_path):
    model = keras.Sequential([keras.Input((2, 2, 1)), MinibatchStdDev(2)])
    assert model.output_shape == (None, 2, 2, 2)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(X), model(X))
    out = MinibatchStdDev(2, dtype="mixed_bfloat16")(X)
    assert out.dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(out, tf.float32), model(X), rtol=0.02)
