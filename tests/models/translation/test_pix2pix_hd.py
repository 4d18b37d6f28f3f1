"""pix2pixHD: phases, losses of several scales, label maps and borders of instances."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.seeds import set_seed
from tfgen import fields
from tfgen.models import Pix2PixHD
from tfgen.networks import ResidualTranslator, halved
from tfgen.networks.residual_translator import plain_instance_norm

RNG = np.random.default_rng(0)
SMALL = {"image_shape": (16, 16, 3), "map_classes": 4, "width": 4, "halvings": 1, "blocks": 1, "enhancer_blocks": 1,
         "discriminator_width": 2, "discriminator_halvings": 1, "global_steps": 2, "frozen_steps": 2}  # fmt: skip
MAPS, IDS = RNG.integers(0, 4, (2, 16, 16)), RNG.integers(0, 3, (2, 16, 16))
BATCH = {"label_map": np.eye(4, dtype="float32")[MAPS], "edges": tfgen.data.instance_edges(IDS).astype("float32"),
         "target": RNG.random((2, 16, 16, 3), dtype="float32")}  # fmt: skip
INPUTS = {name: BATCH[name] for name in ("label_map", "edges")}
ONE = {"enhancer": False, "enhancer_blocks": 3, "global_steps": 0, "frozen_steps": 0}


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
    model = Pix2PixHD(image_shape=(32, 32, 3), blocks=3, enhancer=False, **small)
    assert parameters(model.generator) == 279_571
    assert [parameters(d) for d in model.discriminator.discriminators] == [45_937] * 2
    model = Pix2PixHD(image_shape=(32, 32, 3), blocks=3, enhancer_blocks=2, **small)
    assert parameters(model.generator, model.enhancer) - parameters(model.generator.last) == 294_715


@pytest.mark.long
def test_parameters_of_the_paper():
    """Of 35 classes and the borders; the size of the images does not matter."""
    model = Pix2PixHD(image_shape=(64, 64, 3), map_classes=35, scales=1)
    assert parameters(model.generator) == 182_546_755
    assert parameters(model.generator, model.enhancer) - parameters(model.generator.last) == 182_857_059
    assert parameters(model.discriminator) == 2_801_601


def test_the_enhancer_adds_the_features_of_the_global_generator():
    """Before its residual blocks, those before the last convolution of G_1, for the input at half the size."""
    model = made()
    x = model.inputs_of(BATCH)
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


def test_inputs_are_classes_and_borders():
    model = made()
    x = model.inputs_of(BATCH).numpy()
    assert x.shape == (2, 16, 16, 5)
    np.testing.assert_array_equal(x[..., :4].argmax(-1), MAPS)
    np.testing.assert_array_equal(x[..., :4].sum(-1), 1.0)
    np.testing.assert_array_equal(x[..., 4], tfgen.data.instance_edges(IDS))
    np.testing.assert_array_equal(made(edges=False).inputs_of(BATCH), BATCH["label_map"])
    picture = made(map_classes=0, edges=False)
    np.testing.assert_allclose(picture.inputs_of({"image": BATCH["target"]}), 2 * BATCH["target"] - 1)


def test_borders_are_seen():
    model = made(**ONE)
    one = model.translate(**INPUTS)["image"]
    assert np.any(one != model.translate(**{**INPUTS, "edges": 1 - BATCH["edges"]})["image"])
    with pytest.raises(ValueError, match="translate takes label_map, edges; received label_map"):
        model.translate(label_map=BATCH["label_map"])


def test_fields():
    """Those of `tfgen.data.label_maps`; without a map the picture is translated."""
    labels, edges, target = fields.label_map(16, 16, 4), fields.mask(16, 16, "edges"), fields.image((16, 16, 3), "target")
    for settings, wanted in (
        ({}, [labels, edges]), ({"edges": False}, [labels]), ({"map_classes": 0}, [fields.image((16, 16, 3)), edges])
    ):  # fmt: skip
        model = made(**settings)
        for found, expected in ((model.translated_fields(), wanted), (model.batch_fields(), [*wanted, target])):
            assert [dataclasses.replace(field, hint="") for field in found] == expected


def test_pictures_are_translated_without_a_map():
    model = made(map_classes=0, edges=False, **ONE)
    assert model.translate(image=BATCH["target"])["image"].shape == (2, 16, 16, 3)
    history = model.fit({"image": BATCH["target"], "target": BATCH["target"]}, verbose=0).history
    assert np.isfinite(history["generator_loss"][0])


def test_it_is_trained_on_segments():
    """The batches of `tfgen.data` are those of the model."""
    source = tfgen.data.load("segments:digits").take(8)
    model = Pix2PixHD(image_shape=source.image_shape, map_classes=11, target_channels=1, width=4, halvings=1, blocks=1,
                      enhancer_blocks=1, discriminator_width=2, discriminator_halvings=1)  # fmt: skip
    model.compile(sgd(1e-3))
    before = copies(model.enhancer)
    batches = source.batches(4, shuffle=True, repeat=True, augmentation={"flip": True, "jitter": 2})
    model.fit(batches, steps_per_epoch=2, verbose=0)
    assert any(np.any(a != b) for a, b in zip(before, copies(model.enhancer), strict=True))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"image_shape": (18, 16, 3)}, "sides of image_shape multiples of 4; received width=4 and 18 x 16"),
        ({"width": 3}, "width must be even"),
        ({"enhancer": False}, "must be 0 with enhancer=False; received 2 and 2"),
        ({**ONE, "enhancer_blocks": 1}, "enhancer_blocks has no effect with enhancer=False and must be left at 3"),
        ({"map_classes": 257}, r"map_classes must be an integer in \[0, 256\]; received 257"),
        ({**ONE, "image_shape": (17, 16, 3)}, "17 x 16"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        Pix2PixHD(**{**SMALL, **settings})


def test_batches_that_do_not_fit():
    model = made()
    before = copies(model.generator)
    for name in INPUTS:
        wrong = {**BATCH, name: BATCH[name] + 0.5}
        with pytest.raises(tf.errors.InvalidArgumentError, match=rf"{name} must lie in \[0, 1\]"):
            model.fit(wrong, verbose=0)
    with pytest.raises(ValueError, match=r"label_map must have the shape \[batch, 16, 16, 4\]"):
        model.fit({**BATCH, "label_map": BATCH["target"]}, verbose=0)
    for a, b in zip(before, copies(model.generator), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="needs the field 'edges'.*edges=False leaves them out"):
        model.fit({"label_map": BATCH["label_map"], "target": BATCH["target"]}, verbose=0)


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
    x = tf.constant(model.inputs_of(BATCH))
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
    x = model.inputs_of(BATCH)
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
    x = model.inputs_of(BATCH)
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
