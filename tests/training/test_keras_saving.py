"""Every way in which Keras saves and loads, with averaged weights and several optimisers."""

import copy
import functools
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.saving.serialization_lib import ObjectSharingScope

import tfgen
from tfgen import losses
from tfgen.models import DCGAN, VAE, VAEGAN

_SMALL = {"image_shape": (8, 8, 1), "latent_dim": 3}
MODELS = {
    "vae": (VAE, {**_SMALL, "hidden": (16,)}),
    "dcgan": (DCGAN, {**_SMALL, "width": 4, "stages": 1, "discriminator_steps": 2}),
    "vae-gan": (
        VAEGAN,
        {**_SMALL, "encoder_widths": (4, 8), "decoder_widths": (4, 4), "discriminator_widths": (3, 4, 5),
         "similarity_layer": 1, "similarity_weight": 0.1},
    ),
}  # fmt: skip
BATCH = {"image": (np.random.default_rng(0).random((8, 8, 8, 1)) > 0.5).astype("float32")}


def make(name="vae", start=0, **extra):
    cls, args = MODELS[name]
    keras.utils.set_random_seed(start)
    return cls(**args, **extra)


def compiled(name="vae", start=0, ema_decay=0.9):
    model = make(name, start)
    model.compile(ema_decay=ema_decay)
    return model


def train(model, epochs=2, **kwargs):
    return model.fit(tf.data.Dataset.from_tensors(BATCH).repeat(), epochs=epochs, steps_per_epoch=3, verbose=0, **kwargs)


def arrays(variables):
    return {key: keras.ops.convert_to_numpy(variable) for key, variable in variables.items()}


def shadows_of(model):
    """{path: averaged weight}, without the counts of updates."""
    return arrays(dict(zip(model.ema.paths, model.ema.shadows, strict=True)))


def assert_equal(a, b):
    assert a.keys() == b.keys()
    for key in a:
        np.testing.assert_array_equal(a[key], b[key], err_msg=key)


def live(model):
    return arrays(dict(zip(model.ema.paths, model.ema.variables, strict=True)))


@pytest.fixture(scope="module")
def trained():
    """A VAE whose averages are those of no weights that it ever had."""
    model = compiled()
    train(model)
    return model


@pytest.fixture(scope="module", params=[".weights.h5", ".keras"])
def files(request, trained, tmp_path_factory):
    """{whether it holds averages: path of a file of the same weights}."""
    folder = tmp_path_factory.mktemp("files")
    paths = {averages: folder / f"{averages}{request.param}" for averages in (True, False)}
    plain = make()
    plain.set_weights(trained.get_weights())
    for averages, model in ((True, trained), (False, plain)):
        model.save_weights(paths[averages]) if request.param == ".weights.h5" else model.save(paths[averages])
    return paths


# ---- averages: a file with or without, a model with or without, compiled or not


@pytest.mark.parametrize("target", ["compiled-with", "compiled-without", "not-compiled"])
@pytest.mark.parametrize("averages", [True, False])
def test_load_weights(files, trained, averages, target, caplog):
    model = make(start=1)
    if target != "not-compiled":
        model.compile(ema_decay=0.5 if target == "compiled-with" else None)
    count, names = model.count_params(), [v.path for v in model.variables]
    model.load_weights(files[averages])
    assert model.count_params() == count and [v.path for v in model.variables] == names
    np.testing.assert_array_equal(model.encoder.get_weights()[0], trained.encoder.get_weights()[0])
    if target == "compiled-without" or (target == "not-compiled" and not averages):
        assert model.ema is None
    elif averages:
        assert_equal(arrays(model.ema.named()), arrays(trained.ema.named()))
    else:
        assert_equal(shadows_of(model), live(trained))
    said = {(True, "compiled-without"): "averaged weights in the file are not loaded",
            (False, "compiled-with"): "The file has no averaged weights"}.get((averages, target))  # fmt: skip
    assert said in caplog.text if said else "averaged" not in caplog.text


@pytest.mark.parametrize("compile", [True, False])
@pytest.mark.parametrize("averages", [True, False])
def test_load_model(trained, averages, compile, tmp_path):
    model = compiled(ema_decay=0.9 if averages else None)
    model.set_weights(trained.get_weights())
    if averages:
        model.ema.load(arrays(trained.ema.named()))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=compile)
    assert loaded.compiled == compile and (loaded.ema is not None) == averages
    assert loaded.count_params() == model.count_params()
    assert_equal(arrays(loaded.state()), {k: v for k, v in arrays(model.state()).items() if k in loaded.state()})
    if averages:
        assert loaded.ema.decay == (0.9 if compile else None)


def test_averages_of_a_file_are_kept_by_compile_and_trained_on(trained, tmp_path):
    trained.save_weights(tmp_path / "a.weights.h5")
    model = make(start=1)
    model.load_weights(tmp_path / "a.weights.h5")
    model.compile(ema_decay=0.99)
    before = arrays(model.ema.named())
    assert_equal(before, arrays(trained.ema.named()))
    train(model, epochs=1)
    after = arrays(model.ema.named())
    assert all(np.any(before[key] != after[key]) for key in before)
    model.compile(ema_decay=0.5)
    assert_equal(arrays(model.ema.named()), after)


def test_a_file_without_averages_in_mid_training(trained, tmp_path, caplog):
    """BackupAndRestore loads after the graph was traced, or within `fit` before it is."""
    plain = make()
    plain.set_weights(trained.get_weights())
    plain.save_weights(tmp_path / "plain.weights.h5")

    class Load(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.model.load_weights(tmp_path / "plain.weights.h5")

    expected = compiled()
    expected.load_weights(tmp_path / "plain.weights.h5")
    assert_equal(shadows_of(expected), live(expected))
    train(expected)
    for steps in (0, 1):
        model = compiled(start=1)
        if steps:
            train(model, epochs=1)
            for v in model.optimizer.variables:
                v.assign(tf.zeros_like(v.value) if v.path != model.optimizer.learning_rate.path else v.value)
        train(model, callbacks=[Load()])
        assert_equal(arrays(expected.ema.named()), arrays(model.ema.named()))


def test_an_export_after_load_weights_has_the_averages(trained, tmp_path):
    trained.save_weights(tmp_path / "a.weights.h5")
    model = make(start=1)
    model.load_weights(tmp_path / "a.weights.h5")
    path = tfgen.export.export_saved_model(model, tmp_path / "export", warmup=False)
    images = tf.constant(BATCH["image"])
    found = tf.saved_model.load(str(path)).signatures["elbo"](image=images)["elbo"]
    raw = trained.elbo(images)
    with trained.ema.swapped():
        expected = trained.elbo(images)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert np.all(np.abs(found - raw) > 0.01)


def test_averages_are_a_group_of_their_own(trained, tmp_path):
    trained.save_weights(tmp_path / "a.weights.h5")
    with h5py.File(tmp_path / "a.weights.h5") as file:
        stored = [key for key in file["vars"] if key.startswith("average:")]
    assert len(stored) == len(trained.ema.variables) + len(trained.ema.counts) > 1
    ids = {id(v) for v in trained.ema.shadows}
    assert all(id(v) not in ids for v in [*trained.variables, *trained.weights])


# ---- files that do not fit


def test_a_file_of_another_model(trained, tmp_path):
    trained.save_weights(tmp_path / "a.weights.h5")
    other = VAE(**{**_SMALL, "hidden": (9,)})
    other.compile(ema_decay=0.9)
    with pytest.raises(ValueError, match="average of .* has shape"):
        other.load_weights(tmp_path / "a.weights.h5")
    with pytest.warns(UserWarning, match="average of .* has shape"):
        other.load_weights(tmp_path / "a.weights.h5", skip_mismatch=True)
    assert_equal(shadows_of(other), live(other))
    logistic = VAE(**MODELS["vae"][1], likelihood="discretized_logistic")
    with pytest.raises(ValueError, match="of another model: it has no 'log_scale' of VAE"):
        logistic.load_weights(tmp_path / "a.weights.h5")
    logistic.save_weights(tmp_path / "grey.weights.h5")
    colour = VAE(**{**MODELS["vae"][1], "image_shape": (8, 8, 3)}, likelihood="discretized_logistic")
    with pytest.raises(ValueError, match=r"'log_scale' has the shape \(1,\) there and \(3,\) in this VAE"):
        colour.load_weights(tmp_path / "grey.weights.h5")


def test_a_file_that_numbers_the_variables(trained, tmp_path):
    trained.save_weights(tmp_path / "a.weights.h5")
    with h5py.File(tmp_path / "a.weights.h5", "a") as file:
        for i, key in enumerate(list(file["vars"])):
            file["vars"].move(key, str(i))
    with pytest.raises(ValueError, match="older version of tfgen, which numbered variables"):
        make().load_weights(tmp_path / "a.weights.h5")


# ---- training goes on


@pytest.mark.parametrize(
    ("name", "ema_decay"),
    [("vae", 0.9), ("vae", None), ("dcgan", 0.9), pytest.param("vae-gan", 0.9, marks=pytest.mark.long)],
)  # fmt: skip
def test_a_loaded_model_continues_as_if_it_had_not_been_saved(name, ema_decay, tmp_path):
    model = compiled(name, ema_decay=ema_decay)
    train(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert list(loaded.player_optimizers) == list(loaded.players())
    assert_equal(arrays(loaded.state()), arrays(model.state()))
    train(model)
    train(loaded)
    assert_equal(arrays(loaded.state()), arrays(model.state()))


def test_each_player_keeps_its_optimiser(tmp_path):
    model = make("dcgan")
    schedule = keras.optimizers.schedules.ExponentialDecay(1e-3, 10, 0.5)
    model.compile({"generator": keras.optimizers.SGD(schedule, momentum=0.9), "discriminator": "rmsprop"})
    train(model)
    model.player_optimizers["discriminator"].learning_rate = 0.25
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").player_optimizers
    assert [type(o) for o in loaded.values()] == [keras.optimizers.SGD, keras.optimizers.RMSprop]
    assert float(loaded["discriminator"].learning_rate) == 0.25
    assert [int(o.iterations) for o in loaded.values()] == [3, 6]
    np.testing.assert_allclose(loaded["generator"].learning_rate, 1e-3 * 0.5**0.3, rtol=1e-6)


@pytest.mark.parametrize("name", [pytest.param("vae", marks=pytest.mark.long), "dcgan"])
def test_backup_and_restore(name, tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise InterruptedError

    whole = compiled(name)
    train(whole, epochs=4)
    first, second = compiled(name), compiled(name, start=1)
    backup = functools.partial(keras.callbacks.BackupAndRestore, str(tmp_path / "backup"))
    with pytest.raises(InterruptedError):
        train(first, epochs=4, callbacks=[backup(), Stop()])
    train(second, epochs=4, callbacks=[backup()])
    assert_equal(arrays(second.state()), arrays(whole.state()))


# ---- configs with objects


def two_times(fake, factor=2.0):
    return factor * tf.reduce_mean(fake)


@pytest.mark.parametrize(
    "objective", ["hinge", losses.OBJECTIVES["least_squares"], losses.label_smoothing("minimax", 0.8), losses.ebgan(3.0)]
)
def test_objective_objects_are_saved(objective, tmp_path):
    model = DCGAN(**MODELS["dcgan"][1], objective=objective)
    config = json.loads(json.dumps(model.get_config()))
    twin = DCGAN.from_config(config)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    real, fake = tf.constant([0.3, -2.0]), tf.constant([1.5, 0.2])
    for other in (twin, loaded):
        assert other.get_config() == model.get_config()
        assert other.objective.name == model.objective.name
        assert float(other.objective.discriminator(real, fake)) == float(model.objective.discriminator(real, fake))
        assert float(other.objective.generator(fake)) == float(model.objective.generator(fake))


def test_an_objective_of_own_functions_is_registered_or_refused():
    generator = functools.partial(two_times, factor=3.0)
    objective = losses.Objective("mine", losses.OBJECTIVES["hinge"].discriminator, generator)
    model = DCGAN(**MODELS["dcgan"][1], objective=objective)
    with pytest.raises(ValueError, match="generator of the objective 'mine' cannot be saved: .*two_times.* not registered"):
        model.get_config()
    with keras.saving.custom_object_scope({}):
        keras.saving.register_keras_serializable("tests")(two_times)
        twin = DCGAN.from_config(json.loads(json.dumps(model.get_config())))
    assert float(twin.objective.generator(tf.constant([1.0]))) == 3.0


def test_policies_and_activations_as_objects(tmp_path):
    model = make(dtype=keras.DTypePolicy("mixed_bfloat16"), activation=keras.activations.relu, seed=np.int64(3))
    config = json.loads(json.dumps(model.get_config()))
    assert VAE.from_config(config).get_config() == model.get_config()
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        json.loads(archive.read("config.json"))
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.dtype_policy.name == "mixed_bfloat16" and loaded.seed == 3
    np.testing.assert_array_equal(loaded.reconstruct(BATCH["image"]), model.reconstruct(BATCH["image"]))


def test_networks_are_not_taken_for_others_with_the_same_address():
    """Keras takes objects with one number for one object; the numbers are addresses, which Python uses again."""
    networks = {name: keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(units)])
                for name, units in (("encoder", 6), ("other", 3))}  # fmt: skip
    model = VAE(image_shape=(8, 8, 1), latent_dim=3, encoder=networks["encoder"])
    config, other = model.get_config(), keras.saving.serialize_keras_object(networks["other"])
    config["encoder"] = copy.deepcopy(config["encoder"])
    for one in (config["encoder"], other):
        one["shared_object_id"] = 7
    with ObjectSharingScope():
        keras.saving.deserialize_keras_object(other)
        loaded = VAE.from_config(config)
        assert keras.saving.deserialize_keras_object(other) is keras.saving.deserialize_keras_object(other), "it is on again"
    assert loaded.encoder.output_shape == model.encoder.output_shape
