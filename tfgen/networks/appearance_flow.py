"""The network of appearance flow: it makes no pixels, it says where in a given picture those of a new view are.

Zhou, Tulsiani, Sun, Malik, Efros, "View Synthesis by Appearance Flow", ECCV 2016, arXiv:1605.03557; here in the form of Park
et al. 2017, arXiv:1703.02921 (DOAFN), with a mask of what is visible, and as in their code (silverbottlep/tvsn).
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfgen.layers.initializers import glorot
from tfgen.networks.common import Network, flatten
from tfgen.networks.residual_translator import pad
from tfgen.settings import PositiveInt, Widths


class AppearanceFlow(Network):
    """[images [B, H, W, C], views [B, V]] -> where each pixel of the new view is in the given one, and whether.

    Every level of the encoder is a convolution of stride 2, then follow dense layers, which see the view too, and a decoder
    that mirrors the encoder, of convolutions after enlargements by the nearest pixel. Convolutions of the outer half of the
    levels are 5x5, others 3x3. ReLU follows all layers but the last.

    Example:
        >>> network = tfgen.networks.AppearanceFlow(size=(2, 2), filters=(4, 8), dense_width=16, view_widths=(8,))
        >>> found = network([tf.zeros([1, 8, 8, 3]), tf.one_hot([3], 17)])
        >>> [points.shape for points in found["points"]], found["mask"].shape
        ([TensorShape([8, 8, 2])], TensorShape([1, 8, 8]))

    Args:
        size: (h, w) of the innermost map: H and W over 2^levels.
        filters: of the encoder's levels.
        dense_width: units of the dense layer of the images and of the first two that see both.
        view_widths: units of the dense layers of the views.
        visibility: whether there is a mask.
        **kwargs: see `Network`.

    Call returns:
        {"points": (y, x), float [B, H, W, 2], see `points_of`; "code": the encoder's last map [B, h, w, F]; "mask": logits
        [B, H, W], if there is a mask}.
    """

    def __init__(
        self, *, size: Sequence[int], filters: Widths, dense_width: PositiveInt, view_widths: Widths,
        visibility: bool = True, **kwargs,
    ):  # fmt: skip
        # "Kaiming" in the code: uniform of variance 4 / (inputs + outputs).
        super().__init__(kernel_initializer=glorot(2**0.5), **kwargs)
        self.size, levels, relu = size, len(filters), {"activation": "relu"}
        self.kernels = [5 if i < outer_half(filters) else 3 for i in range(levels)]
        self.downs = [
            self.make_conv(n, k, strides=2, padding="valid", **relu, name=f"down_{i}")
            for i, (n, k) in enumerate(zip(filters, self.kernels, strict=True))
        ]
        self.inner = self.make_dense(dense_width, **relu, name="inner")
        self.views = [self.make_dense(n, **relu, name=f"view_{i}") for i, n in enumerate(view_widths)]
        widths = (dense_width, dense_width, size[0] * size[1] * filters[-1])
        self.joint = [self.make_dense(n, **relu, name=f"joint_{i}") for i, n in enumerate(widths)]
        self.ups = [
            self.make_conv(filters[i - 1], self.kernels[i], **relu, name=f"up_{i}") for i in reversed(range(1, levels))
        ]
        self.points = self.make_conv(2, self.kernels[0], dtype="float32", name="points")
        self.mask = self.make_conv(1, self.kernels[0], name="mask") if visibility else None

    def call(self, inputs: Sequence[tf.Tensor]):
        x, view = inputs
        for conv, kernel in zip(self.downs, self.kernels, strict=True):
            x = conv(pad(x, kernel // 2, "zero"))
        code, x = x, self.inner(flatten(x))
        for dense in self.views:
            view = dense(view)
        x = tf.concat([x, view], axis=-1)
        for dense in self.joint:
            x = dense(x)
        x = tf.reshape(x, [-1, *code.shape[1:]])
        for conv in self.ups:
            x = conv(_doubled(x))
        x = _doubled(x)
        found = {"points": self.points(x), "code": code}
        return found if self.mask is None else {**found, "mask": self.mask(x)[..., 0]}


def points_of(raw: tf.Tensor, near_identity: bool = False) -> tf.Tensor:
    """The points of `sample_bilinear`, (row, column) in pixels, float32 [B, H, W, 2], of the outputs of `AppearanceFlow`.

    tanh(raw) is a place in [-1, 1]^2: 0 is the image's centre, -1 and 1 are the centres of its outermost pixels. So a
    network whose outputs are near 0 moves the centre everywhere. With `near_identity` the place is
    tanh(raw + arctanh(.97 own)) for the pixel's own place, and a network begins with nearly the given image.

    Args:
        raw: (y, x), float [B, H, W, 2].
        near_identity: see above.
    """
    raw = tf.cast(raw, tf.float32)
    last = np.array(raw.shape[1:3], np.float32) - 1.0
    if near_identity:
        grid = np.stack(np.meshgrid(*(np.linspace(-1.0, 1.0, n) for n in raw.shape[1:3]), indexing="ij"), axis=-1)
        raw += np.arctanh(0.97 * grid).astype(np.float32)
    return 0.5 * (tf.tanh(raw) + 1.0) * last


def outer_half(filters: Sequence[int]) -> int:
    """The number of levels of the outer half."""
    return (len(filters) + 1) // 2


def _doubled(maps):
    """[B, 2 h, 2 w, F] of [B, h, w, F], by the nearest pixel."""
    return tf.repeat(tf.repeat(maps, 2, axis=1), 2, axis=2)
