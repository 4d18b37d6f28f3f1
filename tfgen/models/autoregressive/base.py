"""The family of autoregressive models: p(x) is the product of p(pixel | earlier pixels) in raster order."""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import fields, random, settings
from tfgen.distributions.pixels import CategoricalPixels
from tfgen.fields import checked
from tfgen.models.base import TrainableModel
from tfgen.models.capabilities import Completer, Likelihood, Sampler
from tfgen.models.capabilities.capability import free_batch
from tfgen.sampling.cached import Stepwise, Whole, scan
from tfgen.settings import Classes, ImageShape, PositiveInt, Seed, TwoOrMore


class AutoregressiveModel(Sampler, Likelihood, Completer, TrainableModel):
    """A model trained on the exact likelihood of images with values k / (levels - 1), k = 0 ... levels - 1.

    A subclass builds its layers in the constructor, calls `build_network()` at its end, and implements `network`. The
    latents are the uniform numbers from which pixels are drawn, `likelihood.num_uniforms` for each pixel (see
    `tfgen.distributions.pixels`).

    Args:
        image_shape: (H, W, C).
        levels: grey levels of a channel; 2 for binary images.
        num_classes: 0, or the number of classes of a conditional model (batches then need `label`).
        **kwargs: see `TrainableModel`.
    """

    loss_names = ("nll", "bits_per_dim")
    exact_likelihood = True
    sequential = True

    def __init__(self, *, image_shape: ImageShape, levels: TwoOrMore = 256, num_classes: Classes = 0, **kwargs):
        super().__init__(image_shape=image_shape, **kwargs)
        self.levels, self.num_classes = levels, num_classes
        self.likelihood = self.make_likelihood()
        self.latent_dim = math.prod(self.image_shape[:2]) * self.likelihood.num_uniforms

    def make_likelihood(self) -> Any:
        """The distributions of pixels; by default a categorical distribution for each channel."""
        return CategoricalPixels(self.levels, self.image_shape[-1])

    def network(
        self, x: tf.Tensor, scope: Whole | Stepwise, condition: tf.Tensor | None = None, training: bool = False
    ) -> tf.Tensor:
        """Parameters of the distributions of all pixels, [B, H, W, P] in the compute dtype.

        Args:
            x: the network's input, from `prepare`.
            scope: see `tfgen.sampling.cached`. Every operation that combines positions must use it.
            condition: the result of `condition`, or None.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement network(x, scope, condition).")

    def condition(self, labels: tf.Tensor | None = None) -> tf.Tensor | None:
        """The argument `condition` of `network` for a batch: None, or one-hot labels [B, K]."""
        return None if labels is None and not self.num_classes else self.one_hot(labels)

    def build_network(self) -> None:
        """Builds all layers by calling the network on one image."""
        conditions = {field.argument: tf.zeros([1, *field.shape], field.dtype) for field in self.conditions()}
        found = self.network(self.prepare(tf.zeros([1, *self.image_shape])), Whole(), self.condition(**conditions))
        if found.shape[1:] != (*self.image_shape[:2], self.likelihood.num_parameters):
            raise ValueError(
                f"network must return {self.likelihood.num_parameters} parameters for each pixel; received {found.shape}."
            )
        self.built = True

    # ---- images and levels

    def levels_of(self, images: tf.Tensor) -> tf.Tensor:
        """Levels float32 [B, H, W, C] of images in [0, 1]. Raises InvalidArgumentError for a value between two levels."""
        scaled = self.check_images(images) * (self.levels - 1)
        levels = tf.round(scaled)
        distance = tf.reduce_max(tf.abs(scaled - levels))
        # Images that were stored in 8 bits, as in `tfgen.data`, may differ from a level by half of 1 / 255.
        stored = 0.0 if 255 % (self.levels - 1) == 0 else 0.5 / 255 * (self.levels - 1)
        message = f"Images must have the values k / {self.levels - 1} of levels={self.levels}; one is off by, in levels,"
        if self.levels == 2:
            message = "Images must be 0 or 1, as levels=2: binarise them; one is off by"
        return checked(levels, distance <= stored + 1e-3, message, distance)

    def images_of(self, levels: tf.Tensor) -> tf.Tensor:
        """Images in [0, 1] of levels."""
        return levels / (self.levels - 1)

    def prepare(self, levels: tf.Tensor) -> tf.Tensor:
        """The input of `network`, in [-1, 1], from levels [..., C]."""
        return tf.cast(2.0 * self.images_of(levels) - 1.0, self.compute_dtype)

    # ---- likelihood

    def distribution(self, images: tf.Tensor, **conditions) -> tfp.distributions.Distribution:
        """p(x_i | x_1 ... x_{i-1}) for all pixels i, given the true values of the earlier pixels.

        Args:
            images: float32 [B, H, W, C] in [0, 1].
            **conditions: e.g. `labels` int [B], for a conditional model.

        Returns:
            A TensorFlow Probability distribution: batch shape [B], event shape [H, W, C], values are levels 0, 1, ...
        """
        levels = self.levels_of(images)
        return self._distribution(levels, self.check_conditions(levels.shape[0], conditions))

    def _distribution(self, levels, conditions, training=False):
        parameters = self.network(self.prepare(levels), Whole(), self.condition(**conditions), training=training)
        return self.likelihood.distribution(tf.cast(parameters, tf.float32))

    def log_prob(self, images: tf.Tensor, **conditions) -> tf.Tensor:
        """log p(x), float32 [B], nats per image; see `distribution`."""
        levels = self.levels_of(images)
        return self._distribution(levels, self.check_conditions(levels.shape[0], conditions)).log_prob(levels)

    def pixel_bits(self, images: tf.Tensor, **conditions) -> tf.Tensor:
        """-log2 p(pixel | earlier pixels), float32 [B, H, W]: how much each pixel surprises the model; in all -log2 p(x).

        Example:
            >>> model = tfgen.models.PixelCNN(image_shape=(4, 4, 1), levels=2, width=4, depth=1, first_kernel_size=3)
            >>> model.pixel_bits(tf.zeros([3, 4, 4, 1])).shape
            TensorShape([3, 4, 4])
        """
        levels = self.levels_of(images)
        found = self._distribution(levels, self.check_conditions(levels.shape[0], conditions))
        nats = found.distribution.log_prob(levels)  # of pixels, or of the channels of pixels
        return (nats if nats.shape.rank == 3 else tf.reduce_sum(nats, axis=-1)) / -math.log(2.0)

    def signatures(self):
        """The signatures of the capabilities, and `pixel_bits`."""
        signatures = super().signatures()
        if not self.knows_likelihood:
            return signatures

        def pixel_bits(image, **conditions):
            return {"pixel_bits": self.pixel_bits(image, **conditions)}

        return {**signatures, "pixel_bits": (pixel_bits, signatures["log_prob"][1])}

    def call(self, images, training=False):
        return self.log_prob(images)

    # ---- training

    def check_batch(self, batch: dict) -> dict:
        if "image" not in batch:
            return batch
        with tf.control_dependencies([self.levels_of(batch["image"])]):
            return {**batch, "image": tf.identity(batch["image"])}

    def nll_of(self, batch: dict, training: bool) -> dict[str, tf.Tensor]:
        """{"nll": -log p(x) in nats, "bits_per_dim"}, means over a batch of checked fields."""
        levels = self.levels_of(batch["image"])
        log_prob = self._distribution(levels, self.conditions_of(batch), training).log_prob(levels)
        nll = -tf.reduce_mean(log_prob)
        return {"nll": nll, "bits_per_dim": nll / (math.prod(self.image_shape) * math.log(2.0))}

    def update(self, batch: dict) -> dict[str, tf.Tensor]:
        """Minimises bits per dimension, so that gradients and their clipping do not depend on the size of images."""

        def losses_fn():
            return self.nll_of(batch, training=True)

        return self.step_players({"model": "bits_per_dim"}, losses_fn)

    def evaluation_losses(self, batch: dict) -> dict[str, tf.Tensor]:
        return self.nll_of(batch, training=False)

    def default_optimizer(self) -> keras.optimizers.Optimizer | dict:
        return keras.optimizers.Adam(1e-3, global_clipnorm=1.0)

    # ---- sampling

    def latents(self, seeds: tf.Tensor) -> tf.Tensor:
        return random.uniform(random.keys(seeds), self.latent_dim)

    def check_latents(self, latents: tf.Tensor) -> tf.Tensor:
        """As `Sampler.check_latents`; the numbers must be in [0, 1]."""
        return fields.Field("latents", (self.latent_dim,), low=0.0, high=1.0).check(latents, type(self).__name__)

    def decode_images(self, latents: tf.Tensor, **conditions) -> tf.Tensor:
        """Images float32 [B, H, W, C] in [0, 1] of uniform numbers [B, latent_dim] in (0, 1), by cached sampling."""
        latents = self.check_latents(latents)
        return self.images_of(self.draw_levels(latents, self.condition(**conditions)))

    def draw_levels(
        self, latents: tf.Tensor, condition: tf.Tensor | None = None, known: tf.Tensor | None = None,
        mask: tf.Tensor | None = None, keep_parameters: bool = False,
    ) -> tf.Tensor | tuple:  # fmt: skip
        """Draws the levels of images, always in a graph.

        Args:
            latents: uniform numbers [B, latent_dim] in (0, 1).
            condition: the result of `condition`, or None.
            known: levels float32 [B, H, W, C] of known pixels, or None.
            mask: bool [B, H, W], true for known pixels; None without `known`.
            keep_parameters: whether to return the parameters, too.

        Returns:
            Levels float32 [B, H, W, C]; with `keep_parameters` a pair: the levels, and the parameters float32 [B, H, W, P]
            of each pixel's distribution, which equal those of `network` for the finished image.
        """
        if not hasattr(self, "_draw_levels"):
            object.__setattr__(self, "_draw_levels", tf.function(self._scan, reduce_retracing=True, autograph=False))
        tensors = [None if t is None else tf.convert_to_tensor(t) for t in (latents, condition, known, mask)]
        # Traced for a batch of any size at once: a trace takes long.
        self._draw_levels.get_concrete_function(*(free_batch(t) for t in tensors), keep_parameters)
        return self._draw_levels(*tensors, keep_parameters)

    def _scan(self, latents, condition, known, mask, keep_parameters):
        uniforms = tf.reshape(latents, [tf.shape(latents)[0], *self.image_shape[:2], self.likelihood.num_uniforms])
        return self.scan_pixels(
            lambda x, scope: self.network(x, scope, condition), uniforms, known, mask, keep_parameters
        )  # fmt: skip

    def scan_pixels(
        self, network: Callable, uniforms: tf.Tensor, known: tf.Tensor | None, mask: tf.Tensor | None, keep_parameters: bool
    ) -> tf.Tensor | tuple:
        """`draw_levels` with a network (x, scope) -> parameters and uniforms [B, H', W', uniforms of a pixel]."""

        def choose(parameters, pixel, channel, row, column):
            drawn = self.likelihood.draw(parameters, uniforms[:, row, column], pixel, channel)
            if known is None:
                return drawn
            assert mask is not None
            return tf.where(mask[:, row, column, None], known[:, row, column], drawn)

        return scan(
            network, choose, batch=tf.shape(uniforms)[0], shape=(*uniforms.shape[1:3], self.image_shape[-1]),
            passes=self.likelihood.passes, prepare=self.prepare, dtype=self.compute_dtype, keep_parameters=keep_parameters,
        )  # fmt: skip

    def complete(self, known: tf.Tensor, mask: tf.Tensor, num: PositiveInt = 1, seed: Seed = 0, **conditions) -> tf.Tensor:
        """Draws the unknown pixels of images, given the known pixels that come before them in raster order.

        An unknown pixel does not depend on known pixels after it. So this draws from p(unknown | known) only if all known
        pixels come first, such as the upper rows (van den Oord et al. 2016, arXiv:1601.06759, figure 1).

        Args:
            known: float32 [H, W, C] or [B, H, W, C] in [0, 1]; values at unknown pixels have no effect.
            mask: bool [H, W] or [B, H, W], true for known pixels.
            num: number of completions of each image.
            seed: int in [0, 2**31); completion k is a function of (seed, k) and of its image.
            **conditions: e.g. `labels` int [B], for a conditional model.

        Returns:
            float32 [num, H, W, C] or [B, num, H, W, C].

        Raises:
            ValueError: `known`, `mask` or a condition has another dtype, shape or number of rows; `num` is below 1.
            InvalidArgumentError: `known` or a condition is out of range or NaN.
        """
        height, width, _ = self.image_shape
        wanted = f"bool [{height}, {width}], or one for each image, true where known"
        known, mask = fields.as_tensor(known, "known", "float32 images"), fields.as_tensor(mask, "mask", wanted)
        single = known.shape.rank == 3
        known = self.check_images(known[None] if single else known)
        if mask.dtype != tf.bool or mask.shape.rank not in (2, 3) or mask.shape[-2:] != (height, width):
            raise ValueError(f"mask must be {wanted}; received {mask.dtype.name} {mask.shape}.")
        if mask.shape.rank == 3:
            fields.check_rows({"known": known, "mask": mask})
        settings.check(AutoregressiveModel.complete, num=num, seed=seed)
        batch = known.shape[0]
        seeds = tf.tile(tf.range(num, dtype=tf.int64) + (seed << 32), [batch])
        known = tf.repeat(known, num, axis=0)
        mask = tf.repeat(tf.broadcast_to(mask, [batch, *mask.shape[-2:]]), num, axis=0)
        conditions = self.check_conditions(batch, conditions)
        conditions = {name: tf.repeat(value, num, axis=0) for name, value in conditions.items()}
        images = self.complete_rows(seeds, known, mask, **conditions)
        return images if single else tf.reshape(images, [batch, num, *self.image_shape])

    def complete_rows(self, seeds: tf.Tensor, known: tf.Tensor, mask: tf.Tensor, **conditions) -> tf.Tensor:
        """One completion of each row: seeds int [B], known float32 [B, H, W, C], mask bool [B, H, W]; see `complete`."""
        keep = mask[..., None]
        levels = self.levels_of(tf.where(keep, known, 0.0))
        drawn = self.draw_levels(self.latents(seeds), self.condition(**conditions), levels, mask)
        return tf.where(keep, known, self.images_of(drawn))


def lower_half(height, width):
    """A mask for `complete`, bool [height, width], of images whose upper half is known."""
    return np.broadcast_to(np.arange(height)[:, None] < height // 2, [height, width])
