"""Self-attention GAN.

Zhang, Goodfellow, Metaxas, Odena, "Self-Attention Generative Adversarial Networks", ICML 2019, arXiv:1805.08318; settings
as in the authors' code (brain-research/self-attention-gan).

The idea: a convolution relates neighbours, so a GAN of convolutions draws textures better than shapes. A layer of attention
in each network lets every position of a feature map use all others. Spectral norm in both networks and a higher rate for the
discriminator, in place of more updates, keep the training stable.

    y = x + gamma v(sum_k softmax_k(f(x)_q . g(x)_k) h(x)_k),  gamma = 0 at first        (`tfgen.layers.SelfAttention2D`)
    D minimises E max(0, 1 - D(x, y)) + E max(0, 1 + D(G(z, y), y)),   G minimises -E D(G(z, y), y)        (eq. 4)

Everything else is the projection form of SNGAN: residual networks, conditional batch norm in the generator, labels of fakes
drawn uniformly.

What differs from the code: u of a spectral norm is updated once in each step of its network, without gradients through it;
in the code the discriminator's u moves on real images, the generator's in every call, and gradients go through u and v.
The moving statistics of batch norm have momentum .9; in the code .999, and .9999 for the last. Kernels of 3x3 start larger
than the code's by sqrt 2, which spectral norm undoes. beta_2 is .9 as in the paper; the code's default is .999.
"""

from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from tfgen import fields
from tfgen.layers import SelfAttention2D
from tfgen.losses import Objective
from tfgen.models.adversarial.base import ObjectiveName
from tfgen.models.adversarial.parts.attention import AttentionMaker
from tfgen.models.adversarial.parts.free_network import FreeNetworkModel
from tfgen.settings import ImageShape, PositiveInt

_NETWORKS = ("generator", "discriminator")


@keras.saving.register_keras_serializable("tfgen")
class SAGAN(FreeNetworkModel):
    """SAGAN: a GAN with self-attention and spectral norm in both networks.

    Args:
        network: "resnet" as in the paper, or "conv"; or {"generator": one, "discriminator": one}.
        attention_size: height of the feature maps that get attention: the first ones of this height, in each network. None:
            no attention.
        attention_args: dict of arguments of `tfgen.layers.SelfAttention2D`, for instance those of the paper's text in place
            of the authors' code: {"pool": False, "value_divisor": 8}.
        generator, discriminator: None, or a network of your own, see `AdversarialModel`.
        **kwargs: see `FreeNetworkModel` and `AdversarialModel`.

    Raises:
        ValueError: a network has no maps of the height `attention_size`.

    Example:

    >>> model = tfgen.models.SAGAN(image_shape=(28, 28, 1), width=8, attention_size=14)
    >>> latents = model.latents(tf.constant([0], tf.int64))
    >>> model.attention_maps(latents, queries=[[14, 14], [0, 0]]).shape
    (1, 2, 7, 7)
    """

    own_networks = {_NETWORKS: ("network", "width", "network_args", "attention_size", "attention_args")}

    def __init__(
        self, *, image_shape: ImageShape, network: Literal["resnet", "conv"] | dict = "resnet",
        attention_size: PositiveInt | None = 32, attention_args: dict | None = None, latent_dim: PositiveInt = 128,
        objective: ObjectiveName | Objective = "hinge", **kwargs,
    ):  # fmt: skip
        makers = {name: AttentionMaker(attention_size, attention_args or {}) for name in _NETWORKS}
        object.__setattr__(self, "_attention_makers", makers)  # Keras allows no attributes before its own __init__
        super().__init__(image_shape=image_shape, network=network, latent_dim=latent_dim, objective=objective, **kwargs)
        for name, maker in makers.items():
            maker.check(name)

    def network_defaults(self, network):
        settings = {name: {"convolution": "spectral", "attention": self._attention_makers[name]} for name in _NETWORKS}
        special: dict[str, dict] = {"resnet": {"hidden": "output"}, "conv": {"norm": None, "slope": 0.1, "use_bias": True}}
        settings["discriminator"] |= {"conditioning": "projection", **special.get(network, {})}
        return settings

    def default_optimizer(self):
        adam = {"beta_1": 0.0, "beta_2": 0.9, "epsilon": 1e-8}
        return {"generator": keras.optimizers.Adam(1e-4, **adam), "discriminator": keras.optimizers.Adam(4e-4, **adam)}

    def attention_maps(self, inputs: tf.Tensor, queries: tf.Tensor, labels: tf.Tensor | None = None) -> np.ndarray:
        """The positions that a network uses for the map at a pixel of the image.

        Args:
            inputs: latents float32 [B, latent_dim], for the generator; or images float32 [B, H, W, C] in [0, 1], for the
                discriminator.
            queries: int [Q, 2], pixels of the image as (row, column), counted from 0.
            labels: int [B] in a conditional model.

        Returns:
            float32 [B, Q, h, w]: for each query a distribution over the positions of the keys, which sums to 1. h x w is
            half the size of the feature maps with attention, or with `pool=False` their size.

        Raises:
            ValueError: wrong ranks, a query outside of the image, missing labels or not one for each input, or a network
                without attention.
        """
        wanted = f"latents [B, {self.latent_dim}] or images [B, {', '.join(map(str, self.image_shape))}]"
        inputs, queries = fields.as_tensor(inputs, "inputs", wanted), np.asarray(queries)
        if not (inputs.dtype.is_floating or inputs.dtype.is_integer):
            raise ValueError(f"inputs must be {wanted}; received dtype {inputs.dtype.name}.")
        inputs = tf.cast(inputs, tf.float32)
        height, width, _ = self.image_shape
        if queries.dtype.kind not in "iu" or queries.ndim != 2 or queries.shape[1] != 2 or not len(queries):
            raise ValueError(
                f"queries must be integers [Q, 2], pixels as (row, column); received {queries.dtype} {queries.shape}."
            )
        if (queries < 0).any() or (queries >= (height, width)).any():
            raise ValueError(f"queries must lie in the image, below ({height}, {width}); received {queries.tolist()}.")
        if inputs.shape.rank != 4 and inputs.shape[1:] != (self.latent_dim,):
            raise ValueError(f"inputs must be {wanted}; received {inputs.shape.as_list()}.")
        if labels is not None:
            fields.check_rows({"inputs": inputs, "labels": tf.convert_to_tensor(labels)})
        name = "generator" if inputs.shape.rank == 2 else "discriminator"
        layer = next((one for one in getattr(self, name)._flatten_layers() if isinstance(one, SelfAttention2D)), None)
        if layer is None:
            raise ValueError(f"attention_maps: the {name} has no layer SelfAttention2D.")
        with layer.watched() as seen:
            if name == "generator":
                self.decode_images(inputs, labels)
            else:
                one_hot = None if labels is None and not self.num_classes else self.one_hot(labels)
                self.discriminate(2.0 * self.check_images(inputs) - 1.0, one_hot)
        h, w = layer.size
        rows, columns = queries[:, 0] * h // height, queries[:, 1] * w // width
        return seen[0].numpy()[:, rows * w + columns].reshape(len(inputs), len(queries), *layer.key_size)
