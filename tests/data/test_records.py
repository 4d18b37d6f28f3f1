"""TFRecords: round trips and damage."""

import gc
import gzip
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfgen import data, fields
from tfgen.data import source as source_module


def make(n=7, labels=True):
    rng = np.random.default_rng(0)
    return data.from_arrays(rng.integers(0, 256, (n, 4, 5, 3), np.uint8), np.arange(n) % 3 if labels else None)


def example(**features):
    def feature(value):
        if isinstance(value, bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        if isinstance(value, int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        return tf.train.Feature(float_list=tf.train.FloatList(value=value))

    encoded = {k: feature(v) for k, v in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=encoded)).SerializeToString()


def write(path, records, compression=""):
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for record in records:
            writer.write(record)
    return str(path)


def png(value=0):
    return tf.io.encode_png(np.full((4, 4, 1), value, np.uint8)).numpy()


@pytest.mark.parametrize("labels", [True, False])
def test_folder_records_arrays_round_trip(tmp_path, labels):
    source = make(labels=labels)
    for i, image in enumerate(np.round(source.images() * 255).astype(np.uint8)):
        folder = tmp_path / "images" / (str(i % 3) if labels else ".")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{i}.png")
    paths = source.write_tfrecords(tmp_path / "x.tfrecord", shards=3)
    assert [os.path.basename(p) for p in paths] == [f"x-0000{k}-of-00003.tfrecord" for k in range(3)]
    records = data.from_tfrecords(str(tmp_path / "x-*.tfrecord"))
    assert records.fingerprint == source.fingerprint == data.from_tfrecords(paths[::-1]).fingerprint
    assert records.num_classes == source.num_classes and records.skipped == []
    folder = data.from_folder(tmp_path / "images")
    order = np.argsort(np.arange(7) % 3, kind="stable") if labels else np.arange(7)
    assert folder.fingerprint == source.subset(order).fingerprint
    folder.write_tfrecords(tmp_path / "again.tfrecord")
    assert data.from_tfrecords(tmp_path / "again.tfrecord").fingerprint == folder.fingerprint


def test_unpacked_files_of_a_killed_process_are_removed_by_the_next(tmp_path, monkeypatch):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setattr(source_module, "MEMORY_LIMIT", 10)
    (path,) = make().write_tfrecords(tmp_path / "x.tfrecord.gz")
    code = (
        "import tempfile, time\nfrom tfgen.files import TemporaryFolder\n"
        f"tempfile.tempdir = {str(temporary)!r}\nkept = TemporaryFolder('tfgen-records-')\n"
        "open(kept.path / '0', 'w').close()\nprint('made', flush=True)\ntime.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "made\n"
        (theirs,) = temporary.iterdir()
        first = data.from_tfrecords(path)
        assert theirs.exists() and len(list(temporary.iterdir())) == 2, "a process that lives keeps its files"
        other.kill()
    second = data.from_tfrecords(path)
    assert not theirs.exists() and len(list(temporary.iterdir())) == 2
    np.testing.assert_array_equal(first.images(), second.images())
    del first, second
    gc.collect()
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("limit", [source_module.MEMORY_LIMIT, 10], ids=["memory", "lazy"])
def test_gzip(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(source_module, "MEMORY_LIMIT", limit)
    (path,) = make().write_tfrecords(tmp_path / "x.tfrecord.gz")
    with gzip.open(path) as f:
        f.read()
    assert data.from_tfrecords(path).fingerprint == make().fingerprint


def test_a_first_record_whose_length_looks_like_gzip(tmp_path):
    """A plain file begins with the length of its first record, here 0x18B1F."""
    wanted, size = 0x18B1F, 0
    for _ in range(3):  # the length of a length is counted, too
        record = example(image=png(7), padding=bytes(size))
        size += wanted - len(record)
    path = write(tmp_path / "f", [record])
    with open(path, "rb") as f:
        assert f.read(8) == wanted.to_bytes(8, "little") and wanted.to_bytes(8, "little")[:2] == b"\x1f\x8b"
    np.testing.assert_array_equal(np.round(data.from_tfrecords(path).images() * 255), np.full((1, 4, 4, 1), 7))


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_float_lists(tmp_path, compression):
    source = make()
    floats = [example(image=x.ravel(), label=int(y)) for x, y in zip(source.images(), source.labels(), strict=True)]
    path = write(tmp_path / "f", floats, compression)
    assert data.from_tfrecords(path, image_shape=(4, 5, 3)).fingerprint == source.fingerprint
    assert data.from_tfrecords(path, image_shape=(4, 5, 3), size=8, channels=1).image_shape == (8, 8, 1)
    with pytest.raises(ValueError, match=r"record 0: holds 60 floats as image: pass image_shape"):
        data.from_tfrecords(path)
    with pytest.raises(ValueError, match=r"record 0: found 60 floats, expected image_shape=\(5, 5, 3\)"):
        data.from_tfrecords(path, image_shape=(5, 5, 3))


@pytest.mark.parametrize("value", [0.5, -1 / 255, 256 / 255, np.nan, np.inf])
def test_floats_that_8_bits_cannot_hold(tmp_path, value):
    path = write(tmp_path / "f", [example(image=[0.0] * 16), example(image=[0.0] * 15 + [value])])
    with pytest.raises(ValueError, match="f: record 1: expected multiples of 1/255 in .0, 1.; 1 of 16"):
        data.from_tfrecords(path, image_shape=(4, 4, 1))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"garbage", "expected a tf.Example, found 7 bytes"),
        (example(picture=png(), label=1), r"no feature 'image'; found \['label', 'picture'\]"),
        (example(image=png()), "has no label, but the records before have one"),
        (example(image=3, label=1), "found 1 values in int64_list"),
        (example(image=b"nothing", label=1), "not a readable image"),
        (example(image=png(), label=[0.5]), "one int64 as 'label', found 0"),
    ],
    ids=["garbage", "other-names", "no-label", "integer-image", "no-picture", "float-label"],  # bytes change from run to run
)
def test_bad_records(tmp_path, caplog, record, message):
    good = example(image=png(1), label=1)
    path = write(tmp_path / "x.tfrecord", [good, record, good])
    with pytest.raises(ValueError, match=rf"x\.tfrecord: record 1: .*{message}"):
        data.from_tfrecords(path)
    source = data.from_tfrecords(path, on_error="skip")
    assert source.num_examples == 2 and source.labels().tolist() == [1, 1]
    assert [file for file, _ in source.skipped] == [f"{path}: record 1"]
    assert [r for r in caplog.messages if "1 of 3 images skipped" in r]


def test_label_out_of_range(tmp_path):
    path = write(tmp_path / "x", [example(image=png(), label=y) for y in (0, 5)])
    with pytest.raises(ValueError, match=r"label 5 of example 1 is outside \[0, 5\)"):
        data.from_tfrecords(path, num_classes=5)


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_truncated_file(tmp_path, compression):
    records = [example(image=png(i), label=i, noise=np.random.default_rng(i).random(50)) for i in range(5)]
    path = tmp_path / "cut"
    whole = open(write(path, records, compression), "rb").read()
    for keep in (0.95, 0.5, 0.3):
        path.write_bytes(whole[: int(len(whole) * keep)])
        with pytest.raises(ValueError, match=r"cut: record \d: damaged .* this record and all that follow"):
            data.from_tfrecords(str(path))
    path.write_bytes(whole[: int(len(whole) * 0.7)])
    source = data.from_tfrecords(str(path), on_error="skip")
    assert source.labels().tolist() == list(range(source.num_examples)) and 1 <= source.num_examples < 5
    ((where, reason),) = source.skipped
    assert where == f"{path}: record {source.num_examples}" and "all that follow" in reason


def test_corrupted_byte_is_found_by_its_checksum(tmp_path):
    (path,) = make(600).write_tfrecords(tmp_path / "x")
    content = bytearray(open(path, "rb").read())
    content[len(content) // 2] ^= 1
    open(path, "wb").write(content)
    with pytest.raises(ValueError, match=r"x: record (2[89]\d|30\d): damaged"):
        data.from_tfrecords(path)
    source = data.from_tfrecords(path, on_error="skip")
    assert source.fingerprint == make(600).take(source.num_examples).subset(np.arange(source.num_examples)).fingerprint


def test_not_a_tfrecord(tmp_path):
    path = tmp_path / "x.tfrecord"
    path.write_bytes(b"hello, this is a text file and nothing else")
    with pytest.raises(ValueError, match=r"x\.tfrecord: record 0: damaged"):
        data.from_tfrecords(str(path))
    with pytest.raises(ValueError, match="no usable image .1 skipped"):
        data.from_tfrecords(str(path), on_error="skip")


def test_no_files(tmp_path):
    with pytest.raises(ValueError, match="no TFRecord file matches"):
        data.from_tfrecords(str(tmp_path / "*.tfrecord"))
    with pytest.raises(ValueError, match="empty list"):
        data.from_tfrecords([])


def test_image_shape_is_checked_for_encoded_images(tmp_path):
    path = write(tmp_path / "x", [example(image=png())])
    assert data.from_tfrecords(path, image_shape=(4, 4, 1), size=2).image_shape == (2, 2, 1)
    with pytest.raises(ValueError, match=r"shape \(4, 4, 1\), expected image_shape=\(8, 8, 1\)"):
        data.from_tfrecords(path, image_shape=(8, 8, 1))


def test_a_killed_writer_leaves_no_file_under_the_final_name(tmp_path, monkeypatch):
    source = make()
    monkeypatch.setattr(source, "example", lambda i: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        source.write_tfrecords(tmp_path / "x.tfrecord")
    assert os.listdir(tmp_path) == []
    with pytest.raises(ValueError, match=r"shards must be .* received 8"):
        make().write_tfrecords(tmp_path / "x.tfrecord", shards=8)


def test_lazy_subset_and_labels(tmp_path, monkeypatch):
    make().write_tfrecords(tmp_path / "x")
    monkeypatch.setattr(source_module, "MEMORY_LIMIT", 10)
    lazy = data.from_tfrecords(tmp_path / "x")
    assert not lazy.in_memory and not lazy.subset([5, 2]).in_memory
    assert (
        lazy.subset([5, 2]).fingerprint
        == data.from_arrays(np.round(make().images() * 255).astype(np.uint8)[[5, 2]], [2, 2]).fingerprint
    )


FIELDS = [
    fields.image((6, 6, 1), "target"), fields.mask(4, 5), fields.frames((2, 3, 3, 3)), fields.vector("embedding", 3),
    fields.attributes(4), fields.Field("view", (2,), "int32", directional=True),
]  # fmt: skip


def with_fields(n=7):
    rng = np.random.default_rng(1)
    values = {
        "target": rng.integers(0, 256, (n, 6, 6, 1), np.uint8), "mask": rng.integers(0, 256, (n, 4, 5), np.uint8),
        "frames": rng.integers(0, 256, (n, 2, 3, 3, 3), np.uint8), "embedding": rng.normal(size=(n, 3)).astype("float32"),
        "attributes": rng.random((n, 4)) < 0.5, "view": rng.integers(-5, 5, (n, 2)),
    }  # fmt: skip
    images = np.round(make(n).images() * 255).astype(np.uint8)
    return data.from_arrays(images, make(n).labels(), fields=values, ids=[f"example {i}" for i in range(n)])


@pytest.mark.parametrize("declared", [FIELDS, None], ids=["declared", "recognised"])
@pytest.mark.parametrize("limit", [source_module.MEMORY_LIMIT, 10], ids=["memory", "lazy"])
def test_fields_and_ids_round_trip(tmp_path, monkeypatch, limit, declared):
    monkeypatch.setattr(source_module, "MEMORY_LIMIT", limit)
    source = with_fields()
    source.write_tfrecords(tmp_path / "x.tfrecord.gz", shards=2)
    again = data.from_tfrecords(str(tmp_path / "x*"), fields=declared)
    assert again.fields == source.fields and again.ids.tolist() == source.ids.tolist()
    for name in source.fields:
        np.testing.assert_array_equal(again.values(name), source.values(name))
    assert again.fingerprint == source.fingerprint
    assert again.subset([5, 1]).ids.tolist() == ["example 5", "example 1"]
    assert data.from_tfrecords(str(tmp_path / "x*"), fields=[]).fingerprint == make().fingerprint


def test_contents_of_records(tmp_path):
    (path,) = with_fields().write_tfrecords(tmp_path / "x")
    record = next(iter(tf.data.TFRecordDataset(path).as_numpy_iterator()))
    features = tf.train.Example.FromString(record).features.feature
    assert features["id"].bytes_list.value[0] == b"example 0" and len(features["frames"].bytes_list.value) == 2
    for name in ("image", "target", "mask", "frames"):
        assert all(value.startswith(b"\x89PNG") for value in features[name].bytes_list.value)
    assert len(features["embedding"].float_list.value) == 3 and len(features["view"].int64_list.value) == 2


def test_ids(tmp_path):
    numbers = write(tmp_path / "n", [example(image=png(), id=7), example(image=png(), id=b"x")])
    assert data.from_tfrecords(numbers).ids.tolist() == ["7", "x"]
    plain = write(tmp_path / "plain.tfrecord", [example(image=png())] * 2)
    assert data.from_tfrecords(plain).ids.tolist() == ["plain.tfrecord__0", "plain.tfrecord__1"]
    with pytest.raises(ValueError, match="record 0: expected one text or int64 as 'id', found 0"):
        data.from_tfrecords(write(tmp_path / "f", [example(image=png(), id=[0.5])]))
    with pytest.raises(ValueError, match="examples 0 and 2 have the same id 'plain.tfrecord__1'"):
        data.from_tfrecords(plain).subset([1, 0, 1]).write_tfrecords(tmp_path / "y")


def test_a_shard_does_not_open_the_files_of_others(tmp_path):
    source = with_fields()
    paths = source.write_tfrecords(tmp_path / "x.tfrecord", shards=4)
    pattern = str(tmp_path / "x*")
    parts = [data.from_tfrecords(pattern, shard=(i, 3), num_classes=3) for i in range(3)]
    assert [key for part in parts for key in part.ids] == source.ids.tolist()
    np.testing.assert_array_equal(np.concatenate([part.images() for part in parts]), source.images())
    for path in paths[:2]:
        open(path, "wb").write(b"this is no file of records at all")
    assert data.from_tfrecords(pattern, shard=(1, 3), num_classes=3).fingerprint == parts[1].fingerprint
    assert data.load(f"tfrecord:{pattern}", shard=(2, 3), num_classes=3).fingerprint == parts[2].fingerprint
    with pytest.raises(ValueError, match="damaged"):
        data.from_tfrecords(pattern, shard=(0, 3))
    with pytest.raises(ValueError, match=r"has 4 files, fewer than the 5 shards of shard=\(0, 5\)"):
        data.from_tfrecords(pattern, shard=(0, 5))
    for wrong in ((3, 3), (-1, 3), 2, (0.5, 2)):
        with pytest.raises(ValueError, match="0 <= index < count; received"):
            data.from_tfrecords(pattern, shard=wrong)


@pytest.mark.parametrize(
    ("features", "declared", "message"),
    [
        ({}, fields.vector("embedding", 2), r"has no feature 'embedding'; found \['image'\]"),
        ({"embedding": [1.0]}, fields.vector("embedding", 2), "expected 2 numbers as 'embedding', found 1"),
        ({"embedding": [1.0, np.inf]}, fields.vector("embedding", 2), "expected 'embedding' finite.*found inf"),
        ({"embedding": b"x"}, fields.vector("embedding", 2), r"numbers \(float32\) as 'embedding', found bytes_list"),
        ({"codes": 3}, fields.label(3, "codes"), r"'codes' finite, in \[0, 2\]; found 3"),
        ({"codes": [1.0]}, fields.label(3, "codes"), r"numbers \(int32\) as 'codes', found float_list"),
        ({"codes": 2**31}, fields.Field("codes", (), "int32"), "found 2147483648"),
        ({"target": b"x"}, fields.image((4, 4, 1), "target"), "not a readable image"),
        ({"target": png()}, fields.image((8, 4, 1), "target"), r"'target' of shape \(4, 4, 1\), expected \(8, 4, 1\)"),
        ({"frames": png()}, fields.frames((2, 4, 4, 1)), "expected 2 encoded images as 'frames', found 1"),
        ({"target": [1.0]}, fields.image((4, 4, 1), "target"), "expected 1 encoded images as 'target', found 0"),
    ],
    ids=lambda value: "" if isinstance(value, (str, dict)) else value.name,
)
def test_bad_fields(tmp_path, features, declared, message):
    path = write(tmp_path / "x.tfrecord", [example(image=png(), **features)])
    with pytest.raises(ValueError, match=rf"x\.tfrecord: record 0: .*{message}"):
        data.from_tfrecords(path, fields=[declared])


def jpeg(path, value=90, size=(5, 4), **options):
    image = Image.fromarray(np.random.default_rng(value).integers(0, 256, (size[1], size[0], 3), np.uint8))
    image.save(path, "JPEG", quality=value, **options)
    return path.read_bytes()


@pytest.mark.parametrize("limit", [source_module.MEMORY_LIMIT, 10], ids=["memory", "lazy"])
def test_files_that_need_no_change_keep_their_bytes(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(source_module, "MEMORY_LIMIT", limit)
    (tmp_path / "in").mkdir()
    kept = {"a.jpg": jpeg(tmp_path / "in" / "a.jpg"), "b.jpg": jpeg(tmp_path / "in" / "b.jpg", 50)}
    kept["c.png"] = tf.io.encode_png(np.zeros((4, 5, 3), np.uint8), compression=0).numpy()
    (tmp_path / "in" / "c.png").write_bytes(kept["c.png"])
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down when it is shown
    jpeg(tmp_path / "in" / "d.jpg", exif=exif)
    jpeg(tmp_path / "in" / "e.jpg", size=(10, 8))
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / "in" / "f.png")
    Image.fromarray(np.zeros((4, 5, 4), np.uint8)).save(tmp_path / "in" / "g.png")
    source = data.from_folder(tmp_path / "in", size=(4, 5), channels=3)
    (path,) = source.write_tfrecords(tmp_path / "x.tfrecord")
    for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        name, stored = features["id"].bytes_list.value[0].decode(), features["image"].bytes_list.value[0]
        assert stored == kept[name] if name in kept else stored.startswith(b"\x89PNG")
        assert tf.io.decode_image(stored).shape == (4, 5, 3)
    again = data.from_tfrecords(path)
    assert again.fingerprint == source.fingerprint and again.ids.tolist() == source.ids.tolist()
    (path,) = again.subset([1, 0]).write_tfrecords(tmp_path / "y.tfrecord")
    record = next(iter(tf.data.TFRecordDataset(path).as_numpy_iterator()))
    assert tf.train.Example.FromString(record).features.feature["image"].bytes_list.value[0] == kept["b.jpg"]


def test_described_records_are_the_source_they_were_written_from(tmp_path):
    source = with_fields()
    paths = source.write_tfrecords(tmp_path / "x", shards=2)
    description = json.loads(json.dumps(source.description()))
    again = data.described(paths, description, split="eval")
    assert again.fields == source.fields and again.fingerprint == source.fingerprint
    assert (again.name, again.split, again.class_names) == ("arrays", "eval", source.class_names)
    small = data.described(paths, {**description, "image_shape": [2, 2, 3], "read": {"size": 2}})
    assert small.image_shape == (2, 2, 3) and small.fields["mask"].shape == (2, 2)
    with pytest.raises(ValueError, match=r"expected image_shape=\(4, 4, 3\)"):
        data.described(paths, {**description, "image_shape": [4, 4, 3]})


def test_described_records_of_factors_are_a_factor_source(tmp_path):
    indices = np.indices((3, 4)).reshape(2, -1).T
    images = np.arange(12, dtype=np.uint8)[:, None, None, None] + np.zeros((12, 2, 2, 1), np.uint8)
    source = data.FactorSource(images, indices, ("shape", "pose"), groups=("pose",), name="grid", split="train")
    paths = source.subset(np.random.default_rng(0).permutation(12)).write_tfrecords(tmp_path / "x")
    again = data.described(paths, json.loads(json.dumps(source.description())))
    assert isinstance(again, data.FactorSource) and again.groups == ("pose",) and again.factor_names == ("shape", "pose")
    np.testing.assert_array_equal(again.indices[np.argsort(again.images()[:, 0, 0, 0])], indices)
    assert next(iter(again.batches(4, shuffle=True)))["active"].shape == (4,)
    with pytest.raises(ValueError, match="has no field 'factors'"):
        data.FactorSource.of(make(), ["pose"])
