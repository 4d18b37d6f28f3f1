"""Base of adversarial models whose networks are chosen by name."""

from collections.abc import Sequence

from tfgen.models.adversarial.base import AdversarialModel


class FreeNetworkModel(AdversarialModel):
    """An adversarial model whose networks are settings.

    Args:
        network: "mlp", "conv" or "resnet", see `tfgen.networks`.
        width: of both networks.
        network_args: dict of further settings of both networks; `generator` and `discriminator` in it are dicts for one of
            them.
        **kwargs: see `AdversarialModel`. A `generator` and a `discriminator` of your own replace the networks that
            `network`, `width` and `network_args` describe.
    """

    own_networks = {("generator", "discriminator"): ("network", "width", "network_args")}

    def __init__(
        self, *, image_shape: Sequence[int], network: str = "conv", width: int = 64, network_args: dict | None = None,
        **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, **kwargs)
        settings, given = self.network_defaults(network), dict(network_args or {})
        for name in ("generator", "discriminator"):
            settings[name] = {**settings.get(name, {}), **given.pop(name, {})}
        if network == "resnet":  # its generator's batch norms take the labels
            settings["generator"] = {"num_classes": self.num_classes, **settings["generator"]}
        self.set_networks(*self.make_networks(network, width=width, **{**settings, **given}))

    def network_defaults(self, network: str) -> dict:
        """Settings of the networks in the paper, a dict like `network_args`, which overrides them."""
        return {}
