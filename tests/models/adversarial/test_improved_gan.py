"""Improved GAN: the five techniques, the K + 1 classes, the published networks, and what learns from what."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import data, losses, presets
from tfgen.layers import MinibatchDiscrimination, VirtualBatchNorm
from tfgen.models import ImprovedGAN
from tfgen.models.adversarial.parts.passes import Pass
from tfgen.models.preset import held_decay
from tfgen_trainers.train import TrainConfig, train

TINY = {"image_shape": (8, 8, 1), "widths": (8, 6), "generator_widths": (8,), "latent_dim": 3}
LABELLED = {**TINY, "num_labels": 3}


def trainable(network):
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


def images(num, seed=0, shape=(8, 8, 1)):
    return np.random.default_rng(seed).random((num, *shape), dtype="float32")


def make_batch(size=6):
    return {"image": images(size), "label": np.arange(size, dtype="int32") % 3, "unlabelled": images(size, 1)}


def compiled(sgd=True, **args):
    keras.utils.set_random_seed(0)
    model = ImprovedGAN(**args)
    rate = {"class_name": "SGD", "config": {"learning_rate": 0.1}} if sgd else None
    model.compile(rate, run_eagerly=True, ema_decay=0.5)
    return model


def snapshot(network):
    return [v.numpy() for v in network.trainable_variables]


def moved(network, before):
    return [bool(np.any(a != b)) for a, b in zip(before, snapshot(network), strict=True)]


# ---- networks


def test_mnist_networks_are_the_published_ones():
    model = presets.get("improved-gan/mnist-100-labels-paper").build()
    sizes = [784, 1000, 500, 250, 250, 250]
    # Only the last layer's scale is trained; batch norm has a shift and no gain.
    hidden = sum(a * b + b for a, b in zip(sizes[:-1], sizes[1:], strict=True))
    assert trainable(model.discriminator) == hidden + 250 * 10 + 10 + 10
    assert trainable(model.generator) == 100 * 500 + 500 + 500 * 500 + 500 + 500 * 784 + 784 + 784
    noise = [layer.amount for layer in model.discriminator._flatten_layers() if type(layer).__name__ == "GaussianNoise"]
    assert noise == [0.3, 0.5, 0.5, 0.5, 0.5, 0.5]
    outputs = model.discriminate(tf.zeros([2, 28, 28, 1]))
    assert outputs["features"].shape == (2, 250) and outputs["class_logits"].shape == (2, 10)


@pytest.mark.parametrize(("name", "a", "b"), [("cifar10", 96, 192), ("svhn", 64, 128)])
def test_convolutional_networks_are_the_published_ones(name, a, b):
    model = presets.get(f"improved-gan/{name}-paper").build()
    kernels = 9 * (3 * a + 2 * a * a + a * b + 2 * b * b + b * b) + 2 * b * b
    assert trainable(model.discriminator) == kernels + 3 * a + 6 * b + b * 10 + 10 + 10
    assert trainable(model.generator) == (100 * 8192 + 8192 + 25 * (512 * 256 + 256 * 128 + 128 * 3) + 256 + 128 + 3 + 3)
    convs = [layer for layer in model.discriminator.stack if layer.name.startswith("conv")]
    x = tf.zeros([1, 32, 32, 3])
    sides = [(x := conv(x)).shape[1] for conv in convs]
    assert sides == [32, 32, 16, 16, 16, 8, 6, 6, 6]
    rates = [layer.amount for layer in model.discriminator.stack if type(layer).__name__ == "Dropout"]
    assert rates == [0.2, 0.5, 0.5]


def test_full_model_of_the_samples_has_all_techniques():
    preset = presets.get("improved-gan/cifar10-samples-paper")
    model = ImprovedGAN(**{**preset.model_args, "widths": (4, 4), "generator_widths": (4, 4, 4)})
    layers = model.discriminator._flatten_layers() + model.generator._flatten_layers()
    assert sum(isinstance(layer, MinibatchDiscrimination) for layer in layers) == 1
    assert sum(isinstance(layer, VirtualBatchNorm) for layer in layers) == 3
    assert model.generator_steps == 3 and model.discriminate(tf.zeros([4, 32, 32, 3]))["class_logits"].shape == (4, 10)


def test_held_decay_follows_the_paper():
    """3e-4 min(3 - epoch / 400, 1) over 1,200 epochs."""
    preset = presets.get("improved-gan/cifar10-paper").override({"steps": 1200})
    model = preset.override({"widths": (4, 4), "generator_widths": (8, 4, 4)}).build()
    schedule = model.player_optimizers["discriminator"]._learning_rate
    for epoch in (0, 400, 800, 900, 1100, 1200):
        assert float(schedule(epoch)) == pytest.approx(3e-4 * min(3 - epoch / 400, 1), abs=1e-9)
    with pytest.raises(ValueError, match="held must be"):
        keras.saving.deserialize_keras_object(held_decay(1e-3, held=1.0))


# ---- K + 1 classes


def test_discriminator_loss_is_that_of_an_explicit_softmax_of_k_plus_1():
    model = compiled(**LABELLED, noise=(0.0, 0.0))
    batch = make_batch()
    captured = {}
    discriminate = model.discriminate
    model.discriminate = lambda x, *a, **k: captured.setdefault(len(captured), discriminate(x, *a, **k))
    logs = model.update_discriminator(
        {"raw": 2 * batch["unlabelled"] - 1, "labelled": 2 * batch["image"] - 1, "label": batch["label"]}, stream=0
    )
    real, fake, labelled = (
        np.pad(captured[i]["class_logits"].numpy().astype("float64"), ((0, 0), (0, 1))) for i in range(3)
    )
    p = [np.exp(x) / np.exp(x).sum(-1, keepdims=True) for x in (real, fake, labelled)]
    given_real = p[2][np.arange(6), batch["label"]] / (1 - p[2][:, -1])
    expected = -np.log(given_real).mean() - 0.5 * np.log(1 - p[0][:, -1]).mean() - 0.5 * np.log(p[1][:, -1]).mean()
    assert float(logs["discriminator_loss"]) == pytest.approx(expected, rel=1e-5)
    assert float(logs["supervised_loss"]) == pytest.approx(-np.log(given_real).mean(), rel=1e-5)


def test_logit_of_real_is_the_logsumexp_and_of_one_class_the_logit_itself():
    raw = 2 * images(4) - 1
    outputs = ImprovedGAN(**LABELLED).discriminate(raw)
    np.testing.assert_allclose(outputs["logit"], np.log(np.exp(outputs["class_logits"].numpy()).sum(-1)), rtol=1e-5)
    outputs = ImprovedGAN(**TINY).discriminate(raw)
    np.testing.assert_allclose(outputs["logit"], outputs["class_logits"][:, 0], rtol=1e-6)


def test_weight_zero_learns_from_labels_alone():
    results = []
    for seed in (1, 2):  # other unlabelled images
        model = compiled(**LABELLED, unlabelled_weight=0.0)
        model.train_step({**make_batch(), "unlabelled": images(6, seed)})
        results.append(snapshot(model.discriminator))
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_classify_and_averaged_weights_of_the_discriminator():
    model = compiled(**LABELLED)
    classes = model.classify(images(5))
    assert classes.dtype == tf.int32 and classes.shape == (5,)
    np.testing.assert_array_equal(classes, np.argmax(model.class_logits(images(5)), -1))
    averaged = {id(v) for v in model.ema.variables}
    assert {id(v) for v in model.discriminator.trainable_variables + model.generator.trainable_variables} <= averaged
    np.testing.assert_allclose(
        model.signatures()["classify"][0](images(5))["probability"], tf.nn.softmax(model.class_logits(images(5)))
    )
    assert "classify" not in ImprovedGAN(**TINY).signatures()


# ---- what learns from what


@pytest.mark.parametrize("feature_matching", [None, "squared", "absolute"])
def test_which_loss_moves_which_network(feature_matching):
    model = compiled(**LABELLED, feature_matching=feature_matching)
    batch = make_batch()
    inner = {"raw": 2 * batch["unlabelled"] - 1, "labelled": 2 * batch["image"] - 1, "label": batch["label"]}
    networks = model.generator, model.discriminator
    before = [snapshot(n) for n in networks]
    model.update_discriminator(inner, stream=0)
    assert not any(moved(networks[0], before[0])) and all(moved(networks[1], before[1]))
    before = [snapshot(n) for n in networks]
    model.update_generator(inner)
    assert all(moved(networks[0], before[0])) and not any(moved(networks[1], before[1]))


def test_feature_matching_compares_features_not_logits():
    """The class logits' weights have no part in the generator's loss; the layer below them has."""

    def loss(change):
        model = compiled(**LABELLED, feature_matching="squared")
        for v in model.discriminator.trainable_variables:
            if change in v.path:
                v.assign(2.0 * v + 0.3)
        return float(model.update_generator({"raw": tf.constant(2 * images(6) - 1)})["generator_loss"])

    assert loss("class_logits") == loss("nothing") != loss("hidden_1")


def test_feature_matching_is_zero_for_a_permuted_batch():
    model = compiled(**LABELLED, feature_matching="squared", noise=(0.0, 0.0))
    raw = 2 * images(6) - 1
    model.generate_raw = lambda latents, *args, **kwargs: tf.constant(raw[::-1])
    features = model.discriminate(raw)["features"]
    target = tf.reduce_mean(features, 0, keepdims=True)
    fake = Pass(raw[::-1].copy(), outputs=model.discriminate(raw[::-1].copy()))
    assert float(model.adversarial_loss({"target": target}, fake)) == pytest.approx(0.0, abs=1e-10)


# ---- the techniques


def test_smoothing_is_one_sided():
    """At the best constant logit of equal densities, D = .9 / 2."""
    model = compiled(**TINY, real_target=0.9)
    s = tf.Variable(np.log(0.45 / 0.55))
    with tf.GradientTape() as tape:
        loss = model.objective.discriminator(tf.fill([4], s), tf.fill([4], s))
    assert float(tape.gradient(loss, s)) == pytest.approx(0.0, abs=1e-6)
    plain = compiled(**TINY).objective
    fake = tf.constant([0.3, -1.0])
    assert float(model.objective.generator(fake)) == float(plain.generator(fake))


def test_historical_averaging_follows_the_mean_of_the_weights():
    model = compiled(**LABELLED, historical_weight=0.5)
    seen = {"generator": [], "discriminator": []}
    for step in range(3):
        for name, weights in seen.items():
            weights.append(snapshot(getattr(model, name)))
        model.train_step(make_batch())
        for name, weights in seen.items():
            for i, mean in enumerate(getattr(model, f"{name}_history")):
                np.testing.assert_allclose(mean, np.mean([w[i] for w in weights], axis=0), atol=1e-6)
        if step == 0:  # the mean is the weights as they were: no penalty yet
            twin = compiled(**LABELLED)
            twin.train_step(make_batch())
            for a, b in zip(snapshot(model.discriminator), snapshot(twin.discriminator), strict=True):
                np.testing.assert_allclose(a, b, atol=1e-7)
    network = model.discriminator
    expected = sum(np.sum((v - m.numpy()) ** 2) for v, m in zip(snapshot(network), model.discriminator_history, strict=True))
    assert float(model.regularization(network)) == pytest.approx(0.5 * expected, rel=1e-5)


def test_historical_averaging_counts_every_update_of_the_generator():
    model = compiled(**LABELLED, historical_weight=0.5, generator_steps=2, discriminator_steps=2)
    seen, update = [], ImprovedGAN.update_generator

    def recording(batch, turn):
        seen.append(snapshot(model.generator))
        return update(model, batch, turn)

    object.__setattr__(model, "update_generator", recording)
    for step in range(4):
        object.__setattr__(model, "kind", model.step_kind(step))
        model.train_step(make_batch())
    assert len(seen) == 4
    for i, mean in enumerate(model.generator_history):
        np.testing.assert_allclose(mean, np.mean([w[i] for w in seen], axis=0), atol=1e-6)


def test_minibatch_discrimination_sees_the_others_in_the_batch():
    raw = 2 * images(6) - 1
    for kernels, same in ((0, True), (4, False)):
        keras.utils.set_random_seed(0)
        model = ImprovedGAN(**LABELLED, minibatch_kernels=kernels)
        alone, together = model.logits(raw[:2]).numpy(), model.logits(raw).numpy()[:2]
        assert np.allclose(alone, together, atol=1e-6) == same
        duplicated = model.discriminate(np.concatenate([raw[:1]] * 5))["logit"].numpy()
        np.testing.assert_allclose(duplicated, duplicated[0], atol=1e-5)


def test_virtual_batch_norm_makes_rows_independent_in_training():
    latents = np.random.default_rng(0).uniform(-1, 1, (6, 3)).astype("float32")
    for size, same in ((0, False), (4, True)):
        model = ImprovedGAN(**TINY, reference_size=size)
        alone, together = (model.generate_raw(latents[:n], training=True).numpy()[:2] for n in (2, 6))
        assert alone.shape == (2, 8, 8, 1)
        assert np.allclose(alone, together, atol=1e-5) == same


def test_reference_batch_is_fixed_and_a_function_of_the_seed():
    references = [ImprovedGAN(**TINY, reference_size=4, seed=seed).generator.reference for seed in (0, 0, 1)]
    np.testing.assert_array_equal(references[0], references[1])
    assert references[0].shape == (4, 3) and np.any(references[0] != references[2])


# ---- initialisation by data


def test_initialize_standardises_what_each_layer_gives():
    model = compiled(**LABELLED, noise=(0.0, 0.0))
    batch = {"image": images(200)}
    model.initialize(batch)
    first = model.discriminator.stack[2]
    x = batch["image"].reshape(200, -1)
    np.testing.assert_allclose((x @ first.kernel + first.bias).numpy().mean(0), 0.0, atol=1e-4)
    np.testing.assert_allclose((x @ first.kernel + first.bias).numpy().std(0), 1.0, rtol=1e-3)
    logits = model.class_logits(batch["image"]).numpy()
    np.testing.assert_allclose([logits.mean(0), logits.std(0)], np.array([[0.0], [1.0]]) * np.ones(3), atol=1e-3)
    model.train_step(make_batch())
    with pytest.raises(ValueError, match="at step 1"):
        model.initialize(batch)


def test_scales_stay_where_data_does_not_set_them():
    model = compiled(**LABELLED, scaled_by_data=False)
    before = [v.numpy() for v in model.discriminator.variables]
    model.initialize({"image": images(20)})
    for old, variable in zip(before, model.discriminator.variables, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())


def test_initialize_of_the_convolutional_networks():
    model = ImprovedGAN(
        image_shape=(16, 16, 1), network="conv", widths=(4, 6), generator_widths=(6, 4, 4), latent_dim=3, num_labels=3,
        noise=(0.0, 0.0), minibatch_kernels=2,
    )  # fmt: skip
    model.initialize({"image": images(64, shape=(16, 16, 1))})
    logits = model.class_logits(images(64, shape=(16, 16, 1))).numpy()
    np.testing.assert_allclose([logits.mean(0), logits.std(0)], np.array([[0.0], [0.1]]) * np.ones(3), atol=1e-3)


@pytest.mark.long
def test_the_trainer_initialises_and_gives_labelled_batches(tmp_path):
    source = data.from_arrays(np.round(images(60) * 255).astype("uint8"), np.arange(60) % 10, name="noise")
    overrides = {"widths": (8,), "generator_widths": (8,), "batch_size": 20, "labels_per_class": 2}
    config = TrainConfig("improved-gan/digits", overrides, steps=2)
    given = []
    original = ImprovedGAN.initialize
    ImprovedGAN.initialize = lambda self, batch: given.append(len(batch["image"])) or original(self, batch)
    try:
        first = train(config, source, tmp_path / "a", report=None)
        again = train(config, source, tmp_path / "a", report=None)  # is complete: nothing is initialised again
    finally:
        ImprovedGAN.initialize = original
    assert given == [60] and first.step == again.step == 2
    for a, b in zip(snapshot(first.model.discriminator), snapshot(again.model.discriminator), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="fingerprint"):  # other labels are another run
        train(TrainConfig("improved-gan/digits", {**overrides, "labels_per_class": 3}, steps=2), source, tmp_path / "a")
    with pytest.raises(ValueError, match="labels_per_class=7"):
        train(TrainConfig("improved-gan/digits", {**overrides, "labels_per_class": 7}, steps=2), source, tmp_path / "b")


# ---- wrong inputs


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"num_classes": 3}, "K is num_labels"),
        ({"num_labels": 1}, "0 or an integer >= 2; received 1"),
        ({"num_labels": -1}, "num_labels must be 0 or an integer >= 2"),
        ({"minibatch_kernels": 2.5}, "minibatch_kernels must be an integer"),
        ({"reference_size": -3}, "reference_size must be an integer"),
        ({"reference_size": True}, "reference_size must be an integer"),
        ({"feature_matching": "cubic"}, "'squared' or 'absolute' or None; received 'cubic'"),
        ({"unlabelled_weight": -1.0}, "unlabelled_weight must be a number >= 0"),
        ({"historical_weight": float("nan")}, "historical_weight must be a number >= 0"),
        ({"historical_weight": 1.0, "penalty": "r1", "penalty_interval": 2}, "penalty_interval must be 1; received 2"),
        ({"real_target": 1.5}, "real_target must be"),
        ({"num_labels": 3, "objective": "hinge"}, "needs the objective 'minimax' or 'non_saturating'"),
        ({"noise": (0.1,)}, "noise must be .a number >= 0, a number >= 0.; received"),
        ({"dropout": (0.1, 1.0)}, "dropout must be"),
        ({"network": "resnet"}, "network must be 'mlp' or 'conv'"),
        ({"network": "conv"}, "2 widths and 3"),
        ({"network": "conv", "widths": (4, 4), "generator_widths": (4, 4, 4)}, "multiples of 8, 16 at least"),
    ],
)
def test_bad_arguments(bad, message):
    with pytest.raises(ValueError, match=message):
        ImprovedGAN(**{**TINY, **bad})


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"label": None}, "needs the field 'label' in its batches; received the fields"),
        ({"label": np.array([0, 1, 2, -1, 0, 0])}, r"labels must lie in \[0, 3\)"),
        ({"label": np.array([0, 1, 2, 3, 0, 0])}, r"labels must lie in \[0, 3\)"),
        ({"label": np.zeros(6, "float32")}, "labels must be integers"),
        ({"unlabelled": images(6, shape=(8, 8, 3))}, "made for images"),
        ({"unlabelled": 255 * images(6)}, "must lie in"),
    ],
)
def test_bad_batches(bad, message):
    model = compiled(**LABELLED)
    batch = {k: v for k, v in {**make_batch(), **bad}.items() if v is not None}
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=message):
        model.train_step(batch)


def test_batches_too_small_for_minibatch_discrimination_and_models_that_do_not_classify():
    model = compiled(**LABELLED, minibatch_kernels=2)
    with pytest.raises(ValueError, match="at least 2 examples in a batch; received 1"):
        model.train_step(make_batch(1))
    with pytest.raises(ValueError, match="num_labels=0"):
        ImprovedGAN(**TINY).classify(images(2))


def test_objectives_and_penalties_of_other_papers_still_apply():
    model = compiled(**TINY, objective="wasserstein", penalty="gradient_penalty", regularizer="l2", minibatch_kernels=2)
    assert all(np.isfinite(float(v)) for v in model.train_step({"image": images(4)}).values())
    assert set(losses.PENALTIES) >= {"gradient_penalty"}
