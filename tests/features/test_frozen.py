"""Frozen features: what they give, that they stay as they are, what they are called, and how they are made again."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.saving.serialization_lib import ObjectSharingScope

from tfgen import features
from tfgen.features import FeatureNetwork, MissingFeatureNetwork, from_keras
from tfgen.features.frozen import fingerprint, weights_hash

layers = keras.layers
IMAGES = np.random.default_rng(0).random((3, 8, 8, 1)).astype("float32")


def network(prefix="", seed=7, **second):
    keras.utils.set_random_seed(seed)
    x = inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(3, 3, activation="tanh", name=f"{prefix}first")(x)
    x = layers.BatchNormalization(name=f"{prefix}norm")(x)
    x = layers.Dropout(0.5, name=f"{prefix}dropout")(x)
    y = layers.Conv2D(3, 3, **{"padding": "same", "name": f"{prefix}second", **second})(x)
    y = layers.Flatten(name=f"{prefix}flat")(layers.Add(name=f"{prefix}add")([x, y]) if not second else y)
    return keras.Model(inputs, layers.Dense(2, name=f"{prefix}logits")(y))


@keras.saving.register_keras_serializable("tests")
class Inverted(layers.Layer):
    def call(self, x):
        return 1.0 - x


def test_outputs_by_name_in_inference_mode():
    model = network()
    model.get_layer("norm").moving_mean.assign([0.3, -0.2, 0.1])
    found = FeatureNetwork(model, ("second", "norm"))(IMAGES)
    assert list(found) == ["second", "norm"]
    for name, values in found.items():
        expected = keras.Model(model.inputs, model.get_layer(name).output)(IMAGES, training=False)
        np.testing.assert_array_equal(values, expected)
        assert values.dtype == tf.float32
    assert list(FeatureNetwork(model)(IMAGES)) == ["logits"]


def test_preprocessing_comes_first():
    plain, before = FeatureNetwork(network(), ("first",)), FeatureNetwork(network(), ("first",), preprocess=Inverted())
    np.testing.assert_allclose(before(1.0 - IMAGES)["first"], plain(IMAGES)["first"], atol=1e-6)
    assert before.fingerprint != plain.fingerprint


def test_nothing_learns_but_gradients_pass():
    frozen, images = FeatureNetwork(network(), ("second",)), tf.constant(IMAGES)
    assert not frozen.network.trainable_variables
    with tf.GradientTape() as tape:
        tape.watch(images)
        total = tf.reduce_sum(frozen(images)["second"] ** 2)
    assert np.abs(tape.gradient(total, images)).max() > 1e-3
    model = keras.Sequential([layers.Dense(1)])
    model.frozen = frozen
    model.build((None, 2))
    assert len(model.variables) == 2  # none of them is the features'


def test_later_changes_of_the_given_network_have_no_effect():
    model = network()
    frozen = FeatureNetwork(model, ("first",))
    before = frozen(IMAGES)["first"].numpy()
    model.set_weights([2.0 * w for w in model.get_weights()])
    np.testing.assert_array_equal(frozen(IMAGES)["first"], before)
    assert model.trainable and len(model.trainable_variables) == 8
    assert len(frozen.network.variables) == 2  # what lies behind the layer is left out


def test_fingerprint_is_of_function_and_weights_and_not_of_names():
    own = FeatureNetwork(network(), ("second",)).fingerprint
    assert len(own) == 64
    for _ in range(3):
        layers.Conv2D(1, 1), keras.Input((1,))  # what Keras numbers
    assert FeatureNetwork(network("other_"), ("other_second",)).fingerprint == own
    changed = network()
    changed.get_layer("first").bias.assign([0.0, 0.0, 1e-6])
    others = [
        FeatureNetwork(changed, ("second",)),
        FeatureNetwork(network(), ("norm",)),
        FeatureNetwork(network(), ("second", "norm")),
        FeatureNetwork(network(), ("norm", "second")),
        FeatureNetwork(network(activation="relu"), ("second",)),
        FeatureNetwork(network(strides=2), ("second",)),
        FeatureNetwork(network(dilation_rate=2), ("second",)),
    ]
    shapes = {tuple(v.shape for v in other.network.variables) for other in [others[0], *others[4:]]}
    assert len(shapes) == 1  # of equal weights, but for `changed`
    assert len({weights_hash(other.network) for other in others[4:]}) == 1
    assert len({own, *(other.fingerprint for other in others)}) == 1 + len(others)


def test_fingerprint_depends_on_the_inputs_of_a_layer():
    """The same layers and weights: x + 2 f(x) or 2 (x + f(x))."""

    def made(first):
        x = inputs = keras.Input((4,))
        y = layers.Dense(4, kernel_initializer="ones", name="dense")(x)
        double = layers.Rescaling(2.0, name="double")
        outputs = layers.Add(name="add")([x, double(y)]) if first else double(layers.Add(name="add")([x, y]))
        return keras.Model(inputs, outputs)

    prints = {FeatureNetwork(made(first)).fingerprint for first in (True, False)}
    assert len(prints) == 2


def sequence(*, built):
    keras.utils.set_random_seed(7)
    inputs = [keras.Input((8, 8, 1))] if built else []
    return keras.Sequential([*inputs, layers.Conv2D(3, 3, name="first"), layers.Flatten(name="flat"), layers.Dense(2)])


def inside(inner):
    x = inputs = keras.Input((8, 8, 1))
    return keras.Model(inputs, layers.Dense(2, name="last")(layers.Dense(4, name="dense")(inner(x))))


@pytest.mark.parametrize(
    ("made", "names"),
    [
        (lambda: sequence(built=True), ("first", "flat")),
        (lambda: sequence(built=False), ("first", "flat")),
        (lambda: keras.Sequential([sequence(built=True), layers.Dense(3, name="last")]), ("last",)),
        (lambda: inside(keras.Sequential([layers.Flatten()], name="inner")), ("inner", "last")),
        (lambda: inside(network("inner_")), ("dense", "last")),
    ],
)
def test_fingerprint_does_not_depend_on_how_the_network_was_made(tmp_path, made, names):
    """In memory, called often, and loaded from its file: Keras then numbers layers and their calls in other ways."""
    model = made()
    model(IMAGES)
    model.save(tmp_path / "network.keras")
    first = FeatureNetwork(model, names)
    model(IMAGES[:1]), model(keras.Input((8, 8, 1)))
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    for other in (model, loaded):
        again = FeatureNetwork(other, names)
        assert again.fingerprint == first.fingerprint
        assert sum(len(layer._inbound_nodes) for layer in again._part.layers) == len(again._part.layers)  # called once each
        assert fingerprint(other) == fingerprint(model)
        for a, b in zip(first(IMAGES).values(), again(IMAGES).values(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_fingerprint_of_a_sequence_is_not_of_the_batch_it_was_built_with():
    models = [sequence(built=False) for _ in range(2)]
    for model, size in zip(models, (1, 3), strict=True):
        model(IMAGES[:size])
    assert fingerprint(models[0]) == fingerprint(models[1])


def test_features_of_a_model_inside_another_are_those_of_its_images():
    inner = network("inner_")
    model = inside(inner)
    np.testing.assert_array_equal(FeatureNetwork(model, (inner.name,))(IMAGES)[inner.name], inner(IMAGES, training=False))


def test_fingerprint_of_named_inputs():
    def made(swapped):
        inputs = {name: keras.Input((4,), name=name) for name in ("a", "b")}
        a, b = [inputs[name] for name in ("ba" if swapped else "ab")]
        return keras.Model(inputs, layers.Subtract()([a, b]))

    assert fingerprint(made(False)) == fingerprint(made(False)) != fingerprint(made(True))


def test_fingerprint_is_the_same_elsewhere():
    """A number from another run. Records and saved models keep fingerprints, so it must not depend on process or version."""
    x = inputs = keras.Input((4, 4, 1))
    x = layers.Conv2D(2, 3, padding="same", activation="relu", kernel_initializer="ones", dtype="float32")(x)
    x = layers.BatchNormalization(dtype="float32")(x)
    frozen = FeatureNetwork(keras.Model(inputs, layers.GlobalAveragePooling2D(dtype="float32")(x)))
    assert frozen.fingerprint == "44e8378ddbba8bd842a5448af1ef7386c37f7060041e45086d3f76dea1c2703b"


# ---- made again


def test_by_path(tmp_path):
    path = tmp_path / "phi.keras"
    network().save(path)
    frozen = from_keras(path, ("first", "flat"), preprocess=Inverted())
    config = json.loads(json.dumps(frozen.get_config()))
    again = features.deserialize(config)
    assert again.fingerprint == frozen.fingerprint and again.get_config() == config and again.layers == ("first", "flat")
    for a, b in zip(frozen(IMAGES).values(), again(IMAGES).values(), strict=True):
        np.testing.assert_array_equal(a, b)
    network(seed=8).save(path)
    for reason in ("from_keras now has the fingerprint", "path of a .keras file that exists"):
        missing = features.deserialize(config)
        assert isinstance(missing, MissingFeatureNetwork) and missing.get_config() == config
        assert missing.fingerprint == frozen.fingerprint
        with pytest.raises(ValueError, match=f"fingerprint {frozen.fingerprint} is missing: .*{reason}"):
            missing(IMAGES)
        path.unlink(missing_ok=True)
    with pytest.raises(ValueError, match="path of a .keras file that exists"):
        features.deserialize({"maker": "from_keras", "arguments": {"model": str(path)}})


def test_by_architecture_where_the_initialisers_have_seeds():
    def made(seed):
        initializer = keras.initializers.GlorotUniform(seed=seed)
        return keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(4, 3, kernel_initializer=initializer, name="conv")])

    frozen = from_keras(made(1), ("conv",), preprocess=Inverted())
    again = features.deserialize(json.loads(json.dumps(frozen.get_config())))
    np.testing.assert_array_equal(again(IMAGES)["conv"], frozen(IMAGES)["conv"])
    assert isinstance(features.deserialize(from_keras(made(None)).get_config()), MissingFeatureNetwork)


def test_what_an_argument_means(tmp_path):
    model, shape = network(), (8, 8, 1)
    model.save(tmp_path / "phi.keras")
    frozen = from_keras(model, ("first",))
    assert features.get(frozen, ["first"], shape) is frozen
    for given in (model, str(tmp_path / "phi.keras"), from_keras(tmp_path / "phi.keras", ("first",)).get_config()):
        assert features.get(given, ("first",), shape).fingerprint == frozen.fingerprint
    architecture = keras.saving.serialize_keras_object(model)
    assert features.get(architecture, ("first",)).layers == ("first",)
    assert "layers" in architecture["config"]  # Keras has not emptied it


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: features.get("vgg18"), "feature_network must be inception_v3, vgg16, vgg19, or the path.*received 'vgg18'"),
        (lambda: features.get(3), "received 3"),
        (lambda: features.get(network(), ("third",)), r"some of \[.*'first'.*received \('third',\)"),
        (lambda: features.get(network(), "first"), "some of .*received 'first'"),
        (lambda: features.get(network(), ("first", "first")), "must be different layers"),
        (lambda: features.get(network(), None, (8, 8, 3)), r"images \(8, 8, 3\); received .* whose input is \(8, 8, 1\)"),
        (lambda: features.get(from_keras(network()), ("first",)), r"has the layers \('logits',\); received .*'first'"),
        (lambda: features.get(keras.Sequential([layers.Flatten()])), "functional or sequential model with one known input"),
        (lambda: features.deserialize({"maker": "vgg", "arguments": {}}), "maker must be one of .*'vgg'"),
    ],
)  # fmt: skip
def test_wrong_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_fingerprint_is_the_same_while_keras_loads_a_file():
    model = network()
    expected = fingerprint(model)
    with ObjectSharingScope():
        assert [fingerprint(model) for _ in range(2)] == [expected] * 2  # the second time Keras knows its layers
