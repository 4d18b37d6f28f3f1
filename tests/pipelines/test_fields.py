"""From a data set with fields to a trained model, through the functions that ExampleGen, Transform and Trainer run."""

import io
import json
import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy.io import savemat

import tfgen
from tests.skeletons.cycle_gan import CycleGAN
from tfgen.models import TVSN, Vid2Vid
from tfgen_pipelines import data as data_lib
from tfgen_pipelines.components.generative_evaluator import evaluate
from tfgen_pipelines.components.image_example_gen import EXAMPLES_PER_SHARD, ReadShard
from tfgen_pipelines.preprocessing import preprocessing_fn
from tfgen_trainers.run_fn import run_fn


def example_gen(data, split):
    """The serialized examples of a split, as ImageExampleGen's executor makes them."""
    shard = ReadShard(json.dumps(data.config(), sort_keys=True), split)
    examples = shard.process((0, data.num_examples[("train", "eval").index(split)]))
    return [example.SerializeToString() for example in examples]


def transform(data, records, path):
    """Runs the preprocessing on parsed records, as Transform does, and writes what it gives in reverse order, as GZIP."""
    spec = {"id": tf.io.FixedLenFeature([1], tf.string)}
    for field in data.fields:
        if field.pixels:
            spec[field.name] = tf.io.FixedLenFeature(field.files_shape or [1], tf.string)
        else:
            dtype = tf.int64 if field.dtype == "int32" else tf.float32
            spec[field.name] = tf.io.FixedLenFeature(field.shape or [1], dtype)
    config = json.loads(json.dumps({"fields": [field.config() for field in data.fields]}))
    out = tf.function(lambda given: preprocessing_fn(given, config))(tf.io.parse_example(tf.constant(records), spec))
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for i in reversed(range(len(records))):
            feature = {}
            for name, values in out.items():
                value = np.ravel(values[i].numpy()).tolist()
                kind = {tf.string: "bytes_list", tf.int64: "int64_list", tf.float32: "float_list"}[values.dtype]
                feature[name] = tf.train.Feature()
                getattr(feature[name], kind).value.extend(value)
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    return str(path)


def train(tmp_path, data, **settings):
    """Runs the trainer; -> the folder of the run."""
    transform(data, example_gen(data, "train"), tmp_path / "transformed-00000-of-00001.gz")
    config = json.loads(json.dumps({"data": data.description(), "workdir": str(tmp_path / "runs"), **settings}))
    run_fn(
        types.SimpleNamespace(
            custom_config=config, train_files=[str(tmp_path / "transformed-*")], model_run_dir=str(tmp_path / "logs"),
            serving_model_dir=str(tmp_path / "model" / "Format-Serving"),
        )
    )  # fmt: skip
    (run,) = (tmp_path / "runs").iterdir()
    assert tf.saved_model.contains_saved_model(str(tmp_path / "model" / "Format-Serving"))
    return run


def losses(run):
    line = json.loads((run / "history.jsonl").read_text().splitlines()[-1])
    return [value for name, value in line.items() if name not in ("step", "seconds")]


@pytest.mark.long
def test_a_model_of_embeddings_trains(tmp_path):
    digits = tfgen.data.load("digits").take(60)
    embedding = np.eye(10, dtype=np.float32)[digits.labels()]
    pixels = np.round(digits.images() * 255).astype(np.uint8)
    for split in ("train", "test"):
        made = tfgen.data.from_arrays(pixels, levels=17, fields={"embedding": embedding})
        made.write_tfrecords(tmp_path / f"{split}.tfrecord")
    data = data_lib.resolve(f"tfrecord:{tmp_path}/{{split}}.tfrecord", {"levels": 17})
    assert [field.name for field in data.fields] == ["image", "embedding"]
    overrides = {
        "num_classes": 0, "embedding_dim": 10, "width": 4, "depth": 2, "head_width": 4, "batch_size": 20,
        "augmentation": {"shift": 1},
    }  # fmt: skip
    run = train(tmp_path, data, preset="gated-pixel-cnn/digits", overrides=overrides, steps=3)
    assert losses(run) and np.isfinite(losses(run)).all()
    assert json.loads((run / "config.json").read_text())["run"]["preset"]["augmentation"] == {"shift": 1}


@pytest.mark.long
def test_images_from_captions_train_and_are_evaluated(tmp_path):
    network, sentence = tfgen.features.character_network(32, width=4), "a small red seven"
    network.save(tmp_path / "encoder.keras")
    data = data_lib.resolve(
        "captioned:digits", {"num": 40, "size": 16, "text_encoder": str(tmp_path / "encoder.keras")}
    )
    overrides = {"image_shape": [16, 16, 3], "width": 4, "ups": 1, "discriminator_width": 4, "blocks": 0, "batch_size": 8}
    run = train(tmp_path, data, preset="stack-gan/captions-digits", overrides={**overrides, "stage_1_steps": 2}, steps=4)
    assert losses(run) and np.isfinite(losses(run)).all()
    tfgen.features.character_network(32, width=4, seed=1).save(tmp_path / "encoder.keras")  # another one, after the data
    with pytest.raises(ValueError, match="encoder.keras is not the one that made the vectors"):
        train(tmp_path, data, preset="stack-gan/captions-digits", overrides={**overrides, "stage_1_steps": 2}, steps=4)
    # What is pushed draws of sentences, by the encoder whose vectors it was trained with.
    pushed = tf.saved_model.load(str(tmp_path / "model" / "Format-Serving")).signatures
    of_text = pushed["sample_text"](seeds=tf.constant([3], tf.int64), text=tf.constant([sentence]))["image"]
    vector = tfgen.features.CharacterEncoder(network)([sentence])
    of_vector = pushed["sample"](seeds=tf.constant([3], tf.int64), embedding=tf.constant(vector))["image"]
    np.testing.assert_allclose(of_text, of_vector, atol=1e-5)
    sources = {name: data_lib.load_split(data.config(), split) for name, split in (("train", "train"), ("test", "eval"))}
    # Four features: so few images cannot be compared by more.
    tfgen.metrics.train_classifier(**sources, workdir=str(tmp_path / "classifier"), feature_width=4, epochs=1)
    content = evaluate.evaluate(
        str(tmp_path / "model" / "Format-Serving"), **sources, data_name="captioned:digits", num_samples=20, seed=0,
        output_dir=str(tmp_path / "evaluation"), classifier_dir=str(tmp_path / "classifier"),
    )  # fmt: skip
    assert np.isfinite(content["metrics"]["frechet_classifier_distance"]["value"])


@pytest.mark.long
def test_dc_ign_trains(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (1440, 1024), np.uint8)
    savemat(tmp_path / "COIL20.mat", {"X": pixels, "Y": np.repeat(np.arange(1, 21), 72)[:, None]})
    data = data_lib.resolve("coil20", {"manual_dir": str(tmp_path)})
    assert data.groups == ("azimuth",) and data.description()["groups"] == ["azimuth"]
    overrides = {"latent_dim": 4, "filters": [4, 4], "decoder_filters": [4], "batch_size": 16}
    run = train(tmp_path, data, preset="dc-ign/coil20", overrides=overrides, steps=2)
    assert losses(run) and np.isfinite(losses(run)).all()


def write_photos(root, n=14, size=(8, 8)):
    """n JPEGs and one PNG of another size."""
    root.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(n):
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(root / f"{i}.jpg")
    Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8)).save(root / "large.png")
    return {path.name: path.read_bytes() for path in root.iterdir()}


def test_photos_keep_their_bytes_up_to_the_trainer(tmp_path):
    files = write_photos(tmp_path / "photos")
    data = data_lib.resolve(f"folder:{tmp_path / 'photos'}", {"size": 8}, eval_split=None)
    records = [*example_gen(data, "train"), *example_gen(data, "eval")]
    path = transform(data, records, tmp_path / "t.gz")
    stored = {}
    for record in tf.data.TFRecordDataset(path, "GZIP").as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        stored[features["id"].bytes_list.value[0].decode()] = features["image"].bytes_list.value[0]
    assert stored.keys() == files.keys()
    for name, content in files.items():
        assert (stored[name] == content) == (name != "large.png")
    assert Image.open(io.BytesIO(stored["large.png"])).size == (8, 8)
    read = tfgen.data.described([path], data.description())
    folder = tfgen.data.from_folder(tmp_path / "photos", size=8)
    order = {name: i for i, name in enumerate(folder.ids)}
    np.testing.assert_array_equal(read.images(), folder.images()[[order[name] for name in read.ids]])


def test_a_shard_reads_only_its_own_files(tmp_path):
    write_photos(tmp_path / "photos" / "train")
    write_photos(tmp_path / "photos" / "test")
    data = data_lib.resolve(f"folder:{tmp_path / 'photos'}", {"size": 8})
    for path in sorted((tmp_path / "photos" / "train").iterdir())[3:]:
        path.write_bytes(b"nothing")
    shard = ReadShard(json.dumps({**data.config(), "fingerprint": "another"}), "train")
    assert len(list(shard.process((0, 3)))) == 3 < EXAMPLES_PER_SHARD
    with pytest.raises(ValueError, match=r"11\.jpg"):
        list(shard.process((2, 4)))


def test_imported_records_are_read_with_the_options_of_the_data_set(tmp_path):
    for split in ("train", "eval"):
        source = tfgen.data.from_arrays(np.random.default_rng(0).integers(0, 256, (6, 10, 10, 3), np.uint8), [0, 1] * 3)
        source.write_tfrecords(tmp_path / split / "x.tfrecord")
    data = data_lib.resolve("tfrecord:", {"size": 8}, train_split="train/*", eval_split="eval/*", import_base=str(tmp_path))
    records = [r for r in tf.data.TFRecordDataset(str(tmp_path / "train" / "x.tfrecord")).as_numpy_iterator()]
    path = transform(data, records, tmp_path / "t.gz")
    read = tfgen.data.described([path], data.description())
    expected = data_lib.load_split(data.config(), "train")
    np.testing.assert_array_equal(read.images(), expected.images()[::-1])
    assert read.image_shape == data.image_shape == (8, 8, 3)


def test_splits_with_different_fields(tmp_path):
    images = np.zeros((3, 4, 4, 1), np.uint8)
    tfgen.data.from_arrays(images, [0, 1, 2]).write_tfrecords(tmp_path / "train.tfrecord")
    tfgen.data.from_arrays(images).write_tfrecords(tmp_path / "test.tfrecord")
    with pytest.raises(ValueError, match="different fields: train image, label, eval image"):
        data_lib.resolve(f"tfrecord:{tmp_path}/{{split}}.tfrecord")


@pytest.mark.parametrize(
    ("spec", "options"),
    [("inverted:digits", {}), ("quadrants:digits", {"seed": 3}), ("moving:digits", {"num": 6}),
     ("captioned:digits", {"num": 6, "size": 8})],
    ids=str,
)  # fmt: skip
def test_data_of_translators_come_through(tmp_path, spec, options):
    """All fields arrive, in the reverse order; sets without pairs are sets without pairs again."""
    data = data_lib.resolve(spec, options)
    description = json.loads(json.dumps(data.description()))
    direct = data_lib.load_split(data.config(), "eval")
    path = transform(data, example_gen(data, "eval"), tmp_path / "t.gz")
    read = tfgen.data.described([path], description)
    assert type(read) is type(direct) and read.stored_fields.keys() == direct.stored_fields.keys()
    if data.unpaired:  # the order within each set is that of the places
        given = {"shuffle": True, "repeat": True, "seed": 5}
        for a, b in zip(read.batches(16, **given).take(9), direct.batches(16, **given).take(9), strict=True):
            assert a.keys() == b.keys()
            for name in b:
                np.testing.assert_array_equal(a[name], b[name])
        return
    for name in direct.stored_fields:
        np.testing.assert_array_equal(read.values(name), direct.values(name)[::-1])


def test_sets_of_different_length_need_a_test_split(tmp_path):
    write_photos(tmp_path / "trainA")
    write_photos(tmp_path / "trainB", n=5)
    with pytest.raises(ValueError, match="needs an eval_split.* of two sets of 15 and 6 images"):
        data_lib.resolve(f"unpaired:{tmp_path}", {"size": 8}, eval_split=None)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["cycle-gan", "vid2vid", "tvsn"])
def test_translators_train_and_are_evaluated(tmp_path, monkeypatch, kind):
    model, spec, options, args = {
        "cycle-gan": (CycleGAN, "inverted:digits", {}, {"image_shape": (8, 8, 1)}),
        "tvsn": (TVSN, "rendered_views", {}, {
            "image_shape": (32, 32, 1), "view_size": 7, "filters": (2, 2), "dense_width": 4, "view_widths": (2,),
            "completion_view_width": 2, "discriminator_filters": (2, 2), "flow_steps": 1}),
        "vid2vid": (Vid2Vid, "moving:digits", {"num": 6, "num_frames": 5, "size": 16}, {
            "image_shape": (16, 16, 3), "num_frames": 5, "map_classes": 11, "width": 4, "halvings": 1, "blocks": 0,
            "discriminator_width": 2, "discriminator_halvings": 1, "discriminator_scales": 1, "temporal_scales": 1}),
    }[kind]
    optimizer = {"class_name": "Adam", "config": {"learning_rate": 1e-3}}
    made = tfgen.presets.Preset(
        f"{kind}/tests", model, args, spec, "this test", batch_size=4, steps=3, compile_args={"optimizer": optimizer}
    )
    monkeypatch.setattr(tfgen.presets, "get", lambda name: made)
    monkeypatch.setitem(tfgen.models.MODELS, model.__name__, model)
    data = data_lib.resolve(spec, options, **({"train_split": "validation"} if kind == "tvsn" else {}))
    run = train(tmp_path, data, preset=made.name, steps=3)
    assert losses(run) and np.isfinite(losses(run)).all()
    splits = {"train": "train", "test": "eval"}
    sources = {name: data_lib.load_split(data.config(), split).take(6) for name, split in splits.items()}
    content = evaluate.evaluate(
        str(tmp_path / "model" / "Format-Serving"), **sources, data_name=spec, num_samples=6, seed=0,
        output_dir=str(tmp_path / "evaluation"),
    )  # fmt: skip
    found = content["metrics"]["target_l1"]
    assert np.isfinite([found[name] for name in ("value", "trivial", "untrained")]).all()
    assert (tmp_path / "evaluation" / "translations.png").exists()
