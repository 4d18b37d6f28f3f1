"""Self-supervised GAN.

Chen, Zhai, Ritter, Lucic, Houlsby, "Self-Supervised GANs via Auxiliary Rotation Loss", CVPR 2019, arXiv:1811.11212; settings
as in the authors' code (google/compare_gan).

The idea: a discriminator trains on fakes that change all the time, and forgets what it knew of images. Labels help against
that, but must be there. Here the discriminator has a second task that needs none: it names by how many quarters a real image
was turned. Its features then stay those of real images. The generator is rewarded if its images, turned, are as easy.

    L_D = V_D - beta E_real E_r log Q_D(R = r | x^r)
    L_G = V_G - alpha E_fake E_r log Q_D(R = r | G(z)^r)

x^r is x turned counter-clockwise by r = 0, 1, 2 or 3 quarters; V_D and V_G are the adversarial losses; Q_D is the softmax of
a linear layer on D's features. L_G trains G alone: D learns rotations from real images, so G has to make images like these.
V_D and V_G have only upright images. Of n images all four positions are shown; those that stand upright are shared with V:

    images      x_1 ... x_B, then x^1, x^2 and x^3 of the last n of them              [B + 3 n, H, W, C]
    logits of V the first B rows;  of Q the last 4 n, with the rotations 0 (n times), 1, 2, 3

Everything else is SNGAN: hinge losses, spectral norm in D. `adversarial=False` leaves V out: rotations alone, a baseline of
the paper; the other one, labels, is SNGAN with `num_classes`.

What differs from the code: losses are computed from logits; the code adds 1e-10 to probabilities inside of the logarithm,
so its loss is at most 23. D does not see turned fakes in its own update, where the code computes outputs that no loss uses.
With labels, turned fakes keep their own; the code gives them those of the real images. Upsampling repeats pixels; the code
inserts zeros. Kernels of residual networks start from Glorot's distribution, in the code from N(0, 0.02^2). u of a spectral
norm is updated once in each step of D. The text lets alpha fall to 0, where the true distribution is the optimum; the code
has a constant, as here without `alpha_steps`.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from tfgen import losses, settings
from tfgen.models.adversarial.parts.augmentation import ADAPTIVE
from tfgen.models.adversarial.sngan import SNGAN
from tfgen.networks.common import Network
from tfgen.settings import ImageShape, NonNegativeFloat, PositiveFraction, PositiveInt

ROTATIONS = 4


def with_turned(images: tf.Tensor, number: int | tf.Tensor) -> tf.Tensor:
    """Images [B, H, H, C], and then the last `number` of them turned by 1, 2 and 3 quarters: [B + 3 number, H, H, C]."""
    last = images[tf.shape(images)[0] - number :]
    return tf.concat([images, *(tf.image.rot90(last, quarters) for quarters in range(1, ROTATIONS))], axis=0)


def rotations_of(number: int | tf.Tensor) -> tf.Tensor:
    """The rotations of the last 4 `number` images of `with_turned`, int32: 0 `number` times, then 1, 2 and 3."""
    return tf.repeat(tf.range(ROTATIONS), number)


def rotation_loss(logits: tf.Tensor) -> tf.Tensor:
    """-E log Q(r | x^r) in nats, a scalar, of logits [4 n, 4] in the order of `rotations_of`."""
    rotations = tf.one_hot(rotations_of(tf.shape(logits)[0] // ROTATIONS), ROTATIONS)
    return -tf.reduce_mean(losses.categorical_log_likelihood(logits, rotations))


class DiscriminatorWithRotations(Network):
    """A discriminator with a linear layer on its features: its outputs and "rotation" [B, 4], the logits of Q_D."""

    def __init__(self, discriminator, **kwargs):
        super().__init__(convolution="spectral", **kwargs)
        self.discriminator = discriminator
        self.rotation = self.make_dense(ROTATIONS, name="rotation")

    def call(self, inputs, training=False):
        found = self.discriminator(inputs, training=training)
        return {**found, "rotation": self.rotation(found["features"])}


@keras.saving.register_keras_serializable("tfgen")
class SSGAN(SNGAN):
    """SS-GAN. Its logs have the weighted losses of rotation, `rotation_real` of D and `rotation_fake` of G.

    Args:
        image_shape: (H, H, C): images that are turned by a quarter must be square.
        alpha: weight of the rotation loss in the generator's loss.
        alpha_steps: None: alpha is constant; or the number of training steps in which it falls to 0, in a straight line.
        beta: weight of the rotation loss in the discriminator's loss.
        rotated_share: n / B, of the images that are shown in all four positions; n is rounded up. With several replicas
            these are the last ones of each.
        adversarial: whether the losses have V; False: the networks learn from rotations alone.
        self_modulated: whether the generator has self-modulated batch norm, see
            `tfgen.networks.self_modulation.SelfModulatedBatchNorm`.
        **kwargs: see `SNGAN`. A `discriminator` of your own also returns features [B, any], for the logits of rotations.
            The "adaptive" `discriminator_augmentation` turns images itself, so it cannot be used.

    Raises:
        ValueError: images that are not square, the augmentation "adaptive", a discriminator that is left without a loss, or
            `self_modulated` with another norm in `network_args`.

    Example:

    >>> model = tfgen.models.SSGAN(image_shape=(8, 8, 1), network="resnet", width=4, latent_dim=3)
    >>> model.rotation_logits(model.sample(2, seed=0)).shape
    TensorShape([2, 4])
    """

    own_networks = {**SNGAN.own_networks, ("generator",): ("self_modulated",)}

    loss_names = (*SNGAN.loss_names, "rotation_real", "rotation_fake")

    def __init__(
        self, *, image_shape: ImageShape, alpha: NonNegativeFloat = 0.2, alpha_steps: PositiveInt | None = None,
        beta: NonNegativeFloat = 1.0, rotated_share: PositiveFraction = 0.25, adversarial: bool = True,
        self_modulated: bool = False, discriminator_steps: PositiveInt = 1, **kwargs,
    ):  # fmt: skip
        if image_shape[0] != image_shape[1]:
            raise ValueError(
                "image_shape must have equal sides, since images that are turned by a quarter must fit; received "
                f"{image_shape[0]} x {image_shape[1]} pixels. Load them with another size."
            )
        if kwargs.get("discriminator_augmentation") == ADAPTIVE:
            raise ValueError(
                "discriminator_augmentation='adaptive' turns images by quarters, and SSGAN's discriminator must name the "
                "quarters: use a policy of DiffAugment, for example 'translation,cutout'."
            )
        if not adversarial and beta == 0:
            raise ValueError("adversarial=False with beta=0 leaves the discriminator without a loss; received both.")
        if self_modulated and "norm" in (kwargs.get("network_args") or {}).get("generator", {}):
            raise ValueError("self_modulated=True sets the generator's norm; received a norm in network_args as well.")
        object.__setattr__(self, "_modulated", bool(self_modulated))  # Keras allows no attributes before its own __init__
        super().__init__(image_shape=image_shape, discriminator_steps=discriminator_steps, **kwargs)
        self.alpha, self.alpha_steps, self.beta = float(alpha), alpha_steps, float(beta)
        self.rotated_share = float(rotated_share)
        if not adversarial:
            self.objective = _without_effect(self.objective)

    def network_defaults(self, network):
        found = super().network_defaults(network)
        if network == "resnet":  # those of the code
            found["discriminator"] |= {"pooling": "mean", "shortcuts": "all", "logit_bias": True}
        return {**found, **({"generator": {"norm": "self_modulated"}} if self._modulated else {})}

    def discriminator_outputs(self):
        outputs, _ = super().discriminator_outputs()
        return outputs, tuple(outputs)

    def set_networks(self, generator, discriminator):
        name = "discriminator_with_rotations"
        super().set_networks(generator, DiscriminatorWithRotations(discriminator, dtype=self.dtype_policy, name=name))

    # ---- training

    def passed(self, images, stream, part=0):
        """As in `AdversarialModel`; "rotation" has the logits of the last n images in all four positions, [4 n, 4].

        The fakes of the discriminator's update are not turned, and have no "rotation".
        """
        turned = images.latents is None or stream >= self.generator_stream(0)
        size = tf.shape(images.images)[0]
        number = self.number_of_rotated(size) if turned else 0
        one_hot = images.one_hot
        if one_hot is not None and turned:
            one_hot = tf.concat([one_hot, tf.tile(one_hot[size - number :], [ROTATIONS - 1, 1])], axis=0)
        shown = with_turned(images.images, number) if turned else images.images
        seen = super().passed(dataclasses.replace(images, images=shown, one_hot=one_hot), stream, part)
        assert seen.outputs is not None
        outputs = {name: values[:size] for name, values in seen.outputs.items() if name != "rotation"}
        if turned:
            outputs["rotation"] = seen.outputs["rotation"][size - number :]
        return dataclasses.replace(images, outputs=outputs)

    def number_of_rotated(self, size: tf.Tensor) -> tf.Tensor:
        """n of `size` images, an int32 scalar."""
        # Less a little, so that 0.3 of 10 are not 4 because of rounding.
        number = tf.math.ceil(self.rotated_share * tf.cast(size, tf.float32) - 1e-3)
        return tf.maximum(tf.cast(number, tf.int32), 1)

    def alpha_at(self, step: tf.Tensor) -> tf.Tensor:
        """The weight of the generator's rotation loss at a step, a float32 scalar."""
        if self.alpha_steps is None:
            return tf.constant(self.alpha)
        return self.alpha * tf.maximum(0.0, 1.0 - tf.cast(step, tf.float32) / float(self.alpha_steps))

    def discriminator_terms(self, batch, real, fake):
        return {"rotation_real": self.beta * rotation_loss(real.outputs["rotation"])}

    def generator_terms(self, batch, fake):
        alpha = self.alpha_at(tf.convert_to_tensor(self.step))
        return {"rotation_fake": alpha * rotation_loss(fake.outputs["rotation"])}

    # ---- rotations of images

    def rotation_logits(self, images: tf.Tensor, labels: tf.Tensor | None = None) -> tf.Tensor:
        """The logits of Q_D, float32 [B, 4]: by how many quarters counter-clockwise was each image turned?

        Args:
            images: float32 [B, H, H, C] in [0, 1].
            labels: int [B] in a conditional model.

        Raises:
            ValueError: images of another shape, or missing labels.
        """
        one_hot = None if labels is None and not self.num_classes else self.one_hot(labels)
        return self.discriminate(2.0 * self.check_images(images) - 1.0, one_hot)["rotation"]

    def rotation_accuracy(
        self, images: np.ndarray, labels: np.ndarray | None = None, batch_size: PositiveInt = 250
    ) -> float:  # fmt: skip
        """The share of right answers for images in all four positions; chance is 1/4.

        Args:
            images: float32 [N, H, H, C] in [0, 1], N >= 1.
            labels: int [N] in a conditional model.
            batch_size: number of images that are turned at once.

        Raises:
            ValueError: as `rotation_logits`; there are no images, or `batch_size` is below 1.
        """
        settings.check(SSGAN.rotation_accuracy, batch_size=batch_size)
        if not len(images):
            raise ValueError("images must hold at least one image; received none.")
        right = 0
        for start in range(0, len(images), batch_size):
            upright = tf.convert_to_tensor(images[start : start + batch_size], tf.float32)
            given = None if labels is None else tf.tile(labels[start : start + batch_size], [ROTATIONS])
            logits = self.rotation_logits(with_turned(upright, len(upright)), given)
            right += int(np.sum(np.argmax(logits, axis=-1) == rotations_of(len(upright))))
        return right / (ROTATIONS * len(images))


def _without_effect(objective):
    """The objective with both losses times 0, as in the code."""
    return dataclasses.replace(
        objective, discriminator=lambda real, fake: 0.0 * objective.discriminator(real, fake),
        generator=lambda fake: 0.0 * objective.generator(fake),
    )  # fmt: skip
