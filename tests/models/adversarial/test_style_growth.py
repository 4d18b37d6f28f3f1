"""StyleGAN that grows: its parts at every level, R1 by pixels of the full size, resumed training, samples."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.models.adversarial.growing import MIDDLE, STEPS, count, down, fit, replace, up, values
from tests.seeds import set_seed
from tfgen.models import ProgressiveGAN, StyleGAN

ARGS = {"image_shape": (16, 16, 1), "latent_dim": 3, "w_size": 4, "mapping_depth": 1, "max_filters": 4, "growing": True,
        "stable_images": 16, "fade_images": 32, "level_batch_sizes": (8, 8, 4),
        "level_rates": (1.0, 2e-3, 1e-3)}  # fmt: skip
# Steps 0 to 2 at 4 pixels, 3 to 8 while 8 pixels fade in (position .25 + (step - 3) / 8), then at 8 pixels.
SMALL = {"image_shape": (8, 8, 1), "first_level": 0, "level_batch_sizes": (8, 4), "level_rates": (2e-3, 1e-3)}
SEEDS = tf.constant([0, 1], tf.int64)


def make(seed=0, **changes):
    set_seed(seed)
    model = StyleGAN(**{**ARGS, **changes}, seed=seed)
    rng = np.random.default_rng(seed)
    for layer in model.generator.styled:
        layer.noise_weight.assign(rng.normal(size=layer.noise_weight.shape))
    return model


# ---- networks


@pytest.mark.parametrize("args, generator, discriminator", [
    ({"image_shape": (32, 32, 1), "latent_dim": 64, "w_size": 64, "mapping_depth": 4, "max_filters": 64}, 343_556, 325_249),
    ({"image_shape": (32, 32, 1), "latent_dim": 64, "w_size": 64, "max_filters": 64}, 360_196, 325_249),
    ({"image_shape": (28, 28, 1), "start_size": 7, "latent_dim": 64, "w_size": 64, "mapping_depth": 4, "max_filters": 64},
     254_979, 386_433),
    pytest.param({"image_shape": (32, 32, 3)}, 22_841_356, 20_726_785, marks=pytest.mark.long),
    pytest.param({"image_shape": (1024, 1024, 3)}, 26_219_627, 23_087_249, marks=pytest.mark.long),
])  # fmt: skip
def test_parameters_with_the_heads_of_all_levels(args, generator, discriminator):
    model = StyleGAN(**args, growing=True)
    assert (count(model.generator), count(model.discriminator)) == (generator, discriminator)


def test_the_discriminator_is_progressive_gans_with_a_blur():
    """With equal weights and without the blur both give equal logits at every position; the blur changes them."""
    model = make()
    other = ProgressiveGAN(image_shape=(16, 16, 1), width=4, base=8192)
    ours, theirs = model.discriminator, other.discriminator
    theirs.set_weights(ours.get_weights())
    assert type(ours) is type(theirs)
    images = np.random.default_rng(0).uniform(-1, 1, (4, 16, 16, 1)).astype("float32")
    given = {"position": tf.constant(1.3), "levels": (1, 2)}
    blurred = ours([images], **given)["logit"].numpy()
    replace(ours, "blur", None)
    np.testing.assert_array_equal(ours([images], **given)["logit"], theirs([images], **given)["logit"])
    assert np.abs(blurred - ours([images], **given)["logit"]).max() > 1e-5


def test_a_block_blurs_halves_and_rectifies_in_this_order():
    """A convolution, bias and rectifier; a blur, a convolution, means of 2 x 2, and only then bias and rectifier."""
    d = make().discriminator
    rng = np.random.default_rng(1)
    for layer in (d.convs[1], d.downs[1]):
        layer.bias.assign(rng.normal(size=4))
    leaky = lambda x: np.where(x > 0, x, 0.2 * x)  # noqa: E731
    conv = lambda x, layer: tf.nn.conv2d(x, layer.kernel, 1, "SAME").numpy()  # noqa: E731
    images = rng.uniform(-1, 1, (4, 16, 16, 1)).astype("float32")
    x = leaky(images @ d.from_image[2].kernel.numpy()[0, 0]).astype("float32")
    x = leaky(conv(x, d.convs[1]) + d.convs[1].bias.numpy())
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16.0
    blurred = sum(kernel[i, j] * padded[:, i : i + 16, j : j + 16] for i in range(3) for j in range(3)).astype("float32")
    x = leaky(down(conv(blurred, d.downs[1])) + d.downs[1].bias.numpy())
    seen = []
    inner = d.convs[0]
    replace(d, "convs", [lambda maps: seen.append(maps.numpy()) or inner(maps), d.convs[1]])
    d([images], position=2.0, levels=(2,))
    np.testing.assert_allclose(seen[0], x, atol=1e-5)


def test_every_position_lies_between_two_levels():
    model = make()
    styles, noise = model.map(model.latents(SEEDS)), model.noise_inputs(SEEDS)
    alone = [model.generator(styles, noise, position=float(level), levels=(level,)).numpy() for level in range(3)]
    assert [image.shape[1] for image in alone] == [4, 8, 16]
    for below, share in ((0, 0.25), (1, 0.0), (1, 0.6), (1, 1.0)):
        given = {"position": tf.constant(below + share), "levels": (below, below + 1)}
        expected = up(alone[below]) + share * (alone[below + 1] - up(alone[below]))
        np.testing.assert_allclose(model.generator(styles, noise, **given), expected, atol=1e-5)
        every = model.generator(styles, noise, position=tf.constant(below + share), levels=(0, 1, 2))
        np.testing.assert_allclose(every, up(expected, 16 // expected.shape[1]), atol=1e-5)


def test_a_smaller_level_has_fewer_layers_to_mix():
    """The cutoff lies in [1, 2 (level + 1)] in training, and in the fade of a level the level counts."""
    model = make(mixing_probability=0.7)
    found = {0: set(), 5: set()}
    for kind, step in ((0, 0), (1, 5)):
        for seed in range(80):
            replace(model, "seed", seed)
            model.step.assign(step)
            model.kind = ("discriminator", "generator", kind)
            found[step].add(int(model.draw_cutoff(0)))
    model.kind = None
    assert found == {0: {1, 2, 3, 4}, 5: {1, 2, 3, 4, 5, 6}}


@pytest.mark.parametrize("step, level, penalty", [(0, 0, 71.25 / 4), (100, 1, 71.25)])
def test_r1_is_by_pixels_of_the_full_size(step, level, penalty):
    """D(x) = <w, x> of the images of its level: gamma / 2 |w|^2 at the last level, a fourth of that one level below."""
    model = make(image_shape=(4, 4, 1), start_size=2, first_level=0, level_batch_sizes=8, level_rates=None)
    assert model.penalty_weight == 10.0
    model.step.assign(step)
    weights = np.zeros([2 << level, 2 << level, 1], "float32")
    weights.flat[:4] = [1.0, -2.0, 0.5, 3.0]

    class Linear(keras.layers.Layer):
        def call(self, inputs, position, levels):
            return {"logit": tf.reduce_sum(inputs[0] * weights, [1, 2, 3])[:, None]}

    replace(model, "discriminator", Linear())
    replace(model, "step_players", lambda players, losses_fn: losses_fn())
    raw = tf.constant(np.random.default_rng(4).uniform(-1, 1, (8, 4, 4, 1)), tf.float32)
    with_penalty = float(model.update_discriminator({"raw": raw})["discriminator_loss"])
    model.penalty_weight = 0.0
    without = float(model.update_discriminator({"raw": raw})["discriminator_loss"])
    assert with_penalty - without == pytest.approx(penalty, rel=1e-4)


# ---- training


def compiled(**changes):
    model = make(**{**SMALL, **changes})
    model.compile(keras.optimizers.Adam(0.1, beta_1=0.0, beta_2=0.9), ema_decay=0.9)
    return model


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What was seen after each step; {step: values then}; {step: folder of a checkpoint}. R1 is in every fourth step."""
    model, seen, found, folders = compiled(penalty_interval=4), [], {}, {}

    def note(batch, logs):
        optimizers = model.player_optimizers.values()
        seen.append([(int(o.iterations), round(float(o.learning_rate), 6)) for o in optimizers])

    first = 0
    for last in (3, MIDDLE, STEPS):
        fit(model, first, last - first, [keras.callbacks.LambdaCallback(on_train_batch_end=note)])
        found[last], folders[last], first = values(model), tmp_path_factory.mktemp(f"step-{last}"), last
        tfgen.training.Checkpoints(model, folders[last]).save()
    return seen, found, folders


def test_optimisers_start_anew_at_both_ends_of_a_fade_with_the_rate_of_the_level(trained):
    """The discriminator's has a further update in the steps 0, 4 and 8, and 4 / 5 of the rate."""
    generator = [(1, 2e-3), (2, 2e-3), (3, 2e-3), *((i, 1e-3) for i in range(1, 7)), (1, 1e-3), (2, 1e-3), (3, 1e-3)]
    updates = [2, 3, 4, 1, 3, 4, 5, 6, 8, 1, 2, 3]
    discriminator = [(n, round(0.8 * rate, 6)) for n, (_, rate) in zip(updates, generator, strict=True)]
    assert trained[0] == [list(pair) for pair in zip(generator, discriminator, strict=True)]


def test_a_phase_trains_only_its_levels(trained):
    """At the end of the first phase the larger level has its first weights."""
    start, end = values(make(**SMALL)), trained[1][3]
    later = ("layer_2/", "layer_3/", "to_image_1/", "from_image_1/", "conv_1/", "down_1/")
    for key, value in start.items():
        if key.startswith(("generator/", "discriminator/")):
            assert np.any(value != end[key]) != any(name in key for name in later), key


def test_killed_and_resumed_equals_uninterrupted(trained):
    """In the middle of a fade, and between two steps of the lazy penalty."""
    model = compiled(seed=1, penalty_interval=4)
    replace(model, "seed", 0)
    for variable in model.trainable_variables:
        variable.assign(tf.zeros_like(variable.value))
    assert tfgen.training.Checkpoints(model, trained[2][MIDDLE]).restore() == MIDDLE
    fit(model, MIDDLE, STEPS - MIDDLE)
    first, second = trained[1][STEPS], values(model)
    assert first.keys() == second.keys()
    for key in first:
        np.testing.assert_array_equal(first[key], second[key], err_msg=key)


def test_presets_that_grow_have_a_batch_size_for_each_level():
    preset = tfgen.presets.get("style-gan/celeba-hq-1024-paper")
    model_args, growth = preset.model_args, None
    growth = tfgen.models.adversarial.parts.growth.Growth(
        *(model_args[key] for key in ("level_batch_sizes", "stable_images", "fade_images", "first_level"))
    )
    assert preset.batch_size == growth.batch_schedule() and preset.batch_size[0] == (0, 256)
    assert growth.images(preset.steps - 1) < 25_000_000 <= growth.images(preset.steps)


# ---- sampling


def test_samples_of_any_level_and_truncation():
    model = make()
    by_level = [model.sample(3, seed=5, level=level).numpy() for level in range(3)]
    for level, images in enumerate(by_level):
        side = 4 >> level
        assert images.shape == (3, 16, 16, 1) and np.array_equal(images, up(images[:, ::side, ::side], side))
    np.testing.assert_array_equal(model.sample(3, seed=5), by_level[1])  # as far as training has come
    mixed = model.sample(3, seed=5, level=[0, 1, 2]).numpy()
    for row in range(3):
        np.testing.assert_allclose(mixed[row], by_level[row][row], atol=1e-6)
    model.mean_w.value.assign([1.0, -1.0, 0.5, 2.0])
    same = model.sample(3, seed=5, level=1, truncation=0.0).numpy()
    np.testing.assert_allclose(same, np.repeat(same[:1], 3, axis=0), atol=1e-6)
    w = model.map(model.latents(tf.range(3, dtype=tf.int64) + (5 << 32)), truncation=-0.7)
    np.testing.assert_allclose(model.sample(3, seed=5, level=0, truncation=-0.7), model.synthesize(w, level=0), atol=1e-6)


def test_an_export_at_any_level(tmp_path):
    model = make(**SMALL)
    model.step.assign(MIDDLE)
    path = tfgen.export.export_saved_model(model, tmp_path, warmup=False)
    served = tf.saved_model.load(str(path)).signatures
    np.testing.assert_allclose(served["sample"](seeds=SEEDS)["image"], model.sample(2), atol=1e-6)
    found = served["sample_level"](seeds=SEEDS, level=tf.constant([1, 0], tf.int32))["image"]
    np.testing.assert_allclose(found, model.sample(2, level=[1, 0]), atol=1e-6)


@pytest.mark.parametrize("wrong, message", [
    ({"growing": False}, "stable_images is a setting of networks that grow, growing=True; received 16"),
    ({"first_level": 3}, "first_level must be below 3"), ({"level_batch_sizes": (8,)}, "one for each of the 3 levels"),
    ({"growing": 1}, "growing must be"), ({"fade_images": 0}, "fade_images"),
])  # fmt: skip
def test_wrong_settings(wrong, message):
    with pytest.raises(ValueError, match=message):
        make(**wrong)


def test_levels_of_networks_that_do_not_grow():
    fixed = StyleGAN(**{key: ARGS[key] for key in ("image_shape", "latent_dim", "w_size", "max_filters")})
    with pytest.raises(ValueError, match="level is for networks that grow; this StyleGAN does not"):
        fixed.sample(2, level=0)
    assert "sample_level" not in fixed.signatures() and "sample_level" in make().signatures()
    with pytest.raises(tf.errors.InvalidArgumentError, match="level must lie in"):
        make().sample(2, level=3)


def test_a_batch_of_another_size_is_refused():
    model = compiled()
    with pytest.raises(ValueError, match=r"At level 0 a step has 8 images, .* received 4.*\[\(0, 8\), \(3, 4\)\]"):
        model.fit(tf.data.Dataset.from_tensors(np.ones((4, 8, 8, 1), "float32")), verbose=0)
    assert model.step.numpy() == 0
