"""Metrics that Keras can compute during training: those that are a mean over examples.

The other metrics are accumulators instead. A Keras metric consists of a few float32 variables per replica, summed over
replicas and reset after each epoch. The Fréchet distance needs a covariance in float64 and an eigendecomposition;
kernel distance, precision/recall and the sliced Wasserstein distance need all examples at once; and all of them have
a protocol (number of images, reference set) that an epoch of training batches does not follow.
For nats and bits per dimension, use `keras.metrics.Mean` of the loss.
"""

from collections.abc import Callable

import keras


class KerasConditionalAccuracy(keras.metrics.SparseCategoricalAccuracy):
    """Share of generated images that a classifier assigns to the class they were generated for.

    Example:
        >>> brightness = lambda images: keras.ops.mean(images, axis=(1, 2)) - keras.ops.array([0.5, 0.0])  # two logits
        >>> metric = tfgen.metrics.KerasConditionalAccuracy(brightness)
        >>> metric.update_state([1, 0], keras.ops.ones([2, 8, 8, 1]))
        >>> float(metric.result())
        0.5

    Args:
      classify: function of images float32 [B, H, W, C] in [0, 1] -> logits [B, K], for instance a Keras model trained
        on real images.
      name, dtype: as for every Keras metric.
    """

    def __init__(self, classify: Callable, *, name: str = "conditional_accuracy", dtype: str | None = None):
        if not callable(classify):
            raise ValueError(f"classify must be a function of images; received {type(classify).__name__}")
        super().__init__(name=name, dtype=dtype)
        self.classify = classify

    def update_state(self, labels, images, sample_weight=None):
        """Adds generated `images` [B, H, W, C] with the `labels` int [B] that they were generated for."""
        super().update_state(labels, self.classify(images), sample_weight=sample_weight)
