"""What the files of the conformance suite share: compiled models, short runs, comparisons."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.conformance.registry import CASES, STAND_INS, Case
from tests.seeds import set_seed
from tfgen.models import TrainableModel

SGD = {"class_name": "SGD", "config": {"learning_rate": 0.01}}
ADAM = {"class_name": "Adam", "config": {"learning_rate": 2e-3, "beta_1": 0.5}}
STEPS = 20  # of the one long run; a resumed run begins in the middle


@dataclasses.dataclass(frozen=True)
class Run:
    """A model after `STEPS` steps on one batch, and what was seen on the way.

    Attributes:
        before: the keys of its state after `compile`.
        history: {loss name: means of two steps each}.
        traces: how often `train_step` ran in Python.
        checkpoints: the folder with a checkpoint of the middle.
    """

    case: Case
    model: TrainableModel
    before: list
    history: dict
    traces: int
    checkpoints: str


def for_cases(capability=None, quick=None, only=None):
    """Marks a test to be run for every case, or for those whose models must have a capability.

    Args:
        quick: None, or the names of the only cases that do not wait for `make test-long`.
        only: None, or the names of the only cases.
    """
    cases = CASES if capability is None or _with(CASES, capability) else STAND_INS
    names = sorted(cases) if capability is None else _with(cases, capability)
    names = names if only is None else sorted(only)
    long = [name for name in names if cases[name].long or quick is not None and name not in quick]
    marked = [pytest.param(name, marks=[pytest.mark.long] * (name in long)) for name in names]
    return pytest.mark.parametrize("case", marked, indirect=True, scope="session")


def _with(cases, capability):
    return [name for name in sorted(cases) if capability in cases[name].capabilities]


def compiled(case, seed=0, optimizer=ADAM, dtype=None, ema_decay=0.9, **kwargs):
    """The case's model, its weights and noise set by `seed`."""
    set_seed(seed)
    model = case.build(seed=seed, **({"dtype": dtype} if dtype else {}))
    model.compile(optimizer, ema_decay=ema_decay, **kwargs)
    return model


def train(model, case, steps):
    """`fit` for `steps` steps on one batch, in epochs of two, or of as many as there are in a call of the graph."""
    epoch = max(2, model.steps_per_execution)
    one = tf.data.Dataset.from_tensors(case.batch()).repeat()
    return model.fit(one, epochs=steps // epoch, steps_per_epoch=epoch, verbose=0)


def sgd_run(case, seed=0, **kwargs):
    """Weights and losses after two steps of SGD, whose updates are proportional to the gradients."""
    model = compiled(case, seed, optimizer=SGD, **kwargs)
    history = train(model, case, 2).history
    return weights(model) | {name: np.array(v) for name, v in history.items()}


def resumed(run):
    """A new model after the checkpoint of the middle of the run was restored into it."""
    model = compiled(run.case)
    for variable in model.trainable_variables:  # nothing of its own start may survive
        variable.assign(tf.zeros_like(variable.value))
    assert tfgen.training.Checkpoints(model, run.checkpoints).restore() == STEPS // 2
    return model


def weights(model):
    return {key: variable.numpy() for key, variable in model.state().items()}


def assert_equal(a, b):
    assert a.keys() == b.keys()
    for key in a:
        np.testing.assert_array_equal(a[key], b[key], err_msg=key)


def assert_close(a, b, atol):
    assert a.keys() == b.keys()
    for key in a:
        np.testing.assert_allclose(a[key].astype("float64"), b[key].astype("float64"), rtol=1e-3, atol=atol, err_msg=key)
