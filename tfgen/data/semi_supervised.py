"""Batches for semi-supervised learning, where only a few images have labels."""

import functools
import hashlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfgen import fields, settings
from tfgen.data.batches import repeated
from tfgen.data.source import Source
from tfgen.settings import PositiveInt


def semi_supervised(source: Source, labels_per_class: PositiveInt, seed: int = 0) -> "SemiSupervisedSource":
    """Keeps the labels of `labels_per_class` images of each class of `source`, and drops all others.

    Example:
        >>> source = tfgen.data.semi_supervised(tfgen.data.load("digits"), labels_per_class=10)
        >>> len(source.labelled), np.bincount(source.labelled.labels()).tolist()
        (100, [10, 10, 10, 10, 10, 10, 10, 10, 10, 10])

    Args:
      source: a Source with labels.
      labels_per_class: number of labelled images of each class, at least 1.
      seed: determines the images: the first ones of each class in an order drawn from `seed`. So the images of a smaller
        number of labels are among those of a larger number.

    Returns:
      A `SemiSupervisedSource`.

    Raises:
      ValueError: `source` has no labels, or too few images of a class.
    """
    if not source.has_labels:
        raise ValueError(f"semi_supervised chooses images by their class, but {source!r} has no labels")
    settings.check(semi_supervised, labels_per_class=labels_per_class)
    labels = source.labels()
    assert source.num_classes is not None and source.class_names is not None
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
    """All images of a Source, some of them with labels. `images()` and `labels()` return the whole set.

    Example:
        >>> source = tfgen.data.semi_supervised(tfgen.data.load("digits"), labels_per_class=5)
        >>> len(source), len(source.labelled)
        (1400, 50)
        >>> {name: batch.shape[0] for name, batch in next(iter(source.batches(20))).items()}
        {'image': 20, 'label': 20, 'unlabelled': 20}

    Attributes:
      labelled: the Source of the labelled images.
    """

    def __init__(self, source: Source, indices: np.ndarray):
        super().__init__(**source._part())
        self._whole, self.labelled = source, source.subset(indices)

    def __repr__(self):
        return f"{super().__repr__()[:-1]}, {len(self.labelled)} labelled)"

    @property
    def fields(self) -> dict[str, fields.Field]:
        """The fields of an example: those of the labelled images, and "unlabelled", an image."""
        return {**super().fields, "unlabelled": fields.image(self.image_shape, "unlabelled")}

    @functools.cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) of the images and of the choice of labelled images."""
        return hashlib.sha256(f"{self._whole.fingerprint} {self.labelled.fingerprint}".encode()).hexdigest()

    def batches(
        self, batch_size: int | Sequence[tuple[int, int]], *, seed: int = 0, repeat: bool = False, **options
    ) -> tf.data.Dataset:
        """A tf.data.Dataset of {"image": labelled images, "label": their labels, "unlabelled": images of the whole set}.

        Other fields are those of the labelled images. Each field has `batch_size` rows. An epoch is one pass over the whole
        set; the labelled images are repeated in it, each equally often in the long run. If there are fewer labelled images
        than `batch_size`, a batch has each of them several times. The batch of a step is a pure function of the source, the
        arguments and the step, like that of `Source.batches`.

        Args:
          batch_size, seed, repeat, **options: as in `Source.batches`; drop_remainder must not be False.

        Raises:
          ValueError: as in `Source.batches`; drop_remainder is False.
        """
        if options.pop("drop_remainder", True) is False:
            raise ValueError("drop_remainder must be True, since all batches have equal size; received False")
        unlabelled = self._whole.batches(batch_size, seed=seed, repeat=repeat, drop_remainder=True, **options)
        tiled = repeated(self.labelled, batch_size)
        # A different seed: otherwise both orders would be equal if every image had a label.
        labelled = tiled.batches(batch_size, seed=seed ^ 1, repeat=True, **options)

        def join(labelled, unlabelled):
            return {**labelled, "unlabelled": unlabelled["image"]}

        return tf.data.Dataset.zip(labelled, unlabelled).map(join)
