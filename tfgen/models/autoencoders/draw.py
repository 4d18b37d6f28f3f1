"""DRAW: a recurrent variational autoencoder that draws its image step by step.

Gregor, Danihelka, Graves, Rezende, Wierstra, "DRAW: A Recurrent Neural Network For Image Generation", ICML 2015,
arXiv:1502.04623.

The idea: the image is made in T steps. Each step draws a few latent numbers and adds something to a canvas of logits. At
every step an encoder compares the canvas with the image and gives the distribution of the next latent numbers. Encoder and
decoder may read from, and write to, a window that they place and zoom themselves (`tfgen.layers.attention_window`).

    x_hat_t = x - sigmoid(c_{t-1})                                                      (eq. 3)
    r_t = read(x, x_hat_t, h_dec_{t-1})                                                 (eq. 4)
    h_enc_t = LSTM_enc(h_enc_{t-1}, [r_t, h_dec_{t-1}])                                 (eq. 5)
    z_t ~ q(z_t | x, z_<t) = N(mean(h_enc_t), exp(linear(h_enc_t))^2)                   (eq. 1, 2, 6)
    h_dec_t = LSTM_dec(h_dec_{t-1}, z_t)                                                (eq. 7)
    c_t = c_{t-1} + write(h_dec_t)                                                      (eq. 8)
    loss = -ln p(x | sigmoid(c_T)) + sum_t KL(q(z_t | x, z_<t) || N(0, I))              (eq. 9 to 12)

All terms are sums over pixels and latent dimensions, in nats, averaged over the batch. Without attention the read is all
pixels of x and x_hat_t, and the write is a linear map to all pixels (section 3.1, eq. 17, 18).

What differs from the paper: equation 11 prints the constant of the KL term as T / 2, which is right for a z_t of one
dimension; here it is the exact KL of all dimensions. Weights start from Glorot's uniform; the paper gives no initialisation.
Without attention the encoder's map of x, which is the same at every step, has a weight of its own and is computed once: the
same function. The paper takes values between 0 and 1, of images that are not binary, as the probabilities of a binary pixel:
`likelihood="cross_entropy"`. The loss is then no likelihood; its minimum is the entropy of the pixels, not 0.
"""


from typing import Any, Literal

import keras
import tensorflow as tf
from keras import layers
from tensorflow_probability import distributions as tfd

from tfgen.layers.attention_window import AttentionWindow, from_rows, read, to_rows, write
from tfgen.layers.row_lstm import lstm
from tfgen.models.autoencoders.base import LatentVariableModel
from tfgen.settings import Count, ImageShape, PositiveInt, Seed, TwoOrMore


@keras.saving.register_keras_serializable("tfgen")
class DRAW(LatentVariableModel):
    """DRAW. Its latents are those of all steps, one step after the other: [glimpses * z_size].

    Example:
        >>> model = tfgen.models.DRAW(image_shape=(8, 8, 1), glimpses=3, hidden=16, z_size=2, read_size=2, write_size=3)
        >>> canvases, boxes = model.canvases(model.latents(tf.range(2)))
        >>> canvases.shape, boxes.shape  # the image after each step, and where the step wrote
        (TensorShape([2, 3, 8, 8, 1]), TensorShape([2, 3, 5]))

    Args:
        image_shape: (H, W, C); the channels share the windows.
        glimpses: T, number of steps.
        hidden: width of both LSTMs.
        z_size: latent dimensions of one step.
        read_size: N of the reading window's N x N filters; None: the encoder reads the whole image at every step.
        write_size: N of the writing window; None: the decoder writes to the whole canvas.
        likelihood: "bernoulli": images must be 0 or 1 (binarise them); or "cross_entropy": values in [0, 1] are
            probabilities, and the model is no Likelihood.
        seed: int, of the training noise.
    """

    def __init__(
        self, *, image_shape: ImageShape, glimpses: Count = 10, hidden: PositiveInt = 256, z_size: PositiveInt = 10,
        read_size: TwoOrMore | None = None, write_size: TwoOrMore | None = None,
        likelihood: Literal["bernoulli", "cross_entropy"] = "bernoulli", seed: Seed = 0, **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, seed=seed, **kwargs)
        self.likelihood, self.knows_likelihood = likelihood, likelihood == "bernoulli"
        self.glimpses, self.hidden, self.z_size = glimpses, hidden, z_size
        self.latent_dim = self.glimpses * self.z_size
        (height, width, channels), dtype = self.image_shape, self.dtype_policy
        pixels = height * width * channels

        def window(size, name):
            if size is None:
                return None
            layer = AttentionWindow(size, (height, width), dtype=dtype, name=name)
            layer.build((None, self.hidden))
            return layer

        def dense(inputs, units, name, **options):
            layer = layers.Dense(units, dtype=dtype, name=name, **options)
            layer.build((None, inputs))
            return layer

        self.read_window, self.write_window = window(read_size, "read_window"), window(write_size, "write_window")
        seen = 2 * channels * read_size**2 if read_size else pixels
        self.image_gates: Any = None if read_size else dense(pixels, 4 * self.hidden, "image_gates", use_bias=False)
        self.encoder_gates = dense(seen + 2 * self.hidden, 4 * self.hidden, "encoder_gates")
        self.moments = dense(self.hidden, 2 * self.z_size, "moments")  # mean and ln stddev
        self.decoder_gates = dense(self.z_size + self.hidden, 4 * self.hidden, "decoder_gates")
        self.patch = dense(self.hidden, channels * write_size**2 if write_size else pixels, "patch")
        # h and c of the encoder, h and c of the decoder; the canvas.
        settings = {"initializer": "zeros", "autocast": False}
        self.initial_states = self.add_weight(name="initial_states", shape=[4, self.hidden], **settings)
        self.initial_canvas = self.add_weight(name="initial_canvas", shape=[height, channels * width], **settings)
        self.built = True

    # ---- the recurrence; canvases are rows [B, H, C W]

    def _start(self, batch):
        """(h and c of the encoder), (h and c of the decoder, canvas) before the first step."""
        states = tf.unstack(tf.repeat(tf.convert_to_tensor(self.initial_states)[:, None], batch, axis=1))
        canvas = tf.repeat(tf.convert_to_tensor(self.initial_canvas)[None], batch, axis=0)
        return tuple(states[:2]), (*states[2:], canvas)

    def _encoder(self, images):
        """The encoder's step: states of encoder and decoder -> mean and stddev of q(z_t), encoder state, box it read."""
        rows = to_rows(images)
        flat = tf.reshape(rows, [tf.shape(rows)[0], -1])
        of_image = 0.0 if self.read_window else tf.cast(self.image_gates(flat), tf.float32)
        gates, moments = every_step(self.encoder_gates), every_step(self.moments)

        def step(encoder, decoder):
            (h, c), (h_decoder, _, canvas) = encoder, decoder
            seen, box = rows - tf.sigmoid(canvas), None
            if self.read_window:
                window = self.read_window(h_decoder)
                seen, box = read(window, tf.concat([rows, seen], axis=-1)), window.box
            seen = tf.reshape(seen, [-1, seen.shape[1] * seen.shape[2]])
            h, c = lstm(gates(seen, h, h_decoder) + of_image, c)
            mean, log_stddev = tf.split(moments(h), 2, axis=-1)
            return mean, tf.exp(log_stddev), (h, c), box

        return step

    def _decoder(self):
        """The decoder's step: (z_t, decoder state) -> next decoder state, box that it wrote to (None without attention)."""
        gates, patch_of = every_step(self.decoder_gates), every_step(self.patch)

        def step(latents, decoder):
            h, c, canvas = decoder
            h, c = lstm(gates(latents, h), c)
            patch = patch_of(h)
            if not self.write_window:
                return (h, c, canvas + tf.reshape(patch, [-1, *canvas.shape[1:]])), None
            window, size = self.write_window(h), self.write_window.size
            patch = tf.reshape(patch, [-1, size, patch.shape[1] // size])
            return (h, c, canvas + write(window, patch)), window.box

        return step

    def infer(self, images: tf.Tensor, noise: tf.Tensor) -> tuple[tfd.Distribution, tfd.Distribution]:
        """p(x|z) and q(z_t | x, z_<t) at z_t = mean_t + stddev_t * noise_t.

        Args:
            images: float32 [B, H, W, C] in [0, 1].
            noise: float32 [B, latent_dim]; with zeros every z_t is its mean.

        Returns:
            p with batch shape [B] and event shape [H, W, C]; q with batch shape [B, T] and event shape [z_size].
        """
        encode, decode = self._encoder(images), self._decoder()

        def step(noise, states):
            mean, stddev, encoder, _ = encode(*states)
            decoder, _ = decode(mean + stddev * noise, states[1])
            return (encoder, decoder), (mean, stddev)

        start = self._start(tf.shape(images)[0])
        (_, decoder), found = recur(step, self._by_step(noise), start, [[None, self.z_size]] * 2)
        mean, stddev = (tf.transpose(values, [1, 0, 2]) for values in found)
        return self._likelihood(decoder[-1]), tfd.Independent(tfd.Normal(mean, stddev), 1)

    def _likelihood(self, canvas):
        return tfd.Independent(tfd.Bernoulli(logits=from_rows(canvas, self.image_shape[2]), dtype=tf.float32), 3)

    def _by_step(self, values):
        """[B, T * Z] as [T, B, Z]."""
        return tf.transpose(tf.reshape(values, [-1, self.glimpses, self.z_size]), [1, 0, 2])

    @property
    def step_prior(self) -> tfd.Distribution:
        """p(z_t) = N(0, I), event shape [z_size]."""
        return tfd.Independent(tfd.Normal(tf.zeros(self.z_size), tf.ones(self.z_size)), 1)

    # ---- what latent-variable models do

    def posterior(self, images, training=False):
        """The factors of q with every z_t at its mean, as if they were independent: event shape [latent_dim].

        This is not q itself: each factor of q depends on the values drawn in earlier steps. `elbo` and `log_prob` use q
        itself, step by step.
        """
        _, posterior = self.infer(images, tf.zeros([tf.shape(images)[0], self.latent_dim]))
        mean, stddev = (tf.reshape(v, [-1, self.latent_dim]) for v in (posterior.mean(), posterior.stddev()))
        return tfd.Independent(tfd.Normal(mean, stddev), 1)

    def decode(self, latents, training=False):
        lead = tf.shape(latents)[:-1]
        latents = self._by_step(latents)
        step, (_, decoder) = self._decoder(), self._start(tf.shape(latents)[1])
        decoder, _ = recur(lambda z, state: (step(z, state)[0], ()), latents, decoder, [])
        return self._likelihood(tf.reshape(decoder[-1], tf.concat([lead, decoder[-1].shape[1:]], axis=0)))

    def elbo_terms(self, images, noise, training=False):
        likelihood, posterior = self.infer(images, noise)
        return likelihood.log_prob(images), tf.reduce_sum(tfd.kl_divergence(posterior, self.step_prior), axis=-1)

    def importance(self, images):
        def log_weights(noise):
            tiled = tf.tile(images, [tf.shape(noise)[0], 1, 1, 1])  # [chunk * B, H, W, C]
            likelihood, posterior = self.infer(tiled, tf.reshape(noise, [-1, self.latent_dim]))
            by_step = tf.reshape(noise, [-1, self.glimpses, self.z_size])
            latents = posterior.mean() + posterior.stddev() * by_step
            of_latents = tf.reduce_sum(self.step_prior.log_prob(latents) - posterior.log_prob(latents), axis=-1)
            return tf.reshape(likelihood.log_prob(tiled) + of_latents, tf.shape(noise)[:2])

        return log_weights

    def canvases(self, latents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
        """The steps in which the images of latents [B, latent_dim] are drawn.

        Returns:
            float32 [B, T, H, W, C] in [0, 1]: the sigmoid of the canvas after each step (probabilities of pixels after the
            last one); and float32 [B, T, 5]: the window that each step wrote to, as `Window.box` (see
            `tfgen.layers.attention_window`), or None without a writing window.
        """
        decode, latents = self._decoder(), self._by_step(latents)

        def step(z, decoder):
            decoder, box = decode(z, decoder)
            return decoder, (decoder[-1], box)

        canvas, wrote = self._drawn(step, latents, self._start(tf.shape(latents)[1])[1], [self.write_window])
        return canvas, wrote

    def redraw(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None, tf.Tensor | None]:
        """The steps in which images are read and drawn again, with every z_t at its mean.

        Args:
            images: float32 [B, H, W, C] in [0, 1].

        Returns:
            Canvases and windows that each step wrote to, as `canvases`; and float32 [B, T, 5]: those that it read, or None
            without a reading window.
        """
        images = self.check_images(images)
        encode, decode = self._encoder(images), self._decoder()

        def step(_, states):
            mean, _, encoder, seen = encode(*states)
            decoder, box = decode(mean, states[1])
            return (encoder, decoder), (decoder[-1], box, seen)

        steps = tf.zeros([self.glimpses, 1])
        return self._drawn(step, steps, self._start(tf.shape(images)[0]), [self.write_window, self.read_window])

    def _drawn(self, step, inputs, start, windows):
        """Canvases [B, T, H, W, C], and a box [B, T, 5] for each window that there is, else None."""
        height, width, channels = self.image_shape
        shapes = [[None, height, channels * width], *([None, 5] for window in windows if window)]

        def kept(one, state):
            state, found = step(one, state)
            return state, tuple(value for value in found if value is not None)

        _, (canvases, *boxes) = recur(kept, inputs, start, shapes)
        boxes = iter(boxes)
        found = [tf.transpose(next(boxes), [1, 0, 2]) if window else None for window in windows]
        return tf.transpose(tf.sigmoid(from_rows(canvases, channels)), [1, 0, 2, 3, 4]), *found

    def signatures(self):
        def outputs(canvas, wrote, seen=None):
            found = {"canvas": canvas}
            for name, boxes, window in (("", wrote, self.write_window), ("read_", seen, self.read_window)):
                if boxes is not None:  # `sides`: of the square of filters, in pixels
                    found |= {f"{name}boxes": boxes, f"{name}sides": tf.abs(boxes[..., 2]) * (window.size - 1)}
            return found

        def canvases(seeds):
            return outputs(*self.canvases(self.latents(seeds)))

        def redraw(image):
            return outputs(*self.redraw(image))

        found = super().signatures()
        inputs = {"seeds": tf.TensorSpec([None], tf.int64)}
        return {**found, "canvases": (canvases, inputs), "redraw": (redraw, found["encode"][1])}


def every_step(layer):
    """A dense layer as a function for all steps of a recurrence; call this before the loop.

    The gradient by the inputs is a product with the transposed kernel. Here the kernel is transposed once for all steps. On
    CPU the product then takes three fifths of the time of one that transposes the kernel itself.

    Args:
        layer: built, with a bias and without activation.

    Returns:
        (inputs, ...) -> float32 [B, units]: the layer on the concatenated inputs [B, D]. In mixed precision too, the states
        of the recurrence stay float32.
    """
    dtype = layer.compute_dtype
    kernel, bias = (tf.cast(v, dtype) for v in (layer.kernel, layer.bias))
    transposed = tf.stop_gradient(tf.transpose(kernel))

    @tf.custom_gradient
    def product(x, kernel, transposed):
        return x @ kernel, lambda upstream: (upstream @ transposed, tf.matmul(x, upstream, transpose_a=True), None)

    def step(*inputs):
        x = tf.cast(tf.concat(inputs, axis=-1), dtype)
        return tf.cast(product(x, kernel, transposed) + bias, tf.float32)

    return step


def recur(step, inputs, state, shapes):
    """Runs a recurrence: (last state, outputs of all steps). In a graph it is one loop for any number of steps.

    Args:
        step: (inputs[t], state) -> (state, outputs).
        inputs: [T, ...], T static.
        state: nested tuple of tensors.
        shapes: shapes of the outputs, which are float32.

    Returns:
        state, list of outputs, each [T, *shape].
    """
    num = inputs.shape[0]
    outputs = [tf.TensorArray(tf.float32, num, element_shape=shape) for shape in shapes]

    def body(t, state, outputs):
        state, found = step(inputs[t], state)
        return t + 1, state, [array.write(t, value) for array, value in zip(outputs, found, strict=True)]

    start = (tf.constant(0), state, outputs)
    _, state, outputs = tf.while_loop(lambda t, *_: t < num, body, start, maximum_iterations=num)
    return state, [array.stack() for array in outputs]
