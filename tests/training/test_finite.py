"""Training that diverges: it is stopped with the step, the player and the last good checkpoint, and never saved."""

import logging
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.small import Pair, data, images, two_devices
from tfgen.models import DCGAN, VAE, TrainableModel
from tfgen.models.capabilities import Sampler
from tfgen.training import Checkpoints, StopOnNonFinite, TrainingDiverged
from tfgen.training.finite import not_finite, outputs_finite


def pair(left=0.1, right=0.1, **kwargs):
    model = Pair()
    model.compile({"left": keras.optimizers.SGD(left), "right": keras.optimizers.SGD(right)}, **kwargs)
    return model


@pytest.mark.parametrize("rate", [float("inf"), 1e30])
@pytest.mark.parametrize("player", ["left", "right"])
@pytest.mark.parametrize("steps", [1, 4])
def test_the_player_whose_weights_grew_is_named(player, rate, steps):
    """After the step with the NaN the weights of both are NaN, so the message must know what was before."""
    model = pair(**{player: rate}, steps_per_execution=steps)
    with pytest.raises(TrainingDiverged) as caught:
        model.fit(data(1.0, steps=8), verbose=0, callbacks=[StopOnNonFinite()])
    message = str(caught.value)
    assert "not finite at step 1 " in message or (rate == 1e30 and "not finite at step 2 " in message)
    sizes = {name: float(size) for size, name in re.findall(r"(\S+) of the player '(\w+)'", message.split("Now")[0])}
    assert sizes[player] > 1e29 and max(sizes, key=sizes.get) == player
    assert f"Now {player}/w of the player '{player}' is not finite" in message
    assert "Last good checkpoint: none." in message


def test_a_loss_that_is_not_finite_on_one_of_two_devices_is_found():
    class Sensitive(Pair):
        def losses(self, batch):
            found = super().losses(batch)
            bad = tf.where(found["mean"] > 0.5, float("nan"), 0.0)
            return {**found, "mean": found["mean"] + bad}

    strategy = two_devices()
    with strategy.scope():
        model = Sensitive()
        model.compile(keras.optimizers.SGD(0.0))
        batches = strategy.experimental_distribute_dataset(data(0.0, 0.0, 1.0, 1.0, steps=2))
        with pytest.raises(TrainingDiverged, match="not finite at step 0 "):
            model.fit(batches, steps_per_epoch=2, verbose=0, callbacks=[StopOnNonFinite()])


def test_variables_are_named_with_their_players():
    model = DCGAN(image_shape=(8, 8, 1), width=4, stages=1, latent_dim=2)
    model.compile(ema_decay=0.9)
    state = model.state()
    assert not_finite(model, state) is None
    named = {}
    for kind in ("weights/", "optimizers/discriminator/", "averages/"):
        key = next(k for k, v in state.items() if k.startswith(kind) and len(v.shape))
        before = keras.ops.convert_to_numpy(state[key])
        state[key].assign(np.full(before.shape, np.inf))
        named[key] = not_finite(model, state)
        state[key].assign(before)
    for key, message in named.items():
        player = "discriminator" if "discriminator" in key else "generator"
        assert message == f"{key.removeprefix('weights/')} of the player {player!r} is not finite"


def small_vae(**kwargs):
    model = VAE(image_shape=(8, 8, 1), latent_dim=2, hidden=(8,))
    model.compile(**kwargs)
    return model


class Overflowing(Sampler, TrainableModel):
    """Grey images, by a way that overflows for large weights."""

    latent_dim = 1

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.w = self.add_weight(name="w", shape=(), initializer="ones")
        self.built = True

    def latents(self, seeds):
        return tf.cast(seeds[:, None], tf.float32)

    def decode_images(self, latents):
        return tf.ones([tf.shape(latents)[0], *self.image_shape]) * 0.5 * self.w**2 / self.w**2


def test_a_checkpoint_needs_finite_samples(tmp_path):
    model = Overflowing(image_shape=(2, 2, 1))
    model.compile()
    checkpoints = Checkpoints(model, tmp_path)
    model.step.assign(3)
    checkpoints.save()
    model.w.assign(1e30)
    assert not_finite(model, model.state()) is None
    model.step.assign(4)
    with pytest.raises(TrainingDiverged, match=r"Not saved at step 4: .*outputs are not\. Last good checkpoint: .*ckpt-3\."):
        checkpoints.save()
    assert sorted(p.name for p in tmp_path.glob("*.index")) == ["ckpt-3.index"]
    assert Checkpoints(model, tmp_path).restore() == 3 and float(model.w.numpy()) == 1.0


def test_a_checkpoint_needs_a_finite_variable_of_every_kind(tmp_path):
    model = small_vae()
    checkpoints = Checkpoints(model, tmp_path)
    slot = next(key for key in model.state() if "momentum" in key)
    model.state()[slot].assign(tf.fill(model.state()[slot].shape, float("nan")))
    message = rf"{re.escape(slot)} of the player 'model' is not finite\. Last good checkpoint: none"
    with pytest.raises(TrainingDiverged, match=message):
        checkpoints.save()
    assert not list(tmp_path.glob("ckpt*"))


class Reciprocal(TrainableModel):
    """No sampler: its loss without training is 1 / w."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.w = self.add_weight(name="w", shape=(), initializer="ones")
        self.built = True

    def evaluation_losses(self, batch):
        return {"loss": tf.reduce_mean(batch["image"]) / self.w}


def test_outputs_of_a_model_that_is_not_a_sampler_are_its_losses(tmp_path):
    model = Reciprocal(image_shape=(1, 1, 1))
    model.compile()
    checkpoints = Checkpoints(model, tmp_path, examples=images(0.5, 1.0))
    checkpoints.save()
    model.w.assign(0.0)
    assert not outputs_finite(model, images(1.0)) and outputs_finite(model, None)
    with pytest.raises(TrainingDiverged):
        checkpoints.save()


def test_a_plain_fit_that_ends_in_nan_warns_once(caplog):
    model = pair(right=float("inf"))
    with caplog.at_level(logging.WARNING):
        model.fit(data(1.0, steps=8), epochs=2, verbose=0)
    warnings = [record.getMessage() for record in caplog.records if "not finite" in record.getMessage()]
    assert len(warnings) == 1 and "first at step 1" in warnings[0] and "StopOnNonFinite" in warnings[0]
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        pair().fit(data(1.0, steps=8), verbose=0)
    assert "not finite" not in caplog.text
