import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers import InstanceNormalization, adaptive_instance_norm


def maps(seed=0):
    return np.random.default_rng(seed).normal(2.0, 3.0, size=(3, 4, 5, 2)).astype("float32")


def test_closed_form():
    x = np.array([1.0, 2.0, 3.0, 6.0], "float32").reshape(1, 2, 2, 1)  # mean 3, biased variance 3.5
    out = InstanceNormalization()(x)
    np.testing.assert_allclose(np.ravel(out), np.array([-2, -1, 0, 3]) / np.sqrt(3.5 + 1e-5), rtol=1e-6)


def test_every_map_has_mean_zero_and_variance_one():
    out = InstanceNormalization()(maps())
    np.testing.assert_allclose(np.mean(out, axis=(1, 2)), 0.0, atol=1e-6)
    np.testing.assert_allclose(np.var(out, axis=(1, 2)), 1.0, atol=1e-4)


def test_scale_and_shift_of_each_map_do_not_matter():
    rng = np.random.default_rng(1)
    a, b = rng.uniform(0.5, 3.0, size=(3, 1, 1, 2)), rng.normal(size=(3, 1, 1, 2))
    layer = InstanceNormalization()
    np.testing.assert_allclose(layer((a * maps() + b).astype("float32")), layer(maps()), atol=1e-4)
    np.testing.assert_allclose(layer(-maps()), -layer(maps()), atol=1e-6)


def test_images_do_not_see_each_other_and_a_flat_map_is_zero():
    layer, x = InstanceNormalization(), maps()
    np.testing.assert_allclose(layer(x)[1:2], layer(x[1:2]), atol=1e-6)
    np.testing.assert_array_equal(layer(np.full((1, 4, 4, 1), 7.0, "float32")), 0.0)


def test_affine():
    plain, affine = InstanceNormalization(), InstanceNormalization(affine=True)
    np.testing.assert_array_equal(affine(maps()), plain(maps()))
    affine.gamma.assign([2.0, -1.0])
    affine.beta.assign([0.5, 3.0])
    np.testing.assert_allclose(affine(maps()), plain(maps()) * [2.0, -1.0] + [0.5, 3.0], atol=1e-5)
    assert not plain.variables and len(affine.trainable_variables) == 2


def test_wrong_inputs():
    with pytest.raises(ValueError, match=r"received shape \(3, 4\)"):
        InstanceNormalization()(np.ones((3, 4)))
    with pytest.raises(ValueError, match="epsilon"):
        InstanceNormalization(epsilon=-1.0)


def test_saving_and_mixed_precision(tmp_path):
    model = keras.Sequential([keras.Input([4, 5, 2]), InstanceNormalization(affine=True, epsilon=1e-3)])
    model.layers[0].gamma.assign([2.0, -1.0])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(maps()), model(maps()))
    # In bfloat16 the statistics of 256 + (0, 2, 4, 6) would be lost.
    out = InstanceNormalization(dtype="mixed_bfloat16")(256.0 + 2.0 * tf.reshape(tf.range(4.0), [1, 2, 2, 1]))
    assert out.dtype == tf.bfloat16
    np.testing.assert_allclose(np.ravel(tf.cast(out, tf.float32)), (np.arange(4) - 1.5) / np.sqrt(1.25), atol=0.01)


# ---- AdaIN


def pixels(values):
    return np.array(values, "float32").reshape(1, 2, -1, 1)


CONTENT = pixels([1.0, 2.0, 3.0, 6.0])


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ([0, 4, 1, -1, 6, 2], [-0.5448346511, 0.7275826745, 2.0, 5.8172519766]),
        ([10, 14, 10, 14], [9.861910, 10.930955, 12.0, 15.207135]),
    ],
)
def test_adaptive_of_golden_values(style, expected):
    np.testing.assert_allclose(np.ravel(adaptive_instance_norm(CONTENT, pixels(style))), expected, rtol=2e-6)


def test_adaptive_has_the_statistics_of_the_style():
    style = np.random.default_rng(3).normal(-1.0, 2.0, (3, 6, 7, 2)).astype("float32")
    found = adaptive_instance_norm(maps(), style)
    np.testing.assert_allclose(np.mean(found, (1, 2)), style.mean((1, 2)), atol=1e-5)
    np.testing.assert_allclose(np.std(found, (1, 2)), style.std((1, 2)), rtol=1e-4)
    np.testing.assert_allclose(adaptive_instance_norm(maps(), maps()), maps(), atol=1e-4)
    np.testing.assert_allclose(adaptive_instance_norm(3.0 * maps() - 5.0, style), found, atol=1e-4)


def test_adaptive_of_a_region():
    """The statistics are those of the weighted pixels."""
    style, x = maps(1), maps()
    weights = np.zeros((3, 4, 5, 1), "float32")
    weights[:, :2] = 1.0
    found = adaptive_instance_norm(x, style, weights=weights)
    np.testing.assert_allclose(found[:, :2], adaptive_instance_norm(x[:, :2], style), atol=1e-4)
    for constant in (1.0, 0.3):
        found = adaptive_instance_norm(x, style, weights=np.full((3, 4, 5, 1), constant, "float32"))
        np.testing.assert_allclose(found, adaptive_instance_norm(x, style), atol=1e-5)
    assert np.all(np.isfinite(adaptive_instance_norm(x, style, weights=0.0 * weights)))
