"""DRAW against the paper's equations in NumPy, exact likelihoods of a tiny model, and the order of time."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen.models import DRAW, GlimpseClassifier
from tfgen.models.autoencoders.draw import every_step
from tfgen.models.autoencoders.glimpse_classifier_presets import PAPER

PLAIN = {"image_shape": (5, 4, 2), "glimpses": 3, "hidden": 6, "z_size": 2}
ATTENTIVE = {**PLAIN, "read_size": 3, "write_size": 2}


def build(args, scale=0.5, seed=0):
    """A model whose weights are all random, those that begin at 0 too."""
    model, rng = DRAW(**args), np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape) * scale)
    return model


def binary(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 2, shape).astype("float32")


def noise_of(model, rows, seed=1):
    return np.random.default_rng(seed).normal(size=(rows, model.latent_dim)).astype("float32")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def numpy_draw(model, x, noise):
    """(canvas [H, W, C], means [T, Z], stddevs [T, Z]) of one image by equations 1 to 29, without matrices of filters."""
    height, width, channels = x.shape

    def dense(layer, *inputs):
        bias = layer.bias.numpy() if layer.bias is not None else 0.0
        return np.concatenate([np.ravel(v) for v in inputs]) @ layer.kernel.numpy() + bias

    def lstm(gates, c):
        o, f, i, g = np.split(gates, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c

    def filters(layer, h):
        gx, gy, log_variance, log_stride, log_gain = dense(layer.parameters, h)
        n = layer.size
        offsets = (np.arange(1, n + 1) - n / 2 - 0.5) * (max(height, width) - 1) / (n - 1) * np.exp(log_stride)
        banks = []
        for g, length in ((gy, height), (gx, width)):
            means = (length + 1) / 2 * (g + 1) + offsets
            bank = np.exp(-((np.arange(1, length + 1) - means[:, None]) ** 2) / (2 * np.exp(log_variance)))
            banks.append(bank / bank.sum(axis=1, keepdims=True))
        return *banks, np.exp(log_gain)

    def planes(image):  # the library's order of values: row, channel, column
        return np.swapaxes(image, 1, 2)

    h_enc, c_enc, h_dec, c_dec = model.initial_states.numpy()
    canvas = np.swapaxes(model.initial_canvas.numpy().reshape(height, channels, width), 1, 2)
    means, stddevs = [], []
    for step in noise.reshape(model.glimpses, model.z_size):
        error = x - sigmoid(canvas)
        if model.read_window:
            rows, columns, gain = filters(model.read_window, h_dec)
            both = np.concatenate([x, error], axis=-1)
            seen, extra = planes(gain * np.einsum("ib,bac,ja->ijc", rows, both, columns)), 0.0
        else:
            seen, extra = planes(error), dense(model.image_gates, planes(x))
        h_enc, c_enc = lstm(dense(model.encoder_gates, seen, h_enc, h_dec) + extra, c_enc)
        mean, log_stddev = np.split(dense(model.moments, h_enc), 2)
        means.append(mean)
        stddevs.append(np.exp(log_stddev))
        h_dec, c_dec = lstm(dense(model.decoder_gates, mean + stddevs[-1] * step, h_dec), c_dec)
        patch = dense(model.patch, h_dec)
        if model.write_window:
            rows, columns, gain = filters(model.write_window, h_dec)
            n = model.write_window.size
            patch = np.swapaxes(patch.reshape(n, channels, n), 1, 2)
            canvas = canvas + np.einsum("ib,ijc,ja->bac", rows, patch, columns) / gain
        else:
            canvas = canvas + np.swapaxes(patch.reshape(height, channels, width), 1, 2)
    return canvas, np.array(means), np.array(stddevs)


@pytest.mark.parametrize(
    "args", [PLAIN, ATTENTIVE, {**PLAIN, "write_size": 3}, {**PLAIN, "read_size": 2}, {**PLAIN, "glimpses": 1}]
)
def test_bound_is_that_of_the_equations(args):
    model, x = build(args), binary(2, 5, 4, 2)
    noise = noise_of(model, 2)
    log_likelihood, kl = model.elbo_terms(x, noise)
    for i in range(2):
        canvas, mean, stddev = numpy_draw(model, x[i], noise[i])
        expected = np.sum(x[i] * canvas - np.log1p(np.exp(canvas)))
        assert float(log_likelihood[i]) == pytest.approx(expected, rel=1e-4)
        assert float(kl[i]) == pytest.approx(0.5 * np.sum(mean**2 + stddev**2 - np.log(stddev**2) - 1), rel=1e-4)
        z = (mean + stddev * noise[i].reshape(mean.shape)).reshape(1, -1).astype("float32")
        np.testing.assert_allclose(model.decode_images(z)[0], sigmoid(canvas), atol=1e-5)
    # A graph has a loop, an eager call does not.
    in_graph = tf.function(model.elbo_terms)(tf.constant(x), tf.constant(noise))
    np.testing.assert_allclose(in_graph, (log_likelihood, kl), rtol=1e-5)


def test_kl_of_a_posterior_with_known_moments():
    model = build(PLAIN, scale=0.0)  # h = 0, so that mean and ln stddev are the bias
    model.moments.bias.assign([1.0, -0.5, 0.0, np.log(2.0)])
    _, kl = model.elbo_terms(binary(3, 5, 4, 2), noise_of(model, 3))
    expected = model.glimpses * 0.5 * (1.0 + (0.25 + 4.0 - 1.0 - np.log(4.0)))
    np.testing.assert_allclose(kl, expected, rtol=1e-5)


@pytest.mark.parametrize("args", [PLAIN, ATTENTIVE])
def test_nothing_depends_on_what_comes_later(args):
    model, x = build(args), tf.constant(binary(1, 5, 4, 2))
    noise = tf.constant(noise_of(model, 1))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(noise)
        _, posterior = model.infer(x, noise)
        latents = tf.reshape(posterior.mean() + posterior.stddev() * tf.reshape(noise, [1, 3, 2]), [-1])
        latents = tf.unstack(latents)
    jacobian = np.array([tape.gradient(value, noise)[0] for value in latents])
    blocks = np.abs(jacobian).reshape(3, 2, 3, 2).max(axis=(1, 3))  # [step of z, step of noise]
    np.testing.assert_array_equal(np.triu(blocks, 1), 0.0)
    assert (blocks[np.tril_indices(3)] > 1e-6).all()


def test_exact_likelihood_of_two_pixels():
    """Over all images the likelihoods sum to 1, and importance sampling from q finds what sampling from p(z) finds."""
    model = build({"image_shape": (2, 1, 1), "glimpses": 2, "hidden": 4, "z_size": 1, "read_size": 2})
    x = np.float32([[a, b] for a in (0, 1) for b in (0, 1)]).reshape(4, 2, 1, 1)
    z = np.random.default_rng(0).normal(size=(100_000, 2)).astype("float32")
    likelihood = tf.exp(model.decode(z[:, None]).log_prob(x))  # [draws, images]
    exact = np.mean(likelihood, axis=0)
    assert exact.sum() == pytest.approx(1.0, abs=1e-4)
    found = model.log_prob(x, num_importance_samples=20_000, chunk=10_000)
    np.testing.assert_allclose(np.exp(found), exact, rtol=0.02)
    many = np.tile(x, (2000, 1, 1, 1))
    bounds = [np.mean(model.log_prob(many, num_importance_samples=k, chunk=8)) for k in (1, 8)]
    assert np.mean(model.elbo(many)) == pytest.approx(bounds[0], abs=0.15)
    assert bounds[0] < bounds[1] - 0.1 and bounds[1] < np.log(exact).mean() + 0.01


def test_encode_goes_along_the_means():
    model, x = build(ATTENTIVE), binary(2, 5, 4, 2)
    code = model.encode(x)
    assert code.event_shape == (6,) and code.batch_shape == (2,)
    for i in range(2):
        canvas, mean, stddev = numpy_draw(model, x[i], np.zeros(6, "float32"))
        np.testing.assert_allclose(code.mean()[i], mean.ravel(), atol=1e-4)
        np.testing.assert_allclose(code.stddev()[i], stddev.ravel(), rtol=1e-4)
        np.testing.assert_allclose(model.reconstruct(x)[i], sigmoid(canvas), atol=1e-5)


@pytest.mark.parametrize("args", [PLAIN, ATTENTIVE])
def test_canvases_end_in_the_image(args):
    model = build(args)
    latents = model.latents(tf.constant([3, 4], tf.int64))
    canvases, boxes = model.canvases(latents)
    assert canvases.shape == (2, 3, 5, 4, 2)
    np.testing.assert_allclose(canvases[:, -1], model.decode_images(latents), atol=1e-6)
    assert float(tf.reduce_max(tf.abs(canvases[:, 0] - canvases[:, 1]))) > 1e-3
    assert boxes is None if "write_size" not in args else boxes.shape == (2, 3, 5)
    # The canvas of the first step does not know the latents of the others.
    changed = tf.concat([latents[:, :2], 1.0 - latents[:, 2:]], axis=1)
    np.testing.assert_array_equal(model.canvases(changed)[0][:, 0], canvases[:, 0])
    outputs = model.signatures()["canvases"][0](seeds=tf.constant([3, 4], tf.int64))
    np.testing.assert_allclose(outputs["canvas"], canvases, atol=1e-6)
    assert ("boxes" in outputs) == (boxes is not None)


@pytest.mark.parametrize("args", [PLAIN, ATTENTIVE])
def test_redrawn_images_end_in_the_reconstruction(args):
    model, x = build(args), binary(2, 5, 4, 2)
    canvases, wrote, seen = model.redraw(x)
    np.testing.assert_allclose(canvases[:, -1], model.reconstruct(x), atol=1e-6)
    outputs = model.signatures()["redraw"][0](image=tf.constant(x))
    np.testing.assert_allclose(outputs["canvas"], canvases, atol=1e-6)
    if "read_size" not in args:
        assert wrote is None and seen is None and set(outputs) == {"canvas"}
        return
    # The first window is read before anything is seen of the image; the second one depends on it.
    np.testing.assert_array_equal(seen[0, 0], seen[1, 0])
    assert np.abs(seen[0, 1] - seen[1, 1]).max() > 1e-6 and wrote.shape == seen.shape == (2, 3, 5)
    for name, boxes, size in (("", wrote, args["write_size"]), ("read_", seen, args["read_size"])):
        np.testing.assert_array_equal(outputs[f"{name}boxes"], boxes)
        np.testing.assert_allclose(outputs[f"{name}sides"], np.abs(boxes[..., 2]) * (size - 1), rtol=1e-6)


@pytest.mark.parametrize("only", ["read_size", "write_size"])
def test_one_window_alone(only):
    args = {key: value for key, value in ATTENTIVE.items() if key not in ("read_size", "write_size")}
    model, x = build({**args, only: ATTENTIVE[only]}), binary(2, 5, 4, 2)
    canvases, wrote, seen = model.redraw(x)
    assert (seen is None) == (only == "write_size") and (wrote is None) == (only == "read_size")
    np.testing.assert_allclose(canvases[:, -1], model.reconstruct(x), atol=1e-6)
    found = set(model.signatures()["redraw"][0](image=tf.constant(x)))
    assert found == {"canvas", *(["read_boxes", "read_sides"] if only == "read_size" else ["boxes", "sides"])}


def test_weights_are_those_of_one_step_and_all_are_learnt():
    assert DRAW(**ATTENTIVE).count_params() == DRAW(**{**ATTENTIVE, "glimpses": 30}).count_params()
    for args in (PLAIN, ATTENTIVE):
        model, x = build(args), binary(4, 5, 4, 2)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.subtract(*model.elbo_terms(x, noise_of(model, 4))))
        variables = model.trainable_variables
        for variable, gradient in zip(variables, tape.gradient(loss, [v.value for v in variables]), strict=True):
            assert gradient is not None and np.abs(gradient).max() > 1e-6, variable.path


def test_gradient_through_the_loop_is_that_of_finite_differences():
    model, x = build(ATTENTIVE), tf.constant(binary(3, 5, 4, 2))
    noise, variable = tf.constant(noise_of(model, 3)), model.read_window.parameters.kernel

    @tf.function
    def bound():
        return tf.reduce_mean(tf.subtract(*model.elbo_terms(x, noise)))

    @tf.function
    def slope():
        with tf.GradientTape() as tape:
            value = bound()
        return tape.gradient(value, variable.value)

    gradient, start, h = slope().numpy(), variable.numpy(), 1e-2
    for index in ((0, 0), (2, 1), (4, 3), (5, 4)):
        values = []
        for sign in (1, -1):
            moved = start.copy()
            moved[index] += sign * h
            variable.assign(moved)
            values.append(float(bound()))
        assert (values[0] - values[1]) / (2 * h) == pytest.approx(gradient[index], rel=0.03, abs=3e-3)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_a_layer_at_every_step_is_the_layer_and_has_its_gradients(dtype):
    layer, rng = keras.layers.Dense(5, dtype=dtype), np.random.default_rng(0)
    layer.build((None, 6))
    layer.bias.assign(rng.normal(size=5))
    a, b, upstream = (tf.constant(rng.normal(size=(4, n)), tf.float32) for n in (2, 4, 5))

    def found(outputs_of):
        with tf.GradientTape() as tape:
            tape.watch((a, b))
            outputs = outputs_of(a, b)
        return [outputs, *tape.gradient(outputs, [a, b, *(v.value for v in layer.variables)], output_gradients=upstream)]

    wanted = found(lambda *inputs: tf.cast(layer(tf.concat(inputs, axis=-1)), tf.float32))
    for value, same in zip(found(lambda *inputs: every_step(layer)(*inputs)), wanted, strict=True):
        assert value.dtype == tf.float32
        np.testing.assert_allclose(value, same, rtol=1e-5 if dtype == "float32" else 2e-2, atol=1e-5)


def test_bad_arguments():
    for bad, message in (
        ({"glimpses": 0}, "integer in .1, 1000."), ({"hidden": 0}, "integer >= 1"), ({"z_size": 0}, "integer >= 1"),
        ({"read_size": 1}, "integer >= 2"), ({"write_size": 0}, "integer >= 2"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            DRAW(**{**PLAIN, **bad})


def test_presets_build():
    for name, preset in tfgen.presets.all_presets().items():
        if preset.model is DRAW:
            args = preset.model_args
            model = preset.build()
            assert model.latents(tf.constant([1])).shape == (1, args["glimpses"] * args["z_size"]), name


@pytest.mark.parametrize(
    ("name", "glimpses", "hidden", "z_size", "read_size", "write_size"),
    [("mnist", 64, 256, 100, 2, 5), ("svhn", 32, 800, 100, 12, 12), ("cifar10", 64, 400, 200, 5, 5)],
)
def test_presets_of_the_paper_have_the_sizes_of_its_table(name, glimpses, hidden, z_size, read_size, write_size):
    args = tfgen.presets.get(f"draw/{name}-paper").model_args
    names = ("glimpses", "hidden", "z_size", "read_size", "write_size")
    assert tuple(args[key] for key in names) == (glimpses, hidden, z_size, read_size, write_size)
    assert (PAPER["glimpses"], PAPER["hidden"], PAPER["read_size"]) == (8, 256, 12)


# ---- the classifier


def test_classifier_looks_where_its_state_says():
    model = GlimpseClassifier(image_shape=(9, 9, 1), num_classes=3, glimpses=2, hidden=4, read_size=3)
    x = binary(5, 9, 9, 1)
    logits, boxes = model.look(x)
    assert logits.shape == (5, 3) and boxes.shape == (5, 2, 5)
    # At first the state is the same for all images; what they show moves the second glimpse.
    np.testing.assert_allclose(boxes[:, 0, :4], [[5.0, 5.0, 4.0, 2.0]] * 5, rtol=1e-4)
    assert np.std(boxes[:, 1, 0]) > 1e-4
    twin = GlimpseClassifier.from_config(model.get_config())
    assert [v.shape for v in twin.weights] == [v.shape for v in model.weights]
    with pytest.raises(ValueError, match="made for images"):
        model(binary(5, 8, 9, 1))
    with pytest.raises(ValueError, match="must be float"):
        model((x * 255).astype("uint8"))
    half = GlimpseClassifier(image_shape=(9, 9, 1), num_classes=3, glimpses=2, hidden=4, read_size=3, dtype="mixed_bfloat16")
    assert half(x).shape == (5, 3)  # Keras' own call would cast what the state begins with
    with pytest.raises(ValueError, match="integer in .1, 1000."):
        GlimpseClassifier(image_shape=(9, 9, 1), num_classes=3, glimpses=0)
    assert GlimpseClassifier(**PAPER).count_params() < 1e6


def test_classifier_learns_where_something_is(digits):
    """Which quarter of the canvas holds the digit; a chance guess is right for a quarter."""
    source = tfgen.data.from_arrays(digits[0][:400], levels=17)
    canvases = tfgen.data.cluttered_canvas(source, size=20, num_distractors=0).images()
    mass = canvases.sum(axis=-1)
    weights = mass / mass.sum(axis=(1, 2), keepdims=True)
    rows, columns = (np.tensordot(weights, grid, 2) >= 9.5 for grid in np.mgrid[:20, :20].astype("float32"))
    labels = 2 * rows + columns
    model = GlimpseClassifier(image_shape=(20, 20, 1), num_classes=4, glimpses=2, hidden=32, read_size=4)
    model.compile(keras.optimizers.Adam(1e-2))
    examples = {"image": canvases, "label": labels.astype("int32")}
    known, held_out = ({name: values[part] for name, values in examples.items()} for part in (slice(300), slice(300, None)))
    model.fit(known, batch_size=50, epochs=8, verbose=0)
    assert model.evaluate(held_out, verbose=0, return_dict=True)["accuracy"] > 0.6
