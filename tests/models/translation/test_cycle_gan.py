"""CycleGAN: its losses in closed form, what each of them trains, its pools, both directions, the counts of its paper."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import export, presets
from tfgen.models import CycleGAN
from tfgen.training.state import named_variables

SMALL = {"image_shape": (8, 8, 1), "width": 4, "blocks": 1, "halvings": 1, "discriminator_width": 4,
         "discriminator_layers": 1}  # fmt: skip
NETWORKS = ("to_b", "to_a", "discriminator_a", "discriminator_b")


def images(num=6, shape=(8, 8, 1), seed=0):
    return np.random.default_rng(seed).random((num, *shape), dtype="float32")


def batch(num=6):
    return {"image": images(num, seed=1), "other": images(num, seed=2)}


def scaled(shape, factor):
    """The network that multiplies by a number, which it could learn."""
    network = keras.Sequential([keras.Input(shape), keras.layers.Conv2D(1, 1, use_bias=False)])
    network.layers[0].kernel.assign([[[[factor]]]])
    return network


def of_factors(to_b=1.0, to_a=1.0, discriminators=1.0, shape=(2, 2, 1), **settings):
    """All four networks multiply."""
    factors = {"to_b": to_b, "to_a": to_a, "discriminator_a": discriminators, "discriminator_b": discriminators}
    return CycleGAN(image_shape=shape, **{name: scaled(shape, factor) for name, factor in factors.items()}, **settings)


def terms(model, a, b):
    a, b = tf.constant(a), tf.constant(b)
    found = model.generator_terms(a, b, model.run(model.to_a, b), model.run(model.to_b, a))
    return {name: float(value) for name, value in found.items()}


def weights(model, *names):
    return [v.numpy() for name in names for v in getattr(model, name).variables]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


# ---- losses


def test_least_squares_by_hand():
    real, fake = np.float32([[0.9, 1.2], [0.4, 0.8]]), np.float32([[0.1, -0.3], [0.6, 0.2]])
    real, fake = (x.reshape(1, 2, 2, 1) for x in (real, fake))
    model = of_factors()
    assert float(model.discriminator_loss(real, real, fake, fake)) == pytest.approx(2 * 0.11875, rel=1e-5)
    half = float(model.discriminator_loss(real, np.ones_like(real), fake, np.zeros_like(fake)))
    assert half == pytest.approx(0.11875, rel=1e-5)  # D_B is right about everything
    assert terms(model, fake, fake)["adversarial_loss"] == pytest.approx(2 * 0.825, rel=1e-5)


def test_identity_networks_have_no_cycle_loss():
    model = of_factors(identity_weight=0.5)
    found = terms(model, 2 * images(shape=(2, 2, 1)) - 1, 2 * images(shape=(2, 2, 1), seed=1) - 1)
    assert [found[name] for name in ("forward_cycle", "backward_cycle", "identity_loss")] == [0.0, 0.0, 0.0]
    assert found["adversarial_loss"] > 0.1


@pytest.mark.parametrize(
    ("to_b", "to_a", "forward", "backward", "identity_b", "identity_a"),
    [(-1.0, -1.0, 0.0, 0.0, 2.0, 2.0), (-1.0, 1.0, 2.0, 2.0, 2.0, 0.0), (2.0, 0.25, 0.5, 0.5, 1.0, 0.75)],
)
def test_cycle_and_identity_in_closed_form(to_b, to_a, forward, backward, identity_b, identity_a):
    """Factors of the mean of |a| or |b|; those of both domains differ, as do their weights."""
    model = of_factors(to_b, to_a, cycle_weight=(10.0, 3.0), identity_weight=0.5)
    a, b = 2 * images(shape=(2, 2, 1)) - 1, images(shape=(2, 2, 1), seed=1) / 4
    size_a, size_b = np.mean(np.abs(a)), np.mean(np.abs(b))
    found = terms(model, a, b)
    assert found["forward_cycle"] == pytest.approx(10 * forward * size_a, rel=1e-5, abs=1e-6)
    assert found["backward_cycle"] == pytest.approx(3 * backward * size_b, rel=1e-5, abs=1e-6)
    expected = 0.5 * (10 * identity_a * size_a + 3 * identity_b * size_b)
    assert found["identity_loss"] == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_a_step_of_gradient_descent_by_hand():
    """One pixel, factors g, f, d: the loss of both generators is a polynomial, whose derivatives are written out here."""
    g, f, d, a, b, rate = 0.8, 1.1, 0.7, 0.6, -0.4, 0.01
    model = of_factors(g, f, d, shape=(1, 1, 1), pool_size=0, cycle_weight=(2.0, 3.0))
    model.compile(keras.optimizers.SGD(rate))
    row = {"image": np.full((1, 1, 1, 1), (a + 1) / 2, "float32"), "other": np.full((1, 1, 1, 1), (b + 1) / 2, "float32")}
    logs = model.fit(tf.data.Dataset.from_tensors(row), verbose=0).history
    # (d g a - 1)^2 + (d f b - 1)^2 + 2 |f g a - a| + 3 |g f b - b|, with f g < 1, a > 0 > b
    slope_g = 2 * d * a * (d * g * a - 1) - 2 * f * a + 3 * f * b
    slope_f = 2 * d * b * (d * f * b - 1) - 2 * g * a + 3 * g * b
    loss = (d * g * a - 1) ** 2 + (d * f * b - 1) ** 2 + 2 * (1 - f * g) * a - 3 * (1 - f * g) * b
    assert logs["generator_loss"][0] == pytest.approx(loss, rel=1e-5)
    got = [float(weights(model, name)[0].squeeze()) for name in NETWORKS]
    assert got[:2] == pytest.approx([g - rate * slope_g, f - rate * slope_f], rel=1e-5)
    # The discriminators see the fakes of the old generators.
    slopes = [d * x * x - x + d * fake * fake for x, fake in ((a, f * b), (b, g * a))]
    assert got[2:] == pytest.approx([d - rate * slope for slope in slopes], rel=1e-5)
    halves = [((d * x - 1) ** 2 + (d * fake) ** 2) / 2 for x, fake in ((a, f * b), (b, g * a))]
    assert logs["discriminator_loss"][0] == pytest.approx(sum(halves), rel=1e-5)


def test_which_loss_reaches_which_network():
    model = CycleGAN(**SMALL, identity_weight=0.5, seed=3)
    a, b = tf.constant(2 * images(seed=1) - 1), tf.constant(2 * images(seed=2) - 1)
    with tf.GradientTape(persistent=True) as tape:
        fake_a, fake_b = model.run(model.to_a, b), model.run(model.to_b, a)
        found = model.generator_terms(a, b, fake_a, fake_b)
        found["discriminator_loss"] = model.discriminator_loss(a, b, model.pooled("a", fake_a), model.pooled("b", fake_b))

    def reaches(loss, network):
        gradients = tape.gradient(found[loss], [v.value for v in getattr(model, network).trainable_variables])
        return any(g is not None and np.any(np.abs(g) > 1e-7) for g in gradients)

    matrix = {loss: [reaches(loss, network) for network in NETWORKS] for loss in found}
    assert matrix == {
        "adversarial_loss": [True, True, True, True],  # through the discriminators, which are not updated
        "forward_cycle": [True, True, False, False],
        "backward_cycle": [True, True, False, False],
        "identity_loss": [True, True, False, False],
        "discriminator_loss": [False, False, True, True],
    }


@pytest.mark.parametrize(("silent", "still"), [("discriminator_a", "to_a"), ("discriminator_b", "to_b")])
def test_each_generator_answers_to_the_discriminator_of_its_own_domain(silent, still):
    model = CycleGAN(**SMALL, cycle_weight=0.0, seed=3)
    for variable in getattr(model, silent).trainable_variables:
        variable.assign(tf.zeros_like(variable.value))
    model.compile({"generators": keras.optimizers.SGD(0.1), "discriminators": keras.optimizers.SGD(0.0)}, run_eagerly=True)
    before = {name: weights(model, name) for name in NETWORKS}
    model.fit(tf.data.Dataset.from_tensors(batch()), verbose=0)
    unchanged = {name for name in NETWORKS if same(before[name], weights(model, name))}
    assert unchanged == {"discriminator_a", "discriminator_b", still}


@pytest.mark.parametrize("frozen", ["generators", "discriminators"])
def test_a_player_moves_its_own_networks_alone(frozen):
    model = CycleGAN(**SMALL, seed=3)
    rates = {"generators": 0.1, "discriminators": 0.1, frozen: 0.0}
    model.compile({name: keras.optimizers.SGD(rate) for name, rate in rates.items()}, run_eagerly=True)
    before = {name: weights(model, name) for name in NETWORKS}
    model.fit(tf.data.Dataset.from_tensors(batch()), verbose=0)
    unchanged = {name for name in NETWORKS if same(before[name], weights(model, name))}
    assert unchanged == set(NETWORKS[:2] if frozen == "generators" else NETWORKS[2:])


# ---- pools


def test_pools_hold_the_fakes_of_their_domain_as_they_were_before_the_update():
    model = CycleGAN(**SMALL, pool_size=16, seed=3)
    model.compile(keras.optimizers.SGD(0.5), run_eagerly=True)
    data, expected = batch(), {}
    for count in (6, 12):
        expected = {
            name: model.run(network, tf.constant(2 * data[field] - 1)).numpy()
            for name, network, field in (("pool_a", model.to_a, "other"), ("pool_b", model.to_b, "image"))
        }
        model.fit(tf.data.Dataset.from_tensors(data), verbose=0)
        for name, fakes in expected.items():
            pool = getattr(model, name)
            np.testing.assert_allclose(pool.images[count - 6 : count], fakes, atol=1e-5)
            assert int(pool.filled.numpy()) == count and not np.any(pool.images[count:])
    assert np.max(np.abs(expected["pool_a"] - expected["pool_b"])) > 0.1


def test_full_pools_change_by_draws_of_their_own():
    """Half of 64 images change places; the same draws for both pools would change the same rows."""
    model, new = CycleGAN(**SMALL, pool_size=64, seed=3), tf.reshape(tf.range(128.0), [128, 1, 1, 1])
    new = tf.tile(new, [1, 8, 8, 1])
    old = {}
    for name in "ab":
        model.pooled(name, new[:64])
        old[name] = model.pooled(name, new[64:]).numpy()[:, 0, 0, 0] < 64
        stored = getattr(model, f"pool_{name}").images.numpy()[:, 0, 0, 0]
        assert np.sum(stored >= 64) >= np.sum(old[name]) > 16 and np.sum(old[name]) < 48
    assert 16 < np.sum(old["a"] != old["b"]) < 48


def test_discriminators_see_what_the_pools_give_back():
    """One image in each pool and in each step, nothing is learnt: by the draws of a step, the old image or the new one."""
    model = of_factors(1.0, 1.0, 0.5, shape=(1, 1, 1), pool_size=1, seed=1)
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    pools, swaps = {}, 0
    for step in range(8):
        value = {"a": step / 10 + 0.1, "b": 0.95 - step / 10}  # in [-1, 1]
        loss = 0.0
        # Each generator copies, so the new fakes of one domain are the images of the other.
        for i, (name, new) in enumerate((("a", value["b"]), ("b", value["a"]))):
            swapped = name in pools and float(model.noise([2], 1, i, "uniform")[0, 0]) > 0.0
            seen, swaps = pools[name] if swapped else new, swaps + swapped
            if swapped or name not in pools:
                pools[name] = new
            loss += ((value[name] / 2 - 1) ** 2 + (seen / 2) ** 2) / 2
        row = {"image": value["a"], "other": value["b"]}
        row = {name: np.full((1, 1, 1, 1), (one + 1) / 2, "float32") for name, one in row.items()}
        found = model.fit(tf.data.Dataset.from_tensors(row), verbose=0).history["discriminator_loss"]
        assert found == pytest.approx([loss], rel=1e-5), step
    assert 3 < swaps < 13


def test_pools_are_state_and_can_be_left_out():
    kept = [key for key in named_variables(CycleGAN(**SMALL)) if "pool" in key]
    assert sorted(kept) == ["pool_a/filled", "pool_a/images", "pool_b/filled", "pool_b/images"]
    model = CycleGAN(**SMALL, pool_size=0)
    assert not [key for key in named_variables(model) if "pool" in key]
    fakes = tf.constant(images())
    np.testing.assert_array_equal(model.pooled("a", fakes), fakes)


# ---- translation


def test_both_directions(tmp_path):
    model = of_factors(-1.0, 0.5)
    x = images(shape=(2, 2, 1))
    np.testing.assert_allclose(model.translate(image=x)["image"], 1 - x, atol=1e-6)
    np.testing.assert_allclose(model.translate_back(image=x)["image"], 0.25 + x / 2, atol=1e-6)
    model.compile()
    served = tf.saved_model.load(str(export.export_saved_model(model, tmp_path, warmup=False))).signatures
    np.testing.assert_allclose(served["translate"](image=tf.constant(x))["image"], 1 - x, atol=1e-6)
    np.testing.assert_allclose(served["translate_back"](image=tf.constant(x))["image"], 0.25 + x / 2, atol=1e-6)
    with pytest.raises(ValueError, match="translate_back takes image; received other"):
        model.translate_back(other=x)
    with pytest.raises(ValueError, match=re.escape("translate_back was made for images [batch, 2, 2, 1]")):
        model.translate_back(image=x[:, :1])
    wide = of_factors(3.0)
    assert np.max(wide.translate(image=x)["image"]) == 1.0 and np.min(wide.translate(image=x)["image"]) == 0.0


def test_grids_show_both_directions():
    """The inputs above their translations; a known pair below."""
    model = of_factors(to_b=0.5, to_a=-1.0, shape=(8, 8, 1))
    given = {name: tf.constant(value) for name, value in batch(4).items()}
    a, there, b, back = model.pictures(given)
    for found, wanted in ((a, given["image"]), (b, given["other"]), (back, 1 - given["other"])):
        np.testing.assert_allclose(found, wanted, atol=1e-6)
    np.testing.assert_allclose(there, 0.25 + 0.5 * given["image"], atol=1e-6)
    assert len(model.pictures({**given, "target": given["image"]})) == 5 and len(model.pictures({"image": a})) == 2
    from tfgen.models.capabilities import Translator

    grid = Translator.grid_of(model, 16, given)
    assert grid.shape == (4, 4, 8, 8, 1)
    np.testing.assert_allclose(grid[1], there, atol=1e-6)


def test_a_copy_for_another_size():
    """It has the weights and as many blocks; its pools are new."""
    model = CycleGAN(**{**SMALL, "blocks": None, "pool_size": 2})
    large = model.resized(12, 256)
    assert large.get_config()["blocks"] == model.get_config()["blocks"] == 6
    assert same(weights(model, *NETWORKS), weights(large, *NETWORKS))
    assert large.translate(image=np.zeros([1, 12, 256, 1], "float32"))["image"].shape == (1, 12, 256, 1)


def test_evaluation_against_known_pairs_needs_no_image_of_the_other_domain():
    model = of_factors(-1.0, shape=(2, 2, 1))
    model.compile()
    x = images(shape=(2, 2, 1))
    pairs = tf.data.Dataset.from_tensors({"image": x, "target": 0.9 - x * 0.9})
    found = model.evaluate(pairs, verbose=0, return_dict=True)
    assert found["l1"] == pytest.approx(np.mean(1 - x) / 10, rel=1e-4)


def test_training_needs_images_of_both_domains():
    model = CycleGAN(**SMALL)
    model.compile()
    message = r"CycleGAN needs the field 'other' in its batches \(images of the domain B.*received the fields \['image'\]"
    with pytest.raises(ValueError, match=message):
        model.fit(images(), verbose=0)


# ---- settings


def test_parameter_counts_of_the_paper():
    model = CycleGAN(image_shape=(24, 24, 3), blocks=9, pool_size=0)
    assert [getattr(model, name).count_params() for name in NETWORKS] == [11_378_179] * 2 + [2_764_737] * 2
    assert CycleGAN(image_shape=(24, 24, 3), pool_size=0).to_a.count_params() == 7_837_699
    small = presets.get("cycle-gan/mnist-usps")
    model = CycleGAN(**small.model_args)
    assert [getattr(model, name).count_params() for name in NETWORKS] == [269_377] * 2 + [42_353] * 2
    assert model.pool_a.images.shape == (50, 28, 28, 1)


@pytest.mark.parametrize(("sides", "blocks"), [((256, 256), 9), ((252, 256), 6)])
def test_blocks_by_size(sides, blocks):
    model = CycleGAN(image_shape=(*sides, 1), width=1, discriminator_width=1, pool_size=0)
    assert len(model.to_a.blocks) == len(model.to_b.blocks) == blocks


def test_weights_start_from_a_normal_distribution():
    model = CycleGAN(image_shape=(24, 24, 1), width=32, blocks=1, discriminator_width=32)
    for kernel in (model.to_b.blocks[0].convs[1].kernel, model.discriminator_a.convs[2].kernel):
        assert np.std(kernel) == pytest.approx(0.02, rel=0.02) and np.max(np.abs(kernel)) > 0.06


def test_the_rate_is_that_of_the_authors_epochs():
    preset = presets.get("cycle-gan/horse2zebra-paper")
    spec = preset.compile_args["optimizer"]["config"]["learning_rate"]
    spec = {**spec, "config": {**spec["config"], "decay_steps": preset.steps}}
    rate = keras.saving.deserialize_keras_object(spec)
    found = [float(rate((epoch - 1) * 1334)) for epoch in (1, 100, 101, 102, 151, 200, 201)]
    assert found == pytest.approx([2e-4, 2e-4, 2e-4, 1.98e-4, 1e-4, 2e-6, 0.0], rel=1e-4)


def test_settings_that_do_not_fit():
    with pytest.raises(ValueError, match="received 30 x 28, near which heights of 28 or 32 and widths of 28 fit"):
        CycleGAN(image_shape=(30, 28, 1))
    with pytest.raises(ValueError, match="3 halvings .* needs images of at least 24 x 24 pixels; received 8 x 8"):
        CycleGAN(image_shape=(8, 8, 1))
    for wrong in ((1.0,), (1.0, 2.0, 3.0), -1.0, (1.0, -1.0), "10"):
        with pytest.raises(ValueError, match="^cycle_weight must be"):
            CycleGAN(**SMALL, cycle_weight=wrong)
    with pytest.raises(ValueError, match="^padding must be 'reflect' or 'zero'; received 'mirror'"):
        CycleGAN(**SMALL, padding="mirror")
    with pytest.raises(ValueError, match="width=4 is a setting of the built-in networks of CycleGAN, which to_b and to_a"):
        CycleGAN(image_shape=(2, 2, 1), width=4, to_b=scaled((2, 2, 1), 1.0), to_a=scaled((2, 2, 1), 1.0))
