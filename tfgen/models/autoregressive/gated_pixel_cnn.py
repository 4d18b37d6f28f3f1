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

from tfgen.layers.causal import CausalConv2D, RowConv2D
from tfgen.models.autoregressive.base import AutoregressiveModel
from tfgen.models.autoregressive.pixel_cnn import Head, adam, check_network, rmsprop
from tfgen.models.preset import Preset, cosine_decay

layers = keras.layers


@keras.saving.register_keras_serializable("tfgen")
class GatedPixelCNN(AutoregressiveModel):
    """Gated PixelCNN.

    Args:
        image_shape: (H, W, C).
        width: p, the channels of each stack.
        depth: number of layers.
        kernel_size: n, odd, of all layers but the first.
        first_kernel_size: odd, of the first layer.
        head_width: channels of the two layers before the logits.
        embedding_dim: 0, or the width of a vector that the model is conditioned on. Batches then need `embedding`, float32
            [B, embedding_dim], and sampling needs `embeddings`. Excludes `num_classes`.
        map_channels: 0, or the channels of s; the condition then differs between positions.
        **kwargs: see `AutoregressiveModel`.
    """

    def __init__(
        self, *, image_shape, width=32, depth=7, kernel_size=3, first_kernel_size=7, head_width=32, embedding_dim=0,
        map_channels=0, **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, **kwargs)
        check_network(self.image_shape, width=width, depth=depth, head_width=head_width,
                      kernel_size=kernel_size, first_kernel_size=first_kernel_size)  # fmt: skip
        num_classes = self.num_classes
        if embedding_dim and num_classes:
            raise ValueError(f"Give num_classes or embedding_dim, not both; received {num_classes} and {embedding_dim}.")
        if min(embedding_dim, map_channels) < 0 or (map_channels and not (embedding_dim or self.num_classes)):
            raise ValueError(
                "embedding_dim must be at least 0, and so must map_channels, which needs a condition; received "
                f"{embedding_dim} and {map_channels}."
            )
        self.embedding_dim, self.map_channels, self.width, self.depth = embedding_dim, map_channels, width, depth
        groups, dtype = self.image_shape[-1], self.dtype_policy
        self.vertical, self.horizontal, self.link, self.out = [], [], [], []
        self.condition_vertical, self.condition_horizontal = [], []
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

    def condition_specs(self):
        if not self.embedding_dim:
            return super().condition_specs()
        return {"embeddings": ("embedding", tf.TensorSpec([None, self.embedding_dim], tf.float32))}

    def condition(self, labels=None, embeddings=None):
        """h as a map [B, 1, 1, D], or s [B, H, W, map_channels]; None for an unconditional model."""
        if not self.embedding_dim:
            if embeddings is not None:
                raise ValueError("This GatedPixelCNN was built with embedding_dim=0 and takes no embeddings.")
            vector = super().condition(labels)
        elif embeddings is None or labels is not None:
            raise ValueError(f"This GatedPixelCNN takes embeddings, float [B, {self.embedding_dim}], and no labels.")
        else:
            vector = tf.cast(tf.ensure_shape(embeddings, [None, self.embedding_dim]), tf.float32)
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


_IMAGENET = {"image_shape": (32, 32, 3), "width": 384, "depth": 20, "kernel_size": 5, "head_width": 1024}
_CIFAR = {**_IMAGENET, "width": 128, "depth": 10}
_DIGITS = {"image_shape": (8, 8, 1), "levels": 17, "width": 24, "depth": 4, "first_kernel_size": 3}

PRESETS = [
    Preset(
        "gated-pixel-cnn/imagenet32-paper", GatedPixelCNN, _IMAGENET, data="downsampled_imagenet/32x32",
        source="section 3: 20 layers, 384 maps, 5 x 5; 200,000 updates of batch 128; the optimiser is not published",
        batch_size=128, steps=200_000, compile_args=rmsprop(1e-4), paper="3.83 bits/dim validation, 3.77 train (table 2)",
    ),
    Preset(
        "gated-pixel-cnn/imagenet32-classes-paper", GatedPixelCNN, {**_IMAGENET, "num_classes": 1000},
        data="imagenet_resized/32x32",
        source="section 3.2, with the sizes of the unconditional model", batch_size=128, steps=200_000,
        compile_args=rmsprop(1e-4),
    ),
    Preset(
        "gated-pixel-cnn/cifar10-paper", GatedPixelCNN, _CIFAR, data="cifar10",
        source="section 3.1; sizes and training are not published", batch_size=32, steps=400_000,
        compile_args=rmsprop(1e-3), paper="3.03 bits/dim test, 2.90 train (table 1)",
    ),
    Preset(
        "gated-pixel-cnn/mnist", GatedPixelCNN, {"image_shape": (28, 28, 1), "levels": 2, "width": 20, "depth": 10},
        data="mnist", binarization="fixed", source="for a short run: p = 20, 10 layers, Adam, cosine decay", batch_size=32,
        steps=13_000, compile_args={**adam(cosine_decay(3e-3)), "ema_decay": 0.999},
    ),
    Preset(
        "gated-pixel-cnn/digits", GatedPixelCNN, _DIGITS, data="digits",
        source="scikit-learn's 8x8 digits: p = 24, 4 layers of 3 x 3, Adam 3e-3", batch_size=100, steps=500,
        compile_args=adam(3e-3),
    ),
    Preset(
        "gated-pixel-cnn/digits-classes", GatedPixelCNN, {**_DIGITS, "num_classes": 10}, data="digits",
        source="as gated-pixel-cnn/digits, conditioned on the class", batch_size=100, steps=500, compile_args=adam(3e-3),
    ),
]  # fmt: skip
