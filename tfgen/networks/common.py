"""Base classes of all networks: building, and the use of labels."""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import keras
import tensorflow as tf
from keras import layers

from tfgen import settings
from tfgen.networks.slots import Convolution, convolution_of
from tfgen.settings import Rule


def _is_activation(value):
    try:
        keras.activations.get(value)
    except ValueError:
        return False
    return True


Activation = Annotated[str | Callable, Rule("that is an activation of Keras", _is_activation)]


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


# "sigmoid": for papers with images in [0, 1]; its output is mapped to [-1, 1].
Output = Literal["tanh", "sigmoid", "linear"]
OUTPUTS: dict[Output, Callable] = {"tanh": tf.tanh, "sigmoid": lambda x: tf.tanh(0.5 * x), "linear": lambda x: x}


class Network(layers.Layer):
    """Base class. Inputs are [latent or image] or [latent or image, one-hot labels].

    The arguments of all constructors are checked against their type hints, see `tfgen.settings`.

    Every layer inside has an explicit name, which does not depend on other layers in the process. Checkpoints use these
    names.

    Example:
        >>> class Doubled(Network):
        ...     def __init__(self, **kwargs):
        ...         super().__init__(**kwargs)
        ...         self.conv = self.make_conv(8, 3, name="conv")
        ...     def call(self, inputs, training=False):
        ...         return self.conv(inputs[0])
        >>> Doubled(convolution="spectral")([tf.zeros([2, 8, 8, 1])]).shape
        TensorShape([2, 8, 8, 8])

    Args:
        convolution: the classes of layers with kernels: "plain", "spectral" (spectrally normalised) or a `Convolution`.
        kernel_initializer: initialiser of all kernels, as a name or config: one initialiser object would give all kernels
            the same values (see `tfgen.layers.initializers`).
    """

    def __new__(cls, *args, **kwargs):
        settings.check(cls, **kwargs)
        return super().__new__(cls, *args, **kwargs)

    def __init__(
        self, *, convolution: str | Convolution = "plain", kernel_initializer: str | dict = "glorot_uniform", **kwargs
    ):
        super().__init__(**kwargs)
        self.convolution = convolution_of(convolution)
        self.weights_like = {"kernel_initializer": kernel_initializer, "dtype": self.dtype_policy}

    def make_dense(self, units: int, **kwargs) -> keras.layers.Layer:
        """A dense layer of this network's `convolution`; `kwargs` as for `keras.layers.Dense`."""
        return self.convolution.dense(units, **{**self.weights_like, **kwargs})

    def make_conv(self, filters: int, kernel_size: int | Sequence[int], **kwargs) -> keras.layers.Layer:
        """A convolution, padded to the same size by default; `kwargs` as for `keras.layers.Conv2D`."""
        return self.convolution.conv(filters, kernel_size, **{"padding": "same", **self.weights_like, **kwargs})

    def make_conv_transpose(self, filters: int, kernel_size: int | Sequence[int], **kwargs) -> keras.layers.Layer:
        """A transposed convolution, padded like `make_conv`; `kwargs` as for `keras.layers.Conv2DTranspose`."""
        return self.convolution.conv_transpose(filters, kernel_size, **{"padding": "same", **self.weights_like, **kwargs})

    def build(self, input_shape):
        # One call on zeros builds every layer with the shape of its inputs, labels included.
        self.call([tf.zeros([1, *shape[1:]]) for shape in input_shape])
        self.built = True


class Discriminator(Network):
    """Images [B, H, W, C] in [-1, 1] -> {"logit": [B, 1], "features": [B, F]}.

    A subclass implements `features(x, one_hot, training)`. A subclass with noise layers sets `noisy`; its `features` also
    takes `keys`: uint64 [B] in training, else None (see `tfgen.layers.noise`).

    Example:
        >>> class Flat(Discriminator):
        ...     def features(self, x, one_hot, training):
        ...         return tf.reshape(x, [-1, 64])
        >>> Flat(conditioning="projection")([tf.zeros([2, 8, 8, 1]), tf.one_hot([0, 1], 10)])["logit"].shape
        TensorShape([2, 1])

    Args:
        conditioning: use of the labels y. "concat": they are joined to the input of each weight layer. "projection":
            logit = w . f + V_y . f (Miyato, Koyama 2018, arXiv:1802.05637, eq. 3), with f the features.
        logit_bias: whether the last layer has a bias.
        embedding_initializer: of the class vectors V, as a name or config.
        feature_layers: layers between the features and the logit, e.g. minibatch discrimination.
        **kwargs: see `Network`.

    Raises:
        ValueError: `conditioning` is unknown.
    """

    noisy = False

    def __init__(
        self, *, conditioning: Literal["concat", "projection"] = "concat", logit_bias: bool = True,
        embedding_initializer: str | dict = "glorot_uniform", feature_layers: Sequence[keras.layers.Layer] = (), **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.conditioning, self.embedding_initializer = conditioning, embedding_initializer
        self.feature_layers = list(feature_layers)
        self.logit = self.make_dense(1, use_bias=logit_bias, name="logit")
        self.embedding = None

    def call(self, inputs, training=False, keys=None):
        x, one_hot = split(inputs)
        joined = one_hot if self.conditioning == "concat" else None
        features = self.features(x, joined, training, *([] if keys is None else [keys]))
        x = features
        for layer in self.feature_layers:
            x = layer(x)
        logit = self.logit(join(x, joined))
        if self.conditioning == "projection" and one_hot is not None:
            logit += tf.reduce_sum(self.class_vectors(one_hot, features.shape[-1]) * features, axis=-1, keepdims=True)
        return {"logit": logit, "features": features}

    def class_vectors(self, one_hot: tf.Tensor, width: int) -> tf.Tensor:
        """V_y of the projection, [B, width], for one-hot labels [B, K]; the first call makes the embedding V."""
        if self.embedding is None:
            self.embedding = self.convolution.embedding(
                one_hot.shape[-1], width, embeddings_initializer=self.embedding_initializer, dtype=self.dtype_policy,
                name="embedding",
            )  # fmt: skip
        assert self.embedding is not None
        return self.embedding(tf.argmax(one_hot, axis=-1))
