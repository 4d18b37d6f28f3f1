"""A pool of earlier generated images, from which a discriminator learns together with the new ones.

Shrivastava, Pfister, Tuzel, Susskind, Wang, Webb, "Learning from Simulated and Unsupervised Images through Adversarial
Training", CVPR 2017, arXiv:1612.07828, section 2.3; in the form of Zhu et al. 2017, arXiv:1703.10593, section 4.
"""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfgen")
class ImagePool(keras.layers.Layer):
    """Keeps `size` images. A new image is given back, or changes places with one of them.

    While the pool is not full, each new image is stored and given back. Then, with probability 1/2, it is given back and not
    stored; else it takes the place of a stored image, drawn uniformly, which is given back. The images of a batch come one
    after the other, so one of them may get an earlier one of its batch.

    Several replicas have one pool, that of the global batch: each gathers the images of all, in their order, so the pool and
    what is given back are those of a single device with the whole batch. The pool is part of the model's state.

    Example:
        >>> pool = tfgen.layers.ImagePool(2, (1, 1, 1))
        >>> new = tf.reshape([1.0, 2.0, 3.0, 4.0], [4, 1, 1, 1])
        >>> draws = tf.constant([[0.9, 0.0], [0.2, 0.0], [0.7, 0.0], [0.5, 0.6]])
        >>> pool.exchange(new, draws).numpy().ravel().tolist(), pool.images.numpy().ravel().tolist()
        ([1.0, 2.0, 1.0, 4.0], [3.0, 2.0])

    Args:
        size: number of images, at least 1.
        image_shape: (H, W, C) of each.

    Attributes:
        images: float32 [size, H, W, C], zeros where none is stored yet.
        filled: int64 scalar, the number of stored images.

    Raises:
        ValueError: `size` is less than 1.
    """

    def __init__(self, size: int, image_shape: tuple, **kwargs):
        super().__init__(**kwargs)
        if size < 1:
            raise ValueError(f"size of an ImagePool must be at least 1; received {size}.")
        self.size, self.image_shape = int(size), tuple(image_shape)
        settings = {"initializer": "zeros", "trainable": False, "autocast": False, "aggregation": "only_first_replica"}
        self.images = self.add_weight(name="images", shape=(self.size, *self.image_shape), dtype="float32", **settings)
        self.filled = self.add_weight(name="filled", shape=(), dtype="int64", **settings)
        self.built = True

    def get_config(self):
        return {**super().get_config(), "size": self.size, "image_shape": self.image_shape}

    def exchange(self, images: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
        """Gives images to the pool, and returns as many.

        Args:
            images: float32 [B, H, W, C]; on several replicas those of this replica. No gradient passes.
            draws: float32 [B, 2], uniform in [0, 1): of each image, the first decides whether a full pool changes (above
                1/2), the second which place.

        Returns:
            float32 [B, H, W, C].
        """
        rows = tf.shape(images)[0]
        (images, draws), first = gathered(tf.stop_gradient(images), draws)
        total = tf.shape(images)[0]
        number, places = tf.range(total), tf.range(self.size)
        filled = tf.cast(tf.convert_to_tensor(self.filled), tf.int32)
        filling = filled + number < self.size
        drawn = tf.minimum(tf.cast(draws[:, 1] * self.size, tf.int32), self.size - 1)
        place = tf.where(filling, filled + number, drawn)  # [B]
        taken = filling | (draws[:, 0] > 0.5)  # whether an image is stored at its place

        def last(stored):  # of each row of [N, B] the number of the last image for which it is true, or -1
            return tf.reduce_max(tf.where(stored, number[None], -1), axis=1)

        # Rows of the pool as it was, followed by the new images.
        known = tf.concat([tf.convert_to_tensor(self.images), images], axis=0)
        earlier = last(taken[None] & (place[None] == place[:, None]) & (number[None] < number[:, None]))
        replaced = tf.gather(known, tf.where(earlier < 0, place, self.size + earlier))
        latest = last(taken[None] & (place[None] == places[:, None]))
        self.images.assign(tf.gather(known, tf.where(latest < 0, places, self.size + latest)))
        self.filled.assign(tf.cast(tf.minimum(filled + total, self.size), tf.int64))
        given_back = tf.where((taken & ~filling)[:, None, None, None], replaced, images)
        return given_back[first : first + rows]


def gathered(*tensors: tf.Tensor) -> tuple[list[tf.Tensor], int | tf.Tensor]:
    """(the tensors [B, ...] of all replicas in their order, [sum of B, ...]; the number of this replica's first row)."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return list(tensors), 0
    rows = context.all_gather(tf.shape(tensors[0])[:1], axis=0)
    before = tf.sequence_mask(context.replica_id_in_sync_group, context.num_replicas_in_sync)
    first = tf.reduce_sum(tf.where(before, rows, 0))
    return [context.all_gather(tensor, axis=0) for tensor in tensors], first
