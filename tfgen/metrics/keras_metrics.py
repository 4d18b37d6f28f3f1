"""Metrics that Keras can compute while it trains: those that are a mean over examples.

The others are no Keras metrics on purpose. A Keras metric is a few float32 variables per replica, added up over
replicas and cleared after each epoch. The Fréchet distance needs a covariance in float64 and an eigendecomposition;
kernel distance, precision/recall and the sliced Wasserstein distance need all examples at once; and each of them has
a protocol (number of images, reference set) that an epoch of training batches does not keep. They run on accumulators.
Nats and bits per dimension need no class of their own: `keras.metrics.Mean` of the loss is that.
"""

import keras


class KerasConditionalAccuracy(keras.metrics.SparseCategoricalAccuracy):
    """Share of generated images that a classifier takes for the class that was asked for.

    Args:
      classify: images float32 [B, H, W, C] in [0, 1] -> logits [B, K], as a Keras model of real images does it.
      name, dtype: as for every Keras metric.
    """

    def __init__(self, classify, *, name="conditional_accuracy", dtype=None):
        if not callable(classify):
            raise ValueError(f"classify must be a function of images; received {type(classify).__name__}")
        super().__init__(name=name, dtype=dtype)
        self.classify = classify

    def update_state(self, labels, images, sample_weight=None):
        """`labels` int [B], asked for; `images` [B, H, W, C], generated."""
        super().update_state(labels, self.classify(images), sample_weight=sample_weight)
