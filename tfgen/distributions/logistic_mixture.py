"""Pixels whose colours are a discretized mixture of logistics.

Salimans, Karpathy, Chen, Kingma, "PixelCNN++", ICLR 2017, arXiv:1701.05517, sections 2.1 and 2.2.

    P(x) = sum_k pi_k prod_c [F((x_c - m_kc + h) / s_kc) - F((x_c - m_kc - h) / s_kc)]              F: the sigmoid
    m_kc = mu_kc + sum_{d < c} tanh(a_kcd) x_d

x lies in [-1, 1], 2h is the distance of two levels, and the bins of the lowest and of the highest level are open. All
channels of a pixel share the component k, and the mean of a channel is a linear function of the channels before it. So a
pixel is drawn in one pass of the network.
"""

import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions.discretized_logistic import level_log_prob
from tfgen.distributions.fixed_event import FixedEvent

tfd = tfp.distributions

MIN_LOG_SCALE = -7.0  # as in the authors' code; with less, nearly all mass is in one of 256 bins


class LogisticMixturePixels:
    """A mixture of logistics as a pixel likelihood, see `tfgen.distributions.pixels`.

    The parameters of a pixel are K logits of pi, K x C means mu and K x C log s (at least -7), both in units of [-1, 1], and
    K x C(C-1)/2 coefficients a, ordered (c, d) = (1, 0), (2, 0), (2, 1), ...: 10 K for colour images, 3 K for grey ones.

    Args:
        levels: at least 2.
        channels: C.
        components: K, at least 1.

    Attributes:
        num_parameters: number of parameters of a pixel.
        num_uniforms: number of uniforms of a pixel: one for the component, and one for each channel.
        passes: number of passes of the network for one pixel: 1.

    Raises:
        ValueError: components below 1.
    """

    passes = 1

    def __init__(self, levels, channels, components=10):
        if isinstance(components, bool) or not isinstance(components, int) or components < 1:
            raise ValueError(f"components must be a whole number of at least 1; received {components!r}.")
        self.levels, self.channels, self.components = levels, channels, components
        self.num_parameters = components * (1 + 2 * channels + channels * (channels - 1) // 2)
        self.num_uniforms = 1 + channels

    def distribution(self, parameters):
        """The distribution of parameters float32 [B, H, W, num_parameters]: event shape [H, W, C], values are levels."""
        return tfd.Independent(LogisticMixture(parameters, self), 2)

    def draw(self, parameters, uniforms, pixel=None, channel=0):
        """The pixel, levels float32 [..., C], of parameters [..., num_parameters] and uniforms [..., num_uniforms].

        All channels are drawn at once: `pixel` and `channel` are ignored.
        """
        logits, loc, scale, coupling = self._split(parameters)
        below = tf.cumsum(tf.nn.softmax(logits), axis=-1)[..., :-1]
        chosen = tf.reduce_sum(tf.cast(uniforms[..., :1] > below, tf.int32), axis=-1)
        chosen = tf.one_hot(chosen, self.components)[..., None]  # [..., K, 1]
        loc, scale, coupling = (tf.reduce_sum(chosen * value, axis=-2) for value in (loc, scale, coupling))
        noise = tf.math.log(uniforms) - tf.math.log1p(-uniforms)
        top, drawn = self.levels - 1, uniforms[..., :0]
        for c in range(self.channels):
            value = self._mean(c, loc, coupling, self._symmetric(drawn)) + scale[..., c] * noise[..., 1 + c]
            level = tf.clip_by_value(tf.round((value + 1.0) * (0.5 * top)), 0.0, top)
            drawn = tf.concat([drawn, level[..., None]], axis=-1)
        return drawn

    def log_prob(self, parameters, levels):
        """log P, float32 [...], of levels [..., C] given parameters float32 [..., num_parameters]."""
        logits, means, scale = self._given(parameters, levels)
        half = 0.5 * (self.levels - 1)
        found = level_log_prob(levels[..., None, :], (means + 1.0) * half, 1.0 / (scale * half), self.levels)  # [..., K, C]
        return tf.reduce_logsumexp(tf.nn.log_softmax(logits) + tf.reduce_sum(found, axis=-1), axis=-1)

    def as_quantized(self, parameters, levels):
        """The distribution as TensorFlow Probability's own classes, for given levels [B, H, W, C] of the pixels.

        The mean of each channel is computed from the given levels of the channels before it. So its `log_prob` at these
        levels, and only there, equals that of `distribution`.
        """
        logits, means, scale = self._given(parameters, levels)
        top = self.levels - 1
        logistic = tfd.Logistic((means + 1.0) * (0.5 * top), scale * (0.5 * top))
        # A quantized distribution rounds up; a shift by half a level makes it round to the nearest level.
        shifted = tfd.TransformedDistribution(logistic, tfp.bijectors.Shift(-0.5))
        components = tfd.Independent(tfd.QuantizedDistribution(shifted, low=0.0, high=float(top)), 1)
        return tfd.Independent(tfd.MixtureSameFamily(tfd.Categorical(logits), components), 2)

    def _split(self, parameters):
        """Logits [..., K], mu [..., K, C], s [..., K, C], tanh(a) [..., K, C(C-1)/2] of parameters [..., P]."""
        each = [1, self.channels, self.channels, self.channels * (self.channels - 1) // 2]
        logits, *rest = tf.split(parameters, [self.components * n for n in each], axis=-1)
        loc, log_scale, coupling = (
            tf.reshape(part, tf.concat([tf.shape(part)[:-1], [self.components, n]], axis=0))
            for part, n in zip(rest, each[1:], strict=True)
        )
        return logits, loc, tf.exp(tf.maximum(log_scale, MIN_LOG_SCALE)), tf.tanh(coupling)

    def _given(self, parameters, levels):
        """Logits [..., K], m [..., K, C], s [..., K, C], for given levels [..., C]."""
        logits, loc, scale, coupling = self._split(parameters)
        x = self._symmetric(levels)[..., None, :]
        return logits, tf.stack([self._mean(c, loc, coupling, x) for c in range(self.channels)], axis=-1), scale

    def _symmetric(self, levels):
        return 2.0 * levels / (self.levels - 1) - 1.0

    def _mean(self, c, loc, coupling, x):
        """m of channel c, [...], for mu [..., C], tanh(a) [..., C(C-1)/2] and x [..., >= c] in [-1, 1]."""
        first = c * (c - 1) // 2
        return loc[..., c] + tf.reduce_sum(coupling[..., first : first + c] * x[..., :c], axis=-1)


class LogisticMixture(FixedEvent):
    """The distribution of a pixel: event shape [C], values are levels; see `LogisticMixturePixels`.

    Args:
        outputs: float32 [..., num_parameters].
        likelihood: `LogisticMixturePixels`.
    """

    def __init__(self, outputs, likelihood, validate_args=False, name="LogisticMixture"):
        parameters = dict(locals())
        self.outputs = tf.convert_to_tensor(outputs, tf.float32)
        self.likelihood = likelihood
        super().__init__(parameters, name, event=[likelihood.channels], validate_args=validate_args)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {"outputs": tfp.util.ParameterProperties(event_ndims=1)}

    def _log_prob(self, levels):
        return self.likelihood.log_prob(self.outputs, levels)

    def _sample_n(self, n, seed=None):
        shape = tf.concat([[n], tf.shape(self.outputs)[:-1], [self.likelihood.num_uniforms]], axis=0)
        uniforms = tf.random.stateless_uniform(shape, tfp.random.sanitize_seed(seed))
        return self.likelihood.draw(self.outputs, uniforms)
