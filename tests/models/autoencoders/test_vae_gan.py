"""VAE/GAN: which loss reaches which weights, the balance of its two players, and networks as published."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import presets
from tfgen.models import VAEGAN
from tfgen.models.capabilities import Likelihood

LN2 = float(np.log(2.0))
TINY = {
    "image_shape": (8, 8, 1), "latent_dim": 3, "encoder_widths": (4, 8), "decoder_widths": (4, 4),
    "discriminator_widths": (3, 4, 4, 5), "similarity_layer": 1, "similarity_weight": 0.3,
}  # fmt: skip
GROUPS = ("encoder", "decoder", "discriminator")


def build(optimizer=None, **changes):
    keras.utils.set_random_seed(0)
    model = VAEGAN(**{**TINY, "margin": None, **changes})
    model.compile(optimizer or keras.optimizers.SGD(0.1))
    return model


def images(num=6, shape=(8, 8, 1), seed=0):
    return np.random.default_rng(seed).random((num, *shape), dtype="float32")


def weights(model):
    return {name: [v.numpy() for v in player.variables] for name, player in model.players().items()}


def steps_of(model):
    """{group: what one update adds to its weights, in one vector}."""
    before = weights(model)
    model.update({"image": tf.constant(images())})
    after = weights(model)
    return {
        name: np.concatenate([(b - a).ravel() for a, b in zip(before[name], after[name], strict=True)]) for name in GROUPS
    }


def terms(model, seed=0):
    noise, prior = np.random.default_rng(seed).normal(size=(2, 6, 3)).astype("float32")
    return model.terms(images(), noise, prior)


# ---- which loss reaches which weights


@pytest.mark.parametrize(
    ("term", "reached"),
    [
        ("prior", {"encoder"}),
        ("similarity", {"encoder", "decoder"}),
        ("real", {"discriminator"}),
        ("fake prior", {"decoder", "discriminator"}),
        ("fake reconstruction", {"decoder", "discriminator"}),
    ],
)
def test_the_gradient_matrix(term, reached):
    """Without a term the updates of those groups change that it reaches, and of no other."""
    full, without = build(), build()
    whole = without.terms

    def terms_without(*args):
        kl, similarity, real, fakes = whole(*args)
        found = {"prior": kl, "similarity": similarity, "real": real,
                 **{f"fake {kind}": cost for kind, cost in fakes.items()}}  # fmt: skip
        found[term] *= 0.0
        return found["prior"], found["similarity"], found["real"], {kind: found[f"fake {kind}"] for kind in fakes}

    without.terms = terms_without
    a, b = steps_of(full), steps_of(without)
    assert all(np.any(step != 0) for step in a.values())
    assert {name for name in GROUPS if np.abs(a[name] - b[name]).max() > 1e-5 * np.abs(a[name]).max()} == reached


def test_what_lies_behind_the_similarity_layer_does_not_reach_the_encoder():
    plain, perturbed = build(), build()
    for variable in perturbed.head.trainable_variables:
        variable.assign(variable + 0.5)
    a, b = steps_of(plain), steps_of(perturbed)
    np.testing.assert_allclose(a["encoder"], b["encoder"], rtol=1e-5, atol=1e-8)
    assert np.any(np.abs(a["decoder"] - b["decoder"]) > 1e-4)


def test_the_decoder_mixes_both_gradients():
    only_adversarial, only_similarity, mixed = (
        steps_of(build(similarity_weight=w))["decoder"] for w in (0.0, 1.0, 0.25)
    )  # fmt: skip
    np.testing.assert_allclose(mixed, 0.25 * only_similarity + 0.75 * only_adversarial, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", GROUPS)
def test_each_group_follows_its_own_loss(name):
    """A small step of one group alone lowers what it minimises; the decoder so raises the cost of fakes."""
    model = build(similarity_weight=0.0)
    model.compile({group: keras.optimizers.SGD(1e-3 if group == name else 0.0) for group in GROUPS})
    noise, prior = (model.noise([3], 6, stream=stream) for stream in range(2))
    before = model.losses_of(*model.terms(images(), noise, prior))
    model.update({"image": tf.constant(images())})
    after = model.losses_of(*model.terms(images(), noise, prior))
    assert after[f"{name}_loss"] < before[f"{name}_loss"]
    assert name != "decoder" or after["fake_cost"] > before["fake_cost"]


# ---- closed forms


def test_a_discriminator_that_knows_nothing():
    model = build()
    for variable in model.head.layers[-1].trainable_variables:
        variable.assign(tf.zeros_like(variable.value))
    kl, similarity, real, fakes = terms(model)
    assert -float(real + fakes["prior"] + fakes["reconstruction"]) == pytest.approx(-3.0 * LN2, abs=1e-6)
    losses = model.losses_of(kl, similarity, real, fakes)
    assert float(losses["discriminator_loss"]) == pytest.approx(LN2, abs=1e-6)
    assert float(losses["decoder_loss"]) == pytest.approx(0.3 * float(similarity) - 0.7 * 2.0 * LN2, rel=1e-5)
    assert float(losses["encoder_loss"]) == pytest.approx(float(kl + similarity), rel=1e-6)


def test_with_both_fakes_and_a_third_for_the_real_the_discriminator_has_the_papers_loss():
    model = build(real_weight=1 / 3)
    found = terms(model)
    value = -(found[2] + found[3]["prior"] + found[3]["reconstruction"])
    assert float(model.losses_of(*found)["discriminator_loss"]) == pytest.approx(-float(value) / 3, rel=1e-5)


def test_a_perfect_reconstruction_has_no_distance():
    model = build()
    assert terms(model)[1] > 0
    raw = 2.0 * images() - 1.0
    model.decode_raw = lambda latents, training: raw
    assert float(terms(model)[1]) == pytest.approx(0.0, abs=1e-8)


def test_the_prior_term_is_that_of_gaussians():
    model = build()
    posterior = model.encode(images(), training=True)
    mean, stddev = posterior.mean().numpy(), posterior.stddev().numpy()
    expected = 0.5 * np.sum(stddev**2 + mean**2 - 1.0 - np.log(stddev**2), axis=1).mean()
    assert float(terms(model)[0]) == pytest.approx(expected, rel=1e-5)


def test_batch_norm_does_not_mix_kinds_of_images():
    """What is said of images and reconstructions does not depend on the samples beside them, nor on their number."""
    model, noise = build(), tf.zeros([6, 3])
    found = [model.terms(images(), noise, prior) for prior in (tf.zeros([6, 3]), 5.0 * tf.ones([6, 3]), tf.zeros([2, 3]))]
    for other in found[1:]:
        for a, b in zip(found[0][:3], other[:3], strict=True):
            assert float(a) == pytest.approx(float(b), rel=1e-5)
        a, b = (one[3]["reconstruction"] for one in (found[0], other))
        assert float(a) == pytest.approx(float(b), rel=1e-5)


def test_one_kind_of_fakes():
    both = terms(build())[3]
    for kind in ("prior", "reconstruction"):
        costs = terms(build(fakes=(kind,)))[3]
        assert list(costs) == [kind] and float(costs[kind]) == pytest.approx(float(both[kind]), rel=1e-5)


def test_similarity_in_pixels_is_that_of_an_ordinary_vae():
    model = build(similarity_layer=None, similarity_weight=1.0)
    np.testing.assert_allclose(model.features(images()), (2.0 * images() - 1.0).reshape(6, 64), atol=1e-6)
    a, b = steps_of(model), steps_of(build(similarity_layer=None, similarity_weight=1.0, fakes=("prior",)))
    np.testing.assert_allclose(a["decoder"], b["decoder"], rtol=1e-4, atol=1e-6)  # no adversarial gradient


@pytest.mark.parametrize(("layer", "shape"), [(0, (8, 8, 3)), (1, (4, 4, 4)), (2, (2, 2, 4))])
def test_the_similarity_layer_is_a_convolution_without_what_follows(layer, shape):
    model = build(similarity_layer=layer)
    assert isinstance(model.trunk.layers[-1], keras.layers.Conv2D)
    assert model.trunk.output_shape[1:] == shape
    features = model.features(images())
    assert features.shape == (6, np.prod(shape)) and np.min(features) < 0


# ---- balance


@pytest.mark.parametrize(
    ("real", "fake", "decoder", "discriminator"),
    [
        (0.68, 0.68, True, True),
        (0.34, 1.02, True, True),
        (0.32, 0.68, True, False),  # the discriminator is too good at real images,
        (0.68, 0.32, True, False),  # at fakes
        (1.04, 0.68, False, True),  # the decoder is too good
        (0.68, 1.04, False, True),
        (0.32, 1.04, True, True),  # neither would be updated: both are
        (1.04, 0.32, True, True),
    ],
)
def test_the_balance_rule(real, fake, decoder, discriminator):
    turns = VAEGAN(**TINY).turns(tf.constant(real), tf.constant(fake))
    assert [bool(turn) for turn in turns] == [decoder, discriminator]
    assert [bool(turn) for turn in build().turns(tf.constant(real), tf.constant(fake))] == [True, True]


@pytest.mark.parametrize(("skipped", "replicas"), [("decoder", 1), pytest.param("discriminator", 2, marks=pytest.mark.long)])
def test_a_skipped_turn_leaves_weights_and_optimizer_as_they_were(skipped, replicas):
    reduction = tf.distribute.ReductionToOneDevice()
    devices = ["CPU:0", "CPU:1"][:replicas]
    with tf.distribute.MirroredStrategy(devices, cross_device_ops=reduction).scope():
        model = build("adam", margin=0.35)
    object.__setattr__(model, "turns", lambda *costs: (tf.constant(skipped != "decoder"), tf.constant(skipped == "decoder")))
    state = {
        name: [*player.variables, *model.player_optimizers[name].variables] for name, player in model.players().items()
    }  # fmt: skip
    before = {name: [v.numpy() for v in variables] for name, variables in state.items()}
    data = tf.data.Dataset.from_tensors({"image": images()}).repeat(3)
    history = model.fit(data, verbose=0).history
    for name, variables in state.items():
        same = [np.array_equal(v.numpy(), old) for v, old in zip(variables, before[name], strict=True)]
        assert all(same) if name == skipped else not all(same), name
    assert [history[f"{name}_skipped"][-1] for name in GROUPS[1:]] == [skipped == name for name in GROUPS[1:]]


@pytest.mark.long
def test_replicas_decide_by_their_mean_costs():
    reduction = tf.distribute.ReductionToOneDevice()
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=reduction).scope():
        model = build(margin=0.35)
    whole = model.terms

    def shifted(*args):  # costs of .1 and 1.2: one replica would skip the discriminator, the other the decoder
        kl, similarity, real, fakes = whole(*args)
        replica = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.float32)
        cost = 0.1 + 1.1 * replica
        return kl, similarity, 0.0 * real + cost, {name: 0.0 * fake + cost for name, fake in fakes.items()}

    model.terms = shifted
    history = model.fit(tf.data.Dataset.from_tensors({"image": images()}), verbose=0).history
    assert history["decoder_skipped"] == history["discriminator_skipped"] == [0.0]


# ---- the rest


def test_each_group_has_an_optimizer_of_its_own():
    model = VAEGAN(**TINY)
    assert tuple(model.players()) == GROUPS
    model.compile({"encoder": keras.optimizers.Adam(0.1), "decoder": keras.optimizers.SGD(0.2)})
    optimizers = model.player_optimizers.values()
    kinds = [(type(optimizer).__name__, float(optimizer.learning_rate)) for optimizer in optimizers]
    assert kinds == [("Adam", pytest.approx(0.1)), ("SGD", pytest.approx(0.2)), ("RMSprop", pytest.approx(3e-4))]
    assert len({id(optimizer) for optimizer in optimizers}) == 3
    owned = [id(v) for player in model.players().values() for v in player.variables]
    assert sorted(owned) == sorted(id(v) for v in model.trainable_variables)


def test_layer_table_of_the_faces():
    preset = presets.get("vae-gan/celeba-paper")
    model = VAEGAN(**preset.model_args)

    def count(*networks):
        return sum(int(np.prod(v.shape)) for network in networks for v in network.trainable_variables)

    def bn(*widths):
        return 2 * sum(widths)

    assert count(model.encoder) == (
        25 * (3 * 64 + 64 * 128 + 128 * 256) + bn(64, 128, 256) + 8 * 8 * 256 * 1024 + bn(1024) + 1024 * 256 + 256
    )
    assert count(model.decoder) == (
        128 * 16384 + bn(16384) + 25 * (256 * 256 + 256 * 128 + 128 * 32) + bn(256, 128, 32) + 25 * 32 * 3 + 3
    )
    assert count(model.trunk, model.head) == (
        25 * 3 * 32 + 32 + 25 * (32 * 128 + 128 * 256 + 256 * 256) + bn(128, 256, 256) + 16384 * 512 + bn(512) + 513
    )
    assert model.trunk.output_shape == (None, 8, 8, 256)  # 16,384 features
    assert model.fakes == ("prior",) and model.similarity_weight == 1e-6


@pytest.mark.parametrize("shape", [(28, 28, 1), (7, 9, 3)])
def test_images_of_any_size(shape):
    model = VAEGAN(**{**TINY, "image_shape": shape, "decoder_widths": (4, 4, 4, 4)})
    pictures = images(2, shape)
    assert model.reconstruct(pictures).shape == model.sample(2).shape == (2, *shape)
    posterior = model.encode(pictures)
    assert posterior.batch_shape == (2,) and posterior.event_shape == (3,)
    np.testing.assert_allclose(model.decode_images(posterior.mean()), model.reconstruct(pictures), atol=1e-6)


def test_evaluation_logs_the_losses_without_learning():
    model = VAEGAN(**TINY)
    model.compile()
    before = [v.numpy() for v in model.weights]
    x = images(4, TINY["image_shape"])
    logs = model.evaluate(x, batch_size=4, verbose=0, return_dict=True)
    losses = set(model.loss_names) - {"decoder_skipped", "discriminator_skipped"}
    assert set(logs) == losses | {"reconstruction_error"}
    assert logs["reconstruction_error"] == pytest.approx(np.mean((model.reconstruct(x) - x) ** 2), rel=1e-5)
    assert logs == model.evaluate(images(4, TINY["image_shape"]), batch_size=4, verbose=0, return_dict=True)
    trackers = {id(v) for tracker in model.trackers.values() for v in tracker.variables}
    for variable, old in zip(model.weights, before, strict=True):
        if id(variable) not in trackers:
            np.testing.assert_array_equal(variable, old)


def test_there_is_no_likelihood():
    model = VAEGAN(**TINY)
    assert Likelihood not in model.capabilities() and not hasattr(model, "log_prob") and not hasattr(model, "elbo")
    assert {"encode", "reconstruct", "decode", "sample"} <= set(model.signatures())
    assert not {"log_prob", "elbo"} & set(model.signatures())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("latent_dim", 0), ("encoder_widths", (8,)), ("decoder_widths", (4, 0)), ("discriminator_widths", (4, 4.5)),
        ("similarity_layer", 3), ("similarity_weight", 1.5), ("real_weight", 1.0), ("fakes", ()),
        ("fakes", ("prior", "prior")), ("fakes", ("images",)), ("margin", 0.0),
    ],
)  # fmt: skip
def test_bad_arguments(name, value):
    with pytest.raises(ValueError, match=f"{name}.*received"):
        VAEGAN(**{**TINY, name: value})
