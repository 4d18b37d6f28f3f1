"""What activation maximisation through a generator needs: measured bounds of codes, activations of units, falling rates."""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from tfgen.models.synthesis.parts.fixed_features import Given, fixed_features
from tfgen.sampling.ascent import Step
from tfgen.training.players import mean_over_replicas


@keras.saving.register_keras_serializable("tfgen")
class CodeStatistics(keras.layers.Layer):
    """Mean and variance of each component of codes over all rows that were observed, as state that is saved.

    Example:
        >>> statistics = CodeStatistics((2,))
        >>> _ = statistics.observe(tf.constant([[0.0, 2.0], [4.0, 2.0]]))
        >>> [bound.numpy().tolist() for bound in statistics.bounds(1.0)]
        [[0.0, 0.0], [4.0, 2.0]]

    Args:
        code_shape: of the codes, without the batch.
        **kwargs: see `keras.layers.Layer`.
    """

    def __init__(self, code_shape: Sequence[int], **kwargs):
        super().__init__(**kwargs)
        self.code_shape = tuple(code_shape)
        self.mean, self.variance, self.count = (
            self.add_weight(name=name, shape=shape, initializer="zeros", dtype="float32", trainable=False, autocast=False,
                            aggregation="only_first_replica")
            for name, shape in (("mean", self.code_shape), ("variance", self.code_shape), ("count", ()))
        )  # fmt: skip
        self.built = True

    def observe(self, codes: tf.Tensor) -> tf.Tensor:
        """Includes codes float32 [B, *code_shape]; the scalar result is the mean absolute change of the means."""
        rows = tf.cast(tf.shape(codes)[0] * tf.distribute.get_strategy().num_replicas_in_sync, tf.float32)
        mean, variance, count = map(tf.convert_to_tensor, (self.mean, self.variance, self.count))
        of_batch = mean_over_replicas(tf.reduce_mean(codes, axis=0))
        squares = mean_over_replicas(tf.reduce_mean(tf.square(codes - of_batch), axis=0))
        share = rows / (count + rows)
        change = share * (of_batch - mean)
        self.mean.assign(mean + change)
        self.variance.assign((1.0 - share) * (variance + share * tf.square(of_batch - mean)) + share * squares)
        self.count.assign(count + rows)
        return tf.reduce_mean(tf.abs(change))

    def bounds(self, deviations: float, symmetric: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """(low, high), float32 [*code_shape]: 0 and mean + `deviations` standard deviations; infinite before any code.

        Args:
            deviations: k. The standard deviations are those of the rows, divided by their number.
            symmetric: whether low is mean - k standard deviations, for codes that may be negative.
        """
        mean, known = tf.convert_to_tensor(self.mean), tf.convert_to_tensor(self.count) > 0.0
        width = deviations * tf.sqrt(tf.convert_to_tensor(self.variance))
        low = mean - width if symmetric else tf.zeros_like(mean)
        return tf.where(known, low, float("-inf")), tf.where(known, mean + width, float("inf"))

    @property
    def known(self) -> bool:
        """Whether codes were observed."""
        return bool(keras.ops.convert_to_numpy(self.count) > 0)

    def get_config(self):
        return super().get_config() | {"code_shape": self.code_shape}


class Units:
    """The units of a layer of a fixed network, as functions of images.

    Of maps, the units are the channels at one position.

    Args:
        network, layer: the network, as for `tfgen.features.get`, and the name of its layer; None: its output.
        image_shape: (H, W, C) of the images.
        resize: None, or the method of `tf.image.resize` with which images are brought to the size of the network's input.
        position: None, or (row, column) in the maps of the layer; None: the centre.
        name: of the argument of the network, for messages.

    Attributes:
        network: the `FeatureNetwork`.
        count: number of units.

    Raises:
        ValueError: the network or the layer does not exist, the images do not fit, or the position is outside of the maps.
    """

    def __init__(
        self, network: Given, layer: str | None, image_shape: Sequence[int], *, resize: str | None = None,
        position: Sequence[int] | None = None, name: str = "classifier",
    ):  # fmt: skip
        height, width, channels = image_shape
        self.resize, self.size = resize, None
        layers = None if layer is None else (layer,)
        try:
            self.network = fixed_features(name, network, layers, image_shape if resize is None else None)
        except ValueError as error:
            sizes = resize is None and "must take images" in str(error)
            raise ValueError(f"{error}{' resize= enlarges or reduces images in front of it.' if sizes else ''}") from error
        if resize is not None:
            taken = self.network.image_shape
            self.size = tuple(side or own for side, own in zip(taken[:2], (height, width), strict=True))
            if taken[2] != channels:
                raise ValueError(
                    f"{name} must take images of {channels} channels, those of image_shape; received one whose input is "
                    f"{taken}."
                )
        if len(self.network.layers) != 1:
            raise ValueError(f"{name} must be used at one layer; received {self.network.layers}.")
        shape = self._raw(tf.zeros([1, *image_shape])).shape
        if shape.rank not in (2, 4):
            raise ValueError(
                f"The layer {self.network.layers[0]!r} of {name} must be a vector [batch, any] or a map [batch, any, any, "
                f"any]; received the shape {shape}."
            )
        self.position = None
        if shape.rank == 4:
            self.position = tuple(position or (side // 2 for side in shape[1:3]))
        if position is not None and (shape.rank == 2 or any(i >= n for i, n in zip(position, shape[1:3], strict=True))):
            raise ValueError(
                f"position must be a row and a column of the layer {self.network.layers[0]!r}, whose outputs are "
                f"{tuple(shape[1:])}; received {tuple(position)}."
            )
        self.count = shape[-1]

    def _raw(self, images):
        if self.size is not None and tuple(images.shape[1:3]) != self.size:
            images = tf.image.resize(images, self.size, self.resize, antialias=True)
        return next(iter(self.network(images).values()))

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """The activations of all units, float32 [B, count], of images float32 [B, H, W, C] in [0, 1]."""
        found = self._raw(images)
        return found if self.position is None else found[:, self.position[0], self.position[1]]


def falling_rate(first: float | tf.Tensor, last: float, steps: tf.Tensor) -> Callable[[Step], tf.Tensor]:
    """The `rate` of `tfgen.sampling.ascend` that falls in a straight line: first + (last - first) i / steps.

    Args:
        first: at step 0, or float32 [B].
        last: where step `steps` would be.
        steps: int32 [B], the number of steps of each row.
    """
    total = tf.cast(tf.maximum(steps, 1), tf.float32)
    return lambda step: first + (last - first) * tf.cast(step.index, tf.float32) / total
