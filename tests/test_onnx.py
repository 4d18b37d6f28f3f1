"""ONNX files compute what the SavedModel computes, with the same names."""

import importlib.util
import json
import sys

import numpy as np
import pytest
import tensorflow as tf

from tfgen import random
from tfgen.export import export_saved_model
from tfgen.features.text import CharacterEncoder, character_network
from tfgen.models import SNGAN, VAE, FractalNet, StackGANv2
from tfgen.onnx import _converted, export_onnx
from tfgen_commands.main import main

needs_extra = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxruntime", "tf2onnx")),
    reason="needs the extra [onnx]",
)


def compiled(model):
    model.compile(ema_decay=0.9)
    for variable in model.trainable_variables:  # as after training; those of a new GAN are almost 0
        variable.assign_add(tf.random.stateless_normal(variable.shape, [len(variable.shape), 3], stddev=0.2))
    model.ema.restart()
    return model


@pytest.fixture(scope="module")
def model():
    model = VAE(image_shape=(8, 8, 1), latent_dim=2, hidden=(8,))
    model.importance_samples = 20
    return compiled(model)


def run(path, inputs):
    """{output: array} of a file."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert {value.name for value in session.get_inputs()} == inputs.keys()
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


ROWS = 5  # more than the export itself compares
RNG = np.random.default_rng(1)
SEEDS = {"seeds": np.array([0, 7, 2**31 - 1, 2**40 + 3, -5], "int64")}
LABELS = {"labels": np.array([0, 1, 2, 1, 0], "int32")}
IMAGES = {"image": RNG.random((ROWS, 8, 8, 1), "float32")}
BINARY = {"image": np.round(IMAGES["image"])}
LATENTS = {"latent": RNG.normal(size=(ROWS, 2)).astype("float32")}


@needs_extra
def test_a_vae_computes_the_same(model, tmp_path):
    served = tf.saved_model.load(str(export_saved_model(model, tmp_path, warmup=False))).signatures
    inputs = {"sample": SEEDS, "decode": LATENTS, "encode": IMAGES, "reconstruct": IMAGES, "log_prob": BINARY}
    assert_same(model, served, inputs, tmp_path)


@needs_extra
@pytest.mark.parametrize(
    ("build", "inputs"),
    [
        (lambda: SNGAN(image_shape=(8, 8, 1), latent_dim=2, width=4, num_classes=3, network="mlp"),
         {"sample": {**SEEDS, **LABELS}, "decode": {**LATENTS, **LABELS}}),
        (lambda: FractalNet(image_shape=(8, 8, 1), num_classes=3, columns=2, filters=(4, 4)), {"classify": IMAGES}),
    ],
    ids=["classes-of-a-gan", "classifier"],
)  # fmt: skip
def test_others_compute_the_same(build, inputs, tmp_path):
    model = compiled(build())
    served = tf.saved_model.load(str(export_saved_model(model, tmp_path, warmup=False))).signatures
    assert_same(model, served, inputs, tmp_path)


def assert_same(model, served, inputs, folder):
    for signature, given in inputs.items():
        wanted = served[signature](**{name: tf.constant(value) for name, value in given.items()})
        found = run(export_onnx(model, folder / f"{signature}.onnx", signature), given)
        assert {name.removesuffix("_out") for name in found} == wanted.keys()
        for name, values in found.items():
            numbers = wanted[name.removesuffix("_out")].numpy()
            assert np.ptp(numbers, axis=0).max() > 1e-2, f"{signature}: all rows are the same"
            np.testing.assert_allclose(values, numbers, rtol=1e-5, atol=1e-5, err_msg=f"{signature}: {name}")


@needs_extra
def test_random_numbers_are_the_same():
    """To the tails of 100,000 numbers of each seed."""
    specs = {"seeds": tf.TensorSpec([None], tf.int64, name="seeds")}
    size = 100_000

    def draw(seeds):
        keys = random.keys(seeds)
        return {
            "uniform": random.uniform(keys, size), "normal": random.normal(keys, size),
            "truncated": random.truncated_normal(random.fold(keys, 3), size, 0.7),
        }  # fmt: skip

    compute = tf.function(draw, autograph=False)
    outputs = compute.get_concrete_function(**specs).structured_outputs
    import onnxruntime

    session = onnxruntime.InferenceSession(_converted("test", compute, specs, outputs).SerializeToString())
    names = ["uniform", "normal", "truncated"]
    uniform, normal, truncated = session.run(names, SEEDS)
    wanted = draw(tf.constant(SEEDS["seeds"]))
    np.testing.assert_array_equal(uniform, wanted["uniform"])
    assert np.abs(normal).max() > 4
    np.testing.assert_allclose(normal, wanted["normal"], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(truncated, wanted["truncated"], rtol=1e-6, atol=1e-6)


@needs_extra
def test_functions_that_onnx_lacks():
    import onnxruntime

    specs = {"x": tf.TensorSpec([None], tf.float32, name="x")}
    compute = tf.function(
        lambda x: {"log1p": tf.math.log1p(x), "expm1": tf.math.expm1(x), "no_nan": tf.math.multiply_no_nan(1.0 / x, x)},
        autograph=False,
    )  # fmt: skip
    outputs = compute.get_concrete_function(**specs).structured_outputs
    session = onnxruntime.InferenceSession(_converted("test", compute, specs, outputs).SerializeToString())
    x = np.array([-0.99, -1e-3, -1e-9, 0.0, 1e-9, 1e-3, 1.0, 30.0], "float32")
    log1p, expm1, no_nan = session.run(["log1p", "expm1", "no_nan"], {"x": x})
    np.testing.assert_allclose(log1p, np.log1p(x), rtol=1e-6)
    np.testing.assert_allclose(expm1, np.expm1(x), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(no_nan, np.where(x == 0, 0, 1), rtol=1e-6)


@needs_extra
def test_the_file_describes_itself(model, tmp_path):
    import onnx

    path = export_onnx(model, tmp_path / "made" / "it.onnx", "reconstruct", metadata={"preset": "vae/digits", "seed": 3})
    file = onnx.load(path)
    onnx.checker.check_model(file, full_check=True)
    entries = {entry.key: entry.value for entry in file.metadata_props}
    assert (entries["model"], entries["preset"], entries["signature"]) == ("VAE", "vae/digits", "reconstruct")
    assert json.loads(entries["image_shape"]) == [8, 8, 1] and json.loads(entries["seed"]) == 3
    tensors = json.loads(entries["signatures"])["reconstruct"]
    assert (tensors["inputs"]["image"]["low"], tensors["inputs"]["image"]["high"]) == (0.0, 1.0)
    assert tensors["outputs"]["image_out"]["shape"] == [None, 8, 8, 1]
    assert entries["weights"] == "ema" and json.loads(entries["versions"])["tensorflow"] == tf.__version__
    (dimension, *_) = file.graph.output[0].type.tensor_type.shape.dim
    assert dimension.dim_param == "batch"


@needs_extra
def test_averaged_or_raw_weights(tmp_path):
    model = compiled(VAE(image_shape=(8, 8, 1), latent_dim=2, hidden=(8,)))
    for shadow in model.ema.shadows:
        shadow.assign(0.5 * tf.convert_to_tensor(shadow.value))
    raw, ema = (run(export_onnx(model, tmp_path / "x.onnx", use_ema=ema), SEEDS)["image"] for ema in (False, True))
    np.testing.assert_allclose(raw, model.generate(SEEDS["seeds"]), atol=1e-5)
    assert np.abs(raw - ema).max() > 1e-3


@needs_extra
@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("serving_default", "signature 'serving_default' of VAE cannot be converted to ONNX, which has no operations that "
         "read or write texts and files: image_bytes holds bytes"),
        ("serve_examples", "examples holds bytes"),
        ("reconstrukt", "There is no signature 'reconstrukt' of VAE; it has decode, .* Did you mean 'reconstruct'?"),
        ("", "signature must be .*; received ''"),
    ],
)  # fmt: skip
def test_what_cannot_be_converted_says_why(signature, message, model, tmp_path):
    with pytest.raises(ValueError, match=message):
        export_onnx(model, tmp_path / "x.onnx", signature)
    assert not list(tmp_path.iterdir())


@needs_extra
def test_a_signature_of_texts_is_left_out_with_a_reason(tmp_path):
    """An encoder of texts does not hinder the other signatures."""
    model = compiled(StackGANv2(image_shape=(4, 4, 1), embedding_dim=2, width=2, ups=0, branches=1, blocks=0, noise_dim=2,
                                condition_dim=2, discriminator_width=2))  # fmt: skip
    model.text_encoder = CharacterEncoder(character_network(2, width=4, length=8))
    with pytest.raises(ValueError, match="'sample_text' of StackGANv2 cannot be .*texts and files: text holds bytes"):
        export_onnx(model, tmp_path / "x.onnx", "sample_text")
    assert not list(tmp_path.iterdir())
    given = {"seeds": SEEDS["seeds"], "embedding": RNG.normal(size=(ROWS, 2)).astype("float32")}
    found = run(export_onnx(model, tmp_path / "x.onnx"), given)["image"]
    np.testing.assert_allclose(found, model.generate(given["seeds"], embedding=given["embedding"]), atol=1e-3)


@needs_extra
def test_operations_without_a_counterpart_are_named(model, tmp_path, monkeypatch, capfd):
    def signature(image):
        grey = image[..., 0]
        return {"values": tf.reduce_sum(tf.linalg.svd(grey, compute_uv=False) + tf.math.lgamma(grey[..., 0]), axis=-1)}

    specs = {"image": tf.TensorSpec([None, 8, 8, 1], tf.float32)}
    monkeypatch.setattr(model, "signatures", lambda: {"odd": (signature, specs)})
    with pytest.raises(ValueError, match="'odd' of VAE cannot .*without a counterpart: Lgamma, Svd"):
        export_onnx(model, tmp_path / "x.onnx", "odd")
    assert not list(tmp_path.iterdir())
    assert "not supported" not in capfd.readouterr().err, "the message says it, without lines of tf2onnx"


@needs_extra
def test_other_results_are_refused(model, tmp_path, monkeypatch):
    monkeypatch.setattr("tfgen.onnx._CENTRE", (1.0,) * 9)
    with pytest.raises(ValueError, match="image must differ from TensorFlow's by at most 0.001; it differs by"):
        export_onnx(model, tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


def test_without_the_extra(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(ImportError, match=r"install tfgen\[onnx\]"):
        export_onnx(model, tmp_path / "x.onnx")
    assert main(["export", "--preset", "vae/digits", "--to", str(tmp_path / "x.onnx")]) == 2
    error = capsys.readouterr().err
    assert "tf2onnx" in error and "pip install 'tfgen[onnx]'" in error and len(error.splitlines()) == 1


@needs_extra
def test_the_command(tmp_path, capsys):
    import onnx

    for options, signature in (([], "sample"), (["--signature", "decode"], "decode")):
        path = tmp_path / f"{signature}.onnx"
        assert main(["export", "--preset", "vae/digits", "--to", str(path), *options]) == 0
        assert capsys.readouterr().out == f"{path}\n"
        entries = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
        assert (entries["signature"], entries["preset"]) == (signature, "vae/digits")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--to", "x.onnx", "--version", "3"], "--version is for exported folders; received 3 and the file --to x.onnx"),
        (["--to", "x", "--signature", "decode"], "--signature is for .onnx files; received decode and --to x"),
    ],
)
def test_options_of_other_formats(options, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["export", "--preset", "vae/digits", *options]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
