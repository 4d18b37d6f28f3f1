"""A small classifier whose layers are codes of its images, for models that invert an encoder (DeePSiM, PPGN)."""

import os
import pathlib
from typing import Any

import keras
import numpy as np

from tfgen import settings
from tfgen.data.source import Source
from tfgen.files import save_keras
from tfgen.settings import ImageShape, PositiveFloat, PositiveInt, Seed

layers = keras.layers


def encoder_network(
    image_shape: ImageShape, num_classes: PositiveInt, *, filters: tuple[PositiveInt, PositiveInt] = (32, 64),
    units: PositiveInt = 128, seed: Seed = 0,
) -> keras.Model:  # fmt: skip
    """The network of `train_encoder`, untrained: images [B, H, W, C] in [0, 1] -> logits [B, K].

    Two 3 x 3 convolutions of stride 2, a dense layer and the logits, with ReLU between them and without any normalisation.
    The layers after ReLU are "maps", [B, H / 4, W / 4, filters[1]], and "code", [B, units]; the last one is "logits".

    Example:
        >>> tfgen.features.encoder_network((28, 28, 1), 10).count_params()
        421642

    Args:
        image_shape: (H, W, C).
        num_classes: K.
        filters: of the two convolutions.
        units: of the dense layer.
        seed: of the weights.
    """
    given = {"image_shape": image_shape, "num_classes": num_classes, "filters": filters, "units": units, "seed": seed}
    settings.check(encoder_network, **given)
    seeds = iter(np.random.SeedSequence(seed).generate_state(4).tolist())

    def made(kind, name, *args, activation="relu", **kwargs):
        start = keras.initializers.GlorotUniform(seed=next(seeds))
        return kind(*args, activation=activation, kernel_initializer=start, dtype="float32", name=name, **kwargs)

    images = keras.Input(image_shape, dtype="float32", name="image")
    x = made(layers.Conv2D, "conv", filters[0], 3, strides=2, padding="same")(images)
    x = made(layers.Conv2D, "maps", filters[1], 3, strides=2, padding="same")(x)
    x = made(layers.Dense, "code", units)(layers.Flatten(dtype="float32", name="flat")(x))
    return keras.Model(images, made(layers.Dense, "logits", num_classes, activation=None)(x), name="encoder")


def train_encoder(
    source: Source, path: str | os.PathLike | None = None, *, filters: tuple[PositiveInt, PositiveInt] = (32, 64),
    units: PositiveInt = 128, steps: PositiveInt = 900, batch_size: PositiveInt = 128, learning_rate: PositiveFloat = 1e-3,
    seed: Seed = 0,
) -> keras.Model:  # fmt: skip
    """Trains `encoder_network` to classify the images of a source, with Adam.

    Example:
        >>> network = tfgen.features.train_encoder(tfgen.data.load("digits"), steps=2)
        >>> [layer.name for layer in network.layers]
        ['image', 'conv', 'maps', 'flat', 'code', 'logits']

    Args:
        source: labelled images.
        path: None, or a .keras file to which the network is saved; models take it as their encoder or classifier.
        filters, units: see `encoder_network`.
        steps: of training.
        batch_size: images in each step.
        learning_rate: of Adam.
        seed: of the weights and of the order of the images.

    Returns:
        The network; it is not compiled and not trainable.

    Raises:
        ValueError: the source has no labels, or the path does not end with .keras.
    """
    sizes: dict[str, Any] = {"filters": filters, "units": units, "seed": seed}
    settings.check(train_encoder, steps=steps, batch_size=batch_size, learning_rate=learning_rate, **sizes)
    if not source.has_labels:
        raise ValueError(f"An encoder is trained on labels; the source {source.name!r} has none.")
    if path is not None and not str(path).endswith(".keras"):
        raise ValueError(f"path must be that of a .keras file; received {str(path)!r}.")
    assert source.num_classes is not None
    network = encoder_network(source.image_shape, source.num_classes, **sizes)
    trained = keras.Sequential([network])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trained.compile(keras.optimizers.Adam(learning_rate), loss, jit_compile=False)
    batches = source.batches(min(batch_size, len(source)), shuffle=True, repeat=True, seed=seed)
    pairs = batches.map(lambda batch: (batch["image"], batch["label"]))
    trained.fit(pairs, epochs=1, steps_per_epoch=steps, verbose=0)
    network.trainable = False
    if path is not None:
        save_keras(network, pathlib.Path(path))
    return network
