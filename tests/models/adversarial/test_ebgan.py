"""EBGAN: energies and their margin, the pulling-away term, the networks, and energy as a score of strangeness."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen import losses, presets
from tfgen.models import EBGAN
from tfgen.models.adversarial.ebgan import ENERGIES
from tfgen.models.adversarial.parts.passes import Pass

MLP = {"image_shape": (8, 8, 1), "network": "mlp", "width": 16, "encoder": (12, 6), "latent_dim": 3}
CONV = {"image_shape": (8, 8, 1), "width": 4, "depth": 1, "encoder": (3, 4), "latent_dim": 3}


def images(num=6, seed=0):
    return np.random.default_rng(seed).random((num, 8, 8, 1), dtype="float32")


def trainable(network):
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


def build(name):
    preset = presets.get(name)
    return preset.model(**preset.model_args)


def flat(gradients):
    return np.concatenate([g.numpy().ravel() for g in gradients if g is not None] or [np.zeros(1)])


def test_parameter_counts_from_the_layer_tables():
    model = build("ebgan/mnist-paper")
    g = 100 * 800 + 3 * 800 * 800 + 4 * 2 * 800 + 801 * 784  # batch norm in place of biases
    assert (trainable(model.generator), trainable(model.discriminator)) == (g, 785 * 1024 + 1025 * 784)
    model = build("ebgan-pt/celeba-paper")
    down = 16 * (3 * 64 + 64 * 128 + 128 * 256)
    assert trainable(model.discriminator) == 2 * down + (64 + 128 + 256) + (128 + 64 + 3) + 2 * (128 + 256 + 128 + 64)
    filters = [1024, 512, 256, 128]
    g = 100 * 16 * 1024 + 2 * 16 * 1024 + 2 * (512 + 256 + 128)
    assert trainable(model.generator) == g + 16 * sum(a * b for a, b in zip(filters, [*filters[1:], 3], strict=True))
    assert model.discriminator.encoder[0].kernel.numpy().std() == pytest.approx(2e-3, rel=0.05)
    assert model.generator.dense[0].kernel.numpy().std() == pytest.approx(2e-4, rel=0.05)


@pytest.mark.parametrize("size", [(8, 8, 1), (28, 28, 1), (12, 20, 3)])
def test_reconstructions_have_the_shape_of_the_images(size):
    model = EBGAN(image_shape=size, width=4, depth=1, encoder=(3, 4, 5), latent_dim=3)
    x = np.random.default_rng(0).random((2, *size), dtype="float32")
    assert model.reconstruct(x).shape == x.shape
    norms = model.discriminator.norms
    assert [norm is None for norm in norms] == [True, False, False, False, False, True]


@pytest.mark.parametrize("args", [MLP, CONV])
def test_energy_is_the_error_of_the_reconstruction(args):
    x = images()
    for energy in ("norm", "squared"):
        model = EBGAN(**args, energy=energy)
        squares = np.sum((2 * model.reconstruct(x).numpy() - 2 * x) ** 2, axis=(1, 2, 3))
        np.testing.assert_allclose(model.energy(x), squares if energy == "squared" else np.sqrt(squares), rtol=1e-4)
        np.testing.assert_allclose(model.energy(x[:2]), model.energy(x)[:2], rtol=1e-5)
        raw = tf.constant(2 * x - 1)
        np.testing.assert_allclose(model.logits(raw), model.energy(x), rtol=1e-6)


@pytest.mark.parametrize("energy", sorted(ENERGIES))
def test_gradient_of_the_energy_at_a_perfect_reconstruction(energy):
    errors = tf.constant([[0.0, 0.0], [3.0, 4.0]])
    with tf.GradientTape() as tape:
        tape.watch(errors)
        energies = ENERGIES[energy](errors)
    np.testing.assert_allclose(energies, [0, 5] if energy == "norm" else [0, 25], atol=1e-5)
    expected = [[0, 0], [0.6, 0.8]] if energy == "norm" else [[0, 0], [6, 8]]
    np.testing.assert_allclose(tape.gradient(energies, errors), expected, rtol=1e-6)


def test_fakes_beyond_the_margin_do_not_move_the_discriminator():
    """Per image: one fake within the margin counts whole, however far the others are beyond it."""
    x = tf.constant(2 * images() - 1)
    model = EBGAN(**MLP)
    energies = model.logits(x).numpy()
    margin = float(np.sort(energies)[1:3].mean())  # two of the six lie within it
    objective = losses.ebgan(margin)
    variables = model.discriminator.trainable_variables

    def gradient(loss):
        with tf.GradientTape() as tape:
            value = loss(model.logits(x))
        return flat(tape.gradient(value, variables))

    real = tf.zeros([6])
    whole = gradient(lambda e: objective.discriminator(real, e))
    within = tf.constant((energies < margin).astype("float32"))
    np.testing.assert_allclose(whole, gradient(lambda e: -tf.reduce_mean(within * e)), rtol=1e-5, atol=1e-7)
    assert np.any(whole) and within.numpy().sum() == 2
    beyond = losses.ebgan(float(energies.min()) - 1e-3)
    assert not np.any(gradient(lambda e: beyond.discriminator(real, e)))


def test_the_loss_at_the_optimum_is_the_margin():
    """Theorem 1: with equal energies of both kinds below the margin, D's loss is m, wherever they are."""
    for energy in (0.0, 1.3, 4.0):
        e = tf.fill([5], energy)
        assert float(EBGAN(**MLP, margin=4.0).objective.discriminator(e, e)) == pytest.approx(4.0)


@pytest.mark.parametrize("args", [MLP, CONV])
def test_pulling_away_is_taken_of_the_codes_and_does_not_reach_the_decoder(args):
    model = EBGAN(**args, pulling_away=0.1)
    z = model.latents(tf.range(5, dtype=tf.int64))
    with tf.GradientTape(persistent=True) as tape:
        images = model.generate_raw(z, training=True)
        fake = Pass(images, latents=z, outputs=model.discriminate(images, training=True))
        terms = model.generator_terms({}, fake)
    codes = fake.outputs["features"].numpy()
    unit = codes / np.linalg.norm(codes, axis=1, keepdims=True)
    cosines = (unit @ unit.T)[~np.eye(5, dtype=bool)]
    assert float(terms["pulling_away"]) == pytest.approx(0.1 * np.mean(cosines**2), rel=1e-4)
    assert np.any(flat(tape.gradient(terms["pulling_away"], model.generator.trainable_variables)))
    encoder = [v for layer in model.discriminator.encoder for v in layer.trainable_variables]
    decoder = [v for layer in model.discriminator.decoder for v in layer.trainable_variables]
    assert np.any(flat(tape.gradient(terms["pulling_away"], encoder)))
    assert all(g is None for g in tape.gradient(terms["pulling_away"], decoder))
    assert model.discriminator_terms({}, fake, fake) == {}
    assert EBGAN(**args).generator_terms({}, fake) == {}


@pytest.mark.parametrize("args", [MLP, CONV])
def test_which_loss_moves_which_network(args):
    """The discriminator's step moves the encoder and the decoder, not the generator; the generator's only the generator."""
    model = EBGAN(**args, pulling_away=0.1, margin=50.0)
    model.compile(run_eagerly=True)
    batch = {"raw": tf.constant(2 * images() - 1)}
    parts = [[model.generator], model.discriminator.encoder, model.discriminator.decoder]

    def moved(step):
        def values():
            return [[v.numpy() for layer in part for v in layer.trainable_variables] for part in parts]

        before = values()
        step()
        return [any(np.any(a != b) for a, b in zip(x, y, strict=True)) for x, y in zip(before, values(), strict=True)]

    assert moved(lambda: model.update_discriminator(batch, stream=0)) == [False, True, True]
    assert moved(lambda: model.update_generator(batch)) == [True, False, False]


def test_energy_tells_strange_images_from_those_of_the_data():
    """Data of one kind, all alike but for noise: after some steps the autoencoder knows them, and nothing else."""
    rng = np.random.default_rng(0)
    data = np.clip(0.1 * rng.random((64, 8, 8, 1)) + np.eye(8)[None, :, :, None] * 0.8, 0, 1).astype("float32")
    model = EBGAN(**{**MLP, "width": 32, "encoder": (32, 8)}, norm=False, margin=5.0)
    model.compile()
    model.fit(tf.data.Dataset.from_tensor_slices({"image": data}).repeat(60).batch(32), verbose=0)
    turned = np.ascontiguousarray(data[:, ::-1])
    assert float(tf.reduce_min(model.energy(turned))) > 2 * float(tf.reduce_max(model.energy(data)))


def test_labels_are_joined_in():
    model = EBGAN(**CONV, num_classes=3)
    x = images(2)
    a, b = (model.energy(x, labels=np.array(labels)) for labels in ([0, 1], [0, 2]))
    assert a[0] == b[0] and a[1] != b[1]
    assert model.sample(2, labels=np.array([0, 2])).shape == (2, 8, 8, 1)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"margin": 0.0}, "margin must be a number > 0.*received 0"),
        ({"margin": -1.0}, "margin must be a number > 0"),
        ({"energy": "l1"}, "energy must be 'norm' or 'squared'; received 'l1'"),
        ({"pulling_away": -0.1}, "pulling_away must be a number >= 0"),
        ({"network": "resnet"}, "network must be 'conv' or 'mlp'"),
        ({"encoder": ()}, "encoder must be"),
        ({"encoder": (4, 0)}, "encoder must be"),
        ({"objective": "hinge"}, "objective must be 'ebgan'; received 'hinge'"),
    ],
)
def test_bad_arguments(bad, message):
    with pytest.raises(ValueError, match=message):
        EBGAN(**{**MLP, **bad})


def test_a_batch_of_one_cannot_be_pulled_apart():
    model = EBGAN(**MLP, pulling_away=0.1)
    model.compile()
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="at least 2"):
        model.fit(tf.data.Dataset.from_tensor_slices({"image": images(2)}).batch(1), verbose=0)
    with pytest.raises(ValueError, match="made for images"):
        model.energy(np.zeros([2, 4, 4, 1], "float32"))
