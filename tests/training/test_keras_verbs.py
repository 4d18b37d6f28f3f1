"""`fit`, `evaluate` and `predict` of Keras on models of every kind."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance.registry import CASES
from tfgen import fields
from tfgen.models import DCGAN, DRAW, VAE, Autoencoder, TrainableModel
from tfgen.models.capabilities import Translator

LOSSES = {  # what `evaluate` returns of each, by name
    "vae-mlp-bernoulli": {"loss", "reconstruction", "kl", "bits_per_dim", "reconstruction_error"},
    "draw": {"loss", "reconstruction", "kl", "bits_per_dim", "reconstruction_error"},
    "gmvae": {"loss", "reconstruction", "x_kl", "w_kl", "z_kl", "bits_per_dim", "reconstruction_error"},
    "autoencoder": {"loss", "mse", "reconstruction_error"},
    "dfc-vae": {"loss", "feature_loss", "kl", "reconstruction_error"},
    "dc-ign": {"loss", "reconstruction", "kl", "reconstruction_error"},
    "vae-gan": {"encoder_loss", "decoder_loss", "discriminator_loss", "kl", "similarity", "real_cost", "fake_cost",
                "reconstruction_error"},
    "glimpse-classifier": {"loss", "accuracy"},
    "improved-gan-semi-supervised": {"accuracy"},
    "gated-pixel-cnn-classes": {"nll", "bits_per_dim"},
    "pixel-cnn-autoencoder": {"nll", "bits_per_dim"},
    "factorized-prior": {"loss", "bits_per_pixel", "mse", "reconstruction_error"},
    "sngan-projection-resnet": None,
    "infogan": None,
    "wgan": None,
}  # fmt: skip


@pytest.fixture(scope="module", params=LOSSES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def model(name):
    model = CASES[name].build(seed=0)
    model.compile(ema_decay=0.9)
    return model


@pytest.fixture
def batch(name):
    return CASES[name].batch()


def state(model):
    return {key: keras.ops.convert_to_numpy(variable) for key, variable in model.state().items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    changed = [key for key in a if np.any(a[key] != b[key])]
    assert not changed


def evaluate(model, *args, **kwargs):
    return model.evaluate(*args, verbose=0, return_dict=True, **kwargs)


# ---- evaluate


def test_evaluate_gives_the_numbers_of_the_capabilities_and_changes_nothing(name, model, batch):
    if LOSSES[name] is None:
        with pytest.raises(ValueError, match=f"{type(model).__name__} has no loss or number to evaluate on images"):
            evaluate(model, batch)
        return
    before = state(model)
    found = evaluate(model, batch, batch_size=8)
    assert found.keys() == LOSSES[name] and np.all(np.isfinite(list(found.values())))
    assert evaluate(model, batch, batch_size=8) == found
    assert_same(before, state(model))
    images = tf.constant(batch["image"])
    if "reconstruction_error" in found:
        error = np.mean((model.reconstruct(images).numpy() - batch["image"]) ** 2)
        np.testing.assert_allclose(found["reconstruction_error"], error, rtol=1e-4)
    if "accuracy" in found:
        assert found["accuracy"] == pytest.approx(np.mean(model.classify(images).numpy() == batch["label"]))
    if hasattr(model, "elbo"):
        bits = -np.mean(model.elbo(images, seed=model.seed)) / 64 / np.log(2)
        np.testing.assert_allclose(found["bits_per_dim"], bits, rtol=1e-4)
    elif "bits_per_dim" in found:
        bits = model.bits_per_dim(images, **model.conditions_of(batch))
        np.testing.assert_allclose(found["bits_per_dim"], np.mean(bits), rtol=1e-4)


@pytest.mark.parametrize("name", ["gated-pixel-cnn-classes", "autoencoder", "vae-gan"])
def test_every_image_counts_once_whatever_the_batches(name):
    model, batch = CASES[name].build(), CASES[name].batch(8)
    model.compile()
    whole, parts = evaluate(model, batch, batch_size=8), evaluate(model, batch, batch_size=5)
    for key in ("nll", "bits_per_dim", "mse", "reconstruction_error"):
        if key in whole:
            np.testing.assert_allclose(whole[key], parts[key], rtol=1e-4)


def test_validation_in_fit_does_not_change_training():
    case, states = CASES["vae-mlp-bernoulli"], []
    batch = case.batch()
    for validation in ({}, {"validation_data": batch}, {"validation_data": tf.data.Dataset.from_tensors(batch)}):
        keras.utils.set_random_seed(0)
        model = case.build()
        model.compile()
        history = model.fit(batch, batch_size=4, epochs=2, shuffle=False, verbose=0, **validation).history
        states.append(state(model))
        assert ("val_bits_per_dim" in history) == bool(validation)
        assert all(not key.startswith("reconstruction_error") for key in history)
    assert_same(states[0], states[1])
    assert_same(states[0], states[2])
    assert len(model.fit(batch, batch_size=4, validation_split=0.5, verbose=0).history["val_loss"]) == 1


@keras.saving.register_keras_serializable("tests")
class Inverter(Translator, TrainableModel):
    """The darker negative of `image`; in evaluation `target` is what is wanted."""

    def __init__(self, *, image_shape, **kwargs):
        super().__init__(image_shape=image_shape, **kwargs)
        self.share = self.add_weight(name="share", shape=(), initializer="ones")
        self.built = True

    def translated_fields(self):
        return (fields.image(self.image_shape),)

    def translate_rows(self, image):
        return {"image": tf.convert_to_tensor(self.share) * (1.0 - image)}

    def update(self, batch):
        def losses_fn():
            return {"loss": tf.reduce_mean(self.translate_rows(batch["image"])["image"])}

        return self.step_players({"model": "loss"}, losses_fn)


def test_a_translator_is_evaluated_against_targets():
    model, images = Inverter(image_shape=(4, 4, 1)), np.random.default_rng(0).random((6, 4, 4, 1)).astype("float32")
    model.compile()
    found = evaluate(model, {"image": images, "target": np.zeros_like(images)}, batch_size=4)
    assert found == {"l1": pytest.approx(np.mean(1.0 - images), rel=1e-5)}
    with pytest.raises(ValueError, match="Inverter has no loss or number to evaluate"):
        evaluate(model, images)
    np.testing.assert_allclose(model.predict(images, verbose=0), 1.0 - images, rtol=1e-6)


# ---- a batch that is refused


@pytest.mark.parametrize("name", ["vae-mlp-bernoulli", "improved-gan-semi-supervised"], scope="module")
def test_a_refused_batch_of_arrays_changes_nothing(name, model, batch):
    """As batches of a data set, which the conformance suite gives to all models."""
    before = state(model)
    wrong = {"nan": batch["image"] * np.nan, "bytes": batch["image"] * 255.0}
    if CASES[name].binary or "levels" in CASES[name].args:
        wrong["off"] = batch["image"].copy()
        wrong["off"][5] = 0.9 * wrong["off"][5] + 0.03
    for images in wrong.values():
        with pytest.raises(tf.errors.InvalidArgumentError, match="must lie in|must have the values|must be 0 or 1"):
            model.fit({**batch, "image": images}, verbose=0)
        assert_same(before, state(model))
    labels = [field.name for field in model.batch_fields() if field.dtype == "int32"]
    for label in labels:
        with pytest.raises(tf.errors.InvalidArgumentError, match="must lie in"):
            model.fit({**batch, label: batch[label] + 99}, verbose=0)
        with pytest.raises(ValueError, match=f"needs the field '{label}'"):
            model.fit({key: value for key, value in batch.items() if key != label}, verbose=0)
    with pytest.raises(ValueError, match="divide by 255"):
        model.fit({**batch, "image": (batch["image"] * 255).astype("uint8")}, verbose=0)
    with pytest.raises(ValueError, match="was made for images"):
        model.fit({**batch, "image": batch["image"][:, :7]}, verbose=0)
    assert_same(before, state(model))


@pytest.mark.parametrize("name", ["vae-mlp-bernoulli", "sngan-projection-resnet", "improved-gan-semi-supervised"])
def test_every_update_waits_for_every_check_of_the_batch(name):
    """By the graph, as a race is seldom lost: the checks are among what each assignment to a variable waits for."""
    model = CASES[name].build()
    model.compile(ema_decay=0.9)
    specs = {field.name: field.spec for field in model.batch_fields()}
    graph = tf.function(model.train_step, autograph=False).get_concrete_function(specs).graph
    owned = {id(variable.value.handle) for variable in model.state().values()}
    handles = {inner.name for outer, inner in graph.captures if id(outer) in owned}
    ops = graph.get_operations()
    # The checks of the batch come before all else; `as_batch` alone makes as many.
    count = len(checks(tf.function(model.as_batch, autograph=False).get_concrete_function(specs).graph.get_operations()))
    first = set(checks(ops)[:count])
    updates = [op for op in ops if "Assign" in op.type and op.inputs[0].name in handles]
    assert count >= len(specs) and len(updates) > 10
    for update in updates:
        assert first <= waits_for(update), update.name


def checks(ops):
    return [op for op in ops if op.type == "Assert" or op.type == "If" and "Assert" in op.name]


def waits_for(op):
    seen, todo = set(), [op]
    while todo:
        op = todo.pop()
        if op not in seen:
            seen.add(op)
            todo += [*op.control_inputs, *(tensor.op for tensor in op.inputs)]
    return seen


def test_a_wrong_unlabelled_image_or_factor_changes_nothing():
    for name, wrong in {"improved-gan-semi-supervised": "unlabelled", "dc-ign": "active"}.items():
        model, batch = CASES[name].build(), CASES[name].batch()
        model.compile()
        before = state(model)
        values = batch["image"] + 1.0 if wrong == "unlabelled" else np.arange(8, dtype="int32") % 2
        with pytest.raises(tf.errors.InvalidArgumentError, match="must lie in|must be one number"):
            model.fit({**batch, wrong: values}, verbose=0)
        assert_same(before, state(model))


@pytest.mark.parametrize("make", [
    lambda: CASES["vae-mlp-bernoulli"].build(), lambda: CASES["draw"].build(), lambda: CASES["gmvae"].build(),
    lambda: CASES["pixel-cnn-binary"].build(),
])  # fmt: skip
def test_binary_likelihoods_refuse_grey_images(make):
    model, grey = make(), np.full([2, 8, 8, 1], 0.5, "float32")
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be 0 or 1.*binarise"):
        model.log_prob(grey)
    if hasattr(model, "elbo"):
        with pytest.raises(tf.errors.InvalidArgumentError, match="must be 0 or 1: binarise"):
            model.elbo(grey)
        assert model.reconstruct(grey).shape == grey.shape
    model.compile()
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be 0 or 1.*binarise"):
        evaluate(model, grey)


def test_draw_of_grey_images_claims_no_likelihood():
    model, grey = DRAW(**CASES["draw"].args, likelihood="cross_entropy"), np.full([2, 8, 8, 1], 0.5, "float32")
    assert [c.NAME for c in model.capabilities()] == ["sampler", "encoder"]
    assert not {"elbo", "log_prob"} & model.signatures().keys()
    for verb in (model.elbo, model.log_prob):
        with pytest.raises(ValueError, match="likelihood='cross_entropy': its loss is no bound"):
            verb(grey)
    model.compile()
    model.fit(grey, verbose=0)
    assert evaluate(model, grey).keys() == {"loss", "reconstruction", "kl", "reconstruction_error"}


# ---- predict


def test_predict_depends_on_the_capabilities(name, model, batch):
    images, conditions = tf.constant(batch["image"]), model.conditions_of(batch)
    if name in ("glimpse-classifier", "improved-gan-semi-supervised", "infogan"):
        data, expected = batch["image"], tf.nn.softmax(model.class_logits(images))
    elif name in ("sngan-projection-resnet", "wgan"):
        data = {"seed": np.arange(8), **({"label": batch["label"]} if conditions else {})}
        expected = model.generate(np.arange(8), **conditions)
    elif name == "gated-pixel-cnn-classes":
        data, expected = batch, model.log_prob(images, **conditions)
    else:
        data, expected = batch["image"], model.reconstruct(images)
    found = model.predict(data, batch_size=8, verbose=0)
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-4)
    found = model.predict(tf.data.Dataset.from_tensor_slices(data).batch(4), verbose=0)
    if name not in ("pixel-cnn-autoencoder", "improved-gan-semi-supervised"):  # drawn by place in the batch; by its batch
        np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-4)


def test_predict_of_a_sampler():
    model = DCGAN(image_shape=(8, 8, 1), width=4, stages=1, latent_dim=2)
    images = model.sample(5, seed=3)
    np.testing.assert_allclose(model.predict(np.arange(5) + (3 << 32), verbose=0), images, atol=1e-6)
    with pytest.raises(ValueError, match=r"takes integer seeds \[B\].*seeds must be integers .*received dtype float32"):
        model.predict(np.zeros([2, 8, 8, 1], "float32"), verbose=0)
    with pytest.raises(ValueError, match="or a dict with `seed`; received the fields"):
        model.predict({"image": np.zeros([2, 8, 8, 1], "float32")}, verbose=0)


# ---- labels [N, 1], and what means nothing


@pytest.mark.long
def test_labels_of_one_column():
    model, batch = CASES["sngan-projection-resnet"].build(), CASES["sngan-projection-resnet"].batch()
    model.compile({"class_name": "SGD", "config": {"learning_rate": 0.01}})
    start, found = model.get_weights(), []
    for labels in (batch["label"], batch["label"][:, None]):
        model.set_weights(start)
        model.fit(batch["image"], labels, shuffle=False, batch_size=8, verbose=0)
        found.append(model.get_weights())
        found[-1] += [model.sample(8, labels=labels).numpy()]
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_of_examples_and_losses_of_keras_are_refused():
    vae, gan = VAE(image_shape=(8, 8, 1), latent_dim=2), DCGAN(image_shape=(8, 8, 1), width=4, stages=1, latent_dim=2)
    images, ones = np.zeros([4, 8, 8, 1], "float32"), np.ones(4, "float32")
    for wrong in ({"loss": "mse"}, {"metrics": ["accuracy"]}, {"loss_weights": [1.0]}, {"weighted_metrics": ["mse"]}):
        with pytest.raises(ValueError, match=f"VAE.compile takes no {next(iter(wrong))}: its losses are those of its paper"):
            vae.compile("adam", **wrong)
    vae.compile("adam", loss=None, metrics=None)
    gan.compile()
    before = state(vae)
    with pytest.raises(ValueError, match="VAE.fit takes no class_weight"):
        vae.fit(images, np.zeros(4, "int32"), class_weight={0: 2.0}, verbose=0)
    with pytest.raises(ValueError, match="VAE.fit takes no sample_weight"):
        vae.fit(images, sample_weight=ones, verbose=0)
    weighted = tf.data.Dataset.from_tensors((images, np.zeros(4, "int32"), ones))
    for call in (vae.fit, vae.evaluate):
        with pytest.raises(ValueError, match="VAE takes no sample_weight"):
            call(weighted, verbose=0)
    with pytest.raises(ValueError, match="VAE.evaluate takes no sample_weight"):
        vae.evaluate(images, sample_weight=ones, verbose=0)
    assert_same(before, state(vae))
    before = state(gan)
    for validation in ({"validation_split": 0.5}, {"validation_data": images}):
        with pytest.raises(ValueError, match="DCGAN has no loss or number to evaluate.*call fit without validation_data"):
            gan.fit(images, verbose=0, **validation)
    assert_same(before, state(gan))
    with pytest.raises(ValueError, match="validation_split"):
        vae.fit(tf.data.Dataset.from_tensors(images), validation_split=0.5, verbose=0)


def test_images_as_their_own_targets():
    """As autoencoders are trained in Keras: fit(x, x)."""
    model, images = Autoencoder(**CASES["autoencoder"].args), CASES["autoencoder"].batch()["image"]
    model.compile()
    assert model.fit(images, images, validation_data=(images, images), verbose=0).history["val_mse"]


def test_one_batch_at_a_time_trains_as_fit_does():
    images = (np.random.default_rng(0).random((8, 8, 8, 1)) > 0.5).astype("float32")
    losses = []
    for verb in ("fit", "train_on_batch"):
        keras.utils.set_random_seed(0)
        model = VAE(image_shape=(8, 8, 1), latent_dim=2, hidden=(4,))
        model.compile("sgd")
        if verb == "fit":
            losses.append(model.fit(images, batch_size=8, shuffle=False, verbose=0).history["loss"][0])
        else:
            losses.append(model.train_on_batch(images, return_dict=True)["loss"])
    assert losses[0] == pytest.approx(float(losses[1]), rel=1e-6)
    assert float(model.test_on_batch(images, return_dict=True)["loss"]) > 0.0


def test_optimizers_that_were_trained_with_or_are_shared():
    model = DCGAN(image_shape=(8, 8, 1), width=4, stages=1, latent_dim=2)
    optimizer = keras.optimizers.SGD(0.1)
    model.compile(optimizer)
    model.fit(np.zeros([8, 8, 8, 1], "float32"), verbose=0)
    model.compile(optimizer)
    assert {name: int(o.iterations) for name, o in model.player_optimizers.items()} == {"generator": 0, "discriminator": 0}
    with pytest.raises(ValueError, match="the same object for several of generator, discriminator"):
        model.compile({"generator": optimizer, "discriminator": optimizer})
