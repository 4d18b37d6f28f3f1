"""Progressive GAN: networks at every position, losses in closed form, growth in training, sampling at every level."""

import warnings

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf

import tfgen
from tests.models.adversarial.growing import MIDDLE, STEPS, count, down, fit, replace, up, values
from tests.seeds import set_seed
from tfgen.models import ProgressiveGAN
from tfgen.models.adversarial.base import AdversarialModel

# Steps 0 to 2 at 4 pixels, 3 to 8 while 8 pixels fade in (position .25 + (step - 3) / 8), then at 8 pixels.
ARGS = {"image_shape": (8, 8, 1), "width": 4, "latent_dim": 3, "stable_images": 16, "fade_images": 32,
        "level_batch_sizes": (8, 4), "level_rates": (2e-3, 1e-3)}  # fmt: skip
Z = np.random.default_rng(1).normal(size=(2, 3)).astype("float32")
IMAGES = np.random.default_rng(2).uniform(-1, 1, (2, 8, 8, 1)).astype("float32")


def make(seed=0, **changes):
    set_seed(seed)
    return ProgressiveGAN(**{**ARGS, **changes}, seed=seed)


def lerp(a, b, t):
    return a + (b - a) * t


# ---- networks


@pytest.mark.parametrize("args, generator, discriminator", [
    ({"image_shape": (32, 32, 1), "width": 64}, 324_356, 325_249),
    ({"image_shape": (32, 32, 3), "width": 64}, 324_876, 325_761),
    ({"image_shape": (32, 32, 1), "width": 64, "base": 512}, 278_180, 279_073),
    ({"image_shape": (32, 32, 1), "width": 128}, 1_295_876, 1_297_665),
    ({"image_shape": (28, 28, 1), "start_size": 7, "width": 64}, 385_603, 386_433),
    pytest.param({"image_shape": (32, 32, 3)}, 20_719_628, 20_726_785, marks=pytest.mark.long),
    pytest.param({"image_shape": (256, 256, 3)}, 23_044_309, 23_052_353, marks=pytest.mark.long),
    pytest.param({"image_shape": (1024, 1024, 3)}, 23_079_115, 23_087_249, marks=pytest.mark.long),
])  # fmt: skip
def test_parameter_counts(args, generator, discriminator):
    model = ProgressiveGAN(**args)
    assert (count(model.generator), count(model.discriminator)) == (generator, discriminator)


def test_layers_of_both_networks_in_numpy():
    """Level 0 of the generator and of the discriminator, with all factors."""
    model = make(width=5, group_size=2)

    def leaky(x):
        return np.where(x > 0, x, 0.2 * x)

    def norm(x):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-8)

    def kernel(layer, gain=2**0.5):
        raw = layer.raw_weight.numpy()
        return raw * gain / np.sqrt(np.prod(raw.shape[:-1]))

    def conv(x, weights):
        return tf.nn.conv2d(x, weights, 1, "SAME").numpy()

    g, d = model.generator, model.discriminator
    g.bias.assign([0.1, -0.2, 0.3, 0.4, -0.5])
    x = (norm(Z) @ kernel(g.vector, np.sqrt(2) / 4)).reshape(2, 4, 4, 5) + g.bias.numpy()
    x = norm(leaky(conv(norm(leaky(x)), kernel(g.convs[0]))))
    np.testing.assert_allclose(g([Z], position=0.0, levels=(0,)), conv(x, kernel(g.to_image[0], 1.0)), atol=1e-5)

    small = down(IMAGES)
    x = leaky(conv(small, kernel(d.from_image[0])))
    spread = np.sqrt(x.var(0) + 1e-8).mean()
    x = leaky(conv(np.concatenate([x, np.full((2, 4, 4, 1), spread, "float32")], -1), kernel(d.conv)))
    x = leaky(x.reshape(2, -1) @ kernel(d.dense)) @ kernel(d.logit, 1.0)
    np.testing.assert_allclose(d([small], position=0.0, levels=(0,))["logit"], x, atol=1e-5)


def test_halving_precedes_bias_and_rectifier():
    layer = make().discriminator.downs[0]
    layer.bias.assign([0.1, -0.2, 0.3, -0.4])
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 4)).astype("float32")
    plain = tf.nn.conv2d(x, layer.kernel, 1, "SAME").numpy()
    before = down(plain) + layer.bias.numpy()
    np.testing.assert_allclose(layer(x), np.where(before > 0, before, 0.2 * before), atol=1e-5)


def test_fused_networks_equal_unfused_ones():
    one, other = make(fused=True, image_shape=(16, 16, 1), level_batch_sizes=8, level_rates=None), make(
        fused=False, image_shape=(16, 16, 1), level_batch_sizes=8, level_rates=None)  # fmt: skip
    images = up(IMAGES)
    for position in (0.0, 0.4, 1.6, 2.0):
        given = {"position": tf.constant(position), "levels": (0, 1, 2)}
        np.testing.assert_allclose(one.generator([Z], **given), other.generator([Z], **given), atol=1e-5)
        found = [model.discriminator([images], **given)["logit"] for model in (one, other)]
        np.testing.assert_allclose(*found, atol=1e-5)


@pytest.mark.parametrize("t, first, last", [(0.25, [0.25, 1, 2, 2.75], [9.75, 10.5, 11.5, 12.25]),
                                            (0.75, [0.75, 1, 2, 2.25], [5.25, 5.5, 6.5, 6.75])])  # fmt: skip
def test_golden_fade(t, first, last, monkeypatch):
    """t is the fraction of lod: the share of the smaller image."""
    generator = make(image_shape=(4, 4, 1), start_size=np.int64(2)).generator
    new, old = np.arange(16.0, dtype="float32").reshape(1, 4, 4, 1), np.float32([[1, 2], [3, 4]]).reshape(1, 2, 2, 1)
    replace(generator, "to_image", [lambda x: old, lambda x: new])
    faded = generator([Z[:1]], position=tf.constant(1.0 - t), levels=(0, 1))[0, :, :, 0]
    np.testing.assert_allclose(faded[0], first, rtol=1e-5)
    np.testing.assert_allclose(faded[3], last, rtol=1e-5)


def test_every_position_lies_between_two_levels():
    """And the graph of all levels, as for samples, gives what the graph of a phase gives."""
    model = make(image_shape=(16, 16, 1), level_batch_sizes=8, level_rates=None)
    g, d, images = model.generator, model.discriminator, up(IMAGES) + 0.1
    sizes = [down(down(images)), down(images), images]
    alone = [g([Z], position=float(level), levels=(level,)).numpy() for level in range(3)]
    assert [image.shape[1] for image in alone] == [4, 8, 16]
    logits = [d([sizes[level]], position=float(level), levels=(level,))["logit"].numpy() for level in range(3)]
    for below, share in ((0, 0.0), (0, 0.25), (0, 0.5), (1, 0.0), (1, 0.6), (1, 1.0)):
        position, levels = tf.constant(below + share), (below, below + 1)
        expected = lerp(up(alone[below]), alone[below + 1], share)
        np.testing.assert_allclose(g([Z], position=position, levels=levels), expected, atol=1e-5)
        every = g([Z], position=position, levels=(0, 1, 2))
        np.testing.assert_allclose(every, up(expected, 16 // expected.shape[1]), atol=1e-5)
        faded = d([sizes[below + 1]], position=position, levels=levels)["logit"].numpy()
        if share in (0.0, 1.0):
            np.testing.assert_allclose(faded, logits[below + int(share)], atol=1e-5)
        np.testing.assert_allclose(d([images], position=position, levels=(0, 1, 2))["logit"], faded, atol=1e-5)


def test_a_discriminator_in_mid_fade():
    """The features of the smaller image, after its rectifier, join those of the larger one after its block."""
    d = make().discriminator
    of_large, of_small = d.from_image[1](IMAGES), d.from_image[0](down(IMAGES))
    x = lerp(d.downs[0](d.convs[0](of_large)), of_small, 0.3)
    expected = d.logit(d.dense(tf.reshape(d.conv(d.deviation(x)), [2, -1])))
    found = d([IMAGES], position=tf.constant(0.7), levels=(0, 1))["logit"]
    np.testing.assert_allclose(found, expected, atol=1e-5)


# ---- losses


def losses_of(model, update, *args):
    """The losses of an update that changes nothing."""
    replace(model, "step_players", lambda players, losses_fn: losses_fn())
    return {name: float(loss) for name, loss in getattr(model, update)(*args).items()}


@pytest.mark.parametrize("step, factor", [(0, 2), (9, 1)])
def test_penalty_and_drift_in_closed_form(step, factor):
    """A linear D of gradient w by the pixels of its level: at a level of half the size, by those of the full size w / 2."""
    model = make()
    model.step.assign(step)
    weights = np.random.default_rng(3).normal(size=(8 // factor, 8 // factor, 1)).astype("float32")

    class Linear(keras.layers.Layer):
        def call(self, inputs, position, levels):
            return {"logit": tf.reduce_sum(inputs[0] * weights, [1, 2, 3])[:, None] + 0.5}

    replace(model, "discriminator", Linear())
    size = 8 if step == 0 else 4
    raw = np.random.default_rng(4).uniform(-1, 1, (size, 8, 8, 1)).astype("float32")
    fakes = model.generated(size, 0).images.numpy()
    assert np.all(fakes[:, ::2, ::2] == fakes[:, 1::2, 1::2]) == (step == 0), "small images are upscaled"
    of = lambda x: ((down(x) if factor == 2 else x) * weights).sum((1, 2, 3)) + 0.5  # noqa: E731
    found = losses_of(model, "update_discriminator", {"raw": tf.constant(raw)})
    drift, slope = 1e-3 * np.mean(of(raw) ** 2), np.sqrt((weights**2).sum()) / factor
    assert found["drift"] == pytest.approx(drift, rel=1e-4)
    expected = np.mean(of(fakes)) - np.mean(of(raw)) + 10 * (slope - 1) ** 2 + drift
    assert found["discriminator_loss"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("step, t", [(0, None), (3, 0.75), (6, 0.375), (9, 0.0)])
def test_real_images_fade_too(step, t, monkeypatch):
    """t is the share of the smaller image."""
    model, seen, images = make(), [], (0.5 + 0.5 * IMAGES)
    batch = np.concatenate([images, images[:, ::-1], images[:, :, ::-1], -images + 1])[: 8 if step == 0 else 4]
    note = lambda self, given, stream: seen.append(given["raw"]) or {}  # noqa: E731
    monkeypatch.setattr(AdversarialModel, "update_discriminator", note)
    monkeypatch.setattr(AdversarialModel, "update_generator", lambda self, given, turn: {})
    model.step.assign(step)
    model.update({"image": tf.constant(batch)})
    raw = 2 * batch - 1
    expected = up(down(raw)) if t is None else lerp(raw, up(down(raw)), t)
    np.testing.assert_allclose(seen[0], expected, atol=1e-6)


def test_classes_as_in_the_code():
    """Labels are joined to z before its norm; with equal class logits each cross-entropy is ln K."""
    model = make(num_classes=3, class_weight=0.5)
    one_hot = tf.one_hot([0, 2], 3)
    both = np.concatenate([Z, one_hot], -1)
    plain = make(latent_dim=6)
    plain.generator.set_weights(model.generator.get_weights())
    np.testing.assert_array_equal(model.generate_raw(Z, one_hot), plain.generate_raw(both))
    outputs = model.discriminate(IMAGES)
    assert outputs["logit"].shape == (2,) and outputs["classes"].shape == (2, 3)
    model.discriminator.logit.raw_weight.assign(tf.zeros([4, 4]))
    batch = {"raw": tf.constant(np.repeat(IMAGES, 4, 0)), "one_hot": tf.repeat(one_hot, 4, axis=0)}
    assert losses_of(model, "update_discriminator", batch)["class_loss"] == pytest.approx(np.log(3), rel=1e-5)
    assert losses_of(model, "update_generator", batch)["generator_class_loss"] == pytest.approx(0.5 * np.log(3), rel=1e-5)
    assert model.sample(2, labels=[1, 2], level=[0, 1]).shape == (2, 8, 8, 1)


def test_the_classes_of_real_and_of_generated_images_count():
    model, one_hot = make(num_classes=3, class_weight=0.5), tf.one_hot([0, 2, 1, 1], 3)
    classes = {"class_loss", "generator_class_loss"}
    assert classes < {*model.loss_names} & model.trackers.keys() and not classes & {*make().loss_names}
    model.step.assign(9)
    raw, fake = tf.constant(np.concatenate([IMAGES, -IMAGES])), model.generated(4, 0)

    def entropy(images, labels):
        logits = model.discriminate(images)["classes"].numpy()
        return np.mean(scipy.special.logsumexp(logits, -1) - (logits * labels.numpy()).sum(-1))

    expected = 0.5 * (entropy(raw, one_hot) + entropy(fake.images, fake.one_hot))
    found = losses_of(model, "update_discriminator", {"raw": raw, "one_hot": one_hot})
    assert found["class_loss"] == pytest.approx(expected, rel=1e-4)
    assert abs(entropy(raw, one_hot) - entropy(fake.images, fake.one_hot)) > 1e-3


def test_settings_of_the_code():
    """Its optimisers and their epsilon, the sizes of groups, and filters from a base of 8192."""
    model = ProgressiveGAN(image_shape=(4, 4, 1), width=2)
    adam = model.default_optimizer().get_config()
    assert [adam[name] for name in ("learning_rate", "beta_1", "beta_2", "epsilon")] == pytest.approx([1e-3, 0, 0.99, 1e-8])
    assert model.discriminator.deviation.group_size == 4 and model.penalty_weight == 10 and model.drift_weight == 1e-3
    config = ProgressiveGAN.config_parameters()
    assert [config[name].default for name in ("base", "stable_images", "fade_images")] == [8192, 600_000, 600_000]


# ---- training


def compiled(**changes):
    model = make(**changes)
    model.compile(keras.optimizers.Adam(0.1, beta_1=0.5, beta_2=0.9), ema_decay=0.9)
    return model


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What was seen after each step; the kinds that were traced; {step: values then}; {step: folder of a checkpoint}."""
    model, seen, kinds, found, folders = compiled(), [], [], {}, {}
    step = model.train_step
    replace(model, "train_step", lambda data: kinds.append(model.kind) or step(data))

    def note(batch, logs):
        optimizers = model.player_optimizers.values()
        seen.append([(int(o.iterations), round(float(o.learning_rate), 6)) for o in optimizers])

    first = 0
    for last in (3, MIDDLE, 9, STEPS):
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Gradients do not exist")
            fit(model, first, last - first, [keras.callbacks.LambdaCallback(on_train_batch_end=note)])
        found[last], folders[last], first = values(model), tmp_path_factory.mktemp(f"step-{last}"), last
        tfgen.training.Checkpoints(model, folders[last]).save()
    return seen, kinds, found, folders


def test_optimisers_start_anew_at_both_ends_of_a_fade_with_the_rate_of_the_level(trained):
    expected = [(1, 2e-3), (2, 2e-3), (3, 2e-3), *((i, 1e-3) for i in range(1, 7)), (1, 1e-3), (2, 1e-3), (3, 1e-3)]
    assert trained[0] == [[pair, pair] for pair in expected]


def test_one_graph_for_each_phase(trained):
    both = ("discriminator", "generator")
    assert trained[1] == [(*both, 0), (*both, 1), (*both, 2)]


def test_a_phase_trains_only_its_levels(trained):
    """At the end of the first phase the larger level has its first weights."""
    start, end = values(make()), trained[2][3]
    moved = {key: np.any(value != end[key]) for key, value in start.items() if "ator/" in key}
    assert len(moved) == 26 and all(of == ("_1/" not in key) for key, of in moved.items()), moved


@pytest.mark.parametrize("at, end", [(MIDDLE, 9), pytest.param(9, STEPS, marks=pytest.mark.long)])
def test_killed_and_resumed_equals_uninterrupted(trained, at, end):
    """In the middle of a fade, and at its end, where a phase begins."""
    model = compiled(seed=1)
    replace(model, "seed", 0)
    for variable in model.trainable_variables:
        variable.assign(tf.zeros_like(variable.value))
    assert tfgen.training.Checkpoints(model, trained[3][at]).restore() == at
    fit(model, at, end - at)
    first, second = trained[2][end], values(model)
    assert first.keys() == second.keys()
    for key in first:
        np.testing.assert_array_equal(first[key], second[key], err_msg=key)


def test_the_beginning_of_a_phase_can_be_repeated():
    model = compiled()
    for optimizer in model.player_optimizers.values():
        assert float(optimizer.learning_rate) == pytest.approx(2e-3)
        for variable in optimizer.variables:
            variable.assign(tf.ones_like(variable.value))
    model.step.assign(3)
    for _ in range(2):
        model.begin_phase(1)
        for optimizer in model.player_optimizers.values():
            assert float(optimizer.learning_rate) == pytest.approx(1e-3)
            assert not any(np.any(v.numpy()) for v in optimizer.variables if v is not optimizer._learning_rate)


def test_saved_in_a_file_in_mid_fade(tmp_path):
    model = compiled()
    model.step.assign(MIDDLE)
    model.begin_phase(1)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert float(loaded.position()) == pytest.approx(0.625) and loaded.get_config() == model.get_config()
    assert [float(o.learning_rate) for o in loaded.player_optimizers.values()] == pytest.approx([1e-3, 1e-3])
    np.testing.assert_array_equal(loaded.sample(2, seed=3), model.sample(2, seed=3))


@pytest.mark.long
def test_two_devices_equal_one():
    """With a group of one: others are within a replica."""
    found = []
    for devices in (["CPU:0"], ["CPU:0", "CPU:1"]):
        strategy = tf.distribute.MirroredStrategy(devices, cross_device_ops=tf.distribute.ReductionToOneDevice())
        with strategy.scope():
            model = make(group_size=1, level_rates=None)
            model.compile(keras.optimizers.SGD(0.01), ema_decay=0.9)
        fit(model, 0, STEPS)
        found.append(values(model))
    for key in found[0]:
        np.testing.assert_allclose(found[0][key].astype("float64"), found[1][key], atol=2e-4, rtol=1e-3, err_msg=key)


def test_training_by_the_trainer_has_a_batch_size_for_each_level():
    preset = tfgen.presets.get("progressive-gan/celeba-hq-1024-code")
    assert preset.batch_size[0] == (0, 128) and preset.batch_size[-1][1] == 4
    for name in tfgen.presets.names():
        if name.startswith("progressive-gan/"):
            preset = tfgen.presets.get(name)
            growth = tfgen.models.adversarial.parts.growth.Growth(
                *(preset.model_args[key] for key in ("level_batch_sizes", "stable_images", "fade_images"))
            )
            assert preset.batch_size == growth.batch_schedule()
            assert growth.phases[growth.index(preset.steps - 1)] == growth.phases[-1], "the last level is reached"


# ---- sampling


def test_samples_of_any_level_have_the_full_size():
    model, labels = make(image_shape=(16, 16, 1), level_batch_sizes=8, level_rates=None), [0, 1, 2]
    by_level = [model.sample(3, seed=5, level=level).numpy() for level in labels]
    for level, images in enumerate(by_level):
        side = 4 >> level
        assert images.shape == (3, 16, 16, 1) and np.array_equal(images, up(images[:, ::side, ::side], side))
    np.testing.assert_array_equal(model.sample(3, seed=5), by_level[0])  # as far as training has come
    mixed = model.sample(3, seed=5, level=labels).numpy()
    for row, level in enumerate(labels):
        np.testing.assert_allclose(mixed[row], by_level[level][row], atol=1e-6)
    latents = model.latents(tf.range(3, dtype=tf.int64) + (5 << 32))
    np.testing.assert_allclose(model.decode_images(latents, level=1), by_level[1], atol=1e-6)


def test_the_same_graph_follows_the_fade():
    model = make()
    raw = [model.generate_raw(Z, position=tf.constant(position)).numpy() for position in (0.0, 1.0)]
    run = tf.function(model.decode_images, autograph=False)
    for step, share in ((0, 0.0), (2, 0.0), (3, 0.25), (6, 0.625), (8, 0.875), (9, 1.0), (1000, 1.0)):
        model.step.assign(step)
        expected = np.clip(0.5 + 0.5 * lerp(*raw, share), 0, 1)
        np.testing.assert_allclose(run(Z), expected, atol=1e-5)
        np.testing.assert_allclose(model.discriminate(IMAGES)["logit"], model.discriminator(
            [IMAGES], position=tf.constant(share), levels=(0, 1))["logit"][:, 0], atol=1e-6)  # fmt: skip


def test_an_export_at_any_level(tmp_path):
    model = make()
    model.step.assign(MIDDLE)
    path = tfgen.export.export_saved_model(model, tmp_path, warmup=False)
    served = tf.saved_model.load(str(path)).signatures
    seeds = tf.constant([0, 1], tf.int64)
    np.testing.assert_allclose(served["sample"](seeds=seeds)["image"], model.sample(2), atol=1e-6)
    found = served["sample_level"](seeds=seeds, level=tf.constant([1, 0], tf.int32))["image"]
    np.testing.assert_allclose(found, model.sample(2, level=[1, 0]), atol=1e-6)
    assert [field.name for field in model.input_fields()] == ["level"]


# ---- wrong inputs


@pytest.mark.parametrize("wrong, message", [
    ({"image_shape": (28, 28, 1)}, "start_size 7 x 7, 14 x 14, 28 x 28 fits"),
    ({"image_shape": (8, 12, 1)}, "start_size 2 x 3, 4 x 6, 8 x 12 fits"),
    ({"start_size": 3}, "start_size 1 x 1, 2 x 2, 4 x 4, 8 x 8 fits"),
    ({"start_size": 0}, "start_size must be"), ({"start_size": "4"}, "start_size must be"),
    ({"level_batch_sizes": (8,)}, "one for each of the 2 levels"), ({"level_batch_sizes": 0}, "level_batch_sizes must be"),
    ({"level_rates": (1.0,) * 3}, "level_rates must be one number"), ({"level_rates": -1.0}, "level_rates must be"),
    ({"first_level": 2}, "first_level must be below 2, the number of levels; received 2"),
    ({"fade_images": 0}, "fade_images"), ({"group_size": 0}, "group_size must be"),
    ({"penalty": "none"}, "penalty must be"), ({"drift_weight": -1}, "drift_weight"),
    ({"generator": keras.Sequential([keras.Input((3,))])}, "takes no generator of your own"),
])  # fmt: skip
def test_wrong_settings(wrong, message):
    with pytest.raises(ValueError, match=message):
        make(**wrong)


def test_a_batch_of_another_size_is_refused():
    model = compiled()
    one = tf.data.Dataset.from_tensors(np.ones((4, 8, 8, 1), "float32"))
    with pytest.raises(ValueError, match=r"At level 0 a step has 8 images, .* received 4.*\[\(0, 8\), \(3, 4\)\]"):
        model.fit(one, verbose=0)
    assert model.step.numpy() == 0


@pytest.mark.parametrize("level, error, message", [
    (2, tf.errors.InvalidArgumentError, r"lie in \[0, 2\)"), (-1, tf.errors.InvalidArgumentError, "lie in"),
    (0.5, ValueError, "level must be integers"), ("1", ValueError, "level"),
    ([0, 1], ValueError, "one row for each of the 3"),
])  # fmt: skip
def test_wrong_levels(level, error, message):
    model = make()
    with pytest.raises(error, match=message) as caught:
        model.sample(3, level=level)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="batch_norm of ProgressiveGAN, which has no batch norm, must be 'moving'"):
        model.sample(3, batch_norm="standing")
    assert model.sample(3, level=1).shape == (3, 8, 8, 1)
