"""The autoencoder against principal components, which a linear one must find."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.linalg import subspace_angles
from scipy.optimize import minimize

from tfgen.models import Autoencoder

LINEAR = {"network": "mlp", "hidden": ()}
SMALL = {"image_shape": (4, 3, 1), "latent_dim": 2}


def data(count=400, seed=0):
    """Images [count, 4, 3, 1] in [0, 1] that vary much along 3 random directions, and less along the other 9."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    points = rng.normal(size=(count, 12)) * ([0.35, 0.3, 0.25] + [0.06] * 9) @ basis.T
    return np.clip(0.5 + points, 0, 1).astype("float32").reshape(count, 4, 3, 1)


def fitted(images, **args):
    """A linear autoencoder at the minimum of its loss, by L-BFGS: descent takes thousands of steps for the last percents."""
    keras.utils.set_random_seed(0)
    model = Autoencoder(image_shape=images.shape[1:], network="mlp", hidden=(), **args)
    variables = [v.value for v in model.trainable_variables]
    ends = np.cumsum([v.shape.num_elements() for v in variables])[:-1]

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            loss = model.losses_and_codes(images)[0]["loss"]
        return loss, tape.gradient(loss, variables)

    def objective(point):
        for variable, part in zip(variables, np.split(point, ends), strict=True):
            variable.assign(part.reshape(variable.shape))
        loss, found = gradients()
        return float(loss), np.concatenate([np.ravel(gradient) for gradient in found]).astype("float64")

    start = np.concatenate([np.ravel(variable) for variable in variables]).astype("float64")
    objective(minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 500}).x)
    return model


def test_linear_autoencoder_finds_the_principal_components():
    images = data()
    flat = images.reshape(len(images), -1).astype("float64")
    values, vectors = np.linalg.eigh(np.cov(flat.T, bias=True))
    model = fitted(images, latent_dim=3)
    mse = np.mean((model.decode_raw(model.encode(images)).numpy() - images) ** 2)
    optimum = values[:-3].sum() / 12  # the variance outside the first three components, per pixel
    assert optimum * (1 - 1e-5) <= mse <= 1.01 * optimum
    span = model.decode_raw(np.eye(3, dtype="float32")) - model.decode_raw(np.zeros((1, 3), "float32"))
    angles = subspace_angles(np.reshape(span, [3, 12]).T, vectors[:, -3:])
    assert np.rad2deg(angles.max()) < 3.0


def test_a_linear_code_as_large_as_the_image_loses_nothing():
    images = data()
    model = fitted(images, latent_dim=12)
    assert np.mean((model.reconstruct(images).numpy() - images) ** 2) < 1e-3 * images.var()


@pytest.mark.parametrize("shape", [(7, 7, 1), (28, 28, 1), (5, 8, 3), (1, 9, 1)])
@pytest.mark.parametrize("hidden", [(4,), (4, 6, 8)])
def test_any_size_comes_back(shape, hidden):
    model = Autoencoder(image_shape=shape, latent_dim=5, hidden=hidden)
    images = np.random.default_rng(0).random((2, *shape)).astype("float32")
    codes = model.encode(images)
    assert codes.shape == (2, 5) and codes.dtype == tf.float32
    again = model.reconstruct(images)
    assert again.shape == images.shape
    np.testing.assert_array_equal(again, model.decode_images(codes))
    # Every pixel can be written: no place of the decoder's output is constant.
    outputs = model.decode_raw(np.random.default_rng(1).normal(size=(50, 5)).astype("float32")).numpy()
    assert np.all(outputs.std(axis=0) > 0)


def test_loss_is_the_sum_over_an_image_and_mse_the_mean():
    model = Autoencoder(**SMALL, hidden=(4,))
    images = data(6)
    model.compile()
    found = model.evaluate(images, batch_size=6, return_dict=True, verbose=0)
    errors = (model.decode_raw(model.encode(images)).numpy() - images) ** 2
    np.testing.assert_allclose(found["loss"], errors.sum(axis=(1, 2, 3)).mean(), rtol=1e-5)
    np.testing.assert_allclose(found["mse"], errors.mean(), rtol=1e-5)


def test_every_weight_learns():
    model = Autoencoder(**SMALL, hidden=(4, 6))
    images = data(16)
    with tf.GradientTape() as tape:
        losses, _ = model.losses_and_codes(images)
    gradients = tape.gradient(losses["loss"], [v.value for v in model.trainable_variables])
    assert len(gradients) == 12 and all(np.any(g.numpy() != 0) for g in gradients)


def test_drawn_codes_have_the_moments_of_training():
    model, images, steps = Autoencoder(**SMALL, **LINEAR), data(200), 40
    model.compile(keras.optimizers.SGD(0.0), steps_per_execution=steps)
    model.fit(tf.data.Dataset.from_tensors(images).repeat(), steps_per_epoch=steps, verbose=0)
    codes, left = model.encode(images).numpy(), 0.99**steps
    mean = (1 - left) * codes.mean(axis=0)
    variance = (1 - left) * np.mean(codes**2, axis=0) + left - mean**2
    drawn = model.latents(tf.range(20_000, dtype=tf.int64)).numpy()
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.03)
    np.testing.assert_allclose(drawn.var(axis=0), variance, rtol=0.04)


def test_reconstructions_lie_in_the_unit_interval_where_outputs_do_not():
    model = Autoencoder(**SMALL, **LINEAR)
    model.decoder.layers[0].bias.assign(np.linspace(-1, 2, 12))
    images = model.reconstruct(data(3)).numpy()
    assert images.min() == 0.0 and images.max() == 1.0
    assert model.decode_raw(np.zeros((1, 2), "float32")).numpy().max() == 2.0
    squashed = Autoencoder(**SMALL, **LINEAR, output_activation="sigmoid")
    outputs = squashed.decode_raw(100 * np.eye(2, dtype="float32")).numpy()
    assert outputs.min() >= 0 and outputs.max() <= 1


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"latent_dim": 0}, "latent_dim must be an integer >= 1; received 0"),
        ({"latent_dim": 2.5}, "received 2.5"), ({"latent_dim": True}, "received True"),
        ({"network": "resnet"}, "network must be 'conv' or 'mlp'; received 'resnet'"),
        ({"hidden": ()}, "at least one for 'conv'"), ({"hidden": (4, 0)}, r"received \(4, 0\)"),
        ({"output_activation": "tanh"}, "output_activation must be"),
    ],
)  # fmt: skip
def test_bad_arguments(bad, message):
    with pytest.raises(ValueError, match=message):
        Autoencoder(**{**SMALL, **bad})


def test_bad_images():
    with pytest.raises(ValueError, match="made for images"):
        Autoencoder(**SMALL, **LINEAR).encode(np.zeros((1, 4, 4, 1), "float32"))
