"""BigGAN: which part of the network gets which part of the latents, what is regularised, truncation, classes in between."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.models.adversarial.test_sagan import attentions
from tests.seeds import set_seed
from tfgen.layers.spectral_norm import SpectralNorm
from tfgen.models import BigGAN
from tfgen.sampling import image_grid

# Three parts of two latents each: of the grid and of two blocks.
ARGS = {"image_shape": (8, 8, 1), "width": 2, "num_classes": 3, "shared_dim": 4, "latent_dim": 6,
        "network_args": {"generator": {"filters": (8, 8, 8)}, "discriminator": {"downs": 1}}}  # fmt: skip
LABELS = [0, 1, 2, 0]


@pytest.fixture(scope="module")
def model():
    """Not trained; tests do not change it."""
    set_seed(0)
    return BigGAN(**ARGS)


def count(network):
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


# ---- the networks


ZEROS = {"kernel_initializer": "zeros"}  # made faster than orthogonal kernels


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({"width": 16, "shared_dim": 32, "latent_dim": 32}, (275_009, 264_129)),
        ({"width": 16, "shared_dim": 32, "latent_dim": 32, "attention_size": 16}, (280_130, 269_250)),
        ({"width": 16, "shared_dim": 32, "latent_dim": 32, "num_classes": 0}, (250_113, 263_489)),
        ({"latent_dim": 128, "image_shape": (32, 32, 3)}, (4_373_251, 4_207_361)),
        ({"latent_dim": 128, "image_shape": (32, 32, 3), "shared_dim": None}, (4_304_387, 4_207_361)),
    ],
)
def test_parameters_at_32_pixels(args, expected):
    model = BigGAN(**{"image_shape": (32, 32, 1), "num_classes": 10, "network_args": ZEROS, **args})
    assert (count(model.generator), count(model.discriminator)) == expected


def _counts(side, ch):
    """(generator, discriminator) with attention at 64 pixels, layer by layer."""
    ups = {128: (16, 16, 8, 4, 2, 1), 256: (16, 16, 8, 8, 4, 2, 1), 512: (16, 16, 8, 8, 4, 2, 1, 1)}[side]
    downs = {128: (1, 2, 4, 8, 16, 16), 256: (1, 2, 4, 8, 8, 16, 16), 512: (1, 1, 2, 4, 8, 8, 16, 16)}[side]

    def conv(a, b, size):
        return size * size * a * b + b

    def attention(sides, widths):
        width = next(w for s, w in zip(sides, widths, strict=True) if s == 64)
        return 5 * width * width // 4 + 1

    ups, downs = [ch * n for n in ups], [ch * n for n in downs]
    generator = 1000 * 128 + 21 * 16 * ups[0]
    for a, b in zip(ups, ups[1:], strict=False):
        generator += 2 * 148 * (a + b) + conv(a, b, 3) + conv(b, b, 3) + conv(a, b, 1)
    generator += 2 * ups[-1] + conv(ups[-1], 3, 3) + attention([8 * 2**i for i in range(len(ups) - 1)], ups[1:])
    discriminator = 1001 * downs[-1] + 1
    for i, (a, b) in enumerate(zip([3, *downs], downs, strict=False)):
        last = i == len(downs) - 1
        discriminator += conv(a, b, 3) + conv(b, b, 3) + (0 if last else conv(a, b, 1))
    return generator, discriminator + attention([side // 2 ** (i + 1) for i in range(len(downs))], downs)


def test_count_of_the_published_network():
    assert _counts(128, 96) == (70_433_988, 87_982_370), "as the authors' code prints them"


@pytest.mark.long
@pytest.mark.parametrize(("side", "latents"), [(128, 120), (256, 140), (512, 160)])
def test_published_sizes(side, latents):
    preset = tfgen.presets.get(f"biggan/imagenet{side}-paper")
    assert preset.model_args["width"] == 96
    changes = {"width": 16, "network_args": ZEROS, "attention_args": ZEROS}
    model = BigGAN(**{**preset.model_args, **changes})
    assert (count(model.generator), count(model.discriminator)) == _counts(side, 16) and model.latent_dim == latents


def test_presets_of_small_images():
    for name, grid, parts in (("mnist", (7, 7, 64), 3), ("digits", (2, 2, 32), 3)):
        preset = tfgen.presets.get(f"biggan/{name}")
        model = BigGAN(**preset.model_args)
        assert model.generator.grid == grid and model.latent_dim == 8 * parts
        assert preset.override({"ema_start": 7}).compile_args["ema_start"] == 7


def test_kernels_are_orthogonal_and_spectrally_normalised_but_for_the_embedding(model):
    for network in (model.generator, model.discriminator):
        raw = {id(one.raw_weight) for one in network._flatten_layers() if isinstance(one, SpectralNorm)}
        kernels = [v for v in network.trainable_variables if len(v.shape) > 1]
        plain = [v.path for v in kernels if id(v) not in raw]
        assert len(raw) > 5 and plain == ([model.generator.shared.kernel.path] if network is model.generator else [])
        for kernel in kernels:
            values = np.linalg.svd(kernel.numpy().reshape(-1, kernel.shape[-1]), compute_uv=False)
            np.testing.assert_allclose(values, 1.0, atol=1e-5)
    embedding = model.discriminator.embedding.raw_weight.numpy()
    np.testing.assert_allclose(embedding @ embedding.T, np.eye(3), atol=1e-5)


def test_attention_is_that_of_sagan():
    model = BigGAN(**ARGS, attention_size=4, attention_args={"pool": False})
    for network in (model.generator, model.discriminator):
        (layer,) = attentions(network)
        assert layer.size == layer.key_size == (4, 4) and layer.spectral
        for one in (layer.query, layer.key, layer.value, layer.out):
            kernel = one.raw_weight.numpy()[0, 0]
            np.testing.assert_allclose(np.linalg.svd(kernel, compute_uv=False), 1.0, atol=1e-5)


def test_zero_maps_are_plain_batch_norm():
    set_seed(0)
    norm = BigGAN(**ARGS).generator.blocks[0].norms[1]
    x, condition = np.random.default_rng(0).normal(1, 2, (5, 4, 4, 8)).astype("float32"), np.ones((5, 6), "float32")
    conditional = norm([x, condition], training=True).numpy()
    gain, bias = (layer(condition).numpy()[:, None, None] for layer in (norm.gain, norm.bias))
    plain = (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-5)
    np.testing.assert_allclose(conditional, (1 + gain) * plain + bias, atol=1e-4)
    dim, small = x - x.mean((0, 1, 2)), 0.01 * x  # of a variance at which the epsilon of 1e-5 counts
    expected = (1 + gain) * 0.01 * dim / np.sqrt(1e-4 * x.var((0, 1, 2)) + 1e-5) + bias
    np.testing.assert_allclose(norm([small, condition], training=True), expected, atol=1e-3)
    for layer in (norm.gain, norm.bias):
        assert not layer.use_bias
        layer.raw_weight.assign(tf.zeros_like(layer.raw_weight.value))
    np.testing.assert_allclose(norm([x, condition], training=True), plain, atol=1e-4)
    assert np.any(conditional != plain)


def test_a_part_of_the_latents_changes_its_block_and_later_ones(model):
    generator, seen = model.generator, []
    latents = tf.constant(np.random.default_rng(0).normal(size=(4, 6)), tf.float32)
    one_hot = tf.one_hot(LABELS, 3)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(latents)
        embedding = generator.shared(one_hot)
        x = tf.reshape(generator.dense(latents[:, :2]), [-1, *generator.grid])
        for i, block in enumerate(generator.blocks):
            seen.append(tf.reduce_sum(x**2))
            x = block(x, tf.concat([embedding, latents[:, 2 + 2 * i : 4 + 2 * i]], 1))
        seen.append(tf.reduce_sum(x**2))
    images = tf.tanh(generator.out(tf.nn.relu(generator.norm(x))))
    np.testing.assert_allclose(model.generate_raw(latents, one_hot), images, atol=1e-6)
    for reached, value in enumerate(seen):  # the grid, and after each block
        gradient = tape.gradient(value, latents).numpy().reshape(4, 3, 2)
        assert np.all(gradient[:, : reached + 1] != 0) and np.all(gradient[:, reached + 1 :] == 0)


def test_orthogonal_term_is_of_the_generator_without_its_embedding(model):
    assert model.regularization(model.discriminator) == 0.0
    with tf.GradientTape() as tape:
        loss = model.regularization(model.generator)
    variables = model.generator.trainable_variables
    gradients = tape.gradient(loss, [v.value for v in variables], unconnected_gradients=tf.UnconnectedGradients.ZERO)
    total = 0.0
    for variable, gradient in zip(variables, gradients, strict=True):
        if len(variable.shape) < 2 or variable is model.generator.shared.kernel:
            assert not np.any(gradient)
            continue
        weight = variable.numpy().reshape(-1, variable.shape[-1]).T.astype("float64")
        product = weight @ weight.T
        off = product - np.diag(np.diag(product))
        total += 1e-4 * np.sum(off**2)
        np.testing.assert_allclose(gradient.numpy().reshape(weight.T.shape).T, 4e-4 * off @ weight, atol=1e-8)
    assert total > 1e-6 and float(loss) == pytest.approx(total, rel=1e-4)
    assert BigGAN(**ARGS, regularizer=None).regularization(model.generator) == 0.0


def test_tables_of_classes_are_not_regularised_either():
    model = BigGAN(**{**ARGS, "shared_dim": None})
    loss = float(model.regularization(model.generator))
    for variable in model.generator.trainable_variables:
        if variable.name in ("gamma", "beta"):
            variable.assign_add(tf.ones_like(variable.value))
    assert float(model.regularization(model.generator)) == loss


# ---- training


def test_two_updates_of_the_discriminator_for_one_of_the_generator_and_late_averages():
    set_seed(0)
    model = BigGAN(**ARGS)
    model.compile(ema_decay=0.9, ema_start=1)
    rates = {name: float(one.learning_rate) for name, one in model.player_optimizers.items()}
    assert rates == {"generator": pytest.approx(5e-5), "discriminator": pytest.approx(2e-4)}
    for optimizer in model.default_optimizer().values():
        assert (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon) == (0.0, 0.999, 1e-8)
    images = np.random.default_rng(0).random((4, 8, 8, 1), dtype="float32")
    kernel = {name: getattr(model, name).blocks[0].convs[0].raw_weight for name in ("generator", "discriminator")}
    u, moved = model.generator.blocks[0].convs[0].u, []
    path = next(path for path in model.ema.paths if "conv_0" in path and "block_0" in path and "kernel" in path)
    for step in range(4):
        before = {name: v.numpy() for name, v in {**kernel, "u": u}.items()}
        average = model.ema.named()[path].numpy()
        model.fit({"image": images, "label": np.array(LABELS)}, batch_size=4, verbose=0)
        moved.append([bool(np.any(v.numpy() != before[name])) for name, v in {**kernel, "u": u}.items()])
        now, weight = model.ema.named()[path].numpy(), kernel["generator"].numpy()
        expected = average if step % 2 == 0 else weight if step == 1 else 0.9 * average + 0.1 * weight
        np.testing.assert_allclose(now, expected, atol=1e-7)
    assert moved == [[False, True, False], [True, True, True]] * 2
    assert model.get_compile_config()["ema_start"] == 1


# ---- truncation


def test_truncated_samples(model):
    seeds = tf.range(4, dtype=tf.int64) + (3 << 32)
    plain, cut = model.latents(seeds), model.latents(seeds, 0.5).numpy()
    assert np.abs(cut).max() <= 0.5 < np.abs(plain).max()
    assert np.all(np.sign(cut) == np.sign(plain)), "the same image, less far from the centre"
    np.testing.assert_array_equal(model.latents(seeds, tf.constant([np.inf] * 4)), plain)
    each = model.latents(seeds, tf.constant([0.5, 2.0, 0.5, 0.1]))
    np.testing.assert_array_equal(each[:1], cut[:1])
    assert np.abs(each[3]).max() <= 0.1

    images = model.sample(4, seed=3, labels=LABELS, truncation=0.5)
    np.testing.assert_allclose(images, model.decode_images(cut, LABELS), atol=1e-6)
    np.testing.assert_allclose(images, model.generate(seeds, LABELS, 0.5), atol=1e-6)
    np.testing.assert_allclose(images[1:2], model.generate(seeds[1:2], LABELS[1:2], truncation=0.5), atol=1e-6)
    assert np.any(model.sample(4, seed=3, labels=LABELS).numpy() != images)


@pytest.mark.parametrize("truncation", [None, 0.5, 0.04])
def test_standing_statistics_are_of_latents_with_the_threshold(model, monkeypatch, truncation):
    seen, generate_raw = [], model.generate_raw

    def spy(latents, one_hot=None, training=False):
        seen.extend([np.abs(latents).max()] if training else [])
        return generate_raw(latents, one_hot, training)

    monkeypatch.setattr(model, "generate_raw", spy)
    model.sample(4, labels=LABELS, truncation=truncation, batch_norm="standing", batch_size=32)
    assert len(seen) == 16 and max(seen) <= (truncation or 6) and max(seen) > 0.9 * (truncation or 2)


def test_served_truncation_and_classes(model):
    signatures, seeds = model.signatures(), tf.range(4, dtype=tf.int64)
    function, specs = signatures["sample_truncated"]
    assert sorted(specs) == ["labels", "seeds", "truncation"]
    images = function(seeds=seeds, labels=tf.constant(LABELS), truncation=tf.constant([0.5, 0.0, 1.0, 0.0]))["image"]
    expected = model.sample(4, labels=LABELS).numpy(), model.sample(4, labels=LABELS, truncation=0.5).numpy()
    np.testing.assert_allclose(images[1::2], expected[0][1::2], atol=1e-6)
    np.testing.assert_allclose(images[0], expected[1][0], atol=1e-6)
    for wrong in (-1.0, np.nan):
        with pytest.raises(tf.errors.InvalidArgumentError, match="truncation must lie"):
            function(seeds=seeds, labels=tf.constant(LABELS), truncation=tf.constant([0.5, wrong, 1.0, 0.0]))
    latents = model.latents(seeds)
    images = signatures["decode_classes"][0](latent=latents, classes=tf.one_hot(LABELS, 3))["image"]
    np.testing.assert_allclose(images, model.decode_images(latents, LABELS), atol=1e-6)
    assert "sample_truncated" not in BigGAN(**ARGS, latent_distribution="uniform").signatures()


# ---- between classes


def test_interpolation_of_classes(model):
    latents = model.latents([0, 1])
    rows = model.interpolate_classes(latents, [0, 1], [2, 1], steps=5)
    assert rows.shape == (2, 5, 8, 8, 1)
    np.testing.assert_allclose(rows[:, 0], model.decode_images(latents, [0, 1]), atol=1e-6)
    np.testing.assert_allclose(rows[:, -1], model.decode_images(latents, [2, 1]), atol=1e-6)
    np.testing.assert_allclose(rows[1], np.broadcast_to(rows[1, :1], rows[1].shape), atol=1e-6)
    # The embedding in the middle is the mean of both.
    table, middle = model.generator.shared.kernel.numpy(), model.generator.shared(np.array([[0.5, 0.0, 0.5]]))
    np.testing.assert_allclose(middle[0], 0.5 * (table[0] + table[2]), atol=1e-6)
    np.testing.assert_allclose(rows[:1, 2], model.decode_classes(latents[:1], np.array([[0.5, 0.0, 0.5]])), atol=1e-6)
    assert image_grid(tf.concat(list(rows), 0), columns=5).shape == (2 * 9 + 1, 5 * 9 + 1, 1)


# ---- wrong input


@pytest.mark.parametrize("truncation", [0, -1.0, float("nan"), float("inf"), "0.5", True, [0.5, 0.5]])
def test_wrong_truncation(model, truncation):
    with pytest.raises(ValueError, match="truncation must be a number > 0 or None; received"):
        model.sample(2, labels=[0, 1], truncation=truncation)
    if truncation != float("inf") and not isinstance(truncation, list):
        with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="truncation must"):
            model.generate([0, 1], [0, 1], truncation=truncation)


def test_wrong_numbers_have_one_line(model):
    ones = np.ones((3, 3), "float32")
    for call, what in (
        (lambda: model.sample(2, labels=[0, 1], truncation=1e-9), r"truncation must lie in \[1e-06, inf\]; received"),
        (lambda: model.decode_classes(tf.zeros([2, 6]), ones), "classes must have as many rows as latents"),
        (lambda: model.decode_classes(tf.zeros([3, 5]), ones), r"latents must have the shape .*\(3, 5\)"),
    ):
        with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=what) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_wrong_conditions(model):
    with pytest.raises(ValueError, match="is conditional and needs labels"):
        model.sample(2, truncation=0.5)
    with pytest.raises(ValueError, match="is conditional and needs labels"):
        model.generate([0, 1])
    with pytest.raises(ValueError, match="one row for each of the 2 images"):
        model.sample(2, labels=[0, 1, 2])
    with pytest.raises(tf.errors.InvalidArgumentError, match="truncation must lie in"):
        model.generate([0, 1], [0, 1], np.array([0.5, 0.0]))
    with pytest.raises(ValueError, match="truncation must have the shape"):
        model.generate([0, 1], [0, 1], np.array([[0.5, 0.5]]))
    with pytest.raises(ValueError, match="this model has latent_distribution='uniform'"):
        BigGAN(**ARGS, latent_distribution="uniform").sample(2, labels=[0, 1], truncation=0.5)


@pytest.mark.parametrize(
    ("change", "error", "what"),
    [
        ({"steps": 1}, ValueError, "steps must be an integer >= 2; received 1"), ({"steps": 2.5}, ValueError, "steps"),
        ({"labels_a": [0]}, ValueError, "two labels for each; received latents .2, 6. and 1 and 2 labels"),
        ({"latents": np.zeros((2, 5))}, ValueError, r"needs latents \[B, 6\]"), ({"labels_b": None}, ValueError, "labels"),
        ({"labels_b": [0, 3]}, tf.errors.InvalidArgumentError, "labels must lie in"),
    ],
)  # fmt: skip
def test_wrong_interpolation(model, change, error, what):
    given = {"latents": np.zeros((2, 6)), "labels_a": [0, 1], "labels_b": [1, 2], **change}
    with pytest.raises(error, match=what):
        model.interpolate_classes(**given)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"image_shape": (10, 8, 1)}, "doubles a grid 2 times.* multiples of 4; received 10 x 8. .* fits is 12 x 8"),
        ({"latent_dim": 7}, "latent_dim must be a multiple of 3, .* in each of 2 blocks, such as 6; received 7"),
        ({"attention_size": 5}, "must be a height of the generator's feature maps, 4 or 8"),
        ({"shared_dim": 0}, "shared_dim must be an integer >= 1 or None"), ({"width": 2.5}, "width"),
        ({"shared_dim": None, "image_shape": (10, 8, 1)}, "multiples of 4"),
        ({"network_args": {"generator": {"filters": ()}}}, r"'filters'. must be the filters of the grid.*; received \(\)"),
        ({"network_args": {"generator": {"filters": 8}}}, "received 8"),
        ({"attention_args": {"pools": True}}, "pools"),
    ],
)
def test_wrong_settings(change, what):
    with pytest.raises(ValueError, match=what):
        BigGAN(**{**ARGS, **change})


def test_a_model_without_classes_has_parts_of_latents_alone():
    model = BigGAN(**{**ARGS, "num_classes": 0})
    assert model.generator.shared is None and model.sample(2, truncation=1.0).shape == (2, 8, 8, 1)
    assert "decode_classes" not in model.signatures()
    with pytest.raises(ValueError, match="takes no labels"):
        model.interpolate_classes(np.zeros((1, 6)), [0], [1])


def test_own_generator_takes_the_place_of_the_papers():
    z, labels = keras.Input((5,)), keras.Input((3,))
    x = keras.layers.Concatenate()([z, keras.layers.Dense(2)(labels)])
    own = keras.Model([z, labels], keras.layers.Reshape((8, 8, 1))(keras.layers.Dense(64, "tanh")(x)))
    model = BigGAN(**{**ARGS, "latent_dim": 5, "network_args": {"discriminator": {"downs": 1}}}, generator=own)
    assert model.sample(2, labels=[0, 1], truncation=0.5).shape == (2, 8, 8, 1)
    assert model.interpolate_classes(np.zeros((1, 5)), [0], [1], 3).shape == (1, 3, 8, 8, 1)


def test_seeds_must_be_integers():
    model = BigGAN(image_shape=(8, 8, 1), width=2, num_classes=3, shared_dim=2, latent_dim=4)
    for seeds in ([0.5], [True], [float("nan")]):
        with pytest.raises(ValueError, match="seeds"):
            model.generate(tf.constant(seeds), [0])
