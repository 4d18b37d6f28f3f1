"""Averaged weights, on their own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.models import DCGAN, SAGAN
from tfgen.training import EMA, Checkpoints


def test_ema_is_the_recursion_with_its_warm_up():
    variable = keras.Variable(np.array([1.0, -2.0], "float32"))
    other = keras.Variable(np.array([5.0], "float32"))
    ema, expected = EMA({"one": {"w": variable}, "two": {"v": other}}, decay=0.9), np.array([1.0, -2.0])
    for step in range(200):
        value = np.array([np.sin(step), step / 100], "float32")
        variable.assign(value)
        ema.update("one")
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
        if step == 100:
            other.assign([7.0])  # the shadows of the other group stay
    np.testing.assert_allclose(ema.named()["w"], expected, rtol=1e-5)
    np.testing.assert_array_equal(ema.named()["v"], [5.0])
    ema.update("two", moved=tf.constant(False))
    np.testing.assert_array_equal(ema.named()["v"], [5.0])
    ema.update("two", moved=tf.constant(True))
    np.testing.assert_allclose(ema.named()["v"], [0.1 * 5.0 + 0.9 * 7.0], rtol=1e-6)
    np.testing.assert_allclose(ema.named()["w"], expected, rtol=1e-5)
    assert {player: int(count) for player, count in ema.counts.items()} == {"one": 200, "two": 1}


def test_a_late_start_copies_until_then_and_has_the_plain_decay_after():
    variable = keras.Variable(np.array([1.0], "float32"))
    ema = EMA({"one": {"w": variable}}, decay=0.9, start=3)
    for step in range(3):
        variable.assign([float(step)])
        ema.update("one")
        np.testing.assert_array_equal(ema.named()["w"], [step])
    ema.update("one", moved=tf.constant(False))
    variable.assign([10.0])
    for _ in range(5):
        ema.update("one")
    np.testing.assert_allclose(ema.named()["w"], [10.0 - 0.9**5 * 8.0], rtol=1e-6)  # closed form, from the copy of 2
    for wrong in (-1, 0.5, "3", True):
        with pytest.raises(ValueError, match="ema_start must be an integer >= 0 or None; received"):
            EMA({}, 0.9, wrong)


def test_a_late_start_is_saved_with_the_model(tmp_path):
    model = DCGAN(image_shape=(8, 8, 1), width=4, stages=1, latent_dim=2)
    model.compile(keras.optimizers.SGD(0.1), ema_decay=0.5, ema_start=4)
    model.fit(np.zeros([8, 8, 8, 1], "float32"), batch_size=4, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.ema.start == 4 and int(loaded.ema.counts["generator"]) == 2
    loaded.compile(ema_decay=0.5)
    assert loaded.ema.start is None and "ema_start" not in loaded.get_compile_config()


@pytest.mark.long
@pytest.mark.parametrize("again", ["compile", "reset", "load"])
def test_averages_outlast_the_optimizers(tmp_path, again):
    """Where optimisers begin anew, the next step moves the average as the step before did, not by nine tenths."""

    def small():
        model = DCGAN(image_shape=(8, 8, 1), width=4, stages=1, latent_dim=2)
        model.compile(keras.optimizers.SGD(0.0), ema_decay=0.99)
        return model

    model, images = small(), np.zeros([8, 8, 8, 1], "float32")
    model.fit(images, epochs=90, verbose=0)
    for shadow in model.ema.shadows:
        shadow.assign(tf.fill(shadow.shape, 5.0))
    if again == "load":
        model.save_weights(tmp_path / "file.weights.h5")
        model = small()
        model.load_weights(tmp_path / "file.weights.h5")
    if again == "reset":
        model.reset_optimizers()
    else:
        model.compile(keras.optimizers.SGD(0.0), ema_decay=0.99)
    model.fit(images, epochs=1, verbose=0)
    share = 1.0 - (1 + 90) / (10 + 90)
    shadow, variable = model.ema.shadows[0].numpy(), model.ema.variables[0].numpy()
    np.testing.assert_allclose(shadow, 5.0 + share * (variable - 5.0), rtol=1e-5)


def test_swapped_weights_are_neither_saved_nor_trained(tmp_path):
    model = DCGAN(image_shape=(8, 8, 1), width=4, stages=1, latent_dim=2)
    model.compile(ema_decay=0.99)
    checkpoints = Checkpoints(model, tmp_path / "checkpoints")
    with model.ema.swapped():
        for refused in (
            lambda: model.save_weights(tmp_path / "file.weights.h5"), lambda: model.save(tmp_path / "file.keras"),
            checkpoints.save, lambda: model.fit(np.zeros([8, 8, 8, 1], "float32"), verbose=0),
        ):
            with pytest.raises(RuntimeError, match="the averaged weights are in the model"):
                refused()
    checkpoints.save()


def test_ema_of_a_constant_stays_and_swapping_is_undone():
    model = DCGAN(image_shape=(8, 8, 1), width=4, stages=1, latent_dim=2)
    model.compile(ema_decay=0.99)
    names = [v.path for v in model.ema.variables]
    assert any("moving_variance" in name for name in names), "batch norm's moving statistics are averaged too"
    assert all("discriminator" not in name for name in names)
    live = [v.numpy() for v in model.ema.variables]
    for player in model.players():
        model.ema.update(player)
    for shadow, value in zip(model.ema.shadows, live, strict=True):
        np.testing.assert_allclose(shadow, value, rtol=1e-6)
    for shadow in model.ema.shadows:
        shadow.assign(tf.zeros_like(shadow.value))
    with pytest.raises(KeyError), model.ema.swapped():
        assert all(not np.any(v.numpy()) for v in model.ema.variables)
        with pytest.raises(RuntimeError, match="nested"), model.ema.swapped():
            pass
        raise KeyError
    for variable, value in zip(model.ema.variables, live, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_averaged_kernels_of_spectral_norm_have_the_largest_singular_value_1():
    model = SAGAN(image_shape=(8, 8, 1), width=8, latent_dim=4, attention_size=8,
                  network_args={"generator": {"stages": 1}, "discriminator": {"downs": 0}})  # fmt: skip
    model.compile(keras.optimizers.SGD(0.1), ema_decay=0.5)
    images = np.random.default_rng(0).uniform(size=[64, 8, 8, 1]).astype("float32")
    model.fit(images, batch_size=4, verbose=0)
    layers = [layer for layer in model.generator._flatten_layers() if hasattr(layer, "power_iteration")]
    live = [keras.ops.convert_to_numpy(layer.u) for layer in layers]
    shadows = [keras.ops.convert_to_numpy(shadow) for shadow in model.ema.shadows]
    assert len(layers) > 3 and not any(path.endswith("/u") for path in model.ema.paths)
    with model.ema.swapped():
        for layer, old in zip(layers, live, strict=True):
            kernel = keras.ops.convert_to_numpy(layer.kernel).reshape([-1, layer.kernel.shape[-1]])
            np.testing.assert_allclose(np.linalg.svd(kernel, compute_uv=False)[0], 1.0, rtol=1e-5)
            np.testing.assert_allclose(np.linalg.norm(layer.u), 1.0, rtol=1e-6)
            assert len(old) == 1 or not np.array_equal(layer.u, old)
    for layer, old in zip(layers, live, strict=True):
        np.testing.assert_array_equal(layer.u, old)
    for shadow, old in zip(model.ema.shadows, shadows, strict=True):
        np.testing.assert_array_equal(shadow, old)


def test_averages_that_are_not_finite_leave_the_model_as_it_was():
    model = SAGAN(image_shape=(8, 8, 1), width=4, latent_dim=2, attention_size=None,
                  network_args={"generator": {"stages": 1}, "discriminator": {"downs": 0}})  # fmt: skip
    model.compile(keras.optimizers.SGD(0.1), ema_decay=0.5)
    shadow = next(s for s, path in zip(model.ema.shadows, model.ema.paths, strict=True) if path.endswith("kernel"))
    shadow.assign(np.full(shadow.shape, np.nan))
    with model.ema.swapped():
        assert np.isnan(model.sample(1).numpy()).any()
    assert not model.ema.is_swapped and np.isfinite(model.sample(1).numpy()).all()
