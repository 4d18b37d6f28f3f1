"""The family of autoregressive models: p(x) is a product over pixels, each conditioned on those before in raster order."""

import math
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import random
from tfgen.distributions.pixels import CategoricalPixels
from tfgen.fields import checked
from tfgen.models.base import TrainableModel
from tfgen.models.capabilities import Completer, Likelihood, Sampler
from tfgen.models.capabilities.sampler import free_batch
from tfgen.models.checks import check_whole
from tfgen.sampling.cached import Stepwise, Whole, scan


class AutoregressiveModel(Sampler, Likelihood, Completer, TrainableModel):
    """A model trained on the exact likelihood of images. Their values are k / (levels - 1), k = 0 ... levels - 1.

    A subclass builds its layers in the constructor, ends it with `build_network()`, and implements `network`. The latents
    are the uniform numbers from which the pixels are drawn, [H * W * uniforms of a pixel]; see `tfgen.distributions.pixels`.

    Args:
        image_shape: (H, W, C).
        levels: grey levels of a channel; 2 for binary images.
        num_classes: 0, or the number of classes of a conditional model (batches then need `label`).
        **kwargs: see `TrainableModel`.
    """

    loss_names = ("nll", "bits_per_dim")
    exact_likelihood = True

    def __init__(self, *, image_shape: Sequence[int], levels: int = 256, num_classes: int = 0, **kwargs):
        super().__init__(image_shape=image_shape, **kwargs)
        check_whole(2, levels=levels)
        check_whole(0, num_classes=num_classes)
        self.levels, self.num_classes = levels, num_classes
        self.likelihood = self.make_likelihood()
        self.latent_dim = math.prod(self.image_shape[:2]) * self.likelihood.num_uniforms

    def make_likelihood(self) -> object:
        return CategoricalPixels(self.levels, self.image_shape[-1])

    def network(
        self, x: tf.Tensor, scope: Whole | Stepwise, condition: tf.Tensor | None = None, training: bool = False
    ) -> tf.Tensor:
        """Parameters of the distributions of all pixels, [B, H, W, P] of the compute dtype: pixel-level.

        Args:
            x: the network's input, from `prepare`.
            scope: see `tfgen.sampling.cached`. Every operation that combines positions must use it.
            condition: the result of `condition`, or None.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement network(x, scope, condition).")

    def condition(self, labels: tf.Tensor | None = None) -> tf.Tensor | None:
        """The network's condition for a batch: None, or the labels as one-hot rows [B, K]."""
        return None if labels is None and not self.num_classes else self.one_hot(labels)

    def build_network(self) -> None:
        """Builds all layers by one pass over a batch of one image."""
        conditions = {field.argument: tf.zeros([1, *field.shape], field.dtype) for field in self.conditions()}
        found = self.network(self.prepare(tf.zeros([1, *self.image_shape])), Whole(), self.condition(**conditions))
        if found.shape[1:] != (*self.image_shape[:2], self.likelihood.num_parameters):
            raise ValueError(
                f"{self.likelihood.num_parameters} parameters a pixel expected; the network gives {found.shape}."
            )
        self.built = True

    # ---- images and levels

    def levels_of(self, images: tf.Tensor) -> tf.Tensor:
        """Levels float32 [B, H, W, C] of images in [0, 1]. A value between two levels is an error at run time."""
        scaled = self.check_images(images) * (self.levels - 1)
        levels = tf.round(scaled)
        distance = tf.reduce_max(tf.abs(scaled - levels))
        # Images stored in 8 bits, as those of `tfgen.data` are, may be off by half a 255th.
        stored = 0.0 if 255 % (self.levels - 1) == 0 else 0.5 / 255 * (self.levels - 1)
        message = f"Images must have the values k / {self.levels - 1} of levels={self.levels}; one is off by, in levels,"
        if self.levels == 2:
            message = "Images must be 0 or 1, as levels=2: binarise them; one is off by"
        return checked(levels, distance <= stored + 1e-3, message, distance)

    def images_of(self, levels: tf.Tensor) -> tf.Tensor:
        return levels / (self.levels - 1)

    def prepare(self, levels: tf.Tensor) -> tf.Tensor:
        """The network's input, in [-1, 1], of levels [..., C]."""
        return tf.cast(2.0 * self.images_of(levels) - 1.0, self.compute_dtype)

    # ---- likelihood

    def distribution(self, images: tf.Tensor, **conditions) -> tfp.distributions.Distribution:
        """p(x_i | x_1 ... x_{i-1}) for all pixels i, given the true values of the pixels before.

        Args:
            images: float32 [B, H, W, C] in [0, 1].
            **conditions: e.g. `labels` int [B], where the model takes any.

        Returns:
            a TensorFlow Probability distribution: batch shape [B], event shape [H, W, C], values are levels 0, 1, ...
        """
        return self._distribution(self.levels_of(images), conditions)

    def _distribution(self, levels, conditions, training=False):
        parameters = self.network(self.prepare(levels), Whole(), self.condition(**conditions), training=training)
        return self.likelihood.distribution(tf.cast(parameters, tf.float32))

    def log_prob(self, images: tf.Tensor, **conditions) -> tf.Tensor:
        """log p(x), float32 [B], nats per image; see `distribution`."""
        levels = self.levels_of(images)
        return self._distribution(levels, conditions).log_prob(levels)

    def call(self, images, training=False):
        return self.log_prob(images)

    # ---- training

    def check_batch(self, batch: dict) -> dict:
        if "image" not in batch:
            return batch
        with tf.control_dependencies([self.levels_of(batch["image"])]):
            return {**batch, "image": tf.identity(batch["image"])}

    def nll_of(self, batch: dict, training: bool) -> dict[str, tf.Tensor]:
        levels = self.levels_of(batch["image"])
        log_prob = self._distribution(levels, self.conditions_of(batch), training).log_prob(levels)
        nll = -tf.reduce_mean(log_prob)
        return {"nll": nll, "bits_per_dim": nll / (math.prod(self.image_shape) * math.log(2.0))}

    def update(self, batch: dict) -> dict[str, tf.Tensor]:
        """A step on bits per dimension. Gradients, and so their clipping, then do not depend on the size of images."""

        def losses_fn():
            return self.nll_of(batch, training=True)

        return self.step_players({"model": "bits_per_dim"}, losses_fn)

    def evaluation_losses(self, batch: dict) -> dict[str, tf.Tensor]:
        return self.nll_of(batch, training=False)

    def default_optimizer(self) -> keras.optimizers.Optimizer | dict:
        return keras.optimizers.Adam(1e-3, global_clipnorm=1.0)

    # ---- sampling

    def latents(self, seeds: tf.Tensor) -> tf.Tensor:
        return random.uniform(random.key(seeds), self.latent_dim)

    def decode_images(self, latents: tf.Tensor, **conditions) -> tf.Tensor:
        """Images float32 [B, H, W, C] in [0, 1] of uniforms [B, latent_dim] in (0, 1), with caches."""
        return self.images_of(self.draw_levels(latents, self.condition(**conditions)))

    def draw_levels(
        self, latents: tf.Tensor, condition: tf.Tensor | None = None, known: tf.Tensor | None = None,
        mask: tf.Tensor | None = None, keep_parameters: bool = False,
    ) -> tf.Tensor | tuple:  # fmt: skip
        """Levels float32 [B, H, W, C] drawn with uniforms [B, latent_dim]; where mask [B, H, W] is true those of `known`.

        Runs in a graph, also when it is called outside of one.

        Returns:
            the levels; with `keep_parameters` a pair: the levels, and the parameters float32 [B, H, W, P] from which each
            pixel was drawn. They equal those of `network` for the finished image.
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
            return tf.where(mask[:, row, column, None], known[:, row, column], drawn)

        return scan(
            network, choose, batch=tf.shape(uniforms)[0], shape=(*uniforms.shape[1:3], self.image_shape[-1]),
            passes=self.likelihood.passes, prepare=self.prepare, dtype=self.compute_dtype, keep_parameters=keep_parameters,
        )  # fmt: skip

    def complete(self, known: tf.Tensor, mask: tf.Tensor, num: int = 1, seed: int = 0, **conditions) -> tf.Tensor:
        """Draws the unknown pixels of images. Known pixels keep their values, and pixels after them depend on them.

        A pixel does not depend on known pixels that come after it in raster order. So this is a draw from p(unknown | known)
        where all known pixels come first, as the upper rows do (van den Oord et al. 2016, arXiv:1601.06759, figure 1).

        Args:
            known: float32 [H, W, C] or [B, H, W, C] in [0, 1]; the values of unknown pixels do not matter.
            mask: bool [H, W] or [B, H, W], true for known pixels.
            num: number of completions of each image.
            seed: int; completion k is a function of (seed, k) and of its image.
            **conditions: e.g. `labels` int [B], where the model takes any.

        Returns:
            float32 [num, H, W, C] or [B, num, H, W, C].

        Raises:
            ValueError: shapes that do not fit; num below 1.
        """
        known, mask = tf.convert_to_tensor(known), tf.convert_to_tensor(mask)
        single = known.shape.rank == 3
        known = self.check_images(known[None] if single else known)
        height, width, _ = self.image_shape
        if mask.dtype != tf.bool or mask.shape.rank not in (2, 3) or mask.shape[-2:] != (height, width):
            raise ValueError(
                f"mask must be bool [{height}, {width}], or one for each image, true where known; received "
                f"{mask.dtype.name} {mask.shape}."
            )
        if mask.shape.rank == 3 and not mask.shape[:1].is_compatible_with(known.shape[:1]):
            raise ValueError(f"As many masks as images are needed; received {mask.shape[0]} and {known.shape[0]}.")
        check_whole(num=num)
        batch = known.shape[0]
        seeds = tf.tile(tf.range(num, dtype=tf.int64) + (int(seed) << 32), [batch])
        known = tf.repeat(known, num, axis=0)
        mask = tf.repeat(tf.broadcast_to(mask, [batch, *mask.shape[-2:]]), num, axis=0)
        conditions = {name: tf.repeat(tf.convert_to_tensor(value), num, axis=0) for name, value in conditions.items()}
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
