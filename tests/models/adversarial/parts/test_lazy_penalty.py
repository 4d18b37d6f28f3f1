"""The lazy penalty of adversarial models: every k-th step k times as strong, in an update of its own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.seeds import set_seed
from tfgen.models import DCGAN, SNGAN, WGANGP, StyleGAN
from tfgen.training.schedules import lazy

K = 4
_WGAN = {"image_shape": (4, 4, 1), "network": "mlp", "width": 6, "network_args": {"depth": 1}, "latent_dim": 2,
         "discriminator_steps": 1, "penalty": "r1", "penalty_weight": 3.0}  # fmt: skip
IMAGES = np.random.default_rng(0).random((8, 4, 4, 1), dtype="float32")


def make(model=WGANGP, seed=0, **changes):
    set_seed(seed)
    return model(**{**_WGAN, **changes}, seed=seed)


def fit(model, steps):
    data = tf.data.Dataset.from_tensors({"image": IMAGES}).repeat()
    return model.fit(data, epochs=steps, steps_per_epoch=1, verbose=0).history


def values(model):
    return {key: v.numpy() for key, v in model.state().items()}


def test_golden_values_of_the_optimiser():
    for interval, rate, beta_1, beta_2 in ((16, 0.0018823529, 0.9055952305, 0.9905854573), (4, 0.0016, None, 0.9919919678)):
        optimizer = keras.optimizers.Adam(2e-3, beta_1=0.9, beta_2=0.99, epsilon=1e-8)
        found = lazy(optimizer, interval)
        assert float(found.learning_rate) == pytest.approx(rate, abs=1e-9)
        assert found.beta_2 == pytest.approx(beta_2, abs=1e-9)
        assert beta_1 is None or found.beta_1 == pytest.approx(beta_1, abs=1e-9)
        assert optimizer.beta_2 == 0.99 and float(optimizer.learning_rate) == pytest.approx(2e-3), "it is not changed"
    assert lazy(keras.optimizers.Adam(2.5e-3), 16).get_config()["learning_rate"] == pytest.approx(0.0023529412, abs=1e-9)
    assert lazy(keras.optimizers.Adam(1e-3, beta_1=0.0), 16).beta_1 == 0.0
    scaled = lazy(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(2.5e-3)), 16)
    assert float(scaled.inner_optimizer.learning_rate) == pytest.approx(0.0023529412, abs=1e-9)
    with pytest.raises(ValueError, match="lazy needs an optimizer with a number as its rate"):
        lazy(keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(1e-3, 10, 0.9)), 16)
    with pytest.raises(ValueError, match="interval must be an integer >= 1; received 0"):
        lazy("adam", 0)


def test_golden_loss_of_a_step_of_the_penalty():
    """A linear D of the gradient [1, -2, .5, 3], gamma 10: 16 x 71.25 in a step of the penalty, and no penalty elsewhere."""
    model = make(image_shape=(2, 2, 1), penalty_weight=10.0, penalty_interval=16)
    weights = tf.reshape([1.0, -2.0, 0.5, 3.0], [2, 2, 1])
    object.__setattr__(model, "logits", lambda images, *args, **kwargs: tf.reduce_sum(images * weights, [1, 2, 3]))
    object.__setattr__(model, "step_players", lambda players, losses_fn: {**losses_fn(), str(players): 1})
    raw = {"raw": tf.constant(np.random.default_rng(0).uniform(-1, 1, (5, 2, 2, 1)), tf.float32)}
    found = []
    for step in range(20):
        model.kind = model.step_kind(step)
        found.append(model.update_discriminator(raw))
    assert [step for step, losses in enumerate(found) if "penalty" in losses] == [0, 16]
    for losses in (found[0], found[16]):
        assert float(losses["penalty"]) == pytest.approx(1140.0, rel=1e-5)
        assert "{'discriminator': 'penalty'}" in losses and "{'discriminator': 'discriminator_loss'}" in losses


@pytest.mark.parametrize("penalty", ["r1", "gradient_penalty"])
def test_the_mean_gradient_over_an_interval_is_that_of_the_penalty_in_every_step(penalty):
    """With the same images and noise in all steps and weights that do not move."""

    def gradients(**settings):
        model, found = make(penalty=penalty, **settings), []
        variables = [v.value for v in model.discriminator.trainable_variables]

        def step_players(players, losses_fn):
            with tf.GradientTape() as tape:
                losses = losses_fn()
                loss = losses[players["discriminator"]]
            gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
            found.append(np.concatenate([np.ravel(g) for g in gradients]))
            return losses

        object.__setattr__(model, "step_players", step_players)
        for step in range(K):
            model.kind = model.step_kind(step)
            model.update_discriminator({"raw": tf.constant(2 * IMAGES - 1)})
        return np.array(found)

    always, never, sometimes = gradients(), gradients(penalty_weight=0.0), gradients(penalty_interval=K)
    assert len(always) == len(never) == K and len(sometimes) == K + 1
    expected = always.mean(axis=0) - never.mean(axis=0)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(sometimes.sum(axis=0) / K - never.mean(axis=0), expected, atol=1e-4 * np.abs(expected).max())


def test_an_interval_of_one_changes_no_bit():
    found = []
    for settings in ({}, {"penalty_interval": 1}):
        model = make(**settings)
        model.compile("adam")
        assert model.step_kind(0) == ("discriminator", "generator") and "penalty" not in model.loss_names
        history = fit(model, 3)
        found.append((history, values(model)))
    assert found[0][0] == found[1][0]
    for key, value in found[0][1].items():
        np.testing.assert_array_equal(value, found[1][1][key], err_msg=key)
    assert float(model.player_optimizers["discriminator"].learning_rate) == pytest.approx(1e-3)


def test_kinds_of_steps_and_updates():
    model = make(penalty_interval=3, discriminator_steps=2)
    both, alone = ("discriminator", "generator"), ("discriminator",)
    assert [model.step_kind(step) for step in range(5)] == [
        (*alone, "penalty"), both, alone, (*both, "penalty"), alone]  # fmt: skip
    assert [model.updates_of("discriminator", steps) for steps in range(6)] == [0, 2, 3, 4, 6, 7]
    assert make().updates_of("discriminator", 6) == 6 and model.updates_of("generator", 6) == 3
    model.compile("adam")
    history = fit(model, 4)
    assert int(model.player_optimizers["discriminator"].iterations) == 6
    assert history["penalty"][0] > 0.0


def test_compile_corrects_the_default_optimiser_alone():
    optimizers = lambda model: model.player_optimizers  # noqa: E731
    model = make(model=SNGAN, penalty_interval=K)
    plain = optimizers(_compiled(make(model=SNGAN)))
    for given in (None, {"generator": keras.optimizers.Adam(0.5)}):
        found = optimizers(_compiled(model, given))
        ours, before = found["discriminator"], plain["discriminator"]
        assert float(ours.learning_rate) == pytest.approx(0.8 * float(before.learning_rate))
        assert ours.beta_2 == pytest.approx(before.beta_2**0.8)
        rate = 0.5 if given else float(plain["generator"].learning_rate)
        assert float(found["generator"].learning_rate) == pytest.approx(rate)
    found = optimizers(_compiled(model, keras.optimizers.Adam(0.5)))
    assert float(found["discriminator"].learning_rate) == pytest.approx(0.5), "an optimiser of the user is used as it is"


def _compiled(model, optimizer=None):
    model.compile(optimizer)
    return model


def test_killed_and_resumed_in_the_middle_of_an_interval(tmp_path):
    whole = make(penalty_interval=K)
    whole.compile(keras.optimizers.Adam(0.01), ema_decay=0.9)
    fit(whole, 6)
    tfgen.training.Checkpoints(whole, tmp_path).save()
    fit(whole, 5)
    model = make(seed=1, penalty_interval=K)
    object.__setattr__(model, "seed", 0)
    model.compile(keras.optimizers.Adam(0.01), ema_decay=0.9)
    assert tfgen.training.Checkpoints(model, tmp_path).restore() == 6
    fit(model, 5)
    first, second = values(whole), values(model)
    for key in first:
        np.testing.assert_array_equal(first[key], second[key], err_msg=key)


def test_two_devices_equal_one():
    found = []
    for devices in (["CPU:0"], ["CPU:0", "CPU:1"]):
        strategy = tf.distribute.MirroredStrategy(devices, cross_device_ops=tf.distribute.ReductionToOneDevice())
        with strategy.scope():
            model = make(penalty="gradient_penalty", penalty_interval=2)
            model.compile(keras.optimizers.SGD(0.01))
        history = fit(model, 3)
        found.append({**values(model), **{name: np.array(value) for name, value in history.items()}})
    for key in found[0]:
        np.testing.assert_allclose(found[0][key].astype("float64"), found[1][key], atol=1e-5, rtol=1e-4, err_msg=key)


def test_saved_and_loaded(tmp_path):
    model = _compiled(make(penalty_interval=K))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config()["penalty_interval"] == K
    rates = [float(one.player_optimizers["discriminator"].learning_rate) for one in (model, loaded)]
    assert rates[0] == rates[1], "corrected once"


@pytest.mark.parametrize("wrong, message", [
    *(({"penalty_interval": value}, f"penalty_interval must be an integer >= 1; received {value}")
      for value in (0, -1, 1.5, True, "2")),
    ({"penalty_interval": 2, "penalty": None}, "penalty_interval=2 is for a penalty; received penalty=None"),
])  # fmt: skip
@pytest.mark.parametrize("model", [WGANGP, StyleGAN, DCGAN])
def test_wrong_settings(model, wrong, message):
    args = {"image_shape": (16, 16, 1), "penalty": "r1", **wrong}
    with pytest.raises(ValueError, match=message.replace("received 2", "received '?2")):
        model(**args)
