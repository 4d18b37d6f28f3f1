"""pix2pix: its losses and whom they reach, its sizes, and its noise and batch statistics at test."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.seeds import set_seed
from tfgen import random
from tfgen.models import Pix2Pix
from tfgen.training.players import Player

RNG = np.random.default_rng(0)
SHAPE = (16, 16, 1)
SMALL = {"image_shape": SHAPE, "width": 4, "levels": 3, "discriminator_width": 4, "receptive_field": 16}
NO_GAN = {"adversarial": None, "discriminator_width": 64, "receptive_field": 70}
BATCH = {name: RNG.random((4, *SHAPE), dtype="float32") for name in ("image", "target")}
RAW = {name: 2.0 * value - 1.0 for name, value in BATCH.items()}
SGD = {"class_name": "SGD", "config": {"learning_rate": 0.1}}


def made(optimizer=SGD, **settings):
    set_seed(0)
    model = Pix2Pix(**{**SMALL, **settings})
    model.compile(optimizer, run_eagerly=True)
    return model


def parameters(network):
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


def copies(network):
    return [v.numpy() for v in network.trainable_variables]


def changed(before, network):
    return any(np.any(a != v.numpy()) for a, v in zip(before, network.trainable_variables, strict=True))


def step(model, batch=BATCH):
    return {name: float(value) for name, value in model.update({k: tf.constant(v) for k, v in batch.items()}).items()}


# ---- networks


def test_parameters_of_the_paper():
    model = tfgen.presets.get("pix2pix/facades-paper").model(image_shape=(256, 256, 3))
    assert parameters(model.generator) == 54_419_459
    assert parameters(model.discriminator) == 2_769_601
    assert [conv.filters for conv in model.generator.downs] == [64, 128, 256, 512, 512, 512, 512, 512]
    assert [layer.amount for layer in model.generator.dropouts] == [0.5, 0.5, 0.5, 0, 0, 0, 0]
    assert model.discriminator.size_of_maps(256) == 30


def test_initial_weights_are_those_of_the_code():
    set_seed(0)
    model = Pix2Pix(image_shape=(32, 32, 1), width=16, receptive_field=34)
    for network in (model.generator, model.discriminator):
        found = {v.path: v.numpy() for v in network.trainable_variables if v.shape.rank > 0}
        kernels = np.concatenate([v.ravel() for path, v in found.items() if path.endswith("kernel")])
        gains = np.concatenate([v for path, v in found.items() if path.endswith("gamma")])
        assert kernels.std() == pytest.approx(0.02, rel=0.02) and abs(kernels.mean()) < 1e-3
        assert gains.mean() == pytest.approx(1.0, abs=0.01) and 0.01 < gains.std() < 0.03
        assert not any(v.any() for path, v in found.items() if path.endswith(("bias", "beta")))


@pytest.mark.parametrize(
    "side, levels", [((28, 28), 2), ((32, 32), 5), ((64, 32), 5), ((48, 80), 4), ((256, 512), 8), ((1024, 1024), 8)]
)
def test_levels_that_fit_the_images(side, levels):
    model = Pix2Pix(image_shape=(*side, 1), width=1, discriminator_width=1)
    assert len(model.generator.downs) == levels
    assert levels == 8 or len(Pix2Pix(image_shape=(*side, 1), width=1, levels=2, adversarial=None).generator.downs) == 2


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"image_shape": (30, 30, 1)}, "2 or more times.*image_shape must be multiples of 4; received 30 x 30.*is 32 x 32"),
        ({"image_shape": (28, 32, 1), "levels": 5}, "5 times, .*of 32; received 28 x 32. The nearest size is 32 x"),
        ({"image_shape": (5, 3, 1)}, "received 5 x 3. The nearest size is 4 x 4"),
        ({"image_shape": (32, 32, 1), "receptive_field": 286}, "patches of 286 pixels.* at least 96 x 96.*received 32 x 32"),
        ({"adversarial": None, "l1_weight": 0}, "nothing to minimise with adversarial=None and l1_weight=0"),
        ({"adversarial": None, "receptive_field": 34}, "receptive_field has no effect with .* left at 70; received 34"),
        ({"adversarial": None, "discriminator_width": 4}, "discriminator_width has no effect"),
        ({"adversarial": None, "objective": "hinge"}, "objective has no effect with .* left at 'non_saturating'"),
        ({"norm": "instance", "statistics": "moving"}, "statistics has no effect with norm='instance' and .* at 'image'"),
        ({"norm": None, "statistics": "moving"}, "statistics has no effect with norm=None"),
        ({"receptive_field": 71}, "receptive_field must be 1, 16, 34, 70, 142 or 286; received 71"),
        ({"adversarial": "both"}, "adversarial must be 'conditional' or 'unconditional' or None; received 'both'"),
        ({"l1_weight": -1.0}, "l1_weight must be a number >= 0; received -1"),
        ({"statistics": "batch"}, "statistics must be 'image' or 'moving'; received 'batch'"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        Pix2Pix(**{"image_shape": (32, 32, 1), "width": 2, **settings})


def test_batches_need_a_target_of_its_shape():
    model = made(target_channels=3)
    with pytest.raises(ValueError, match="needs the field 'target'"):
        model.fit({"image": BATCH["image"]}, verbose=0)
    with pytest.raises(ValueError, match=r"\[batch, 16, 16, 3\]"):
        model.fit(BATCH, verbose=0)


# ---- losses


def test_losses_of_a_discriminator_with_equal_logits():
    """E sp(-c) + E sp(c), not halved, and E sp(-c) + 100 E |y - G|; with Adam's rate 0 nothing moves between them."""
    for c, of_d, of_g in ((0.0, 2 * math.log(2), math.log(2)), (1.5, 1.9028264, 0.2014133)):
        model = made({"class_name": "SGD", "config": {"learning_rate": 0.0}}, dropout=0.0)
        last = model.discriminator.convs[-1]
        last.kernel.assign(tf.zeros_like(last.kernel.value))
        last.bias.assign([c])
        object.__setattr__(model, "players", lambda model=model: {
            "generator": Player(model.generator), "discriminator": Player(model.discriminator, averaged=False)})  # fmt: skip
        losses = step(model)
        fake = model.generator([RAW["image"]], training=True)
        error = np.abs(RAW["target"] - fake).mean()
        assert losses["discriminator_loss"] == pytest.approx(of_d, rel=1e-5)
        assert losses["absolute_error"] == pytest.approx(error, rel=1e-5)
        assert losses["generator_loss"] == pytest.approx(of_g + 100.0 * error, rel=1e-5)
        assert losses["real_logit"] == losses["fake_logit"] == pytest.approx(c)


def test_every_loss_reaches_its_own_network_alone():
    model = made()
    image, target, keys = (*(tf.constant(RAW[name]) for name in ("image", "target")), model.noise_keys(4, 0))
    for update, trained, other in (
        (model._update_discriminator, model.discriminator, model.generator),
        (model._update_generator, model.generator, model.discriminator),
    ):
        before, kept = copies(trained), copies(other)
        update(image, target, keys)
        assert changed(before, trained) and not changed(kept, other)


def gradients(model, loss, of):
    """The largest gradient of a loss (of image, fake) for the variables of a network."""
    with tf.GradientTape() as tape:
        fake = model.generator([RAW["image"]], training=True)
        value = loss(tf.constant(RAW["image"]), fake)
    return max(0.0 if g is None else float(tf.reduce_max(tf.abs(g))) for g in tape.gradient(value, of.trainable_variables))


def test_gradient_matrix():
    model = made()

    def adversarial(image, fake):
        return model.objective.generator(model.judge(image, fake))

    def distance(image, fake):
        return tf.reduce_mean(tf.abs(RAW["target"] - fake))

    assert gradients(model, adversarial, model.generator) > 0  # through D
    assert gradients(model, distance, model.generator) > 0
    assert gradients(model, distance, model.discriminator) == 0


@pytest.mark.parametrize("adversarial", ["conditional", "unconditional"])
def test_only_a_conditional_discriminator_sees_the_image(adversarial):
    model = made(adversarial=adversarial)
    image = tf.constant(RAW["image"])
    with tf.GradientTape() as tape:
        tape.watch(image)
        logits = model.judge(image, RAW["target"])
    assert logits.shape == (4, 6, 6, 1)
    assert (tape.gradient(logits, image) is not None) == (adversarial == "conditional")
    other = model.judge(tf.constant(RAW["image"][::-1]), RAW["target"])
    kernel = model.discriminator.convs[0].kernel  # its first channels are those of the image
    kernel.assign(kernel * np.eye(2, dtype="float32")[0][: kernel.shape[2], None])
    alone = model.judge(image, RAW["target"][::-1])
    assert np.all(alone == model.judge(image, RAW["target"])) == (adversarial == "conditional")
    assert np.any(other != logits) == (adversarial == "conditional")
    assert parameters(model.discriminator) == (1 + (adversarial == "conditional")) * 64 + 4 + 16 * 4 * 8 + 8 + 16 + 129


def test_the_generator_sees_the_discriminator_after_its_update():
    """Its adversarial loss is that of the new discriminator on the same fakes, with the same dropout."""
    model = made(l1_weight=0.0)
    losses = step(model)
    twin = made(l1_weight=0.0)
    new = copies(model.discriminator)
    fake = twin.generator([RAW["image"]], training=True, keys=twin.noise_keys(4, 0))

    def loss():
        return float(tf.reduce_mean(tf.nn.softplus(-twin.judge(tf.constant(RAW["image"]), fake))))

    old_loss = loss()
    for variable, value in zip(twin.discriminator.trainable_variables, new, strict=True):
        variable.assign(value)
    assert losses["generator_loss"] == pytest.approx(loss(), rel=1e-5)
    assert abs(loss() - old_loss) > 1e-3


def test_the_discriminator_sees_the_fakes_with_dropout():
    model = made({"class_name": "SGD", "config": {"learning_rate": 0.0}})
    image, keys = tf.constant(RAW["image"]), model.noise_keys(4, 0)
    found = step(model)["fake_logit"]
    with_dropout, without = (
        float(tf.reduce_mean(model.judge(image, model.generator([image], training=True, keys=k)))) for k in (keys, None)
    )
    assert found == pytest.approx(with_dropout, rel=1e-4) and abs(found - without) > 1e-5


def test_real_and_fake_are_normalised_apart():
    """Each call of the discriminator has its own batch statistics: of both together they would differ."""
    model = made({"class_name": "SGD", "config": {"learning_rate": 0.0}}, dropout=0.0)
    image, fake = tf.constant(RAW["image"]), model.generator([RAW["image"]], training=True)
    losses = step(model)
    real, made_up = (float(tf.reduce_mean(model.judge(image, y))) for y in (RAW["target"], fake))
    assert losses["real_logit"] == pytest.approx(real, rel=1e-4) and losses["fake_logit"] == pytest.approx(made_up, rel=1e-4)
    both = model.judge(tf.tile(image, [2, 1, 1, 1]), tf.concat([RAW["target"], fake], 0))
    assert abs(float(tf.reduce_mean(both[:4])) - real) > 1e-4


def test_l1_alone_is_regression():
    """As Keras' own loss "mae" with the generator as a functional model would do it, times 100."""
    model, twin = (made({"class_name": "SGD", "config": {"learning_rate": 1e-3}}, dropout=0.0, **NO_GAN)
                   for _ in range(2))  # fmt: skip
    assert list(model.players()) == ["generator"] and model.loss_names == ("generator_loss", "absolute_error")
    assert model.discriminator is None
    inputs = keras.Input(SHAPE)
    regression = keras.Model(inputs, twin.generator([inputs], training=True))
    regression.compile(keras.optimizers.SGD(100 * 1e-3), loss="mae", run_eagerly=True)
    for _ in range(2):
        regression.reset_metrics()
        error = regression.train_on_batch(RAW["image"], RAW["target"])
        losses = step(model)
        assert losses["absolute_error"] == pytest.approx(error, rel=1e-5)
        assert losses["generator_loss"] == pytest.approx(100 * error, rel=1e-5)
        for a, b in zip(model.generator.trainable_variables, twin.generator.trainable_variables, strict=True):
            if a.name == "bias":  # those before a norm have no gradient, that of the last layer is set to 0
                b.assign(tf.zeros_like(b.value))
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5, err_msg=a.path)


def test_the_gan_alone_does_not_see_the_target_in_the_generator():
    model = made(l1_weight=0.0)
    image, keys = tf.constant(RAW["image"]), model.noise_keys(4, 0)
    start, found = copies(model.generator), []
    for target in (RAW["target"], -RAW["target"]):
        for variable, value in zip(model.generator.trainable_variables, start, strict=True):
            variable.assign(value)
        losses = model._update_generator(image, tf.constant(target), keys)
        found.append((float(losses["absolute_error"]), copies(model.generator)))
    assert changed(start, model.generator) and found[0][0] != found[1][0]
    for a, b in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_array_equal(a, b)


def test_biases_are_zero_after_every_step_and_other_weights_are_not():
    model = made()
    for layer in (model.generator.ups[-1], model.discriminator.convs[-1]):
        layer.bias.assign(tf.ones_like(layer.bias.value))
    step(model)
    for network in (model.generator, model.discriminator):
        biases = [v.numpy() for v in network.trainable_variables if v.name == "bias"]
        others = [v.numpy() for v in network.trainable_variables if v.name != "bias"]
        assert biases and not any(b.any() for b in biases) and all(v.any() for v in others)


# ---- at test


def test_translations_are_functions_of_image_and_seed():
    model = made(target_channels=3)
    images = BATCH["image"]
    one = model.translate(image=images, seeds=[5, 6, 7, 8])["image"].numpy()
    assert one.shape == (4, 16, 16, 3) and 0.0 <= one.min() < one.max() <= 1.0
    again = model.translate(image=images[2:], seeds=[7, 8])["image"]
    np.testing.assert_allclose(one[2:], again, atol=1e-6)
    other = model.translate(image=images, seeds=[5, 9, 7, 8])["image"].numpy()
    assert [bool(np.any(np.abs(a - b) > 1e-6)) for a, b in zip(one, other, strict=True)] == [False, True, False, False]
    # Without seeds, 0 for each; also in `predict`, which takes images alone.
    plain = model.translate(image=images)["image"]
    np.testing.assert_array_equal(plain, model.translate(image=images, seeds=[0, 0, 0, 0])["image"])
    np.testing.assert_allclose(plain, model.predict(images, verbose=0), atol=1e-6)
    given = model.predict({"image": images, "seed": np.array([5, 6, 7, 8])}, verbose=0)
    np.testing.assert_allclose(one, given, atol=1e-6)
    for seeds in ([0.5] * 4, [1, 2]):
        with pytest.raises(ValueError, match="seeds must"):
            model.translate(image=images, seeds=seeds)


def test_batch_statistics_and_dropout_at_test_are_those_of_training_with_one_image():
    """The range of a trained network, so that its statistics are not those that it started with."""
    model, keys = made(), random.keys(np.array([5, 6, 7, 8]))
    for variable in model.generator.trainable_variables:
        variable.assign(variable * 3.0)
    wanted = [model.generator([RAW["image"][i : i + 1]], training=True, keys=keys[i : i + 1]) for i in range(4)]
    found = model.translate(image=BATCH["image"], seeds=[5, 6, 7, 8])["image"]
    np.testing.assert_allclose(2.0 * found - 1.0, np.concatenate(wanted), rtol=1e-3, atol=1e-4)


def test_moving_statistics():
    model = made(statistics="moving", test_dropout=False)
    step(model)
    found = model.translate(image=BATCH["image"])["image"]
    np.testing.assert_allclose(2.0 * found - 1.0, model.generator([RAW["image"]], training=False), atol=1e-6)


@pytest.mark.parametrize("settings", [{"test_dropout": False}, {"dropout": 0.0}])
def test_without_dropout_at_test_there_are_no_seeds(settings):
    model = made(**settings)
    assert [field.name for field in model.translated_fields()] == ["image"]
    with pytest.raises(ValueError, match="translate takes image; received image, seeds"):
        model.translate(image=BATCH["image"], seeds=[1, 2, 3, 4])
    wanted = model.generator([RAW["image"]], own_statistics=True)
    np.testing.assert_allclose(2.0 * model.translate(image=BATCH["image"])["image"] - 1.0, wanted, atol=1e-6)


def test_dropout_in_training_is_a_function_of_seed_and_step():
    ends = []
    for seed in (0, 0, 1):
        set_seed(0)
        model = Pix2Pix(**SMALL, seed=seed)
        model.compile(SGD, run_eagerly=True)
        ends.append([step(model)["absolute_error"], model.step.assign_add(1) is None, step(model)["absolute_error"]])
    assert ends[0] == ends[1] and ends[0][0] != ends[2][0]


def test_an_export_takes_seeds_and_serves_examples_with_them(tmp_path):
    model = made()
    model.compile()
    path = tfgen.export.export_saved_model(model, tmp_path)
    served = tf.saved_model.load(str(path)).signatures
    images = np.round(BATCH["image"] * 255) / np.float32(255)
    wanted = model.translate(image=images, seeds=[3, 0, 2**40, 0])["image"]
    found = served["translate"](image=tf.constant(images), seeds=tf.constant([3, 0, 2**40, 0], tf.int64))["image"]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    examples = []
    for image, seed in zip(images, (3, None, 2**40, 0), strict=True):
        example = tf.train.Example()
        file = tf.io.encode_png(tf.cast(image * 255, tf.uint8)).numpy()
        example.features.feature["image"].bytes_list.value.append(file)
        if seed is not None:
            example.features.feature["seed"].int64_list.value.append(seed)
        examples.append(example.SerializeToString())
    np.testing.assert_allclose(served["serve_examples"](examples=tf.constant(examples))["image"], wanted, atol=2e-2)


def test_evaluation_is_the_l1_of_the_translations():
    model = made()
    found = model.evaluate(BATCH, verbose=0, return_dict=True)
    wanted = np.abs(model.translate(image=BATCH["image"])["image"] - BATCH["target"]).mean()
    assert found == {"l1": pytest.approx(wanted, rel=1e-5)}


# ---- presets


def test_presets_of_the_paper():
    steps = {"facades": 80_000, "maps": 219_200, "cityscapes": 595_000, "edges2shoes": 187_500, "edges2handbags": 513_750}
    for name, count in steps.items():
        preset = tfgen.presets.get(f"pix2pix/{name}-paper")
        preset.check()
        assert preset.steps == count and preset.model_args == {"image_shape": (256, 256, 3)}
    defaults = {name: p.default for name, p in Pix2Pix.config_parameters().items()}
    assert (defaults["l1_weight"], defaults["receptive_field"], defaults["statistics"]) == (100.0, 70, "image")


# ---- networks of one's own


def own_generator(channels=1):
    return keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(channels, 3, padding="same", name="conv")])


def own_discriminator(*shapes):
    inputs = [keras.Input(shape) for shape in shapes]
    joined = keras.layers.Concatenate()(inputs) if len(inputs) > 1 else inputs[0]
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], keras.layers.Conv2D(1, 3, name="logit")(joined))


def test_networks_of_ones_own():
    """They see what the built-in ones see, draw no dropout, and their biases stay."""
    given = own_generator(), own_discriminator((8, 8, 1), (8, 8, 1))
    model = Pix2Pix(image_shape=(8, 8, 1), generator=given[0], discriminator=given[1])
    assert [field.argument for field in model.translated_fields()] == ["image"]
    image = np.random.default_rng(0).random((2, 8, 8, 1), dtype="float32")
    wanted = np.clip(0.5 + 0.5 * given[0](2 * image - 1).numpy(), 0, 1)
    np.testing.assert_allclose(model.translate(image=image)["image"], wanted, atol=1e-6)
    np.testing.assert_allclose(model.judge(image, 1 - image), given[1]([image, 1 - image]), atol=1e-5)
    model.compile({"class_name": "SGD", "config": {"learning_rate": 0.1}}, run_eagerly=True)
    model.fit({"image": image, "target": 1 - image}, verbose=0)
    for network in (model.generator, model.discriminator):
        assert any(np.any(v.numpy()) for v in network.trainable_variables if v.name == "bias")
    half = Pix2Pix(image_shape=(8, 8, 1), discriminator=given[1], width=4)
    assert half.draws_at_test
    alone = Pix2Pix(image_shape=(8, 8, 1), generator=given[0], adversarial="unconditional",
                    discriminator=own_discriminator((8, 8, 1)))  # fmt: skip
    assert alone.judge(image, image).shape == (2, 6, 6, 1)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"generator": own_generator(2)}, r"generator must take \[B, 8, 8, 1\] and return \[B, 8, 8, 1\]"),
        ({"discriminator": own_discriminator((8, 8, 1))}, r"discriminator must take \[B, 8, 8, 1\] and \[B, 8, 8, 1\]"),
        ({"generator": own_generator(), "width": 4}, "width=4 is a setting of the built-in networks"),
        ({"generator": own_generator(), "test_dropout": False}, "test_dropout=False is a setting of the built-in networks"),
        ({"discriminator": own_discriminator((8, 8, 1)), "adversarial": None}, "discriminator has no effect"),
    ],
)
def test_networks_that_do_not_fit(settings, message):
    with pytest.raises(ValueError, match=message):
        Pix2Pix(**{"image_shape": (8, 8, 1), **settings})


def test_a_copy_for_another_size_has_the_weights():
    """The levels are those of the first size; U-Net and discriminator do not depend on the size."""
    model = Pix2Pix(image_shape=(8, 8, 1), width=2, discriminator_width=2, receptive_field=16, test_dropout=False)
    model.step.assign(7)
    large = model.resized(16, 24)
    assert large.image_shape == (16, 24, 1) and large.get_config()["levels"] == 3 and int(large.step.value.numpy()) == 7
    for a, b in zip(model.generator.weights, large.generator.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert large.translate(image=np.zeros([1, 16, 24, 1], "float32"))["image"].shape == (1, 16, 24, 1)
    with pytest.raises(ValueError, match="12 x 16"):
        model.resized(12, 16)
    steps = keras.layers.Flatten(), keras.layers.Dense(64), keras.layers.Reshape((8, 8, 1))
    dense = keras.Sequential([keras.Input((8, 8, 1)), *steps])
    with pytest.raises(ValueError, match="generator"):
        Pix2Pix(image_shape=(8, 8, 1), generator=dense, adversarial=None).resized(16, 16)


def test_grids_of_a_grey_image_and_a_coloured_target():
    model = Pix2Pix(image_shape=(8, 8, 1), target_channels=3, width=2, receptive_field=16)
    image, target = np.random.default_rng(0).random((2, 8, 8, 1)), np.random.default_rng(1).random((2, 8, 8, 3))
    batch = {"image": tf.constant(image, tf.float32), "target": tf.constant(target, tf.float32)}
    first, made, last = model.pictures(batch)
    np.testing.assert_allclose(first, np.repeat(image, 3, -1), atol=1e-6)
    np.testing.assert_allclose(last, target, atol=1e-6)
    assert made.shape == (2, 8, 8, 3)
