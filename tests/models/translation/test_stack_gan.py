"""StackGAN: sizes, losses of pairs, and two stages of which the second leaves the first as it is."""

import copy
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.seeds import set_seed
from tfgen.models import StackGAN
from tfgen.models.translation import stack_gan
from tfgen.models.translation.stack_gan import StageOne, StageTwo

RNG = np.random.default_rng(0)
SMALL = {"image_shape": (8, 8, 1), "embedding_dim": 3, "stage_1_steps": 1, "factor": 2, "width": 4, "ups": 1, "downs": 1,
         "blocks": 1, "noise_dim": 2, "condition_dim": 2, "discriminator_width": 2}  # fmt: skip
BATCH = {"image": RNG.random((4, 8, 8, 1), "float32"), "embedding": RNG.normal(size=(4, 3)).astype("float32")}
E = tf.constant(BATCH["embedding"])
NETWORKS = ("generator_1", "discriminator_1", "generator_2", "discriminator_2")


def sgd(rate=0.1):
    return {"class_name": "SGD", "config": {"learning_rate": rate}}


def made(optimizer=None, **settings):
    set_seed(0)
    model = StackGAN(**{**SMALL, **settings})
    model.compile(optimizer or sgd(), run_eagerly=True)
    return model


def in_stage(model, stage):
    """`update` in a stage, eagerly."""
    object.__setattr__(model, "kind", stage)
    return {name: float(value) for name, value in model.update({k: tf.constant(v) for k, v in BATCH.items()}).items()}


def values(network):
    return [v.numpy() for v in network.variables]


def changed(before, network):
    return [v.path.split("/", 1)[1] for a, v in zip(before, network.variables, strict=True) if np.any(a != v.numpy())]


def parameters(network):
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


# ---- networks


def test_sizes_of_the_paper(monkeypatch):
    """The generators; of Stage II the size of the images does not matter. For the discriminators see their own test."""
    monkeypatch.setattr(stack_gan, "_WEIGHTS", "zeros")
    monkeypatch.setattr(stack_gan, "_DENSE", "zeros")
    one = StageOne(image_shape=(64, 64, 3), width=128, ups=4, condition_dim=128)
    one.build([(None, 1024), (None, 100), (None, 128)])
    assert parameters(one) == 14_264_192
    assert one.grid == (4, 4, 1024) and [conv.filters for conv in one.convs] == [512, 256, 128]
    two = StageTwo(image_shape=(32, 32, 3), width=128, downs=2, ups=4, blocks=4, condition_dim=128)
    two.build([(None, 1024), (None, 8, 8, 3), (None, 128)])
    assert parameters(two) == 26_290_080


def test_small_sizes():
    two = StageTwo(image_shape=(32, 32, 3), width=16, downs=1, ups=2, blocks=2, condition_dim=16)
    two.build([(None, 32), (None, 16, 16, 3), (None, 16)])
    assert parameters(two) == 66_776
    model = made(image_shape=(28, 28, 1))
    images = model.made(2, model.latents([0, 1]), E[:2])["image"]
    assert images.shape == (2, 28, 28, 1) and model.made(1, model.latents([0]), E[:1])["image"].shape == (1, 14, 14, 1)
    assert model.sample(2, embedding=E[:2]).shape == (2, 28, 28, 1)


def test_initial_weights_are_those_of_the_code():
    set_seed(0)
    model = StackGAN(image_shape=(32, 32, 1), embedding_dim=64, stage_1_steps=1, factor=2, width=32, ups=2, condition_dim=32)
    kernels, gains = [], []
    for name in NETWORKS:
        for v in getattr(model, name).trainable_variables:
            (kernels if v.path.endswith("kernel") else gains if v.path.endswith("gamma") else []).append(v.numpy().ravel())
    convs = np.concatenate([v for v in kernels if v.size > 1000])
    assert np.abs(convs.mean()) < 1e-3 and 0.017 < convs.std() < 0.0205  # N(0, .02), of convolutions cut at two stddevs
    gains = np.concatenate(gains)
    assert gains.mean() == pytest.approx(1.0, abs=0.01) and 0.015 < gains.std() < 0.025
    first = model.generator_2.first.kernel.numpy()
    assert np.abs(first).max() <= 0.04 < np.abs(model.generator_1.dense.kernel.numpy()).max()


def test_stage_one_by_hand():
    """Dense and norm, without an activation before the residual unit; nearest neighbours before the last convolution."""
    network = made().generator_1
    z, noise = tf.constant(RNG.normal(size=(4, 2)), tf.float32), tf.constant(RNG.normal(size=(4, 2)), tf.float32)
    found = network([E, z, noise], training=False)
    mean, log_stddev = network.augment(E)
    condition = mean + tf.exp(log_stddev) * noise
    x = network.dense_norm(network.dense(tf.concat([condition, z], axis=1)), training=False)
    x = network.residuals[0](tf.reshape(x, [4, 2, 2, 4]), training=False)
    x = np.repeat(np.repeat(x, 2, axis=1), 2, axis=2)
    np.testing.assert_allclose(found["image"], np.tanh(network.last(x)), atol=1e-6)
    np.testing.assert_array_equal(found["mean"], mean)
    assert network.dense_norm.gamma.shape == (16,)  # of every unit, not of every filter


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"factor": 3}, "factor must be a power of 2, at least 2; received 3"),
        ({"factor": 1}, "factor must be a power of 2"),
        ({"image_shape": (10, 8, 1)}, "multiples of 4, with factor=2, ups=1 and downs=1; received 10 x 8"),
        ({"factor": 4, "width": 6, "ups": 1}, "width must be a multiple of 4, with factor=4; received 6"),
        ({"stage_1_steps": 0}, "stage_1_steps must be an integer >= 1; received 0"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        StackGAN(**{**SMALL, **settings})


# ---- losses


@pytest.mark.parametrize("stage", [1, 2])
def test_losses_with_logits_of_zero(stage):
    """2 ln 2, and ln 2 + 2 KL; without a gradient from D, the KL term moves the conditioning augmentation alone."""
    model = made({name: sgd(0.0 if "discriminator" in name else 0.1) for name in NETWORKS})
    head = getattr(model, f"discriminator_{stage}").logit
    head.kernel.assign(tf.zeros_like(head.kernel.value))
    generator = getattr(model, f"generator_{stage}")
    trained = [v for v in generator.trainable_variables if "augment" not in v.path]
    before, augment = [v.numpy() for v in trained], [v.numpy() for v in generator.augment.variables]
    found = in_stage(model, stage)
    assert found["discriminator_loss"] == pytest.approx(2 * math.log(2), rel=1e-6)
    assert found["generator_loss"] == pytest.approx(math.log(2) + 2 * found["divergence"], rel=1e-6)
    assert found["divergence"] > 0
    for a, v in zip(before, trained, strict=True):
        np.testing.assert_array_equal(a, v.numpy(), err_msg=v.path)
    assert any(np.any(a != v.numpy()) for a, v in zip(augment, generator.augment.variables, strict=True))


@pytest.mark.parametrize("stage", [1, 2])
def test_pairs_that_the_discriminator_is_shown(stage):
    """Real, mismatched and generated images, in the size of the stage, each with the embedding of its row."""
    model = made(sgd(0.0))
    original, seen = model.judge, []

    def judge(which, images, embedding, training):
        seen.append((which, images.numpy(), embedding.numpy(), training))
        level = (1.0, 2.0, 3.0, 0.0)[len(seen) - 1]
        return level + 0.0 * original(which, images, embedding, training)

    object.__setattr__(model, "judge", judge)
    found = in_stage(model, stage)
    raw = 2.0 * BATCH["image"] - 1.0
    if stage == 1:
        raw = raw.reshape(4, 4, 2, 4, 2, 1).mean(axis=(2, 4))
    np.testing.assert_allclose(seen[0][1], raw, atol=1e-6)
    np.testing.assert_allclose(seen[1][1], raw[[1, 2, 3, 0]], atol=1e-6)
    fakes = [model.made(stage, model.training_latents(BATCH, s), E, training=True)["image"] for s in (0, 1)]
    np.testing.assert_allclose(seen[2][1], fakes[0], atol=1e-5)
    assert np.abs(seen[3][1] - seen[2][1]).max() > 1e-3, "the generator's update has noise of its own"
    for which, _, embedding, training in seen:
        assert which == stage and training is True
        np.testing.assert_array_equal(embedding, BATCH["embedding"])
    sp = [math.log1p(math.exp(x)) for x in (-1.0, 2.0, 3.0)]
    assert found["discriminator_loss"] == pytest.approx(sp[0] + 0.5 * (sp[1] + sp[2]), rel=1e-5)
    assert found["matching_logit"] == pytest.approx(1.0) and found["mismatched_logit"] == pytest.approx(2.0)


def test_every_loss_reaches_the_networks_of_its_player_alone():
    """By stage and player: whose weights change. Stage II leaves Stage I, with its statistics, bit for bit as it was."""
    for stage in (1, 2):
        for kind, other in (("generator", "discriminator"), ("discriminator", "generator")):
            model = made({name: sgd(0.1 if name.startswith(kind) else 0.0) for name in NETWORKS})
            before = {name: values(getattr(model, name)) for name in NETWORKS}
            in_stage(model, stage)
            moved = {name: changed(before[name], getattr(model, name)) for name in NETWORKS}
            statistics = {name: [p for p in paths if "moving" in p] for name, paths in moved.items()}
            weights = {name: [p for p in paths if "moving" not in p] for name, paths in moved.items()}
            mine, rest = f"{kind}_{stage}", [n for n in NETWORKS if not n.endswith(str(stage))]
            assert weights[mine] and not weights[f"{other}_{stage}"]
            assert all(statistics[f"{one}_{stage}"] for one in (kind, other))
            assert not any(moved[name] for name in rest), "the other stage"
            trained = {v.path.split("/", 1)[1] for v in getattr(model, mine).trainable_variables}
            silent = trained - set(weights[mine])
            # Batch norm that follows takes away a shift; the bias of a unit behind a dead ReLU has no gradient.
            assert not [path for path in silent if path.endswith("kernel")], silent


def test_no_gradient_goes_into_stage_one():
    model = made()
    latents = model.latents(tf.range(4))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model.made(2, latents, E, training=True)["image"] ** 2)
    assert set(tape.gradient(loss, model.generator_1.trainable_variables)) == {None}
    z, noise_1, noise_2 = model.parts(latents)
    seen, call = [], model.generator_2.call
    object.__setattr__(model.generator_2, "call", lambda x, training=False: (seen.append(x), call(x, training))[1])
    model.made(2, latents, E, training=True)
    np.testing.assert_allclose(seen[0][1], model.generator_1([E, z, noise_1], training=False)["image"], atol=1e-6)
    np.testing.assert_array_equal(seen[0][2], noise_2)


def test_mismatched_rows_of_one_text_do_not_count():
    model = made()
    object.__setattr__(model, "kind", 1)
    batch = {"image": tf.constant(BATCH["image"]), "embedding": tf.ones([4, 3])}
    judge = model.judge
    object.__setattr__(model, "judge", lambda *given, training: 5.0 + 0.0 * judge(*given, training=training))
    loss = float(model.update(batch)["discriminator_loss"])
    assert loss == pytest.approx(math.log1p(math.exp(-5)) + 0.5 * math.log1p(math.exp(5)), rel=1e-5)


# ---- stages


def test_kinds_of_steps_and_updates_of_players():
    model = made(stage_1_steps=3)
    assert [model.step_kind(step) for step in range(5)] == [1, 1, 1, 2, 2]
    assert [model.updates_of(name, 5) for name in NETWORKS] == [3, 3, 2, 2]
    assert [model.updates_of(name, 2) for name in NETWORKS] == [2, 2, 0, 0]


def test_fit_trains_one_stage_after_the_other():
    model = made({"class_name": "Adam", "config": {"learning_rate": 1e-3}}, stage_1_steps=2)
    data = tf.data.Dataset.from_tensors(BATCH).repeat()
    counts, first = [], None
    for _ in range(4):
        model.fit(data, steps_per_epoch=1, verbose=0)
        counts.append([int(one.iterations.numpy()) for one in model.player_optimizers.values()])
        if len(counts) == 2:
            first = values(model.generator_1) + values(model.discriminator_1)
    assert counts == [[1, 1, 0, 0], [2, 2, 0, 0], [2, 2, 1, 1], [2, 2, 2, 2]]
    for a, b in zip(first, values(model.generator_1) + values(model.discriminator_1), strict=True):
        np.testing.assert_array_equal(a, b)


def test_samples_are_those_of_the_stage_that_is_trained():
    model = made(stage_1_steps=2)
    latents = model.latents([0, 1])
    small = 0.5 + 0.5 * model.made(1, latents, E[:2])["image"].numpy()
    first = model.decode_images(latents, E[:2]).numpy()
    np.testing.assert_allclose(first, np.repeat(np.repeat(small, 2, axis=1), 2, axis=2), atol=1e-6)
    model.step.assign(1)
    np.testing.assert_array_equal(model.decode_images(latents, E[:2]), first)
    model.step.assign(2)
    second = 0.5 + 0.5 * model.made(2, latents, E[:2])["image"].numpy()
    np.testing.assert_allclose(model.decode_images(latents, E[:2]), second, atol=1e-6)


def test_match_logits_are_those_of_the_second_discriminator():
    model = made()
    found = model.match_logits(BATCH["image"], BATCH["embedding"])
    wanted = model.discriminator_2([2 * BATCH["image"] - 1, BATCH["embedding"]], training=False)["logit"]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize("stage", [1, 2])
def test_moving_statistics_are_those_of_real_images_with_their_own_text(stage):
    model, other = made(sgd(0.0)), made(sgd(0.0))
    in_stage(model, stage)
    real = 2.0 * BATCH["image"] - 1.0
    other.judge(stage, other.of_stage(tf.constant(real), stage), E, training=True)
    judges = (getattr(one, f"discriminator_{stage}") for one in (model, other))
    pairs = zip(*(one.weights for one in judges), strict=True)
    found = {a.path: (a.numpy(), b.numpy()) for a, b in pairs if "moving" in a.path}
    assert found
    for path, (a, b) in found.items():
        np.testing.assert_allclose(a, b, atol=1e-6, err_msg=path)


@pytest.mark.parametrize("stage", [1, 2])
def test_joint_passes_judge_pairs_of_all_kinds_in_one_batch(stage):
    model, other = made(sgd(0.0), passes="joint"), made(sgd(0.0))
    judge, seen = model.judge, []

    def watching(stage, images, embedding, training):
        seen.append((images, embedding.numpy()))
        return judge(stage, images, embedding, training=training)

    object.__setattr__(model, "judge", watching)
    found = in_stage(model, stage)
    assert len(seen) == 2 and all(len(images) == 12 for images, _ in seen)
    np.testing.assert_array_equal(seen[0][1], np.tile(BATCH["embedding"], [3, 1]))
    np.testing.assert_array_equal(seen[0][0][:8], seen[1][0][:8])  # the real images
    logits = other.judge(stage, *map(tf.constant, seen[0]), training=True).numpy().reshape(3, 4).mean(axis=1)
    wanted = [found[name] for name in ("matching_logit", "mismatched_logit", "fake_logit")]
    np.testing.assert_allclose(logits, wanted, atol=1e-5)
    judges = (getattr(one, f"discriminator_{stage}") for one in (model, other))
    for a, b in zip(*(one.weights for one in judges), strict=True):
        if "moving" in a.path:
            np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-6, err_msg=a.path)


def test_rates_of_the_code():
    """2e-4, halved every 50 epochs in Stage I and every 100 in Stage II, where it begins anew."""
    preset = tfgen.presets.get("stack-gan/cub-code")
    epoch = preset.model_args["stage_1_steps"] // 600
    specs = preset.compile_args["optimizer"]
    specs = copy.deepcopy(specs)  # Keras puts objects into what it reads
    rates = {name: keras.optimizers.get(spec)._learning_rate for name, spec in specs.items()}
    for epochs, wanted in ((49, 2e-4), (50, 1e-4), (100, 5e-5), (599, 9.765625e-8)):
        for name in ("generator_1", "discriminator_1"):
            assert float(rates[name](epochs * epoch)) == pytest.approx(wanted, rel=1e-5)
    for epochs, wanted in ((600, 2e-4), (699, 2e-4), (700, 1e-4), (1199, 6.25e-6)):
        for name in ("generator_2", "discriminator_2"):
            assert float(rates[name]((epochs - 600) * epoch)) == pytest.approx(wanted, rel=1e-5)
