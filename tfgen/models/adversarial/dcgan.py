"""Deep convolutional GAN.

Radford, Metz, Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks",
ICLR 2016, arXiv:1511.06434. Layer widths, initialisation and settings as in the authors' code (Newmu/dcgan_code).

The idea: GAN training becomes stable with strided convolutions instead of pooling, batch norm in both networks (but not at
the generator's output nor the discriminator's input), ReLU in the generator and leaky ReLU in the discriminator. The latent
space is smooth and carries arithmetic; the discriminator's features are useful for classification.

    D minimises E softplus(-s(x)) + E softplus(s(G(z))),  G minimises E softplus(-s(G(z))),  s: D's logit

Networks, with side = grid * 2^stages and the discriminator as the mirror image:

    64 px, width 128: z -> Dense 4*4*1024 -> deconv 512, 256, 128 -> deconv to C, tanh       (the paper's faces, LSUN)
    32 px: one stage less
    28 px: z -> Dense 1024 -> Dense 7*7*128 -> deconv 64 -> deconv to C                      (the code's MNIST network)

What differs from the paper: the code updates one network per minibatch in turn, here each step updates both (its text says
so too); every output is tanh, where the MNIST network has a sigmoid (the same function of twice the logit), and images enter
D in [-1, 1]; batch norm always has its gain and shift (the MNIST code has none) and samples use its moving statistics where
the code uses those of the batch. Under several replicas batch norm uses the statistics of the global batch.
"""

import keras
import tensorflow as tf

from tfgen.models.adversarial.base import AdversarialModel
from tfgen.models.preset import Preset

layers = keras.layers


@keras.saving.register_keras_serializable("tfgen")
class DCGAN(AdversarialModel):
    """DCGAN, optionally conditional.

    Args:
        image_shape: (H, W, C) with H and W multiples of 2 ** stages.
        width: filters next to the image; they double with every stage.
        stages: convolutions of stride 2; None: as many as keep a grid of at least 4 x 4 (64 px: 4, 32 px: 3, 28 px: 2).
        dense_width: None, or the width of a fully connected hidden layer in both networks (MNIST: 1024).
        num_classes: 0, or the number of classes; one-hot labels are then joined to the input of every layer.
        latent_dim, latent_distribution, objective, penalty, penalty_weight, regularizer, regularizer_weight,
            seed: see `AdversarialModel`.
    """

    def __init__(
        self,
        *,
        image_shape,
        width=128,
        stages=None,
        dense_width=None,
        num_classes=0,
        latent_dim=100,
        latent_distribution="uniform",
        objective="non_saturating",
        penalty=None,
        penalty_weight=1.0,
        regularizer=None,
        regularizer_weight=1e-5,
        seed=0,
        **kwargs,
    ):
        super().__init__(
            image_shape=image_shape, latent_dim=latent_dim, latent_distribution=latent_distribution,
            num_classes=num_classes, objective=objective, penalty=penalty, penalty_weight=penalty_weight,
            regularizer=regularizer, regularizer_weight=regularizer_weight, seed=seed, **kwargs,
        )  # fmt: skip
        stages = _default_stages(self.image_shape) if stages is None else int(stages)
        if stages < 1 or self.image_shape[0] % 2**stages or self.image_shape[1] % 2**stages:
            raise ValueError(
                f"DCGAN doubles the side {stages} times, so height and width must be multiples of {2 ** max(stages, 1)}; "
                f"received image_shape {self.image_shape}. Choose other `stages` or resize the images."
            )
        settings = {"width": width, "stages": stages, "dense_width": dense_width, "dtype": self.dtype_policy}
        self.set_networks(
            Generator(image_shape=self.image_shape, name="generator", **settings),
            Discriminator(image_shape=self.image_shape, name="discriminator", **settings),
        )

    def features(self, images, labels=None):
        """The discriminator's features for a linear classifier (section 5.1).

        Every convolution's output, max-pooled to a 4 x 4 grid (a smaller one stays as it is), flattened and joined.

        Args:
            images: float32 [B, H, W, C] in [0, 1].

        Returns:
            float32 [B, 16 * number of filters of all convolutions] for a grid of at least 4 x 4.
        """
        raw = 2.0 * self.check_images(images) - 1.0
        one_hot = None if labels is None else self.one_hot(labels)
        pooled = []
        for maps in self.discriminator.maps([raw] if one_hot is None else [raw, one_hot], training=False):
            pool = [-(-side // 4) for side in maps.shape[1:3]]
            pooled.append(tf.nn.max_pool2d(tf.cast(maps, tf.float32), pool, strides=pool, padding="SAME"))
        return tf.concat([tf.reshape(p, [tf.shape(p)[0], -1]) for p in pooled], axis=-1)


def _default_stages(image_shape):
    side, stages = min(image_shape[:2]), 0
    while side % 2 == 0 and side // 2 >= 4:
        side, stages = side // 2, stages + 1
    return max(stages, 1)


def _normal(stddev):
    return keras.initializers.RandomNormal(0.0, stddev)


def _batch_norm(dtype, name):
    # momentum .9: Keras' .99 lags behind in short runs. synchronized: two replicas see the batch that one would see.
    return layers.BatchNormalization(
        momentum=0.9, epsilon=1e-5, gamma_initializer=keras.initializers.RandomNormal(1.0, 0.02), synchronized=True,
        dtype=dtype, name=name,
    )  # fmt: skip


def _join(x, one_hot):
    """Joins one-hot labels [B, K] to features [B, F] or maps [B, H, W, F]."""
    if one_hot is None:
        return x
    one_hot = tf.cast(one_hot, x.dtype)
    if x.shape.rank == 4:
        ones = tf.ones_like(x[..., :1])
        one_hot = one_hot[:, None, None, :] * ones
    return tf.concat([x, one_hot], axis=-1)


def _split(inputs):
    return inputs if len(inputs) == 2 else (inputs[0], None)


class _Network(keras.layers.Layer):
    """Layers that are applied one after the other, with the labels joined to the input of each weight layer."""

    def build(self, input_shape):
        # One call on zeros builds every layer with the shape that it will see, labels included.
        self.call([tf.zeros([1, *shape[1:]]) for shape in input_shape])
        self.built = True


class Generator(_Network):
    """z [B, Z] -> images [B, H, W, C] in [-1, 1]."""

    def __init__(self, *, image_shape, width, stages, dense_width, **kwargs):
        super().__init__(**kwargs)
        dtype, init = self.dtype_policy, _normal(0.02)
        height, width_px, channels = image_shape
        filters = width * 2 ** (stages - 1)
        self.grid = (height // 2**stages, width_px // 2**stages, filters)
        widths = [] if dense_width is None else [dense_width]
        widths.append(self.grid[0] * self.grid[1] * filters)
        # Plain lists of layers: what lies deeper, Keras would leave out of a saved file without a word.
        self.dense = [layers.Dense(n, use_bias=False, kernel_initializer=init, dtype=dtype, name=f"dense_{i}")
                      for i, n in enumerate(widths)]  # fmt: skip
        self.dense_norms = [_batch_norm(dtype, f"dense_norm_{i}") for i in range(len(widths))]
        self.deconvs = [
            layers.Conv2DTranspose(width * 2 ** (i - 1) if i else channels, 5, strides=2, padding="same",
                                   use_bias=False, kernel_initializer=init, dtype=dtype, name=f"deconv_{i}")
            for i in reversed(range(stages))
        ]  # fmt: skip
        self.norms = [_batch_norm(dtype, f"norm_{i}") for i in range(stages - 1)]

    def call(self, inputs, training=False):
        x, one_hot = _split(inputs)
        for dense, norm in zip(self.dense, self.dense_norms, strict=True):
            x = tf.nn.relu(norm(dense(_join(x, one_hot)), training=training))
        x = tf.reshape(x, [-1, *self.grid])  # [B, h, w, filters]
        for deconv, norm in zip(self.deconvs, self.norms, strict=False):
            x = tf.nn.relu(norm(deconv(_join(x, one_hot)), training=training))
        return tf.tanh(self.deconvs[-1](_join(x, one_hot)))


class Discriminator(_Network):
    """Images [B, H, W, C] in [-1, 1] -> logits [B, 1]."""

    def __init__(self, *, image_shape, width, stages, dense_width, **kwargs):
        super().__init__(**kwargs)
        dtype, init = self.dtype_policy, _normal(0.02)
        weights = {"use_bias": False, "kernel_initializer": init, "dtype": dtype}
        self.convs = [layers.Conv2D(width * 2**i, 5, strides=2, padding="same", name=f"conv_{i}", **weights)
                      for i in range(stages)]  # fmt: skip
        self.norms = [None, *(_batch_norm(dtype, f"norm_{i}") for i in range(1, stages))]
        self.dense = None if dense_width is None else layers.Dense(dense_width, name="dense", **weights)
        self.dense_norm = None if dense_width is None else _batch_norm(dtype, "dense_norm")
        self.logit = layers.Dense(1, name="logit", **weights)

    def maps(self, inputs, training=False):
        """The output of every convolution, after norm and activation: [[B, h, w, filters], ...]."""
        x, one_hot = _split(inputs)
        maps = []
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = conv(_join(x, one_hot))
            x = tf.nn.leaky_relu(x if norm is None else norm(x, training=training), 0.2)
            maps.append(x)
        return maps

    def call(self, inputs, training=False):
        _, one_hot = _split(inputs)
        last = self.maps(inputs, training)[-1]
        x = tf.reshape(last, [-1, last.shape[1] * last.shape[2] * last.shape[3]])
        if self.dense is not None:
            x = tf.nn.leaky_relu(self.dense_norm(self.dense(_join(x, one_hot)), training=training), 0.2)
        return self.logit(_join(x, one_hot))


def _adam(learning_rate):
    return {"class_name": "Adam", "config": {"learning_rate": learning_rate, "beta_1": 0.5, "epsilon": 1e-8}}


_PAPER = {"generator_optimizer": _adam(2e-4), "discriminator_optimizer": _adam(2e-4)}
_FACES = {"image_shape": (64, 64, 3), "regularizer": "l2", "regularizer_weight": 1e-5}

PRESETS = [
    Preset(
        "dcgan/lsun-bedrooms-paper", DCGAN, _FACES, data="lsun/bedroom",
        source="section 4, appendix A.1 and the code: 64 px, Adam 2e-4 beta_1 .5, batch 128", batch_size=128,
        steps=118_000, compile_args=_PAPER,
    ),
    Preset(
        "dcgan/faces-paper", DCGAN, _FACES, data="folder:faces",
        source="section 4.3 and the code: 64 px, 25 epochs of 350,000 faces", batch_size=128, steps=68_000,
        compile_args=_PAPER,
    ),
    Preset(
        "dcgan/imagenet-paper", DCGAN, {**_FACES, "image_shape": (32, 32, 3)}, data="imagenet_resized/32x32",
        source="section 4.2: 32 px centre crops", batch_size=128, steps=250_000, compile_args=_PAPER,
        paper="82.8 % CIFAR-10 accuracy of a linear SVM on D's features (table 1)",
    ),
    Preset(
        "dcgan/mnist-paper", DCGAN,
        {"image_shape": (28, 28, 1), "width": 64, "dense_width": 1024, "num_classes": 10, "regularizer": "l2",
         "regularizer_weight": 2.5e-5},
        data="mnist", source="appendix A.2 and the code: conditional, batch 128, 100 epochs at 2e-4", batch_size=128,
        steps=47_000, compile_args=_PAPER, paper="2.98 % 1-NN error on 50,000 samples (table 3)",
    ),
    Preset(
        "dcgan/mnist", DCGAN,
        {"image_shape": (28, 28, 1), "width": 32, "dense_width": 256},
        data="mnist", source="the MNIST network at half width, unconditional", batch_size=64, steps=10_000,
        compile_args={**_PAPER, "ema_decay": 0.999},
    ),
    Preset(
        "dcgan/digits", DCGAN,
        {"image_shape": (8, 8, 1), "width": 32, "stages": 2, "dense_width": 128, "latent_dim": 32},
        data="digits", source="the 28 px layout scaled down to scikit-learn's 8x8 digits", batch_size=64, steps=4_000,
        compile_args={**_PAPER, "ema_decay": 0.995},
    ),
]  # fmt: skip
