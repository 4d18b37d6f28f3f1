"""Batches for semi-supervised learning: labels are known of a few images of a set."""

import functools
import hashlib
import math

import numpy as np
import tensorflow as tf

from tfgen import fields
from tfgen.data.batches import check_batch_size
from tfgen.data.source import Source


def semi_supervised(source, labels_per_class, seed=0):
    """`source` with the labels of `labels_per_class` images of each class, and no others.

    Args:
      source: a Source with labels.
      labels_per_class: how many images of each class are labelled, at least 1.
      seed: which ones: the first of each class in an order drawn from `seed`, so that the images chosen for a smaller
        number are among those of a larger one.

    Returns:
      A `SemiSupervisedSource`.

    Raises:
      ValueError: `source` has no labels, or too few images of a class.
    """
    if not source.has_labels:
        raise ValueError(f"semi_supervised chooses images by their class, but {source!r} has no labels")
    if isinstance(labels_per_class, bool) or int(labels_per_class) != labels_per_class or labels_per_class < 1:
        raise ValueError(f"labels_per_class must be a whole number of at least 1; received {labels_per_class!r}")
    labels = source.labels()
    counts = np.bincount(labels, minlength=source.num_classes)
    if counts.min() < labels_per_class:
        fewest = int(counts.argmin())
        raise ValueError(
            f"labels_per_class={labels_per_class}, but class {source.class_names[fewest]!r} of {source!r} has "
            f"{counts[fewest]} images"
        )
    order = np.random.RandomState(seed).permutation(source.num_examples)
    chosen = [order[labels[order] == k][: int(labels_per_class)] for k in range(source.num_classes)]
    return SemiSupervisedSource(source, np.concatenate(chosen))


class SemiSupervisedSource(Source):
    """All images of a Source, a few of them with a label. `images()` and `labels()` are those of the whole set.

    Attributes:
      labelled: Source of the images whose label is known.
    """

    def __init__(self, source, indices):
        super().__init__(**source._part(), skipped=source.skipped)
        self._whole, self.labelled = source, source.subset(indices)

    def __repr__(self):
        return f"{super().__repr__()[:-1]}, {len(self.labelled)} labelled)"

    @property
    def fields(self):
        return {**super().fields, "unlabelled": fields.image(self.image_shape, "unlabelled")}

    @functools.cached_property
    def fingerprint(self):
        """sha256 (hex) over the images and which of them are labelled."""
        return hashlib.sha256(f"{self._whole.fingerprint} {self.labelled.fingerprint}".encode()).hexdigest()

    def batches(self, batch_size, *, seed=0, repeat=False, **options):
        """A tf.data.Dataset of {"image": labelled images, "label": theirs, "unlabelled": images of the whole set}.

        Further fields are those of the labelled images. Each field has `batch_size` rows. An epoch is one of the whole set;
        within it the labelled images come round again and again, in the long run each as often as the others. Where there
        are fewer of them than rows, a batch holds each several times. The batch of a step is a pure function of the source,
        the arguments and the step, as that of `Source.batches` is.

        Args:
          batch_size, seed, repeat, **options: as in `Source.batches`; drop_remainder must not be False.

        Raises:
          ValueError: as in `Source.batches`; a last, smaller batch is asked for.
        """
        if options.pop("drop_remainder", True) is False:
            raise ValueError("Batches of labelled and unlabelled images are of equal size: drop_remainder must be True")
        unlabelled = self._whole.batches(batch_size, seed=seed, repeat=repeat, drop_remainder=True, **options)
        n, sizes = len(self.labelled), [size for _, size in check_batch_size(batch_size)]
        # A whole number of batches.
        times = math.lcm(*(1 if n >= size else size // math.gcd(n, size) for size in sizes))
        tiled = self.labelled.subset(np.tile(np.arange(n), times))
        # Another seed: were every image labelled, both orders would be the same.
        labelled = tiled.batches(batch_size, seed=seed ^ 1, repeat=True, **options)

        def join(labelled, unlabelled):
            return {**labelled, "unlabelled": unlabelled["image"]}

        return tf.data.Dataset.zip(labelled, unlabelled).map(join)
