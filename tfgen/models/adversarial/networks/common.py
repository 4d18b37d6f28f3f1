"""Layers and base classes that all networks of the adversarial family share."""

import keras
import tensorflow as tf

from tfgen.layers import BatchNormalization, SpectralConv2D, SpectralDense, SpectralEmbedding
from tfgen.layers.initializers import normal

layers = keras.layers


def batch_norm(dtype, name, **kwargs):
    # momentum .9: Keras' .99 lags behind in short runs. synchronized: statistics are those of the global batch.
    settings = {"momentum": 0.9, "epsilon": 1e-5, "gamma_initializer": normal(0.02, mean=1.0)}
    return BatchNormalization(**{**settings, **kwargs}, synchronized=True, dtype=dtype, name=name)


def check_norm(norm):
    if norm not in ("batch", None):
        raise ValueError(f"norm must be 'batch' or None; received {norm!r}.")


def join(x, one_hot):
    """Joins one-hot labels [B, K] to features [B, F] or maps [B, H, W, F]."""
    if one_hot is None:
        return x
    one_hot = tf.cast(one_hot, x.dtype)
    if x.shape.rank == 4:
        ones = tf.ones_like(x[..., :1])
        one_hot = one_hot[:, None, None, :] * ones
    return tf.concat([x, one_hot], axis=-1)


def split(inputs):
    return inputs if len(inputs) == 2 else (inputs[0], None)


def flatten(x):
    return tf.reshape(x, [-1, x.shape[1] * x.shape[2] * x.shape[3]])


# "sigmoid": the sigmoid of papers whose images lie in [0, 1], mapped to [-1, 1].
OUTPUTS = {"tanh": tf.tanh, "sigmoid": lambda x: tf.tanh(0.5 * x), "linear": lambda x: x}


class Network(layers.Layer):
    """A network whose inputs are [latent or image] or [latent or image, one-hot labels]."""

    def build(self, input_shape):
        # One call on zeros builds every layer with the shape of its inputs, labels included.
        self.call([tf.zeros([1, *shape[1:]]) for shape in input_shape])
        self.built = True


class Discriminator(Network):
    """Images [B, H, W, C] in [-1, 1] -> {"logit": [B, 1], "features": [B, F]}.

    A subclass implements `features(x, one_hot, training)`. A subclass with noise layers sets `noisy`; its `features` also
    takes `keys`: uint64 [B] in training, else None (see `tfgen.layers.noise`).

    Args:
        conditioning: how labels y are used. "concat": they are joined to the input of each weight layer. "projection":
            logit = w . f + V_y . f (Miyato, Koyama 2018, arXiv:1802.05637, eq. 3), with f the features.
        spectral: whether all weights are spectrally normalised.
        logit_bias: whether the last layer has a bias.
        kernel_initializer: of all kernels; a name or a config. One initialiser object would give all of them the same
            numbers (see `tfgen.layers.initializers`).
        feature_layers: layers between the features and the logit, e.g. minibatch discrimination.
    """

    noisy = False

    def __init__(
        self, *, conditioning="concat", spectral=False, logit_bias=True, kernel_initializer="glorot_uniform",
        feature_layers=(), **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        if conditioning not in ("concat", "projection"):
            raise ValueError(f"conditioning must be 'concat' or 'projection'; received {conditioning!r}.")
        self.conditioning, self.spectral = conditioning, spectral
        self.weights_like = {"kernel_initializer": kernel_initializer, "dtype": self.dtype_policy}
        self.feature_layers = list(feature_layers)
        self.logit = self.make_dense(1, use_bias=logit_bias, name="logit")
        self.embedding = None

    def make_dense(self, units, **kwargs):
        return (SpectralDense if self.spectral else layers.Dense)(units, **{**self.weights_like, **kwargs})

    def make_conv(self, filters, kernel_size, **kwargs):
        cls = SpectralConv2D if self.spectral else layers.Conv2D
        return cls(filters, kernel_size, **{"padding": "same", **self.weights_like, **kwargs})

    def call(self, inputs, training=False, keys=None):
        x, one_hot = split(inputs)
        joined = one_hot if self.conditioning == "concat" else None
        features = self.features(x, joined, training, *([] if keys is None else [keys]))
        judged = features
        for layer in self.feature_layers:
            judged = layer(judged)
        logit = self.logit(join(judged, joined))
        if self.conditioning == "projection" and one_hot is not None:
            logit += tf.reduce_sum(self.class_vectors(one_hot, features.shape[-1]) * features, axis=-1, keepdims=True)
        return {"logit": logit, "features": features}

    def class_vectors(self, one_hot, width):
        if self.embedding is None:
            cls = SpectralEmbedding if self.spectral else layers.Embedding
            self.embedding = cls(one_hot.shape[-1], width, embeddings_initializer="glorot_uniform",
                                 dtype=self.dtype_policy, name="embedding")  # fmt: skip
        return self.embedding(tf.argmax(one_hot, axis=-1))
