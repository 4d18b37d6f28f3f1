"""Attention at one size of feature maps, in the networks of SAGAN and BigGAN."""

from tfgen.layers import SelfAttention2D


class AttentionMaker:
    """The setting `attention` of one network: a layer for its first maps of a height; it notes the heights of all maps.

    Args:
        height: of the maps that get attention; None: no attention.
        arguments: dict of arguments of `tfgen.layers.SelfAttention2D`.

    Raises:
        ValueError: an argument that the layer does not take, also if no map gets attention.
    """

    def __init__(self, height, arguments):
        SelfAttention2D(**{**arguments, "name": "check"})
        self.height, self.arguments, self.heights, self.layer = height, arguments, [], None

    def __call__(self, size, dtype, name):
        self.heights.append(size[0])
        if size[0] != self.height or self.layer is not None:
            return None
        self.layer = SelfAttention2D(**{"spectral": True, **self.arguments}, dtype=dtype, name=name)
        return self.layer

    def check(self, network):
        """Raises ValueError if the network, called `network`, was built and has no maps of the height."""
        if self.height is not None and self.heights and self.layer is None:
            raise ValueError(
                f"attention_size must be a height of the {network}'s feature maps, "
                f"{' or '.join(map(str, dict.fromkeys(self.heights)))} for this image_shape and network, or None; "
                f"received {self.height}."
            )
