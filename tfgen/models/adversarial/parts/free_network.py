"""Base of adversarial models whose networks are chosen by name."""


from tfgen.models.adversarial.base import AdversarialModel
from tfgen.networks import NetworkKind, kinds_of
from tfgen.settings import ImageShape, PositiveInt


class FreeNetworkModel(AdversarialModel):
    """An adversarial model whose networks are settings.

    Args:
        network: "mlp", "conv" or "resnet", see `tfgen.networks`; or {"generator": one, "discriminator": one}.
        width: of both networks.
        network_args: dict of further settings of both networks; `generator` and `discriminator` in it are dicts for one of
            them.
        **kwargs: see `AdversarialModel`. A `generator` and a `discriminator` of your own replace the networks that
            `network`, `width` and `network_args` describe.
    """

    own_networks = {("generator", "discriminator"): ("network", "width", "network_args")}

    def __init__(
        self, *, image_shape: ImageShape, network: NetworkKind | dict = "conv", width: PositiveInt = 64,
        network_args: dict | None = None, **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, **kwargs)
        self.network_kinds, given, settings = kinds_of(network), dict(network_args or {}), {}
        for name, kind in self.network_kinds.items():
            settings[name] = {**self.network_defaults(kind).get(name, {}), **given.pop(name, {})}
        if self.network_kinds["generator"] == "resnet":  # its batch norms take the labels
            settings["generator"] = {"num_classes": self.num_classes, **settings["generator"]}
        self.set_networks(*self.make_networks(network, width=width, **settings, **given))

    def network_defaults(self, network: str) -> dict:
        """Settings of the paper for networks of the kind `network`: {"generator": dict, "discriminator": dict}, or one of
        them. `network_args` override them.
        """
        return {}
