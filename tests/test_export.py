"""What TensorFlow Serving finds in the folder."""

import json
import os
import pathlib
import threading
import time

import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen import fields
from tfgen.export import export_saved_model, read_metadata
from tfgen.files import new_version
from tfgen.models import DCGAN, VAE, FactorizedPrior, GlimpseClassifier, TrainableModel
from tfgen.models.capabilities import Translator, capabilities_of
from tfgen.models.compression.codec import Codec as FileCodec


@pytest.fixture(scope="module")
def model():
    model = VAE(image_shape=(8, 8, 1), latent_dim=2, hidden=(8,))
    model.compile(ema_decay=0.9)
    for shadow in model.ema.shadows:
        shadow.assign(0.5 * tf.convert_to_tensor(shadow.value))
    return model


def test_versions_and_metadata(model, tmp_path):
    path = export_saved_model(model, tmp_path / "vae", version=42, metadata={"preset": "vae/digits"})
    assert path.name == "42" and export_saved_model(model, tmp_path / "vae").name == "43"
    assert sorted(p.name for p in (tmp_path / "vae").iterdir()) == ["42", "43"], "nothing half-made is left"
    metadata = read_metadata(path)
    assert metadata["model"] == "VAE" and metadata["preset"] == "vae/digits" and metadata["weights"] == "ema"
    assert metadata["versions"]["tensorflow"] == tf.__version__ and metadata["importance_samples"] == 500
    assert metadata["capabilities"] == ["sampler", "encoder", "likelihood"] and metadata["conditions"] == []
    assert [(field["name"], field["shape"]) for field in metadata["fields"]] == [("image", [8, 8, 1])]
    twin = tfgen.models.MODELS[metadata["model"]].from_config(metadata["config"])
    assert twin.get_config() == model.get_config()


def test_errors(model, tmp_path):
    export_saved_model(model, tmp_path, version=1)
    with pytest.raises(FileExistsError, match="never overwritten"):
        export_saved_model(model, tmp_path, version=1)
    for bad in (0, -3, 1.5):
        with pytest.raises(ValueError, match="version must be an integer >= 1 or None; received"):
            export_saved_model(model, tmp_path, version=bad)
    with pytest.raises(ValueError, match="not exported by tfgen"):
        read_metadata(tmp_path)


def test_averaged_or_raw_weights(model, tmp_path):
    images = {}
    for name, use_ema in (("ema", True), ("raw", False)):
        path = export_saved_model(model, tmp_path / name, use_ema=use_ema)
        assert read_metadata(path)["weights"] == name
        seeds = tf.range(3, dtype=tf.int64)
        images[name] = tf.saved_model.load(str(path)).signatures["sample"](seeds=seeds)["image"].numpy()
    np.testing.assert_allclose(images["raw"], model.generate([0, 1, 2]), atol=1e-6)
    assert np.abs(images["raw"] - images["ema"]).max() > 1e-3
    assert not model.ema.is_swapped, "the model has its own weights again"


def test_a_failing_export_leaves_nothing(model, tmp_path, monkeypatch):
    monkeypatch.setattr(
        tf.saved_model, "save", lambda *args, **kwargs: (_ for _ in ()).throw(OSError("No space left on device"))
    )
    with pytest.raises(OSError, match="No space"):
        export_saved_model(model, tmp_path)
    assert not list(tmp_path.iterdir())
    assert not model.ema.is_swapped


def test_a_version_appears_by_one_rename(tmp_path, monkeypatch):
    """What a server sees at the rename is what there is at the end, with the codec of a compression model."""
    model = FactorizedPrior(image_shape=(16, 16, 1), width=4, latent_channels=4)
    model.compile()
    seen, rename = [], pathlib.Path.rename

    def watched(path, target):
        assert not target.exists()
        rename(path, target)
        seen.append({str(p.relative_to(target)): p.read_bytes() for p in target.rglob("*") if p.is_file()})

    monkeypatch.setattr(pathlib.Path, "rename", watched)
    path = export_saved_model(model, tmp_path)
    (files,) = seen
    assert files == {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}
    assert {"saved_model.pb", "assets.extra/tfgen.json", "assets.extra/codec.npz"} <= files.keys()
    assert FileCodec.load(path / "assets.extra/codec.npz").model_id == model.codec().model_id
    assert path.stat().st_mode & 0o777 == 0o777 & ~umask(), "another user's server may read it"


def umask():
    os.umask(before := os.umask(0))
    return before


def test_leftovers_of_killed_exports_are_removed(model, tmp_path):
    (tmp_path / ".1-ab12cd34/variables").mkdir(parents=True)
    (tmp_path / ".1-ab12cd34/variables/half").write_text("")
    (tmp_path / ".mine").mkdir()
    assert export_saved_model(model, tmp_path, warmup=False).name == "1"
    assert sorted(p.name for p in tmp_path.iterdir()) == [".mine", "1"]


def test_exports_to_one_folder_wait_for_each_other(tmp_path):
    """So that none removes the hidden folder of another, and each has a number of its own."""
    order = []

    def make(name, seconds):
        with new_version(tmp_path) as (hidden, target):
            order.append(name)
            time.sleep(seconds)
            (hidden / name).touch()
            order.append(name)

    threads = [threading.Thread(target=make, args=(name, 0.2)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert order in (list("aabb"), list("bbaa"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1", "2"]


def test_weights_that_are_not_finite_are_not_exported(tmp_path):
    model = VAE(image_shape=(8, 8, 1), latent_dim=2, hidden=(8,))
    model.compile(ema_decay=0.9)
    shadow = model.ema.shadows[-1]
    shadow.assign(tf.fill(shadow.shape, float("inf")))
    with pytest.raises(FloatingPointError, match=r"decoder/out/bias of the player 'model' is not finite \(averaged\)"):
        export_saved_model(model, tmp_path / "export")
    assert not (tmp_path / "export").exists() and not model.ema.is_swapped
    assert export_saved_model(model, tmp_path / "export", use_ema=False, warmup=False).name == "1"


def test_no_compiled_function_and_free_batch_everywhere(tmp_path):
    model = DCGAN(image_shape=(8, 8, 1), width=4, stages=1, latent_dim=3, dtype="mixed_bfloat16")
    model.compile()
    path = export_saved_model(model, tmp_path)
    from tensorflow.core.protobuf import saved_model_pb2

    proto = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    graph = proto.meta_graphs[0]
    for function in graph.graph_def.library.function:
        assert not function.attr["_XlaMustCompile"].b, function.signature.name
    for name, signature in graph.signature_def.items():
        if name.startswith("__"):
            continue
        for tensor in (*signature.inputs.values(), *signature.outputs.values()):
            assert tensor.tensor_shape.dim[0].size == -1, (name, tensor.name)
            assert tensor.dtype in (tf.float32, tf.string, tf.int32, tf.int64), (name, tensor.name)


def test_picture_of_a_seed_is_the_same_over_every_signature(model, tmp_path):
    loaded = tf.saved_model.load(str(export_saved_model(model, tmp_path, use_ema=False))).signatures
    seeds = tf.constant([5, 2**40], tf.int64)
    image = loaded["sample"](seeds=seeds)["image"].numpy()
    png = [tf.io.decode_png(b).numpy() for b in loaded["serving_default"](seeds=seeds)["image_bytes"].numpy()]
    np.testing.assert_array_equal(np.stack(png), np.round(image * 255).astype("uint8"))
    np.testing.assert_allclose(model.sample(2, seed=3)[1], loaded["sample"](seeds=[3 * 2**32 + 1])["image"][0], atol=1e-6)


def test_metadata_of_a_conditional_gan_and_of_a_classifier(tmp_path):
    gan = DCGAN(image_shape=(8, 8, 1), width=4, stages=1, latent_dim=3, num_classes=4)
    classifier = GlimpseClassifier(image_shape=(8, 8, 1), num_classes=4, glimpses=1, hidden=4, read_size=2)
    found = {}
    for name, model in (("gan", gan), ("classifier", classifier)):
        model.compile()
        path = export_saved_model(model, tmp_path / name)
        found[name] = read_metadata(path)
        assert "importance_samples" not in found[name], "only a likelihood has them"
        assert [tfgen.fields.Field(**field).name for field in found[name]["fields"]] == ["image", "label"]
        names = set(tf.saved_model.load(str(path)).signatures)
        assert [c.NAME for c in capabilities_of(names)] == found[name]["capabilities"]
    assert found["gan"]["capabilities"] == ["sampler"] and found["classifier"]["capabilities"] == ["classifier"]
    (label,) = found["gan"]["conditions"]
    assert (label["argument"], label["low"], label["high"]) == ("labels", 0, 3) and found["classifier"]["conditions"] == []


def test_class_names_are_on_the_card_and_in_the_metadata(model, tmp_path):
    gan = DCGAN(image_shape=(8, 8, 1), width=4, stages=1, latent_dim=3, num_classes=3)
    gan.compile()
    path = export_saved_model(gan, tmp_path / "gan", class_names=["ant", "böe"], warmup=False)
    (text,) = tf.saved_model.load(str(path)).signatures["card"](unused=tf.constant([0]))["card"].numpy()
    card = json.loads(text)
    assert card["classes"] == {"count": 3, "names": ["ant", "böe"]} == read_metadata(path)["classes"]
    labels = {"dtype": "int32", "shape": [None], "low": 0, "high": 2, "names": ["ant", "böe"]}
    assert card["signatures"]["sample"]["inputs"] == {"seeds": {"dtype": "int64", "shape": [None]}, "labels": labels}
    with pytest.raises(ValueError, match="at most 3 names, one for each class; received 4"):
        export_saved_model(gan, tmp_path / "gan", class_names=list("abcd"))
    assert [version.name for version in (tmp_path / "gan").iterdir()] == ["1"]
    path = export_saved_model(model, tmp_path / "vae", class_names=["ant"], warmup=False)
    assert read_metadata(path)["classes"] is None, "a model that knows no classes"


def png(image):
    return tf.io.encode_png(np.round(image * 255).astype("uint8")).numpy()


def example(**features):
    found = tf.train.Example()
    for name, value in features.items():
        if isinstance(value, list):
            found.features.feature[name].bytes_list.value.extend(value)
        elif isinstance(value, bytes):
            found.features.feature[name].bytes_list.value.append(value)
        else:
            found.features.feature[name].int64_list.value.append(value)
    return found.SerializeToString()


def test_serve_examples_calls_the_first_capability(model, tmp_path):
    vae = tf.saved_model.load(str(export_saved_model(model, tmp_path / "vae", use_ema=False))).signatures
    got = vae["serve_examples"](examples=tf.constant([example(seed=5)]))["image"]
    np.testing.assert_allclose(got, model.generate([5]), atol=1e-6)
    gan = DCGAN(image_shape=(8, 8, 1), width=4, stages=1, latent_dim=3, num_classes=4)
    signature = signature_of(gan, tmp_path / "gan", "serve_examples")
    got = signature(examples=tf.constant([example(seed=7, label=2, image=b"not read"), b""]))["image"]
    np.testing.assert_allclose(got, gan.generate([7, 0], labels=[2, 0]), atol=1e-6)

    classifier = GlimpseClassifier(image_shape=(8, 8, 1), num_classes=4, glimpses=1, hidden=4, read_size=2)
    signature = signature_of(classifier, tmp_path / "classifier", "serve_examples")
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 1)) / 255
    got = signature(examples=tf.constant([example(image=png(image), label=1), b""]))["probability"]
    wanted = tf.nn.softmax(classifier.class_logits(np.stack([image, 0 * image]).astype("float32")))
    np.testing.assert_allclose(got, wanted, atol=1e-6)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[4,4,1\] is not compatible with expected shape \[8,8,1\]"):
        signature(examples=tf.constant([example(image=png(np.zeros((4, 4, 1))))]))


def signature_of(model, folder, name):
    model.compile()
    return tf.saved_model.load(str(export_saved_model(model, folder))).signatures[name]


class Cover(Translator, TrainableModel):
    """Blackens what a mask hides."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.built = True

    def translated_fields(self):
        return fields.image(self.image_shape), fields.mask(*self.image_shape[:2]), fields.label(3, "kind")

    def translate_rows(self, image, mask, kind):
        return {"image": image * mask[..., None] + tf.cast(kind, tf.float32)[:, None, None, None]}


class Brighter(Translator, TrainableModel):
    """The mean of a clip and an image, in two outputs."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.built = True

    def translated_fields(self):
        return fields.frames((3, *self.image_shape)), fields.image(self.image_shape, "previous")

    def translate_rows(self, frames, previous):
        return {"frames": (frames + previous[:, None]) / 2.0, "previous": frames[:, -1]}


def test_serve_examples_reads_clips(tmp_path):
    """Lists of files, as records hold them; a clip that is missing is black."""
    signature = signature_of(Brighter(image_shape=(4, 4, 3)), tmp_path, "serve_examples")
    clips = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 4, 3)) / 255
    given = [example(frames=[png(frame) for frame in clip], previous=png(clip[0])) for clip in clips]
    got = signature(examples=tf.constant([*given, b""]))
    np.testing.assert_allclose(got["frames"][:2], (clips + clips[:, :1]) / 2.0, atol=1e-6)
    np.testing.assert_allclose(got["previous"], np.concatenate([clips[:, -1], 0 * clips[:1, -1]]), atol=1e-6)
    with pytest.raises(tf.errors.InvalidArgumentError, match="frames"):  # a clip of another length
        signature(examples=tf.constant([example(frames=[png(clips[0, 0])])]))


def test_serve_examples_reads_masks_and_classes(tmp_path):
    signature = signature_of(Cover(image_shape=(4, 4, 3)), tmp_path, "serve_examples")
    image = np.random.default_rng(0).integers(0, 256, (4, 4, 3)) / 255
    mask = np.arange(16).reshape(4, 4, 1) % 2
    got = signature(examples=tf.constant([example(image=png(image), mask=png(mask), kind=2)]))["image"]
    np.testing.assert_allclose(got[0], image * mask + 2.0, atol=1e-6)
