"""Deep convolutional GAN.

Radford, Metz, Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks", ICLR
2016, arXiv:1511.06434. Layer widths, initialisation and settings as in the authors' code (Newmu/dcgan_code).

The idea: GAN training becomes stable with strided convolutions instead of pooling, batch norm in both networks (but not at
the generator's output nor the discriminator's input), ReLU in the generator and leaky ReLU in the discriminator. The latent
space is smooth, and vectors in it can be added and subtracted; the discriminator's features are useful for classification.

    D minimises E softplus(-s(x)) + E softplus(s(G(z))),  G minimises E softplus(-s(G(z))),  s: D's logit

Networks, with side = grid * 2^stages and the discriminator as the mirror image:

    64 px, width 128: z -> Dense 4*4*1024 -> deconv 512, 256, 128 -> deconv to C, tanh       (the paper's faces, LSUN)
    32 px: one stage less
    28 px: z -> Dense 1024 -> Dense 7*7*128 -> deconv 64 -> deconv to C                      (the code's MNIST network)

What differs from the paper: each step updates both networks; the code updates one of them per minibatch, in turn, so over as
many minibatches each network has twice as many updates here; the presets of MNIST, of faces and of LSUN have half of the
code's minibatches, that is as many updates. The paper trains on LSUN without some 275,000 near duplicates, which are left in
here, and the code for it is not public. Every output is tanh and images enter D in [-1, 1]; the MNIST network of the code
has a sigmoid and images in [0, 1]. Strided 5x5 convolutions pad by 1 before and 2 behind, in the code by 2 on each side.
Batch norm has an epsilon of 1e-5 (code: 1e-8) and always a gain and a shift (the MNIST code has none). The L2 penalty is on
kernels alone; the code's is on gains and shifts too. Samples use the moving statistics of batch norm; the code uses those of
the batch. Labels of fakes are drawn uniformly; the code takes those of the real batch. Under several replicas batch norm
uses the statistics of the global batch.
"""


import keras
import tensorflow as tf

from tfgen.models.adversarial.base import AdversarialModel, LatentDistribution
from tfgen.networks.conv import default_stages
from tfgen.settings import Count, ImageShape, PositiveInt


@keras.saving.register_keras_serializable("tfgen")
class DCGAN(AdversarialModel):
    """DCGAN, optionally conditional.

    Example:
        >>> gan = tfgen.models.DCGAN(image_shape=(8, 8, 1), latent_dim=4, width=4)
        >>> list(gan.players()), gan.sample(3).shape
        (['generator', 'discriminator'], TensorShape([3, 8, 8, 1]))

    Args:
        image_shape: (H, W, C) with H and W multiples of 2 ** stages.
        width: filters next to the image; they double with every stage.
        stages: convolutions of stride 2; None: as many as keep a grid of at least 4 x 4 (64 px: 4, 32 px: 3, 28 px: 2).
        dense_width: None, or the width of a fully connected hidden layer in both networks (MNIST: 1024).
        num_classes: 0, or the number of classes of a conditional model: one-hot labels are joined to the input of every
            layer.
        **kwargs: see `AdversarialModel`. A `generator` and a `discriminator` of your own replace the networks that
            `width`, `stages` and `dense_width` describe.
    """

    own_networks = {("generator", "discriminator"): ("width", "stages", "dense_width")}

    def __init__(
        self, *, image_shape: ImageShape, width: PositiveInt = 128, stages: Count | None = None,
        dense_width: PositiveInt | None = None, latent_distribution: LatentDistribution = "uniform", **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, latent_distribution=latent_distribution, **kwargs)
        stages = default_stages(self.image_shape) if stages is None else int(stages)
        fits = stages >= 1 and not any(side % 2**stages for side in self.image_shape[:2])
        if not fits and None in (self.generator, self.discriminator):
            raise ValueError(
                f"DCGAN doubles the side {stages} times, so height and width must be multiples of {2 ** max(stages, 1)}; "
                f"received image_shape {self.image_shape}. Choose other `stages` or resize the images."
            )
        self.set_networks(*self.make_networks("conv", width=width, stages=stages, dense_width=dense_width))

    def features(self, images: tf.Tensor, labels: tf.Tensor | None = None) -> tf.Tensor:
        """The discriminator's features for a linear classifier (section 5.1).

        The output of every convolution is max-pooled to a 4 x 4 grid (a smaller grid stays as it is) and flattened; all are
        joined.

        Args:
            images: float32 [B, H, W, C] in [0, 1].

        Returns:
            float32 [B, 16 * number of filters of all convolutions] for a grid of at least 4 x 4.

        Raises:
            ValueError: the model has a discriminator of your own, whose convolutions are unknown.
        """
        if not hasattr(self.discriminator, "maps"):
            raise ValueError("features() needs the built-in discriminator; this model has a discriminator of your own.")
        raw = 2.0 * self.check_images(images) - 1.0
        pooled = []
        for maps in self.discriminator.maps(raw, None if labels is None else self.one_hot(labels)):
            pool = [-(-side // 4) for side in maps.shape[1:3]]
            pooled.append(tf.nn.max_pool2d(tf.cast(maps, tf.float32), pool, strides=pool, padding="SAME"))
        return tf.concat([tf.reshape(p, [tf.shape(p)[0], -1]) for p in pooled], axis=-1)
