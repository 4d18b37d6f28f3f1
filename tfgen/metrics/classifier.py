"""A small classifier trained on the data set itself: a feature extractor that needs no download.

The classifier score uses its logits. The Fréchet classifier distance, the kernel distance and precision/recall use
its penultimate activations as features. They are at most 64 wide, because a Fréchet distance needs more images
than features and has a bias that grows with (features^2 / images), and a test split may hold only a few hundred images
(scikit-learn's digits: 397). Only evaluations with equal `weights_hash` are comparable.
"""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfgen.data.source import Source
from tfgen.features.classifier import FILE, classifier_network, load_classifier, save_classifier
from tfgen.features.frozen import weights_hash
from tfgen.metrics._checks import image_batch
from tfgen.progress import Progress

MAX_FEATURES = 64


class Classifier:
    """A trained classifier with the record of its training. Made by `train_classifier` or `Classifier.load`.

    Example:
        trained = tfgen.metrics.train_classifier(train, test, workdir="classifier")
        classifier = tfgen.metrics.Classifier.load("classifier")
        features, logits = classifier.outputs(images)  # of images [N, H, W, C] in [0, 1]
        classifier.evaluate(tfgen.data.load("digits", "test"))  # the accuracy

    Attributes:
      config: network arguments (image_shape, num_classes, feature_width, dropout, seed), from which the network can
        be built again.
      record: how it was trained: train and test fingerprints, settings, steps, seconds, validation and test
        accuracy.
      accuracy: share of correct classes on the test set.
      weights_hash: sha256 over shapes and bytes of all weights, in layer order.
      description: short name of the network for protocols, e.g. "classifier-cnn-32".
      kind: "classifier"; num_logits: the number of classes. Every extractor has both, see `tfgen.metrics.extractors`.
    """

    kind = "classifier"

    def __init__(self, network: keras.Model, config: dict[str, Any], record: dict[str, Any]):
        self.network, self.config, self.record = network, dict(config), dict(record)
        self.image_shape = tuple(config["image_shape"])
        self.num_classes = self.num_logits = int(config["num_classes"])
        self.feature_width = int(config["feature_width"])
        self.description = f"classifier-cnn-{self.feature_width}"
        self.weights_hash = weights_hash(network)
        # one graph for all batch sizes; XLA is slower than the plain graph on CPUs
        self._function = tf.function(
            lambda images: network(images, training=False),
            input_signature=[tf.TensorSpec((None, *self.image_shape), tf.float32)],
            jit_compile=False,
            autograph=False,
        )

    @property
    def accuracy(self) -> float | None:
        return self.record.get("accuracy")

    def outputs(self, images: ArrayLike, *, batch_size: int = 500) -> tuple[np.ndarray, np.ndarray]:
        """(features float32 [N, F], logits float32 [N, K]) of images float [N, H, W, C] in [0, 1]."""
        images = image_batch(images, "images", shape=self.image_shape)
        parts = [
            [output.numpy() for output in self._function(images[start : start + batch_size])]
            for start in range(0, len(images), batch_size)
        ]
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))

    def features(self, images: ArrayLike) -> np.ndarray:
        """Penultimate activations float32 [N, F], >= 0 (after a ReLU), with a mean variance of 1 on training images."""
        return self.outputs(images)[0]

    def logits(self, images: ArrayLike) -> np.ndarray:
        """Logits float32 [N, K]."""
        return self.outputs(images)[1]

    def evaluate(self, source: Source) -> float:
        """Accuracy on the images of a labelled source."""
        correct = total = 0
        for batch in source.batches(500):
            logits = self._function(batch["image"])[1].numpy()
            correct += int((logits.argmax(axis=1) == np.asarray(batch["label"])).sum())
            total += len(logits)
        return correct / total

    def save(self, directory: str | os.PathLike) -> Path:
        """Writes weights and record atomically as one file, `FILE` in `directory`; returns its path."""
        return save_classifier(directory, self.network, self.config, self.record)

    @classmethod
    def load(cls, directory: str | os.PathLike) -> Classifier:
        """Reads what `save` wrote. FileNotFoundError if it is missing, ValueError if its parts disagree."""
        return cls(*load_classifier(directory))


class _Progress(keras.callbacks.Callback):
    def __init__(self, steps):
        super().__init__()
        self.progress, self.more = Progress("classifier, steps", steps), ""

    def on_train_batch_end(self, batch, logs=None):
        self.progress.add(1, self.more)

    def on_epoch_end(self, epoch, logs=None):
        self.more = f", validation accuracy {logs['val_accuracy']:.4f}"


def _normalize_features(network: keras.Model, config: dict[str, Any], images: np.ndarray) -> None:
    """Scales the features to a mean variance of 1 over `images` without changing the logits.

    The weights before the ReLU are multiplied by s and those after it divided by s, which leaves the function unchanged.
    Fréchet and kernel distances then do not depend on the network's own scale; with large features, the cubic term
    would dominate the kernel distance.
    """
    features, logits = network.get_layer("features"), network.get_layer("logits")
    values = Classifier(network, config, {}).features(images)
    variance = float(values.var(axis=0, dtype=np.float64).mean())
    if not variance > 0:
        raise ValueError("the classifier learnt nothing: its features are the same for all training images")
    scale = 1.0 / math.sqrt(variance)
    features.set_weights([weight * np.float32(scale) for weight in features.get_weights()])
    kernel, bias = logits.get_weights()
    logits.set_weights([kernel / np.float32(scale), bias])


def train_classifier(
    train: Source,
    test: Source,
    *,
    seed: int = 0,
    workdir: str | os.PathLike | None = None,
    feature_width: int = 32,
    dropout: float = 0.4,
    learning_rate: float = 2e-3,
    batch_size: int | None = None,
    epochs: int | None = None,
    patience: int | None = None,
    validation_share: float = 0.1,
) -> Classifier:
    """Trains the classifier on `train`; `test` is used only for the recorded accuracy.

    Adam with a cosine decay to zero. A random part of `train` is held out for validation; training stops early when
    the validation loss has not improved for `patience` epochs, and the weights of the best epoch are kept.
    Deterministic in `seed` on one CPU machine: all initializers, dropout masks and batches are seeded
    explicitly, and no global random state is used.

    Example:
        >>> train, test = tfgen.data.load("digits").take(100), tfgen.data.load("digits", "test").take(20)
        >>> classifier = tfgen.metrics.train_classifier(train, test, epochs=1)
        >>> classifier.logits(test.images()).shape
        (20, 10)

    Args:
      train, test: labelled `tfgen.data.Source`s of equal image shape and classes.
      workdir: folder to save to. If it holds a classifier trained with the same data and settings, that one is
        returned.
      feature_width: width of the penultimate layer, at most 64.
      batch_size: default 64 below 10,000 images, else 128.
      epochs: default: about 2,000 steps, but between 4 and 40 epochs.
      patience: epochs without improvement before stopping; default a quarter of `epochs`, at least 2.
      validation_share: share of `train` held out, in (0, 0.5].

    Raises:
      ValueError: missing labels, one class only, different shapes or classes, settings out of range, or a
        loss that is not finite.
    """
    for name, source in (("train", train), ("test", test)):
        if not source.has_labels:
            raise ValueError(f"the classifier needs labels; the {name} set {source.name!r} has none")
    if tuple(train.image_shape) != tuple(test.image_shape) or train.num_classes != test.num_classes:
        raise ValueError(
            "train and test must have equal image shapes and classes; received "
            f"{train.image_shape} with {train.num_classes} and {test.image_shape} with {test.num_classes}"
        )
    if train.num_classes is None or train.num_classes < 2:
        raise ValueError(f"the classifier needs at least 2 classes; {train.name!r} has {train.num_classes}")
    if not 1 <= feature_width <= MAX_FEATURES:
        raise ValueError(f"feature_width must be between 1 and {MAX_FEATURES}; received {feature_width}")
    if not 0 < validation_share <= 0.5:
        raise ValueError(f"validation_share must be in (0, 0.5]; received {validation_share}")
    order = np.random.default_rng(seed).permutation(train.num_examples)
    held_out = max(1, round(validation_share * train.num_examples))
    n_train = train.num_examples - held_out
    if n_train < 1:
        raise ValueError(f"the classifier needs at least 2 training images; received {train.num_examples}")
    batch_size = min(n_train, batch_size or (64 if train.num_examples < 10_000 else 128))
    steps_per_epoch = n_train // batch_size
    epochs = epochs or min(40, max(4, math.ceil(2000 / steps_per_epoch)))
    patience = patience or max(2, epochs // 4)

    config = {
        "image_shape": [int(n) for n in train.image_shape],
        "num_classes": int(train.num_classes),
        "feature_width": int(feature_width),
        "dropout": float(dropout),
        "seed": int(seed),
    }
    record = {
        "data": train.name,
        "train_fingerprint": train.fingerprint,
        "test_fingerprint": test.fingerprint,
        "learning_rate": float(learning_rate),
        "batch_size": int(batch_size),
        "epochs": int(epochs),
        "patience": int(patience),
        "validation_share": float(validation_share),
    }
    if workdir is not None and (Path(workdir) / FILE).exists():
        found = Classifier.load(workdir)
        if found.config == config and {name: found.record.get(name) for name in record} == record:
            return found

    start = time.monotonic()
    validation = train.subset(np.sort(order[:held_out]))
    fit_part = train.subset(order[held_out:])

    def pairs(dataset):
        return dataset.map(lambda batch: (batch["image"], batch["label"]))

    network = classifier_network(config)
    # the same layers with one output, because the loss uses only the logits
    model = keras.Model(network.inputs, network.outputs[1])
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, epochs * steps_per_epoch)
    model.compile(
        optimizer=keras.optimizers.Adam(schedule),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    callbacks = [
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.EarlyStopping("val_loss", mode="min", patience=patience, restore_best_weights=True),
        _Progress(epochs * steps_per_epoch),
    ]
    history = model.fit(
        pairs(fit_part.batches(batch_size, shuffle=True, repeat=True, seed=seed)),
        steps_per_epoch=steps_per_epoch,
        epochs=epochs,
        validation_data=pairs(validation.batches(500)),
        callbacks=callbacks,
        verbose=0,
    ).history
    if not np.isfinite(history["loss"]).all() or not np.isfinite(history["val_loss"]).all():
        raise ValueError(f"the classifier's loss became NaN or infinite after {len(history['loss'])} epoch(s)")
    _normalize_features(network, config, fit_part.images(min(n_train, 10_000)))
    classifier = Classifier(network, config, record)
    classifier.record.update(
        accuracy=classifier.evaluate(test),
        validation_accuracy=classifier.evaluate(validation),
        epochs_run=len(history["loss"]),
        seconds=round(time.monotonic() - start, 2),
    )
    if workdir is not None:
        classifier.save(workdir)
    return classifier
