"""Features of the instances of an image, and their clusters: pix2pixHD, section 3.4 of arXiv:1711.11585.

An encoder's maps are averaged over the pixels of each instance, so an instance has one feature vector, of low dimension. The
vectors of each class are clustered by k-means after training; a new image gets a centre for each of its instances.
"""

import keras
import tensorflow as tf

from tfgen import random

INSTANCES = 256  # in one image: their numbers are stored as pixels of 8 bits
LEAST = 64  # an instance of less than 1/64 of the image is in no cluster, as in the authors' code


def numbers_of(instances: tf.Tensor) -> tf.Tensor:
    """The numbers int32 [B, H, W] of the field `instances`, float [B, H, W], whose values are numbers / 255."""
    return tf.cast(tf.round(255.0 * instances), tf.int32)


def instance_means(values: tf.Tensor, numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The mean of values over the pixels of each instance, 0 for a number without pixels, and how many pixels it has.

    Example:
        >>> means, pixels = instance_means(tf.reshape([1.0, 2.0, 6.0, 10.0], [1, 2, 2, 1]), tf.constant([[[0, 1], [1, 1]]]))
        >>> means[0, :3, 0].numpy().tolist(), pixels[0, :3].numpy().tolist()
        ([1.0, 6.0, 0.0], [1.0, 3.0, 0.0])

    Args:
        values: float32 [B, H, W, F].
        numbers: int32 [B, H, W] in [0, 256).

    Returns:
        (float32 [B, 256, F], float32 [B, 256]).
    """
    rows, size = tf.shape(values)[0], values.shape[-1]
    segments = tf.reshape(numbers + INSTANCES * tf.range(rows)[:, None, None], [-1])
    sums = tf.math.unsorted_segment_sum(tf.reshape(values, [-1, size]), segments, INSTANCES * rows)
    pixels = tf.math.unsorted_segment_sum(tf.ones_like(segments, tf.float32), segments, INSTANCES * rows)
    means = tf.math.divide_no_nan(sums, pixels[:, None])
    return tf.reshape(means, [rows, INSTANCES, size]), tf.reshape(pixels, [rows, INSTANCES])


def spread(vectors: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Maps [B, H, W, F] in which each pixel has the vector of its instance, of vectors [B, 256, F]."""
    return tf.gather(vectors, numbers, batch_dims=1)


@keras.saving.register_keras_serializable("tfgen")
class FeatureClusters(keras.layers.Layer):
    """Centres of the features of each class. Until `fit` there are none, and all drawn features are 0.

    Args:
        classes: number of classes K.
        clusters: the largest number of centres of a class.
        size: length F of a feature vector.

    Attributes:
        centres: float32 [K, clusters, F]; `used` int64 [K] of each class are centres, the others are 0.
    """

    def __init__(self, classes: int, clusters: int, size: int, **kwargs):
        super().__init__(**kwargs)
        self.classes, self.clusters, self.size = classes, clusters, size
        settings = {"initializer": "zeros", "trainable": False, "autocast": False, "aggregation": "only_first_replica"}
        self.centres = self.add_weight(name="centres", shape=(classes, clusters, size), dtype="float32", **settings)
        self.used = self.add_weight(name="used", shape=(classes,), dtype="int64", **settings)
        self.built = True

    def get_config(self):
        return {**super().get_config(), "classes": self.classes, "clusters": self.clusters, "size": self.size}

    def draw(self, label_map: tf.Tensor, numbers: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        """Features [B, H, W, F]: for each instance a centre of its class, each with the same probability.

        Args:
            label_map: one-hot [B, H, W, K]. The class of an instance is that of most of its pixels.
            numbers: int32 [B, H, W] of the instances.
            keys: uint64 [B], of which the draws of a row are a function, see `tfgen.random`.
        """
        classes = tf.argmax(instance_means(label_map, numbers)[0], axis=-1, output_type=tf.int32)  # [B, 256]
        used = tf.gather(tf.cast(tf.convert_to_tensor(self.used), tf.int32), classes)
        drawn = tf.cast(random.uniform(keys, INSTANCES) * tf.cast(used, tf.float32), tf.int32)
        place = tf.maximum(tf.minimum(drawn, used - 1), 0)
        return spread(tf.gather_nd(tf.convert_to_tensor(self.centres), tf.stack([classes, place], axis=-1)), numbers)

    def fit(self, vectors: dict[int, list], seed: int = 0) -> None:
        """Sets the centres by k-means.

        Args:
            vectors: {class: feature vectors [N, F], N >= 1}. A class with fewer vectors than `clusters` has a centre for
                each; one that is missing has none.
            seed: of the start of k-means.
        """
        import numpy as np
        from sklearn.cluster import KMeans

        centres, used = np.zeros(self.centres.shape, np.float32), np.zeros(self.classes, np.int64)
        for kind, found in vectors.items():
            distinct = np.unique(np.asarray(found, np.float32), axis=0)
            used[kind] = count = min(self.clusters, len(distinct))
            if count < len(distinct):
                distinct = KMeans(count, n_init=10, random_state=seed).fit(found).cluster_centers_
            centres[kind, :count] = distinct
        self.centres.assign(centres)
        self.used.assign(used)
