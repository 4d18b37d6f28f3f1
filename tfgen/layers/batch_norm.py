"""Batch normalisation with TensorFlow's fused kernel, which Keras 3 does not use.

Ioffe, Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift", ICML 2015,
arXiv:1502.03167.
"""

import contextlib
import threading

import keras
import tensorflow as tf

from tfgen.layers.instance_norm import normalize_maps

# Of each thread, since MirroredStrategy traces its replicas in threads that take turns.
_UNMOVED = threading.local()


@keras.saving.register_keras_serializable("tfgen")
class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization`, faster in training on maps [B, H, W, C]; same arguments, weights and results.

    With several replicas, and for other inputs, it is Keras' layer.

    Example:
        >>> layer = tfgen.layers.BatchNormalization(epsilon=0.0)
        >>> layer(tf.constant([[1.0], [3.0]]), training=True).numpy().round(3).tolist()
        [[-1.0], [1.0]]
    """

    @property
    def momentum(self) -> float:
        """The share of the old statistics that a step keeps; 1 within `statistics_unmoved`."""
        return 1.0 if self in getattr(_UNMOVED, "norms", ()) else self._momentum

    @momentum.setter
    def momentum(self, value):
        self._momentum = value

    def call(self, inputs, training=None, mask=None):
        context = tf.distribute.get_replica_context()
        replicas = 1 if context is None else context.num_replicas_in_sync
        fused = training and self.trainable and mask is None and len(inputs.shape) == 4 and self.axis in (-1, 3)
        if not fused or replicas > 1:
            return super().call(inputs, training=training, mask=mask)
        x = tf.cast(inputs, tf.float32)
        gain = tf.cast(tf.convert_to_tensor(self.gamma), tf.float32) if self.scale else tf.ones([x.shape[-1]])
        offset = tf.cast(tf.convert_to_tensor(self.beta), tf.float32) if self.center else tf.zeros([x.shape[-1]])
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(x, gain, offset, epsilon=self.epsilon, is_training=True)
        # The kernel divides the variance by n - 1, Keras by n.
        count = tf.cast(tf.size(x) / x.shape[-1], tf.float32)
        variance *= (count - 1.0) / count
        for kept, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            kept.assign(self.momentum * tf.convert_to_tensor(kept) + (1.0 - self.momentum) * value)
        return tf.cast(outputs, self.compute_dtype)

    def of_each_image(self, inputs: tf.Tensor) -> tf.Tensor:
        """Each image of [B, H, W, C] with its own statistics, as in training with batches of one. No variable changes."""
        x = normalize_maps(tf.cast(inputs, tf.float32), self.epsilon)
        if self.scale:
            x *= tf.cast(tf.convert_to_tensor(self.gamma), tf.float32)
        if self.center:
            x += tf.cast(tf.convert_to_tensor(self.beta), tf.float32)
        return tf.cast(x, self.compute_dtype)


def norms_of(network: keras.layers.Layer) -> list[keras.layers.BatchNormalization]:
    """The batch norm layers of a network."""
    return [layer for layer in network._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]


@contextlib.contextmanager
def statistics_unmoved(*networks: keras.layers.Layer):
    """Within it, training passes of networks use the statistics of their batch and leave the moving ones as they are.

    Raises:
        TypeError: a batch norm layer that is not tfgen's `BatchNormalization`.
    """
    norms = [norm for network in networks for norm in norms_of(network)]
    for norm in norms:
        if not isinstance(norm, BatchNormalization):
            raise TypeError(f"The layer '{norm.name}' must be a tfgen.layers.BatchNormalization; received {type(norm)}.")
    before = getattr(_UNMOVED, "norms", ())
    _UNMOVED.norms = (*before, *norms)
    try:
        yield
    finally:
        _UNMOVED.norms = before
