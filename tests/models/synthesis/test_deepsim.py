"""DeePSiM: reductions of the losses by hand, which loss trains which network, the gates, sizes, and a small training."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.seeds import set_seed
from tfgen.features import encoder_network
from tfgen.models import DeePSiM
from tfgen.models.synthesis.deepsim import gated, generator_network
from tfgen.models.synthesis.deepsim_presets import PAPER_WEIGHTS

layers = keras.layers
SHAPE = (4, 4, 1)
IMAGES = tf.fill([2, *SHAPE], 0.75)


def doubling():
    """E: maps 2 x, whose values are also the code."""
    return keras.Sequential([keras.Input(SHAPE), layers.Rescaling(2.0, name="double"), layers.Flatten(name="code")])


def constant_generator(value=0.25, codes=16):
    start = keras.initializers.Constant(value)
    dense = layers.Dense(16, kernel_initializer="zeros", bias_initializer=start, name="dense")
    return keras.Sequential([keras.Input((codes,)), dense, layers.Reshape(SHAPE)])


def linear_discriminator(weight=0.0, bias=0.3):
    """Logit: weight times the mean of the image in [-1, 1], plus bias."""
    image, code = keras.Input(SHAPE), keras.Input((16,))
    mean = layers.GlobalAveragePooling2D()(image)
    scaled = layers.Dense(1, kernel_initializer=keras.initializers.Constant(weight),
                          bias_initializer=keras.initializers.Constant(bias), name="logit")(mean)  # fmt: skip
    of_code = layers.Dense(1, kernel_initializer="zeros", use_bias=False, name="of_code")(code)
    return keras.Model([image, code], layers.Add()([scaled, of_code]))


def by_hand(**settings):
    value = settings.pop("generator_value", 0.25)
    given = {"generator": constant_generator(value), "discriminator": linear_discriminator(**settings.pop("d", {}))}
    return DeePSiM(image_shape=SHAPE, encoder=doubling(), encoder_layers=("code", "double"), **given, **settings)


def small(**settings):
    set_seed(0)
    network = encoder_network((8, 8, 1), 10, filters=(3, 4), units=5)
    sizes = {"generator_hidden": (6,), "generator_grid": 4, "generator_filters": ((4,),), "discriminator_code": (3,),
             "discriminator_convs": ((4, 3, 2),), "discriminator_units": 4}  # fmt: skip
    return DeePSiM(image_shape=(8, 8, 1), **{"encoder": network, "encoder_layers": ("code", "maps"), **sizes, **settings})


def digits(num=8):
    return tf.constant(tfgen.data.load("digits").images(num))


# ---- losses


def test_losses_by_hand():
    model = by_hand(image_weight=10.0, feature_weight=2.0, adversarial_weight=0.5, relative=False)
    found = {name: float(loss) for name, loss in model.losses_of(IMAGES).items()}
    # Pixels .75 and .25; features 1.5 and .5; all logits .3.
    plus, minus = np.log1p(np.exp(0.3)), np.log1p(np.exp(-0.3))
    wanted = {"image_loss": 0.25, "feature_loss": 2.0, "adversarial_loss": minus, "discriminator_loss": minus + plus,
              "generator_loss": 10 * 0.25 + 2.0 + 0.5 * minus}  # fmt: skip
    assert found == pytest.approx(wanted, rel=1e-5)
    relative = by_hand(feature_weight=2.0, relative=True).losses_of(IMAGES)
    assert float(relative["feature_loss"]) == pytest.approx(2.0 / 1.5**2, rel=1e-5)


def test_relative_errors_are_of_each_image():
    model = by_hand()
    real, fake = tf.constant([[1.0, 1.0], [10.0, 0.0]]), tf.constant([[0.0, 1.0], [0.0, 0.0]])
    assert float(model.feature_loss(real, fake)) == pytest.approx((0.5 / 1.0 + 50.0 / 50.0) / 2, rel=1e-5)


def test_an_image_without_features_has_a_finite_error():
    assert float(by_hand().feature_loss(tf.zeros([1, 4]), tf.fill([1, 4], 0.1))) == pytest.approx(0.01 / 1e-6, rel=1e-4)


def test_images_are_cut_to_their_range_for_the_user_alone():
    model = by_hand(generator_value=1.5)
    codes = model.encode(IMAGES)
    assert float(tf.reduce_max(model.decode_raw(codes))) == 1.5
    assert float(tf.reduce_max(model.decode_images(codes))) == float(tf.reduce_max(model.reconstruct(IMAGES))) == 1.0


def test_sums_of_the_papers_code_are_these_means():
    """Caffe: 2e-6 and .01 times sums over 2 N, of pixels in 0 ... 255."""
    assert PAPER_WEIGHTS["image_weight"] == pytest.approx(10_052, abs=0.5)
    assert PAPER_WEIGHTS["feature_weight"] == pytest.approx(46.08)
    on_symmetric = PAPER_WEIGHTS["image_weight"] / 4 / PAPER_WEIGHTS["adversarial_weight"]
    assert on_symmetric == pytest.approx(25.13, abs=0.005)
    rng = np.random.default_rng(0)
    images, others = rng.random((2, 3, 227, 227, 3))
    caffe = 2e-6 * np.sum((255 * (images - others)) ** 2) / (2 * 3)
    assert PAPER_WEIGHTS["image_weight"] * np.mean((images - others) ** 2) == pytest.approx(caffe)
    features = rng.random((2, 3, 6, 6, 256))
    caffe = 0.01 * np.sum((features[0] - features[1]) ** 2) / (2 * 3)
    assert PAPER_WEIGHTS["feature_weight"] * np.mean((features[0] - features[1]) ** 2) == pytest.approx(caffe)


def test_which_layers_are_compared():
    def feature_loss(**settings):
        model = by_hand(relative=False, **settings)
        return float(model.losses_of(IMAGES)["feature_loss"])

    half = keras.Sequential([keras.Input(SHAPE), layers.Rescaling(0.5, name="half"), layers.Rescaling(4.0, name="twice")])
    assert feature_loss() == pytest.approx(1.0)  # of "double"
    assert feature_loss(comparator=half, comparator_layers=("half",)) == pytest.approx(0.0625)
    two = {"comparator": half, "comparator_layers": ("half", "twice")}
    assert feature_loss(**two, feature_weight=(2.0, 3.0)) == pytest.approx(2 * 0.0625 + 3 * 1.0)
    with pytest.raises(ValueError, match="feature_weight must be one number, or one for each of the 2 compared layers"):
        by_hand(**two, feature_weight=(1.0, 1.0, 1.0))
    alone = DeePSiM(image_shape=SHAPE, encoder=doubling(), encoder_layers=("code",), generator=constant_generator(),
                    relative=False)  # fmt: skip
    assert float(alone.losses_of(IMAGES)["feature_loss"]) == pytest.approx(1.0)  # of the code


def test_the_discriminator_sees_the_code():
    model, images = small(), digits()
    codes = model.encode(images)
    assert np.any(model.logits(images, codes) != model.logits(images, codes[::-1]))
    assert np.any(model.logits(images, codes) != model.logits(images[::-1], codes))
    keys = tfgen.random.keys(tf.range(8))
    noisy = model.logits(images, codes, True, keys)
    np.testing.assert_array_equal(noisy, model.logits(images, codes, True, keys))
    assert np.any(noisy != model.logits(images, codes, True, tfgen.random.keys(tf.range(8, 16))))
    for dropout in model.discriminator.dropouts:  # both count
        rate, dropout.amount = dropout.amount, 0.0
        assert np.any(noisy != model.logits(images, codes, True, keys))
        dropout.amount = rate
    # Real and generated images have dropout of their own.
    made, losses = model.decode_raw(codes), model.losses_of(images, True, keys)
    logit = [model.logits(x, codes, True, tfgen.random.fold(keys, i)).numpy() for i, x in enumerate((images, made))]
    assert float(losses["adversarial_loss"]) == pytest.approx(np.mean(np.log1p(np.exp(-logit[1]))), rel=1e-4)
    judged = np.mean(np.log1p(np.exp(-logit[0]))) + np.mean(np.log1p(np.exp(logit[1])))
    assert float(losses["discriminator_loss"]) == pytest.approx(judged, rel=1e-4)


# ---- which loss trains what


def steps_of(model, images):
    """{network: whether a step of SGD changes its weights}."""
    model.compile("sgd")
    networks = {"generator": model.generator, "discriminator": model.discriminator, "encoder": model.encoder.network}
    before = {name: [np.array(w) for w in network.weights] for name, network in networks.items()}
    model.fit(images, batch_size=len(images), verbose=0)
    return {
        name: any(np.any(a != np.array(b)) for a, b in zip(before[name], network.weights, strict=True))
        for name, network in networks.items()
    }


OFF = {"image_weight": 0.0, "feature_weight": 0.0, "adversarial_weight": 0.0, "gating": None}


@pytest.mark.parametrize("on", ["image_weight", "feature_weight", "adversarial_weight", None])
def test_each_loss_trains_the_generator_and_none_the_fixed_network(on):
    settings = {**OFF, **({} if on is None else {on: 1.0})}
    assert steps_of(small(**settings), digits()) == {
        "generator": on is not None, "discriminator": True, "encoder": False
    }  # fmt: skip


def test_gradients_of_single_losses():
    model, images = small(), digits()
    real = tf.Variable(digits())
    with tf.GradientTape(persistent=True) as tape:
        losses = model.losses_of(images)
        features = model.feature_loss(real, tf.identity(images) + 0.1)
    of_d = [v.value for v in model.discriminator.trainable_variables]
    assert all(g is None for name in ("image_loss", "feature_loss") for g in tape.gradient(losses[name], of_d))
    assert all(g is not None for g in tape.gradient(losses["discriminator_loss"], of_d))
    assert tape.gradient(features, real) is None, "targets have no gradient"


def test_fixed_networks_are_in_no_state(tmp_path):
    model = small()
    model.compile(ema_decay=0.9)
    assert {path.split("/")[0] for path in model.ema.paths} == {"generator"}, "D has no averages"
    own = sum(v.shape.num_elements() for v in (*model.generator.weights, *model.discriminator.trainable_variables))
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == own
    assert not [key for key in model.state() if "encoder" in key or "maps" in key]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.encoder.fingerprint == model.encoder.fingerprint
    np.testing.assert_allclose(loaded.reconstruct(digits()), model.reconstruct(digits()), atol=1e-6)


# ---- gates

RATIOS = (0.05, 0.3, 0.7, 5.0, 12.0)
TABLE = {  # (D on, G on) before: those after, for each ratio
    (True, True): ["01", "11", "11", "11", "10"],
    (False, True): ["01", "01", "11", "11", "11"],
    (True, False): ["01", "10", "10", "10", "10"],
}


@pytest.mark.parametrize("before", TABLE)
def test_the_stateful_gates(before):
    found = ["".join(str(int(on)) for on in gated(tf.constant(ratio), *before)) for ratio in RATIOS]
    assert found == TABLE[before]


def test_the_stateless_gates():
    gate = small(gating="stateless").gate
    found = [{name: bool(on) for name, on in gate.turns(tf.constant(ratio)).items()} for ratio in (*RATIOS, 0.05)]
    assert [(one["discriminator"], one["generator"]) for one in found] == [
        (False, True), (True, True), (True, True), (True, True), (True, False), (False, True)
    ]  # fmt: skip


def changed(model):
    found = steps_of(model, IMAGES)
    return found["discriminator"], found["generator"]


# Logits of real and generated images, +-10: r is 1e-5. All logits 3: r is 1 + 3.0486 / .0486 = 64.
@pytest.mark.parametrize(
    ("d", "wanted"), [({"weight": 20.0, "bias": 0.0}, (False, True)), ({"bias": 3.0}, (True, False)), ({}, (True, True))]
)
@pytest.mark.parametrize("gating", ["stateful", "stateless"])
def test_a_paused_network_stays_as_it_is(gating, d, wanted):
    # The weight of the adversarial loss has no part in r.
    model = by_hand(d=d, gating=gating, adversarial_weight=1e-3)
    assert changed(model) == wanted
    assert (float(model.gate.discriminator_on), float(model.gate.generator_on)) == tuple(map(float, wanted))


def test_gates_are_saved_and_remembered(tmp_path):
    model = by_hand(d={"bias": 3.0}, gating="stateful")
    model.compile("sgd")
    model.fit(IMAGES, verbose=0)
    assert float(model.gate.generator_on) == 0.0
    checkpoints = tfgen.training.Checkpoints(model, str(tmp_path))
    checkpoints.save()
    twin = by_hand(d={"bias": 3.0}, gating="stateful")
    twin.compile("sgd")
    assert float(twin.gate.generator_on) == 1.0
    assert tfgen.training.Checkpoints(twin, str(tmp_path)).restore() == 1
    assert float(twin.gate.generator_on) == 0.0
    # At r = 1.8 or so a stateful G stays paused.
    twin.discriminator.network.get_layer("logit").bias.assign([0.3])
    before = [np.array(w) for w in twin.generator.weights]
    history = twin.fit(IMAGES, verbose=0).history
    assert history["generator_on"] == [0.0] and history["discriminator_on"] == [1.0]
    assert all(np.array_equal(a, b) for a, b in zip(before, twin.generator.weights, strict=True))


# ---- sizes


def test_the_papers_generator_has_its_number_of_parameters():
    preset = tfgen.presets.get("deepsim/imagenet-fc6-paper")
    images = keras.Input((227, 227, 3))
    maps = layers.Conv2D(256, 1, name="pool5")(layers.AveragePooling2D(37)(images))
    stand_in = keras.Model(images, layers.Dense(4096, name="fc6")(layers.GlobalAveragePooling2D()(maps)))
    model = DeePSiM(**{**preset.model_args, "encoder": stand_in})
    assert model.code_shape == (4096,) and model.generator.output_shape == (None, 227, 227, 3)
    assert model.generator.count_params() == 56_097_891
    convolutions = [layer for layer in model.generator.layers if "conv" in type(layer).__name__.lower()]
    assert sum(layer.bias.shape[0] for layer in convolutions) == 1_635 and len(convolutions) == 9
    assert all(layer.negative_slope == pytest.approx(0.3) for layer in model.generator.layers
               if isinstance(layer, layers.LeakyReLU))  # fmt: skip
    crop = model.generator.layers[-1].cropping
    assert crop == ((14, 15), (14, 15)), "the centre of 256 px"


def test_the_papers_rates():
    schedule = tfgen.presets.get("deepsim/imagenet-fc6-paper").compile_args["optimizer"]["config"]["learning_rate"]["config"]
    assert schedule["boundaries"] == [300_000, 500_000, 700_000, 900_000, 1_100_000]
    np.testing.assert_allclose(schedule["values"], 2e-4 * 0.5 ** np.arange(6))
    assert float(small().default_optimizer().learning_rate) == pytest.approx(2e-4)


def test_small_networks_have_their_numbers_of_parameters():
    network = encoder_network((28, 28, 1), 10)
    model = DeePSiM(**{**tfgen.presets.get("deepsim/mnist").model_args, "encoder": network})
    counts = network.count_params(), model.generator.count_params(), model.discriminator.count_params()
    assert counts == (421_642, 923_553, 72_833)


def test_a_map_as_code():
    pool5 = generator_network((6, 6, 256), (256, 256, 3), hidden=(512, 512), grid=512, filters=((8,),) * 5, output="linear")
    pool5.build((None, 6, 6, 256))
    before = [layer for layer in pool5.layers if layer.name in ("hidden_0", "hidden_1", "grid")]
    assert [layer.padding for layer in before] == ["same", "same", "valid"]
    assert sum(layer.count_params() for layer in before) == 5_899_776
    images = digits()
    model = small(encoder_layers=("maps",), generator_filters=((4,),))
    assert model.code_shape == (2, 2, 4) and model.reconstruct(images).shape == images.shape
    latent = model.codes(images)
    decode = model.signatures()["decode"][0]
    np.testing.assert_allclose(decode(latent)["image"], model.reconstruct(images), atol=1e-6)
    with pytest.raises(ValueError, match=r"codes must have the shape \[batch, 2, 2, 4\]; received \(8, 16\)"):
        model.decode_images(latent)
    with pytest.raises(ValueError, match="generator_filters of 2 groups make 8 x 8 of a grid 1 x 1"):
        small(encoder_layers=("maps",), generator_filters=((4,), (4,)))


def test_wrong_settings():
    with pytest.raises(ValueError, match=r"encoder: feature_layers must be some of .*'code'.*; received \('fc6',\)"):
        small(encoder_layers=("fc6",))
    with pytest.raises(ValueError, match=r"encoder: feature_network must take images \(8, 8, 1\); received one whose"):
        small(encoder=encoder_network((16, 16, 1), 10))
    with pytest.raises(ValueError, match="encoder: .*received 'runs/none.keras'.*train_encoder makes one"):
        small(encoder="runs/none.keras")
    missing = {"maker": "efficientnet_lite0", "arguments": {"path": "no.npz", "image_shape": [8, 8, 1]},
               "fingerprint": "of a saved model"}  # fmt: skip
    with pytest.raises(ValueError, match="encoder is needed and missing: .*no.npz"):
        small(encoder=missing)
    with pytest.raises(ValueError, match="comparator_layers names layers of comparator, which is None"):
        small(comparator_layers=("maps",))
    with pytest.raises(ValueError, match="gating_ratios must be increasing"):
        small(gating_ratios=(0.5, 0.1, 10.0))
    with pytest.raises(ValueError, match="gating_ratios has no effect with gating=None"):
        small(gating=None, gating_ratios=(0.2, 0.5, 10.0))
    with pytest.raises(ValueError, match=r"generator_hidden=\(6,\) is a setting of the built-in networks"):
        small(generator=constant_generator(codes=5))


# ---- a small training


def test_it_learns_to_invert_codes():
    source = tfgen.data.load("digits")
    network = tfgen.features.train_encoder(source, steps=150)
    set_seed(0)
    model = DeePSiM(image_shape=(8, 8, 1), encoder=network, encoder_layers=("code", "maps"))
    model.compile({"generator": keras.optimizers.Adam(2e-3), "discriminator": keras.optimizers.Adam(2e-4)})
    model.fit(source.batches(64, shuffle=True, repeat=True), steps_per_epoch=150, verbose=0)
    test = tfgen.data.load("digits", "test")
    images = test.images()
    made = model.reconstruct(images).numpy()
    assert np.mean((made - images) ** 2) < 0.5 * np.mean((images - source.images().mean(axis=0)) ** 2)
    classes = [np.argmax(network(shown), axis=1) for shown in (images, made)]
    assert np.mean(classes[0] == classes[1]) > 0.85
