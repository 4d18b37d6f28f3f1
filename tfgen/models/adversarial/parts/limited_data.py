"""What helps GANs with few images, as settings of the family: augmentation of what the discriminator sees, and LeCam.

See `tfgen.models.adversarial.parts.augmentation` for the augmentations and `tfgen.losses.lecam_penalty` for LeCam. All are
off by default, and then a training step has the same operations as without this file.
"""

import keras
import tensorflow as tf

from tfgen import random
from tfgen.losses import lecam_penalty
from tfgen.models.adversarial.parts import augmentation
from tfgen.models.mixin import Mixin
from tfgen.training.players import mean_over_replicas

_NOT_SIGNED = ("wasserstein", "least_squares", "ebgan")
_STREAM = 1 << 21  # added to a stream number, it gives the stream of the augmentation


class LimitedDataMixin(Mixin):
    """The part of `AdversarialModel` that augments images and computes LeCam's penalty.

    `set_limited_data` sets the attributes; `augmented` is applied to all images that the discriminator sees in training.
    """

    def set_limited_data(self, policy: str | None, images: int, lecam_weight: float) -> None:
        """Keeps the settings, for which see `AdversarialModel`, and makes the state that they need."""
        if policy == augmentation.ADAPTIVE and self.objective.name in _NOT_SIGNED:
            raise ValueError(
                "discriminator_augmentation='adaptive' reads from the signs of the logits whether the discriminator "
                f"overfits. They say nothing for the objective {self.objective.name!r}: use 'non_saturating', 'minimax' or "
                f"'hinge', or a policy of {', '.join(augmentation.POLICIES)}."
            )
        if policy == augmentation.ADAPTIVE and self.image_shape[2] not in (1, 3):
            raise ValueError(
                "discriminator_augmentation='adaptive' changes colours, so image_shape must have 1 or 3 channels; received "
                f"{self.image_shape}."
            )
        self.augmentation, self.lecam_weight = policy, float(lecam_weight)
        self.adaptive = AdaptiveProbability(images=images, name="adaptive") if policy == augmentation.ADAPTIVE else None
        self.lecam = LogitAverages(name="lecam") if lecam_weight else None

    def augmented(self, images: tf.Tensor, stream: int, part: int) -> tf.Tensor:
        """The images [B, H, W, C] in [-1, 1], augmented; for `stream` and `part` see `discriminator_noise`."""
        if self.augmentation is None:
            return images
        keys = random.fold(self.noise_keys(tf.shape(images)[0], _STREAM + stream), part)
        if self.adaptive is None:
            return augmentation.diff_augment(images, keys, self.augmentation)
        return augmentation.adaptive_augment(images, keys, self._probability)

    def begin_augmentation(self) -> dict[str, tf.Tensor]:
        """Begins a training step of adaptive augmentation; returns {"augmentation_probability": scalar}, or {}."""
        if self.adaptive is None:
            return {}
        # All passes of a step use this value, so that its update cannot come between them.
        object.__setattr__(self, "_probability", tf.identity(tf.convert_to_tensor(self.adaptive.probability)))
        return {"augmentation_probability": self._probability}

    def observe_logits(self, real: tf.Tensor) -> None:
        """Adapts the probability of augmentation to the logits of real images, [B], of this step."""
        if self.adaptive is not None:
            self.adaptive.observe(self._probability, real)

    def lecam_terms(self, real: tf.Tensor, fake: tf.Tensor) -> dict[str, tf.Tensor]:
        """{"lecam": the weighted penalty, a scalar} for logits [B] of one update of the discriminator; {} if it is off."""
        if self.lecam is None:
            return {}
        return {"lecam": self.lecam_weight * self.lecam.penalty(real, fake, tf.convert_to_tensor(self.step))}


@keras.saving.register_keras_serializable("tfgen")
class AdaptiveProbability(keras.layers.Layer):
    """The probability of `adaptive_augment`: it rises while the discriminator is too sure of the real images.

    r = E sign(D(x)) over real images is 0 for a discriminator that knows nothing, 1 for one that has learnt them by heart.
    After every 4 updates the probability rises if r is above `target`, else it falls, by 4 B / `images` (section 3.1).

    Args:
        target: of r, in (0, 1).
        images: number of real images over which the probability can rise from 0 to 1.

    Attributes:
        probability: float32 scalar, at least 0; training starts with 0.
    """

    def __init__(self, target: float = 0.6, images: int = 500_000, **kwargs):
        super().__init__(**kwargs)
        self.target, self.images = target, images
        self.probability, self.signs, self.count = (
            self.add_weight(name=name, shape=(), initializer="zeros", dtype="float32", trainable=False, autocast=False,
                            aggregation="only_first_replica")
            for name in ("probability", "signs", "count")
        )  # fmt: skip
        self.built = True

    def observe(self, probability: tf.Tensor, logits: tf.Tensor) -> None:
        """Includes the logits of a batch of real images; `probability` is the value that was read for this step."""
        size = tf.cast(tf.shape(logits)[0] * tf.distribute.get_strategy().num_replicas_in_sync, tf.float32)
        signs = tf.convert_to_tensor(self.signs) + mean_over_replicas(tf.reduce_mean(tf.sign(logits)))
        count = tf.convert_to_tensor(self.count) + 1.0
        due = count >= 4.0
        change = tf.sign(signs / 4.0 - self.target) * 4.0 * size / self.images
        self.probability.assign(tf.where(due, tf.maximum(probability + change, 0.0), probability))
        self.signs.assign(tf.where(due, 0.0, signs))
        self.count.assign(tf.where(due, 0.0, count))

    def get_config(self):
        return super().get_config() | {"target": self.target, "images": self.images}


@keras.saving.register_keras_serializable("tfgen")
class LogitAverages(keras.layers.Layer):
    """The moving averages of the logits of real and of generated images, for LeCam's penalty.

    Args:
        decay: of the averages.
        start: number of steps without a penalty, in which the averages are those of the last batch.
    """

    def __init__(self, decay: float = 0.99, start: int = 1_000, **kwargs):
        super().__init__(**kwargs)
        self.decay, self.start = decay, start
        self.real, self.fake = (
            self.add_weight(name=name, shape=(), initializer="zeros", dtype="float32", trainable=False, autocast=False,
                            aggregation="only_first_replica")
            for name in ("real", "fake")
        )  # fmt: skip
        self.built = True

    def penalty(self, real: tf.Tensor, fake: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        """Includes the logits of a batch, [B], in the averages, and returns `lecam_penalty`; 0 before step `start`."""
        decay = tf.where(step < self.start, 0.0, self.decay)
        averages = []
        for variable, logits in ((self.real, real), (self.fake, fake)):
            new = tf.stop_gradient(mean_over_replicas(tf.reduce_mean(logits)))
            averages.append(decay * tf.convert_to_tensor(variable) + (1.0 - decay) * new)
            variable.assign(averages[-1])
        return tf.where(step < self.start, 0.0, lecam_penalty(real, fake, *averages))

    def get_config(self):
        return super().get_config() | {"decay": self.decay, "start": self.start}
