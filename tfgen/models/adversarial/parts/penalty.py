"""The penalty of the discriminator, in every step, or lazily in an update of its own.

Lazy: Karras, Laine, Aittala, Hellsten, Lehtinen, Aila, "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020,
arXiv:1912.04958, section 3.1 and appendix B.
"""

from typing import Any

import tensorflow as tf

from tfgen.losses import PENALTIES
from tfgen.models.adversarial.parts.passes import Pass
from tfgen.models.mixin import Mixin
from tfgen.training.schedules import lazy


class PenaltyMixin(Mixin):
    """The part of `AdversarialModel` that penalises the discriminator.

    Attributes:
        penalty: a function of `tfgen.losses.PENALTIES`, or None.
        penalty_weight: its factor.
        penalty_interval: k. A lazy penalty, k > 1, is minimised in every k-th step, the first one included.
    """

    def set_penalty(self, name: str | None, weight: float, interval: int) -> None:
        """Sets the attributes; ValueError for an interval without a penalty."""
        if name is None and interval > 1:
            raise ValueError(f"penalty_interval={interval} is for a penalty; received penalty=None.")
        self.penalty = None if name is None else PENALTIES[name]
        self.penalty_weight, self.penalty_interval = float(weight), int(interval)

    def compile(self, optimizer: Any = None, **kwargs) -> None:
        """As `TrainableModel.compile`. A default optimiser of a discriminator with a lazy penalty is `lazy`."""
        by_player = isinstance(optimizer, dict) and "class_name" not in optimizer
        if self.penalty_interval > 1 and (optimizer is None or by_player and optimizer.get("discriminator") is None):
            default = self.default_optimizer()
            default = default["discriminator"] if isinstance(default, dict) else default
            optimizer = {**(optimizer or {}), "discriminator": lazy(default, self.penalty_interval)}
        super().compile(optimizer, **kwargs)

    def lazy_turn(self, step: int) -> bool:
        """Whether step `step` (an int, counted from 0) has an update for a lazy penalty."""
        return self.penalty_interval > 1 and step % self.penalty_interval == 0

    def lazy_turns(self, steps: int) -> int:
        """The number of these updates in the first `steps` steps."""
        return -(-steps // self.penalty_interval) if self.penalty_interval > 1 else 0

    def weighted_penalty(self, real: Pass, made: Pass, stream: int) -> tf.Tensor:
        """The penalty times its weight, a scalar, at real and generated images; `stream`: see `update_discriminator`."""
        size = tf.shape(real.images)[0]
        noise, alpha = (
            self.discriminator_noise(size, stream, part=2),
            0.5 + 0.5 * self.noise([], size, stream + 1, "uniform"),
        )

        def logits_of(images):
            return self.logits(self.augmented(images, stream, 2), real.one_hot, training=True, **noise)

        assert self.penalty is not None
        return self.penalty_weight * self.penalty(logits_of, real.images, made.images, alpha)

    def update_lazily(self, real: Pass, made: Pass, stream: int) -> dict[str, tf.Tensor]:
        """In a step of a lazy penalty, an update of the discriminator that minimises it: {"penalty": scalar}; else {}."""
        if self.penalty_interval == 1 or not (self.kind is None or "penalty" in self.kind):
            return {}

        def losses_fn():
            return {"penalty": self.penalty_interval * self.weighted_penalty(real, made, stream)}

        return self.step_players({"discriminator": "penalty"}, losses_fn)
