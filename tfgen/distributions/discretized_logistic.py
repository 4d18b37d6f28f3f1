"""The logistic distribution over the grey levels of an image."""

import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions.fixed_event import FixedEvent
from tfgen.distributions.log1mexp import log1mexp

tfd = tfp.distributions


def level_log_prob(level, loc, inverse_scale, levels):
    """log of the mass of a logistic density in the bin around each level; the outermost bins are open.

    In units of levels the edges of bins are exact in float32, and the upper edge of a bin is the lower edge of the next.

    Args:
        level: float tensor, whole numbers in [0, levels - 1].
        loc, inverse_scale: float tensors, in units of levels; all three are broadcast against each other.
        levels: int >= 2.
    """
    centred = level - loc
    upper, lower = inverse_scale * (centred + 0.5), inverse_scale * (centred - 0.5)
    # log(sigmoid(u) - sigmoid(l)) = log sigmoid(u) + log sigmoid(-l) + log(1 - exp(l - u)), with u - l > 0 known
    # exactly. So no nearly equal numbers are subtracted, also far in a tail.
    first, last = -tf.nn.softplus(-upper), -tf.nn.softplus(lower)
    inner = first + last + log1mexp(inverse_scale)
    return tf.where(level <= 0, first, tf.where(level >= levels - 1, last, inner))


class DiscretizedLogistic(FixedEvent):
    """A logistic density integrated over `levels` bins of [0, 1].

    With x = i / (levels - 1) and bins of width w = 1 / (levels - 1) centred on x:

        P(x) = sigmoid((x + w/2 - loc) / scale) - sigmoid((x - w/2 - loc) / scale)

    where the first and the last bin reach to -inf and +inf, so that the probabilities of the levels sum to one
    (Salimans et al. 2017, arXiv:1701.05517, section 2.1). The convention of Kingma et al. 2016 (arXiv:1606.04934, C.5)
    differs by half a bin: there a bin starts at x.

    Example:
        >>> distribution = tfgen.distributions.DiscretizedLogistic(tf.constant(0.3), tf.constant(-2.0), levels=4)
        >>> levels = tf.range(4.0) / 3.0
        >>> round(float(tf.reduce_sum(distribution.prob(levels))), 4)
        1.0
        >>> int(tf.argmax(distribution.prob(levels)))  # the level nearest to 0.3
        1

    Args:
        loc: float tensor, in the units of x.
        log_scale: float tensor, broadcast against `loc`.
        levels: int >= 2.

    Raises:
        ValueError: `levels` below 2.
    """

    def __init__(
        self, loc: tf.Tensor, log_scale: tf.Tensor, levels: int = 256, validate_args: bool = False,
        name: str = "DiscretizedLogistic",
    ):  # fmt: skip
        parameters = dict(locals())
        if levels < 2:
            raise ValueError(f"levels must be at least 2; received {levels}.")
        self.loc = tf.convert_to_tensor(loc, tf.float32)
        self.log_scale = tf.convert_to_tensor(log_scale, tf.float32)
        self.levels = int(levels)
        super().__init__(parameters, name, validate_args=validate_args)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        properties = tfp.util.ParameterProperties
        return {"loc": properties(), "log_scale": properties()}

    def _log_prob(self, x):
        top = self.levels - 1
        level = tf.round(x * top)
        return level_log_prob(level, self.loc * top, tf.exp(-self.log_scale) / top, self.levels)

    def _sample_n(self, n, seed=None):
        top = self.levels - 1
        logistic = tfd.Logistic(self.loc, tf.exp(self.log_scale)).sample(n, seed=seed)
        return tf.clip_by_value(tf.round(logistic * top), 0, top) / top

    def _mean(self):
        # E[clip(X, 0, 1)] of the underlying logistic X; the sum over the bins is the midpoint rule for this integral.
        scale = tf.exp(self.log_scale)
        return scale * (tf.nn.softplus(self.loc / scale) - tf.nn.softplus((self.loc - 1.0) / scale))
