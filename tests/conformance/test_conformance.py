"""The promises that every model of tfgen keeps, each run for every case in the registry."""

import dataclasses
import json
import pathlib
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.conformance.registry import CASES, Case
from tests.owned import owned, owned_variables
from tfgen.models import GenerativeModel
from tfgen.models.autoencoders.base import AutoencodingModel

SGD = {"class_name": "SGD", "config": {"learning_rate": 0.01}}
ADAM = {"class_name": "Adam", "config": {"learning_rate": 2e-3, "beta_1": 0.5}}


STEPS = 20  # of one training run; a resumed run stops in the middle


@dataclasses.dataclass(frozen=True)
class Run:
    """A model after `STEPS` steps on one batch, and what was seen on the way.

    Attributes:
        before: the keys of its state before the first step.
        start, middle: its variables before the first step, and in the middle, when a checkpoint was written.
        checkpoints: the folder of that.
        history: {loss name: values}.
        traces: how often a step was traced.
    """

    case: Case
    model: GenerativeModel
    before: list
    start: dict
    middle: dict
    checkpoints: pathlib.Path
    history: dict
    traces: int


@pytest.fixture(scope="module", params=sorted(CASES))
def case(request):
    return CASES[request.param]


@pytest.fixture(scope="module")
def run(case, tmp_path_factory):
    """The one long run that many tests look at: two calls of `fit`, one trace, a checkpoint between them."""
    model, folder = compiled(case), tmp_path_factory.mktemp("checkpoints")
    before, start, calls, step = sorted(model.state()), owned_variables(model), [], model.train_step
    object.__setattr__(model, "train_step", lambda data: calls.append(1) or step(data))
    history = train(model, case, STEPS // 2).history
    tfgen.training.Checkpoints(model, folder).save()
    middle = owned_variables(model)
    for name, values in train(model, case, STEPS // 2).history.items():
        history[name] += values
    return Run(case, model, before, start, middle, folder, history, len(calls))


@pytest.fixture(scope="module")
def plain(case):
    """(weights and losses after two steps of SGD, whose updates are proportional to the gradients, the model).

    Other modes must equal the first; the second is there for tests that may spoil it.
    """
    return sgd_run(case)


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    return tfgen.export.export_saved_model(run.model, tmp_path_factory.mktemp("exported"))


def compiled(case, seed=0, optimizer=ADAM, **kwargs):
    """The case's model, its weights and noise set by `seed`."""
    keras.utils.set_random_seed(seed)
    extra = {"dtype": kwargs.pop("dtype")} if "dtype" in kwargs else {}
    model = case.build(seed=seed, **extra)
    names = ("generator_optimizer", "discriminator_optimizer") if hasattr(model, "generator") else ("optimizer",)
    model.compile(ema_decay=0.9, **{name: keras.optimizers.get(optimizer) for name in names}, **kwargs)
    return model


def train(model, case, steps):
    one = tf.data.Dataset.from_tensors(case.batch()).repeat()
    return model.fit(one, epochs=steps // 2, steps_per_epoch=2, verbose=0)


def sgd_run(case, **kwargs):
    """(weights and losses after two steps of SGD, the model)."""
    model = compiled(case, optimizer=SGD, **kwargs)
    history = train(model, case, 2).history
    return weights(model) | {name: np.array(v) for name, v in history.items()}, model


def weights(model):
    return {key: variable.numpy() for key, variable in model.state().items()}


def assert_equal(a, b):
    assert a.keys() == b.keys()
    for key in a:
        np.testing.assert_array_equal(a[key], b[key], err_msg=key)


def assert_close(a, b, atol):
    assert a.keys() == b.keys()
    for key in a:
        np.testing.assert_allclose(a[key].astype("float64"), b[key].astype("float64"), rtol=1e-3, atol=atol, err_msg=key)


def test_every_public_model_is_registered():
    public = {
        cls for name in tfgen.models.__all__
        if isinstance(cls := getattr(tfgen.models, name), type) and issubclass(cls, GenerativeModel)
    } - {GenerativeModel}  # fmt: skip
    assert public == set(tfgen.models.MODELS.values())
    missing = {cls.__name__ for cls in public} - {case.model.__name__ for case in CASES.values()}
    assert not missing, f"Add a line to tests/conformance/registry.py for {sorted(missing)}."


def test_every_model_has_presets():
    presets = tfgen.presets.all_presets().values()
    assert {p.model for p in presets} == set(tfgen.models.MODELS.values())
    for preset in presets:
        json.dumps(preset.config())


def test_config_round_trip(case):
    model = case.build()
    config = json.loads(json.dumps(model.get_config()))
    twin = case.model.from_config(config)
    assert twin.get_config() == model.get_config()
    assert [v.shape for v in twin.variables] == [v.shape for v in model.variables]
    assert set(case.args) <= set(config)


def test_unknown_argument_is_an_error(case):
    with pytest.raises(TypeError, match="no_such_argument"):
        case.build(no_such_argument=1)


def test_all_variables_exist_before_fit(run):
    assert sorted(run.model.state()) == run.before
    assert run.model.count_params() > 0


def test_loss_falls_on_one_batch(run):
    for name, values in run.history.items():
        assert np.all(np.isfinite(values)), name
    assert run.history[run.case.falling][-1] < run.history[run.case.falling][0]


def test_number_of_traces(run):
    turn = getattr(run.model, "generator_turn", lambda step: True)
    kinds = len({turn(step) for step in range(100)})  # of steps: with the generator's turn, and without
    assert run.traces == kinds, f"train_step was traced {run.traces} times for {kinds} kinds of step"


def test_another_seed_gives_other_weights_and_noise(run):
    twins = [compiled(run.case, seed=seed) for seed in (0, 0, 1)]
    noise = [twin.noise([3], 2, stream=0).numpy() for twin in twins]
    assert_equal(weights(twins[0]), weights(twins[1]))
    np.testing.assert_array_equal(noise[0], noise[1])
    assert np.any(noise[0] != noise[2])
    assert any(np.any(a != b) for a, b in zip(weights(twins[0]).values(), weights(twins[2]).values(), strict=True))


def test_random_weights_of_different_layers_differ(case):
    """An initialiser that layers share gives all of them the same numbers."""
    starts = []
    for seed in (0, 1):
        keras.utils.set_random_seed(seed)
        starts.append([(v.path, v.numpy().ravel()) for v in case.build().trainable_variables])
    pairs = zip(*starts, strict=True)  # by place: unnamed layers are numbered by what else the process has built
    drawn = [(path, a) for (path, a), (_, b) in pairs if len(a) > 3 and np.all(a != b)]
    assert drawn
    for i, (path, a) in enumerate(drawn):
        for other, b in drawn[:i]:
            n = min(len(a), len(b))
            assert np.corrcoef(a[:n], b[:n])[0, 1] < 0.9999, f"{path} begins like {other}"


def test_resumed_training_equals_uninterrupted(run):
    """Of every variable that the model owns, whatever `state` says of it."""
    model = compiled(run.case)
    for path, variable in owned(model).items():  # nothing of its own start may survive, of what training changes
        if np.any(run.middle[path] != run.start[path]):
            variable.assign(tf.ones_like(run.middle[path]))
    assert tfgen.training.Checkpoints(model, run.checkpoints).restore() == STEPS // 2
    assert_equal(run.middle, owned_variables(model))
    train(model, run.case, STEPS // 2)
    assert_equal(owned_variables(run.model), owned_variables(model))


def test_keras_save_and_load_give_the_same_model(run, tmp_path):
    run.model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    run.model.save_weights(tmp_path / "model.weights.h5")
    twin = run.case.build()
    twin.load_weights(tmp_path / "model.weights.h5")
    for model in (loaded, twin):
        assert [v.shape for v in model.weights] == [v.shape for v in run.model.weights]
        for a, b in zip(model.weights, run.model.weights, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=a.path)


@pytest.mark.long
def test_xla_agrees_with_graph_mode(case, plain):
    assert_close(plain[0], sgd_run(case, jit_compile=True)[0], atol=2e-5)


def test_two_devices_agree_with_one(case, plain):
    # Without collectives: those of several strategies in one process get in each other's way on CPU.
    reduction = tf.distribute.ReductionToOneDevice()
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=reduction).scope():
        mirrored, _ = sgd_run(case)
    assert_close(plain[0], mirrored, atol=2e-5)


@pytest.mark.long
def test_bfloat16_is_finite_and_serves_float32(case):
    model = compiled(case, dtype="mixed_bfloat16")
    history = train(model, case, 2).history
    assert all(np.isfinite(v).all() for v in history.values())
    sample = model.sample(2, **case.conditions(2))
    assert sample.dtype == tf.float32 and np.isfinite(sample).all()
    if isinstance(model, (AutoencodingModel, tfgen.models.Autoencoder)):  # Keras casts what __call__ uses
        pictures = case.batch()["image"]
        np.testing.assert_allclose(tf.cast(model(pictures), tf.float32), model.reconstruct(pictures), atol=0.02)
    assert all(v.dtype == "float32" for v in model.trainable_variables)


def test_sample_shape_range_dtype_and_seed(run):
    model, case = run.model, run.case
    few, many = model.sample(3, seed=5, **case.conditions(3)), model.sample(6, seed=5, **case.conditions(6))
    assert many.shape == (6, *case.args["image_shape"]) and many.dtype == tf.float32
    assert float(tf.reduce_min(many)) >= 0.0 and float(tf.reduce_max(many)) <= 1.0
    np.testing.assert_allclose(few, many[:3], atol=1e-6)
    assert np.any(model.sample(3, seed=6, **case.conditions(3)).numpy() != few.numpy())
    np.testing.assert_allclose(model.sample(6, seed=5, batch_size=2, **case.conditions(6)), many, atol=1e-6)


def test_bad_sample_arguments(case):
    model = case.build()
    for bad in ({"num": 0}, {"num": 1, "seed": -1}, {"num": 1, "seed": 2**31}, {"num": 1, "batch_size": 0}):
        with pytest.raises(ValueError, match="received"):
            model.sample(**bad, **case.conditions(1))
    for num in (1, 3):
        if case.conditions(2):
            with pytest.raises(ValueError, match=f"one for each of the {num} images"):
                model.sample(num, **case.conditions(2))


def test_bad_images(case, plain):
    model, (_, traced) = compiled(case), plain  # a step that must be run to fail is in a graph by now
    if hasattr(model, "encode"):
        for wrong in (case.batch()["image"] * 255, (case.batch()["image"] * 255).astype("uint8")):
            with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="float|must lie in"):
                model.encode(wrong)
    good = case.batch()
    for failing, message, batch in (
        (model, "made for images", {**good, "image": np.repeat(good["image"], 3, axis=-1)}),
        (model, "must be float", {**good, "image": (good["image"] * 255).astype("uint8")}),
        (model, "the field 'image'", {"label": good["label"]}),
        (traced, "must lie in", {**good, "image": good["image"] * 255}),
    ):
        with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=message):
            failing.fit(tf.data.Dataset.from_tensors(batch), verbose=0)


def test_exported_model_gives_the_same_outputs(run, exported):
    model, case = run.model, run.case
    assert exported.name == "1" and (exported / "saved_model.pb").exists()
    loaded = tf.saved_model.load(str(exported)).signatures
    batch, rng = case.batch(4), np.random.default_rng(0)
    values = {
        "seeds": tf.range(4, dtype=tf.int64), "image": tf.constant(batch["image"]),
        "latent": tf.constant(rng.normal(size=(4, model.latent_dim)).astype("float32")),
        "labels": tf.constant(case.conditions(4).get("labels", 0)),
        "mask": tf.constant(np.round(rng.random((4, *case.args["image_shape"][:2]))).astype("float32")),
        "clusters": tf.range(4) % getattr(model, "num_clusters", 1),
        "factor": tf.constant(np.arange(4, dtype="int32") % 3), "value": tf.constant([-1.0, 0.0, 1.0, 2.0]),
        "codes": tf.constant(np.zeros((4, model.layout.num_codes), "float32") if hasattr(model, "layout") else 0.0),
        "examples": tf.constant([example(seed=i, **({"label": 2} if case.conditions(1) else {})) for i in range(4)]),
    }  # fmt: skip
    with model.ema.swapped():
        for name, (function, specs) in model.signatures().items():
            for rows in (4, 1):  # the batch dimension is free
                inputs = {key: values[key][:rows] for key in specs}
                expected, got = function(**inputs), loaded[name](**inputs)
                assert got.keys() == expected.keys()
                for key in got:
                    if got[key].dtype == tf.string:
                        assert got[key].numpy().tolist() == expected[key].numpy().tolist()
                    else:
                        assert got[key].dtype == tf.float32
                        np.testing.assert_allclose(got[key], expected[key], atol=2e-5, rtol=1e-5)


def test_serialized_examples_name_seeds_and_labels(run, exported):
    loaded, conditions = tf.saved_model.load(str(exported)).signatures, run.case.conditions(3)
    labels = conditions.get("labels", [0, 0, 0])
    features = [{"seed": 7, "label": int(labels[0])}, {"label": int(labels[1])}, {"seed": 2**40, "label": int(labels[2])}]
    got = loaded["serve_examples"](examples=tf.constant([example(**f) for f in features]))["image"]
    inputs = {"seeds": tf.constant([7, 0, 2**40], tf.int64), **{k: tf.constant(v) for k, v in conditions.items()}}
    np.testing.assert_array_equal(got, loaded["sample"](**inputs)["image"])
    unlike = example(image=[3, 4])  # a training example: other features are passed over, seed and label are 0
    assert loaded["serve_examples"](examples=tf.constant([unlike]))["image"].shape == (1, *run.model.image_shape)


def example(**features):
    """A serialized tf.Example of integers."""
    made = tf.train.Example()
    for name, value in features.items():
        made.features.feature[name].int64_list.value.extend(np.atleast_1d(value))
    return made.SerializeToString()


BARE_READER = """
import json, sys, traceback
for name in ("tfgen", "trainers", "keras", "tf_keras", "tensorflow_probability"):
    sys.modules[name] = None  # any import of it fails
import tensorflow as tf

def read(path):
    signatures = tf.saved_model.load(path).signatures
    inputs = {"seeds": tf.range(2, dtype=tf.int64)}
    if "labels" in signatures["serving_default"].structured_input_signature[1]:
        inputs["labels"] = tf.range(2)
    for image in signatures["serving_default"](**inputs)["image_bytes"].numpy():
        assert tf.io.decode_png(image).shape == (8, 8, 1)

for line in sys.stdin:
    try:
        read(line.strip())
        answer = ""
    except Exception:
        answer = traceback.format_exc()
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture(scope="session")
def bare_reader():
    """A function that has an export read by a process that knows TensorFlow alone; -> the error there, or nothing."""
    command = [sys.executable, "-I", "-c", BARE_READER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def read(path):
            timer = threading.Timer(300, process.kill)
            timer.start()
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
            answer = process.stdout.readline()
            timer.cancel()
            return json.loads(answer) if answer else "The process ended."

        yield read
        process.stdin.close()


def test_exported_model_loads_without_tfgen(exported, bare_reader):
    assert not bare_reader(exported)
