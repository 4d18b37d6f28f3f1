"""StyleGAN: golden values of its parts, styles, noise, truncation and mixing."""

import numpy as np
import pytest
import tensorflow as tf

from tests.seeds import set_seed
from tfgen.models import StyleGAN
from tfgen.models.adversarial.style_gan import MeanLatent, _Mapping, _StyledLayer, mixed

ARGS = {"image_shape": (16, 16, 1), "latent_dim": 4, "w_size": 4, "mapping_depth": 2, "max_filters": 4}
SEEDS = tf.constant([0, 1, 2], tf.int64)


def count(network):
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


@pytest.fixture(scope="module")
def model():
    """With noise weights and styles of its own in every layer, as after training."""
    set_seed(0)
    model = StyleGAN(**ARGS)
    rng = np.random.default_rng(0)
    for layer in model.generator.styled:
        layer.noise_weight.assign(rng.normal(size=layer.noise_weight.shape))
        layer.bias.assign(rng.normal(size=layer.bias.shape))
    model.mean_w.value.assign(rng.normal(size=4))
    return model


def test_mapping():
    mapping = _Mapping(3, 2, 1, 0.01, 0)
    mapping.dense[0].raw_weight.assign([[100.0, -50.0], [20.0, 80.0], [-30.0, 60.0]])
    mapping.dense[0]._bias.assign([10.0, -20.0])
    np.testing.assert_allclose(mapping(tf.constant([[1.0, -2.0, 2.0]])), [[0.1, -0.12485281]], atol=1e-6)


def test_epilogue_in_the_official_order():
    layer = _StyledLayer(1, 1, (2, 2), None, 1)
    layer.noise_weight.assign([0.5])
    layer.bias.assign([0.1])
    layer.style.raw_weight.assign([[0.0, 0.0]])
    layer.style._bias.assign([0.3, 0.2])  # scale, then shift
    x, noise = (np.array(v, "float32").reshape(1, 2, 2, 1) for v in ([1, -2, 0.5, 3], [0.2, -0.4, 0.6, 0]))
    out = layer.epilogue(x, tf.zeros([1, 1]), noise).numpy().ravel()
    np.testing.assert_allclose(out, [0.20516936, -1.46970459, -0.10499248, 2.16952771], atol=1e-6)


def test_mean_latent_and_mixing():
    mean = MeanLatent(2)
    mean.value.assign([0.1, -0.2])
    mean.update(tf.constant([[1.0, 2.0], [3.0, 0.0]]))
    np.testing.assert_allclose(mean.value, [0.1095, -0.194], atol=1e-7)
    ones = tf.ones([1, 1])
    assert mixed(ones, -ones, tf.constant(3), 8).numpy().ravel().tolist() == [1, 1, 1, -1, -1, -1, -1, -1]
    assert mixed(ones, -ones, tf.constant(8), 8).numpy().min() == 1


def test_parameters():
    small = StyleGAN(image_shape=(32, 32, 1), latent_dim=64, w_size=64, mapping_depth=4, base_filters=512, max_filters=64)
    assert count(small.generator) == 288_801 and count(small.generator.mapping) == 16_640
    same = StyleGAN(image_shape=(32, 32, 1), latent_dim=64, w_size=64, max_filters=64)
    assert count(same.discriminator) == 324_865
    assert same.generator.sizes == [(4, 4)] * 2 + [(8, 8)] * 2 + [(16, 16)] * 2 + [(32, 32)] * 2


@pytest.mark.long
def test_parameters_of_the_papers_size():
    model = StyleGAN(image_shape=(32, 32, 3))
    assert count(model.generator) == 22_836_739


def test_a_style_is_of_its_layer_alone(model):
    """Styles of a layer change the image, and do not change the maps of the layers before."""
    w = tf.Variable(model.map(model.latents(SEEDS[:1])))
    for i in range(model.num_layers):
        x, reached = None, []
        with tf.GradientTape(persistent=True) as tape:
            for j, layer in enumerate(model.generator.styled):
                x = layer(x, w[:, j], model.noise_inputs()[j])
                reached.append(tf.reduce_sum(x**3))
        of_layer = [np.abs(tf.convert_to_tensor(tape.gradient(one, w)))[0, i].sum() for one in reached]
        assert not any(of_layer[:i]) and all(value > 0 for value in of_layer[i:])


def test_noise(model):
    w = model.map(model.latents(SEEDS))
    shared, own = model.noise_inputs(), model.noise_inputs(SEEDS)
    np.testing.assert_array_equal(model.synthesize(w), model.synthesize(w, shared))
    np.testing.assert_allclose(model.synthesize(w), model.generate(SEEDS), atol=1e-5)
    assert np.any(model.synthesize(w, own) != model.synthesize(w))
    other_rows = model.noise_inputs([9, 1, 8])
    np.testing.assert_array_equal(own[3][1], other_rows[3][1])
    assert np.std(np.concatenate([np.ravel(one) for one in own])) == pytest.approx(1.0, abs=0.1)
    # Without weights there is no noise, in training as well.
    plain = StyleGAN(**ARGS)
    np.testing.assert_allclose(plain.synthesize(w, own), plain.synthesize(w), atol=1e-6)


def test_truncation(model):
    latents = model.latents(SEEDS)
    plain = model.map(latents)
    mean = model.mean_w.value.numpy()
    np.testing.assert_allclose(model.map(latents, truncation=0.0), np.broadcast_to(mean, plain.shape), atol=1e-6)
    np.testing.assert_allclose(model.map(latents, truncation=-1.0), 2 * mean - plain, atol=1e-5)
    part = model.map(latents, truncation=0.5, cutoff=2).numpy()
    np.testing.assert_allclose(part[:, :2], mean + 0.5 * (plain[:, :2] - mean), atol=1e-6)
    np.testing.assert_array_equal(part[:, 2:], plain[:, 2:])


def test_truncated_samples(model):
    """psi of any sign, one number or one for each image; psi = 1 is no truncation."""
    plain = model.sample(3, seed=5).numpy()
    np.testing.assert_allclose(model.sample(3, seed=5, truncation=1), plain, atol=1e-5)
    seeds = tf.range(3, dtype=tf.int64) + (5 << 32)
    w, mean = model.map(model.latents(seeds)).numpy(), model.mean_w.value.numpy()
    psi = np.float32([-1.5, 0.0, 0.7])
    expected = model.synthesize(mean + psi[:, None, None] * (w - mean))
    np.testing.assert_allclose(model.sample(3, seed=5, truncation=psi), expected, atol=1e-5)
    np.testing.assert_allclose(model.generate(seeds, truncation=psi), expected, atol=1e-5)
    np.testing.assert_allclose(model.generate(seeds[:1], truncation=-1.5), expected[:1], atol=1e-5)
    for wrong, error, what in (
        (float("nan"), ValueError, "truncation must be a finite number; received nan"),
        (True, ValueError, "truncation must be a finite number"), ("1", ValueError, "truncation must be a finite number"),
        ([0.5, np.nan, 1.0], tf.errors.InvalidArgumentError, "truncation must be finite"),
        ([0.5, 0.5], ValueError, "truncation must have one row for each of the 3 images"),
        ([[0.5] * 3] * 3, ValueError, "truncation must have the shape"), (["a"] * 3, ValueError, "truncation must be float"),
    ):  # fmt: skip
        with pytest.raises(error, match=what):
            model.sample(3, truncation=wrong)
    with pytest.raises(ValueError, match="truncation must have as many rows as latents, 3"):
        model.map(model.latents(seeds), truncation=[0.5, 0.5])


def test_signatures_of_styles(model):
    signatures = model.signatures()
    latents, psi = model.latents(SEEDS), tf.constant([1.0, 0.0, -1.0])
    specs = {"sample_truncated": {"seeds", "truncation"}, "map": {"latent", "truncation"}, "synthesize": {"w", "seeds"},
             "mix": {"w_a", "w_b", "layers"}}  # fmt: skip
    for name, inputs in specs.items():
        assert signatures[name][1].keys() == inputs and all(spec.shape[0] is None for spec in signatures[name][1].values())
    w = signatures["map"][0](latent=latents, truncation=psi)["w"]
    np.testing.assert_allclose(w, model.map(latents, truncation=psi), atol=1e-6)
    own = signatures["synthesize"][0](w=w, seeds=SEEDS + 3)["image"]
    np.testing.assert_allclose(own, model.synthesize(w, model.noise_inputs(SEEDS + 3)), atol=1e-6)
    shared = signatures["synthesize"][0](w=w, seeds=tf.zeros([3], tf.int64))["image"]
    np.testing.assert_allclose(shared, model.sample(3, seed=0, truncation=psi), atol=1e-5)
    layers = tf.constant([[1, 1, 0, 0, 0, 0], [0] * 6, [1] * 6])
    mixed = signatures["mix"][0](w_a=w, w_b=w[::-1], layers=layers)["image"]
    by_hand = np.stack([np.concatenate([w[2, :2], w[0, 2:]]), w[1], w[0]])
    np.testing.assert_allclose(mixed, model.synthesize(by_hand), atol=1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError, match="layers must lie in"):
        signatures["mix"][0](w_a=w, w_b=w, layers=2 * layers)
    with pytest.raises(tf.errors.InvalidArgumentError, match="w must be finite"):
        model.synthesize(np.nan * w)


def test_mix(model):
    rows, columns = model.map(model.latents(SEEDS)), model.map(model.latents(SEEDS[:2] + 7))
    np.testing.assert_allclose(model.mix(rows, columns, [])[:, 1], model.synthesize(rows), atol=1e-5)
    np.testing.assert_allclose(model.mix(rows, columns, range(6))[1], model.synthesize(columns), atol=1e-5)
    coarse = model.mix(rows, columns, range(2))
    assert coarse.shape == (3, 2, 16, 16, 1)
    by_hand = np.concatenate([columns[1:, :2], rows[:1, 2:]], axis=1)
    np.testing.assert_allclose(coarse[0, 1], model.synthesize(by_hand)[0], atol=1e-5)


def test_one_cutoff_for_a_batch():
    model = StyleGAN(**ARGS, mixing_probability=0.8)
    found = []
    for step in range(200):
        model.step.assign(step)
        found.append(int(model.draw_cutoff(0)))
    assert set(found) == {1, 2, 3, 4, 5, 6}  # 6: no mixing
    assert np.mean(np.array(found) == 6) == pytest.approx(0.2, abs=0.08)
    model.step.assign(0)
    assert len({int(model.draw_cutoff(stream)) for stream in range(20)}) > 1, "the generator's turn has its own"


def test_training_moves_the_mean_once_a_step():
    model = StyleGAN(**ARGS)
    model.compile(run_eagerly=True)
    w = model.generator.mapping(model.draw_latents(model.noise_keys(4, 0)))
    model.train_step({"image": np.random.default_rng(0).random((4, 16, 16, 1), "float32")})
    np.testing.assert_allclose(model.mean_w.value, 0.005 * np.mean(w, axis=0), atol=1e-7)


def test_conditional_logits_are_those_of_the_class():
    model = StyleGAN(**ARGS, num_classes=3)
    images = np.random.default_rng(0).uniform(-1, 1, (4, 16, 16, 1)).astype("float32")
    per_class = np.stack([model.logits(images, tf.one_hot([k] * 4, 3)) for k in range(3)], -1)
    found = model.logits(images, tf.one_hot([0, 1, 2, 0], 3)).numpy()
    np.testing.assert_allclose(found, per_class[range(4), [0, 1, 2, 0]], atol=1e-6)
    assert np.unique(per_class[0]).size == 3
    assert model.map(model.latents(SEEDS), labels=[0, 1, 2]).shape == (3, 6, 4)


def test_wrong_inputs(model):
    latents = model.latents(SEEDS)
    w = model.map(latents)
    for call, what in (
        (lambda: model.map(latents, truncation=float("nan")), "truncation must be a finite number; received nan"),
        (lambda: model.map(latents, truncation="0.5"), "truncation"),
        (lambda: model.map(latents, truncation=True), "truncation"),
        (lambda: model.map(latents, cutoff=-1), "cutoff"), (lambda: model.map(latents, cutoff=1.5), "cutoff"),
        (lambda: model.map(latents[:, :2]), r"latents must have the shape \[batch, 4\]"),
        (lambda: model.sample(1, batch_norm="standing"), "which has no batch norm, must be 'moving'"),
        (lambda: model.synthesize(w[:, :3]), r"\[B, 6, 4\]"),
        (lambda: model.synthesize(w[0, 0]), "w must be"),
        (lambda: model.synthesize(w, model.noise_inputs()[:2]), "noise"),
        (lambda: model.mix(w, w, [6]), r"layers must be whole numbers in \[0, 6\)"),
        (lambda: model.mix(w, w, [-1]), "layers"), (lambda: model.mix(w, w, [0.5]), "layers"),
        (lambda: model.mix(w, w, [True]), "layers"),
        (lambda: model.mix(w, w[:, 0], [1]), "w_columns"),
        (lambda: StyleGAN(**ARGS | {"image_shape": (30, 30, 1)}), "start_size times a power of two.* 15 x 15"),
        (lambda: model.noise_inputs([0.5]), "seeds"),
        (lambda: StyleGAN(**ARGS | {"image_shape": (16, 32, 1)}), "start_size"),
        (lambda: StyleGAN(**ARGS, num_classes=3).map(latents), "label"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=what):
            call()
    served = {name: function for name, (function, _) in model.signatures().items()}
    layers = tf.zeros([3, 6], tf.int32)
    for call in (
        lambda: model.map(latents * np.nan), lambda: served["map"](latent=latents * np.inf, truncation=tf.ones([3])),
        lambda: served["synthesize"](w=w[:1], seeds=SEEDS), lambda: served["mix"](w_a=w[:1], w_b=w[:1], layers=layers),
        lambda: served["mix"](w_a=w[:1], w_b=w, layers=layers),
    ):  # fmt: skip
        what = "latents must be finite|same number of rows; received (1 3|3 1)"
        with pytest.raises(tf.errors.InvalidArgumentError, match=what):
            call()
    assert StyleGAN(**ARGS | {"image_shape": (24, 28, 1), "start_size": (6, 7)}).generator.sizes[0] == (6, 7)
