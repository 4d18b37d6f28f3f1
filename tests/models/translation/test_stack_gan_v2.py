"""StackGAN v2: sizes of the tree, joint losses of all branches, and what is stopped where."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tests.seeds import set_seed
from tfgen.layers import glu
from tfgen.models import StackGANv2
from tfgen.models.translation import stack_gan_v2
from tfgen.models.translation.stack_gan_v2 import TreeGenerator

RNG = np.random.default_rng(0)
SMALL = {"image_shape": (8, 8, 1), "embedding_dim": 3, "width": 4, "ups": 1, "branches": 2, "blocks": 1, "noise_dim": 2,
         "condition_dim": 2, "discriminator_width": 2}  # fmt: skip
BATCH = {"image": RNG.random((4, 8, 8, 1), "float32"), "embedding": RNG.normal(size=(4, 3)).astype("float32")}
E = tf.constant(BATCH["embedding"])


def sgd(rate=0.1):
    return {"class_name": "SGD", "config": {"learning_rate": rate}}


def made(optimizer=None, **settings):
    set_seed(0)
    model = StackGANv2(**{**SMALL, **settings})
    model.compile(optimizer or sgd(), run_eagerly=True)
    return model


def step(model):
    return {name: float(value) for name, value in model.update({k: tf.constant(v) for k, v in BATCH.items()}).items()}


def parameters(network):
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


def weights(*networks):
    return [v.numpy() for network in networks for v in network.trainable_variables]


def moved(before, *networks):
    return [bool(np.any(a != b)) for a, b in zip(before, weights(*networks), strict=True)]


# ---- networks


def test_sizes_of_the_paper(monkeypatch):
    """The generator; its number of weights does not depend on the size of the images, the grid's 4 x 4 is that of 256."""
    monkeypatch.setattr(stack_gan_v2, "_WEIGHTS", "zeros")
    network = TreeGenerator(image_shape=(256, 256, 3), condition_dim=128, width=64, ups=4, branches=3, blocks=2)
    assert network.grid == (4, 4, 1024)
    network.build([(None, 1024), (None, 100), (None, 128)])
    assert parameters(network) == 21_239_696
    found = network([tf.zeros([1, 1024]), tf.zeros([1, 100]), tf.zeros([1, 128])])
    assert [image.shape[1] for image in found["images"]] == [64, 128, 256]


def test_small_sizes():
    model = made(image_shape=(32, 32, 3), embedding_dim=32, width=16, branches=3, blocks=2, noise_dim=16, condition_dim=16)
    assert parameters(model.generator) == 80_228
    flat = made(image_shape=(28, 28, 1), ups=0, branches=3)
    assert flat.generator.grid == (7, 7, 4)
    images = flat.sizes(flat.latents([0, 1]), E[:2])
    assert [image.shape for image in images] == [(2, 7, 7, 1), (2, 14, 14, 1), (2, 28, 28, 1)]
    np.testing.assert_allclose(images[-1], flat.sample(2, embedding=E[:2]), atol=1e-6)


def test_weights_start_orthogonal():
    model = made(condition_dim=4)
    branch = model.generator.branches[0].joint.conv.kernel.numpy().reshape(-1, 8)
    np.testing.assert_allclose(branch.T @ branch, np.eye(8), atol=1e-5)
    dense = model.generator.dense.kernel.numpy()
    np.testing.assert_allclose(dense @ dense.T, np.eye(len(dense)), atol=1e-5)
    augment = model.generator.augment.dense.kernel.numpy()
    np.testing.assert_allclose(augment @ augment.T, np.eye(3), atol=1e-5)


def test_the_tree_by_hand():
    """One condition at all sizes; gated units; no activation after the sum of a residual unit."""
    network = made().generator
    z, noise = (tf.constant(RNG.normal(size=(4, 2)), tf.float32) for _ in range(2))
    found = network([E, z, noise])
    mean, log_stddev = network.augment(E)
    condition = mean + tf.exp(log_stddev) * noise

    def gated(unit, x):
        return glu(unit.norm(unit.conv(x), training=False))

    def up(x):
        return tf.constant(np.repeat(np.repeat(x, 2, axis=1), 2, axis=2))

    x = glu(network.dense_norm(network.dense(tf.concat([condition, z], axis=1)), training=False))
    x = gated(network.ups[0], up(tf.reshape(x, [4, 2, 2, 8])))
    np.testing.assert_allclose(found["images"][0], np.tanh(network.heads[0](x)), atol=1e-5)
    branch = network.branches[0]
    beside = tf.concat([x, tf.tile(condition[:, None, None], [1, 4, 4, 1])], axis=-1)
    x = gated(branch.joint, beside)
    unit = branch.blocks[0]
    x = x + unit.norm(unit.conv(gated(unit.gated, x)), training=False)
    x = gated(branch.out, up(x))
    np.testing.assert_allclose(found["images"][1], np.tanh(network.heads[1](x)), atol=1e-5)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"image_shape": (8, 12, 1), "branches": 3}, "multiples of 8, with branches=3 and ups=1; received 8 x 12"),
        ({"width": 2, "branches": 3}, "width must be a multiple of 4, with branches=3; received 2"),
        ({"unconditional_weight": -1.0}, "unconditional_weight must be a number >= 0"),
        ({"branches": 0}, "branches must be an integer in"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        StackGANv2(**{**SMALL, **settings})


# ---- losses


def zero_heads(model):
    for network in model.discriminators:
        for head in (network.logit, network.unconditional):
            if head is not None:
                head.kernel.assign(tf.zeros_like(head.kernel.value))


@pytest.mark.parametrize("weight, of_d, of_g", [(1.0, 6.0, 2.0), (0.5, 4.5, 1.5), (0.0, 2.0, 1.0)])
def test_losses_with_logits_of_zero(weight, of_d, of_g):
    """Of two branches, in ln 2: three terms with the text and three without, or 1 + 1/2 + 1/2 alone."""
    model = made({"generator": sgd(), "discriminators": sgd(0.0)}, unconditional_weight=weight)
    zero_heads(model)
    before = weights(model.generator)
    found = step(model)
    assert found["discriminator_loss"] == pytest.approx(2 * of_d * math.log(2), rel=1e-5)
    assert found["generator_loss"] == pytest.approx(2 * of_g * math.log(2) + 2 * found["divergence"], rel=1e-5)
    changed = moved(before, model.generator)
    names = ["augment" in v.path for v in model.generator.trainable_variables]
    assert any(changed) and not any(c and not own for c, own in zip(changed, names, strict=True))


def test_what_discriminators_call_real():
    """With text only the matching pair; alone the mismatched image too, which is real."""
    model = made()
    pairs = (1.0, 2.0), (3.0, 4.0), (5.0, 6.0)
    logits = [{"logit": tf.constant([a]), "unconditional": tf.constant([b])} for a, b in pairs]
    sp = lambda x: math.log1p(math.exp(x))  # noqa: E731
    wanted = sp(-1) + sp(3) + sp(5) + sp(-2) + sp(-4) + sp(6)
    assert float(model.discriminator_loss(logits, tf.ones([1]))) == pytest.approx(wanted, rel=1e-6)
    assert float(model.discriminator_loss(logits, tf.zeros([1]))) == pytest.approx(wanted - sp(3), rel=1e-6)
    alone = made(unconditional_weight=0.0)
    assert alone.discriminators[0].unconditional is None
    assert float(alone.discriminator_loss(logits, tf.ones([1]))) == pytest.approx(sp(-1) + 0.5 * (sp(3) + sp(5)), rel=1e-6)


def watched(model):
    """`judge` with its arguments in a list."""
    seen, judge = [], model.judge

    def watching(branch, images, mean, training=False):
        seen.append((branch, images, mean, training))
        return judge(branch, images, mean, training=training)

    object.__setattr__(model, "judge", watching)
    return seen


def test_pairs_that_discriminators_are_shown():
    """At both sizes real, mismatched and generated images, and mu of the row's own text; then the same noise for G."""
    model = made({"generator": sgd(0.0), "discriminators": sgd(0.0)})
    seen = watched(model)
    step(model)
    raw = 2.0 * BATCH["image"] - 1.0
    small = raw.reshape(4, 4, 2, 4, 2, 1).mean(axis=(2, 4))
    assert [one[0] for one in seen] == [0, 0, 0, 1, 1, 1, 0, 1] and all(one[3] for one in seen)
    for k, images in ((0, small), (3, raw)):
        np.testing.assert_allclose(seen[k][1], images, atol=1e-6)
        np.testing.assert_allclose(seen[k + 1][1], images[[1, 2, 3, 0]], atol=1e-6)
    for k in (0, 1):
        np.testing.assert_allclose(seen[2 + 3 * k][1], seen[6 + k][1], atol=1e-5)
    mean, _ = model.generator.augment(E)
    for one in seen:
        np.testing.assert_allclose(one[2], mean, atol=1e-6)


def test_every_loss_reaches_its_own_player_alone():
    for rates in ((0.1, 0.0), (0.0, 0.1)):
        model = made({"generator": sgd(rates[0]), "discriminators": sgd(rates[1])})
        before = weights(model.generator), weights(*model.discriminators)
        step(model)
        changed = moved(before[0], model.generator), moved(before[1], *model.discriminators)
        assert [any(one) for one in changed] == [rate > 0 for rate in rates]
        kernels = [v.path.endswith("kernel") for v in model.generator.trainable_variables]
        if rates[0]:
            assert all(c for c, kernel in zip(changed[0], kernels, strict=True) if kernel), "all sizes are trained at once"
        else:
            first = [weights(network) for network in made().discriminators]
            assert all(any(moved(a, network)) for a, network in zip(first, model.discriminators, strict=True))


def test_a_gradient_reaches_the_augmentation_through_the_discriminators():
    """In G's loss mu is not stopped: with images that G cannot change, its dense layer still moves."""
    model = made({"generator": sgd(), "discriminators": sgd(0.0)}, kl_weight=0.0)
    judge = model.judge
    object.__setattr__(
        model, "judge", lambda i, images, mean, training=False: judge(i, tf.stop_gradient(images), mean, training=training)
    )
    before = weights(model.generator)
    step(model)
    changed = moved(before, model.generator)
    names = ["augment" in v.path for v in model.generator.trainable_variables]
    assert any(changed) and not any(c and not own for c, own in zip(changed, names, strict=True))


def test_colours_lead_from_small_to_large():
    """The colour term moves the large branch; the smallest branch's own head never."""
    model = made({"generator": sgd(), "discriminators": sgd(0.0)}, colour_weight=50.0, kl_weight=0.0)
    zero_heads(model)
    before = weights(model.generator.heads[0]), weights(model.generator.heads[1])
    images = model.made(model.training_latents(BATCH, 0), E, training=True)["images"]
    found = step(model)
    colours = [np.asarray(image).reshape(4, -1, 1) for image in images]
    means = [c.mean(axis=1) for c in colours]
    covariances = [((c - m[:, None]) ** 2).mean(axis=1) for c, m in zip(colours, means, strict=True)]
    wanted = np.mean((means[1] - means[0]) ** 2) + 5 * np.mean((covariances[1] - covariances[0]) ** 2)
    assert found["colour_loss"] == pytest.approx(wanted, rel=1e-4)
    assert found["generator_loss"] == pytest.approx(4 * math.log(2) + 50 * wanted, rel=1e-5)
    assert not any(moved(before[0], model.generator.heads[0])) and any(moved(before[1], model.generator.heads[1]))


def test_moving_statistics_are_those_of_real_images_with_their_own_text():
    model, other = made(sgd(0.0)), made(sgd(0.0))
    step(model)
    mean, _ = other.generator.augment(E)
    for i, images in enumerate(other.pyramid(tf.constant(2.0 * BATCH["image"] - 1.0))):
        other.judge(i, images, mean, training=True)
        pairs = zip(model.discriminators[i].weights, other.discriminators[i].weights, strict=True)
        found = {a.path: (a.numpy(), b.numpy()) for a, b in pairs if "moving" in a.path}
        assert found
        for path, (a, b) in found.items():
            np.testing.assert_allclose(a, b, atol=1e-6, err_msg=path)


def test_joint_passes_judge_pairs_of_all_kinds_in_one_batch():
    """Their statistics are those of the three kinds together, in the generator's update too, which moves none."""
    model, other = made(sgd(0.0), passes="joint"), made(sgd(0.0))
    calls = watched_images(model)
    step(model)
    branches = len(model.discriminators)
    assert [len(images) for images in calls] == [3 * len(E)] * 2 * branches
    for i in range(branches):
        of_both = calls[i], calls[branches + i]
        np.testing.assert_array_equal(of_both[0][:8], of_both[1][:8])  # the real images; only then the generated ones
        mean, _ = other.generator.augment(E)
        other.judge(i, calls[i], tf.tile(mean, [3, 1]), training=True)
        pairs = zip(model.discriminators[i].weights, other.discriminators[i].weights, strict=True)
        for a, b in (pair for pair in pairs if "moving" in pair[0].path):
            np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-6, err_msg=a.path)


def watched_images(model):
    seen, judge = [], model.judge

    def watching(branch, images, mean, training=False):
        seen.append(images.numpy())
        return judge(branch, images, mean, training=training)

    object.__setattr__(model, "judge", watching)
    return seen


def test_match_logits_are_those_of_the_largest_branch():
    model = made()
    found = model.match_logits(BATCH["image"], BATCH["embedding"])
    mean, _ = model.generator.augment(E)
    wanted = model.discriminators[-1]([2 * BATCH["image"] - 1, mean], training=False)["logit"]
    np.testing.assert_allclose(found, wanted, atol=1e-6)
