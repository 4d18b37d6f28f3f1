"""PixelCNN autoencoder: a conditional PixelCNN as the decoder of a few numbers.

van den Oord, Kalchbrenner, Vinyals, Espeholt, Graves, Kavukcuoglu, "Conditional Image Generation with PixelCNN Decoders",
NeurIPS 2016, arXiv:1606.05328, sections 2.4 and 3.4.

The idea: a convolutional encoder maps the image to a code h of m numbers, and a Gated PixelCNN conditioned on h is the
decoder. Both are trained at once on the likelihood of the image alone. The decoder is a distribution: it draws the details
that the code does not hold. So reconstructions are sharp and differ from draw to draw, where those of an ordinary decoder
are blurred.

    loss = -log p(x | h(x))

log p(x | h(x)) is not the likelihood of x: h depends on x, and the information in h is not counted. So the model is no
`Likelihood`: `log_prob` computes this number, and the export has no such signature.

What differs from the paper: the paper does not give the encoder's layers; ours are convolutions of stride 2 and a dense
layer to h. A strong decoder may leave the code unused (Chen et al. 2017, arXiv:1611.02731), so our own preset has a shallow
one. The paper draws images of given codes alone. Here samples without a given code have one drawn from the normal
distribution that has the means and the variances of the codes seen in training.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tfgen import random
from tfgen.models.autoencoders.code_moments import CodeMoments
from tfgen.models.autoregressive.gated_pixel_cnn import GatedPixelCNN
from tfgen.models.capabilities import Encoder, Sampler
from tfgen.sampling.cached import Whole
from tfgen.settings import ImageShape, PositiveInt

layers = keras.layers


@keras.saving.register_keras_serializable("tfgen")
class PixelCNNAutoencoder(Encoder, GatedPixelCNN):
    """Autoencoder whose decoder is a Gated PixelCNN.

    The latents are the uniform numbers of the pixels, then the code. `sample`, `decode_images` and `complete` also take the
    code as `embedding`, float32 [B, embedding_dim], e.g. from `encode`. To draw images of given codes with the exported
    `decode`, replace the last `embedding_dim` numbers of the latents.

    Example:
        >>> model = tfgen.models.PixelCNNAutoencoder(
        ...     image_shape=(4, 4, 1), levels=2, width=4, depth=1, head_width=8, embedding_dim=3, encoder_widths=(8,))
        >>> model.encode(tf.zeros([2, 4, 4, 1])).shape
        TensorShape([2, 3])

    Args:
        image_shape: (H, W, C).
        embedding_dim: m, the size of a code.
        encoder_widths: filters of the encoder's 3x3 convolutions, each of stride 2.
        encoder: None, or a network of your own instead of these (see `tfgen.networks.given_network`; copied, with its
            weights): images [B, H, W, C] in [-1, 1] -> codes [B, embedding_dim]. The decoder has no such argument: its
            layers are causal by construction.
        **kwargs: see `GatedPixelCNN`; without `num_classes`.
    """

    knows_likelihood = exact_likelihood = False
    draws_reconstructions = True
    own_networks = {("encoder",): ("encoder_widths",)}

    def __init__(
        self, *, image_shape: ImageShape, embedding_dim: PositiveInt = 10, encoder_widths: Sequence[PositiveInt] = (32, 64),
        encoder: keras.Model | dict | str | None = None, **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, embedding_dim=embedding_dim, **kwargs)
        settings = {"strides": 2, "padding": "same", "activation": "relu", "dtype": self.dtype_policy}

        def make():
            found = [layers.Conv2D(n, 3, name=f"down_{i}", **settings) for i, n in enumerate(encoder_widths)]
            found.append(layers.Flatten(dtype=self.dtype_policy))
            found.append(layers.Dense(embedding_dim, dtype=self.dtype_policy, name="code"))
            return [keras.Sequential(found, name="encoder")]

        self.choose_networks(make, encoder=(encoder, self.image_shape, (embedding_dim,)))
        self.code_moments = CodeMoments(embedding_dim)
        self.latent_dim += embedding_dim

    def build_network(self):
        condition = self.condition(embedding=tf.zeros([1, self.embedding_dim]))
        self.network(self.prepare(tf.zeros([1, *self.image_shape])), Whole(), condition)
        self.built = True

    # ---- codes

    def check_latents(self, latents):
        """As `Sampler.check_latents`: unlike the uniform numbers, a code may have any finite values."""
        return Sampler.check_latents(self, latents)

    def encode(self, images):
        """Codes float32 [B, embedding_dim] of images float32 [B, H, W, C] in [0, 1]."""
        return self._encode(self.levels_of(images))

    def _encode(self, levels, training=False):
        return tf.cast(self.encoder(self.prepare(levels), training=training), tf.float32)

    def reconstruct(self, images: tf.Tensor, seed: int = 0) -> tf.Tensor:
        """One draw from p(x | h(image)) for each image, float32 [B, H, W, C] in [0, 1]; see `sample` for `seed`."""
        codes = self.encode(images)
        if tf.inside_function():
            seeds = tf.range(tf.shape(codes)[0], dtype=tf.int64) + (int(seed) << 32)
            return self.generate(seeds, embedding=codes)
        return self.sample(len(codes), seed=seed, embedding=codes)

    @classmethod
    def fields_of(cls, config):
        return super().fields_of({**config, "embedding_dim": 0})  # no field: the code is computed from the image, or drawn

    def condition(self, labels=None, embedding=None):
        return None if labels is None and embedding is None else super().condition(labels, embedding)

    # ---- log p(x | h)

    def _distribution(self, levels, conditions, training=False):
        """Without an embedding, conditioned on the code of the image itself."""
        if not conditions:
            codes = self._encode(levels, training)
            if training:
                self.code_moments.update(codes)
            conditions = {"embedding": codes}
        return super()._distribution(levels, conditions, training)

    # ---- sampling

    def latents(self, seeds):
        key = random.keys(seeds)
        codes = self.code_moments.draw(random.fold(key, 1))
        return tf.concat([random.uniform(key, self.latent_dim - self.embedding_dim), codes], axis=-1)

    def draw_levels(self, latents: tf.Tensor, condition: tf.Tensor | None = None, *args, **kwargs) -> tf.Tensor:
        uniforms, codes = tf.split(latents, [-1, self.embedding_dim], axis=-1)
        condition = self.condition(embedding=codes) if condition is None else condition
        return super().draw_levels(uniforms, condition, *args, **kwargs)

    def signatures(self):
        """The signatures of the capabilities; `reconstruct` also takes seeds, since it draws images."""
        signatures = super().signatures()

        def reconstruct(seeds, image):
            return {"image": self.generate(seeds, embedding=self.encode(image))}

        inputs = {**signatures["latents"][1], **signatures["encode"][1]}
        return {**signatures, "reconstruct": (reconstruct, inputs)}
