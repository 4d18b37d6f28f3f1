"""The user's own networks in the places of a model's: VAE(encoder=...), DCGAN(generator=...) and so on."""

import json
import pathlib
import re
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.conformance.registry import CASES as BUILT_IN
from tfgen import models
from tfgen.layers import SpectralConv2D, SpectralDense

layers = keras.layers
SHAPE, LATENTS, CLASSES = (8, 8, 1), 4, 3


def chain(inputs, *steps):
    """A functional model; its layers have Keras' own, numbered names."""
    start = x = keras.Input(inputs)
    for step in steps:
        x = step(x)
    return keras.Model(start, x)


def to_vector(units, inputs=SHAPE):
    return chain(inputs, layers.Flatten(), layers.Dense(6, "tanh"), layers.BatchNormalization(), layers.Dense(units))


def to_image(inputs=LATENTS, activation=None):
    return chain((inputs,), layers.Dense(64, activation), layers.Reshape(SHAPE))


def conditional(shape, units, out_shape, activation=None):
    x, labels = keras.Input(shape), keras.Input((CLASSES,))
    hidden = layers.Dense(6, "tanh")(layers.Concatenate()([layers.Flatten()(x), labels]))
    return keras.Model([x, labels], layers.Reshape(out_shape)(layers.Dense(units, activation)(hidden)))


@keras.saving.register_keras_serializable("tests")
class Discriminator(keras.Model):
    """A discriminator as a subclass, with dropout, that returns its logits and its features, as a list or a dict."""

    def __init__(self, units=5, kind="list", **kwargs):
        super().__init__(**kwargs)
        self.units, self.kind = units, kind
        self.stack = [layers.Flatten(), layers.Dense(units, "relu"), layers.Dropout(0.5)]
        self.last = layers.Dense(1)

    def call(self, x, training=False):
        for layer in self.stack:
            x = layer(x, training=training) if isinstance(layer, layers.Dropout) else layer(x)
        return {"features": x, "logit": self.last(x)} if self.kind == "dict" else [self.last(x), x]

    def get_config(self):
        return {**super().get_config(), "units": self.units, "kind": self.kind}


def of_pairs():
    """A discriminator of patches of two images."""
    images, others = keras.Input(SHAPE), keras.Input(SHAPE)
    return keras.Model([images, others], layers.Conv2D(1, 3)(layers.Concatenate()([images, others])))


def down(filters):
    return layers.Conv2D(filters, 5, strides=4, padding="same")


def up(filters):
    return layers.Conv2DTranspose(filters, 5, strides=4, padding="same")


@keras.saving.register_keras_serializable("tests")
class Adding(layers.Layer):
    """Adds a loss of its own."""

    def call(self, x):
        self.add_loss(tf.reduce_mean(x**2))
        return x


@keras.saving.register_keras_serializable("tests")
class AddingInTraining(layers.Layer):
    """Adds a loss of its own, in training alone."""

    def call(self, x, training=False):
        if training:
            self.add_loss(tf.reduce_mean(x**2))
        return x


def spectral(wrap):
    """A discriminator with spectral norm of tfgen, or by Keras' wrapper."""
    if wrap:
        some = [layers.SpectralNormalization(layer) for layer in (layers.Conv2D(3, 3), layers.Dense(1))]
    else:
        some = [SpectralConv2D(3, 3), SpectralDense(1)]
    return chain(SHAPE, some[0], layers.BatchNormalization(), layers.LeakyReLU(), layers.Flatten(), some[1])


def spectral_with_features():
    images = keras.Input(SHAPE)
    features = SpectralDense(5, "tanh")(layers.Flatten()(images))
    return keras.Model(images, {"logit": SpectralDense(1)(features), "features": features})


GAN = {"image_shape": SHAPE, "latent_dim": LATENTS}


def gan(cls, **more):
    return cls(**{**GAN, "generator": to_image(activation="tanh"), "discriminator": to_vector(1), **more})


CASES = {
    "vae": lambda: models.VAE(image_shape=SHAPE, latent_dim=LATENTS, encoder=to_vector(2 * LATENTS), decoder=to_image()),
    "vae-half": lambda: models.VAE(image_shape=SHAPE, latent_dim=LATENTS, hidden=(6,), encoder=to_vector(2 * LATENTS)),
    "autoencoder": lambda: models.Autoencoder(**GAN, encoder=to_vector(LATENTS), decoder=to_image()),
    "gmvae": lambda: models.GMVAE(
        **GAN, style_dim=2, prior_hidden=4, num_clusters=2, encoder=to_vector(12), decoder=to_image()
    ),
    "dfc-vae": lambda: models.DFCVAE(**GAN, encoder=to_vector(2 * LATENTS), decoder=to_image()),
    "dc-ign": lambda: models.DCIGN(**GAN, clamp="none", encoder=to_vector(2 * LATENTS), decoder=to_image()),
    "vae-gan": lambda: models.VAEGAN(
        **GAN, encoder=to_vector(2 * LATENTS), decoder=to_image(activation="tanh"), discriminator=Discriminator(),
        margin=None,
    ),
    "dcgan": lambda: gan(models.DCGAN, regularizer="l2"),
    "dcgan-conditional": lambda: models.DCGAN(
        **GAN, num_classes=CLASSES, generator=conditional((LATENTS,), 64, SHAPE, "tanh"),
        discriminator=conditional(SHAPE, 1, (1,)), penalty="gradient_penalty",
    ),
    "gan": lambda: gan(models.GAN),
    "wgan": lambda: gan(models.WGAN, thorough_turns=0, discriminator_steps=2),
    "wgan-gp": lambda: models.WGANGP(
        **GAN, discriminator_steps=2, generator=to_image(activation="tanh"),
        discriminator=chain(SHAPE, layers.Flatten(), layers.Dense(1)),
    ),
    "sngan-half": lambda: models.SNGAN(
        **GAN, width=4, network="mlp", generator=to_image(activation="tanh"), discriminator_steps=1
    ),
    "ss-gan": lambda: gan(models.SSGAN, discriminator=spectral_with_features()),
    "infogan": lambda: models.InfoGAN(
        image_shape=SHAPE, categorical=(2,), continuous=1, noise_dim=1, q_width=4, generator=to_image(activation="tanh"),
        discriminator=Discriminator(kind="dict"),
    ),
    "ebgan": lambda: models.EBGAN(
        **GAN, generator=to_image(activation="tanh"), pulling_away=0.1,
        discriminator=keras.Model(*(lambda x, code: (x, [to_image(3, "tanh")(code), code]))(*(lambda x: (
            x, layers.Dense(3)(layers.Flatten()(x))))(keras.Input(SHAPE)))),
    ),
    "cycle-gan": lambda: models.CycleGAN(
        image_shape=SHAPE, to_b=chain(SHAPE, layers.Conv2D(1, 3, padding="same", activation="tanh")),
        to_a=chain(SHAPE, layers.Flatten(), layers.Dense(64, "tanh"), layers.Reshape(SHAPE)), pool_size=8,
        discriminator_a=chain(SHAPE, down(1)), discriminator_b=chain(SHAPE, layers.Dropout(0.1), layers.Conv2D(1, 3)),
    ),
    "pix2pix": lambda: models.Pix2Pix(
        image_shape=SHAPE, generator=chain(SHAPE, layers.Conv2D(1, 3, padding="same", activation="tanh")),
        discriminator=of_pairs(),
    ),
    "pixel-cnn-autoencoder": lambda: models.PixelCNNAutoencoder(
        image_shape=SHAPE, levels=2, width=4, depth=1, head_width=4, embedding_dim=3, encoder=to_vector(3)
    ),
    "factorized-prior": lambda: models.FactorizedPrior(
        image_shape=(16, 16, 1), latent_channels=3, analysis=chain((None, None, 1), down(4), down(3)),
        synthesis=chain((None, None, 3), up(4), up(1)),
    ),
}  # fmt: skip
IN_GRAPHS = ("vae", "dcgan-conditional", "vae-gan", "infogan")  # the others run step by step, to save time


def batch(model, size=6):
    rng = np.random.default_rng(0)
    images = (rng.random((size, *model.image_shape)) > 0.5).astype("float32")
    return {"image": images, "label": rng.integers(0, CLASSES, size).astype("int32"), "other": 1.0 - images[::-1],
            "target": 1.0 - images}


def train(model, steps):
    model.fit(tf.data.Dataset.from_tensors(batch(model)).repeat(), steps_per_epoch=steps, verbose=0)


def compiled(name):
    model = CASES[name]()
    model.compile(ema_decay=0.5, run_eagerly=name not in IN_GRAPHS)
    return model


def values(model):
    return {key: np.array(keras.ops.convert_to_numpy(v)) for key, v in model.state().items()}


def same(found, expected):
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value, err_msg=key)


def answers(model):
    """What the model does with its networks, as arrays."""
    labels = {"labels": np.arange(4, dtype="int32") % CLASSES} if model.num_classes else {}
    if isinstance(model, models.capabilities.Translator):
        found = {"translated": model.translate(image=batch(model)["image"])["image"]}
    else:
        found = {"sample": model.sample(4, seed=1, **labels)}
    if isinstance(model, models.capabilities.Encoder):
        found["code"] = next(iter(model.code_outputs(batch(model)["image"]).values()))
    return {name: np.array(value) for name, value in found.items()}


# One and two networks, one in a part of the model, four.
QUICK = ("vae", "dcgan-conditional", "pixel-cnn-autoencoder", "cycle-gan")


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=[pytest.mark.long] * (name not in QUICK)) for name in CASES]
)  # fmt: skip
def trained(request):
    model = compiled(request.param)
    before = values(model)
    train(model, 2)
    return request.param, model, before


def test_own_networks_learn_and_are_saved_in_every_way(trained, tmp_path):
    name, model, before = trained
    after = values(model)
    own = [name for name in model.network_arguments() if model._config[name] is not None]
    assert own
    for network in own:  # of each of the user's networks something moved
        keys = [key for key in after if key.startswith(f"weights/{network}")]
        assert keys and any(np.any(after[key] != before[key]) for key in keys), network
    config = json.loads(json.dumps(model.get_config()))
    assert all(config[network]["class_name"] in ("Functional", "Sequential", "Discriminator") for network in own)

    expected = answers(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    same(answers(loaded), expected)
    # Keras writes no states of its generators of random numbers, as dropout has one, to files; checkpoints have them.
    same(*({key: v for key, v in found.items() if "/seed_" not in key} for found in (values(loaded), after)))

    model.save_weights(tmp_path / "model.weights.h5")
    twin = type(model).from_config(config)
    twin.load_weights(tmp_path / "model.weights.h5")
    same(answers(twin), expected)


def test_a_run_that_is_resumed_ends_with_the_same_bits(trained, tmp_path):
    name, model, _ = trained
    [layers.Dense(1) for _ in range(3)]  # Keras numbers layers by what else was built
    tfgen.training.Checkpoints(model, tmp_path).save()
    resumed = compiled(name)
    start = int(model.step.value)
    assert tfgen.training.Checkpoints(resumed, tmp_path).restore() == start
    same(values(resumed), values(model))
    train(model, 2)
    train(resumed, 2)
    same(values(resumed), values(model))


LOAD = """
import sys, numpy as np, tensorflow as tf
for name in sys.argv[1:]:
    serve = tf.saved_model.load(f"{name}/1").signatures["sample"]
    takes = serve.structured_input_signature[1]
    labels = {"labels": tf.constant([0, 1, 2, 0], tf.int32)} if "labels" in takes else {}
    np.save(f"{name}.npy", serve(seeds=tf.constant([5, 6, 7, 8], tf.int64), **labels)["image"].numpy())
assert not any(name.split(".")[0] in ("tfgen", "tests") for name in sys.modules)
"""


@pytest.mark.long
def test_exports_need_no_code_of_the_user(tmp_path):
    expected = {}
    for name in IN_GRAPHS:
        model = CASES[name]()
        tfgen.export.export_saved_model(model, tmp_path / name, warmup=False)
        labels = {"labels": np.array([0, 1, 2, 0], "int32")} if model.num_classes else {}
        expected[name] = np.array(model.generate(np.array([5, 6, 7, 8]), **labels))
    command, env = [sys.executable, "-c", LOAD, *expected], {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    for name, images in expected.items():
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.npy"), images, atol=1e-6, err_msg=name)


# ---- what the networks compute


def test_images_are_those_of_the_given_networks():
    generator, z = to_image(activation="tanh"), np.random.default_rng(0).normal(size=(3, LATENTS)).astype("float32")
    model = models.DCGAN(**GAN, generator=generator, discriminator=to_vector(1))
    np.testing.assert_allclose(model.decode_images(z), 0.5 + 0.5 * generator(z), atol=1e-6)
    encoder, decoder, x = to_vector(2 * LATENTS), to_image(), batch(model)["image"]
    vae = models.VAE(image_shape=SHAPE, latent_dim=LATENTS, encoder=encoder, decoder=decoder)
    np.testing.assert_allclose(vae.encode(x).mean(), encoder(x)[:, :LATENTS], atol=1e-6)
    np.testing.assert_allclose(vae.decode_images(z), tf.sigmoid(decoder(z)), atol=1e-6)
    discriminator = Discriminator()
    score, features = discriminator(2.0 * x - 1.0)
    gan = models.VAEGAN(**GAN, discriminator=discriminator)
    np.testing.assert_allclose(gan.features(x), features, atol=1e-6)
    np.testing.assert_allclose(gan.discriminate(2.0 * x - 1.0)[1], score[:, 0], atol=1e-6)


def test_networks_are_copied():
    generator, discriminator = to_image(activation="tanh"), to_vector(1)
    kept = [w.copy() for w in (*generator.get_weights(), *discriminator.get_weights())]
    one, other = (models.DCGAN(**GAN, generator=generator, discriminator=discriminator) for _ in range(2))
    one.compile()
    train(one, 2)
    for weight, before in zip([*generator.get_weights(), *discriminator.get_weights()], kept, strict=True):
        np.testing.assert_array_equal(weight, before)
    np.testing.assert_array_equal(other.generator.get_weights()[0], kept[0])
    assert np.any(one.generator.get_weights()[0] != kept[0])


def test_a_network_that_was_compiled_or_never_called_is_taken():
    unbuilt = keras.Sequential([layers.Flatten(), layers.Dense(2 * LATENTS)])
    decoder = to_image()
    decoder.compile("adam", "mse")
    model = models.VAE(image_shape=SHAPE, latent_dim=LATENTS, encoder=unbuilt, decoder=decoder)
    assert model.elbo(batch(model)["image"]).shape == (6,) and not model.decoder.compiled


def test_dropout_of_own_networks_is_on_in_training_alone():
    model = models.VAEGAN(**GAN, discriminator=Discriminator(), margin=None)
    raw = tf.ones([4, *SHAPE])
    evaluated = [model.discriminate(raw)[0] for _ in range(2)]
    np.testing.assert_array_equal(*evaluated)
    assert np.any(model.discriminate(raw, training=True)[0] != evaluated[0])


def test_the_networks_of_a_model_cannot_be_replaced():
    for name, network in {"vae": "encoder", "dcgan": "generator", "vae-gan": "discriminator"}.items():
        for model in (CASES[name](), BUILT_IN[{"vae": "vae-mlp-bernoulli"}.get(name, name)].build()):
            with pytest.raises(AttributeError, match=rf"Give it to the constructor.*argument {network}, .*set_weights"):
                setattr(model, network, to_vector(1))


def test_the_example_of_the_readme_runs(tmp_path, monkeypatch):
    readme = (pathlib.Path(__file__).parents[2] / "README.md").read_text()
    (example,) = re.findall(r"Networks of your own.*?```python\n(.*?)```", readme, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    scope = {"tfgen": tfgen, "train": tfgen.data.load("digits")}
    exec(example.replace("epochs=20", "epochs=1"), scope)
    loaded = keras.saving.load_model("vae.keras")
    np.testing.assert_array_equal(loaded.sample(2), scope["vae"].sample(2))


# ---- what a paper asks of a discriminator holds for the user's own


@pytest.mark.parametrize("wrap", [False, True])
def test_a_discriminator_with_spectral_norm_is_taken_and_keeps_it(wrap, tmp_path):
    model = models.SNGAN(**GAN, width=4, network="mlp", discriminator=spectral(wrap), discriminator_steps=1)
    model.compile(keras.optimizers.SGD(0.5))
    before = [v.numpy() for v in model.discriminator.trainable_variables]
    train(model, 10)
    assert all(np.any(v.numpy() != old) for v, old in zip(model.discriminator.trainable_variables, before, strict=True))
    x = tf.constant(2.0 * batch(model)["image"] - 1.0)
    model.discriminate(x, training=True)  # Keras' wrapper normalizes its kernel when it is called
    for layer in model.discriminator.network.layers:
        if hasattr(layer, "kernel"):
            kernel = keras.ops.convert_to_numpy(layer.kernel).reshape(-1, layer.kernel.shape[-1])
            assert np.linalg.svd(kernel, compute_uv=False)[0] == pytest.approx(1.0, abs=0.1)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.logits(x), model.logits(x))


def test_the_weights_of_a_discriminator_are_clipped():
    model = models.WGAN(**GAN, generator=to_image(activation="tanh"), discriminator=to_vector(1), weight_clip=0.02)
    model.compile(keras.optimizers.SGD(1.0), run_eagerly=True)
    train(model, 1)
    found = [v.numpy() for v in model.discriminator.trainable_variables]
    assert found and all(np.all(np.abs(v) <= np.float32(0.02)) for v in found)
    assert any(np.any(np.abs(v) > 0.02) for v in to_vector(1).get_weights())


# ---- errors


def vae(**more):
    return models.VAE(image_shape=SHAPE, latent_dim=LATENTS, **more)


WRONG = {
    "encoder": (lambda: vae(encoder=to_vector(5)),
                r"encoder must take \[B, 8, 8, 1\] and return \[B, 8\]; .* returns \[B, 5\]"),
    "encoder's input": (lambda: vae(encoder=to_vector(8, (9, 9, 1))),
                        r"encoder must take \[B, 8, 8, 1\] and return \[B, 8\]; calling the given network failed"),
    "gaussian": (lambda: vae(likelihood="gaussian", decoder=to_image()),
                 r"decoder must take \[B, 4\] and return \[B, 8, 8, 2\]; .* returns \[B, 8, 8, 1\]"),
    "generator": (lambda: models.DCGAN(**GAN, generator=to_vector(7, (LATENTS,))),
                  r"generator must take \[B, 4\] and return \[B, 8, 8, 1\]; .* returns \[B, 7\]"),
    "labels": (lambda: models.DCGAN(**GAN, num_classes=3, generator=to_image()),
               r"generator must take \[B, 4\] and \[B, 3\] and return \[B, 8, 8, 1\]; calling the given network failed"),
    "discriminator": (lambda: models.GAN(**GAN, discriminator=to_vector(2)),
                      r"discriminator must take \[B, 8, 8, 1\] and return logit \[B, 1\]; .* returns logit \[B, 2\]"),
    "features": (lambda: models.InfoGAN(image_shape=SHAPE, discriminator=to_vector(1)),
                 r"return logit \[B, 1\] and features \[B, any\]; .* returns logit \[B, 1\]"),
    "similarity": (lambda: models.VAEGAN(**GAN, discriminator=to_vector(1)),
                   r"return logit \[B, 1\] and features \[B, \.\.\.\]; .* returns logit \[B, 1\]"),
    "similarity layer": (lambda: models.VAEGAN(**GAN, discriminator=Discriminator(), similarity_layer=1),
                         "similarity_layer is a layer of the built-in discriminator.*received 1"),
    "reconstruction": (lambda: models.EBGAN(**GAN, discriminator=to_vector(1)),
                       r"return reconstruction \[B, 8, 8, 1\]; .* returns reconstruction \[B, 1\]"),
    "one size": (lambda: models.FactorizedPrior(image_shape=(16, 16, 1), latent_channels=3,
                                                analysis=chain((16, 16, 1), down(4), down(3))),
                 r"analysis must take \[B, 32, 32, 1\] and return \[B, 2, 2, 3\]"),
    "weight regularizer": (lambda: vae(encoder=chain(SHAPE, layers.Flatten(), layers.Dense(8, kernel_regularizer="l2"))),
                           "encoder has its own losses.*would not minimize"),
    "activity regularizer": (
        lambda: models.GAN(**GAN, generator=chain((LATENTS,), layers.Dense(64, activity_regularizer="l1"),
                                                  layers.Reshape(SHAPE))), "generator has its own losses"),
    "add_loss": (lambda: models.VAEGAN(**GAN, decoder=chain((LATENTS,), Adding(), layers.Dense(64), layers.Reshape(SHAPE))),
                 "decoder has its own losses"),
    "add_loss in training": (
        lambda: models.VAEGAN(**GAN, decoder=chain((LATENTS,), AddingInTraining(), layers.Dense(64), layers.Reshape(SHAPE))),
        "decoder has its own losses"),
    "no spectral norm": (lambda: models.SNGAN(**GAN, discriminator=to_vector(1)),
                         "discriminator: every layer .* spectral norm.*SpectralDense.*Normalization. Without it: dense"),
    "spectral norm in part": (
        lambda: models.SNGAN(**GAN, discriminator=chain(
            SHAPE, SpectralConv2D(3, 3), layers.Flatten(), layers.Dense(1, name="last"))), "Without it: last."),
    "nothing to normalize": (
        lambda: models.SNGAN(**GAN, discriminator=chain(SHAPE, layers.BatchNormalization(), layers.GlobalMaxPooling2D())),
        "has no such layer"),
    "no network": (lambda: vae(encoder=3), "encoder must be a keras.Model.*received 3"),
    "no function": (lambda: vae(encoder="no_such_module.make"), "encoder as text is the dotted name.*'no_such_module.make'"),
    "no dots": (lambda: vae(encoder="make"), "encoder as text is the dotted name.*received 'make'"),
    "no place": (lambda: models.ImprovedGAN(**GAN, generator=to_image()),
                 "ImprovedGAN takes no generator of your own.*It takes: none"),
    "autoregressive": (lambda: models.PixelCNN(image_shape=SHAPE, network=to_image()), "PixelCNN has no argument network"),
    "useless": (lambda: vae(encoder=to_vector(8), decoder=to_image(), hidden=(7,)),
                r"hidden=\(7,\) is a setting of the built-in networks of VAE, which encoder and decoder replace"),
    "useless widths": (lambda: models.VAEGAN(**GAN, encoder=to_vector(8), encoder_widths=(3, 4)),
                       r"encoder_widths=\(3, 4\) is a setting of the built-in networks of VAEGAN, which encoder replace"),
    "useless network": (lambda: gan(models.WGAN, network="mlp"), "network='mlp' is a setting of the built-in networks"),
    "useless part": (lambda: models.WGAN(**GAN, generator=to_image(), network_args={"generator": {"stages": 1}}),
                     r"network_args\['generator'\] is for the built-in generator"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_errors_name_the_setting_and_both_shapes(case):
    make, message = WRONG[case]
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_a_network_that_cannot_be_made_again_is_refused_at_once():
    class Hidden(layers.Layer):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="encoder: Keras cannot make the network from its config.*register_keras"):
        vae(encoder=chain(SHAPE, Hidden(), layers.Flatten(), layers.Dense(8)))


def test_settings_that_are_still_of_use_are_taken():
    assert vae(hidden=(7,), encoder=to_vector(8)).decoder.layers[0].units == 7
    odd = (7, 7, 1)  # the built-in networks cannot make such images
    generator, discriminator = chain((2,), layers.Dense(49), layers.Reshape(odd)), to_vector(1, odd)
    model = models.DCGAN(image_shape=odd, latent_dim=2, generator=generator, discriminator=discriminator)
    assert model.sample(2).shape == (2, *odd)
    with pytest.raises(ValueError, match="features.. needs the built-in discriminator"):
        model.features(np.zeros([2, *odd], "float32"))


def test_networks_that_share_weights_are_refused():
    shared = layers.Dense(LATENTS, name="shared")
    encoder = chain(SHAPE, layers.Flatten(), layers.Dense(LATENTS), shared, layers.Dense(2 * LATENTS))
    with pytest.raises(ValueError, match="encoder and decoder share shared/kernel, shared/bias; each network is copied"):
        vae(encoder=encoder, decoder=chain((LATENTS,), shared, layers.Dense(64), layers.Reshape(SHAPE)))
    discriminator = to_vector(1)
    with pytest.raises(ValueError, match="generator and discriminator share"):
        models.GAN(**GAN, generator=discriminator, discriminator=discriminator)
    late = layers.Dense(2 * LATENTS, name="late")  # has no weights yet
    with pytest.raises(ValueError, match="encoder and decoder share late;"):
        vae(encoder=keras.Sequential([layers.Flatten(), late]), decoder=keras.Sequential([late, layers.Dense(64)]))
    flatten = layers.Flatten()  # has no weights to tie
    vae(encoder=chain(SHAPE, flatten, layers.Dense(8)), decoder=chain((LATENTS,), flatten, layers.Dense(64),
                                                                      layers.Reshape(SHAPE)))  # fmt: skip


# ---- in presets


@pytest.fixture
def makers(tmp_path, monkeypatch):
    (tmp_path / "my_networks.py").write_text(textwrap.dedent("""
        import keras

        def make_encoder(image_shape, latent_dim):
            return keras.Sequential([keras.Input(image_shape), keras.layers.Flatten(), keras.layers.Dense(2 * latent_dim)])

        def make_decoder(output_shape, **settings):
            assert settings["latent_dim"] == 8 and settings["num_classes"] == 0, settings
            n = output_shape[0] * output_shape[1] * output_shape[2]
            return keras.Sequential([keras.layers.Dense(n), keras.layers.Reshape(output_shape)])

        def demanding(width):
            return keras.Sequential([keras.layers.Dense(width)])

        def wrong():
            return 3
        """))
    monkeypatch.syspath_prepend(str(tmp_path))
    return "my_networks"


def test_presets_name_makers(makers, tmp_path):
    preset = tfgen.presets.get("vae/digits")
    assert "hidden" in preset.model_args
    own = {name: f"{makers}.make_{name}" for name in ("encoder", "decoder")}
    changed = preset.override({**own, "latent_dim": 8})
    assert "hidden" not in changed.model_args and json.dumps(changed.config())
    model = changed.build()
    assert [len(network.layers) for network in (model.encoder, model.decoder)] == [2, 2]
    half = preset.override({"encoder": own["encoder"]})
    assert half.model_args["hidden"] == preset.model_args["hidden"]
    with pytest.raises(ValueError, match="hidden=.*is a setting of the built-in networks"):
        preset.override({**own, "hidden": (3,)}).build()

    # A file holds the network itself, and no maker.
    model.save(tmp_path / "model.keras")
    sys.modules.pop(makers), (tmp_path / "my_networks.py").unlink()
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(loaded.sample(2), model.sample(2))
    with pytest.raises(ValueError, match="In a config encoder is a network's Keras config"):
        models.VAE.from_config({**model.get_config(), "encoder": "os.abort"})


def test_errors_of_makers(makers):
    with pytest.raises(ValueError, match=r"encoder: my_networks.demanding needs the arguments \['width'\].*image_shape"):
        vae(encoder=f"{makers}.demanding")
    with pytest.raises(ValueError, match="my_networks.wrong must return a keras.Model; it returned 3"):
        vae(encoder=f"{makers}.wrong")
