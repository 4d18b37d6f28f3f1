"""pix2pixHD: phases, losses of several scales, label maps and borders of instances."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.seeds import set_seed
from tfgen import fields
from tfgen.data import label_pictures
from tfgen.data.label_maps import instance_numbers
from tfgen.models import Pix2PixHD
from tfgen.models.translation.parts import instance_features
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


# ---- features of instances

ENCODER = {"feature_channels": 3, "clusters": 2, "encoder_width": 2, "encoder_halvings": 1}
NUMBERS = instance_numbers(IDS)
WITH_INSTANCES = {**BATCH, "instances": NUMBERS.astype("float32") / 255}
GIVEN = {name: WITH_INSTANCES[name] for name in ("label_map", "edges", "instances")}


def train_on(model, steps=1, batch=WITH_INSTANCES):
    return model.fit(tf.data.Dataset.from_tensors(batch).repeat(), steps_per_epoch=1, epochs=steps, verbose=0).history


def test_parameters_of_the_encoder():
    model = Pix2PixHD(image_shape=(32, 32, 3), map_classes=3, feature_channels=3, halvings=1, blocks=0, width=2,
                      enhancer=False, discriminator_width=2, discriminator_halvings=1)  # fmt: skip
    assert parameters(model.encoder) == 788_803
    assert model.generator.first.kernel.shape[2] == 3 + 1 + 3  # classes, borders, features
    assert model.discriminator.discriminators[0].convs[0].kernel.shape[2] == 3 + 1 + 3  # and the image


def test_features_are_means_over_instances():
    """Of the maps of the encoder, which sees the real image in [-1, 1]; each pixel has those of its instance."""
    model = made(**ENCODER)
    found = model.instance_features(BATCH["target"], WITH_INSTANCES["instances"]).numpy()
    maps = model.encoder(2 * BATCH["target"] - 1).numpy()
    for row in range(2):
        for number in range(3):
            inside = IDS[row] == number
            np.testing.assert_allclose(found[row][inside], np.tile(maps[row][inside].mean(axis=0), (inside.sum(), 1)),
                                       atol=1e-6)  # fmt: skip


def test_the_numbers_of_instances_are_exact():
    numbers = np.arange(256).reshape(1, 16, 16)
    np.testing.assert_array_equal(instance_features.numbers_of(numbers.astype("float32") / 255), numbers)
    wide = np.array([[[7, 26001], [26002, 7]]])
    np.testing.assert_array_equal(instance_numbers(wide), [[[0, 1], [2, 0]]])
    with pytest.raises(ValueError, match="found 257 instances in an image, expected at most 256"):
        instance_numbers(np.arange(257).reshape(1, 1, 257))


@pytest.mark.parametrize("kind", ["global", "enhancer", "all"])
def test_the_generators_learn_the_encoder_and_the_discriminators_do_not_see_it(kind):
    """In every phase; in that of the enhancer the global generator stays the same."""
    model = made({"generator": sgd(), "discriminator": sgd(0.0)}, **ENCODER)
    model.step.assign({"global": 0, "enhancer": 2, "all": 4}[kind])
    object.__setattr__(model, "begin_phase", lambda phase: None)
    before = {name: copies(getattr(model, name)) for name in ("encoder", "generator", "enhancer", "discriminator")}
    train_on(model)
    changed = {
        name: any(np.any(a != v.numpy()) for a, v in zip(values, getattr(model, name).trainable_variables, strict=True))
        for name, values in before.items()
    }
    wanted = {"generator": kind != "enhancer", "enhancer": kind != "global", "encoder": True, "discriminator": False}
    assert changed == wanted


def test_the_encoder_sees_the_whole_image_in_the_first_phase():
    model, seen = made(**ENCODER), []
    call = model.encoder.call
    object.__setattr__(model.encoder, "call", lambda x, *a, **k: (seen.append(x.shape), call(x, *a, **k))[1])
    train_on(model)
    assert seen == [(2, 16, 16, 3)]


def test_clusters_are_those_of_large_instances_of_each_class():
    """Two clusters of class 1, one vector of class 2; a small instance does not count."""
    model = made(**ENCODER, **ONE)
    maps, numbers = np.zeros((6, 16, 16), int), np.zeros((6, 16, 16), np.uint8)
    maps[:5, :8, :8], numbers[:5, :8, :8] = 1, 1
    maps[5, 8:, 8:], numbers[5, 8:, 8:] = 2, 1
    maps[4, 15, :4], numbers[4, 15, :4] = 3, 2  # 4 of 256 pixels: not more than 1/64
    values = np.array([0.0, 0.1, 1.0, 0.9, 1.1, 5.0])
    target = np.zeros((6, 16, 16, 3), "float32")
    target[numbers == 1] = np.repeat(values / 10, 64)[:, None]  # 64 pixels of each image
    object.__setattr__(model.encoder, "call", lambda x, *a, **k: 5.0 * (x + 1.0))  # ten times the image in [0, 1]
    batch = {"target": target, "label_map": np.eye(4, dtype="float32")[maps], "instances": numbers.astype("float32") / 255}
    parts = [{name: tf.constant(value[k : k + 3]) for name, value in batch.items()} for k in (0, 3)]
    model.cluster_features(parts)
    centres, used = model.clusters.centres.numpy(), model.clusters.used.numpy()
    assert used.tolist() == [1, 2, 1, 0]
    np.testing.assert_allclose(np.sort(centres[1, :, 0]), [0.05, 1.0], atol=1e-4)
    np.testing.assert_allclose(centres[2, 0], 5.0, atol=1e-4)
    np.testing.assert_allclose(centres[[0, 2, 3], 1], 0.0)


def clustered(**settings):
    """A model with the centres 1, 2 of class k: 10 k + 1, 10 k + 2; class 3 has none."""
    model = made(**{**ENCODER, **ONE, **settings})
    centres = 10.0 * np.arange(4)[:, None, None] + np.arange(1, 3)[:, None] + np.zeros(3)
    model.clusters.centres.assign(centres)
    model.clusters.used.assign([1, 2, 2, 0])
    return model


def test_each_instance_gets_a_centre_of_its_class_by_its_seed():
    model = clustered()
    maps, numbers = np.zeros((2, 16, 16), int), np.zeros((2, 16, 16), np.uint8)
    for k, window in enumerate((np.s_[:, :8, :8], np.s_[:, 8:, :8], np.s_[:, :8, 8:])):
        maps[window], numbers[window] = (1, 1, 2)[k], k + 1
    maps[:, 0, 0] = 3  # of most pixels of an instance, not of all
    given = np.eye(4, dtype="float32")[maps], numbers.astype("float32") / 255
    seen = set()
    for seed in range(20):
        found = model.draw_features(*given, tf.constant([seed, seed + 100])).numpy()
        assert np.all(found == found[..., :1])
        for row in found[..., 0]:
            of = [set(row[numbers[0] == k].tolist()) for k in range(4)]
            assert all(len(one) == 1 for one in of)
            seen.add(tuple(one.pop() for one in of))
    assert seen == {(1.0, a, b, c) for a in (11.0, 12.0) for b in (11.0, 12.0) for c in (21.0, 22.0)}
    again = model.draw_features(*given, tf.constant([3, 5])).numpy()
    np.testing.assert_array_equal(model.draw_features(*(value[1:] for value in given), tf.constant([5]))[0], again[1])


def test_translations_are_those_of_the_drawn_features():
    model = clustered()
    one = model.translate(**GIVEN, seeds=[1, 2])["image"]
    features = model.draw_features(GIVEN["label_map"], GIVEN["instances"], tf.constant([1, 2]))
    np.testing.assert_allclose(one, model.render(features, **GIVEN)["image"], atol=1e-6)
    x = tf.concat([model.inputs_of(GIVEN), features], axis=-1)
    np.testing.assert_allclose(2 * one - 1, model.generator(x), atol=1e-5)
    np.testing.assert_array_equal(model.translate(**GIVEN)["image"], model.translate(**GIVEN, seeds=[0, 0])["image"])
    model.clusters.used.assign([2, 2, 2, 2])  # those of class 3 are 31 and 32
    drawn = [model.translate(**GIVEN, seeds=[seed, seed])["image"].numpy() for seed in range(4)]
    assert len({one.tobytes() for one in drawn}) > 1


def test_one_instance_can_be_changed_alone():
    """Its features change its own pixels, and through the network those near it."""
    model = clustered()
    features = model.draw_features(GIVEN["label_map"], GIVEN["instances"], tf.constant([0, 0])).numpy()
    inside = IDS == 1
    changed = np.where(inside[..., None], features + 5, features)
    assert np.any(model.render(features, **GIVEN)["image"] != model.render(changed, **GIVEN)["image"])


def test_grids_have_the_features_of_the_targets():
    """Maps in colours, borders, the translation, the target."""
    model = clustered()
    batch = {name: tf.constant(value) for name, value in WITH_INSTANCES.items()}
    maps, edges, made_of, target = model.pictures(batch)
    np.testing.assert_array_equal(maps, label_pictures(MAPS, 4) / np.float32(255))
    np.testing.assert_array_equal(edges, np.repeat(BATCH["edges"][..., None], 3, -1))
    encoded = model.instance_features(batch["target"], batch["instances"])
    np.testing.assert_allclose(made_of, model.render(encoded, **GIVEN)["image"], atol=1e-6)
    np.testing.assert_array_equal(target, BATCH["target"])


def test_a_grid_without_features_has_the_map_too():
    model = made(**ONE)
    maps, edges, result, target = model.pictures({name: tf.constant(value) for name, value in BATCH.items()})
    np.testing.assert_array_equal(maps, label_pictures(MAPS, 4) / np.float32(255))
    np.testing.assert_allclose(result, model.translate(**INPUTS)["image"], atol=1e-6)
    assert edges.shape == target.shape == result.shape


def test_features_have_signatures_of_their_own():
    """What a client needs to change one instance: the features of an image, drawn ones, an image of changed ones."""
    model = clustered()
    signatures = model.signatures()
    assert {name: set(specs) for name, (_, specs) in signatures.items() if name != "serve_examples"} == {
        "translate": {"label_map", "edges", "instances", "seeds"}, "instance_features": {"image", "instances"},
        "draw_features": {"label_map", "instances", "seeds"}, "render": {"label_map", "edges", "features"},
    }  # fmt: skip
    call = {name: function for name, (function, _) in signatures.items()}
    maps = {name: tf.constant(value) for name, value in GIVEN.items()}
    drawn = call["draw_features"](label_map=maps["label_map"], instances=maps["instances"], seeds=tf.constant([1, 2]))
    edges = {name: maps[name] for name in ("label_map", "edges")}
    made_of = call["render"](features=drawn["features"], **edges)["image"]
    np.testing.assert_allclose(made_of, model.translate(**GIVEN, seeds=[1, 2])["image"], atol=1e-6)
    found = call["instance_features"](image=tf.constant(BATCH["target"]), instances=maps["instances"])["features"]
    np.testing.assert_array_equal(found, model.instance_features(BATCH["target"], maps["instances"]))


def test_clusters_are_saved_and_not_averaged(tmp_path):
    model = clustered()
    model.compile(sgd(), ema_decay=0.5)
    assert not any("clusters" in path for path in model.ema.named())
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.translate(**GIVEN)["image"], model.translate(**GIVEN)["image"])


def test_an_export_without_clusters_says_so(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(tfgen.export.logging, "warning", lambda message, *args: said.append(message % args))
    monkeypatch.setattr(tfgen.export, "write_saved_model", lambda *args: None)
    for model, texts in ((made(**ENCODER, **ONE), 1), (clustered(), 0), (made(), 0)):
        said.clear()
        tfgen.export.export_saved_model(model, tmp_path / "model", warmup=False)
        assert len(said) == texts and all("Pix2PixHD is exported without" in text for text in said)


@pytest.mark.long
def test_training_ends_with_clusters(tmp_path):
    """`tfgen train` sets them, and the checkpoint has them; an export draws of them."""
    from tfgen_trainers.train import TrainConfig, load_run, train

    source = tfgen.data.load("coloured:digits", num=16)
    small = {name: value for name, value in SMALL.items() if name not in ("image_shape", "map_classes")}
    small |= {"global_steps": 1, "frozen_steps": 0, **ENCODER, "batch_size": 4}
    model = train(TrainConfig("pix2pix-hd/coloured-digits", small, 2), source, tmp_path / "run", report=None).model
    assert model.clusters.used.numpy()[0] == 2 and model.clusters.used.numpy().sum() > 2
    loaded, _ = load_run(tmp_path / "run")
    np.testing.assert_array_equal(loaded.clusters.centres.numpy(), model.clusters.centres.numpy())


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"clusters": 3}, "clusters has no effect with feature_channels=0"),
        ({"feature_channels": 3, "map_classes": 0}, "feature_channels=3 needs map_classes"),
        ({**ENCODER, "encoder_halvings": 4}, "multiples of 16, at least 32"),
        ({"perceptual_weight": 3.0}, "perceptual_weight has no effect with feature_network=None"),
    ],
)
def test_bad_settings_of_features(settings, message):
    with pytest.raises(ValueError, match=message):
        Pix2PixHD(**{**SMALL, **settings})


# ---- distance of features of a frozen network


def frozen(shape=(None, None, 3)):
    """Two layers that multiply by 1 and 2."""
    start = keras.Input(shape)
    one = keras.layers.Rescaling(1.0, name="one")(start)
    return keras.Model(start, keras.layers.Rescaling(2.0, name="two")(one))


def test_the_distance_is_a_part_of_the_loss():
    model = made({"generator": sgd(0.0), "discriminator": sgd(0.0)}, **ONE, feature_network=frozen(),
                 feature_layers=("one", "two"), perceptual_weight=3.0)  # fmt: skip
    history = train(model)
    losses = {name: history[name][0] for name in model.loss_names}
    difference = np.abs(BATCH["target"] - (0.5 * model.generator(model.inputs_of(BATCH)) + 0.5)).mean()
    assert losses["perceptual_loss"] == pytest.approx((0.25 + 2.0) * difference, rel=1e-4)  # layers of 1 and 2 times
    total = losses["adversarial_loss"] + 10 * losses["matching_loss"] + 3 * losses["perceptual_loss"]
    assert losses["generator_loss"] == pytest.approx(total, rel=1e-5)
    assert "perceptual_loss" not in made().loss_names
    again = Pix2PixHD.from_config(model.get_config())
    assert again.feature_network.fingerprint == model.feature_network.fingerprint


def test_the_network_must_take_the_images_of_all_phases():
    with pytest.raises(ValueError, match=r"must take images \(8, 8, 3\)"):
        made(feature_network=frozen((16, 16, 3)))
    made(feature_network=frozen((16, 16, 3)), **ONE)
