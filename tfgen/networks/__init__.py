"""Generators and discriminators that several papers share: fully connected, convolutional, residual, maxout, of patches.

Convolution, normalisation and attention are settings of each network: see `tfgen.networks.slots`.
So a spectrally normalised generator is `ConvGenerator(image_shape=(32, 32, 3), convolution="spectral")`.
"""

from collections.abc import Callable
from typing import Literal

import keras

from tfgen.networks.appearance_flow import AppearanceFlow
from tfgen.networks.clip_generator import ClipGenerator, FrameGenerator
from tfgen.networks.common import Discriminator, Network
from tfgen.networks.conv import ConvDiscriminator, ConvGenerator
from tfgen.networks.fusion_discriminator import FusionDiscriminator
from tfgen.networks.given import GivenNetwork, given_network
from tfgen.networks.maxout import ConvMaxoutDiscriminator, DeconvGenerator, MaxoutDiscriminator
from tfgen.networks.mlp import MLPDiscriminator, MLPGenerator
from tfgen.networks.multi_scale import MultiScalePatchGAN, halved
from tfgen.networks.patch_gan import PatchGAN
from tfgen.networks.residual_translator import ResidualTranslator
from tfgen.networks.resnet import ResNetDiscriminator, ResNetGenerator
from tfgen.networks.slots import CONVOLUTIONS, Convolution
from tfgen.networks.unet import UNet

__all__ = [
    "CONVOLUTIONS",
    "NETWORKS",
    "NetworkKind",
    "AppearanceFlow",
    "ClipGenerator",
    "ConvDiscriminator",
    "ConvGenerator",
    "ConvMaxoutDiscriminator",
    "Convolution",
    "DeconvGenerator",
    "Discriminator",
    "FrameGenerator",
    "FusionDiscriminator",
    "GivenNetwork",
    "MLPDiscriminator",
    "MLPGenerator",
    "MaxoutDiscriminator",
    "MultiScalePatchGAN",
    "Network",
    "PatchGAN",
    "ResNetDiscriminator",
    "ResNetGenerator",
    "ResidualTranslator",
    "UNet",
    "given_network",
    "halved",
    "make_networks",
]

NetworkKind = Literal["mlp", "conv", "resnet", "maxout", "conv_maxout"]
NETWORKS: dict[str, tuple[Callable, Callable]] = {
    "mlp": (MLPGenerator, MLPDiscriminator),
    "conv": (ConvGenerator, ConvDiscriminator),
    "resnet": (ResNetGenerator, ResNetDiscriminator),
    "maxout": (MLPGenerator, MaxoutDiscriminator),
    "conv_maxout": (DeconvGenerator, ConvMaxoutDiscriminator),
}


def make_networks(
    kind: str | dict, *, generator: dict | keras.layers.Layer | None = None,
    discriminator: dict | keras.layers.Layer | None = None, **shared,
) -> list[keras.layers.Layer]:  # fmt: skip
    """(generator, discriminator) of a kind in `NETWORKS`.

    Example:
        >>> generator, discriminator = tfgen.networks.make_networks("mlp", image_shape=(8, 8, 1), width=16)
        >>> type(generator).__name__, type(discriminator).__name__
        ('MLPGenerator', 'MLPDiscriminator')

    Args:
        kind: a name in `NETWORKS`, or a dict of two names, see `kinds_of`.
        generator, discriminator: dict of settings for this network, which override those in `shared`, or the network itself.
        **shared: settings of both: `image_shape`, `width` and other arguments of the networks.

    Raises:
        ValueError: the kind is unknown, or its networks do not have a setting.
    """
    networks, given = [], {"generator": generator, "discriminator": discriminator}
    for i, (name, kind_of_this) in enumerate(kinds_of(kind).items()):
        values = given[name]
        if isinstance(values, keras.layers.Layer):
            networks.append(values)
            continue
        values = {**shared, **(values or {})}
        try:
            networks.append(NETWORKS[kind_of_this][i](name=name, **values))
        except TypeError as error:
            names = sorted(values)
            raise ValueError(f"The {kind_of_this} {name} cannot be built with the settings {names}: {error}") from error
    return networks


def kinds_of(kind: str | dict) -> dict[str, str]:
    """{"generator": a name in `NETWORKS`, "discriminator": a name} from one name for both, or from such a dict."""
    players = ("generator", "discriminator")
    kinds = kind if isinstance(kind, dict) else dict.fromkeys(players, kind)
    if set(kinds) != set(players) or not set(kinds.values()) <= set(NETWORKS):
        raise ValueError(
            f"network must be one of {', '.join(NETWORKS)}, or a dict of one for the generator and one for the "
            f"discriminator; received {kind!r}."
        )
    return {name: kinds[name] for name in players}
