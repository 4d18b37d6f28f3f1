"""Clips from folders of frames and from arrays."""

import numpy as np
import pytest
from PIL import Image

from tfgen import data, fields

FRAMES = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 5, 3), np.uint8)


def write(root, lengths=(4, 4, 4), split="train"):
    for k, length in enumerate(lengths):
        folder = root / split / f"clip{k}"
        folder.mkdir(parents=True)
        for t in range(length):
            Image.fromarray(FRAMES[k, t % 4]).save(folder / f"{t:03d}.png")


def values(source, name="frames"):
    return np.round(source.values(name) * 255).astype(np.uint8)


def test_folders_of_frames(tmp_path):
    write(tmp_path)
    source = data.load(f"clips:{tmp_path}")
    assert source.fields == {"image": fields.image((6, 5, 3)), "frames": fields.frames((4, 6, 5, 3))}
    np.testing.assert_array_equal(values(source), FRAMES)
    np.testing.assert_array_equal(values(source, "image"), FRAMES[:, 0])
    assert source.ids.tolist() == [f"train/clip{k}/000" for k in range(3)]
    lazy = data.load(f"clips:{tmp_path}", in_memory=False)
    assert not lazy.in_memory and lazy.fingerprint == source.fingerprint == data.clips(FRAMES).fingerprint
    (path,) = lazy.write_tfrecords(tmp_path / "x.tfrecord")
    assert data.described([path], lazy.description()).fingerprint == source.fingerprint
    stored = lazy.example(1).features.feature["frames"].bytes_list.value
    assert stored[2] == (tmp_path / "train" / "clip1" / "002.png").read_bytes()


def test_pairs_of_clips(tmp_path):
    write(tmp_path / "frames")
    write(tmp_path / "target")
    source = data.load(f"clips:{tmp_path}", size=4, channels=1)
    assert source.fields["frames"].shape == source.fields["target"].shape == (4, 4, 4, 1)
    (tmp_path / "target/train/clip1/002.png").rename(tmp_path / "target/train/clip1/9.png")
    with pytest.raises(ValueError, match=r"clip1/002.png has no target: .*; .*clip1/9.png has no frames"):
        data.load(f"clips:{tmp_path}")


def test_pieces_of_longer_clips(tmp_path):
    write(tmp_path, (4, 3, 2))
    with pytest.raises(ValueError, match=r"same number of frames; 'clip0' has 4, 'clip2' has 2 .*num_frames=T"):
        data.load(f"clips:{tmp_path}")
    source = data.load(f"clips:{tmp_path}", num_frames=2)
    assert source.ids.tolist() == ["train/clip0/000", "train/clip0/002", "train/clip1/000", "train/clip2/000"]
    np.testing.assert_array_equal(values(source)[1], FRAMES[0, 2:])
    assert [path.rpartition("/")[2] for path in source.origins] == ["clip0", "clip0", "clip1", "clip2"]
    with pytest.raises(ValueError, match=r"num_frames=3 frames or more; 'clip2' has 2 \(1 such"):
        data.load(f"clips:{tmp_path}", num_frames=3)
    (tmp_path / "train/clip1/001.png").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"the frame .*clip1/001.png: not a readable image"):
        data.load(f"clips:{tmp_path}", num_frames=2)
    some = data.load(f"clips:{tmp_path}", num_frames=2, on_error="skip")
    assert [path.rpartition("/")[2] for path in some.origins] == ["clip0", "clip0", "clip2"]


def test_frames_are_in_the_order_of_their_numbers(tmp_path):
    write(tmp_path)
    for clip in (tmp_path / "train").iterdir():
        for t, name in enumerate((8, 9, 10, 100)):
            (clip / f"{t:03d}.png").rename(clip / f"{name}.png")
    for source in (data.load(f"clips:{tmp_path}"), data.load(f"clips:{tmp_path}", in_memory=False)):
        np.testing.assert_array_equal(values(source), FRAMES)
        assert source.ids.tolist() == [f"train/clip{k}/8" for k in range(3)]
    assert data.load(f"clips:{tmp_path}", num_frames=2).ids.tolist()[:2] == ["train/clip0/8", "train/clip0/10"]


def test_arrays():
    labels = [0, 1, 1]
    source = data.clips(FRAMES, target=255 - FRAMES, labels=labels)
    np.testing.assert_array_equal(values(source, "target"), 255 - FRAMES)
    assert source.labels().tolist() == labels
    with pytest.raises(ValueError, match="clip 0 has 4, clip 2 has 3"):
        data.clips([FRAMES[0], FRAMES[1], FRAMES[2, :3]])
    with pytest.raises(ValueError, match=r"one shape; clip 0 has \(4, 6, 5, 3\), clip 1 has \(4, 5, 5, 3\)"):
        data.clips([FRAMES[0], FRAMES[1, :, :5]])
    with pytest.raises(ValueError, match="target must have as many frames as frames, 4; received 3"):
        data.clips(FRAMES, target=FRAMES[:, :3])
    with pytest.raises(ValueError, match="frames must be clips"):
        data.clips(FRAMES[0])


def test_flat_folders_are_no_clips(tmp_path):
    Image.fromarray(FRAMES[0, 0]).save(tmp_path / "x.png")
    with pytest.raises(ValueError, match="expected a folder for each clip"):
        data.load(f"clips:{tmp_path}")
