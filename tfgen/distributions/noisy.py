"""Densities convolved with a unit box: those of latents plus uniform noise in (-1/2, 1/2).

Balle, Laparra, Simoncelli 2017, arXiv:1611.01704, eq. 9 and 10. With the cumulative c of a density,

    p(v) = c(v + 1/2) - c(v - 1/2)

is the density of the latent plus noise. At a whole number it is also the probability that the rounded latent is this number.
So the rate under noise, which has gradients, takes the place of the length of the code.
"""

import math

import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions.fixed_event import FixedEvent
from tfgen.distributions.log1mexp import log1mexp

tfd = tfp.distributions

_WIDE = 512.0  # above this scale the box is so narrow, compared with the normal, that a difference of cumulatives is inexact


def logistic_mass(lower, upper):
    """log(sigmoid(upper) - sigmoid(lower)), exact also where both sigmoids are nearly 0 or both nearly 1.

    Computed as log sigmoid(u) + log sigmoid(-l) + log(1 - exp(l - u)), without a difference of nearly equal numbers.

    Args:
        lower, upper: float tensors, lower < upper.
    """
    # A difference below the spacing of float32 is only rounding, and may be 0.
    spacing = 2.0**-24 * tf.stop_gradient(tf.maximum(tf.abs(lower), tf.abs(upper)))
    difference = tf.maximum(upper - lower, tf.maximum(spacing, 1e-30))
    return -tf.nn.softplus(-upper) - tf.nn.softplus(lower) + log1mexp(difference)


def normal_log_cdf(x):
    """ln of the standard normal's cumulative at a float32 tensor.

    The gradients of TensorFlow Probability's function are NaN below -1e6.
    """
    far = x < -1e5
    near, tail = tf.where(far, 0.0, x), tf.where(far, x, -1e5)
    asymptote = -0.5 * tail**2 - tf.math.log(-tail) - 0.5 * math.log(2.0 * math.pi)
    return tf.where(far, asymptote, tfd.Normal(tf.zeros([]), tf.ones([])).log_cdf(near))


class NoisyNormal(FixedEvent):
    """N(0, scale^2) convolved with a unit box (Balle et al. 2018, arXiv:1802.01436, eq. 7 and 8).

    Example:
        >>> distribution = tfgen.distributions.NoisyNormal(tf.constant(1e-3))  # almost the unit box
        >>> [round(float(distribution.prob(value)), 3) for value in (0.0, 0.4, 0.6)]
        [1.0, 1.0, 0.0]

    Args:
        scale: float tensor, positive.
    """

    def __init__(self, scale: tf.Tensor, validate_args: bool = False, name: str = "NoisyNormal"):
        parameters = dict(locals())
        self.scale = tf.convert_to_tensor(scale, tf.float32)
        super().__init__(parameters, name, reparameterized=True, validate_args=validate_args)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {"scale": tfp.util.ParameterProperties()}

    def _log_prob(self, value):
        # The density is symmetric; in the lower tail the cumulatives are small and their logarithms exact.
        value = -tf.abs(value)
        wide = self.scale > _WIDE
        scale = tf.where(wide, 1.0, self.scale)
        upper, lower = normal_log_cdf((value + 0.5) / scale), normal_log_cdf((value - 0.5) / scale)
        return tf.where(wide, self._wide_log_prob(value), upper + log1mexp(upper - lower))

    def _wide_log_prob(self, value):
        """For scales far above 1: exp(-(v + u)^2 / 2 s^2) over the box, without its factor exp(-u^2 / 2 s^2), which is 1.

        That is the normal density times sinh(y) / y, y = v / 2 s^2.
        """
        scale = tf.where(self.scale > _WIDE, self.scale, _WIDE)
        y = tf.abs(value) / (2.0 * scale**2)
        far = y > 0.1
        large, small = tf.where(far, y, 1.0), tf.where(far, 0.0, y)
        growth = tf.where(far, large + log1mexp(2.0 * large) - tf.math.log(2.0 * large), small**2 / 6.0 - small**4 / 180.0)
        return growth - 0.5 * (value / scale) ** 2 - tf.math.log(scale) - 0.5 * math.log(2.0 * math.pi)

    def _sample_n(self, n, seed=None):
        normal, box = tfp.random.split_seed(seed, n=2, salt="NoisyNormal")
        drawn = tfd.Normal(0.0, self.scale).sample(n, seed=normal)
        return drawn + tfd.Uniform(-0.5, 0.5).sample(tf.shape(drawn), seed=box)

    def _mean(self):
        return tf.zeros_like(self.scale)

    def _variance(self):
        return self.scale**2 + 1 / 12
