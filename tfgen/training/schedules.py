"""Learning-rate schedules that Keras does not have, and optimisers of lazy regularisation."""

import keras
import tensorflow as tf

from tfgen import settings
from tfgen.settings import PositiveInt


@keras.saving.register_keras_serializable("tfgen")
class HeldDecay(keras.optimizers.schedules.LearningRateSchedule):
    """The rate r until step `held` * `decay_steps`, then r (1 - step / decay_steps) / (1 - held), which ends at 0.

    Args:
        initial_learning_rate: r.
        decay_steps: the step at which the rate is 0.
        held: fraction of the steps with a constant rate, in [0, 1).

    Raises:
        ValueError: `held` is not in [0, 1).
    """

    def __init__(self, initial_learning_rate, decay_steps, held):
        if not 0.0 <= held < 1.0:
            raise ValueError(f"held must be in [0, 1), a fraction of the steps; received {held!r}.")
        self.initial_learning_rate, self.decay_steps, self.held = initial_learning_rate, decay_steps, held

    def __call__(self, step):
        left = 1.0 - tf.cast(step, tf.float32) / self.decay_steps
        return self.initial_learning_rate * tf.clip_by_value(left / (1.0 - self.held), 0.0, 1.0)

    def get_config(self):
        return {name: getattr(self, name) for name in ("initial_learning_rate", "decay_steps", "held")}


def lazy(optimizer: keras.optimizers.Optimizer | dict | str, interval: PositiveInt) -> keras.optimizers.Optimizer:
    """A new optimiser like another, for a regularisation that has an update of its own after every `interval`-th update.

    Karras et al. 2020, arXiv:1912.04958, appendix B: with c = interval / (interval + 1) the rate is multiplied by c, and the
    decays `beta_1` and `beta_2` (of RMSprop `rho`) get the exponent c, so that one interval has the same effect as without
    the further update.

    Example:
        >>> optimizer = tfgen.training.schedules.lazy(keras.optimizers.Adam(2e-3, beta_1=0.0, beta_2=0.99), 16)
        >>> round(float(optimizer.learning_rate), 8), round(optimizer.beta_2, 8)
        (0.00188235, 0.99058546)

    Args:
        optimizer: a Keras optimizer, its name or its config dict. It is not changed.
        interval: a whole number >= 1.

    Raises:
        ValueError: `interval` is no such number, or the rate is a schedule, whose values cannot be multiplied.
    """
    settings.check(lazy, interval=interval)
    optimizer = keras.optimizers.get(optimizer)
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return keras.optimizers.LossScaleOptimizer(lazy(optimizer.inner_optimizer, interval))
    config, share = optimizer.get_config(), interval / (interval + 1)
    if not isinstance(config["learning_rate"], (int, float)):
        raise ValueError(f"lazy needs an optimizer with a number as its rate; received {config['learning_rate']}.")
    config["learning_rate"] *= share
    for name in {"beta_1", "beta_2", "rho"} & config.keys():
        config[name] **= share
    return type(optimizer).from_config(config)
