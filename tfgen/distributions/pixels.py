"""Pixel likelihoods: from the network's parameters of each pixel to a distribution over images, and to drawn pixels.

An autoregressive model has one pixel likelihood. Pixel values are levels 0 ... levels - 1, as float32. Pixels are drawn from
uniform numbers in (0, 1) by the inverse of the distribution function. So a pixel is a function of its uniforms and its
parameters, and an image a function of all uniforms: they are the model's latents.
"""

import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


class CategoricalPixels:
    """A logit for every level of every channel; channels are drawn one after the other.

    van den Oord, Kalchbrenner, Kavukcuoglu 2016, arXiv:1601.06759, section 2.2. Binary images have one logit, for level 1.

    Args:
        levels: at least 2.
        channels: C.

    Attributes:
        num_parameters: number of parameters of a pixel, in C equal blocks.
        num_uniforms: number of uniforms of a pixel.
        passes: number of passes of the network for one pixel.
    """

    def __init__(self, levels, channels):
        self.levels, self.channels = levels, channels
        self.num_parameters = channels * (levels if levels > 2 else 1)
        self.num_uniforms = self.passes = channels

    def distribution(self, parameters):
        """The distribution of parameters float32 [B, H, W, num_parameters]: event shape [H, W, C], values are levels."""
        if self.levels == 2:
            return tfd.Independent(tfd.Bernoulli(logits=parameters, dtype=tf.float32), 3)
        shape = tf.concat([tf.shape(parameters)[:-1], [self.channels, self.levels]], axis=0)
        return tfd.Independent(tfd.Categorical(logits=tf.reshape(parameters, shape), dtype=tf.float32), 3)

    def draw(self, parameters, uniforms, pixel, channel):
        """The pixel with one more channel drawn.

        Args:
            parameters: float32 [B, num_parameters].
            uniforms: float32 [B, num_uniforms].
            pixel: levels float32 [B, C]; the channels before `channel` have been drawn.
            channel: int, the channel to draw.
        """
        uniform = uniforms[:, channel]
        if self.levels == 2:
            drawn = tf.cast(uniform > tf.sigmoid(-parameters[:, channel]), tf.float32)
        else:
            logits = parameters[:, channel * self.levels : (channel + 1) * self.levels]
            below = tf.cumsum(tf.nn.softmax(logits), axis=-1)[:, :-1]  # P(x <= level), without the last level
            drawn = tf.reduce_sum(tf.cast(uniform[:, None] > below, tf.float32), axis=-1)
        return tf.where(tf.range(self.channels) == channel, drawn[:, None], pixel)
