"""Trained networks that another model uses as they are."""

import os

import keras

from tfgen.features.frozen import fingerprint


class Fixed:
    """A trained network that a model uses and does not train, held by reference.

    It is no Keras layer: a model that holds it in an attribute has none of its variables, so they are in no checkpoint, no
    weight file, no average and no optimiser of that model. In its place a config has the path and the fingerprint, and a
    model that is loaded refuses another network. An export does hold it.

    Args:
        given: a `keras.Model` (a model of tfgen, too), the path of a `.keras` file of one, or what `get_config` returned.
        name: of the constructor argument, for messages.

    Attributes:
        network: the `keras.Model`.
        fingerprint: sha256, hexadecimal, of its architecture and weights.

    Raises:
        ValueError: none of these, no such file, a network that has no weights yet, or one with another fingerprint than the
            config says.
    """

    def __init__(self, given: keras.Model | str | os.PathLike | dict, name: str):
        expected = None
        if isinstance(given, dict):
            config, expected = given, given.get("fingerprint")
            given = config.get("path")
            if given is None:
                raise ValueError(
                    f"{name} was given as a network in memory, whose weights no config holds: save it to a .keras file and "
                    f"give the path, or give the network again. Its fingerprint is {expected}."
                )
        self.path = None
        if isinstance(given, (str, os.PathLike)):
            self.path = os.fspath(given)
            if not os.path.isfile(self.path) or not self.path.endswith(".keras"):
                raise ValueError(f"{name} must be the path of a .keras file that exists; received {self.path!r}.")
            given = keras.saving.load_model(self.path, compile=False)
        if not isinstance(given, keras.Model):
            raise ValueError(f"{name} must be a keras.Model or the path of a .keras file; received {given!r}.")
        if not given.built:
            raise ValueError(f"{name}: {given.name!r} has no weights yet. Call it once on inputs, then give it.")
        self.network, self.fingerprint = given, fingerprint(given)
        if expected not in (None, self.fingerprint):
            raise ValueError(f"{name}: {self.path} holds a network of fingerprint {self.fingerprint}; expected {expected}.")

    def get_config(self) -> dict:
        """{"path": of the file or None, "fingerprint"}."""
        return {"path": self.path, "fingerprint": self.fingerprint}
