"""Gated PixelCNN, unconditional or conditional: two stacks without a blind spot, gates instead of rectifiers.

van den Oord, Kalchbrenner, Vinyals, Espeholt, Graves, Kavukcuoglu, "Conditional Image Generation with PixelCNN Decoders",
NeurIPS 2016, arXiv:1606.05328, sections 2.1-2.4.

The idea: a vertical stack sees all rows above, in full width; a horizontal stack sees the pixels to the left and, through
1x1 convolutions, the vertical stack. Together they see every pixel before their own. A stack of masked kernels does not.

    y = tanh(W_f * x + V_f h) . sigmoid(W_g * x + V_g h)         gate; h: a vector, V h added at all places     (eq. 2, 4)
    y = tanh(W_f * x + V_f * s) . sigmoid(W_g * x + V_g * s)     s = m(h): a map, made by a network m      (eq. 5)

    v' = gate(conv(v))                             conv: ceil(n / 2) x n, rows up to its own; v itself starts one row above
    h' = h + conv1x1(gate(conv(h) + conv1x1(conv(v))))            conv(h): 1 x ceil(n / 2), mask A in the first layer, then B

What differs from the paper: the layer with mask A has no residual connection, since its input is the image. The paper gives
no sizes for CIFAR-10; ours are smaller than those for ImageNet. The network m is a deconvolution network that the paper does
not describe; ours is two dense layers. The paper gives no optimiser; the presets have RMSProp with Keras' epsilon, 1e-7
under the root. No code of the authors is known to us.
"""


import keras
import tensorflow as tf

from tfgen import fields
from tfgen.layers.causal import CausalConv2D, RowConv2D
from tfgen.models.autoregressive.base import AutoregressiveModel
from tfgen.models.autoregressive.pixel_cnn import Head, check_kernels
from tfgen.settings import Count, ImageShape, NaturalInt, OddInt, PositiveInt

layers = keras.layers


@keras.saving.register_keras_serializable("tfgen")
class GatedPixelCNN(AutoregressiveModel):
    """Gated PixelCNN.

    Example:
        >>> model = tfgen.models.GatedPixelCNN(image_shape=(4, 4, 1), levels=2, width=4, depth=1, num_classes=3)
        >>> model.log_prob(tf.zeros([2, 4, 4, 1]), labels=[0, 2]).shape
        TensorShape([2])

    Args:
        image_shape: (H, W, C).
        width: p, the channels of each stack.
        depth: number of layers.
        kernel_size: n, odd, of all layers but the first.
        first_kernel_size: odd, of the first layer.
        head_width: channels of the two layers before the logits.
        embedding_dim: 0, or the width of a vector that the model is conditioned on. Batches then need `embedding`, float32
            [B, embedding_dim], and sampling needs `embedding`, too. Excludes `num_classes`.
        map_channels: 0, or the channels of s; the condition then differs between positions.
        **kwargs: see `AutoregressiveModel`.
    """

    def __init__(
        self, *, image_shape: ImageShape, width: PositiveInt = 32, depth: Count = 7, kernel_size: OddInt = 3,
        first_kernel_size: OddInt = 7, head_width: PositiveInt = 32, embedding_dim: NaturalInt = 0,
        map_channels: NaturalInt = 0, **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, **kwargs)
        check_kernels(self.image_shape, kernel_size=kernel_size, first_kernel_size=first_kernel_size)
        num_classes = self.num_classes
        if embedding_dim and num_classes:
            raise ValueError(f"Give num_classes or embedding_dim, not both; received {num_classes} and {embedding_dim}.")
        if map_channels and not (embedding_dim or self.num_classes):
            raise ValueError(f"map_channels needs num_classes or embedding_dim; received map_channels={map_channels} alone.")
        self.embedding_dim, self.map_channels, self.width, self.depth = embedding_dim, map_channels, width, depth
        groups, dtype = self.image_shape[-1], self.dtype_policy
        self.vertical, self.horizontal, self.link, self.out = [], [], [], []
        self.condition_vertical: list[keras.layers.Layer] = []
        self.condition_horizontal: list[keras.layers.Layer] = []
        conditional = bool(embedding_dim or self.num_classes)
        for i in range(depth):
            half = (kernel_size if i else first_kernel_size) // 2
            settings = {"dtype": dtype, "groups": groups}
            self.vertical.append(RowConv2D(2 * width, (half + 1, 2 * half + 1), dtype=dtype, name=f"vertical_{i}"))
            self.horizontal.append(CausalConv2D(2 * width, above=0, left=half, mask="B" if i else "A", blocks=2,
                                                name=f"horizontal_{i}", **settings))  # fmt: skip
            self.link.append(RowConv2D(2 * width, (1, 1), dtype=dtype, name=f"link_{i}"))
            self.out.append(CausalConv2D(width, above=0, left=0, name=f"out_{i}", **settings))
            # The vertical output of the last layer is not used.
            for name in ("vertical", "horizontal")[int(i == depth - 1) :] if conditional else ():
                made = RowConv2D(2 * width, (1, 1), use_bias=False, dtype=dtype, name=f"condition_{name}_{i}")
                getattr(self, f"condition_{name}").append(made)
        height, columns, _ = self.image_shape
        self.map_layers = []
        if map_channels:
            self.map_layers = [layers.Dense(4 * width, activation="relu", dtype=dtype, name="map_0"),
                        layers.Dense(height * columns * map_channels, dtype=dtype, name="map_1")]  # fmt: skip
        self.head = Head(head_width, self.likelihood.num_parameters, groups=groups, dtype=dtype, name="head")
        self.build_network()

    @classmethod
    def fields_of(cls, config):
        embedding = [fields.vector("embedding", config["embedding_dim"])] if config["embedding_dim"] else []
        return (*super().fields_of(config), *embedding)

    def condition(self, labels: tf.Tensor | None = None, embedding: tf.Tensor | None = None) -> tf.Tensor | None:
        """h as a map [B, 1, 1, D], or s [B, H, W, map_channels]; None for an unconditional model."""
        if not self.embedding_dim:
            if embedding is not None:
                raise ValueError("This GatedPixelCNN was built with embedding_dim=0 and takes no embedding.")
            vector = super().condition(labels)
        elif embedding is None or labels is not None:
            raise ValueError(f"This GatedPixelCNN takes an embedding, float [B, {self.embedding_dim}], and no labels.")
        else:
            vector = fields.vector("embedding", self.embedding_dim).check(embedding, type(self).__name__)
        if vector is None:
            return None
        if not self.map_layers:
            return vector[:, None, None]
        for layer in self.map_layers:
            vector = layer(vector)
        return tf.reshape(vector, [-1, *self.image_shape[:2], self.map_channels])

    def network(self, x, scope, condition=None, training=False):
        channels = self.image_shape[-1]
        v, h = scope.below(x, channels), x
        for i in range(self.depth):
            extra_v, extra_h = self._conditions(i, scope, condition)
            v = self.vertical[i](v, scope=scope)
            link = scope.across(self.link[i](v, scope=scope), 2 * self.width)
            v = scope.rows(lambda: gate(v + extra_v))  # not used after the last layer
            u = self.horizontal[i](h, scope=scope)
            u = self.out[i](scope.pixels(lambda: gate(u + link + extra_h)), scope=scope)
            h = scope.pixels(lambda: h + u) if i else u
        return self.head(h, scope=scope)

    def _conditions(self, i, scope, condition):
        """The conditions of layer i, added to its vertical and to its horizontal stack."""
        if condition is None:
            return 0.0, 0.0
        made = [*self.condition_vertical[i : i + 1], self.condition_horizontal[i]]
        if not self.map_layers:
            found = [scope.constant(layer, lambda layer=layer: layer(condition)) for layer in made]
        else:
            here = scope.place(condition)
            found = [layer(here, scope=scope) for layer in made]
            found[-1] = scope.across(found[-1], 2 * self.width)
        return found if len(found) == 2 else (0.0, *found)


def gate(x):
    """tanh of the first half of the channels times sigmoid of the second (eq. 2)."""
    a, b = tf.split(x, 2, axis=-1)
    return tf.tanh(a) * tf.sigmoid(b)
