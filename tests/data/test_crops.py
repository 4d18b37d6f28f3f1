import numpy as np
import pytest
from PIL import Image

from tfgen import data


def photos(folder, sizes=((20, 30), (41, 16), (16, 16))):
    """Photos whose red is the row, green the column and blue the number of the photo."""
    folder.mkdir(parents=True, exist_ok=True)
    for k, (height, width) in enumerate(sizes):
        rows, columns = np.mgrid[:height, :width]
        Image.fromarray(np.stack([rows, columns, np.full_like(rows, k)], -1).astype(np.uint8)).save(folder / f"{k}.png")
    return folder


def values(source):
    return np.round(source.images() * 255).astype(int)


def test_crops_are_parts_of_the_photos_from_everywhere(tmp_path):
    source = data.crops(photos(tmp_path), size=(16, 12), num=600)
    found = values(source)
    assert found.shape == (600, 16, 12, 3) and not source.has_labels and source.name == f"crops:{tmp_path}"
    top, left, photo = found[:, 0, 0, 0], found[:, 0, 0, 1], found[:, 0, 0, 2]
    rows, columns = np.mgrid[:16, :12]
    np.testing.assert_array_equal(found[..., 0], top[:, None, None] + rows)
    np.testing.assert_array_equal(found[..., 1], left[:, None, None] + columns)
    assert np.all(found[..., 2] == photo[:, None, None]) and np.bincount(photo).tolist() == [200, 200, 200]
    for k, (height, width) in enumerate(((20, 30), (41, 16), (16, 16))):
        assert {*top[photo == k]} == {*range(height - 16 + 1)} and {*left[photo == k]} == {*range(width - 12 + 1)}


def test_crops_of_a_photo_are_held_out_together(tmp_path):
    photos(tmp_path)
    (tmp_path / "0a.png").write_bytes(b"no picture")
    rest, held_out = data.load(f"crops:{tmp_path}", size=8, num=30, on_error="skip").held_out(0.3)
    photo = [set(values(part)[:, 0, 0, 2]) for part in (rest, held_out)]
    assert len(photo[0]) == 2 and len(photo[1]) == 1 and not photo[0] & photo[1]
    assert {path.rpartition("/")[2] for path in held_out.origins} == {f"{k}.png" for k in photo[1]}


def test_crops_are_a_function_of_their_arguments(tmp_path):
    folder = photos(tmp_path / "train")
    photos(tmp_path / "test")
    source = data.crops(folder, size=8, num=20)
    assert source.fingerprint == data.load(f"crops:{tmp_path}", size=8, num=20).fingerprint
    assert source.fingerprint == data.crops(sorted(folder.iterdir()), size=8, num=20).fingerprint
    assert source.fingerprint != data.crops(folder, size=8, num=20, seed=1).fingerprint
    assert data.load(f"crops:{tmp_path}", "test", size=8, num=20, channels=1).image_shape == (8, 8, 1)


def test_photos_that_cannot_be_cropped(tmp_path):
    photos(tmp_path)
    with pytest.raises(ValueError, match=r"0.png: found 20x30 pixels, less than a crop of 32x8"):
        data.crops(tmp_path, size=(32, 8))
    source = data.crops(tmp_path, size=(32, 8), num=5, on_error="skip")
    assert {*values(source)[:, 0, 0, 2]} == {1} and len(source.skipped) == 2
    with pytest.raises(ValueError, match="found 0, num=5"):
        data.crops(tmp_path, size=100, num=5, on_error="skip")
    with pytest.raises(ValueError, match="found 3, num=2"):
        data.crops(tmp_path, size=8, num=2)
    with pytest.raises(ValueError, match="received None"):
        data.crops(tmp_path, channels=None)
    with pytest.raises(ValueError, match="size must be .* received None"):
        data.crops(tmp_path, size=None)
    with pytest.raises(ValueError, match="resize"):
        data.load(f"crops:{tmp_path}", resize="pad")
