"""Base of spectral norm and weight norm: the kernel that a layer uses is a function of the kernel that it learns."""

from typing import TYPE_CHECKING

import keras
import tensorflow as tf

if TYPE_CHECKING:
    from keras.layers import Layer as _Layer
else:
    _Layer = object


class Reparameterized(_Layer):
    """Mixin for a Keras layer with a kernel (or embeddings): `kernel` becomes `reparameterize(raw_weight)`.

    It is the first base class. The trained variable is `raw_weight`, float32, of the kernel's shape; a forward pass reads
    `kernel` once. A subclass adds its other weights in `build_weights()`; `output_axis` is the axis of the output units.
    """

    built: bool
    output_axis = -1

    def build_weights(self):
        """Adds the weights of `reparameterize`; `raw_weight` is already there."""

    def reparameterize(self, weight):
        """The effective kernel, float32, of the raw weight, float32."""
        raise NotImplementedError(f"{type(self).__name__} must implement reparameterize(weight).")

    def build(self, input_shape=None):
        if self.built:
            return
        super().build(input_shape)
        self.build_weights()
        self.built = True

    def add_weight(self, *args, name=None, **kwargs):
        if name not in ("kernel", "embeddings"):
            return super().add_weight(*args, name=name, **kwargs)
        # Norms are computed in float32 in every dtype policy, so this variable must not be cast when it is read.
        self.raw_weight = super().add_weight(*args, name=name, autocast=False, **kwargs)
        return self.raw_weight

    @property
    def kernel(self):
        """The effective kernel, in the compute dtype."""
        if not self.built:
            raise AttributeError(f"Layer {self.name!r} has no kernel before it is built.")
        return tf.cast(self.reparameterize(self.raw_kernel()), self.compute_dtype)

    @kernel.setter
    def kernel(self, value):
        # The transposed convolution assigns the variable of `add_weight` here.
        if value is not self.raw_weight:
            raise AttributeError(f"The kernel of layer {self.name!r} is computed; assign to its raw_weight instead.")

    def raw_kernel(self):
        return tf.cast(tf.convert_to_tensor(self.raw_weight), tf.float32)

    # Keras' Dense and Embedding would save the effective kernel instead of the learned one, and no further weights.
    def save_own_variables(self, store):
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store):
        keras.layers.Layer.load_own_variables(self, store)
