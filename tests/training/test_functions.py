"""The functions of `fit`: kinds of steps, their graphs, finite data sets, phases."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.training.small import Pair, data, two_devices


class Kinds(Pair):
    """Every third step is "both", the others "left". `trail` holds the kinds of all steps as digits to base 3."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        counter = {"dtype": "int64", "trainable": False, "aggregation": "only_first_replica"}
        self.trail = keras.Variable(0, name="trail", **counter)
        object.__setattr__(self, "traced", [])

    def step_kind(self, step):
        return "both" if step % 3 == 2 else "left"

    def update(self, batch):
        self.traced.append(self.kind)
        self.trail.assign(3 * tf.convert_to_tensor(self.trail) + (2 if self.kind == "both" else 1))
        found = self.step_players({"left": "left_loss"}, lambda: self.losses(batch))
        if self.kind == "both":
            found |= self.step_players({"right": "right_loss"}, lambda: self.losses(batch))
        return found


def trail(steps):
    number = 0
    for step in range(steps):
        number = 3 * number + (2 if step % 3 == 2 else 1)
    return number


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("execution", [1, 4, pytest.param(10, marks=pytest.mark.long)])
def test_kinds_alternate_and_each_has_one_trace(execution, replicas):
    with two_devices().scope() if replicas == 2 else contextlib.nullcontext():
        model = Kinds()
        model.compile(keras.optimizers.SGD(0.01), steps_per_execution=execution)
    model.fit(data(0.25, 0.75, steps=None), steps_per_epoch=20, epochs=1, verbose=0)
    assert int(model.step.numpy()) == 20
    assert int(model.trail.numpy()) == trail(20)
    assert sorted(model.traced) == ["both"] * replicas + ["left"] * replicas
    assert int(model.player_optimizers["right"].iterations.numpy()) == 6


def test_steps_in_a_call_change_no_bit():
    found = set()
    for execution in (1, 4, 20):
        model = Kinds()
        model.compile(keras.optimizers.Adam(0.01), steps_per_execution=execution)
        model.fit(data(0.25, 0.75, steps=None), steps_per_epoch=20, epochs=1, verbose=0)
        found.add(model.numbers)
    assert len(found) == 1


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("execution", [1, 3, pytest.param(10, marks=pytest.mark.long)])
def test_a_data_set_that_ends_within_a_call(execution, replicas):
    """All its batches are trained on, once in each epoch, and the logs are the means of what there was."""
    with two_devices().scope() if replicas == 2 else contextlib.nullcontext():
        model = Kinds()
        model.compile(keras.optimizers.SGD(0.0), steps_per_execution=execution)
    source = tf.data.Dataset.from_tensor_slices(
        {"image": tf.reshape(tf.linspace(0.0, 1.0, 7), [7, 1, 1, 1, 1]) * tf.ones([7, 2, 1, 1, 1])}
    )
    logs = model.fit(source, epochs=2, verbose=0).history
    assert int(model.step.numpy()) == 14 and int(model.trail.numpy()) == trail(14)
    assert logs["mean"] == pytest.approx([0.5, 0.5]) and logs["left_loss"] == pytest.approx([0.5 * 6 + 4] * 2)


def test_the_same_graph_serves_a_rate_that_changes():
    class Fading(Kinds):
        def step_kind(self, step):
            return None

        def losses(self, batch):
            fade = tf.cast(tf.convert_to_tensor(self.step), tf.float32)
            return {**super().losses(batch), "left_loss": fade * self.left.read()}

        def update(self, batch):
            self.traced.append(self.kind)
            return self.step_players({"left": "left_loss"}, lambda: self.losses(batch))

    model = Fading()
    model.compile(keras.optimizers.SGD(0.1), steps_per_execution=5)
    model.fit(data(0.5, steps=10), verbose=0)
    assert model.traced == [None]
    assert model.numbers[0] == pytest.approx(2.0 - 0.1 * sum(range(10)), rel=1e-5)


# ---- checks of batches


@pytest.mark.parametrize("execution", [1, 4])
def test_xla_refuses_what_a_graph_refuses(execution):
    """XLA leaves out the checks of the graph that it compiles."""
    model = Kinds()
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), jit_compile=True, steps_per_execution=execution, ema_decay=0.9)
    model.fit(data(0.5, steps=4), verbose=0)
    before = {key: v.numpy() for key, v in model.state().items()}
    for wrong in (2.0, np.nan):
        with pytest.raises(tf.errors.InvalidArgumentError, match="must lie in"):
            model.fit(data(wrong, steps=4), verbose=0)
        for key, v in model.state().items():
            np.testing.assert_array_equal(v, before[key], err_msg=key)
    model.fit(data(0.5, steps=4), verbose=0)
    assert int(model.step.numpy()) == 8 and np.isfinite(model.numbers).all()


def test_xla_checks_batches_of_evaluation():
    class Evaluated(Pair):
        def evaluation_losses(self, batch):
            return {"mean": tf.reduce_mean(batch["image"])}

    model = Evaluated()
    model.compile(jit_compile=True)
    assert model.evaluate(data(0.25, 0.75, steps=1), verbose=0, return_dict=True) == {"mean": 0.5}
    with pytest.raises(tf.errors.InvalidArgumentError, match="must lie in"):
        model.evaluate(data(0.25, 2.0, steps=1), verbose=0)


@pytest.mark.parametrize("wrong", [(0.5, np.nan), (np.nan, 0.5)])
def test_several_replicas_begin_no_step_on_a_batch_that_one_refuses(wrong):
    """An error in a step may end the collectives of the process."""
    with two_devices().scope():
        model = Kinds()
        model.compile(keras.optimizers.SGD(0.01))
    for steps in range(2):
        traced = len(model.traced)
        with pytest.raises(tf.errors.InvalidArgumentError, match="must lie in"):
            model.fit(data(*wrong, steps=2), verbose=0)
        assert len(model.traced) == traced and int(model.step.numpy()) == steps
        model.fit(data(0.5, 0.5, steps=1), verbose=0)
    assert np.isfinite(model.numbers).all()


# ---- phases


class Phases(Pair):
    """A phase has four steps; each begins with fresh optimisers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        object.__setattr__(self, "begun", [])

    def phase(self, step):
        return step // 4

    def begin_phase(self, phase):
        assert not tf.inside_function()
        self.begun.append((phase, int(self.step.numpy())))
        self.reset_optimizers()


def phased(execution=1):
    model = Phases()
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), steps_per_execution=execution)
    return model


def fit(model, steps):
    model.fit(data(0.25, 0.75, steps=steps), verbose=0)


@pytest.mark.parametrize("execution", [1, 3, 10])
def test_a_phase_begins_exactly_at_its_first_step(execution):
    model = phased(execution)
    fit(model, 13)
    assert model.begun == [(1, 4), (2, 8), (3, 12)]


def test_phases_in_a_call_change_no_bit_and_reset_optimisers():
    ends = []
    for execution in (1, 10):
        model = phased(execution)
        fit(model, 10)
        ends.append(model.numbers)
    assert ends[0] == ends[1]
    left, right = 2.0, 3.0
    for step in range(10):
        if step % 4 == 0:
            speeds = [0.0, 0.0]
        speeds = [0.9 * speeds[0] - 0.01 * (0.5 * right + 2 * left), 0.9 * speeds[1] + 0.01 * 0.5 * left]
        left, right = left + speeds[0], right + speeds[1]
    assert ends[0] == pytest.approx((left, right), rel=1e-5)


@pytest.mark.parametrize(("first", "begun"), [(3, [(1, 4), (2, 8)]), (4, [(1, 4), (2, 8)]), (5, [(2, 8)]), (8, [(2, 8)])])
def test_resumed_phases_begin_as_in_an_uninterrupted_run(first, begun, tmp_path):
    whole, stopped, resumed = phased(), phased(), phased()
    fit(whole, 10)
    fit(stopped, first)
    tfgen.training.Checkpoints(stopped, tmp_path).save()
    assert tfgen.training.Checkpoints(resumed, tmp_path).restore() == first
    fit(resumed, 10 - first)
    assert resumed.begun == begun
    assert resumed.numbers == whole.numbers


def test_a_rate_that_was_set_outlives_the_reset():
    model = phased()
    model.player_optimizers["left"].learning_rate = 0.5
    fit(model, 5)
    assert float(model.player_optimizers["left"].learning_rate) == 0.5
    assert int(model.player_optimizers["left"].iterations) == 1


def test_an_unknown_kind_that_comes_up_late_is_traced_then():
    model = Kinds()
    model.compile(keras.optimizers.SGD(0.01))
    fit(model, 2)
    assert model.traced == ["left"]
    fit(model, 2)
    assert model.traced == ["left", "both"]
