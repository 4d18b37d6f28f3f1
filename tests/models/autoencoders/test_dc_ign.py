"""DC-IGN: what is clamped, which gradient reaches which latent, the sizes of the paper's network."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfgen
from tfgen.models import DCIGN
from tfgen.models.autoencoders.base import LatentVariableModel
from tfgen_trainers.train import check_images_fit

tfd = tfp.distributions

SMALL = {
    "image_shape": (8, 8, 1), "latent_dim": 5, "filters": (4,), "kernel_size": 3, "decoder_filters": (),
    "decoder_kernel_size": 3,
}  # fmt: skip
ROWS = 6


def build(**args):
    keras.utils.set_random_seed(0)
    model = DCIGN(**{**SMALL, **args})
    for layer in (model.encoder.layers[-1], model.decoder.layers[0]):  # away from their small start
        layer.kernel.assign(keras.random.normal(layer.kernel.shape, stddev=0.5, seed=1))
    return model


def batch(active=0, rows=ROWS):
    images = np.random.default_rng(0).random((rows, 8, 8, 1)).astype("float32")
    return {"image": images, "active": np.full(rows, active, "int32")}


NOISE = np.random.default_rng(1).normal(size=(ROWS, 5)).astype("float32")
MASKS = {0: [1, 0, 0, 0, 0], 1: [0, 1, 0, 0, 0], 2: [0, 0, 1, 0, 0], 3: [0, 0, 0, 1, 1]}


def latent_gradients(model, which, data):
    """(gradient of each image's share of a loss term in its own sample z, z), with the encoder's outputs as they are.

    `which`: the number of the term in `loss_terms`, or None for their sum.
    """
    posterior = model.encode(data["image"])
    mean, stddev = tf.constant(posterior.mean()), tf.constant(posterior.stddev())
    shift = tf.Variable(tf.zeros_like(mean))
    model.posterior = lambda images, training=False: tfd.Independent(tfd.Normal(mean + shift, stddev), 1)
    with tf.GradientTape() as tape:
        terms = model.loss_terms(data["image"], model.active_latents(data), NOISE)
        loss = tf.reduce_sum(tf.add_n(terms) if which is None else terms[which])
    return tape.gradient(loss, shift).numpy(), (mean + stddev * NOISE).numpy(), mean.numpy()


@pytest.mark.parametrize("clamp", ["mean", "first"])
@pytest.mark.parametrize("active", MASKS)
def test_the_decoder_sees_differences_in_active_latents_alone(active, clamp):
    model, data = build(clamp=clamp), batch(active)
    mask = model.active_latents(data)
    np.testing.assert_array_equal(mask, [MASKS[active]] * ROWS)
    z = model.encode(data["image"]).sample(seed=0)
    seen, mean = (t.numpy() for t in model.clamped(z, mask))
    constant = z.numpy().mean(axis=0) if clamp == "mean" else z.numpy()[0]
    for k in range(5):
        np.testing.assert_allclose(seen[:, k], z[:, k] if MASKS[active][k] else np.full(ROWS, constant[k]), rtol=1e-5)
    np.testing.assert_allclose(mean[0], z.numpy().mean(axis=0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("clamp", ["mean", "first"])
def test_gradients_of_latents_that_do_not_vary_are_those_of_invariance(clamp):
    off = np.array(MASKS[1]) == 0
    for which in (0, 1):  # neither reconstruction nor KL
        gradient, _, _ = latent_gradients(build(clamp=clamp), which, batch(1))
        assert np.all(gradient[:, off] == 0) and np.all(gradient[:, ~off] != 0)
    gradient, z, _ = latent_gradients(build(clamp=clamp, invariance=0.03), None, batch(1))
    np.testing.assert_allclose(gradient[:, off], 0.03 * (z - z.mean(axis=0))[:, off], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(gradient[:, off].sum(axis=0), 0, atol=1e-6)
    none, _, _ = latent_gradients(build(clamp=clamp, invariance=0.0), None, batch(1))
    assert np.all(none[:, off] == 0)
    np.testing.assert_allclose(gradient[:, ~off], none[:, ~off], rtol=1e-5)  # invariance leaves the others alone


def test_gradient_of_active_latents_is_the_true_one():
    """That of an autoencoder in which the other latents are given numbers: KL's part is the mean itself."""
    model, data = build(), batch(3)
    gradient, z, mean = latent_gradients(model, 1, data)
    np.testing.assert_allclose(gradient[:, 3:], mean[:, 3:], rtol=1e-5)
    gradient, _, _ = latent_gradients(build(), 0, data)
    seen = tf.Variable(np.where(np.array(MASKS[3]), z, z.mean(axis=0)).astype("float32"))
    with tf.GradientTape() as tape:
        loss = -tf.reduce_sum(model.decode(seen).log_prob(data["image"]))
    np.testing.assert_allclose(gradient[:, 3:], tape.gradient(loss, seen).numpy()[:, 3:], rtol=1e-4, atol=1e-5)


def test_without_clamping_it_is_a_variational_autoencoder():
    model, data = build(clamp="none"), batch()
    del data["active"]
    reconstruction, kl, invariance = model.loss_terms(data["image"], model.active_latents(data), NOISE)
    likelihood, whole = LatentVariableModel.elbo_terms(model, data["image"], NOISE)
    np.testing.assert_allclose(reconstruction, -likelihood, rtol=1e-6)
    np.testing.assert_allclose(kl, whole, rtol=1e-5)
    assert np.all(invariance.numpy() == 0)

    # A step is that of every latent-variable model.
    class Plain(DCIGN):
        elbo_terms, update = LatentVariableModel.elbo_terms, LatentVariableModel.update

    plain = Plain(**SMALL)
    plain.set_weights(model.get_weights())
    for one in (model, plain):
        one.compile(keras.optimizers.SGD(0.01))
    losses = [float(one.update(data)["loss"]) for one in (model, plain)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    for a, b in zip(model.trainable_variables, plain.trainable_variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_a_step_moves_the_encoder_of_active_latents_only():
    model = build(invariance=0.0)
    model.compile(keras.optimizers.SGD(0.1))
    head, before = model.encoder.layers[-1], model.encoder.layers[-1].kernel.numpy()
    losses = model.update(batch(2))
    moved = np.any(head.kernel.numpy() != before, axis=0)
    np.testing.assert_array_equal(moved, MASKS[2] * 2)  # of the means and of the ln variances
    terms = [float(losses[name]) for name in ("reconstruction", "kl", "invariance")]
    assert float(losses["loss"]) == pytest.approx(sum(terms), rel=1e-6)


@pytest.mark.parametrize("clamp", ["mean", pytest.param("first", marks=pytest.mark.long)])
def test_replicas_clamp_to_the_whole_batch(clamp):
    """Two replicas, each with half of a batch, take the step of one that has all of it."""
    data, weights = batch(0), []
    mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice())
    for strategy in (tf.distribute.get_strategy(), mirrored):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            model = build(clamp=clamp, invariance=1.0)
            model.compile(keras.optimizers.SGD(0.1))
        model.fit(tf.data.Dataset.from_tensors(data), verbose=0)
        weights.append([w.numpy() for w in model.trainable_variables])
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_sizes_of_the_papers_network():
    model = tfgen.presets.get("dc-ign/faces-paper").build()

    def sizes(network, kinds):
        return [layer.output.shape[1:] for layer in network.layers if isinstance(layer, kinds)]

    pooled = sizes(model.encoder, (keras.layers.Conv2D, keras.layers.MaxPool2D))
    assert pooled == [(146, 146, 96), (73, 73, 96), (69, 69, 48), (34, 34, 48), (30, 30, 24), (15, 15, 24)]
    assert sizes(model.encoder, (keras.layers.Flatten, keras.layers.Dense)) == [(5400,), (400,)]
    grown = sizes(model.decoder, (keras.layers.Dense, keras.layers.Reshape, keras.layers.UpSampling2D, keras.layers.Conv2D))
    assert grown == [
        (5400,), (15, 15, 24), (30, 30, 24), (24, 24, 48), (48, 48, 48), (42, 42, 96), (84, 84, 96), (78, 78, 96),
        (156, 156, 96), (150, 150, 1),
    ]  # fmt: skip
    assert {layer.kernel_size for layer in model.encoder.layers if hasattr(layer, "kernel_size")} == {(5, 5)}
    assert {layer.kernel_size for layer in model.decoder.layers if hasattr(layer, "kernel_size")} == {(7, 7)}
    dense = [layer for layer in (*model.encoder.layers, *model.decoder.layers) if isinstance(layer, keras.layers.Dense)]
    for weight in (w for layer in dense for w in (layer.kernel, layer.bias)):
        assert float(np.std(weight)) == pytest.approx(0.01, rel=0.1)
    assert model.factors == ("azimuth", "elevation", "light") and model.invariance == 0.01 and model.clamp == "mean"


def test_every_preset_builds():
    for name in ("dc-ign/chairs-paper", "dc-ign/rendered-shapes", "dc-ign/coil20"):
        model = tfgen.presets.get(name).build()
        assert model.decode(tf.zeros([1, model.latent_dim])).event_shape == model.image_shape, name


def test_rerender_changes_one_latent():
    model, images = build(), batch()["image"]
    drawn = model.rerender(images, "elevation", [-2.0, 0.0, 3.0])
    assert drawn.shape == (ROWS, 3, 8, 8, 1) and drawn.dtype == tf.float32
    for j, value in enumerate((-2.0, 0.0, 3.0)):
        z = model.encode(images).mean().numpy()
        z[:, 1] = value
        np.testing.assert_allclose(drawn[:, j], model.decode_images(z), atol=1e-6)
    np.testing.assert_allclose(model.rerender(images, 1, [0.5]), model.rerender(images, "elevation", [0.5]))
    function, specs = model.signatures()["rerender"]
    assert set(specs) == {"image", "factor", "value"}
    got = function(image=tf.constant(images[:2]), factor=tf.constant([1, 4]), value=tf.constant([3.0, -1.0]))["image"]
    np.testing.assert_allclose(got[0], drawn[0, 2], atol=1e-6)
    np.testing.assert_allclose(got[1], model.rerender(images[1:2], 4, [-1.0])[0, 0], atol=1e-6)
    for factor in ("colour", 5, -1):
        with pytest.raises(ValueError, match="factor must be one of .*; received"):
            model.rerender(images, factor, [0.0])
    with pytest.raises(ValueError, match=r"numbers \[V\]; received shape \(\)"):
        model.rerender(images, 0, 1.0)
    with pytest.raises(tf.errors.InvalidArgumentError, match="factor must lie in"):
        function(image=tf.constant(images[:1]), factor=tf.constant([5]), value=tf.constant([0.0]))


def test_bad_arguments():
    for bad, message in (
        ({"factors": "azimuth"}, "factors must be"), ({"filters": ()}, "that is not empty"),
        ({"factors": ("a", "a")}, "factors must be"), ({"factors": (1,)}, "factors must be"),
        ({"latent_dim": 3}, "more than the 3 factors; received 3"), ({"clamp": "median"}, "clamp must be"),
        ({"invariance": -1.0}, "invariance must be a number >= 0"), ({"kernel_size": 9}, "need larger images"),
        ({"decoder_filters": (4, 4)}, "No size becomes 8 by 3 doublings"), ({"decoder_kernel_size": 4}, "No size becomes 8"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            DCIGN(**{**SMALL, **bad})


def test_sources_that_vary_other_factors_are_refused():
    source, preset = tfgen.data.load("rendered_shapes"), tfgen.presets.get("dc-ign/rendered-shapes")
    check_images_fit(preset, source)
    for bad in ({"factors": ("light", "elevation", "azimuth")}, {"factors": ("azimuth",)}):
        with pytest.raises(ValueError, match="must be the same in the same order"):
            check_images_fit(preset.override(bad), source)
    with pytest.raises(ValueError, match="varies none one at a time"):
        check_images_fit(preset, source.take(100))
    check_images_fit(preset.override({"clamp": "none"}), source.take(100))


def test_bad_batches():
    model = build()
    model.compile()
    images = batch()["image"]
    for active, message in (
        (None, "DCIGN needs the field 'active' in its batches.*FactorSource.*received the fields"),
        (np.zeros(ROWS, "float32"), r"active must be integers \[batch\]; received dtype float32"),
        (np.zeros((ROWS, 2), "int32"), r"active must have the shape \[batch\]; received \(6, 2\)"),
        (np.full(ROWS, 4, "int32"), r"active must lie in \[0, 4\); received a range of"),
        (np.full(ROWS, -1, "int32"), r"active must lie in \[0, 4\); received a range of"),
        (np.arange(ROWS, dtype="int32") % 2, "active must be one number, the same in the whole batch; received"),
    ):  # fmt: skip
        data = {"image": images} | ({} if active is None else {"active": active})
        with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=message):
            model.fit(tf.data.Dataset.from_tensors(data), verbose=0)


def test_the_latent_of_a_factor_follows_it_alone(tmp_path):
    """Bars whose place is the factor and whose brightness is intrinsic, through the training job."""
    from tfgen_trainers.train import TrainConfig, train

    place, grey = np.indices((6, 8)).reshape(2, -1)
    images = np.zeros((48, 8, 8, 1), np.uint8)
    for image, p, g in zip(images, place, grey, strict=True):
        image[:, p : p + 2] = 80 + 25 * g
    source = tfgen.data.FactorSource(
        images, np.stack([place, grey], axis=-1), ("azimuth", "grey"), groups=("azimuth",), name="bars", split="train"
    )
    settings = {
        "image_shape": (8, 8, 1), "latent_dim": 2, "filters": (8,), "kernel_size": 3, "decoder_filters": (),
        "decoder_kernel_size": 3, "invariance": 1.0, "learning_rate": 1e-2, "batch_size": 12,
    }  # fmt: skip
    config = TrainConfig("dc-ign/coil20", settings, steps=300)
    model = train(config, source, tmp_path, report=None).model
    z = model.encode(source.images()).mean().numpy().reshape(6, 8, 2)
    place, grey = (z.var(axis=axis).mean(axis=0) for axis in (0, 1))  # variance of each latent over one factor
    assert place[0] > 4 * grey[0], (place, grey)
