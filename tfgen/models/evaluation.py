"""Keras' `evaluate` and `predict`, which depend on the capabilities of the model."""

import inspect
from collections.abc import Callable

import keras
import tensorflow as tf
from absl import logging

from tfgen import fields
from tfgen.models.capabilities import PREDICTING, Capability
from tfgen.training.functions import make_step_function


class EvaluationMixin:
    """The part of `TrainableModel` behind `evaluate`, `predict` and `validation_data` of `fit`."""

    # Of the model.
    as_batch: Callable[..., dict[str, tf.Tensor]]
    bad_step: keras.Variable
    batch_fields: Callable[[], tuple[fields.Field, ...]]
    capabilities: Callable[[], tuple[type[Capability], ...]]
    number_trackers: dict[str, keras.metrics.Metric]
    test_function: Callable | None
    trackers: dict[str, keras.metrics.Metric]

    def evaluation_fields(self) -> tuple[fields.Field, ...]:
        """The fields of a batch of `evaluate`, a tuple of `tfgen.fields.Field`; by default those of training."""
        return self.batch_fields()

    def evaluation_losses(self, batch: dict) -> dict[str, tf.Tensor]:
        """The losses of a batch in `evaluate`. The noise depends only on the seed, and no variable changes.

        By default {}: the losses of a GAN do not measure how good its samples are. The numbers of the capabilities are added
        by `evaluate`, see `Capability.number_of`.

        Args:
            batch: a dict of checked fields.

        Returns:
            {name of `loss_names`: scalar mean over the batch, or float32 [B]}.
        """
        return {}

    def test_step(self, data: object) -> dict[str, tf.Tensor]:
        self._check_evaluation()
        wanted = self.evaluation_fields()
        batch = self.as_batch(data, wanted)
        values = self.evaluation_losses(batch)
        for capability in self.capabilities():
            if capability.NUMBER and capability.NUMBER not in values:
                number = capability.number_of(self, batch, values)
                values = values if number is None else {**values, capability.NUMBER: number}
        if not values:
            self._refuse_evaluation()
        trackers, size = {**self.trackers, **self.number_trackers}, tf.shape(batch[wanted[0].name])[0]
        for name, value in values.items():  # a mean is weighted by the number of images
            trackers[name].update_state(value, None if value.shape.rank else size)
        return {name: trackers[name].result() for name in values}

    def predict_step(self, data: object) -> tf.Tensor:
        for capability in PREDICTING:
            if capability in self.capabilities():
                return capability.prediction_of(self, data)
        raise ValueError(f"{type(self).__name__} has none of the capabilities that predict: "
            f"{', '.join(capability.__name__ for capability in PREDICTING)}."
        )

    def _check_evaluation(self):
        if type(self).evaluation_losses is EvaluationMixin.evaluation_losses and not any(
            capability.NUMBER for capability in self.capabilities()
        ):
            self._refuse_evaluation()

    def _refuse_evaluation(self):
        raise ValueError(
            f"{type(self).__name__} has no loss or number to evaluate on images. Measure its samples with tfgen.metrics or "
            "`tfgen evaluate`, and call fit without validation_data and validation_split."
        )

    def fit(self, *args, **kwargs) -> keras.callbacks.History:
        """As `keras.Model.fit`; for the data see `TrainableModel`. Logs a warning at the end if a loss was not finite.

        Raises:
            ValueError: `class_weight` or `sample_weight` is given, or validation data for a model that cannot be evaluated.
        """
        given = self._without_weights(keras.Model.fit, args, kwargs)
        if given.get("validation_data") is not None or given.get("validation_split"):
            self._check_evaluation()
        before = int(self.bad_step.value.numpy())
        history = super().fit(*args, **kwargs)  # type: ignore[misc]  # of Keras
        bad = int(self.bad_step.value.numpy())
        if bad != before:
            logging.warning(
                "A loss of %s was not finite, first at step %d, and the weights since then are of no use. The callback "
                "tfgen.training.StopOnNonFinite() stops there and says more.", type(self).__name__, bad
            )  # fmt: skip
        return history

    def evaluate(self, *args, **kwargs) -> float | list | dict:
        """As `keras.Model.evaluate`; for the numbers see `TrainableModel`. Raises ValueError if `sample_weight` is given."""
        self._without_weights(keras.Model.evaluate, args, kwargs)
        found = super().evaluate(*args, **kwargs)  # type: ignore[misc]  # of Keras
        return tf.nest.map_structure(float, found)  # Keras returns tensors if a model has further metrics

    def _without_weights(self, verb, args, kwargs):
        """{argument: value} of a call of Keras' `fit` or `evaluate`. Raises ValueError if weights are given.

        Keras would ignore weights if there are no labels.
        """
        given = inspect.signature(verb).bind(self, *args, **kwargs).arguments
        for name in ("class_weight", "sample_weight"):
            if given.get(name) is not None:
                raise ValueError(
                    f"{type(self).__name__}.{verb.__name__} takes no {name}: its losses are means over the batch."
                )
        return given

    def make_test_function(self, force: bool = False) -> Callable:
        if self.test_function is None or force:
            self.test_function = make_step_function(
                self, self.test_step, lambda batch: self.as_batch(batch, self.evaluation_fields())
            )
        return self.test_function
