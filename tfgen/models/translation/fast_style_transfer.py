"""Fast style transfer with N styles: one network that paints photos in each of N styles, and in mixtures of them.

Dumoulin, Shlens, Kudlur, "A Learned Representation for Artistic Style", ICLR 2017, arXiv:1610.07629; settings as in the
authors' code (magenta/magenta, image_stylization). With one style it is the network of Johnson, Alahi, Fei-Fei 2016,
arXiv:1603.08155, with the instance norm of Ulyanov, Vedaldi, Lempitsky 2016, arXiv:1607.08022.

The idea: networks T that each paint one style can share all their convolutions. What a style needs of its own are the gain
and the shift of each channel after instance norm, .2 % of the weights. So styles are rows of two tables (conditional
instance norm), mixtures of rows are mixtures of styles, and for a new style only a new row is trained.

    z = gamma_s (x - mu(x)) / sigma(x) + beta_s                                                             (eq. 5)
    content loss   E |phi_c(T(c, s)) - phi_c(c)|^2                                                           (eq. 2)
    style loss     sum over layers l   E |Gram(phi_l(T(c, s))) - Gram(phi_l(s))|^2                           (eq. 3)
    T minimises    content loss + style_weight style loss                                                   (eq. 1)

phi_l are layers of a trained classifier that stays as it is; a Gram matrix has the means over the pixels of products of
channels, without division by their number; all |.|^2 are means over entries, as in the code. Each row of a batch has a
content and one of the styles.

T (appendix A and the code): 9 x 9, two 3 x 3 of stride 2, five residual blocks, two doublings by nearest neighbours with 3 x
3, 9 x 9; mirrored borders, no biases; conditional instance norm after each of them, also the last; ReLU but after the second
convolution of a block; the output is a sigmoid.

What differs from the code: the Gram matrices of the styles are computed in each step, of the style images in the batch, and
not once; a new row starts as the mean of the others.
"""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tfgen import features, fields
from tfgen.layers import ConditionalInstanceNorm, upscale2d
from tfgen.layers.initializers import normal
from tfgen.losses import gram_loss, total_variation
from tfgen.models.base import TrainableModel
from tfgen.models.capabilities import Translator
from tfgen.networks.any_size import check_least, mirrored
from tfgen.networks.common import Network, layers
from tfgen.networks.residual_translator import check_sides, pad
from tfgen.settings import Count, ImageShape, NaturalInt, NonNegativeFloat, OddInt, PositiveInt, Text
from tfgen.training.players import Player
from tfgen.training.state import named_variables

_VGG16 = {"maker": "vgg16", "arguments": {"pooling": "average"}}
_VGG16_LAYERS = ("block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3")


class _Stylized(layers.Layer):
    """A convolution with mirrored borders, conditional instance norm, an activation: [x, weights of styles] -> maps."""

    def __init__(self, make_conv, num_styles, filters, kernel_size, strides=1, activation=tf.nn.relu, **kwargs):
        super().__init__(**kwargs)
        self.padding, self.activation = kernel_size // 2, activation
        self.conv = make_conv(filters, kernel_size, strides=strides, padding="valid", use_bias=False, name="conv")
        self.norm = ConditionalInstanceNorm(num_styles, dtype=self.dtype_policy, name="norm")

    def call(self, inputs):
        x, weights = inputs
        return self.activation(self.norm([self.conv(pad(x, self.padding, "reflect")), weights]))


class _Painter(Network):
    """T: images [B, H, W, C] and weights of styles [B, N] -> images in [0, 1].

    Args:
        channels: C.
        num_styles: N.
        width, halvings, blocks, kernel_size: see `FastStyleTransfer`.
        **kwargs: see `Network`.
    """

    def __init__(self, *, channels, num_styles, width, halvings, blocks, kernel_size, **kwargs):
        super().__init__(kernel_initializer=normal(0.01), **kwargs)

        def made(name, filters, size=3, **given):
            return _Stylized(self.make_conv, num_styles, filters, size, **given, dtype=self.dtype_policy, name=name)

        filters = [width * 2**i for i in range(halvings + 1)]
        self.downs = [made("first", width, kernel_size)]
        self.downs += [made(f"down_{i}", n, strides=2) for i, n in enumerate(filters[1:])]
        self.blocks = [  # two in a row are a block
            made(f"block_{i // 2}_{i % 2}", filters[-1], activation=(tf.nn.relu, tf.identity)[i % 2])
            for i in range(2 * blocks)
        ]
        self.ups = [made(f"up_{i}", n) for i, n in enumerate(reversed(filters[:-1]))]
        self.last = made("last", channels, kernel_size, activation=tf.sigmoid)

    def call(self, inputs):
        x, weights = inputs
        for layer in self.downs:
            x = layer([x, weights])
        for first, second in zip(self.blocks[::2], self.blocks[1::2], strict=True):
            x = x + second([first([x, weights]), weights])
        for layer in self.ups:
            x = layer([upscale2d(x), weights])
        return self.last([x, weights])


@keras.saving.register_keras_serializable("tfgen")
class FastStyleTransfer(Translator, TrainableModel):
    """Fast style transfer. Batches have contents `image`, and `style`, pictures of styles, which need not belong together.

    They also have `style_label`, int [B], the number of the style, as the batches of contents and styles have
    (`tfgen.data.unpaired`). `translate` takes `image` and `style_weights`, float [B, N]: one-hot rows for one style, or
    mixtures. In Python the weights may be left out, and are then equal.

    Example:
        >>> maps = keras.Sequential([keras.Input((16, 16, 1)), keras.layers.Conv2D(8, 3, name="maps")])
        >>> model = tfgen.models.FastStyleTransfer(
        ...     image_shape=(16, 16, 1), num_styles=4, width=4, blocks=1, kernel_size=5, feature_network=maps,
        ...     content_layer="maps")
        >>> model.translate(image=np.zeros([2, 16, 16, 1]), style_weights=[[1.0, 0, 0, 0], [0.5, 0, 0, 0.5]])["image"].shape
        TensorShape([2, 16, 16, 1])

    Args:
        image_shape: (H, W, C) of the images in training; H and W are multiples of 2^halvings.
        num_styles: N.
        first_style: the number of the first style of the data. Above 0, the convolutions and the styles before it are
            trained no more, see `with_new_styles`.
        width: filters of the first convolution; they double with each halving.
        halvings: how often T halves the sides.
        blocks: residual blocks.
        kernel_size: of the first and the last convolution.
        feature_network: phi: `tfgen.features.FeatureNetwork`, or what `tfgen.features.get` takes. It is not part of the
            model, whose config has its recipe and fingerprint; without it a loaded model can still translate. By default
            VGG-16 with average pooling.
        feature_layers: layers l of phi, maps [B, h, w, F], whose Gram matrices are compared; None: the outputs of phi, of
            the default VGG-16 the paper's four.
        content_layer: the one of them whose maps are compared.
        content_weight: of the content loss.
        style_weight: of the style loss.
        variation_weight: of the total variation of T(c, s).
        any_size: whether `translate`, and its signature, take images of any size from 2^(halvings + 1) and
            `kernel_size` pixels on; they are mirrored up to multiples of 2^halvings.
        **kwargs: see `TrainableModel`.

    Raises:
        ValueError: phi is not found, has no such layers or does not take the images; sides that cannot be halved; or there
            is no style to be trained.
    """

    loss_names = ("loss", "content_loss", "style_loss")

    def __init__(
        self, *, image_shape: ImageShape, num_styles: PositiveInt = 1, first_style: NaturalInt = 0, width: PositiveInt = 32,
        halvings: Count = 2, blocks: NaturalInt = 5, kernel_size: OddInt = 9,
        feature_network: features.FeatureNetwork | keras.Model | dict | str = _VGG16,
        feature_layers: Sequence[str] | None = None, content_layer: Text = "block3_conv3",
        content_weight: NonNegativeFloat = 1.0, style_weight: NonNegativeFloat = 1e-4,
        variation_weight: NonNegativeFloat = 0.0, any_size: bool = False, **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, **kwargs)
        check_sides(self.image_shape, halvings)
        if first_style >= num_styles:
            raise ValueError(f"first_style must be below num_styles, {num_styles}; received {first_style}.")
        if min(self.image_shape[:2]) <= kernel_size // 2:
            raise ValueError(f"Images {self.image_shape} are too small for kernel_size={kernel_size}.")
        self.num_styles, self.first_style, self.any_size = num_styles, first_style, any_size
        self.content_layer, self.content_weight = content_layer, float(content_weight)
        self.style_weight, self.variation_weight = float(style_weight), float(variation_weight)
        self.unit, self.least = 2**halvings, max(2 ** (halvings + 1), kernel_size // 2 + 1)
        if feature_layers is None and feature_network == _VGG16:
            feature_layers = _VGG16_LAYERS
        self.feature_network = features.get(feature_network, feature_layers, (None, None, self.image_shape[2]))
        if not isinstance(self.feature_network, features.MissingFeatureNetwork):
            self.feature_network.check_takes(self.image_shape)
            if content_layer not in self.feature_network.layers:
                raise ValueError(
                    f"content_layer must be one of the layers {self.feature_network.layers}; received {content_layer!r}."
                )
        self._config["feature_network"] = self.feature_network.get_config()
        self.painter = _Painter(
            channels=self.image_shape[2], num_styles=num_styles, width=width, halvings=halvings, blocks=blocks,
            kernel_size=kernel_size, dtype=self.dtype_policy, name="painter",
        )  # fmt: skip
        self.painter.build([(None, *self.image_shape), (None, num_styles)])
        self.built = True

    @classmethod
    def fields_of(cls, config):
        number = fields.label(config["num_styles"] - config["first_style"], "style_label")
        number = dataclasses.replace(number, hint="of the styles of tfgen.data.unpaired(..., second='style')")
        return fields.image(config["image_shape"]), fields.image(config["image_shape"], "style"), number

    @classmethod
    def check_source(cls, config, source):
        wanted, found = config["num_styles"] - config["first_style"], getattr(source, "other_source", None)
        if found is not None and len(found) != wanted:
            raise ValueError(
                f"num_styles={config['num_styles']} with first_style={config['first_style']} needs {wanted} pictures of "
                f"styles; {source.name} has {len(found)}."
            )

    def players(self):
        return {"painter": Player(self.painter)}

    def default_optimizer(self):
        return keras.optimizers.Adam(1e-3, epsilon=1e-8)

    # ---- training

    def check_batch(self, batch):
        """Adds `style_weights`, one-hot, to batches with `style_label`."""
        if "style_label" not in batch or "style_weights" in batch:
            return batch
        numbers = tf.cast(batch["style_label"], tf.int32) + self.first_style
        return {**batch, "style_weights": tf.one_hot(numbers, self.num_styles)}

    def losses_of(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """{name: scalar} of `loss_names`, for a checked batch."""
        made = self.paint(batch["image"], batch["style_weights"])
        content, style, found = (self.feature_network(images) for images in (batch["image"], batch["style"], made))
        layer = self.content_layer
        content_loss = tf.reduce_mean(tf.square(found[layer] - tf.stop_gradient(content[layer])))
        style_loss = tf.add_n([gram_loss(found[name], style[name]) for name in found])
        loss = self.content_weight * content_loss + self.style_weight * style_loss
        if self.variation_weight:
            loss += self.variation_weight * total_variation(made)
        return {"loss": loss, "content_loss": content_loss, "style_loss": style_loss}

    def update(self, batch):
        trained = None if self.first_style == 0 else {"painter": self._tables()}
        return self.step_players({"painter": "loss"}, lambda: self.losses_of(batch), variables=trained)

    def evaluation_losses(self, batch):
        return self.losses_of(batch)

    def _tables(self):
        """The gains and shifts of all layers. A row of a style that is not in a batch has a gradient of 0."""
        return [v for v in self.painter.trainable_variables if v.name in ("gamma", "beta")]

    def with_new_styles(self, num: PositiveInt) -> "FastStyleTransfer":
        """A model with the weights of this one and `num` further styles, which alone are trained (section 3.4).

        The styles of its data are numbered from `num_styles` of this model on. It is not compiled.
        """
        config = {**self.get_config(), "num_styles": self.num_styles + num, "first_style": self.num_styles}
        model = type(self).from_config({**config, "feature_network": self.feature_network})
        own = named_variables(self.painter)
        for path, variable in named_variables(model.painter).items():
            value = keras.ops.convert_to_numpy(own[path])
            if value.shape != variable.shape:
                value = np.concatenate([value, np.repeat(value.mean(axis=0, keepdims=True), num, axis=0)])
            variable.assign(value)
        return model

    # ---- translation

    def translated_fields(self):
        height, width = (None, None) if self.any_size else self.image_shape[:2]
        weights = fields.Field("style_weights", (self.num_styles,), default=1.0 / self.num_styles)
        return fields.image((height, width, self.image_shape[2])), weights

    def paint(self, images: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """T, float32 [B, H, W, C] in [0, 1], for images of such a shape and weights of styles float [B, N]."""
        return tf.cast(self.painter([images, weights]), tf.float32)

    def translate_rows(self, image: tf.Tensor, style_weights: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        """{"image": float32 [B, H, W, C] in [0, 1]}, of the size of `image`; a row depends on its own inputs alone."""
        if style_weights is None:
            style_weights = tf.fill([tf.shape(image)[0], self.num_styles], 1.0 / self.num_styles)
        if not self.any_size:
            return {"image": self.paint(image, style_weights)}
        size = tf.shape(image)[1:3]
        image = mirrored(check_least(image, self.least, "image"), self.unit)
        return {"image": self.paint(image, style_weights)[:, : size[0], : size[1]]}
