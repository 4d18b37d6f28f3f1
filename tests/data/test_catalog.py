"""Digits, tensorflow-datasets and `load`. TFDS gets MNIST-like files made here; nothing is fetched."""

import gzip
import re
import socket
import struct

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from tfgen import data, progress
from tfgen.data import catalog
from tfgen.data.digits import digits_arrays


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("TFGEN_DATA_DIR", str(tmp_path / "prepared"))


class TinyPictures(tfds.core.GeneratorBasedBuilder):
    """Pictures of several sizes in one downloaded .gz, to stand for any TFDS image data set."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "id": tfds.features.Text(),
            "photo": tfds.features.Image(),
            "species": tfds.features.ClassLabel(names=["ant", "bee"]),
        }
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features), disable_shuffling=True)

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(), "test": self._generate_examples()}

    def _generate_examples(self):
        for i in range(6):
            photo = np.full((8 + i, 10, 3), i, np.uint8)
            yield i, {"id": str(i), "photo": photo, "species": i % 2}


class TinyFaces(tfds.core.GeneratorBasedBuilder):
    """Pictures with attributes as CelebA has them, not given in the order of their names, a mask and a short clip."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(4, 4, 3)),
            "attributes": {name: np.bool_ for name in ("Young", "Bald", "Male")},
            "landmarks": {"x": np.int64},
            "mask": tfds.features.Image(shape=(4, 4, 1)),
            "frames": tfds.features.Video(shape=(2, 4, 4, 1)),
        }
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features), disable_shuffling=True)

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i in range(5):
            face = {"Young": i % 2 == 0, "Bald": i == 1, "Male": i > 2}
            image = np.full((4, 4, 3), i, np.uint8)
            clip = np.stack([image[..., :1], 9 + image[..., :1]])
            yield i, {
                "image": image, "attributes": face, "landmarks": {"x": i}, "mask": 255 * (image[..., :1] % 2), "frames": clip
            }  # fmt: skip


def test_attributes_and_other_fields_of_tfds():
    source = data.load("tiny_faces")
    assert list(source.fields) == ["image", "mask", "frames", "attributes"] and not source.has_labels
    assert source.fields["attributes"].names == ("Bald", "Male", "Young")
    expected = [[i == 1, i > 2, i % 2 == 0] for i in range(5)]
    np.testing.assert_array_equal(source.values("attributes"), np.float32(expected))
    np.testing.assert_array_equal(source.values("mask")[:, 0, 0], [0, 1, 0, 1, 0])
    assert np.round(source.values("frames")[:, :, 0, 0, 0] * 255).tolist() == [[i, i + 9] for i in range(5)]
    assert source.ids[3].endswith("__3") and len(set(source.ids)) == 5
    assert next(iter(source.batches(2)))["attributes"].shape == (2, 3)


def test_the_attributes_of_celeba_are_its_40_in_the_order_of_its_file():
    (field,), keys = catalog._further_fields(tfds.builder("celeb_a", data_dir="/nowhere"))
    assert field.shape == (40,) and field.names[:2] == ("5_o_Clock_Shadow", "Arched_Eyebrows")
    assert field.names[20] == "Male" and field.names[-1] == "Young" and keys["attributes"][20] == "attributes/Male"


def test_digits():
    train, test = data.load("digits"), data.load("digits", "test")
    assert (train.num_examples, test.num_examples) == (1400, 397)
    assert train.image_shape == (8, 8, 1) and train.levels == 17 and train.num_classes == 10
    assert train.name == "digits" and test.split == "test"
    from sklearn.datasets import load_digits

    order = np.random.RandomState(0).permutation(1797)
    values = np.round(np.concatenate([train.images(), test.images()])[..., 0] * 16)
    np.testing.assert_array_equal(values, load_digits().images[order])
    np.testing.assert_array_equal(np.concatenate([train.labels(), test.labels()]), load_digits().target[order])


def test_all_17_levels_are_recovered():
    stored = np.unique(digits_arrays("train")[0])
    assert len(stored) == 17
    np.testing.assert_array_equal(np.round(stored / np.float32(255) * 16), np.arange(17))
    source = data.load("digits")
    on = np.concatenate([b["image"] for b in source.batches(100, binarization="threshold").as_numpy_iterator()])
    np.testing.assert_array_equal(on == 1, np.round(source.images() * 16) >= 8)


def test_digits_through_tfds_are_the_same(tmp_path, capfd):
    direct = data.load("digits", "test")
    prepared = data.load("digits", "test", data_dir=str(tmp_path / "d"))
    assert prepared.fingerprint == direct.fingerprint and prepared.levels == 17
    assert (tmp_path / "d" / "sklearn_digits" / "1.0.0" / "dataset_info.json").exists()
    assert capfd.readouterr().out == ""
    again = data.from_tfds("sklearn_digits", "test[10:20]", data_dir=str(tmp_path / "d"))
    np.testing.assert_array_equal(again.images(), direct.images()[10:20])


def test_preparation_says_how_far_it_is(monkeypatch, capsys):
    """Where standard error is no terminal, as here; a terminal gets the bars of TFDS."""
    lines = []
    monkeypatch.setattr(progress, "EVERY", 0.0)
    with progress.shown(lines.append):
        data.load("tiny_pictures", "train", size=8)
    assert [line for line in lines if line.startswith("preparing")] == [
        f"preparing tiny_pictures/1.0.0, images: {i}" for i in range(1, 13)
    ]
    assert capsys.readouterr().err == ""


def test_any_image_data_set_of_tfds():
    source = data.load("tiny_pictures", "train", size=8)
    assert source.image_shape == (8, 8, 3) and source.class_names == ["ant", "bee"]
    assert source.name == "tiny_pictures/1.0.0" and source.labels().tolist() == [0, 1] * 3
    assert np.round(source.images()[:, 0, 0, 0] * 255).tolist() == list(range(6))
    with pytest.raises(ValueError, match="record 1: found 9x10 pixels, but .*record 0 has 8x10; pass size="):
        data.from_tfds("tiny_pictures")
    with pytest.raises(ValueError, match=r"no split 'tset' \(close: test\).*\['test', 'train'\]"):
        data.load("tiny_pictures", "tset")


def test_a_shortened_file_of_tfds_is_noticed(tmp_path):
    data.load("tiny_pictures", "train", size=8)
    (path,) = (tmp_path / "prepared").rglob("*test.tfrecord*")
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    path.write_bytes(content[: length + 16])  # cut at a border between records: each record is whole
    with pytest.raises(ValueError, match=r"record 1: damaged \(ends after 1 records, expected 6\)"):
        data.load("tiny_pictures", "test", size=8)


def write_idx(path, array):
    magic = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(magic + array.tobytes()))


def original_files(manual, name, monkeypatch, seed=0):
    """Writes a small data set in MNIST's format into the folder `manual`, for TFDS's `name`; -> images, labels."""
    from tensorflow_datasets.core.download import checksums
    from tensorflow_datasets.image_classification import mnist

    rng = np.random.default_rng(seed)
    manual.mkdir()
    images, labels = rng.integers(0, 256, (30, 28, 28), np.uint8), rng.integers(0, 10, 30).astype(np.uint8)
    for prefix, part in (("train", slice(0, 20)), ("t10k", slice(20, 30))):
        write_idx(manual / f"{prefix}-images-idx3-ubyte.gz", images[part])
        write_idx(manual / f"{prefix}-labels-idx1-ubyte.gz", labels[part])
    monkeypatch.setattr(mnist, "_TRAIN_EXAMPLES", 20)
    monkeypatch.setattr(mnist, "_TEST_EXAMPLES", 10)
    builder = tfds.builder_cls(name)
    urls = {builder.URL + p.name: checksums.compute_url_info(p) for p in manual.iterdir()}
    monkeypatch.setattr(builder, "url_infos", urls)
    return images, labels


def test_files_of_the_same_names_are_not_mixed_up(tmp_path, monkeypatch):
    for seed, name in enumerate(("mnist", "fashion_mnist")):
        _, labels = original_files(tmp_path / name, name, monkeypatch, seed)
        source = data.load(name, manual_dir=str(tmp_path / name))
        assert sorted(source.labels()) == sorted(labels[:20])


def test_original_files_in_manual_dir(tmp_path, monkeypatch):
    manual = tmp_path / "manual"
    images, labels = original_files(manual, "mnist", monkeypatch)
    with pytest.raises(ValueError, match=r"'mnist' is not prepared.*t10k-images-idx3-ubyte.gz.*download=True"):
        data.load("mnist")
    with pytest.raises(ValueError, match="manual_dir must be a folder"):
        data.load("mnist", manual_dir=str(tmp_path / "missing"))
    (manual / "t10k-labels-idx1-ubyte.gz").rename(tmp_path / "away")
    with pytest.raises(ValueError, match="t10k-labels-idx1-ubyte.gz is not in manual_dir="):
        data.load("mnist", manual_dir=str(manual))
    (tmp_path / "away").rename(manual / "t10k-labels-idx1-ubyte.gz")

    before = sorted(p.name for p in manual.iterdir())
    train = data.load("mnist", manual_dir=str(manual))
    test = data.load("mnist", "test")  # prepared by now
    assert (train.num_examples, test.num_examples, test.image_shape) == (20, 10, (28, 28, 1))
    found = {x.tobytes(): y for s in (train, test) for x, y in zip(s.images(), s.labels(), strict=True)}
    for image, label in zip(images.astype(np.float32) / np.float32(255), labels, strict=True):
        assert found[image.tobytes()] == label
    assert sorted(p.name for p in manual.iterdir()) == before
    assert catalog.default_data_dir() == str(tmp_path / "prepared")


def test_load_of_folders_and_records(tmp_path, monkeypatch):
    for name in ("folder/train/a/x.png", "folder/test/a/x.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / name)
    folder = str(tmp_path / "folder")
    assert data.load(folder).split == "train" and data.load(f"folder:{folder}", "test").split == "test"
    assert data.load(tmp_path / "folder").has_labels
    monkeypatch.chdir(tmp_path)
    assert data.load("folder", size=2).image_shape == (2, 2, 1)
    data.load(folder).write_tfrecords(tmp_path / "train.tfrecord")
    assert data.load(f"tfrecord:{tmp_path}/train.tfrecord").num_examples == 1
    assert data.load(f"tfrecord:{tmp_path}/{{split}}.tfrecord", "train").split == "train"
    with pytest.raises(ValueError, match="all of them are training data; received split='test'"):
        data.load(f"tfrecord:{tmp_path}/train.tfrecord", "test")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mnits", r"unknown data set 'mnits' \(close: mnist"),
        ("digit", r"unknown data set 'digit' \(close: digits"),
        ("/no/such/place", "unknown data set '/no/such/place'.*existing folder"),
        ("folder:/no/such/place", "expected a folder of images, found nothing"),
    ],
)
def test_unknown_names(spec, message):
    with pytest.raises(ValueError, match=message):
        data.load(spec)


def test_unknown_split_and_options():
    with pytest.raises(ValueError, match="splits 'train' and 'test'; received 'valid'"):
        data.load("digits", "valid")
    with pytest.raises(ValueError, match=r"takes the options .*data_dir.*; received \['sise'\]"):
        data.load("digits", sise=3)
    with pytest.raises(ValueError, match=r"'manual_dir'.*received \['sise'\]"):
        data.load("mnist", sise=3)
    assert data.load("digits", manual_dir=None).num_examples == 1400
    for spec in ("sklearn_digits", "tfrecord:parts-{split}-*"):
        with pytest.raises(ValueError, match=f"'{re.escape(spec)}' needs the name of a split; received None"):
            data.load(spec, None)
    with pytest.raises(ValueError, match=r"unknown tensorflow-datasets name 'mnits' \(close: mnist"):
        data.from_tfds("mnits")


def test_unsuitable_tfds_data_sets():
    with pytest.raises(ValueError, match="expected one image feature"):
        data.from_tfds("iris")
