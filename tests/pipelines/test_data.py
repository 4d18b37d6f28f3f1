import json

import numpy as np
import pytest

from tfgen_pipelines import data as data_lib


def write_images(folder, images):
    import tensorflow as tf

    folder.mkdir(parents=True)
    for i, image in enumerate(images):
        (folder / f"{i:03d}.png").write_bytes(tf.io.encode_png(image).numpy())


@pytest.fixture
def folder(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (30, 4, 4, 1), dtype=np.uint8)
    write_images(tmp_path / "images" / "a", images[:20])
    write_images(tmp_path / "images" / "b", images[20:])
    return tmp_path / "images"


def test_digits():
    data = data_lib.resolve("digits")
    assert data.image_shape == (8, 8, 1) and data.num_classes == 10 and data.levels == 17
    assert data.num_examples == (1400, 397) and sum(data.statistics["class_counts"][1]) == 397
    assert sum(data.statistics["pixel_histogram"]) == pytest.approx(1.0)
    assert data_lib.resolve("digits").fingerprint == data.fingerprint
    json.dumps([data.config(), data.description()])


def test_held_out_images_are_the_same_every_time_and_not_trained_on(folder):
    data = data_lib.resolve(f"folder:{folder}", eval_split=None)
    assert data.num_examples == (27, 3) and data.eval_split is None
    train, evaluation = (data_lib.load_split(data.config(), name) for name in ("train", "eval"))
    pixels = [{image.tobytes() for image in source.images()} for source in (train, evaluation)]
    assert len(pixels[0] | pixels[1]) == 30 and not pixels[0] & pixels[1]
    assert data_lib.load_split(data.config(), "eval").fingerprint == evaluation.fingerprint


def test_whole_clips_are_held_out(tmp_path):
    rng = np.random.default_rng(0)
    for clip in range(4):
        write_images(tmp_path / "c" / "train" / f"{clip}", rng.integers(0, 256, (7 + clip, 4, 4, 1), dtype=np.uint8))
    config = data_lib.resolve(f"clips:{tmp_path / 'c'}", {"num_frames": 2}, eval_split=None).config()
    clips = [[key.split("/")[-2] for key in data_lib.load_split(config, name).ids] for name in ("train", "eval")]
    assert len(set(clips[0])) == 3 and len(set(clips[1])) == 1 and not set(clips[0]) & set(clips[1])
    assert len(clips[0] + clips[1]) == 3 + 4 + 4 + 5  # pieces of two frames
    write_images(tmp_path / "one" / "train" / "a", rng.integers(0, 256, (8, 4, 4, 1), dtype=np.uint8))
    with pytest.raises(ValueError, match="needs an eval_split.*of the 1 photos, clips or objects .* leaves none"):
        data_lib.resolve(f"clips:{tmp_path / 'one'}", {"num_frames": 2}, eval_split=None)


def test_whole_photos_are_held_out(tmp_path):
    write_images(tmp_path / "photos" / "train", [np.full((8, 9, 3), k, np.uint8) for k in range(3)])
    config = data_lib.resolve(f"crops:{tmp_path / 'photos'}", {"size": 4, "num": 12}, eval_split=None).config()
    images = [data_lib.load_split(config, name).images() for name in ("train", "eval")]
    photos = [set(np.round(255 * part[:, 0, 0, 0])) for part in images]
    assert len(photos[0]) == 2 and len(photos[1]) == 1 and not photos[0] & photos[1]
    write_images(tmp_path / "one" / "train", [np.zeros((8, 9, 3), np.uint8)])
    with pytest.raises(ValueError, match="needs an eval_split.*of the 1 photos, clips or objects .* leaves none"):
        data_lib.resolve(f"crops:{tmp_path / 'one'}", {"size": 4, "num": 12}, eval_split=None)


def test_whole_solids_are_held_out():
    config = {"spec": "rendered_views", "options": {}, "train_split": "test", "eval_split": None}
    solids = [data_lib.load_split(config, name).labels() for name in ("train", "eval")]
    assert [len(labels) for labels in solids] == [14 * 56, 2 * 56] and not set(solids[0]) & set(solids[1])


def test_changed_pixels_change_the_fingerprint(folder):
    before = data_lib.resolve(f"folder:{folder}", eval_split=None).fingerprint
    image = folder / "a" / "000.png"
    image.write_bytes((folder / "b" / "000.png").read_bytes())
    assert data_lib.resolve(f"folder:{folder}", eval_split=None).fingerprint != before


def test_options_reach_the_reader(folder):
    data = data_lib.resolve(f"folder:{folder}", {"size": 2, "channels": 3}, eval_split=None)
    assert data.image_shape == (2, 2, 3)


def test_splits_of_different_shapes(tmp_path):
    write_images(tmp_path / "d" / "train" / "a", np.zeros((4, 4, 4, 1), np.uint8))
    write_images(tmp_path / "d" / "test" / "a", np.zeros((4, 5, 5, 1), np.uint8))
    with pytest.raises(ValueError, match=r"train \(4, 4, 1\), eval \(5, 5, 1\). Give a size"):
        data_lib.resolve(f"folder:{tmp_path / 'd'}")


def test_unknown_split_name():
    with pytest.raises(ValueError, match="'train' and 'eval'; received 'test'"):
        data_lib.load_split(data_lib.resolve("digits").config(), "test")


def test_skipped_files_are_counted_once_if_both_splits_are_parts_of_one(folder):
    (folder / "a" / "000.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r'000.png: .*on_error="skip" leaves it out'):
        data_lib.resolve(f"folder:{folder}", eval_split=None)
    data = data_lib.resolve(f"folder:{folder}", {"on_error": "skip"}, eval_split=None)
    skipped = [file for file, _ in data.statistics["skipped"]]
    assert data.num_examples == (26, 3) and skipped == [str(folder / "a" / "000.png")]
    assert all(len(data_lib.load_split(data.config(), name).skipped) == 1 for name in ("train", "eval"))
    assert data.class_names == ("a", "b")


def test_records_are_read_again_with_the_option_that_skips():
    data = data_lib.Data("x", (4, 4, 1), "f", options={"on_error": "skip", "levels": 2}, import_base="x")
    assert data.description()["read"] == {"on_error": "skip"}
