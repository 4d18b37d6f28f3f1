"""Spectral normalisation: layers whose kernel, as a matrix, has largest singular value 1.

Miyato, Kataoka, Koyama, Yoshida, "Spectral Normalization for Generative Adversarial Networks", ICLR 2018, arXiv:1802.05957.

    W_SN = W / sigma(W),  sigma(W) = v^T W u,  v = W u / |W u|                   (eq. 8 and algorithm 1)
    u <- W^T v / |W^T v|                                                         (one step of power iteration)
    dL/dW = (G - <G, W_SN> v u^T) / sigma,  G = dL/dW_SN                         (eq. 12)

Here W is [rest, out], the kernel with its output units last, so u and v are the paper's v and u.

What differs from the paper: the forward pass reads u and does not write it. The training loop calls `update_spectral_state`
once in each discriminator step; the authors' code iterates in every pass in training.
"""

import keras
import numpy as np
import tensorflow as tf

from tfgen.layers._reparameterized import Reparameterized

_EPSILON = 1e-12


class SpectralNorm(Reparameterized):
    """Mixin: the layer's kernel is divided by its largest singular value, which power iteration estimates.

    Attributes:
        u: float32 [out], not trainable, of norm 1: the estimate of the first right singular vector.
    """

    def build_weights(self):
        self.u = self.add_weight(
            name="u", shape=(self.raw_weight.shape[self.output_axis],), initializer=_random_direction, dtype="float32",
            trainable=False, autocast=False, aggregation="only_first_replica",
        )  # fmt: skip

    def reparameterize(self, weight):
        # |W u| equals v^T W u, and its derivative v u^T equals the derivative with v held fixed. So v is not computed.
        squared = tf.reduce_sum(tf.square(self._forward(weight)))
        return weight * tf.math.rsqrt(tf.maximum(squared, _EPSILON**2))

    def sigma(self):
        """The estimate of the largest singular value, float32 scalar; never above the true one."""
        return tf.norm(self._forward(self.raw_kernel()))

    def power_iteration(self):
        """One step: u <- normalise(W^T normalise(W u))."""
        weight = self.raw_kernel()
        v = _normalize(self._forward(weight))
        self.u.assign(_normalize(tf.linalg.matvec(self._matrix(weight), v, transpose_a=True)))

    @property
    def derived_variables(self):
        """Variables that follow from the trained weights, so an average of them has no meaning."""
        return [self.u]

    def derive(self):
        """Sets u to the first right singular vector of the kernel, without estimating it; not inside a graph.

        A kernel that is not finite has none: u stays.
        """
        matrix = np.array(keras.ops.convert_to_numpy(self._matrix(self.raw_kernel())), np.float64)
        if not np.isfinite(matrix).all():
            return
        tall = matrix.shape[0] >= matrix.shape[1]
        vector = np.linalg.eigh(matrix.T @ matrix if tall else matrix @ matrix.T)[1][:, -1]
        vector = vector if tall else matrix.T @ vector
        self.u.assign(vector / max(np.linalg.norm(vector), _EPSILON))

    def _forward(self, weight):  # W u, [rest]
        return tf.linalg.matvec(self._matrix(weight), tf.stop_gradient(tf.convert_to_tensor(self.u)))

    def _matrix(self, weight):  # [rest, out]
        if self.output_axis != -1:
            weight = tf.linalg.matrix_transpose(weight)
        return tf.reshape(weight, [-1, weight.shape[-1]])


@keras.saving.register_keras_serializable("tfgen")
class SpectralDense(SpectralNorm, keras.layers.Dense):
    """`keras.layers.Dense` with a spectrally normalised kernel; same arguments, inputs and outputs.

    Example:
        >>> kernel = keras.initializers.Constant([[4.0, 0.0], [0.0, 1.0]])
        >>> layer = tfgen.layers.SpectralDense(2, use_bias=False, kernel_initializer=kernel)
        >>> layer.build([None, 2])
        >>> for _ in range(20):
        ...     tfgen.layers.update_spectral_state(layer)
        >>> layer(tf.eye(2)).numpy().round(3).tolist()  # the kernel over 4, its largest singular value
        [[1.0, 0.0], [0.0, 0.25]]
    """


@keras.saving.register_keras_serializable("tfgen")
class SpectralConv2D(SpectralNorm, keras.layers.Conv2D):
    """`keras.layers.Conv2D` with a spectrally normalised kernel [kh * kw * in, out]; same arguments, inputs, outputs.

    This bounds the matrix, as in the paper, not the convolution as an operator.

    Example:
        >>> layer = tfgen.layers.SpectralConv2D(8, 3, strides=2, padding="same")
        >>> layer(tf.zeros([2, 8, 8, 1])).shape
        TensorShape([2, 4, 4, 8])
    """


@keras.saving.register_keras_serializable("tfgen")
class SpectralConv2DTranspose(SpectralNorm, keras.layers.Conv2DTranspose):
    """`keras.layers.Conv2DTranspose` with a spectrally normalised kernel [kh * kw * in, out]; same arguments.

    Example:
        >>> layer = tfgen.layers.SpectralConv2DTranspose(3, 4, strides=2, padding="same")
        >>> layer(tf.zeros([2, 4, 4, 8])).shape
        TensorShape([2, 8, 8, 3])
    """

    output_axis = -2  # the kernel is [kh, kw, out, in]


@keras.saving.register_keras_serializable("tfgen")
class SpectralEmbedding(SpectralNorm, keras.layers.Embedding):
    """`keras.layers.Embedding` with a spectrally normalised table [num, dim]; same arguments, inputs and outputs.

    Example:
        >>> layer = tfgen.layers.SpectralEmbedding(10, 4)
        >>> layer(tf.constant([3, 7])).shape
        TensorShape([2, 4])
    """

    embeddings = SpectralNorm.kernel


def update_spectral_state(network: keras.layers.Layer) -> None:
    """One step of power iteration for every spectrally normalised layer inside `network`, at any depth.

    Call it once in each discriminator step. It does nothing for a network without such layers.

    Example:
        >>> layer = tfgen.layers.SpectralDense(3, kernel_initializer="ones")
        >>> layer.build([None, 5])
        >>> tfgen.layers.update_spectral_state(layer)
        >>> round(float(np.linalg.norm(layer(tf.eye(5)), 2)), 2)  # the largest singular value
        1.0
    """
    for layer in network._flatten_layers():
        if isinstance(layer, SpectralNorm):
            layer.power_iteration()


def _normalize(vector):
    return vector / tf.maximum(tf.norm(vector), _EPSILON)


def _random_direction(shape, dtype=None):
    # The seed is fixed, so that runs are reproducible; any direction that is independent of the kernel works.
    return _normalize(keras.random.normal(shape, dtype=dtype, seed=0))
