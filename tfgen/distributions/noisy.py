"""Densities convolved with a unit box: those of latents plus uniform noise in (-1/2, 1/2).

Balle, Laparra, Simoncelli 2017, arXiv:1611.01704, eq. 9 and 10. With the cumulative c of a density,

    p(v) = c(v + 1/2) - c(v - 1/2)

is the density of the latent plus noise. At a whole number it is also the probability that the rounded latent is this number.
So the rate under noise, which has gradients, takes the place of the length of the code.
"""

import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions.fixed_event import FixedEvent

tfd = tfp.distributions


def logistic_mass(lower, upper):
    """log(sigmoid(upper) - sigmoid(lower)), exact also where both sigmoids are nearly 0 or both nearly 1.

    Computed as log sigmoid(u) + log sigmoid(-l) + log(1 - exp(l - u)), without a difference of nearly equal numbers.

    Args:
        lower, upper: float tensors, lower < upper.
    """
    return -tf.nn.softplus(-upper) - tf.nn.softplus(lower) + tfp.math.log1mexp(upper - lower)


class NoisyNormal(FixedEvent):
    """N(0, scale^2) convolved with a unit box (Balle et al. 2018, arXiv:1802.01436, eq. 7 and 8).

    Args:
        scale: float tensor, positive.
    """

    def __init__(self, scale, validate_args=False, name="NoisyNormal"):
        parameters = dict(locals())
        self.scale = tf.convert_to_tensor(scale, tf.float32)
        super().__init__(parameters, name, reparameterized=True, validate_args=validate_args)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {"scale": tfp.util.ParameterProperties()}

    def _log_prob(self, value):
        # By symmetry in the lower tail, where the cumulatives are small and their logarithms exact.
        value, normal = -tf.abs(value), tfd.Normal(tf.zeros([]), tf.ones([]))
        upper, lower = normal.log_cdf((value + 0.5) / self.scale), normal.log_cdf((value - 0.5) / self.scale)
        return upper + tfp.math.log1mexp(upper - lower)

    def _sample_n(self, n, seed=None):
        normal, box = tfp.random.split_seed(seed, n=2, salt="NoisyNormal")
        drawn = tfd.Normal(0.0, self.scale).sample(n, seed=normal)
        return drawn + tfd.Uniform(-0.5, 0.5).sample(tf.shape(drawn), seed=box)

    def _mean(self):
        return tf.zeros_like(self.scale)

    def _variance(self):
        return self.scale**2 + 1 / 12
