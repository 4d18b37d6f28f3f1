"""The animated picture, read back."""

import numpy as np
import pytest
from PIL import Image

from tfgen.sampling import save_animation


def frames(path):
    with Image.open(path) as picture:
        durations, images = [], []
        for i in range(picture.n_frames):
            picture.seek(i)
            durations.append(picture.info["duration"])
            images.append(np.asarray(picture.convert("RGB")).astype(int))
    return durations, images


def canvases():
    """Two images of 10 x 10 in three steps: grey, ever lighter."""
    return np.broadcast_to(np.linspace(0.1, 0.6, 3)[None, :, None, None, None], (2, 3, 10, 10, 1)).astype("float32")


def red(image):
    return (image[..., 0] > 180) & (image[..., 1] < 90) & (image[..., 2] < 90)


def test_a_frame_for_each_step_and_a_last_one_that_stays(tmp_path):
    path = save_animation(tmp_path / "new" / "a.gif", canvases(), columns=2, scale=3, milliseconds=50, hold=900)
    durations, images = frames(path)
    assert durations == [50, 50, 900 + 50] or durations == [50, 50, 50, 900]  # equal frames may be joined
    assert images[0].shape == (10 * 3 + 2 * 3, 2 * 30 + 3 * 3, 3)
    inner = [image[10, 10].mean() / 255 for image in images[:3]]
    np.testing.assert_allclose(inner, [0.1, 0.35, 0.6], atol=0.03)
    assert not any(red(image).any() for image in images)


def test_the_box_lies_where_the_step_wrote(tmp_path):
    boxes = np.tile(np.float32([5.5, 5.5, 2.0, 0.1, 1.0]), (2, 3, 1))
    boxes[1, :, 0] = 500.0  # out of the picture
    _, images = frames(save_animation(tmp_path / "a.gif", canvases(), boxes, window_size=3, columns=2, scale=4))
    rows, columns = np.nonzero(red(images[0]))
    # From pixel 3.5 to 7.5, whose centres are at 3 and 7 of ten; 4 pixels each, and 4 of padding.
    assert (rows.min(), rows.max()) == (columns.min(), columns.max()) == (4 + 12, 4 + 28)
    assert not red(images[0])[20, 20] and not red(images[-1]).any()


def test_bad_arguments(tmp_path):
    good = canvases()
    for bad, arguments in (
        (good[0], {}), (good[..., [0, 0]], {}), (good, {"scale": 0}), (good, {"boxes": np.zeros((2, 3, 5))}),
        (good, {"boxes": np.zeros((2, 2, 5)), "window_size": 3}),
        (good, {"boxes": np.full((2, 3, 5), np.nan), "window_size": 3}),
        (good * 2, {}),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"received|finite|\[0, 1\]"):
            save_animation(tmp_path / "a.gif", bad, **arguments)
    assert list(tmp_path.iterdir()) == []
