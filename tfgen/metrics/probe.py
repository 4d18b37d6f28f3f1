"""Linear probes of a discriminator: how much do its features know about the classes of images?

Chen, Zhai, Ritter, Lucic, Houlsby (2019), arXiv 1811.11212: a discriminator forgets. A linear classifier of its features,
fitted anew at checkpoints of a training, becomes worse while the training goes on. With the rotation loss of SS-GAN it does
not.

The features are the outputs of a layer while the discriminator looks at an image: maps become their positive parts, averaged
over all positions (`critic_features`). Nothing of the discriminator is trained. The classifier is fitted on train images and
evaluated on held-out ones; the difference of both accuracies says whether features remember images instead of describing
them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import keras
import numpy as np
from numpy.typing import ArrayLike

from tfgen.data.source import Source
from tfgen.metrics._checks import activations, image_batch, integer_labels, same_width, standardized

OUTPUT = "features"  # the name of the discriminator's own output of features


class Probe(NamedTuple):
    """The accuracy of a linear classifier on the images that it was fitted to (`train`) and on held-out ones (`test`).

    Example:
        >>> tfgen.metrics.Probe(train=0.75, test=0.5).gap
        0.25
    """

    train: float
    test: float

    @property
    def gap(self) -> float:
        """`train` - `test`."""
        return self.train - self.test


def linear_probe(
    train_features: ArrayLike, train_labels: ArrayLike, test_features: ArrayLike, test_labels: ArrayLike, *,
    penalty: float = 1.0, max_iterations: int = 1000,
) -> Probe:  # fmt: skip
    """`Probe` of logistic regression on features, scaled to mean 0 and variance 1 over the train features.

    Example:
        >>> features, labels = np.repeat(np.eye(2), 20, axis=0), np.repeat([0, 1], 20)
        >>> tfgen.metrics.linear_probe(features, labels, features, labels)
        Probe(train=1.0, test=1.0)

    Args:
      train_features, test_features: [N, F] and [M, F]; labels: integers [N] and [M].
      penalty: weight of |w|^2 / 2 beside the summed cross-entropy; > 0.
      max_iterations: of the solver, L-BFGS; >= 1.

    Raises:
      ValueError: sizes that do not match, values that are not finite, fewer than two classes in the train labels, or
        settings out of range.
    """
    from sklearn.linear_model import LogisticRegression

    if not (np.isfinite(penalty) and penalty > 0) or max_iterations < 1:
        raise ValueError(f"penalty must be above 0 and max_iterations at least 1; received {penalty} and {max_iterations}")
    train, test = activations(train_features, "train_features"), activations(test_features, "test_features")
    same_width(train, test, "train_features and test_features")
    train_labels = integer_labels(train_labels, len(train), "train_labels")
    test_labels = integer_labels(test_labels, len(test), "test_labels")
    if len(found := np.unique(train_labels)) < 2:
        raise ValueError(f"train_labels must have at least 2 classes; received only {found.tolist()}")
    train, test = standardized(train, test)
    classifier = LogisticRegression(C=1.0 / penalty, max_iter=max_iterations).fit(train, train_labels)
    return Probe(float(classifier.score(train, train_labels)), float(classifier.score(test, test_labels)))


def critic_layers(model: keras.Model) -> list[str]:
    """The names that `critic_features` takes: paths of the layers of a discriminator, and "features" if it has that output.

    Example:
        >>> model = tfgen.models.DCGAN(image_shape=(8, 8, 1), width=4, latent_dim=4)
        >>> tfgen.metrics.critic_layers(model)
        ['features', 'logit', 'conv_0']

    Args:
      model: an adversarial model of tfgen.
    """
    return [*([OUTPUT] if OUTPUT in _outputs(model, model.image_shape) else []), *_paths(_critic(model))]


def critic_features(model: keras.Model, layer: str, images: ArrayLike, *, batch_size: int = 250) -> np.ndarray:
    """Features float32 [N, F] of images, from one layer of a model's discriminator, which does not change.

    Maps [B, H, W, F] become the means of their positive parts over the positions, vectors their positive parts: layers with
    kernels return values from before the activation. The output "features" of the discriminator stays as it is.

    Example:
        >>> model = tfgen.models.DCGAN(image_shape=(8, 8, 1), width=4, latent_dim=4)
        >>> tfgen.metrics.critic_features(model, "conv_0", np.zeros([5, 8, 8, 1], "float32")).shape
        (5, 4)

    Args:
      model: an adversarial model of tfgen, with the weights that it has now (for averaged ones use `model.ema.swapped()`).
        A discriminator that takes labels gets zeros, so that labels do not leak into features.
      layer: "features", or a path of `critic_layers`; the last parts of one are enough, such as "block_2" for
        "discriminator/block_2", if they fit no other layer.
      images: float [N, H, W, C] in [0, 1].
      batch_size: number of images at once.

    Raises:
      ValueError: the model has no discriminator; there is no such layer, or several (the message lists the layers); images
        of another shape; or a layer whose output is not one tensor [B, F] or [B, H, W, F].
    """
    images = image_batch(images, "images", shape=tuple(model.image_shape) if hasattr(model, "image_shape") else None)
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1; received {batch_size}")
    return _features(model, [layer], images, batch_size)[layer]


class CriticProbe:
    """Probes of several layers of discriminators on the same images: probe(model) -> {layer: `Probe`}.

    Example:
        >>> train, test = tfgen.data.load("digits"), tfgen.data.load("digits", "test")
        >>> model = tfgen.models.SNGAN(image_shape=(8, 8, 1), network="resnet", width=4)
        >>> probe = tfgen.metrics.CriticProbe(["block_0", "features"], train.take(200), test.take(100))
        >>> list(probe(model))
        ['block_0', 'features']

    Args:
      layers: see `critic_features`.
      train, test: `tfgen.data.Source`s with labels: the images to which the classifiers are fitted, and held-out ones.
      batch_size: number of images at once.
      **settings: of `linear_probe`.

    Raises:
      ValueError: no layers, or sources without labels.
    """

    def __init__(self, layers: Sequence[str], train: Source, test: Source, *, batch_size: int = 250, **settings):
        if isinstance(layers, str) or not len(layers):
            raise ValueError(f"layers must be a list of at least one name; received {layers!r}")
        for name, source in (("train", train), ("test", test)):
            if not source.has_labels:
                raise ValueError(f"a probe needs images with labels; {name}, {source.name}, has none")
        self.layers, self.batch_size, self.settings = tuple(layers), batch_size, settings
        self.images = {"train": train.images(), "test": test.images()}
        self.labels = {"train": train.labels(), "test": test.labels()}

    def __call__(self, model: keras.Model) -> dict[str, Probe]:
        found = {
            split: _features(model, self.layers, image_batch(images, split, shape=model.image_shape), self.batch_size)
            for split, images in self.images.items()
        }
        return {
            layer: linear_probe(
                found["train"][layer], self.labels["train"], found["test"][layer], self.labels["test"], **self.settings
            )
            for layer in self.layers
        }


def probe_checkpoints(
    model: keras.Model, directory: str | os.PathLike, probe: Callable[[keras.Model], Mapping[str, Probe]]
) -> Iterator[tuple[int, Mapping[str, Probe]]]:
    """(step, probe(model)) at every checkpoint of a training that is still there, the oldest first.

    Example:
        >>> train, test = tfgen.data.load("digits").take(100), tfgen.data.load("digits", "test").take(50)
        >>> model = tfgen.models.DCGAN(image_shape=(8, 8, 1), width=4, latent_dim=4)
        >>> model.compile()
        >>> checkpoints = tfgen.training.Checkpoints(model, "checkpoints")
        >>> history = model.fit(train.batches(50), epochs=2, verbose=0, callbacks=[checkpoints])
        >>> probe = tfgen.metrics.CriticProbe(["features"], train, test)
        >>> [step for step, found in tfgen.metrics.probe_checkpoints(model, "checkpoints", probe)]
        [2, 4]

    Args:
      model: compiled as for the training; in the end it has the state of the last checkpoint.
      directory: the folder of `tfgen.training.Checkpoints`, whose `keep` says how many of them stay; of a run folder,
        "checkpoints" in it.
      probe: a `CriticProbe`, or another function of the model.

    Raises:
      ValueError: there are no checkpoints, or one is damaged or of another model.
    """
    from tfgen.training import Checkpoints

    recorded = Checkpoints(model, directory).recorded
    if not recorded:
        raise ValueError(f"{directory} has no checkpoints")
    for number, name in enumerate(recorded, start=1):
        problems: list[str] = []
        checkpoints = Checkpoints(model, directory, report=problems.append)
        checkpoints.recorded = recorded[:number]  # `restore` takes the newest
        step = checkpoints.restore()
        if problems:
            raise ValueError(f"{name} cannot be probed: {'; '.join(problems)}")
        yield step, probe(model)


def _critic(model):
    if not hasattr(model, "discriminate") or getattr(model, "discriminator", None) is None:
        raise ValueError(f"a probe needs an adversarial model with a discriminator; received {type(model).__name__}")
    return model.discriminator


def _paths(critic):
    """{path: layer} of all layers inside the critic."""
    found = {}

    def walk(layer, prefix):
        for child in layer._flatten_layers(include_self=False, recursive=False):
            path = f"{prefix}{child.name}"
            found[path] = child
            walk(child, f"{path}/")

    walk(critic, "")
    return found


def _layer(model, name):
    paths = _paths(_critic(model))
    fitting = [path for path in paths if path == name] or [path for path in paths if path.endswith(f"/{name}")]
    if len(fitting) != 1:
        several = f"one of {', '.join(fitting)}" if fitting else f"one of {', '.join(critic_layers(model))}"
        raise ValueError(f"layer must be {several}; received {name!r}")
    return paths[fitting[0]]


def _outputs(model, shape, images=None):
    """The outputs of the critic for images in [0, 1]; of one black image if None is given."""
    _critic(model)
    raw = np.zeros((1, *shape), np.float32) if images is None else images
    one_hot = np.zeros((len(raw), model.num_classes), np.float32) if model.num_classes else None
    return model.discriminate(2.0 * raw - 1.0, one_hot)


def _features(model, names, images, batch_size):
    """{name: float32 [N, F]}, with one pass through the critic."""
    layers = {}
    for name in names:
        if name != OUTPUT or OUTPUT not in _outputs(model, model.image_shape):
            layers[name] = _layer(model, name)
    parts: dict[str, list] = {name: [] for name in names}
    for start in range(0, len(images), batch_size):
        with contextlib.ExitStack() as stack:
            seen = {name: stack.enter_context(_watched(layer)) for name, layer in layers.items()}
            outputs = _outputs(model, model.image_shape, images[start : start + batch_size])
        for name in names:
            parts[name].append(_pooled(name, seen[name]) if name in layers else np.asarray(outputs[OUTPUT]))
    return {name: np.concatenate(arrays).astype(np.float32) for name, arrays in parts.items()}


@contextlib.contextmanager
def _watched(layer):
    """A context whose list receives the output of every call of the layer, also of calls inside of a network."""
    seen, call, own = [], layer.call, "call" in vars(layer)

    def watching(*args, **kwargs):
        seen.append(call(*args, **kwargs))
        return seen[-1]

    object.__setattr__(layer, "call", watching)
    try:
        yield seen
    finally:
        object.__setattr__(layer, "call", call) if own else object.__delattr__(layer, "call")


def _pooled(name, seen):
    if len(seen) != 1 or not hasattr(seen[0], "shape") or len(seen[0].shape) not in (2, 4):
        shown = [tuple(getattr(one, "shape", ())) or type(one).__name__ for one in seen]
        raise ValueError(
            f"layer {name!r} must return one tensor [B, F] or [B, H, W, F] for a batch of images; it returned "
            f"{shown or 'none'}"
        )
    values = np.maximum(np.asarray(seen[0], np.float32), 0.0)
    return values.mean(axis=(1, 2)) if values.ndim == 4 else values
