"""pix2pixHD: phases, losses of several scales, instance edges, label maps."""

import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.seeds import set_seed
from tfgen.models import Pix2PixHD
from tfgen.models.translation.label_maps import instance_edges, one_hot_map
from tfgen.networks import ResidualTranslator, halved
from tfgen.networks.residual_translator import plain_instance_norm

RNG = np.random.default_rng(0)
SMALL = {"image_shape": (16, 16, 1), "map_classes": 4, "width": 4, "halvings": 1, "blocks": 1, "enhancer_blocks": 1,
         "discriminator_width": 2, "discriminator_halvings": 1, "global_steps": 2, "frozen_steps": 2}  # fmt: skip
BATCH = {"image": (RNG.integers(0, 4, (2, 16, 16, 1)) / 255).astype("float32"),
         "target": RNG.random((2, 16, 16, 3), dtype="float32"), "instances": RNG.integers(0, 3, (2, 16, 16))}  # fmt: skip
INPUTS = {name: BATCH[name] for name in ("image", "instances")}
ONE = {"enhancer": False, "global_steps": 0, "frozen_steps": 0}


def sgd(rate=0.1):
    return {"class_name": "SGD", "config": {"learning_rate": rate}}


def made(optimizer=None, **settings):
    set_seed(0)
    model = Pix2PixHD(**{**SMALL, **settings})
    model.compile(optimizer or sgd(), run_eagerly=True)
    return model


def parameters(*networks):
    return sum(int(np.prod(v.shape)) for network in networks for v in network.trainable_variables)


def copies(network):
    return [v.numpy() for v in network.trainable_variables]


def train(model, steps=1):
    return model.fit(tf.data.Dataset.from_tensors(BATCH).repeat(), steps_per_epoch=1, epochs=steps, verbose=0).history


# ---- networks


def test_parameters_at_32_pixels():
    small = {"map_classes": 11, "width": 16, "halvings": 2, "discriminator_width": 16, "discriminator_halvings": 2}
    model = Pix2PixHD(image_shape=(32, 32, 1), blocks=3, enhancer=False, **small)
    assert parameters(model.generator) == 279_571
    assert [parameters(d) for d in model.discriminator.discriminators] == [45_937] * 2
    model = Pix2PixHD(image_shape=(32, 32, 1), blocks=3, enhancer_blocks=2, **small)
    assert parameters(model.generator, model.enhancer) - parameters(model.generator.last) == 294_715


@pytest.mark.long
def test_parameters_of_the_paper():
    """Of 35 classes and the borders; the size of the images does not matter."""
    model = Pix2PixHD(image_shape=(64, 64, 1), map_classes=35, scales=1)
    assert parameters(model.generator) == 182_546_755
    assert parameters(model.generator, model.enhancer) - parameters(model.generator.last) == 182_857_059
    assert parameters(model.discriminator) == 2_801_601


def test_the_enhancer_adds_the_features_of_the_global_generator():
    """Before its residual blocks, those before the last convolution of G_1, for the input at half the size."""
    model = made()
    x = model.inputs_of(BATCH["image"], BATCH["instances"])
    small, seen = model.generator, {}

    def watched(layer, name):
        call = layer.call
        object.__setattr__(layer, "call", lambda x, *a, **k: (seen.update({name: x}), call(x, *a, **k))[1])

    watched(small.last, "last"), watched(small.first, "first"), watched(model.enhancer.blocks[0], "block")
    small(halved(x))
    features = seen.pop("last")[:, 3:-3, 3:-3]  # without the padding
    model.refined(x)
    assert "last" not in seen and seen["first"].shape == (2, 14, 14, 5)
    down = model.enhancer.downs[0]
    down.kernel.assign(tf.zeros_like(down.kernel.value))  # its own maps are then relu(norm(bias)) = 0
    model.refined(x)
    assert seen["block"].shape == (2, 8, 8, 4)
    np.testing.assert_allclose(seen["block"], features, atol=1e-5)


def test_the_translator_without_addition_is_as_before():
    network = ResidualTranslator(image_shape=(8, 8, 1), width=2, halvings=1, blocks=1, norm=plain_instance_norm)
    network.build((None, 8, 8, 1))
    x = RNG.normal(size=(2, 8, 8, 1)).astype("float32")
    plain, added = network(x), network(x, added=tf.ones([2, 4, 4, 4]))
    np.testing.assert_array_equal(plain, network(x, added=tf.zeros([2, 4, 4, 4])))
    assert network.features(x).shape == (2, 8, 8, 2) and np.any(plain != added)


# ---- inputs


def test_edges_of_instances():
    ids = [[1, 1, 2, 2], [1, 1, 2, 2], [1, 3, 3, 2], [3, 3, 3, 3]]
    wanted = [[0, 1, 1, 0], [0, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 1]]
    np.testing.assert_array_equal(instance_edges(tf.constant([ids, np.transpose(ids)])), [wanted, np.transpose(wanted)])
    centre = np.zeros((1, 5, 5), "int32")
    centre[0, 2, 2] = 7
    found = instance_edges(tf.constant(centre)).numpy()[0]
    assert found.sum() == 5 and all(found[2 + dy, 2 + dx] == 1 for dy, dx in ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)))


def test_inputs_are_classes_and_borders():
    model = made()
    x = model.inputs_of(BATCH["image"], BATCH["instances"]).numpy()
    assert x.shape == (2, 16, 16, 5)
    np.testing.assert_array_equal(x[..., :4].argmax(-1), np.round(255 * BATCH["image"][..., 0]))
    np.testing.assert_array_equal(x[..., :4].sum(-1), 1.0)
    np.testing.assert_array_equal(x[..., 4], instance_edges(BATCH["instances"]))
    assert one_hot_map(tf.constant([[[[255 / 255]]]]), 256).numpy().argmax() == 255
    picture = made(map_classes=0, instances=False)
    np.testing.assert_allclose(picture.inputs_of(BATCH["target"]), 2 * BATCH["target"] - 1)


def test_only_borders_of_instances_matter():
    model = made(**ONE)
    one = model.translate(**INPUTS)["image"]
    np.testing.assert_array_equal(one, model.translate(image=BATCH["image"], instances=5 - BATCH["instances"])["image"])
    assert np.any(one != model.translate(image=BATCH["image"], instances=0 * BATCH["instances"])["image"])


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"image_shape": (16, 16, 3)}, r"label map .map_classes=4. has one channel; received image_shape=\(16, 16, 3\)"),
        ({"image_shape": (18, 16, 1)}, "sides of image_shape multiples of 4; received width=4 and 18 x 16"),
        ({"width": 3}, "width must be even"),
        ({"enhancer": False}, "must be 0 with enhancer=False; received 2 and 2"),
        ({"map_classes": 257}, r"map_classes must be an integer in \[0, 256\]; received 257"),
        ({**ONE, "image_shape": (17, 16, 1)}, "17 x 16"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        Pix2PixHD(**{**SMALL, **settings})


def test_values_that_are_no_classes():
    model = made()
    before = copies(model.generator)
    for wrong in (BATCH["image"] + 1 / 255, BATCH["image"] + 0.4 / 255):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"label map must have the values k / 255"):
            model.translate(image=wrong, instances=BATCH["instances"])
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"label map must have the values k / 255"):
            model.fit({**BATCH, "image": wrong}, verbose=0)
    for a, b in zip(before, copies(model.generator), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="needs the field 'instances'.*instances=False leaves them out"):
        model.fit({"image": BATCH["image"], "target": BATCH["target"]}, verbose=0)


# ---- losses


def test_losses_of_two_scales():
    """D .28875, G 1.075 (sums over the scales of means over their maps), and 40 for maps that all differ by 1."""
    model = made(**ONE)
    real = [[[0.9, 1.2], [0.4, 0.8]], [[0.7]]]
    fake = [[[0.1, -0.3], [0.6, 0.2]], [[0.5]]]
    answers = []

    def judge(x, y):
        logits = (real, fake)[len(answers) % 2]
        answers.append(y)
        nothing = 0.0 * tf.reduce_sum(y) + 0.0 * sum(tf.reduce_sum(v.value) for v in model.discriminator.trainable_variables)
        level = float(len(answers) % 2)
        return [{"logit": tf.constant(one)[None, ..., None] + nothing, "maps": [tf.fill([1, 2, 2, 1], level) + nothing] * 3}
                for one in logits]  # fmt: skip

    object.__setattr__(model, "judge", judge)
    losses = model.update({name: tf.constant(value) for name, value in BATCH.items()})
    np.testing.assert_allclose(answers[0], 2 * BATCH["target"] - 1, atol=1e-6)  # the first is real
    assert float(losses["discriminator_loss"]) == pytest.approx(0.28875, abs=1e-6)
    assert float(losses["adversarial_loss"]) == pytest.approx(1.075, abs=1e-6)
    assert float(losses["matching_loss"]) == pytest.approx(4.0, abs=1e-6)
    assert float(losses["generator_loss"]) == pytest.approx(41.075, abs=1e-5)


def test_discriminators_see_the_input_at_every_scale():
    model = made()
    x = tf.constant(model.inputs_of(BATCH["image"], BATCH["instances"]))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        logits = [scale["logit"] for scale in model.judge(x, 2 * BATCH["target"] - 1)]
        sums = [tf.reduce_sum(one) for one in logits]
    assert len(logits) == 2 and all(np.any(tape.gradient(one, x)) for one in sums)


def test_every_loss_reaches_its_own_networks_alone_and_all_are_updated_at_once():
    ends = {}
    for rates in ((0.1, 0.0), (0.0, 0.1), (0.1, 0.1)):
        model = made({"generator": sgd(rates[0]), "discriminator": sgd(rates[1])}, **ONE)
        before = [copies(model.generator), copies(model.discriminator)]
        train(model)
        after = [copies(model.generator), copies(model.discriminator)]
        changed = [any(np.any(a != b) for a, b in zip(x, y, strict=True)) for x, y in zip(before, after, strict=True)]
        assert changed == [rate > 0 for rate in rates]
        ends[rates] = after
    for i, alone in enumerate(((0.1, 0.0), (0.0, 0.1))):
        for a, b in zip(ends[alone][i], ends[0.1, 0.1][i], strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


def test_without_matching_only_the_discriminator_leads():
    model = made({"generator": sgd(), "discriminator": sgd(0.0)}, matching_weight=0.0, **ONE)
    history = train(model)
    assert history["generator_loss"] == history["adversarial_loss"]
    assert history["matching_loss"][0] > 0


# ---- phases


def test_which_networks_are_trained_in_which_phase():
    model = made()
    assert [model.step_kind(step) for step in range(6)] == ["global"] * 2 + ["enhancer"] * 2 + ["all"] * 2
    names = ("generator", "enhancer", "discriminator")
    for kind, wanted in (("global", (True, False, True)), ("enhancer", (False, True, True)), ("all", (True, True, True))):
        before = {name: copies(getattr(model, name)) for name in names}
        last = model.generator.last.kernel.numpy()
        train(model, 2)
        found = tuple(
            any(np.any(a != v.numpy()) for a, v in zip(before[name], getattr(model, name).trainable_variables, strict=True))
            for name in names
        )
        assert found == wanted, kind
        assert np.any(last != model.generator.last.kernel.numpy()) == (kind == "global")


@pytest.mark.parametrize("kind", ["global", "enhancer"])
def test_what_the_discriminators_see(kind):
    """In the first phase means of input, target and translation over 3x3 pixels, later all at the full size."""
    model, seen = made(), []
    object.__setattr__(model, "kind", kind)
    judge = model.judge
    object.__setattr__(model, "judge", lambda x, y: (seen.append((x, y)), judge(x, y))[1])
    x = model.inputs_of(BATCH["image"], BATCH["instances"])
    made_up, size = (model.generator(halved(x)), halved) if kind == "global" else (model.refined(x), tf.identity)
    model.update({name: tf.constant(value) for name, value in BATCH.items()})
    (first, real), (second, fake) = seen
    np.testing.assert_allclose(real, size(tf.constant(2 * BATCH["target"] - 1)), atol=1e-6)
    np.testing.assert_allclose(fake, made_up, atol=1e-5)
    for given in (first, second):
        np.testing.assert_allclose(given, size(x), atol=1e-6)


def test_optimisers_begin_anew():
    adam = {"class_name": "Adam", "config": {"learning_rate": 1e-3}}
    model = made(adam)
    counts = []
    for _ in range(6):
        train(model)
        counts.append(tuple(int(one.iterations.numpy()) for one in model.player_optimizers.values()))
    assert counts == [(1, 1), (2, 2), (1, 1), (2, 2), (1, 3), (2, 4)]


def test_an_enhancer_without_phases_is_trained_with_the_rest():
    model = made(global_steps=0, frozen_steps=0)
    assert model.step_kind(0) == "all"
    before = copies(model.generator.blocks[0])
    train(model)
    assert any(np.any(a != b) for a, b in zip(before, copies(model.generator.blocks[0]), strict=True))


def test_translations_in_the_first_phase_are_those_of_the_global_generator():
    model = made()
    x = model.inputs_of(BATCH["image"], BATCH["instances"])
    small = model.generator(halved(x))
    first = model.translate(**INPUTS)["image"]
    np.testing.assert_allclose(2 * first - 1, tf.image.resize(small, (16, 16)), atol=1e-5)
    model.step.assign(2)
    np.testing.assert_allclose(2 * model.translate(**INPUTS)["image"] - 1, model.refined(x), atol=1e-5)


def test_presets():
    for name in ("cityscapes-1024-code", "cityscapes-2048-code", "digit-maps"):
        tfgen.presets.get(f"pix2pix-hd/{name}").check()
    large = tfgen.presets.get("pix2pix-hd/cityscapes-2048-code")
    assert (large.model_args["global_steps"], large.model_args["frozen_steps"], large.steps) == (595_000, 29_750, 892_500)
