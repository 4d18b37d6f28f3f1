"""How the parameters that a network gives for each pixel become a distribution over images, and how pixels are drawn.

A likelihood is what an autoregressive model uses of its output distribution. Pixel values are levels 0 ... levels - 1, as
float32. Uniform numbers in (0, 1) are turned into pixels by the inverse of the distribution function, so a pixel is a
function of its uniforms and of its parameters, and an image of all uniforms: they are the model's latents.
"""

import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


class CategoricalPixels:
    """Every level of every channel has a logit of its own; channels are drawn one after the other.

    van den Oord, Kalchbrenner, Kavukcuoglu 2016, arXiv:1601.06759, section 2.2. Binary images have one logit, of level 1.

    Args:
        levels: at least 2.
        channels: C.

    Attributes:
        num_parameters: of a pixel, in C equal blocks.
        num_uniforms: of a pixel.
        passes: of the network for one pixel.
    """

    def __init__(self, levels, channels):
        self.levels, self.channels = levels, channels
        self.num_parameters = channels * (levels if levels > 2 else 1)
        self.num_uniforms = self.passes = channels

    def distribution(self, parameters):
        """Of parameters float32 [B, H, W, num_parameters]: event shape [H, W, C], values are levels."""
        if self.levels == 2:
            return tfd.Independent(tfd.Bernoulli(logits=parameters, dtype=tf.float32), 3)
        shape = tf.concat([tf.shape(parameters)[:-1], [self.channels, self.levels]], axis=0)
        return tfd.Independent(tfd.Categorical(logits=tf.reshape(parameters, shape), dtype=tf.float32), 3)

    def draw(self, parameters, uniforms, pixel, channel):
        """The pixel with its next channel.

        Args:
            parameters: float32 [B, num_parameters].
            uniforms: float32 [B, num_uniforms].
            pixel: levels float32 [B, C]; the channels before `channel` are drawn.
            channel: int.
        """
        uniform = uniforms[:, channel]
        if self.levels == 2:
            drawn = tf.cast(uniform > tf.sigmoid(-parameters[:, channel]), tf.float32)
        else:
            logits = parameters[:, channel * self.levels : (channel + 1) * self.levels]
            below = tf.cumsum(tf.nn.softmax(logits), axis=-1)[:, :-1]  # P(x <= level), but for the last
            drawn = tf.reduce_sum(tf.cast(uniform[:, None] > below, tf.float32), axis=-1)
        return tf.where(tf.range(self.channels) == channel, drawn[:, None], pixel)
