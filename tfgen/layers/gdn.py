"""Generalised divisive normalisation, which makes the responses of filters to natural images nearly independent.

Balle, Laparra, Simoncelli, "Density Modeling of Images using a Generalized Normalization Transformation", ICLR 2016,
arXiv:1511.06281; in this form "End-to-end Optimized Image Compression", ICLR 2017, arXiv:1611.01704, eq. 1 and 2.

    GDN    v_i = w_i / sqrt(beta_i + sum_j gamma_ij w_j^2)
    IGDN   w_i = v_i * sqrt(beta_i + sum_j gamma_ij v_j^2)       one fixed-point step, not the exact inverse

The sums run over the channels at one position. To keep beta > 0 and gamma >= 0, p = sqrt(value + e) is learned instead of a
value, with value = max(p, bound)^2 - e and e = 2^-36. The square has no slope at 0, so the bound is above 0.
"""

import keras
import tensorflow as tf

_PEDESTAL = 2.0**-36
_SMALLEST_BETA = 1e-6


def lower_bound(inputs, bound):
    """max(inputs, bound). Below the bound, gradients that raise the inputs pass; others are 0.

    With the gradient of a plain maximum a value below the bound would stay there.

    Args:
        inputs: float tensor.
        bound: float, or a tensor of the same shape.
    """

    @tf.custom_gradient
    def bounded(x):
        limit = tf.cast(bound, x.dtype)

        def gradient(upstream):
            # Descent moves against the gradient: a negative gradient raises x.
            return tf.where((x >= limit) | (upstream < 0), upstream, tf.zeros_like(upstream))

        return tf.maximum(x, limit), gradient

    return bounded(inputs)


@keras.saving.register_keras_serializable("tfgen")
class GDN(keras.layers.Layer):
    """Divisive normalisation across channels, or its approximate inverse: [B, H, W, C] -> same, computed in float32.

    Example:
        >>> layer, inverse = tfgen.layers.GDN(), tfgen.layers.GDN(inverse=True)
        >>> x = tf.fill([1, 2, 2, 1], 10.0)
        >>> [round(float(f(x)[0, 0, 0, 0]), 3) for f in (layer, inverse)]  # 10 over and times sqrt(1 + 0.1 10^2)
        [3.015, 33.166]

    Args:
        inverse: whether this is IGDN.
        gamma_init: gamma starts as `gamma_init` times the identity; beta starts as 1.

    Raises:
        ValueError: inputs that are not [B, H, W, C].
    """

    def __init__(self, inverse: bool = False, gamma_init: float = 0.1, **kwargs):
        super().__init__(**kwargs)
        if gamma_init < 0:
            raise ValueError(f"gamma_init must not be negative; received {gamma_init}.")
        self.inverse, self.gamma_init = bool(inverse), float(gamma_init)

    def get_config(self):
        return {**super().get_config(), "inverse": self.inverse, "gamma_init": self.gamma_init}

    def build(self, input_shape):
        if len(input_shape) != 4:
            raise ValueError(f"GDN needs [batch, height, width, channels]; received shape {input_shape}.")
        channels = input_shape[-1]
        settings = {"dtype": "float32", "autocast": False}
        self.raw_beta = self.add_weight(
            name="raw_beta", shape=(channels,), initializer=lambda shape, dtype: to_raw(tf.ones(shape, dtype)), **settings
        )
        self.raw_gamma = self.add_weight(  # [j, i] of gamma_ij: the kernel of a 1x1 convolution
            name="raw_gamma", shape=(channels, channels),
            initializer=lambda shape, dtype: to_raw(self.gamma_init * tf.eye(shape[0], dtype=dtype)), **settings,
        )  # fmt: skip

    @property
    def beta(self) -> tf.Tensor:
        """float32 [C], at least 1e-6."""
        return _value(tf.convert_to_tensor(self.raw_beta), _SMALLEST_BETA)

    @property
    def gamma(self) -> tf.Tensor:
        """float32 [C, C], not negative; [j, i] is the weight of channel j in the norm of channel i."""
        return _value(tf.convert_to_tensor(self.raw_gamma), 0.0)

    def call(self, inputs):
        x = tf.cast(inputs, tf.float32)
        # A 1x1 convolution: TensorFlow 2.16's broadcasting matmul of rank 4 is not safe.
        norm = tf.nn.conv2d(x * x, self.gamma[None, None], strides=1, padding="VALID") + self.beta
        x = x * (tf.sqrt(norm) if self.inverse else tf.math.rsqrt(norm))
        return tf.cast(x, inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape


def to_raw(value):
    """The stored number p of a value of beta or gamma."""
    return tf.sqrt(value + _PEDESTAL)


def _value(raw, minimum):
    return lower_bound(raw, (minimum + _PEDESTAL) ** 0.5) ** 2 - _PEDESTAL
