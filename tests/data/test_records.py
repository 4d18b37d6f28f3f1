"""TFRecords: round trips and damage."""

import gzip
import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfgen import data
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


@pytest.mark.parametrize("limit", [source_module.MEMORY_LIMIT, 10], ids=["memory", "lazy"])
def test_gzip(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(source_module, "MEMORY_LIMIT", limit)
    (path,) = make().write_tfrecords(tmp_path / "x.tfrecord.gz")
    with gzip.open(path) as f:
        f.read()
    assert data.from_tfrecords(path).fingerprint == make().fingerprint


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
