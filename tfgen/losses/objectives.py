"""Adversarial objectives: losses of discriminator and generator as pure functions of raw discriminator outputs.

s is the discriminator's output without a sigmoid (for `ebgan`: an energy >= 0), sp is softplus, E the mean over the batch:

    name             D minimises                              G minimises     source
    minimax          E sp(-s(x)) + E sp(s(G))                 -E sp(s(G))     Goodfellow et al. 2014, arXiv:1406.2661, eq. 1
    non_saturating   E sp(-s(x)) + E sp(s(G))                 E sp(-s(G))     the same paper, section 3
    least_squares    (E (s(x) - 1)^2 + E s(G)^2) / 2          E (s(G) - 1)^2 / 2   Mao et al. 2017, arXiv:1611.04076, eq. 9
    wasserstein      E s(G) - E s(x)                          -E s(G)         Arjovsky et al. 2017, arXiv:1701.07875
    hinge            E max(0, 1 - s(x)) + E max(0, 1 + s(G))  -E s(G)         Lim, Ye 2017, arXiv:1705.02894
    ebgan            E e(x) + E max(0, margin - e(G))         E e(G)          Zhao et al. 2017, arXiv:1609.03126, eq. 1-2
"""

import dataclasses
import functools
import typing
from typing import Literal

import keras
import tensorflow as tf

_saved = keras.saving.register_keras_serializable("tfgen")


@_saved
@dataclasses.dataclass(frozen=True)
class Objective:
    """The losses of discriminator and generator.

    A model with an objective can be saved only if both functions are registered with
    `keras.saving.register_keras_serializable`, as those of this module are, or are a `functools.partial` of such a function
    with JSON-able keywords.

    Example:
        >>> objective = tfgen.losses.OBJECTIVES["hinge"]
        >>> float(objective.discriminator(tf.constant([0.5, 2.0]), tf.constant([-2.0, -2.0])))  # mean of max(0, 1 - logit)
        0.25
        >>> float(objective.generator(tf.constant([-2.0, -2.0])))
        2.0

    Attributes:
        name: its name in `OBJECTIVES`, or from `ebgan` or `label_smoothing`.
        discriminator: (real logits, fake logits), float of any equal rank -> scalar.
        generator: fake logits -> scalar.
    """

    name: str
    discriminator: typing.Callable
    generator: typing.Callable

    def get_config(self) -> dict:
        config = {"name": self.name}
        for role in ("discriminator", "generator"):
            function = getattr(self, role)
            config[role], config[f"{role}_keywords"] = _known(function, f"{role} of the objective {self.name!r}")
        return config

    @classmethod
    def from_config(cls, config: dict) -> "Objective":
        def function(role):
            found = keras.saving.deserialize_keras_object(config[role])
            keywords = config[f"{role}_keywords"]
            return functools.partial(found, **keywords) if keywords else found

        return cls(config["name"], function("discriminator"), function("generator"))


def _known(function, what):
    """(the config of the function in Keras, the keywords of a `functools.partial`)."""
    keywords = {}
    if isinstance(function, functools.partial) and not function.args:
        keywords = function.keywords
        function = function.func
    if keras.saving.get_registered_object(keras.saving.get_registered_name(function)) is not function:
        raise ValueError(
            f"The {what} cannot be saved: {function!r} is not registered. Define it as a function of a module, under "
            "@keras.saving.register_keras_serializable()."
        )
    return keras.saving.serialize_keras_object(function), dict(keywords)


def _mean_softplus(logits):
    return tf.reduce_mean(tf.nn.softplus(logits))


@_saved
def minimax_generator(fake):
    """-E sp(s(G)), a scalar."""
    return -_mean_softplus(fake)


@_saved
def non_saturating_generator(fake):
    """E sp(-s(G)), a scalar."""
    return _mean_softplus(-fake)


@_saved
def least_squares_generator(fake):
    """E (s(G) - 1)^2 / 2, a scalar."""
    return 0.5 * tf.reduce_mean(tf.square(fake - 1.0))


@_saved
def wasserstein_generator(fake):
    """-E s(G), a scalar."""
    return -tf.reduce_mean(fake)


@_saved
def energy_generator(fake):
    """E e(G), a scalar."""
    return tf.reduce_mean(fake)


@_saved
def logistic_discriminator(real, fake, real_target=1.0):
    """Cross-entropy of real with target `real_target` (0.9: one-sided label smoothing) plus that of fake with target 0."""
    return real_target * _mean_softplus(-real) + (1.0 - real_target) * _mean_softplus(real) + _mean_softplus(fake)


@_saved
def least_squares_discriminator(real, fake):
    """(E (s(x) - 1)^2 + E s(G)^2) / 2, a scalar."""
    return 0.5 * (tf.reduce_mean(tf.square(real - 1.0)) + tf.reduce_mean(tf.square(fake)))


@_saved
def wasserstein_discriminator(real, fake):
    """E s(G) - E s(x), a scalar."""
    return tf.reduce_mean(fake) - tf.reduce_mean(real)


@_saved
def hinge_discriminator(real, fake):
    """E max(0, 1 - s(x)) + E max(0, 1 + s(G)), a scalar."""
    return tf.reduce_mean(tf.nn.relu(1.0 - real)) + tf.reduce_mean(tf.nn.relu(1.0 + fake))


@_saved
def energy_discriminator(real, fake, margin):
    """E e(x) + E max(0, margin - e(G)), a scalar."""
    return tf.reduce_mean(real) + tf.reduce_mean(tf.nn.relu(margin - fake))


def ebgan(margin: float) -> Objective:
    """The energy-based objective, for energies >= 0 instead of logits; `margin` > 0 has the unit of the energies.

    Example:
        >>> objective = tfgen.losses.ebgan(margin=10.0)
        >>> float(objective.discriminator(tf.constant([1.0]), tf.constant([4.0])))  # 1 + max(0, 10 - 4)
        7.0
    """
    if not 0.0 < margin < float("inf"):
        raise ValueError(f"margin must be positive and finite; received {margin!r}.")
    return Objective("ebgan", functools.partial(energy_discriminator, margin=margin), energy_generator)


ObjectiveName = Literal["minimax", "non_saturating", "least_squares", "wasserstein", "hinge"]
OBJECTIVES = {
    objective.name: objective
    for objective in (
        Objective("minimax", logistic_discriminator, minimax_generator),
        Objective("non_saturating", logistic_discriminator, non_saturating_generator),
        Objective("least_squares", least_squares_discriminator, least_squares_generator),
        Objective("wasserstein", wasserstein_discriminator, wasserstein_generator),
        Objective("hinge", hinge_discriminator, wasserstein_generator),
    )
}


def label_smoothing(objective: str | Objective = "non_saturating", real_target: float = 0.9) -> Objective:
    """One-sided label smoothing of a logistic objective: Salimans et al. 2016, arXiv:1606.03498, section 3.4.

    The discriminator's target for real examples becomes `real_target`. Its target for fakes stays 0: if both were smoothed,
    the optimal discriminator would pull the generator towards its own samples. The generator's loss stays the same.

    Example:
        >>> smoothed = tfgen.losses.label_smoothing("non_saturating", real_target=0.9)
        >>> smoothed.name
        'non_saturating_smoothed'
        >>> losses = [float(smoothed.discriminator(tf.constant([logit]), tf.constant([0.0]))) for logit in (1.0, 2.2, 5.0)]
        >>> min(losses) == losses[1]  # the best logit of real images is ln(0.9 / 0.1), about 2.2
        True

    Args:
        objective: "minimax" or "non_saturating", as a name or an `Objective`.
        real_target: in (0, 1]; 1 changes nothing.

    Returns:
        `Objective`, named `<name>_smoothed`.

    Raises:
        ValueError: another objective, or `real_target` out of range.
    """
    chosen = objective if isinstance(objective, Objective) else OBJECTIVES.get(objective)
    if chosen is None or chosen.discriminator is not logistic_discriminator:
        name = repr(objective) if chosen is None else repr(chosen.name)
        raise ValueError(f"Label smoothing needs the objective 'minimax' or 'non_saturating'; received {name}.")
    if not 0.0 < real_target <= 1.0:
        raise ValueError(f"real_target must be in (0, 1]; received {real_target!r}.")
    smoothed = functools.partial(logistic_discriminator, real_target=real_target)
    return dataclasses.replace(chosen, name=f"{chosen.name}_smoothed", discriminator=smoothed)
