"""The ways to Inception features, on stand-ins with the published names and a handful of weights. Nothing is downloaded."""

import hashlib
import io
import tarfile

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen import files, metrics
from tfgen.features import FeatureNetwork
from tfgen.features.preprocessing import prepared

FEATURES, CLASSES = 5, 7
RNG = np.random.default_rng(0)
KERNEL = RNG.normal(size=(3, FEATURES)).astype(np.float32)
SOFTMAX = RNG.normal(size=(FEATURES, CLASSES)).astype(np.float32)
IMAGES = RNG.random((5, 20, 30, 3)).astype(np.float32)


def graph_bytes(*, old=False):
    """The published graph in small: its names, its own preprocessing of one image, a reshape to one image, and a bias."""
    v1, graph = tf.compat.v1, tf.Graph()
    with graph.as_default():
        image = v1.placeholder(tf.uint8, [None, None, 3], name="DecodeJpeg")
        resized = v1.image.resize_bilinear(tf.cast(image, tf.float32)[None], [299, 299], name="ResizeBilinear")
        x = tf.multiply(tf.subtract(resized, 128.0, name="Sub"), 1 / 128, name="Mul")
        x = tf.nn.conv2d(x, KERNEL[None, None], 1, "SAME", name="conv")
        pool = tf.nn.avg_pool(tf.nn.relu(x), 299, 1, "VALID", name="pool_3")
        flat = tf.reshape(pool, [1, FEATURES], name="pool_3/_reshape")
        logits = tf.matmul(flat, tf.constant(SOFTMAX), name="softmax/logits/MatMul")
        tf.nn.softmax(logits + 1.0, name="softmax")
    definition = graph.as_graph_def()
    if old:
        # An operation that graphs made today may not hold, as the published file has.
        definition.versions.producer, definition.versions.min_consumer = 8, 0
        for node in definition.node:
            if node.name == "pool_3":
                node.input[0] = "old"
        constants = {"mean": np.zeros(FEATURES), "one": np.ones(FEATURES)}
        for name, value in constants.items():
            node = definition.node.add(name=name, op="Const")
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value.astype(np.float32)))
            node.attr["dtype"].type = tf.float32.as_datatype_enum
        relu = next(node.name for node in definition.node if node.op == "Relu")
        node = definition.node.add(name="old", op="BatchNormWithGlobalNormalization")
        node.input.extend([relu, "mean", "one", "mean", "one"])
        node.attr["T"].type = tf.float32.as_datatype_enum
        node.attr["variance_epsilon"].f = 0.0
        node.attr["scale_after_normalization"].b = True
        for other in definition.node:  # attributes that the old file does not have, and its age does not know
            for attribute in (
                "explicit_paddings",
                "dilations",
                "half_pixel_centers",
                "use_cudnn_on_gpu",
                "grad_a",
                "grad_b",
            ):
                other.attr.pop(attribute, None)
    return definition.SerializeToString()


def expected(images, scale=lambda x: (x - 128) / 128):
    """(features, logits) by NumPy of images that need no resizing in effect: constant ones."""
    pixels = scale(np.round(255 * images[:, 0, 0]))
    features = np.maximum(pixels @ KERNEL, 0)
    return features, features @ SOFTMAX


def constant(values):
    return np.broadcast_to(np.asarray(values, np.float32)[:, None, None, :], (len(values), 20, 30, 3))


@pytest.fixture
def graph(tmp_path):
    path = tmp_path / "classify_image_graph_def.pb"
    path.write_bytes(graph_bytes())
    return path


def test_graph_of_the_published_names(graph):
    extractor = metrics.inception(graph)
    images = constant(RNG.random((5, 3)))
    for found, wanted in zip(extractor.outputs(images), expected(images), strict=True):
        np.testing.assert_allclose(found, wanted, atol=5e-3)  # a mean of 299^2 numbers in float32
    assert (extractor.kind, extractor.image_shape, extractor.num_logits) == ("inception", None, CLASSES)
    assert extractor.weights_hash == hashlib.sha256(graph.read_bytes()).hexdigest()
    assert extractor.description == "inception-v3-2015-12-05, bilinear_tf1 to 299x299"


def test_the_input_is_what_the_graphs_own_preprocessing_makes(graph):
    """Pixels of 8 bits through DecodeJpeg ... Mul, image by image, against all images through `prepared`."""
    definition, found = tf.compat.v1.GraphDef(), metrics.inception(graph).outputs(IMAGES)[0]
    definition.ParseFromString(graph.read_bytes())
    with tf.Graph().as_default() as own:
        tf.import_graph_def(definition, name="")
    with tf.compat.v1.Session(graph=own) as session:
        pixels = np.round(255 * IMAGES).astype(np.uint8)
        made = [session.run(["pool_3:0", "Mul:0"], {"DecodeJpeg:0": image}) for image in pixels]
    for image, row, (wanted, inputs) in zip(pixels, found, made, strict=True):
        np.testing.assert_allclose(row, wanted.ravel(), rtol=1e-5)
        np.testing.assert_allclose(prepared(image[None] / 255, "bilinear_tf1"), inputs, atol=1e-5)


def test_the_old_graphs_operations_run(tmp_path, graph):
    old = tmp_path / "old.pb"
    old.write_bytes(graph_bytes(old=True))
    for found, wanted in zip(metrics.inception(old).outputs(IMAGES), metrics.inception(graph).outputs(IMAGES), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_the_archive_it_comes_in(tmp_path, graph):
    archive = tmp_path / "inception-2015-12-05.tgz"
    with tarfile.open(archive, "w:gz") as file:
        for name, content in (("README", b"text"), ("classify_image_graph_def.pb", graph.read_bytes())):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    np.testing.assert_array_equal(metrics.inception(archive).outputs(IMAGES)[0], metrics.inception(graph).outputs(IMAGES)[0])


def network():
    inputs = keras.Input((299, 299, 3))
    x = keras.layers.Conv2D(FEATURES, 1, activation="relu", use_bias=False, name="conv")(inputs)
    features = keras.layers.GlobalAveragePooling2D(name="features")(x)
    logits = keras.layers.Dense(CLASSES, use_bias=False, name="logits")(features)
    model = keras.Model(inputs, {"features": features, "logits": logits})
    model.set_weights([KERNEL[None, None], SOFTMAX])
    return model


def test_saved_model_and_keras_file_of_the_same_network(tmp_path, graph):
    model = network()
    model.save(tmp_path / "network.keras")
    model.export(str(tmp_path / "saved"), verbose=False)
    wanted = metrics.inception(graph).outputs(IMAGES)
    for path in ("network.keras", "saved"):
        extractor = metrics.inception(tmp_path / path)
        for a, b in zip(extractor.outputs(IMAGES), wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
        assert extractor.num_logits == CLASSES and len(extractor.weights_hash) == 64


def test_a_network_without_logits_has_no_score(tmp_path):
    model = network()
    keras.Model(model.inputs, model.get_layer("conv").output).save(tmp_path / "features.keras")
    extractor = metrics.inception(tmp_path / "features.keras")
    features, logits = extractor.outputs(IMAGES)
    assert features.shape == (5, FEATURES) and logits is None and extractor.num_logits == 0
    from tfgen import data

    source = data.from_arrays(IMAGES)
    with pytest.raises(ValueError, match="'score' needs logits; inception-v3 by path.*has none"):
        metrics.Evaluator(source, source, extractor)


def test_resize_rules_differ_and_grey_is_three_equal_channels(graph):
    published, clean = metrics.inception(graph), metrics.inception(graph, resize="bicubic_antialias")
    assert published.description != clean.description
    large = np.random.default_rng(1).random((2, 700, 600, 1)).astype(np.float32)
    for extractor in (published, clean):
        np.testing.assert_array_equal(extractor.outputs(large)[0], extractor.outputs(large.repeat(3, axis=3))[0])
    noise = [float(prepared(large.repeat(3, axis=3), rule).numpy().std()) for rule in ("bilinear_tf1", "bicubic_antialias")]
    assert noise[1] < 0.7 * noise[0]  # only the one averages what it drops
    constants = constant(RNG.random((2, 3)))
    np.testing.assert_allclose(published.outputs(constants)[0], clean.outputs(constants)[0], atol=1e-4)


def test_results_do_not_depend_on_the_batches(graph):
    extractor = metrics.inception(graph)
    whole = extractor.outputs(IMAGES)[0]
    extractor.batch = 2
    np.testing.assert_allclose(extractor.outputs(IMAGES)[0], whole, rtol=1e-6)


@pytest.mark.long
def test_keras_inception_is_its_own_kind():
    """Random weights: shapes, preprocessing, label."""
    extractor = metrics.KerasInception(None, "0" * 64)
    features, logits = extractor.outputs(IMAGES[:2])
    assert features.shape == (2, 2048) and logits.shape == (2, 1000) and extractor.num_logits == 1000
    assert extractor.kind == "keras_inception" and "not comparable" in extractor.description
    low, high = (
        float(prepared(np.full((1, 9, 9, 3), value, np.float32), "bilinear_tf1", "unit")[0, 0, 0, 0]) for value in (0, 1)
    )
    assert (low, high) == (-1.0, 1.0)


def test_missing_parts_are_named(tmp_path, graph):
    digest, url = hashlib.sha256(graph.read_bytes()).hexdigest(), graph.as_uri()
    cases = [
        (lambda: metrics.inception(None), "classify_image_graph_def.pb.*needed: give its path"),
        (lambda: metrics.inception(None, kind="keras-inception"), "not comparable with published FID"),
        (lambda: metrics.inception(tmp_path / "no.pb"), "there is no file .*no.pb"),
        (lambda: metrics.inception(graph, sha256_expected="0" * 64), f"has the sha256 {digest}, expected 0000"),
        (lambda: metrics.inception(graph, sha256_expected="abc"), "64 hex digits; received 'abc'"),
        (lambda: metrics.inception(url), "needs the sha256"),
        (lambda: metrics.inception(url, sha256_expected=digest, cache=tmp_path / "c"), f"allow the download of {url}"),
        (lambda: metrics.inception(graph, resize="lanczos"), "resize must be one of.*'lanczos'"),
        (lambda: metrics.inception(graph, kind="vgg"), "kind must be.*'vgg'"),
        (lambda: metrics.VGGDistance(None), "VGG-16"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
    (tmp_path / "text.pb").write_text("this is no graph")
    with pytest.raises(ValueError, match="not a frozen TensorFlow graph"):
        metrics.inception(tmp_path / "text.pb")
    (tmp_path / "other.pb").write_bytes(tf.Graph().as_graph_def().SerializeToString())
    with pytest.raises(ValueError, match="has no Mul and no pool_3"):
        metrics.inception(tmp_path / "other.pb")
    (tmp_path / "weights.h5").write_text("no weights")
    with pytest.raises(ValueError, match="does not hold the weights of vgg16"):
        metrics.VGGDistance(tmp_path / "weights.h5")


def test_a_download_is_checked_and_kept(tmp_path, graph):
    digest, said = hashlib.sha256(graph.read_bytes()).hexdigest(), []
    options = dict(allow_download=True, cache=tmp_path / "cache", report=said.append)
    extractor = metrics.inception(graph.as_uri(), sha256_expected=digest, **options)
    assert extractor.weights_hash == digest and "downloading" in said[0]
    with pytest.raises(ValueError, match="the file at .* has the sha256 .*it was not kept"):
        metrics.inception(graph.as_uri(), sha256_expected="1" * 64, **options)
    assert not list((tmp_path / "cache/weights" / ("1" * 64)).iterdir())
    graph.rename(tmp_path / "away")  # the copy is enough, without permission
    metrics.inception(graph.as_uri(), sha256_expected=digest.upper(), cache=tmp_path / "cache", report=said.append)
    assert len(said) == 2  # the two downloads above


def test_sha256_of_a_folder_knows_names_and_contents(tmp_path):
    for name, content in (("a", "1"), ("b/c", "2")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    first = files.sha256(tmp_path)
    (tmp_path / ".hidden").write_text("")
    assert files.sha256(tmp_path) == first
    (tmp_path / "a").rename(tmp_path / "d")
    assert files.sha256(tmp_path) != first


def test_vgg_distance():
    """With random weights: zero for equal images, symmetric, by hand for the first layer's share."""
    distance = metrics.VGGDistance.__new__(metrics.VGGDistance)
    distance._build(None, None)
    a, b = RNG.random((2, 3, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(distance(a, a), 0, atol=1e-6)
    np.testing.assert_allclose(distance(a, b), distance(b, a), rtol=1e-4)
    assert (distance(a, b) > 1e-5).all()
    np.testing.assert_allclose(distance(a, b)[:1], distance(a[:1], b[:1]), rtol=1e-4)
    grey = a[..., :1]
    np.testing.assert_allclose(distance(grey, grey), 0, atol=1e-6)
    with pytest.raises(ValueError, match="H and W at least 32"):
        distance(a[:, :16], b[:, :16])
    with pytest.raises(ValueError, match="channel_weights must be five vectors"):
        distance._build(None, [np.ones(3)])


def test_any_frozen_features_are_an_extractor():
    features = FeatureNetwork(network(), ("conv", "features", "logits"))
    images = RNG.random((5, 299, 299, 3)).astype(np.float32)
    extractor = metrics.FeatureExtractor(features, "features", "logits", description="mine")
    found, logits = extractor.outputs(images)
    np.testing.assert_allclose(found, np.maximum(images @ KERNEL, 0).mean(axis=(1, 2)), rtol=1e-3)
    np.testing.assert_allclose(logits, found @ SOFTMAX, rtol=1e-3, atol=1e-4)
    assert extractor.weights_hash == features.fingerprint and extractor.kind == "feature"
    assert (extractor.description, extractor.image_shape, extractor.num_logits) == ("mine, features", (299, 299, 3), CLASSES)
    pooled = metrics.FeatureExtractor(features)  # the first layer, which has maps
    np.testing.assert_allclose(pooled.outputs(images)[0], found, rtol=1e-3)
    assert pooled.outputs(images)[1] is None and pooled.num_logits == 0
    with pytest.raises(ValueError, match=r"\[N, 299, 299, 3\]"):
        extractor.outputs(images[:, :20])
    with pytest.raises(ValueError, match=r"has the layers \('conv', 'features', 'logits'\); received 'pool'"):
        metrics.FeatureExtractor(features, "pool")


def test_an_extractor_of_free_sides_takes_grey_and_any_size():
    inputs = keras.Input((None, None, 3))
    outputs = keras.layers.GlobalAveragePooling2D(name="means")(inputs)
    extractor = metrics.FeatureExtractor(FeatureNetwork(keras.Model(inputs, outputs)))
    grey = RNG.random((3, 7, 9, 1)).astype(np.float32)
    np.testing.assert_allclose(extractor.outputs(grey)[0], grey.mean(axis=(1, 2)).repeat(3, axis=1), rtol=1e-5)
    assert extractor.outputs(IMAGES)[0].shape == (5, 3)
    with pytest.raises(ValueError, match="1 or 3 channels"):
        extractor.outputs(np.zeros((1, 7, 9, 2), np.float32))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_feature_network_for_any_size_gets_its_own_channels(channels):
    extractor = metrics.FeatureExtractor(tfgen.features.random_conv((8,), channels=channels))
    grey = np.random.default_rng(0).random((2, 6, 5, 1), "float32")
    features, _ = extractor.outputs(grey)
    np.testing.assert_allclose(features, extractor.outputs(grey.repeat(channels, axis=3))[0], rtol=1e-6)
    wanted = {1: "1", 3: "1 or 3"}[channels]
    with pytest.raises(ValueError, match=rf"images must have {wanted} channels; received shape \(2, 6, 5, 2\)"):
        extractor.outputs(np.zeros([2, 6, 5, 2], "float32"))
