"""SS-GAN: the layout of its batches, who learns from which rotations, and the golden values of its losses."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.seeds import set_seed
from tfgen.layers import SpectralDense
from tfgen.models import SNGAN, SSGAN
from tfgen.models.adversarial import ss_gan
from tfgen.models.adversarial.parts.passes import Pass

MLP = {"image_shape": (6, 6, 1), "network": "mlp", "width": 8, "latent_dim": 3}
RESNET = {"image_shape": (8, 8, 1), "network": "resnet", "width": 4, "latent_dim": 3}
RNG = np.random.default_rng(0)
IMAGES = RNG.random((8, 6, 6, 1), dtype="float32")
LABELS = np.array([0, 1, 2, 0, 2, 1, 0, 1], "int32")
CE_AT_CHANCE = 1.3862943611


def count(network):
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


def weights(layer):
    return [np.array(v) for v in layer.trainable_variables]


def moved(before, after):
    return [bool(np.any(a != b)) for a, b in zip(before, after, strict=True)]


def compiled(model, generator=0.0, discriminator=0.0):
    """Plain gradient descent with these rates."""
    model.compile(
        {"generator": keras.optimizers.SGD(generator), "discriminator": keras.optimizers.SGD(discriminator)},
        run_eagerly=True,
    )
    return model


def fitted(model, steps=1, images=IMAGES, **more):
    history = model.fit({"image": images, **more}, batch_size=len(images), epochs=steps, verbose=0).history
    return {name: values[-1] for name, values in history.items()}


# ---- golden values


def test_rotations_are_counter_clockwise():
    images = tf.constant([[1, 2], [3, 4]], tf.float32)[None, :, :, None]
    found = ss_gan.with_turned(images, 1)[..., 0].numpy().tolist()
    assert found == [[[1, 2], [3, 4]], [[2, 4], [1, 3]], [[4, 3], [2, 1]], [[3, 1], [4, 2]]]
    four = images
    for _ in range(4):
        four = ss_gan.with_turned(four, 1)[1:2]
    np.testing.assert_array_equal(four, images)


def test_layout_of_a_batch():
    """Of 4 images 2 are turned: x0 x1 x2 x3, then x2 x3 by one, two and three quarters."""
    images = IMAGES[:4]
    found = ss_gan.with_turned(tf.constant(images), 2)
    turns = [np.rot90(images[2:], k, axes=(1, 2)) for k in (1, 2, 3)]
    np.testing.assert_array_equal(found, np.concatenate([images, *turns]))
    assert ss_gan.rotations_of(2).numpy().tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert ss_gan.rotations_of(3).numpy().tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_rotation_loss():
    logits = tf.constant([[2, 0, 1, -1], [0, 3, 0, 0], [1, 1, 1, 1], [0, 1, 2, 3]], tf.float64)
    assert float(ss_gan.rotation_loss(logits)) == pytest.approx(0.60147002, abs=1e-8)
    assert float(ss_gan.rotation_loss(tf.zeros([8, 4], tf.float64))) == pytest.approx(CE_AT_CHANCE, abs=1e-10)
    sure = tf.constant([[0, 100, 0, 0]] * 4, tf.float64)  # no 1e-10 in the logarithm, which would stop at 23
    assert float(ss_gan.rotation_loss(sure)) == pytest.approx(75.0)
    two = tf.constant([[9, 0, 0, 0]] * 2 + [[0, 9, 0, 0]] * 2 + [[0, 0, 9, 0]] * 2 + [[0, 0, 0, 9]] * 2, tf.float32)
    assert float(ss_gan.rotation_loss(two)) < 1e-3


@pytest.mark.parametrize(
    ("settings", "discriminator", "generator"),
    [
        ({}, 3.3862943611, 0.2772588722),
        ({"objective": "non_saturating"}, 2.7725887222, 0.9704060528),
        ({"alpha": 0.5, "beta": 2.0}, 2.0 + 2.0 * CE_AT_CHANCE, 0.5 * CE_AT_CHANCE),
        ({"adversarial": False}, CE_AT_CHANCE, 0.2772588722),
        ({"adversarial": False, "alpha": 0.0}, CE_AT_CHANCE, 0.0),
    ],
)
def test_losses_of_a_discriminator_that_knows_nothing(settings, discriminator, generator):
    model = compiled(SSGAN(**MLP, **settings))
    for variable in model.discriminator.trainable_variables:
        variable.assign(tf.zeros_like(variable.value))
    logs = fitted(model)
    beta, alpha = settings.get("beta", 1.0), settings.get("alpha", 0.2)
    assert logs["discriminator_loss"] == pytest.approx(discriminator, rel=1e-6)
    assert logs["generator_loss"] == pytest.approx(generator, rel=1e-6)
    assert logs["rotation_real"] == pytest.approx(beta * CE_AT_CHANCE, rel=1e-6)
    assert logs["rotation_fake"] == pytest.approx(alpha * CE_AT_CHANCE, rel=1e-6)


# ---- the parts of a batch


@pytest.mark.parametrize("settings", [MLP, {**MLP, "num_classes": 3}, {**RESNET, "image_shape": (6, 6, 1), "num_classes": 3,
                                      "network_args": {"generator": {"stages": 1}}}])  # fmt: skip
def test_slices_of_the_outputs(settings):
    set_seed(0)
    model, raw = SSGAN(**settings, rotated_share=0.5), 2.0 * IMAGES[:4] - 1.0
    one_hot = tf.one_hot(LABELS[:4], 3) if model.num_classes else None
    seen = model.passed(Pass(tf.constant(raw), one_hot), stream=0).outputs
    upright = model.discriminate(raw, one_hot, training=True)
    assert seen["logit"].shape == (4,) and seen["rotation"].shape == (8, 4)
    for name in ("logit", "features"):
        np.testing.assert_allclose(seen[name], upright[name], atol=1e-5)
    np.testing.assert_allclose(seen["rotation"][:2], upright["rotation"][2:], atol=1e-5)
    for quarters in (1, 2, 3):
        turned = np.ascontiguousarray(np.rot90(raw[2:], quarters, axes=(1, 2)))
        expected = model.discriminate(turned, None if one_hot is None else one_hot[2:], training=True)["rotation"]
        np.testing.assert_allclose(seen["rotation"][2 * quarters : 2 * quarters + 2], expected, atol=1e-5)
    assert np.ptp(seen["rotation"]) > 1e-3


@pytest.mark.parametrize(
    ("share", "size", "expected"),
    [(0.25, 64, 16), (0.25, 5, 2), (0.25, 1, 1), (1.0, 7, 7), (0.3, 50, 15), (0.7, 10, 7), (1e-6, 64, 1)],
)
def test_number_of_images_that_are_turned(share, size, expected):
    assert int(SSGAN(**MLP, rotated_share=share).number_of_rotated(tf.constant(size))) == expected


def test_what_the_discriminator_sees_in_a_step(monkeypatch):
    """In its update: real images with their turns, fakes without; in the generator's: fakes with their turns."""
    model, seen = compiled(SSGAN(**MLP, num_classes=3)), []
    look = model.discriminate
    object.__setattr__(model, "discriminate", lambda images, *args, **kw: seen.append((images.numpy(), args[0].numpy())) or
                       look(images, *args, **kw))  # fmt: skip
    fitted(model, label=LABELS)
    (real, real_labels), (fake, fake_labels), (turned, turned_labels) = seen[-3:]
    assert [len(one) for one in (real, fake, turned)] == [8 + 6, 8, 8 + 6]
    order = [int(np.argmin([np.abs(2 * IMAGES[j] - 1 - image).sum() for j in range(8)])) for image in real[:8]]
    assert sorted(order) == list(range(8))
    np.testing.assert_array_equal(real_labels.argmax(1), LABELS[[*order, *order[6:] * 3]])
    for images, labels in ((real, real_labels), (turned, turned_labels)):
        for quarters in (1, 2, 3):
            rows = slice(6 + 2 * quarters, 8 + 2 * quarters)
            np.testing.assert_array_equal(images[rows], np.rot90(images[6:8], quarters, axes=(1, 2)))
            np.testing.assert_array_equal(labels[rows], labels[6:8])  # of the fakes their own
    assert np.any(fake[:8] != turned[:8])  # new latents


# ---- who learns from what


def test_the_discriminator_learns_rotations_of_real_images_alone():
    """Its update does not depend on alpha, nor its head on fakes."""
    after = []
    for alpha in (0.0, 50.0):
        set_seed(0)
        model = compiled(SSGAN(**MLP, alpha=alpha), discriminator=0.1)
        before = weights(model.discriminator)
        fitted(model)
        assert sum(moved(before, weights(model.discriminator))) >= len(before) - 1  # hinge losses may leave the last bias
        after.append(weights(model.discriminator))
    for one, other in zip(*after, strict=True):
        np.testing.assert_array_equal(one, other)

    set_seed(0)  # without a weight the head does not move, however the fakes are turned
    model = compiled(SSGAN(**MLP, alpha=50.0, beta=0.0), generator=0.1, discriminator=0.1)
    head = weights(model.discriminator.rotation)
    fitted(model, steps=3)
    assert not any(moved(head, weights(model.discriminator.rotation)))


def test_the_gradient_of_the_discriminators_head_is_that_of_real_images():
    """Of its bias: beta times the mean of softmax minus target, over the turned real images."""
    set_seed(0)
    model, seen = compiled(SSGAN(**MLP, beta=3.0, rotated_share=0.5), discriminator=0.1), []
    look = model.discriminate
    object.__setattr__(model, "discriminate", lambda *args, **kw: seen.append(look(*args, **kw)) or seen[-1])
    bias = model.discriminator.rotation.bias
    bias.assign([0.5, -0.5, 1.0, 0.0])
    before = bias.numpy()
    fitted(model)
    logits = seen[-3]["rotation"].numpy()[4:]
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = 3.0 * (shares - np.repeat(np.eye(4), 4, axis=0)).mean(0)
    np.testing.assert_allclose(bias.numpy() - before, -0.1 * expected, atol=1e-6)
    assert np.abs(expected).max() > 0.1


def test_the_generator_learns_from_rotations_of_its_images():
    for alpha, adversarial, expected in ((0.2, False, True), (0.0, False, False), (0.0, True, True)):
        set_seed(0)
        model = compiled(SSGAN(**MLP, alpha=alpha, adversarial=adversarial), generator=0.1)
        generator, discriminator = weights(model.generator), weights(model.discriminator)
        fitted(model, steps=2)
        assert any(moved(generator, weights(model.generator))) == expected
        assert not any(moved(discriminator, weights(model.discriminator)))


def test_rotation_alone_leaves_the_logit_of_real_and_fake_alone():
    set_seed(0)
    model = compiled(SSGAN(**MLP, adversarial=False), discriminator=0.1)
    logit, head = model.discriminator.discriminator.logit, model.discriminator.rotation
    before = weights(logit), weights(head)
    fitted(model, steps=2)
    assert not any(moved(before[0], weights(logit))) and all(moved(before[1], weights(head)))


def test_without_weights_it_is_sngan():
    set_seed(0)
    ours, base = SSGAN(**MLP, alpha=0.0, beta=0.0), SNGAN(**MLP, discriminator_steps=1)
    base.generator.set_weights(ours.generator.get_weights())
    base.discriminator.set_weights(ours.discriminator.discriminator.get_weights())
    logs = [fitted(compiled(model, generator=0.1, discriminator=0.1), steps=4) for model in (ours, base)]
    for name in base.loss_names:
        assert logs[0][name] == pytest.approx(logs[1][name], rel=1e-4, abs=1e-6)
    for one, other in zip(ours.generator.get_weights(), base.generator.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


# ---- alpha


def test_alpha_falls_to_zero():
    model = SSGAN(**MLP, alpha=0.2, alpha_steps=100)
    found = [float(model.alpha_at(tf.constant(step, tf.int64))) for step in (0, 25, 50, 99, 100, 1000)]
    np.testing.assert_allclose(found, [0.2, 0.15, 0.1, 0.002, 0.0, 0.0], atol=1e-7)
    assert float(SSGAN(**MLP).alpha_at(tf.constant(10**6, tf.int64))) == pytest.approx(0.2)


def test_alpha_of_a_step_is_in_its_loss():
    model = SSGAN(**MLP, alpha=0.4, alpha_steps=4)
    model.compile({name: keras.optimizers.SGD(0.0) for name in ("generator", "discriminator")})  # one graph for all steps
    for variable in model.discriminator.trainable_variables:
        variable.assign(tf.zeros_like(variable.value))
    found = model.fit({"image": IMAGES}, batch_size=8, epochs=6, verbose=0).history["rotation_fake"]
    np.testing.assert_allclose(found, np.array([0.4, 0.3, 0.2, 0.1, 0.0, 0.0]) * CE_AT_CHANCE, rtol=1e-5, atol=1e-7)


# ---- the networks


def test_parameters_of_the_papers_networks():
    model = tfgen.presets.get("ss-gan/cifar10-paper").build()
    assert count(model.generator) == 4_276_739
    assert count(model.discriminator) == 1_087_365 and count(model.discriminator.discriminator) == 1_086_849
    assert count(model.discriminator.rotation) == 516
    small = SSGAN(image_shape=(32, 32, 1), network="resnet", width=64)
    assert count(small.discriminator) == 272_069 and count(small.discriminator.discriminator) == 271_809


def test_parameters_with_self_modulated_batch_norm():
    """Each of the seven norms has 21,024 parameters where it had 512."""
    args = tfgen.presets.get("ss-gan/cifar10-sbn-paper").model_args
    model = SSGAN(**{**args, "network_args": {"generator": {"width": 256}, "discriminator": {"width": 4}}})
    assert count(model.generator) == 4_276_739 + 7 * (21_024 - 512)
    assert count(model.generator.norm) == count(model.generator.blocks[0].norms[1]) == 21_024


def test_features_are_means_over_positions_and_the_head_has_spectral_norm():
    set_seed(0)
    model = SSGAN(**RESNET)
    x = RNG.random((3, 8, 8, 1), dtype="float32")
    maps, critic = x, model.discriminator.discriminator
    for block in critic.blocks:
        maps = block(maps)
    np.testing.assert_allclose(model.discriminate(x)["features"], np.maximum(maps, 0).mean((1, 2)), atol=1e-6)
    head = model.discriminator.rotation
    assert isinstance(head, SpectralDense) and head.units == 4 and head.use_bias
    before = head.u.numpy()
    model.compile(run_eagerly=True)
    fitted(model, images=x)
    assert np.any(head.u.numpy() != before)


@pytest.mark.long
def test_networks_of_128_pixels():
    args = tfgen.presets.get("ss-gan/imagenet128-paper").model_args
    narrow = {"generator": {"filters": (4, 4, 2, 2, 2, 1)}, "discriminator": {"filters": (1, 2, 4, 4, 8, 8), "downs": 5}}
    model = SSGAN(**{**args, "network_args": narrow})
    assert model.generator.grid == (4, 4, 4) and model.sample(1).shape == (1, 128, 128, 3)
    for name, network in args["network_args"].items():
        assert len(network["filters"]) == len(narrow[name]["filters"])


# ---- rotations of images


def corner_images(size, corners, rng=RNG):
    """Dark images with a bright corner, which is numbered counter-clockwise from the upper left."""
    images = 0.1 * rng.random((size, 6, 6, 1), dtype="float32")
    for image, corner in zip(images, corners, strict=True):
        image[(0, 5, 5, 0)[corner], (0, 0, 5, 5)[corner]] = 1.0
    return images


def test_rotation_accuracy_of_a_discriminator_that_looks_at_one_corner():
    """It names the corner that is bright: right for images whose upper left corner is, wrong for the others."""
    model = SSGAN(**MLP)

    def look(raw, one_hot=None):
        images = np.asarray(raw)[..., 0]
        corners = np.stack([images[:, 0, 0], images[:, 5, 0], images[:, 5, 5], images[:, 0, 5]], axis=1)
        return {"rotation": tf.constant(corners)}

    object.__setattr__(model, "discriminate", look)
    assert model.rotation_accuracy(corner_images(5, [0] * 5), batch_size=2) == 1.0
    assert model.rotation_accuracy(corner_images(5, [0, 0, 1, 2, 3])) == pytest.approx(0.4)
    np.testing.assert_array_equal(np.argmax(model.rotation_logits(corner_images(4, range(4))), 1), range(4))


def test_it_learns_where_images_stand():
    set_seed(0)
    model = SSGAN(**{**MLP, "width": 32}, adversarial=False)
    model.compile({"discriminator": keras.optimizers.Adam(0.01)}, steps_per_execution=20)
    images = tf.data.Dataset.from_tensors(corner_images(64, [0] * 64)).repeat()
    model.fit(images, steps_per_epoch=60, verbose=0)
    assert model.rotation_accuracy(corner_images(50, [0] * 50)) > 0.95


def test_a_conditional_model_needs_labels():
    model = SSGAN(**MLP, num_classes=3)
    assert 0 <= model.rotation_accuracy(IMAGES, LABELS, batch_size=3) <= 1
    with pytest.raises(ValueError, match="label"):
        model.rotation_accuracy(IMAGES)


# ---- wrong settings


def test_wrong_settings():
    for change, what in (
        ({"image_shape": (8, 6, 1)}, "equal sides, since .*; received 8 x 6 pixels"),
        ({"discriminator_augmentation": "adaptive"}, "'adaptive' turns images by quarters"),
        ({"adversarial": False, "beta": 0.0}, "leaves the discriminator without a loss"),
        ({"self_modulated": True, "network_args": {"generator": {"norm": "batch"}}}, "received a norm in network_args"),
        ({"rotated_share": 0.0}, r"rotated_share must be a number in \(0, 1\]"), ({"rotated_share": 1.5}, "rotated_share"),
        ({"alpha": -0.1}, "alpha must be"), ({"alpha_steps": 0}, "alpha_steps must be"), ({"beta": float("nan")}, "beta"),
        ({"adversarial": 0}, "adversarial"),
        ({"network_args": {"discriminator": {"shortcuts": "none"}}, "network": "resnet"}, "must be 'changed' or 'all'"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=what):
            SSGAN(**{**MLP, **change})
    model = SSGAN(**MLP)
    with pytest.raises(ValueError, match="image"):
        model.rotation_logits(np.zeros((2, 8, 8, 1), "float32"))
    with pytest.raises(ValueError, match="batch_size"):
        model.rotation_accuracy(IMAGES, batch_size=0)
    with pytest.raises(ValueError, match="at least one image"):
        model.rotation_accuracy(IMAGES[:0])


def test_own_networks():
    x = keras.Input((6, 6, 1))
    features = SpectralDense(5, activation="relu")(keras.layers.Flatten()(x))
    critic = keras.Model(x, {"logit": SpectralDense(1)(features), "features": features})
    generator = keras.Sequential([keras.Input((3,)), keras.layers.Dense(36, "tanh"), keras.layers.Reshape((6, 6, 1))])
    model = compiled(SSGAN(image_shape=(6, 6, 1), latent_dim=3, generator=generator, discriminator=critic), 0.1, 0.1)
    assert model.discriminator.rotation.raw_weight.shape == (5, 4)
    kernels = [v for v in model.discriminator.trainable_variables if len(v.shape) > 1]
    before = [v.numpy() for v in kernels]
    assert fitted(model)["rotation_real"] > 0 and len(kernels) == 3 and all(moved(before, [v.numpy() for v in kernels]))
    again = SSGAN.from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_allclose(again.rotation_logits(IMAGES), model.rotation_logits(IMAGES), atol=1e-6)
    with pytest.raises(ValueError, match="features"):
        SSGAN(**MLP, discriminator=keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Flatten(), SpectralDense(1)]))
    with pytest.raises(ValueError, match="self_modulated=True is a setting of the built-in networks"):
        SSGAN(**MLP, generator=generator, self_modulated=True)
