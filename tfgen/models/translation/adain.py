"""AdaIN style transfer: a photo in the style of any picture, by one pass of a network.

Huang, Belongie, "Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization", ICCV 2017, arXiv:1703.06868;
settings as in the authors' code (xunhuang1995/AdaIN-style).

The idea: the means and standard deviations of the feature maps of a picture tell its style. So the maps f(c) of a content
image c are given those of a style image s, and a decoder g, the only network that is trained, turns them into an image. The
encoder f is a trained classifier and stays as it is; a new style needs no training.

    t = AdaIN(f(c), f(s)) = sigma(f(s)) (f(c) - mu(f(c))) / sigma(f(c)) + mu(f(s))                           (eq. 8)
    content loss   E |f(g(t)) - t|^2, the mean over pixels and channels                                      (eq. 12)
    style loss     sum over layers l of f   E |mu_l(g(t)) - mu_l(s)|^2 + |sigma_l(g(t)) - sigma_l(s)|^2      (eq. 13)
    g minimises    content loss + style_weight style loss                                                    (eq. 11)

mu and sigma are of each channel of each image; |.|^2 of the style loss sums over channels, as in the code, to which the
weight 1e-2 belongs. g mirrors f, has reflection padding, doubles by nearest neighbours and has no normalisation (section
6.1), which would give all images one style; its output is linear, in units of [0, 1].

At test, alpha goes from the content (0: g(f(c)), its reconstruction) to the style (1):

    g(f(c) + alpha (AdaIN(f(c), f(s)) - f(c)))                                                               (eq. 14)

Masks give regions of c different styles (section 7.3): the content's statistics are those of the region, the style's those
of its whole image. Constant masks mix styles, as in eq. 15. Where the sum of the masks is above 1, they are divided by it;
where it is below 1, the rest remains content.

What differs from the code: all variances are biased, while there the style's are unbiased, so that equal maps have a style
loss above 0. Keras' VGG-19 pads with zeros, theirs by reflection; it is not normalised to features of mean 1, as theirs is,
so its layers have other shares in the loss. Colours are matched by mean covariances; there they are sums, whose ratio
depends on the sizes of both images.
"""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any

import keras
import tensorflow as tf

from tfgen import features, fields
from tfgen.layers import adaptive_instance_norm, upscale2d
from tfgen.losses import statistics_loss, total_variation
from tfgen.models.base import TrainableModel
from tfgen.models.capabilities import Translator
from tfgen.networks.any_size import check_least, mirrored
from tfgen.networks.common import Network
from tfgen.networks.residual_translator import pad
from tfgen.settings import NOT_EMPTY, ImageShape, NonNegativeFloat, Widths, within
from tfgen.training.players import Player

VGG19_LAYERS = ("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1")


class _Decoder(Network):
    """Maps [B, h, w, F] -> images: 3 x 3 convolutions with ReLU in groups, between which the sides double; the last linear.

    Args:
        filters: of the convolutions of each group.
        channels: of the images.
        **kwargs: see `Network`.
    """

    def __init__(self, *, filters: Sequence[Widths], channels: int, **kwargs):
        super().__init__(**kwargs)
        made = [(i, j, n) for i, group in enumerate(filters) for j, n in enumerate(group)]
        self.convs = [self.make_conv(n, 3, padding="valid", name=f"conv_{i}_{j}") for i, j, n in made]
        self.doubles = [i > 0 and j == 0 for i, j, _ in made]  # before which convolutions the sides double
        self.last = self.make_conv(channels, 3, padding="valid", name="last")

    def build(self, input_shape):
        self.call(tf.zeros([1, *input_shape[1:]]))
        self.built = True

    def call(self, x):
        for conv, double in zip(self.convs, self.doubles, strict=True):
            x = tf.nn.relu(conv(pad(upscale2d(x) if double else x, 1, "reflect")))
        return self.last(pad(x, 1, "reflect"))


@keras.saving.register_keras_serializable("tfgen")
class AdaINStyleTransfer(Translator, TrainableModel):
    """AdaIN style transfer. Batches have the fields `image`, contents, and `style`, which need not belong together.

    `translate` takes `image`, `style` and `alpha`; in Python `alpha` may be left out and is then 1.

    Example:
        >>> maps = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(8, 3, 2, "same", name="maps")])
        >>> model = tfgen.models.AdaINStyleTransfer(
        ...     image_shape=(16, 16, 3), feature_network=maps, decoder_filters=((8,), (8,)), any_size=True)
        >>> content, style = tf.zeros([2, 21, 30, 3]), tf.ones([2, 16, 16, 3])
        >>> model.translate(image=content, style=style, alpha=[0.5, 1.0])["image"].shape
        TensorShape([2, 21, 30, 3])

    Args:
        image_shape: (H, W, C) of the images in training; H and W are multiples of 2^n, n the groups of `decoder_filters`
            less one.
        feature_network: f: `tfgen.features.FeatureNetwork`, or what `tfgen.features.get` takes, such as "vgg19", the dict of
            a maker, a `keras.Model` of images in [0, 1] or the path of its .keras file. It is not part of the model, whose
            config has its recipe and fingerprint.
        feature_layers: layers of f whose statistics are compared, maps [B, h, w, F]. AdaIN is applied to the last one, whose
            sides are H / 2^n and W / 2^n. None: the outputs of f; of "vgg19" those of the paper, relu1_1 to relu4_1.
        decoder_filters: filters of g's 3 x 3 convolutions in groups, between which the sides double.
        style_weight: of the style loss; or one of each layer. The logged `style_loss` is multiplied by it.
        variation_weight: of the total variation of g(t), which neither paper nor code uses.
        regions: the number of masks that `translate` takes besides: `mask` of `style`, `mask_2` of `style_2`, ..., each
            float [B, H, W] in [0, 1]. In Python they may be left out: without its mask, a style is of the whole image.
        preserve_colour: whether `translate` first gives the styles the colours of the content, see `match_colours`.
        any_size: whether `translate`, and its signature, take images of any size from 2^(n+1) pixels on; contents are
            mirrored up to multiples of 2^n. f must take such images.
        **kwargs: see `TrainableModel`.

    Raises:
        ValueError: f is not found, has no such layers or does not take the images; its last maps are not of the size from
            which g makes the images; or there is not one weight for each layer.
    """

    loss_names = ("loss", "content_loss", "style_loss")

    def __init__(
        self, *, image_shape: ImageShape,
        feature_network: features.FeatureNetwork | keras.Model | dict | str = "vgg19",
        feature_layers: Sequence[str] | None = None,
        decoder_filters: Annotated[Sequence[Widths], NOT_EMPTY] = ((256,), (256, 256, 256, 128), (128, 64), (64,)),
        style_weight: NonNegativeFloat | Sequence[NonNegativeFloat] = 1e-2, variation_weight: NonNegativeFloat = 0.0,
        regions: Annotated[int, within(0, 16)] = 0, preserve_colour: bool = False, any_size: bool = False, **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, **kwargs)
        self.regions, self.preserve_colour, self.any_size = regions, preserve_colour, any_size
        self.variation_weight = float(variation_weight)
        if feature_layers is None and feature_network == "vgg19":
            feature_layers = VGG19_LAYERS
        free = (None, None, self.image_shape[2])
        self.encoder = features.get(feature_network, feature_layers, free)
        if isinstance(self.encoder, features.MissingFeatureNetwork):
            raise ValueError(f"AdaINStyleTransfer needs its feature_network, which is missing: {self.encoder.reason}")
        self.encoder.check_takes(self.image_shape)
        if any_size and self.encoder.image_shape[:2] != (None, None):
            raise ValueError(
                f"any_size needs a feature_network of images {free}; received one whose input is {self.encoder.image_shape}."
            )
        self._config["feature_network"] = self.encoder.get_config()
        layers, several = self.encoder.layers, isinstance(style_weight, (tuple, list))
        weights: Any = style_weight if several else [style_weight] * len(layers)
        self.style_weights = [float(one) for one in weights]
        if len(self.style_weights) != len(layers):
            raise ValueError(f"style_weight must be one number, or one for each of {layers}; received {style_weight!r}.")
        shapes = [maps.shape for maps in self.features(tf.zeros([1, *self.image_shape]))]
        self.unit = 2 ** (len(decoder_filters) - 1)
        wanted = tuple(side / self.unit for side in self.image_shape[:2])
        if any(shape.rank != 4 for shape in shapes) or tuple(shapes[-1][1:3]) != wanted or min(wanted) < 2:
            raise ValueError(
                f"With {len(decoder_filters)} groups of decoder_filters, {layers[-1]!r} of the feature_network must have "
                f"maps of 1/{self.unit} of the sides of image_shape, {self.image_shape[0]} x {self.image_shape[1]}, at "
                f"least 2 x 2, and all its layers maps [batch, h, w, channels]; received {[tuple(s[1:]) for s in shapes]}."
            )
        self.decoder = _Decoder(
            filters=decoder_filters, channels=self.image_shape[2], dtype=self.dtype_policy, name="decoder"
        )  # fmt: skip
        self.decoder.build(tuple(shapes[-1]))
        self.built = True

    @classmethod
    def fields_of(cls, config):
        return fields.image(config["image_shape"]), fields.image(config["image_shape"], "style")

    def players(self):
        return {"decoder": Player(self.decoder)}

    def default_optimizer(self):
        return keras.optimizers.Adam(1e-4, epsilon=1e-8)

    # ---- training

    def features(self, images: tf.Tensor) -> list[tf.Tensor]:
        """f(images) of each layer, [float32 [B, h, w, F], ...]; gradients pass through to the images."""
        return list(self.encoder(images).values())

    def decode(self, maps: tf.Tensor) -> tf.Tensor:
        """g(maps), float32 [B, H, W, C], not clipped."""
        return tf.cast(self.decoder(maps), tf.float32)

    def losses_of(self, images: tf.Tensor, styles: tf.Tensor) -> dict[str, tf.Tensor]:
        """{name: scalar} of `loss_names`, for contents and styles float32 [B, H, W, C] in [0, 1]."""
        style = self.features(styles)
        target = tf.stop_gradient(adaptive_instance_norm(self.features(images)[-1], style[-1]))
        made = self.decode(target)
        found = self.features(made)
        content_loss = tf.reduce_mean(tf.square(found[-1] - target))
        pairs = zip(self.style_weights, found, style, strict=True)
        style_loss = tf.add_n([weight * statistics_loss(maps, wanted) for weight, maps, wanted in pairs])
        loss = content_loss + style_loss
        if self.variation_weight:
            loss += self.variation_weight * total_variation(made)
        return {"loss": loss, "content_loss": content_loss, "style_loss": style_loss}

    def update(self, batch):
        return self.step_players({"decoder": "loss"}, lambda: self.losses_of(batch["image"], batch["style"]))

    def evaluation_losses(self, batch):
        return self.losses_of(batch["image"], batch["style"])

    # ---- translation

    def translated_fields(self):
        height, width = (None, None) if self.any_size else self.image_shape[:2]
        found = [fields.image((height, width, self.image_shape[2]), name) for name in ("image", "style")]
        found.append(fields.Field("alpha", (), low=0.0, high=1.0, default=1.0))
        for style, mask in self._regions():
            found += [] if style == "style" else [fields.image((height, width, self.image_shape[2]), style)]
            # A further style has no default, so its mask, which is useless without it, has none either.
            found.append(dataclasses.replace(fields.mask(height, width, mask), default=1.0 if style == "style" else None))
        return tuple(found)

    def _regions(self):
        """The names of the style and the mask of each region."""
        ends = ("", *(f"_{i}" for i in range(2, self.regions + 1)))
        return [(f"style{end}", f"mask{end}") for end in ends[: self.regions]]

    def _optional_arguments(self):
        return [field.argument for field in self.translated_fields() if field.name not in ("image", "style")]

    def translate_rows(self, image: tf.Tensor, style: tf.Tensor, **given) -> dict[str, tf.Tensor]:
        """{"image": float32 [B, H, W, C] in [0, 1]}, of the size of `image`; a row depends on its own inputs alone.

        Raises:
            ValueError: a further style without its mask, or a mask without its style.
        """
        given = {**given, "style": style}
        names = self._regions() or [("style", "mask")]
        for further in names[1:]:
            if len(given.keys() & set(further)) == 1:
                raise ValueError(f"translate takes {' and '.join(further)} together; received one of them.")
        size = tf.shape(image)[1:3]
        pairs = [(given[style], self._of_size(size, given.get(mask), mask)) for style, mask in names if style in given]
        if self.any_size:
            image = mirrored(check_least(image, 2 * self.unit, "image"), self.unit)
            pairs = [(check_least(style, 2 * self.unit, "style"), mask) for style, mask in pairs]
        content = self.features(image)[-1]
        alpha = tf.reshape(given.get("alpha", tf.ones(tf.shape(image)[:1])), [-1, 1, 1, 1])
        masks = [None if mask is None else self._small(mask, content) for _, mask in pairs]
        # Where the masks overlap their sum is above 1, and each style has a share.
        total = tf.maximum(1.0, tf.add_n([tf.ones_like(content[..., :1]) if mask is None else mask for mask in masks]))
        change = tf.zeros_like(content)
        for (style, _), mask in zip(pairs, masks, strict=True):
            style = match_colours(style, image) if self.preserve_colour else style
            styled = adaptive_instance_norm(content, self.features(style)[-1], weights=mask)
            change += (1.0 if mask is None else mask) / total * (styled - content)
        made = self.decode(content + alpha * change)[:, : size[0], : size[1]]
        made = made if self.any_size else tf.ensure_shape(made, [None, *self.image_shape])
        return {"image": tf.clip_by_value(made, 0.0, 1.0)}

    def _of_size(self, size, mask, name):
        """A mask, or None, checked to have the size of the image."""
        if mask is None or not self.any_size:
            return mask
        found = tf.shape(mask)[1:3]
        said = f"{name} must have the sides of image,", size, "; received", found
        return fields.checked(mask, tf.reduce_all(found == size), *said)

    def _small(self, mask, maps):
        """The mask [B, H, W] at the size of the maps, [B, h, w, 1]: as in the code the values of the nearest pixels."""
        mask = mask[..., None]
        mask = mirrored(mask, self.unit) if self.any_size else mask
        return tf.image.resize(mask, tf.shape(maps)[1:3], "nearest")


def match_colours(style: tf.Tensor, content: tf.Tensor, epsilon: float = 1e-5) -> tf.Tensor:
    """Style images whose colours have the mean and the covariance of those of contents (CORAL, as in the authors' code).

    Args:
        style: float32 [B, h, w, C].
        content: float32 [B, H, W, C].
        epsilon: added to the variances, so that images of one colour have an inverse.

    Returns:
        float32 [B, h, w, C], not clipped.
    """

    def described(images):
        """(mean [B, 1, C], standard deviation [B, 1, C], standardised colours [B, n, C], their covariance [B, C, C])."""
        rows = tf.reshape(images, [tf.shape(images)[0], -1, images.shape[-1]])
        mean = tf.reduce_mean(rows, axis=1, keepdims=True)
        spread = tf.sqrt(tf.reduce_mean(tf.square(rows - mean), axis=1, keepdims=True) + epsilon)
        rows = (rows - mean) / spread
        covariance = tf.matmul(rows, rows, transpose_a=True) / tf.cast(tf.shape(rows)[1], tf.float32)
        return mean, spread, rows, covariance + epsilon * tf.eye(images.shape[-1])

    def power(matrices, exponent):
        values, vectors = tf.linalg.eigh(matrices)
        values = tf.maximum(values, epsilon) ** exponent
        return tf.matmul(vectors * values[:, None], vectors, transpose_b=True)

    _, _, rows, own = described(style)
    mean, spread, _, wanted = described(content)
    return tf.reshape(tf.matmul(rows, tf.matmul(power(own, -0.5), power(wanted, 0.5))) * spread + mean, tf.shape(style))
