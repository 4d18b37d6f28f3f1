"""What spectral norm and weight norm have in common: the kernel that a layer uses is a function of the one it learns."""

import keras
import tensorflow as tf


class Reparameterized:
    """Mixin, to stand before a Keras layer with a kernel (or embeddings): `kernel` becomes `reparameterize(raw_weight)`.

    The optimiser sees `raw_weight`, float32 and of the kernel's shape; a forward pass reads `kernel` once. A subclass adds
    its other weights in `build_weights()`, and takes the axis of the output units from `output_axis`.
    """

    output_axis = -1

    def build_weights(self):
        """Adds the weights of the map; `raw_weight` exists."""

    def reparameterize(self, weight):
        """The effective kernel, float32, of the raw one, float32."""
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
        # Norms are taken in float32 whatever the layer computes in, so this variable must not be cast when it is read.
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
        # The transposed convolution assigns here the variable that `add_weight` has just kept.
        if value is not self.raw_weight:
            raise AttributeError(f"The kernel of layer {self.name!r} is computed; assign to its raw_weight instead.")

    def raw_kernel(self):
        return tf.cast(tf.convert_to_tensor(self.raw_weight), tf.float32)

    # Keras' own Dense and Embedding save the effective kernel in place of the learnt one, and no further weights.
    def save_own_variables(self, store):
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store):
        keras.layers.Layer.load_own_variables(self, store)
