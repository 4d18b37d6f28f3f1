"""Learning-rate schedules that Keras does not have."""

import keras
import tensorflow as tf


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
