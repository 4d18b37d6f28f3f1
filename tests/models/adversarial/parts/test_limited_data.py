"""Augmentation and LeCam: closed forms, gradients, what is augmented, and the state."""

import itertools
import math

import keras
import numpy as np
import pytest
import scipy.spatial.transform
import scipy.stats
import tensorflow as tf

from tests.seeds import set_seed
from tfgen import losses, random
from tfgen.models import DCGAN, SNGAN, WGANGP
from tfgen.models.adversarial.parts import augmentation as aug
from tfgen.models.adversarial.parts.limited_data import AdaptiveProbability, LogitAverages

KEYS = random.key(tf.range(2_000))
NUMBERS = np.random.default_rng(4).uniform(size=(2_000, 30)).astype("float32")
RGB = np.array([[[0.2, 0.4, 0.6], [-0.5, 0.0, 0.5]]], "float32")[None]  # [1, 1, 2, 3]
ARGS = {"image_shape": (8, 8, 1), "width": 4, "stages": 1, "latent_dim": 3}
MLP = {"image_shape": (8, 8, 1), "network": "mlp", "width": 4, "latent_dim": 3, "discriminator_steps": 1}
BATCH = {"image": np.random.default_rng(0).random((8, 8, 8, 1), dtype="float32")}


def one(value):
    return tf.constant([value], tf.float32)


# ---- DiffAugment


def test_color():
    bright = aug.color(RGB, one(0.25), one(1.5), one(1.0))
    np.testing.assert_allclose(bright, [[[[0.35, 0.65, 0.95], [-0.5, 0.25, 1.0]]]], atol=1e-6)
    contrast = aug.color(bright, one(0.0), one(1.0), one(0.75))
    np.testing.assert_allclose(contrast, [[[[0.375, 0.6, 0.825], [-0.2625, 0.3, 0.8625]]]], atol=1e-6)
    grey = tf.constant(RGB[..., :1])
    np.testing.assert_allclose(aug.color(grey, one(0.0), one(1.7), one(1.0)), grey, atol=1e-7)


def test_translate():
    image = np.arange(1.0, 17.0, dtype="float32").reshape(1, 4, 4, 1)
    moved = aug.translate(image, tf.constant([[1, -1]]))[0, :, :, 0]
    np.testing.assert_array_equal(moved, [[0, 5, 6, 7], [0, 9, 10, 11], [0, 13, 14, 15], [0, 0, 0, 0]])
    np.testing.assert_array_equal(aug.translate(image, tf.constant([[0, 0]])), image)


@pytest.mark.parametrize("size, side, area", [(28, 14, 0.18579073), (32, 16, 0.18646694)])
def test_cut_out(size, side, area):
    offsets = np.stack(np.meshgrid(*[np.arange(size + 1)] * 2), -1).reshape(-1, 2).astype("int32")
    left = aug.cut_out(tf.ones([len(offsets), size, size, 1]), offsets, (side, side))
    assert 1 - float(tf.reduce_mean(left)) == pytest.approx(area, abs=1e-6)
    gone = 1 - tf.reduce_mean(left, axis=[1, 2, 3]).numpy()
    assert gone.min() == pytest.approx((side / 2 / size) ** 2) and gone.max() == pytest.approx((side / size) ** 2)


def test_ranges_of_the_policies():
    ramp = np.tile(np.arange(1.0, 33.0, dtype="float32")[None, :, None, None], (2000, 1, 32, 1))
    moved = aug.diff_augment(ramp, KEYS, "translation").numpy()[:, 16, 16, 0]
    shown = moved[moved > 0] - ramp[0, 16, 16, 0]
    assert set(shown) == set(range(-4, 5)), "32 px are moved by at most 4"
    pixel = np.stack([np.full([2000, 8, 8], value, "float32") for value in (0.1, 0.2, 0.6)], -1)
    change = aug.diff_augment(pixel, KEYS, "color").numpy() - pixel
    shift = change.mean(axis=(1, 2, 3))  # brightness alone moves the mean
    assert -0.5 <= shift.min() < -0.49 and 0.49 < shift.max() <= 0.5
    assert abs(shift.mean()) < 0.02
    assert (aug.diff_augment(np.ones([2000, 8, 8, 1], "float32"), KEYS, "cutout").numpy() == 0).any((1, 2, 3)).all()


def test_saturation_is_between_0_and_2_and_contrast_between_half_and_three_halves():
    rows = np.linspace(-1, 1, 8, dtype="float32")[None, :, None, None] * np.ones([2000, 1, 8, 1], "float32")
    contrast = aug.diff_augment(rows, KEYS, "color").numpy().std((1, 2, 3)) / rows[0].std()
    assert 0.5 <= contrast.min() < 0.51 and 1.49 < contrast.max() <= 1.5001
    pixel = np.stack([np.full([2000, 2, 2], value, "float32") for value in (-0.3, 0.1, 0.2)], -1)
    changed = aug.diff_augment(pixel, KEYS, "color").numpy()[:, 0, 0]
    saturation = np.ptp(changed, axis=1) / 0.5 / contrast  # the same keys, so the same contrast
    assert 0 <= saturation.min() < 0.01 and 1.99 < saturation.max() <= 2.001


def holes(images):
    """(rows, columns): the numbers of those in which an image [B, H, W, 1] is 0, as sets."""
    zero = images.numpy()[..., 0] == 0
    return ([set(np.flatnonzero(one)) for one in zero.any(axis)] for axis in (2, 1))


@pytest.mark.parametrize("size, side", [(8, 4), (9, 5)])
def test_the_hole_of_cutout(size, side):
    """Of half the sides of the image, around any pixel, and if its side is even around the end of the image too."""
    rows, columns = holes(aug.diff_augment(np.ones([2000, size, size, 1], "float32"), KEYS, "cutout"))
    centres = range(size + 1 - side % 2)
    wanted = {frozenset(i for i in range(c - side // 2, c - side // 2 + side) if 0 <= i < size) for c in centres}
    assert {frozenset(one) for one in rows} == {frozenset(one) for one in columns} == wanted
    assert abs(np.corrcoef(list(map(min, rows)), list(map(min, columns)))[0, 1]) < 0.1, "both axes are drawn"


def test_policies_are_in_their_order_and_have_numbers_of_their_own():
    grey = np.full([2000, 8, 8, 1], 0.7, "float32")
    last = aug.diff_augment(grey, KEYS, "color,cutout")
    (rows, _), brightness = holes(last), last.numpy().max((1, 2, 3)) + last.numpy().min((1, 2, 3))
    assert all(rows), "the hole is not coloured"
    assert abs(np.corrcoef(brightness, list(map(min, rows)))[0, 1]) < 0.1
    assert not np.any(aug.diff_augment(grey, KEYS, "cutout,color").numpy() == 0), "the hole is coloured"
    ramps = np.stack(np.meshgrid(*[np.arange(1.0, 17.0)] * 2, indexing="ij"), -1).astype("float32")
    moved = aug.diff_augment(np.repeat(ramps[None], 2000, 0), KEYS, "translation").numpy()[:, 8, 8]
    assert abs(np.corrcoef(moved.T)[0, 1]) < 0.1, "both axes are drawn"


@pytest.mark.parametrize("policy", ["", "colour", "color,color", "color, cutout", "adaptive"])
def test_wrong_policies(policy):
    with pytest.raises(ValueError, match="one or more of color, translation, cutout"):
        aug.diff_augment(RGB, KEYS[:1], policy)


# ---- adaptive augmentation


def test_probability_zero_is_the_identity_and_one_is_not():
    image = np.random.default_rng(0).uniform(-1, 1, (64, 9, 8, 3)).astype("float32")
    np.testing.assert_allclose(aug.adaptive_augment(image, KEYS[:64], tf.constant(0.0)), image, atol=1e-5)
    changed = np.abs(aug.adaptive_augment(image, KEYS[:64], tf.constant(1.0)) - image).max(axis=(1, 2, 3))
    assert (changed > 0.1).all()


def test_warp_by_known_transformations():
    image = np.random.default_rng(1).normal(size=(1, 5, 5, 2)).astype("float32")

    def warped(matrix=((1.0, 0.0), (0.0, 1.0)), shift=(0.0, 0.0)):
        return aug.warp(image, tf.constant([matrix], tf.float32), tf.constant([shift], tf.float32))

    np.testing.assert_allclose(warped([[-1.0, 0.0], [0.0, 1.0]]), image[:, :, ::-1], atol=1e-5)
    np.testing.assert_allclose(warped([[0.0, 1.0], [-1.0, 0.0]])[0], np.rot90(image[0], -1), atol=1e-5)
    moved = warped(shift=(1.0, 0.0))
    np.testing.assert_allclose(moved[:, :, :4], image[:, :, 1:], atol=1e-5)
    np.testing.assert_allclose(moved[:, :, 4], image[:, :, 3], atol=1e-5)  # reflected
    half_way = warped(shift=(0.0, 0.5))
    np.testing.assert_allclose(half_way[:, :4], 0.5 * (image[:, 1:] + image[:, :4]), atol=1e-5)


def test_the_order_of_the_transformations():
    """Against 3x3 matrices that are multiplied in the paper's order, for the same random numbers."""
    numbers = NUMBERS[:64, :20]
    matrix, shift = aug.inverse_transforms((6, 8), tf.constant(numbers), tf.constant(0.7))
    chosen, turned, u = numbers[:, :8] < 0.7, numbers[:, 8:10] < 1 - np.sqrt(0.3), numbers[:, 10:16]
    n = scipy.stats.norm.ppf(numbers[:, 16:])

    def scaled(x, y):
        return np.diag([x, y, 1.0])

    def rotated(angle):
        return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])

    def shifted(x, y):
        return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])

    for i in range(64):
        scale, stretch = 2 ** (0.2 * n[i, 0]), 2 ** (0.2 * n[i, 1])
        steps = [
            (chosen[i, 0], scaled(1 - 2 * np.floor(2 * u[i, 0]), 1)),
            (chosen[i, 1], rotated(-np.pi / 2 * np.floor(4 * u[i, 1]))),
            (chosen[i, 2], shifted(-np.rint((u[i, 2] / 4 - 0.125) * 8), -np.rint((u[i, 3] / 4 - 0.125) * 6))),
            (chosen[i, 3], scaled(1 / scale, 1 / scale)), (turned[i, 0], rotated(-(2 * u[i, 4] - 1) * np.pi)),
            (chosen[i, 5], scaled(1 / stretch, stretch)), (turned[i, 1], rotated(-(2 * u[i, 5] - 1) * np.pi)),
            (chosen[i, 7], shifted(-0.125 * n[i, 2] * 8, -0.125 * n[i, 3] * 6)),
        ]  # fmt: skip
        whole = np.linalg.multi_dot([step if on else np.eye(3) for on, step in steps])
        np.testing.assert_allclose(matrix[i], whole[:2, :2], atol=1e-4)
        np.testing.assert_allclose(shift[i], whole[:2, 2], atol=1e-3)


def test_the_order_of_the_colours():
    """Against 4x4 matrices that are multiplied in the paper's order, for the same random numbers."""
    numbers = NUMBERS[:64, :10]
    matrix, shift = aug.color_transforms(tf.constant(numbers), tf.constant(0.7))
    chosen, u, n = numbers[:, :5] < 0.7, numbers[:, 5:7], scipy.stats.norm.ppf(numbers[:, 7:])
    grey = np.full(3, 3**-0.5)

    def linear(part, move=0.0):
        whole = np.eye(4)
        whole[:3, :3], whole[:3, 3] = part, move
        return whole

    for i in range(64):
        turned = scipy.spatial.transform.Rotation.from_rotvec((2 * u[i, 1] - 1) * np.pi * grey).as_matrix()
        apart = np.eye(3) - np.outer(grey, grey)
        steps = [
            linear(np.eye(3), 0.2 * n[i, 0]), linear(2 ** (0.5 * n[i, 1]) * np.eye(3)),
            linear(np.eye(3) - 2 * np.outer(grey, grey) * (u[i, 0] < 0.5)), linear(turned),
            linear(np.outer(grey, grey) + 2 ** n[i, 2] * apart),
        ]  # fmt: skip
        whole = np.eye(4)
        for step, on in zip(steps, chosen[i], strict=True):
            whole = (step if on else np.eye(4)) @ whole
        np.testing.assert_allclose(matrix[i], whole[:3, :3], atol=1e-4)
        np.testing.assert_allclose(shift[i], whole[:3, 3], atol=1e-4)


def test_colours_by_known_transformations():
    c = RGB[0, 0, 0]
    np.testing.assert_allclose(aug.luma_flip(one(1.0))[0] @ c[:, None], [[-0.6], [-0.4], [-0.2]], atol=1e-6)
    np.testing.assert_allclose(aug.saturate(one(2.0))[0] @ c[:, None], [[0.0], [0.4], [0.8]], atol=1e-6)
    turned = (aug.rotate_hue(one(2 * math.pi / 3))[0] @ c[:, None]).numpy()[:, 0]
    np.testing.assert_allclose(turned, [0.6, 0.2, 0.4], atol=1e-6)  # a third of a turn permutes the channels


def test_frequencies_of_the_transformations():
    """x-flips happen with p / 2, and a rotation, before or after, with p."""
    p = 0.6
    matrix, _ = aug.inverse_transforms((8, 8), tf.constant(NUMBERS[:, :20]), tf.constant(p))
    flipped = np.linalg.det(matrix) < 0
    assert flipped.mean() == pytest.approx(p / 2, abs=0.04)
    assert (NUMBERS[:, 8:10] < 0.36754447).any(1).mean() == pytest.approx(p, abs=0.04)
    matrix, shift = aug.color_transforms(NUMBERS[:, :10], tf.constant(p))
    grey = (matrix.numpy() @ np.ones([3, 1]))[:, 0, 0]
    assert (grey < 0).mean() == pytest.approx(p / 2, abs=0.04)
    assert (shift.numpy()[:, 0] != 0).mean() == pytest.approx(p, abs=0.04)


def test_grey_images_have_the_mean_of_the_colours():
    image = np.random.default_rng(2).uniform(-1, 1, (16, 4, 4, 1)).astype("float32")
    drawn = aug.color_transforms(NUMBERS[:16, :10], tf.constant(1.0))
    grey, rgb = aug.recolor(image, *drawn).numpy(), aug.recolor(np.repeat(image, 3, -1), *drawn).numpy()
    np.testing.assert_allclose(grey[..., 0], rgb.mean(-1), atol=1e-5)


@pytest.mark.parametrize("augment", [
    lambda x: aug.diff_augment(x, KEYS[:4]), lambda x: aug.adaptive_augment(x, KEYS[:4], tf.constant(1.0))])  # fmt: skip
def test_gradients_pass_and_rows_do_not_mix(augment):
    x = tf.constant(np.random.default_rng(3).uniform(-1, 1, (4, 8, 8, 3)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(augment(x)[1] ** 2)
    gradient = tape.gradient(total, x).numpy()
    assert np.any(gradient[1]) and not np.any(np.delete(gradient, 1, 0))
    np.testing.assert_allclose(tf.function(augment, jit_compile=True)(x), augment(x), atol=1e-4)


# ---- the probability


def test_the_probability_follows_the_signs():
    adaptive = AdaptiveProbability(images=500_000)
    for logits in ([2.0, 0.1, -1.0, 0.0, 3.0, -0.2, 0.4, 1.0], [-1.0] * 8, [0.0] * 8, [1.0] * 8):  # r = .375 / 4
        adaptive.observe(adaptive.probability.value, tf.constant(logits))
    assert float(adaptive.probability) == 0.0, "never below 0"
    adaptive.probability.assign(0.5)
    for i in range(8):
        adaptive.observe(tf.identity(adaptive.probability.value), tf.ones([64]))
        assert float(adaptive.probability) == pytest.approx(0.5 + 0.000512 * ((i + 1) // 4), abs=1e-6)
    assert float(adaptive.count) == 0


@pytest.mark.parametrize("positive, change", [(7, -0.064), (9, 0.064)])
def test_the_target_lies_between_these_shares(positive, change):
    """Of ten logits; r is .4 or .8, the target .6."""
    adaptive = AdaptiveProbability(images=625)
    adaptive.probability.assign(0.5)
    for _ in range(4):
        adaptive.observe(tf.identity(adaptive.probability.value), tf.constant([2.0] * positive + [-1.0] * (10 - positive)))
    assert float(adaptive.probability) == pytest.approx(0.5 + change)


def test_the_probability_follows_the_images_of_all_replicas():
    """r is .5 on the first replica and 1 on the second; both have 4 images."""
    cross = tf.distribute.ReductionToOneDevice()
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=cross)
    with strategy.scope():
        adaptive = AdaptiveProbability(images=1_000)

    @tf.function
    def step():
        def replica():
            first = tf.distribute.get_replica_context().replica_id_in_sync_group == 0
            logits = tf.where(first, [3.0, 1.0, 2.0, -1.0], [1.0] * 4)
            adaptive.observe(tf.identity(tf.convert_to_tensor(adaptive.probability)), logits)

        strategy.run(replica)

    for _ in range(4):
        step()
    assert float(adaptive.probability.numpy()) == pytest.approx(4 * 8 / 1_000)


def test_training_adapts_logs_and_saves_the_probability(tmp_path):
    set_seed(0)
    model = SNGAN(**MLP, discriminator_augmentation="adaptive", adaptation_images=1_000)
    model.adaptive.target = -2.0  # then the probability always rises
    model.compile()
    logs = model.fit(tf.data.Dataset.from_tensors(BATCH).repeat(9), verbose=0).history
    assert 0 < logs["augmentation_probability"][0] < 0.064 == pytest.approx(float(model.adaptive.probability))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").adaptive
    assert float(loaded.count) == 1 and float(loaded.probability) == float(model.adaptive.probability)


# ---- what is augmented


def test_reals_fakes_and_the_penalty_are_augmented_and_hooks_see_the_images_themselves():
    seen = []

    class Watched(WGANGP):
        def discriminate(self, raw_images, one_hot=None, training=False, **noise):
            seen.append((raw_images, training))
            return super().discriminate(raw_images, one_hot, training, **noise)

        def generator_terms(self, batch, fake):
            seen.append((fake.images, None))
            return {}

    model = Watched(**MLP, discriminator_augmentation="cutout")
    model.compile(run_eagerly=True)
    model.train_step(BATCH)
    *passes, hook = seen
    assert len(passes) == 4  # real, fake, penalty; then the generator's
    for images, training in passes:
        assert training and bool(tf.reduce_all(tf.reduce_any(images == 0.0, axis=[1, 2, 3])))
    assert not bool(tf.reduce_any(hook[0] == 0.0))
    masks = [images.numpy() == 0 for images, _ in passes]
    for i, j in itertools.combinations(range(4), 2):
        assert np.any(masks[i]) and not np.array_equal(masks[i], masks[j]), "each pass has numbers of its own"
    seen.clear()
    model.sample(1)
    assert not seen


@pytest.mark.parametrize("change, what", [
    ({"discriminator_augmentation": "colour"}, "color, translation, cutout"),
    ({"adaptation_images": 0}, "adaptation_images"),
    ({"lecam_weight": -1.0}, "lecam_weight"),
    ({"discriminator_augmentation": "adaptive", "objective": "wasserstein"}, "signs of the logits"),
    ({"discriminator_augmentation": "adaptive", "image_shape": (8, 8, 2)}, "1 or 3 channels"),
])  # fmt: skip
def test_wrong_settings(change, what):
    with pytest.raises(ValueError, match=what):
        DCGAN(**{**ARGS, **change})


# ---- LeCam


def test_lecam_penalty():
    real, fake = tf.Variable([1.5, -0.5, 2.0]), tf.Variable([-1.0, 0.3, 0.8])
    with tf.GradientTape() as tape:
        value = losses.lecam_penalty(real, fake, 0.9, -0.2)
    assert float(value) == pytest.approx(3.90333333, abs=1e-5)
    assert float(losses.lecam_penalty(real, fake, 0.9, -0.2, one_sided=False)) == pytest.approx(3.93333333, abs=1e-5)
    of_real, of_fake = tape.gradient(value, [real, fake])
    np.testing.assert_allclose(of_real, [1.13333333, 0, 1.46666667], atol=1e-5)
    np.testing.assert_allclose(of_fake, [-1.26666667, -0.4, -0.06666667], atol=1e-5)


def test_averages_of_logits():
    real, fake = tf.constant([1.5, -0.5, 2.0]), tf.constant([-1.0, 0.3, 0.8])
    averages = LogitAverages(decay=0.9, start=10)
    assert float(averages.penalty(real, fake, tf.constant(0))) == 0.0
    assert float(averages.real) == 1.0 and float(averages.fake) == pytest.approx(1 / 30)
    averages.real.assign(0.9)
    averages.fake.assign(-0.2)
    value = averages.penalty(real, fake, tf.constant(10))
    assert (float(averages.real), float(averages.fake)) == (pytest.approx(0.91), pytest.approx(-0.17666667))
    assert float(value) == pytest.approx(float(losses.lecam_penalty(real, fake, 0.91, -0.17666667)), abs=1e-5)


def test_the_averages_are_constants_for_the_gradient():
    real, fake = tf.Variable([1.5, -0.5, 2.0]), tf.Variable([-1.0, 0.3, 0.8])
    averages = LogitAverages(start=0)
    assert (averages.decay, LogitAverages().start) == (0.99, 1_000)
    averages.real.assign(0.9)
    averages.fake.assign(-0.2)
    with tf.GradientTape() as tape:
        value = averages.penalty(real, fake, tf.constant(5))
    of_real, of_fake = 0.99 * 0.9 + 0.01 * 1.0, 0.99 * -0.2 + 0.01 / 30
    gradients = tape.gradient(value, [real, fake])
    np.testing.assert_allclose(gradients[0], 2 / 3 * np.maximum(real.numpy() - of_fake, 0), rtol=1e-5)
    np.testing.assert_allclose(gradients[1], -2 / 3 * np.maximum(of_real - fake.numpy(), 0), rtol=1e-5)


def test_what_lecam_and_the_probability_see():
    model, (real, fake) = SNGAN(**MLP, lecam_weight=0.5), (tf.constant([1.5, -0.5]), tf.constant([-1.0, 0.3]))
    model.lecam.start = 0
    found, other = model.lecam_terms(real, fake)["lecam"], LogitAverages(start=0)
    assert float(found) == pytest.approx(0.5 * float(other.penalty(real, fake, tf.constant(0)))) and float(found) > 0
    model, seen = SNGAN(**MLP, discriminator_augmentation="adaptive"), []
    model.compile(run_eagerly=True)
    object.__setattr__(model.adaptive, "observe", lambda probability, logits: seen.append(logits))
    logs = model.fit(tf.data.Dataset.from_tensors(BATCH), verbose=0).history
    assert np.mean(seen[0]) == pytest.approx(logs["real_logit"][0], rel=1e-5) != logs["fake_logit"][0]


def test_lecam_is_a_loss_of_the_discriminator():
    model = SNGAN(**MLP, lecam_weight=0.5)
    model.lecam.start = 1
    model.compile()
    logs = model.fit(tf.data.Dataset.from_tensors(BATCH).repeat(), steps_per_epoch=1, epochs=2, verbose=0).history
    assert logs["lecam"][0] == 0 and logs["lecam"][1] > 0
    assert "lecam" not in SNGAN.loss_names
