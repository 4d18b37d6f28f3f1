"""WGAN and WGAN-GP: the schedule, the box, the penalty, and networks as published."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import losses, presets
from tfgen.models import SNGAN, WGAN, WGANGP

MLP = {"image_shape": (4, 4, 1), "network": "mlp", "width": 8, "latent_dim": 3}


def trainable(network):
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


def build(name, **changes):
    preset = presets.get(name)
    return preset.model(**{**preset.model_args, **changes})


def images(size=8, shape=(4, 4, 1), seed=0):
    return np.random.default_rng(seed).random((size, *shape), dtype="float32")


def test_official_parameter_counts():
    for name, generator, discriminator in [
        ("wgan-gp/cifar10-resnet-paper", 1_204_483, 1_053_825),
        ("sngan/cifar10-paper", 4_276_739, 1_053_824),
        ("sngan/cifar10-projection-paper", 4_304_387, 1_055_104),
    ]:
        model = build(name)
        assert (trainable(model.generator), trainable(model.discriminator)) == (generator, discriminator), name


def test_parameter_counts_of_the_large_residual_networks():
    model = build("sngan/imagenet128-projection-paper", num_classes=0)
    assert trainable(model.generator) == 32_150_787
    assert trainable(model.discriminator) == 29_017_857


def test_parameter_counts_of_wgan_gp_mnist_from_the_layer_table():
    model = build("wgan-gp/mnist-paper")
    assert trainable(model.generator) == (128 + 1) * 4 * 4 * 256 + 25 * (256 * 128 + 128 * 64 + 64) + 128 + 64 + 1
    assert trainable(model.discriminator) == 25 * (64 + 64 * 128 + 128 * 256) + 64 + 128 + 256 + 4 * 4 * 256 + 1
    assert model.generate_raw(tf.zeros([2, 128])).shape == (2, 28, 28, 1), "4 -> 8, cropped to 7 -> 14 -> 28"
    for kernel in (model.generator.deconvs[0].kernel, model.discriminator.convs[1].kernel):  # the code: uniform
        fans, values = 25 * sum(kernel.shape[2:]), np.array(kernel)
        np.testing.assert_allclose(values.std(), np.sqrt(4 / fans), rtol=0.02)
        np.testing.assert_allclose(np.abs(values).max(), np.sqrt(3 * 4 / fans), rtol=0.01)


# ---- the critic's schedule


def turns(model, steps):
    return [step for step in range(steps) if model.generator_turn(step)]


def critic_steps(model, steps):
    """Critic updates before each turn of the generator."""
    return np.diff([-1, *turns(model, steps)]).tolist()


def test_schedule_of_the_paper():
    model = WGAN(**MLP)
    found = critic_steps(model, 25 * 100 + 475 * 5 + 100 + 499 * 5 + 100 + 5)
    assert found == [100] * 25 + [5] * 475 + [100] + [5] * 499 + [100, 5]


def test_schedule_without_thorough_turns():
    assert critic_steps(WGAN(**MLP, thorough_turns=0), 20) == [5, 5, 5, 5]
    assert critic_steps(WGANGP(**MLP, discriminator_steps=3), 9) == [3, 3, 3]


@pytest.mark.parametrize("execution", [1, 3, pytest.param(15, marks=pytest.mark.long)])
def test_fit_follows_the_schedule_however_many_steps_one_call_has(execution):
    keras.utils.set_random_seed(0)
    model = WGAN(**MLP, thorough_turns=2, thorough_every=3, thorough_steps=4, discriminator_steps=2)
    model.compile(keras.optimizers.SGD(0.01), steps_per_execution=execution)
    data = tf.data.Dataset.from_tensors(images()).repeat()
    model.fit(data, steps_per_epoch=30, epochs=1, verbose=0)
    updates = {name: int(optimizer.iterations) for name, optimizer in model.player_optimizers.items()}
    assert updates == {"discriminator": 30, "generator": len(turns(model, 30))} and int(model.step) == 30


@pytest.mark.long
def test_resumed_schedule_goes_on_where_it_was():
    def run(parts):
        keras.utils.set_random_seed(0)
        model = WGANGP(**MLP)
        model.compile()
        data = tf.data.Dataset.from_tensors(images()).repeat()
        for steps in parts:
            model.fit(data, steps_per_epoch=steps, epochs=1, verbose=0)
            model.train_function = None
        return [v.numpy() for v in model.state().values()]

    for a, b in zip(run([14]), run([3, 4, 7]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_generator_steps_and_batch_factor():
    model = WGANGP(**MLP, discriminator_steps=1, generator_steps=3, generator_batch_factor=2)
    model.compile(run_eagerly=True)
    sizes = []
    model.generate_raw = lambda z, *args, **kwargs: (
        sizes.append(z.shape[0]) or WGANGP.generate_raw(model, z, *args, **kwargs)
    )
    model.train_step({"image": tf.constant(images())})
    assert sizes == [8, 16, 16, 16]
    updates = {name: int(optimizer.iterations) for name, optimizer in model.player_optimizers.items()}
    assert updates == {"generator": 3, "discriminator": 1}


# ---- the box


def test_weights_stay_in_the_box():
    model = WGAN(**MLP, weight_clip=0.02)
    model.compile({"discriminator": keras.optimizers.RMSprop(0.1)})
    model.fit(tf.data.Dataset.from_tensors(images()).repeat(), steps_per_epoch=7, verbose=0)
    assert max(float(np.abs(v.numpy()).max()) for v in model.discriminator.trainable_variables) <= 0.02
    assert max(float(np.abs(v.numpy()).max()) for v in model.generator.trainable_variables) > 0.02


def test_one_dimensional_linear_critic_goes_to_the_corner():
    """Points at 0 and d: the best f(x) = w x in the box has w = c, and the estimate is c d."""
    model = WGAN(image_shape=(1, 1, 1), network="mlp", latent_dim=1, weight_clip=0.5, network_args={"depth": 0})
    model.compile({"discriminator": keras.optimizers.RMSprop(0.05)})
    fixed = -0.5  # raw: what the generator makes
    model.generate_raw = lambda z, *args, **kwargs: tf.fill([tf.shape(z)[0], 1, 1, 1], fixed)
    batch = {"raw": tf.fill([4, 1, 1, 1], 0.7)}
    for _ in range(60):
        logs = model.update_discriminator(batch, stream=0)
    assert float(model.discriminator.logit.kernel[0, 0]) == pytest.approx(0.5)
    assert float(logs["real_logit"] - logs["fake_logit"]) == pytest.approx(0.5 * 1.2, rel=1e-5)


def test_critic_loss_does_not_depend_on_its_last_bias():
    model = WGANGP(**MLP)
    raw, fake = tf.constant(2 * images() - 1), tf.constant(2 * images(seed=1) - 1)

    def loss():
        objective = model.objective.discriminator(model.logits(raw), model.logits(fake))
        return float(objective + losses.gradient_penalty(model.logits, raw, fake, tf.fill([8], 0.3)))

    before = loss()
    model.discriminator.logit.bias.assign_add([3.0])
    assert loss() == pytest.approx(before, abs=1e-5)


# ---- the penalty


@pytest.mark.long
def test_penalty_and_training_keep_updates_in_order():
    """Several critic updates in one graph, again and again: every run has the same bits (see `tfgen.training.players`)."""

    def run():
        keras.utils.set_random_seed(0)
        model = WGANGP(image_shape=(8, 8, 1), width=4, latent_dim=3, num_classes=3, network_args={"stages": 1}, penalty=None)
        model.compile(keras.optimizers.SGD(0.01))
        batch = {"image": tf.constant(images(shape=(8, 8, 1))), "label": tf.constant([0, 1, 2, 0, 1, 2, 0, 1])}
        batch = {**batch, "raw": 2 * batch["image"] - 1, "one_hot": model.one_hot(batch["label"])}

        @tf.function
        def four(batch):
            logs = [model.update_discriminator(batch, stream=2 * i) for i in range(4)]
            model.step.assign_add(1)
            return logs

        return [[float(v) for log in four(batch) for v in log.values()] for _ in range(20)]

    first = run()
    for _ in range(2):
        assert run() == first


def test_each_player_may_have_its_own_kind_of_network():
    """As published: a fully connected generator against the convolutional critic, whatever its own critic would be."""
    mixed, conv = build("wgan/lsun-bedrooms-mlp-paper"), build("wgan/lsun-bedrooms-paper")
    sizes = [100 * 512, 512 * 512, 512 * 512, 512 * 64 * 64 * 3]
    assert [int(np.prod(v.shape)) for v in mixed.generator.trainable_variables if v.name == "kernel"] == sizes
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in mixed.generator._flatten_layers())
    shapes = [[tuple(v.shape) for v in model.discriminator.variables] for model in (mixed, conv)]
    assert shapes[0] == shapes[1] and any(len(shape) == 4 for shape in shapes[0])
    again = WGAN.from_config(mixed.get_config())
    assert [tuple(v.shape) for v in again.variables] == [tuple(v.shape) for v in mixed.variables]


def test_batch_norm_is_refused_in_the_critic():
    with pytest.raises(ValueError, match="no batch norm"):
        WGANGP(image_shape=(8, 8, 1), width=4, network_args={"stages": 2, "discriminator": {"norm": "batch"}})


@pytest.mark.parametrize(
    ("cls", "changes", "message"),
    [
        (WGAN, {"thorough_turns": 600}, "thorough_turns"),
        (WGAN, {"weight_clip": 0.0}, "weight_clip must be a number > 0"),
        (WGAN, {"discriminator_steps": 0}, "an integer >= 1; received 0"),
        (WGANGP, {"network": "transformer"}, "'mlp', 'conv', 'resnet'"),
        (WGANGP, {"network": {"generator": "mlp"}}, r"one for the discriminator; received \{'generator': 'mlp'\}"),
        (WGANGP, {"network_args": {"heads": 2}}, "heads"),
        (SNGAN, {"objective": "hing"}, "hinge"),
    ],
)
def test_bad_settings_are_named(cls, changes, message):
    with pytest.raises(ValueError, match=message):
        cls(**{**MLP, **changes})


def test_missing_labels_are_named():
    model = SNGAN(**{**MLP, "num_classes": 3})
    model.compile()
    with pytest.raises(ValueError, match="needs the field 'label'"):
        model.fit(tf.data.Dataset.from_tensors(images()), verbose=0)


def test_averaged_weights_move_with_the_generators_turns_alone():
    model = WGANGP(**MLP)
    model.compile(ema_decay=0.9)
    data = tf.data.Dataset.from_tensors(images()).repeat()
    before = [v.numpy() for v in model.ema.shadows]
    model.fit(data, steps_per_epoch=4, verbose=0)
    for shadow, old in zip(model.ema.shadows, before, strict=True):
        np.testing.assert_array_equal(shadow.numpy(), old)
    model.fit(data, steps_per_epoch=1, verbose=0)
    assert any(np.any(shadow.numpy() != old) for shadow, old in zip(model.ema.shadows, before, strict=True))


def test_updates_of_the_generator_are_its_turns():
    model = WGAN(image_shape=(8, 8, 1), width=4, network_args={"stages": 1})
    turns = sum(model.generator_turn(step) for step in range(10_000))
    assert model.updates_of("generator", 10_000) == turns < 2_000 and model.updates_of("discriminator", 10_000) == 10_000
