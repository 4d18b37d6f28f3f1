"""The models that the tests of one case share, and the order of the tests: those of one case in a row."""

import subprocess
import sys

import keras
import pytest
import tensorflow as tf

import tfgen
from tests.conformance.harness import STEPS, Run, compiled, sgd_run, train
from tests.conformance.registry import CASES, STAND_INS


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    here = {item: str(item.callspec.params.get("case")) for item in items if hasattr(item, "callspec")}
    items.sort(key=lambda item: (item.path.parent.name == "conformance", here.get(item, "")))


@pytest.fixture(scope="session")
def case(request):
    return {**CASES, **STAND_INS}[request.param]


@pytest.fixture(scope="session")
def twins(case):
    """Compiled models of the seeds 0, 0 and 1, the second after other layers that Keras numbers."""
    first = compiled(case)
    for _ in range(3):
        keras.layers.Dense(1), keras.layers.Conv2D(1, 1), keras.layers.BatchNormalization(), keras.layers.ReLU()
    return first, compiled(case), compiled(case, seed=1)


@pytest.fixture(scope="session")
def run(case, tmp_path_factory):
    """The one long run that many tests look at: two calls of `fit`, one trace for each kind of step."""
    model = compiled(case)
    before, calls, step = sorted(model.state()), [], model.train_step
    object.__setattr__(model, "train_step", lambda data: calls.append(1) or step(data))
    history = train(model, case, STEPS // 2).history
    folder = tmp_path_factory.mktemp("checkpoints")
    tfgen.training.Checkpoints(model, folder).save()
    for name, values in train(model, case, STEPS // 2).history.items():
        history[name] += values
    return Run(case, model, before, history, len(calls), str(folder))


@pytest.fixture(scope="session")
def plain(case):
    """Weights and losses of two steps: what other modes must equal."""
    return sgd_run(case)


@pytest.fixture(scope="session")
def exported(run, tmp_path_factory):
    """Path of the version's folder."""
    return tfgen.export.export_saved_model(run.model, tmp_path_factory.mktemp("exported"))


@pytest.fixture(scope="session")
def served(exported):
    """{signature name: function} of the export."""
    return tf.saved_model.load(str(exported)).signatures


BARE_READER = """
import sys
for name in ("tfgen", "tfgen_trainers", "keras", "tf_keras", "tensorflow_probability"):
    sys.modules[name] = None  # any import of it fails
import tensorflow as tf
print("ready", flush=True)
for path in sys.stdin:
    try:
        signatures = tf.saved_model.load(path.strip()).signatures
        for name in ["serving_default"] if "serving_default" in signatures else signatures:
            specs = signatures[name].structured_input_signature[1]
            found = signatures[name](**{key: tf.zeros([2, *spec.shape[1:]], spec.dtype) for key, spec in specs.items()})
            for image in found["image_bytes"].numpy() if "image_bytes" in found else []:
                assert tf.io.decode_png(image).shape == (8, 8, 1)
        print("good", ",".join(sorted(signatures)), flush=True)
    except Exception as error:
        print("bad", repr(error).replace("\\n", " "), flush=True)
"""


@pytest.fixture(scope="session")
def read_bare():
    """A function (path of an export) -> the line that a process without tfgen and Keras prints about it."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", BARE_READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )  # fmt: skip

    def read(path):
        process.stdin.write(f"{path}\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    assert process.stdout.readline().strip() == "ready"
    yield read
    process.stdin.close()
    process.wait(60)
