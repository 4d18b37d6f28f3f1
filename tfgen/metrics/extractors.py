"""Feature extractors with weights from files: Inception-v3 for FID and inception score, VGG-16 for path length.

An extractor is any object with
    image_shape   (H, W, C) of its input images, or None for any size with 1 channel or those of the network
    description   network, weights and resize rule in a few words, for protocols
    weights_hash  sha256 of its weights
    kind          "classifier", "inception", "keras_inception", "feature" ...; it names the Fréchet distance
    num_logits    number of logits, 0 for none
    outputs(images float32 [N, H, W, C] in [0, 1]) -> (features [N, F], logits [N, K] or None)
The default extractor is `Classifier`, which is trained on the data set itself and needs no file. `FeatureExtractor` makes an
extractor of any `FeatureNetwork` of `tfgen.features`, such as EfficientNet-Lite0 or a user's own network.

Published FID numbers use one network, the Inception of 2015-12-05 with 1,008 outputs, stored as a frozen TensorFlow
graph. The features are the layer pool_3 (2,048 wide); the logits of the inception score are pool_3 times the softmax
weights, without the bias. Pixels are rounded to 8 bits, resized to 299x299 as in the original code (bilinear without
antialiasing, pixel alignment of TensorFlow 1), and scaled to (x - 128) / 128. Keras' ImageNet weights are a different
network, and distances of its features are not comparable with any published FID.
"""

from __future__ import annotations

import os
import tarfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfgen.features import FeatureNetwork
from tfgen.features.inception import inception_v3
from tfgen.features.preprocessing import RESIZE, SIDE, prepared
from tfgen.features.vgg import vgg16
from tfgen.files import weights_file
from tfgen.metrics._checks import image_batch

INCEPTION_FILE = "classify_image_graph_def.pb"
INCEPTION_URL = "http://download.tensorflow.org/models/image/imagenet/inception-2015-12-05.tgz"
KERAS_FILE = "inception_v3_weights_tf_dim_ordering_tf_kernels.h5"
VGG_FILE = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
_WHAT = {
    "inception": f"the Inception of published FID numbers ({INCEPTION_FILE}, in {INCEPTION_URL}; or a SavedModel or .keras "
    "file of it)",
    "keras-inception": f"Keras' ImageNet weights of Inception-v3 ({KERAS_FILE}; not comparable with published FID)",
    "vgg16": f"Keras' ImageNet weights of VGG-16 ({VGG_FILE})",
}


def inception(
    weights: str | os.PathLike | None, *, kind: str = "inception", resize: str = "bilinear_tf1", **files
) -> GraphInception | SavedInception | KerasInception:
    """An Inception extractor with weights from a file.

    Example:
        extractor = tfgen.metrics.inception("inception-2015-12-05.tgz")
        evaluator = tfgen.metrics.Evaluator(train, test, extractor)

    Args:
      weights: path or URL. For kind "inception" the published frozen graph (.pb, or the .tgz that holds it), or a
        SavedModel folder or .keras file of the same network; for "keras-inception" the .h5 file of keras.applications.
      kind: "inception" or "keras-inception".
      resize: see `GraphInception`.
      **files: arguments of `weights_file`: sha256_expected, allow_download, cache, report.

    Raises:
      ValueError: no such file, a file of another network, a wrong checksum, or a URL that may not be fetched.
    """
    if kind not in ("inception", "keras-inception"):
        raise ValueError(f"kind must be 'inception' or 'keras-inception'; received {kind!r}")
    path, digest = weights_file(_WHAT[kind], weights, **files)
    if kind == "keras-inception":
        return KerasInception(path, digest, resize=resize)
    if path.is_dir() or path.suffix == ".keras":
        return SavedInception(path, digest, resize=resize)
    return GraphInception(path, digest, resize=resize)


class _InBatches:
    """Base class: splits images into batches. Extractors for images of any size get grey images as equal `channels`."""

    image_shape: tuple[int, int, int] | None = None
    channels, num_logits, batch = 3, 0, 64

    def outputs(self, images) -> tuple[np.ndarray, np.ndarray | None]:
        """(features float32 [N, F], logits float32 [N, K] or None) of images [N, H, W, C] in [0, 1]."""
        images, copies = image_batch(images, "images", shape=self.image_shape), 1
        if self.image_shape is None and images.shape[3] != self.channels:
            if images.shape[3] != 1:
                wanted = " or ".join(map(str, sorted({1, self.channels})))
                raise ValueError(f"images must have {wanted} channels; received shape {images.shape}")
            copies = self.channels
        parts = [
            self._run(images[start : start + self.batch].repeat(copies, axis=3))
            for start in range(0, len(images), self.batch)
        ]
        features, logits = zip(*parts, strict=True)
        return np.concatenate(features), None if logits[0] is None else np.concatenate(logits)

    def _run(self, images):
        raise NotImplementedError


class FeatureExtractor(_InBatches):
    """Any feature network (see `tfgen.features`) as an extractor.

    Example:
        >>> extractor = tfgen.metrics.FeatureExtractor(tfgen.features.random_conv((8, 16), channels=3), "relu_1")
        >>> features, logits = extractor.outputs(np.zeros([2, 8, 8, 1]))
        >>> features.shape, logits
        ((2, 16), None)

    Args:
      network: `FeatureNetwork`.
      layer: name of the layer whose output is the features, averaged over pixels if of rank 4; None: the first.
      logits: name of the layer of the logits, or None.
      kind: part of the name of the Fréchet distance; distances of different kinds or `weights_hash` cannot be compared.
      description: name of the network for protocols.

    Raises:
      ValueError: the network lacks a layer, or the features have neither rank 2 nor rank 4.
    """

    def __init__(
        self, network: FeatureNetwork, layer: str | None = None, logits: str | None = None, *, kind: str = "feature",
        description: str = "frozen features",
    ):  # fmt: skip
        layer = network.layers[0] if layer is None else layer
        for name in (layer, *([] if logits is None else [logits])):
            if name not in network.layers:
                raise ValueError(f"this network has the layers {network.layers}; received {name!r}")
        self.kind, self.weights_hash = kind, network.fingerprint
        self.description = f"{description}, {layer}"
        shape = network.image_shape
        self.image_shape, self.channels = None if None in shape else shape, shape[2]

        def run(images):
            found = network(images)
            values = found[layer]
            if values.shape.rank == 4:
                values = tf.reduce_mean(values, axis=[1, 2])
            return values, *([] if logits is None else [found[logits]])

        self._function = tf.function(run, input_signature=[tf.TensorSpec([None, *shape], tf.float32)], autograph=False)
        values, *others = self._function.get_concrete_function().structured_outputs
        if values.shape.rank != 2:
            raise ValueError(f"features must have rank 2 or 4; the layer {layer!r} has the shape {values.shape}")
        self.num_logits = int(others[0].shape[-1]) if others else 0

    def _run(self, images):
        values, *logits = (output.numpy() for output in self._function(images))
        return values, logits[0] if logits else None


class _Inception(_InBatches):
    """Base class of the networks of the published FID."""

    kind = "inception"

    def __init__(self, digest: str, resize: str, name: str):
        if resize not in RESIZE:
            raise ValueError(f"resize must be one of {', '.join(RESIZE)}; received {resize!r}")
        self.weights_hash, self.resize = digest, resize
        self.description = f"{name}, {resize} to {SIDE}x{SIDE}"


class GraphInception(_Inception):
    """The frozen graph of 2015-12-05, or one with the same node names: Mul (input), pool_3, softmax/logits/MatMul or logits.

    Example:
        extractor = tfgen.metrics.inception("inception-2015-12-05.tgz")  # makes one of the published file
        features, logits = extractor.outputs(images)  # [N, 2048] and [N, 1008] of images [N, H, W, 3] in [0, 1]

    Args:
      path: the .pb file, or the .tgz that holds it.
      digest: sha256 of the file.
      resize: "bilinear_tf1" for FID as published, or "bicubic_antialias" for clean FID.
    """

    def __init__(self, path: str | os.PathLike, digest: str, *, resize: str = "bilinear_tf1"):
        super().__init__(digest, resize, "inception-v3-2015-12-05")
        definition, path = tf.compat.v1.GraphDef(), Path(path)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # protobuf only warns about bytes that it cannot read
                definition.ParseFromString(_graph_bytes(path))
        except Exception as error:  # the exceptions depend on the implementation of protobuf
            raise ValueError(f"{path} is not a frozen TensorFlow graph ({type(error).__name__}: {error})") from error
        names = {node.name for node in definition.node}
        if missing := sorted({"Mul", "pool_3"} - names):
            raise ValueError(f"{path} is not the Inception graph of 2015-12-05: it has no {' and no '.join(missing)}")
        # A session instead of a tf.function: functions do not allow some of the operations of this old graph.
        graph = tf.Graph()
        with graph.as_default():
            self._images = tf.compat.v1.placeholder(tf.float32, [None, None, None, 3])
            tf.import_graph_def(definition, input_map={"Mul:0": prepared(self._images, resize)}, name="")
        self._session = tf.compat.v1.Session(graph=graph)
        self._fetches, self._weights = [graph.get_tensor_by_name("pool_3:0")], None
        if "softmax/logits/MatMul" in names:
            # The graph reshapes to a batch of one image here, so the product is computed outside the graph.
            weights = graph.get_operation_by_name("softmax/logits/MatMul").inputs[1]
            self._weights = self._session.run(weights)
            self.num_logits = self._weights.shape[1]
        elif "logits" in names:
            self._fetches.append(graph.get_tensor_by_name("logits:0"))
            self.num_logits = int(self._fetches[1].shape[-1])

    def _run(self, images):
        features, *logits = self._session.run(self._fetches, {self._images: images})
        features = features.reshape(len(images), -1)
        if self._weights is not None:
            logits = [features @ self._weights]
        return features, logits[0] if logits else None


def _graph_bytes(path: Path) -> bytes:
    if path.suffix not in (".tgz", ".gz"):
        return path.read_bytes()
    with tarfile.open(path) as archive:
        member = next((m for m in archive if m.name.endswith(".pb")), None)
        if member is None:
            raise ValueError("the archive holds no .pb file")
        file = archive.extractfile(member)
        if file is None:
            raise ValueError(f"{member.name} in the archive is no file")
        return file.read()


class SavedInception(_Inception):
    """The same network as a SavedModel folder or a .keras file; its input is the output of `prepared`.

    With named outputs, the features are "features" or "pool_3" (averaged over pixels if of rank 4), and the logits are
    "logits" if there is one. A single output is the features; two outputs without names are features and logits.

    Example:
        extractor = tfgen.metrics.inception("inception.keras", resize="bicubic_antialias")
    """

    def __init__(self, path: str | os.PathLike, digest: str, *, resize: str = "bilinear_tf1"):
        super().__init__(digest, resize, "inception-v3 by path")
        self._function = _saved_function(Path(path))
        features, logits = self._run(np.zeros((1, 8, 8, 3), np.float32))
        if features.ndim != 2:
            raise ValueError(f"{path}: features must have rank 2 or 4; received shape {features.shape}")
        self.num_logits = 0 if logits is None else logits.shape[1]

    def _run(self, images):
        features, logits = self._function(prepared(images, self.resize))
        if features.shape.rank == 4:
            features = tf.reduce_mean(features, axis=[1, 2])
        return features.numpy(), None if logits is None else logits.numpy()


def _saved_function(path: Path):
    """Function of prepared images -> (features, logits or None)."""
    if path.suffix == ".keras":
        import keras

        network = keras.saving.load_model(path, compile=False)
        return lambda images: _named_outputs(network(images, training=False), path)
    if not (path / "saved_model.pb").exists():
        raise ValueError(f"{path} is not a SavedModel: it has no saved_model.pb")
    loaded = tf.saved_model.load(str(path))
    if "serving_default" not in loaded.signatures:
        raise ValueError(f"{path} has no signature serving_default; it has {sorted(loaded.signatures)}")
    function = loaded.signatures["serving_default"]
    inputs = list(function.structured_input_signature[1])
    if len(inputs) != 1:
        raise ValueError(f"{path}: the signature must have the images as its only input; received {inputs}")

    def call(images):
        call.kept = loaded  # type: ignore[attr-defined]  # the variables exist only as long as the loaded object
        return _named_outputs(function(**{inputs[0]: images}), path)

    return call


def _named_outputs(outputs, path):
    if isinstance(outputs, (list, tuple)):
        outputs = dict(zip(("features", "logits"), outputs, strict=False))
    if not isinstance(outputs, dict):
        outputs = {"features": outputs}
    if len(outputs) == 1:
        return next(iter(outputs.values())), None
    for name in ("features", "pool_3"):
        if name in outputs:
            return outputs[name], outputs.get("logits")
    raise ValueError(f"{path}: none of the outputs is called features or pool_3; received {sorted(outputs)}")


class KerasInception(FeatureExtractor):
    """keras.applications' Inception-v3 with its own ImageNet weights: not comparable with any published FID.

    Example:
        extractor = tfgen.metrics.inception(
            "inception_v3_weights_tf_dim_ordering_tf_kernels.h5", kind="keras-inception")  # makes one

    Args:
      path: the .h5 file of weights, with the top; None: random weights, for tests.
      digest: sha256 of the file.
      resize: see `GraphInception`.
    """

    def __init__(self, path: str | os.PathLike | None, digest: str, *, resize: str = "bilinear_tf1"):
        network = inception_v3(path, ("avg_pool", "predictions"), resize=resize, quantize=True)
        super().__init__(network, logits="predictions", kind="keras_inception")
        # The hash of the file replaces the network's fingerprint, so that stored protocols stay valid.
        self.weights_hash = digest
        self.description = f"keras-imagenet-inception-v3 (not comparable with published FID), {resize} to {SIDE}x{SIDE}"


class VGGDistance:
    """Perceptual distance on VGG-16, in the form of LPIPS (Zhang et al. 2018, arXiv 1801.03924), for path lengths.

    The activations of relu1_2, 2_2, 3_3, 4_3 and 5_3 are scaled to unit length over channels. Their squared differences
    are weighted by channel, averaged over pixels and summed over the five layers. Keras' ImageNet weights without learned
    channel weights do not give LPIPS values: compare these path lengths only with each other.

    Example:
        distance = tfgen.metrics.VGGDistance("vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5")
        distance(images, others)  # float32 [B]

    Args:
      weights: path or URL of the .h5 file of keras.applications, without the top.
      channel_weights: five float arrays [C], C = 64, 128, 256, 512, 512; None: 1 / C, the mean over channels.
      **files: arguments of `weights_file`: sha256_expected, allow_download, cache, report.

    Raises:
      ValueError: as `inception` for the file, or channel weights of other shapes.
    """

    LAYERS = ("block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3")
    WIDTHS = (64, 128, 256, 512, 512)

    def __init__(self, weights: str | os.PathLike, *, channel_weights: Sequence[ArrayLike] | None = None, **files):
        path, digest = weights_file(_WHAT["vgg16"], weights, **files)
        self._build(path, channel_weights)
        self.weights_hash = digest
        self.description = f"vgg16-keras, {'mean over channels' if channel_weights is None else 'channel weights given'}"

    def _build(self, path, channel_weights):
        if channel_weights is None:
            channel_weights = [np.full(width, 1.0 / width) for width in self.WIDTHS]
        shapes = [np.shape(w) for w in channel_weights]
        if shapes != [(width,) for width in self.WIDTHS]:
            raise ValueError(f"channel_weights must be five vectors of {self.WIDTHS} numbers; received shapes {shapes}")
        network = vgg16(path, self.LAYERS)
        weights = [tf.constant(w, tf.float32) for w in channel_weights]

        def distance(a, b):
            total = 0.0
            for maps, weight in zip(network(tf.concat([a, b], axis=0)).values(), weights, strict=True):
                length = tf.sqrt(tf.reduce_sum(maps**2, axis=-1, keepdims=True))
                a_unit, b_unit = tf.split(maps / (length + 1e-10), 2)
                total += tf.reduce_mean(tf.reduce_sum(weight * (a_unit - b_unit) ** 2, axis=-1), axis=[1, 2])
            return total

        spec = tf.TensorSpec([None, None, None, 3], tf.float32)
        self._distance = tf.function(distance, input_signature=[spec, spec], autograph=False)

    def __call__(self, a: ArrayLike, b: ArrayLike) -> np.ndarray:
        """float32 [B] of images a, b [B, H, W, 1 or 3] in [0, 1], of at least 32 pixels."""
        a, b = image_batch(a, "a"), image_batch(b, "b")
        if a.shape != b.shape or a.shape[3] not in (1, 3) or min(a.shape[1:3]) < 32:
            raise ValueError(
                f"a and b must have equal shapes [B, H, W, 1 or 3], H and W at least 32; received {a.shape} and {b.shape}"
            )
        if a.shape[3] == 1:
            a, b = a.repeat(3, axis=3), b.repeat(3, axis=3)
        return self._distance(a, b).numpy()
