"""Updates of players, against numbers computed by hand."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.small import Pair, data, images, two_devices
from tfgen.models import WGANGP
from tfgen.training import Player

RATE = 0.1


def sgd(**kwargs):
    return keras.optimizers.SGD(RATE, **kwargs)


def fitted(cls, *values, steps=1, strategy=None, optimizer=None, dtype=None, **kwargs):
    """The model after `fit` on `steps` equal batches."""
    with strategy.scope() if strategy else contextlib.nullcontext():
        model = cls(**({"dtype": dtype} if dtype else {}))
        model.compile(sgd(**(optimizer or {})), **kwargs)
    model.fit(data(*values, steps=steps), verbose=0)
    return model


def on_both(variable):
    """The values that the two replicas have."""
    return [float(value) for value in variable.value.values]


# ---- one forward pass, simultaneous gradients


def simultaneous(left, right, m, steps=1):
    for _ in range(steps):
        left, right = left - RATE * (m * right + 2 * left), right + RATE * m * left
    return left, right


def test_players_that_move_at_once_take_all_gradients_first():
    assert fitted(Pair, 0.25, 0.75).numbers == pytest.approx(simultaneous(2.0, 3.0, 0.5), rel=1e-6)
    assert fitted(Pair, 0.25, 0.75, steps=4).numbers == pytest.approx(simultaneous(2.0, 3.0, 0.5, steps=4), rel=1e-6)


def test_players_that_move_at_once_share_one_forward_pass():
    class Counting(Pair):
        calls = 0

        def losses(self, batch):
            type(self).calls += 1
            return super().losses(batch)

    model = fitted(Counting, 0.25, 0.75, steps=3, run_eagerly=True)
    assert Counting.calls == 3
    assert model.numbers == pytest.approx(simultaneous(2.0, 3.0, 0.5, steps=3), rel=1e-6)


def test_players_that_move_in_turn_see_the_update_before():
    class Turns(Pair):
        def update(self, batch):
            found = self.step_players({"left": "left_loss"}, lambda: self.losses(batch))
            return found | self.step_players({"right": "right_loss"}, lambda: self.losses(batch))

    left = 2.0 - RATE * (0.5 * 3.0 + 2 * 2.0)
    assert fitted(Turns, 0.25, 0.75).numbers == pytest.approx((left, 3.0 + RATE * 0.5 * left), rel=1e-6)


def test_two_replicas_take_the_gradient_of_the_global_mean():
    model = fitted(Pair, 0.0, 0.5, 0.5, 1.0, steps=3, strategy=two_devices())
    for layer, expected in zip((model.left, model.right), simultaneous(2.0, 3.0, 0.5, steps=3), strict=True):
        assert on_both(layer.w) == pytest.approx([expected] * 2, rel=1e-6)


def test_a_part_of_the_variables():
    class Three(Pair):
        def players(self):
            return {"all": Player((self.left, self.right))}

        def update(self, batch):
            return self.step_players(
                {"all": "left_loss"}, lambda: self.losses(batch), variables={"all": [self.right.w]}
            )  # fmt: skip

    assert fitted(Three, 0.25, 0.75).numbers == pytest.approx((2.0, 3.0 - RATE * 0.5 * 2.0), rel=1e-6)


def test_optimizers_by_player():
    model = Pair()
    model.compile({"left": keras.optimizers.SGD(0.5), "right": "adam"})
    assert type(model.player_optimizers["right"]).__name__ == "Adam" and model.optimizer is model.player_optimizers["left"]
    model.compile({"right": "sgd"})
    assert type(model.player_optimizers["left"]).__name__ == "Adam", "of default_optimizer()"
    model.compile(keras.optimizers.SGD(0.5))
    rates = [float(optimizer.learning_rate) for optimizer in model.player_optimizers.values()]
    assert rates == [0.5, 0.5] and len({id(o) for o in model.player_optimizers.values()}) == 2
    with pytest.raises(ValueError, match=r"players \['middle'\]; Pair has left, right"):
        model.compile({"middle": "sgd"})


# ---- when


class Ruled(Pair):
    """Left moves where the mean is below `limit`, right where it is not."""

    limit = 0.6

    def update(self, batch):
        def when(losses):
            below = losses["mean"] < self.limit
            return {"left": below, "right": tf.logical_not(below)}

        return self.step_players({"left": "left_loss", "right": "right_loss"}, lambda: self.losses(batch), when=when)


class RuledAbove(Ruled):
    limit = 0.4


@pytest.mark.parametrize("cls", [Ruled, RuledAbove])
@pytest.mark.parametrize("replicas", [1, 2])
def test_when_is_decided_by_the_mean_over_all_replicas(cls, replicas):
    """One replica has the images 0 and the other the images 1: alone, they would decide differently."""
    strategy = two_devices() if replicas == 2 else None
    model = fitted(cls, 0.0, 0.0, 1.0, 1.0, strategy=strategy, optimizer={"momentum": 0.5}, ema_decay=0.5)
    left, right = simultaneous(2.0, 3.0, 0.5)
    expected = (left, 3.0) if cls is Ruled else (2.0, right)
    moved, stayed = ("left", "right") if cls is Ruled else ("right", "left")
    found = [on_both(layer.w) if replicas == 2 else [float(layer.w.numpy())] for layer in (model.left, model.right)]
    for values, value in zip(found, expected, strict=True):
        assert values == pytest.approx([value] * replicas, rel=1e-6)
    iterations = {name: int(optimizer.iterations.numpy()) for name, optimizer in model.player_optimizers.items()}
    assert iterations == {moved: 1, stayed: 0}
    shadows, starts = {path: float(v.numpy()) for path, v in model.ema.named().items()}, {"left": 2.0, "right": 3.0}
    assert shadows[f"{stayed}/w"] == starts[stayed]
    now = expected[0 if moved == "left" else 1]
    assert shadows[f"{moved}/w"] == pytest.approx(0.1 * starts[moved] + 0.9 * now, rel=1e-6)  # (1 + 0) / (10 + 0) = 0.1


def test_players_that_when_does_not_name_always_move():
    class Half(Pair):
        def update(self, batch):
            return self.step_players(
                {"left": "left_loss", "right": "right_loss"}, lambda: self.losses(batch),
                when=lambda losses: {"right": losses["mean"] > 2.0},
            )  # fmt: skip

    left, _ = simultaneous(2.0, 3.0, 0.5)
    assert fitted(Half, 0.25, 0.75).numbers == pytest.approx((left, 3.0), rel=1e-6)


def test_when_must_return_known_players():
    class Wrong(Pair):
        def update(self, batch):
            return self.step_players(
                {"left": "left_loss"}, lambda: self.losses(batch), when=lambda losses: {"middle": losses["mean"] > 0.0}
            )  # fmt: skip

    with pytest.raises(ValueError, match=r"must return players of \['left'\]; it returned \['middle'\]"):
        fitted(Wrong, 0.5)


# ---- constraint


@pytest.mark.parametrize("replicas", [1, 2])
def test_the_constraint_holds_after_every_update_of_its_player(replicas):
    class Boxed(Ruled):
        def players(self):
            def clip(variables):
                for v in variables:
                    v.assign(tf.clip_by_value(tf.convert_to_tensor(v), -1.0, 1.0))

            return {"left": Player(self.left, clip), "right": Player(self.right, clip)}

    model = fitted(Boxed, 0.0, 1.0, strategy=two_devices() if replicas == 2 else None)
    assert model.numbers == (1.0, 3.0), "left was clipped; right did not move and was not"


# ---- accumulation


def test_accumulated_gradients_on_several_replicas_are_refused():
    with two_devices().scope(), pytest.raises(ValueError, match="'left' has gradient_accumulation_steps=3.*replicas"):
        Pair().compile(sgd(gradient_accumulation_steps=3))


def test_accumulated_gradients_move_weights_and_averages_at_once():
    model = Pair()
    model.compile(sgd(gradient_accumulation_steps=3), ema_decay=0.9)
    shadow = 2.0
    for turn in range(3):
        for step in range(3):
            before = (model.numbers, float(model.ema.named()["left/w"].numpy()))
            model.fit(data(0.25, 0.75, steps=1), verbose=0)
            if step < 2:
                assert (model.numbers, float(model.ema.named()["left/w"].numpy())) == before
        left, right = simultaneous(*before[0], 0.5)  # by the mean of three equal gradients
        assert model.numbers == pytest.approx((left, right), rel=1e-5)
        decay = min(0.9, (1 + turn) / (10 + turn))
        shadow = decay * shadow + (1 - decay) * left
        assert float(model.ema.named()["left/w"].numpy()) == pytest.approx(shadow, rel=1e-5)


def test_two_accumulated_batches_are_one_of_twice_the_size():
    large, small = Pair(), Pair()
    large.compile(keras.optimizers.Adam(RATE))
    small.compile(keras.optimizers.Adam(RATE), accumulate=2)
    for model, batches in ((large, [(0.0, 0.25, 0.5, 0.75)]), (small, [(0.0, 0.25), (0.5, 0.75)])):
        for values in batches:
            model.fit(data(*values, steps=1), verbose=0)
    assert large.numbers != (2.0, 3.0)
    assert small.numbers == pytest.approx(large.numbers, rel=1e-6)
    again = type(small)()
    again.compile_from_config(small.get_compile_config())
    assert [o.gradient_accumulation_steps for o in again.player_optimizers.values()] == [2, 2]


def test_a_number_of_accumulated_batches_that_cannot_be_is_refused():
    for wrong in (1, 0, 2.5, True, "2"):
        with pytest.raises(ValueError, match=f"accumulate must be None or a whole number of at least 2; received {wrong!r}"):
            Pair().compile(sgd(), accumulate=wrong)
    with pytest.raises(ValueError, match="accumulate=2, but the optimizer of 'left' has gradient_accumulation_steps=3"):
        Pair().compile(sgd(gradient_accumulation_steps=3), accumulate=2)
    model = Pair()
    model.compile(sgd())
    with pytest.raises(ValueError, match="accumulate=2, but the optimizer of 'left' has variables without those"):
        model.compile(model.player_optimizers, accumulate=2)
    with two_devices().scope(), pytest.raises(ValueError, match="'left' has gradient_accumulation_steps=2.*replicas"):
        Pair().compile(sgd(), accumulate=2)


# ---- clipping


class Sloped(Pair):
    """One player, whose loss on images of mean m has the gradients 3 m - 1 and 4 m, at any weights."""

    def players(self):
        return {"all": Player((self.left, self.right))}

    def update(self, batch):
        def losses_fn():
            m = tf.reduce_mean(batch["image"])
            return {"left_loss": (3.0 * m - 1.0) * self.left.read() + 4.0 * m * self.right.read()}

        return self.step_players({"all": "left_loss"}, losses_fn)


# The images are 0 and 1: the gradient is (0.5, 2), of norm 2.0616; that of one replica (-1, 0), of the other (2, 4).
@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("dtype", [None, pytest.param("mixed_float16", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "clip, gradient",
    [
        ({"global_clipnorm": 1.0}, np.array([0.5, 2.0]) / np.sqrt(4.25)), ({"global_clipnorm": 3.0}, [0.5, 2.0]),
        ({"clipnorm": 0.75}, [0.5, 0.75]), ({"clipvalue": 0.6}, [0.5, 0.6]), ({"clipvalue": 0.25}, [0.25, 0.25]),
    ],
)  # fmt: skip
def test_clipping_is_of_the_gradient_of_the_global_batch(clip, gradient, dtype, replicas):
    strategy = two_devices() if replicas == 2 else None
    model = fitted(Sloped, 0.0, 1.0, steps=2, strategy=strategy, optimizer=clip, dtype=dtype)
    expected = np.array([2.0, 3.0]) - 2 * RATE * np.array(gradient)
    np.testing.assert_allclose(model.numbers, expected, rtol=1e-5)
    if replicas == 2:
        np.testing.assert_array_equal(*np.transpose([on_both(model.left.w), on_both(model.right.w)]))


# ---- loss scaling


class Overflowing(Pair):
    """The gradient of left_loss, 4 m, times the scale 32768 at the start overflows float16 where m is 1."""

    def losses(self, batch):
        m = tf.reduce_mean(tf.cast(batch["image"], tf.float16))
        left = tf.cast(self.left.read(), tf.float16) * (4.0 * m)
        return {"left_loss": tf.cast(left, tf.float32), "right_loss": self.right.read() ** 2, "mean": m}


@pytest.mark.parametrize("replicas, clip", [(1, {}), (2, {}), (2, {"clipvalue": 100.0}), (2, {"global_clipnorm": 100.0})])
def test_an_overflow_on_one_replica_skips_the_update_on_all(replicas, clip):
    strategy = two_devices() if replicas == 2 else None
    values = (0.0, 1.0) if replicas == 2 else (1.0, 1.0)
    model = fitted(Overflowing, *values, strategy=strategy, dtype="mixed_float16", optimizer=clip, ema_decay=0.5)
    scalers = model.player_optimizers
    assert all(isinstance(o, keras.optimizers.LossScaleOptimizer) for o in scalers.values())
    assert float(model.left.w.numpy()) == 2.0 and float(model.ema.named()["left/w"].numpy()) == 2.0
    assert float(model.right.w.numpy()) == pytest.approx(3.0 - RATE * 6.0, rel=1e-3), "the other player is not stopped"
    if replicas == 2:
        assert on_both(model.left.w) == [2.0, 2.0]
    assert [int(scalers[name].iterations.numpy()) for name in ("left", "right")] == [0, 1]
    assert [float(scalers[name].dynamic_scale.numpy()) for name in ("left", "right")] == [2.0**14, 2.0**15]
    model.fit(data(*values, steps=3), verbose=0)  # the scale falls until nothing overflows
    gradient, moves = 4.0 * np.mean(values), int(scalers["left"].iterations.numpy())
    assert 1 <= moves <= 3
    assert float(model.left.w.numpy()) == pytest.approx(2.0 - RATE * gradient * moves, rel=1e-3)
    if replicas == 2:
        assert on_both(model.left.w)[0] == on_both(model.left.w)[1]


# ---- averages


def test_averages_count_the_updates_of_their_player():
    model = WGANGP(image_shape=(4, 4, 1), network="mlp", width=8, latent_dim=3, discriminator_steps=3)
    model.compile(ema_decay=0.9)
    (path, kernel), *_ = [(path, v) for path, v in model.ema.groups["generator"].items() if "kernel" in path]
    assert not model.ema.groups["discriminator"]
    shadow = kernel.numpy()
    pictures = {"image": np.random.default_rng(0).random((4, 4, 4, 1), "float32")}
    for step in range(9):
        model.fit(tf.data.Dataset.from_tensors(pictures), verbose=0)
        if step % 3 == 2:
            t = step // 3  # not the step
            decay = min(0.9, (1 + t) / (10 + t))
            shadow = decay * shadow + (1 - decay) * kernel.numpy()
        np.testing.assert_allclose(model.ema.named()[path], shadow, rtol=1e-5)
    counts = {name: int(optimizer.iterations.numpy()) for name, optimizer in model.player_optimizers.items()}
    assert counts == {"generator": 3, "discriminator": 9}


def test_a_refused_batch_changes_nothing():
    """Also what does not depend on the batch: the counter of the optimiser, and a step that reads no image."""

    class Blind(Pair):
        def losses(self, batch):
            left, right = self.left.read(), self.right.read()
            return {"left_loss": left**2, "right_loss": right**2, "mean": left}

    model = fitted(Blind, 0.5, optimizer={"momentum": 0.5}, ema_decay=0.5)
    before = {key: v.numpy() for key, v in model.state().items()}
    for wrong in (2.0, np.nan):
        for _ in range(20):  # a race would be lost now and then
            with pytest.raises(tf.errors.InvalidArgumentError, match="must lie in"):
                model.fit(tf.data.Dataset.from_tensors(images(wrong)), verbose=0)
            for key, v in model.state().items():
                np.testing.assert_array_equal(v, before[key], err_msg=key)
