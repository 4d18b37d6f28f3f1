import functools

import keras
import numpy as np
import tensorflow as tf

from tests.owned import owned, owned_variables
from tfgen.models import DCGAN


class Slotted:
    __slots__ = ("inside",)


class Owner:
    """Variables in every place where an object may keep one."""

    def __init__(self):
        self.keras, self.tensorflow = keras.Variable([1.0]), tf.Variable([2.0])
        self.some = [keras.Variable([3.0]), {"key": (keras.Variable([4.0]), {tf.Module()})}]
        self._private = self.some  # a second way to the same
        self.layer = keras.layers.Dropout(0.5, seed=5)
        self.network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        self.slotted = Slotted()
        self.slotted.inside = tf.Variable(6)
        hidden = keras.Variable([7.0])
        self.function = functools.partial(lambda scale: scale * hidden, 2.0)
        self.optimizer = keras.optimizers.SGD(0.5, momentum=0.9)
        self.optimizer.build([self.keras])
        self.metric = keras.metrics.Mean()
        self.itself = self


def test_variables_are_found_wherever_they_are_kept():
    owner = Owner()
    found = owned_variables(owner)
    assert {path: value.tolist() for path, value in found.items() if path.count(".") < 2 or "slotted" in path} == {
        ".keras": [1.0], ".tensorflow": [2.0], "._private[0]": [3.0], "._private[1]['key'][0]": [4.0], ".slotted.inside": 6,
    }  # fmt: skip
    assert [7.0] in [value.tolist() for value in found.values()]
    expected = {id(v) for v in (*owner.network.variables, *owner.optimizer.variables, *owner.layer.variables)}
    assert expected and expected <= {id(v) for v in owned(owner).values()}
    assert not {id(v) for v in owner.metric.variables} & {id(v) for v in owned(owner).values()}
    assert len(found) == 6 + len(expected)


def test_all_of_a_model_is_found_at_paths_that_do_not_depend_on_what_was_built_before():
    def compiled():
        model = DCGAN(image_shape=(8, 8, 1), width=4, stages=1, latent_dim=2)
        model.compile(ema_decay=0.9, run_eagerly=True)
        model.fit(np.zeros([2, 8, 8, 1], "float32"), verbose=0)
        return model

    first = compiled()
    keras.layers.Dense(3).build((None, 2))
    second = compiled()
    assert owned(first).keys() == owned(second).keys()
    found = {id(v) for v in owned(first).values()}
    metrics = {id(v) for metric in first.metrics for v in metric.variables}
    for some in (first.variables, first.optimizer.variables, first.discriminator_optimizer.variables, first.ema.shadows):
        assert {id(v) for v in some} - metrics <= found
    assert not metrics & found
