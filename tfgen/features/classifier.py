"""The small classifier of a data set, whose features need no download: network, file format, features."""

import io
import json
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from tfgen.features.frozen import FeatureNetwork, weights_hash
from tfgen.files import write_whole

_FORMAT = 1
FILE = "classifier.npz"


def classifier_network(config):
    """image [B, H, W, C] in [0, 1] -> (features [B, F], logits [B, K]).

    Stages of conv 3x3, batch norm, ReLU and 2x2 max pool until the smaller side is below 8, then one more conv and two dense
    layers. Images with a side of 128 pixels or more are first reduced by average pooling to less than 128. Every layer is
    float32 under any global dtype policy. Every initializer and dropout has its own seed, so the global random state is
    neither read nor changed and the result depends only on `seed`. The maps after the convolutions are the layers
    "relu_0", "relu_1", ...

    Args:
        config: dict of image_shape, num_classes, feature_width, dropout and seed.
    """
    height, width, _ = config["image_shape"]
    seeds = iter(np.random.SeedSequence(config["seed"]).generate_state(64).tolist())
    layer = {"dtype": "float32"}

    def conv(x, filters, i):
        initializer = keras.initializers.HeNormal(seed=next(seeds))
        x = keras.layers.Conv2D(
            filters, 3, padding="same", use_bias=False, kernel_initializer=initializer, name=f"conv_{i}", **layer
        )(x)
        x = keras.layers.BatchNormalization(momentum=0.9, name=f"norm_{i}", **layer)(x)
        return keras.layers.Activation("relu", name=f"relu_{i}", **layer)(x)

    inputs = keras.Input(config["image_shape"], dtype="float32", name="image")
    x = keras.layers.Rescaling(2.0, offset=-1.0, name="rescaling", **layer)(inputs)
    side = min(height, width)
    if side >= 128:
        factor = math.ceil((side + 1) / 128)
        x = keras.layers.AveragePooling2D(factor, padding="same", name="average_pool", **layer)(x)
        side = math.ceil(side / factor)
    filters, stages = 16, 0
    while side >= 8:
        x = keras.layers.MaxPooling2D(2, padding="same", name=f"pool_{stages}", **layer)(conv(x, filters, stages))
        side, stages = math.ceil(side / 2), stages + 1
        filters = min(2 * filters, 64)
    x = keras.layers.Flatten(name="flat", **layer)(conv(x, 64, stages))
    x = keras.layers.Dropout(config["dropout"], seed=next(seeds), name="dropout", **layer)(x)
    features = keras.layers.Dense(
        config["feature_width"],
        activation="relu",
        kernel_initializer=keras.initializers.HeNormal(seed=next(seeds)),
        name="features",
        **layer,
    )(x)
    logits = keras.layers.Dense(
        config["num_classes"],
        kernel_initializer=keras.initializers.GlorotUniform(seed=next(seeds)),
        name="logits",
        **layer,
    )(features)
    return keras.Model(inputs, [features, logits])


def save_classifier(directory, network, config, record):
    """Writes weights and record atomically as one file, `FILE` in `directory`; returns its path."""
    content = {"format": _FORMAT, "config": config, "record": record, "hash": weights_hash(network)}
    weights = {f"w{i:03d}": weight for i, weight in enumerate(network.get_weights())}
    buffer = io.BytesIO()
    np.savez(buffer, json=np.array(json.dumps(content, sort_keys=True)), **weights)
    write_whole(Path(directory) / FILE, buffer.getvalue())
    return Path(directory) / FILE


def load_classifier(directory):
    """Reads (network, config, record) of `save_classifier`. FileNotFoundError if missing, ValueError if damaged."""
    path = Path(directory) / FILE
    try:
        with np.load(path) as file:
            content = json.loads(str(file["json"]))
            weights = [file[name] for name in sorted(file.files) if name != "json"]
    except (zipfile.BadZipFile, EOFError, KeyError, ValueError) as error:
        raise ValueError(f"{path} is damaged or not a classifier ({error}); delete it and train again") from error
    if content.get("format") != _FORMAT:
        raise ValueError(f"{path}: classifier format {content.get('format')!r}, expected {_FORMAT}")
    network = classifier_network(content["config"])
    network.set_weights(weights)
    if (found := weights_hash(network)) != content["hash"]:
        raise ValueError(
            f"{path}: the weights have the sha256 {found}, expected {content['hash']}; delete the file and train again"
        )
    return network, content["config"], content["record"]


def of_classifier(classifier: object, layers: Sequence[str] = ("features",)) -> FeatureNetwork:
    """The feature network of a data set's classifier.

    Example:
        classifier = tfgen.metrics.train_classifier(train, test, workdir="classifier")
        network = tfgen.features.of_classifier("classifier", layers=("relu_0", "features"))

    Args:
        classifier: `tfgen.metrics.Classifier`, or the folder of a saved one, which is then kept in the config of the result.
        layers: of "relu_0", "relu_1", ... (maps), "features" and "logits".

    Raises:
        FileNotFoundError: the folder has no classifier.
        ValueError: its file is damaged, or a layer does not exist.
    """
    if hasattr(classifier, "network"):
        return FeatureNetwork(classifier.network, layers)
    arguments = {"classifier": str(classifier), "layers": list(layers)}
    network, _, _ = load_classifier(classifier)
    return FeatureNetwork(network, layers, recipe={"maker": "of_classifier", "arguments": arguments})
