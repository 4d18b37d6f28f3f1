"""`tfgen translate`: what a model takes is read from its fields; files, folders, clips, sizes, states."""

import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfgen
from tests.models.translation.test_vid2vid import SMALL, T
from tfgen import fields
from tfgen.data import instance_edges, label_pictures
from tfgen.models import Vid2Vid
from tfgen_commands import translate
from tfgen_commands.main import main

RNG = np.random.default_rng(0)
SHAPE = (8, 8, 1)


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)
    return path


def read(path):
    return np.asarray(Image.open(path))


class Made:
    """A model of any function {argument: array [B, ...]} -> {output: array}, which keeps what it was given."""

    def __init__(self, function, *wanted, optional=(), image_shape=SHAPE, sizes=()):
        self.function, self.fields, self.optional, self.sizes = function, wanted, list(optional), sizes
        self.image_shape, self.seen = image_shape, []

    def __call__(self, given):
        self.seen.append(given)
        return self.function(**given)

    def resized(self, sides):
        if sides not in self.sizes:
            raise ValueError("another size.")
        return self


def invert(image):
    return {"image": 1 - image}


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Runs `tfgen translate` in an empty folder with a given model; -> (status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()

    def command(model, *words):
        if model is not None:
            monkeypatch.setattr(translate, "_model", lambda args, stack: model)
        capsys.readouterr()
        status = main(["translate", *map(str, words), *([] if model is None else ["--model", "model"])])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return command


# ---- images


def test_a_file(command, tmp_path):
    pixels = RNG.integers(0, 256, (8, 8))
    write(tmp_path / "in.png", pixels)
    status, out, _ = command(Made(invert, fields.image(SHAPE)), "in.png", "-o", "there/out.png")
    assert (status, out) == (0, "there/out.png\n")
    np.testing.assert_array_equal(read(tmp_path / "there/out.png"), 255 - pixels)


def test_a_folder_in_batches_of_equal_size(command, tmp_path):
    """The names and sub-folders stay; images that follow each other and are alike are translated together."""
    files = {"a/0": 8, "a/1": 8, "a/2": 8, "b/0": 12, "b/1": 8, "top": 8}
    pixels = {name: RNG.integers(0, 256, (8, side)) for name, side in files.items()}
    for name, one in pixels.items():
        write(tmp_path / f"in/{name}.{'bmp' if name == 'a/1' else 'png'}", one)
    (tmp_path / "in/notes.txt").write_text("no image")
    write(tmp_path / "in/.hidden.png", pixels["top"])
    model = Made(invert, fields.image(SHAPE), sizes=((8, 12),))
    status, out, _ = command(model, "in", "-o", "out", "--batch_size", "2")
    assert status == 0 and out == "out: 6 pictures\n"
    written = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.png")}
    assert written == {f"{name}.png" for name in files}
    for name, one in pixels.items():
        np.testing.assert_array_equal(read(tmp_path / f"out/{name}.png"), 255 - one)
    assert [len(given["image"]) for given in model.seen] == [2, 2, 1, 1]  # top and a/0, a/1 and a/2, b/0, b/1


def test_channels_are_those_of_the_model(command, tmp_path):
    write(tmp_path / "grey.png", np.full((8, 8), 51))
    coloured = lambda image: {"image": image * [1.0, 0.0, 0.5]}  # noqa: E731
    assert command(Made(coloured, fields.image((8, 8, 3))), "grey.png", "-o", "out.png")[0] == 0
    np.testing.assert_array_equal(read(tmp_path / "out.png")[0, 0], [51, 0, 26])
    write(tmp_path / "colour.png", np.full((8, 8, 3), [255, 0, 0]))
    assert command(Made(invert, fields.image(SHAPE)), "colour.png", "-o", "out.png")[0] == 0
    np.testing.assert_array_equal(read(tmp_path / "out.png"), 255 - 76)


def test_sizes(command, tmp_path):
    write(tmp_path / "in.png", np.tile(np.repeat([0, 255], 8), (8, 1)))  # 8 x 16, the right half white
    model = Made(invert, fields.image(SHAPE), image_shape=SHAPE)
    status, _, error = command(model, "in.png", "-o", "out.png")
    message = "input: in.png: another size; --resize center_crop brings images to 8 x 8"
    assert status == 2 and error == f"tfgen translate: {message}\n"
    for words in (("--resize", "stretch"), ("--resize", "center_crop"), ("--size", "8")):
        assert command(model, "in.png", "-o", "out.png", *words)[0] == 0
        found = read(tmp_path / "out.png")
        assert found.shape == (8, 8) and (found[:, :2] > 250).all() and (found[:, -2:] < 5).all()
    write(tmp_path / "striped.png", np.tile(np.repeat([255, 0, 255], [4, 8, 4]), (8, 1)))  # of which the centre is black
    for words, side in ((("--resize", "stretch"), 0), (("--resize", "center_crop"), 255), (("--size", "8"), 255)):
        assert command(model, "striped.png", "-o", "out.png", *words)[0] == 0
        assert abs(int(read(tmp_path / "out.png")[0, 0]) - side) < 9
    free = Made(invert, fields.image((None, None, 1)))
    assert command(free, "in.png", "-o", "out.png")[0] == 0 and read(tmp_path / "out.png").shape == (8, 16)
    assert command(free, "in.png", "-o", "out.png", "--size", "4x8")[0] == 0
    assert read(tmp_path / "out.png").shape == (4, 8)
    assert "resize='none'" in command(free, "in.png", "-o", "out.png", "--size", "4", "--resize", "none")[2]


def test_images_that_are_too_small(command, tmp_path):
    write(tmp_path / "in/a.png", np.zeros((8, 8)))
    write(tmp_path / "in/b.png", np.zeros((3, 8)))

    def padded(image):
        return {"image": tf.pad(image, [[0, 0], [4, 4], [4, 4], [0, 0]], "REFLECT").numpy()}

    status, _, error = command(Made(padded, fields.image((None, None, 1))), "in", "-o", "out")
    assert status == 2 and len(error.splitlines()) == 1
    assert error.startswith("tfgen translate: input: in/b.png: the model cannot take 3 x 8 pixels: paddings must be less")


def test_seeds(command, tmp_path):
    for name in "ab":
        write(tmp_path / f"in/{name}.png", np.zeros((8, 8)))
    model = Made(lambda image, seeds: {"image": image}, fields.image(SHAPE), fields.seeds())
    assert command(model, "in", "-o", "out", "--seed", "3")[0] == 0
    (given,) = model.seen
    assert given["seeds"].dtype == np.int64 and given["seeds"].tolist() == [3 << 32, (3 << 32) + 1]


# ---- further inputs


def mixed(image, style, alpha=None):
    alpha = np.ones(len(image), "float32") if alpha is None else alpha
    return {"image": image + alpha[:, None, None, None] * (style - image)}


STYLE = (fields.image(SHAPE), fields.image(SHAPE, "style"), fields.Field("alpha", (), low=0.0, high=1.0))


def test_a_second_image_and_numbers(command, tmp_path):
    for name, value in (("a", 0), ("b", 100)):
        write(tmp_path / f"in/{name}.png", np.full((8, 8), value))
        write(tmp_path / f"styles/{name}.jpg", np.full((8, 8), 200 - value))
    write(tmp_path / "style.png", np.full((16, 24), 200))  # brought to the size of the image
    model = Made(mixed, *STYLE, optional=["alpha"])
    assert command(model, "in", "-o", "out", "--style", "style.png")[0] == 0
    assert [read(tmp_path / f"out/{name}.png")[0, 0] for name in "ab"] == [200, 200]
    assert "alpha" not in model.seen[0]
    assert command(model, "in", "-o", "out", "--set", "style=style.png", "--set", "alpha=0.5")[0] == 0
    assert [read(tmp_path / f"out/{name}.png")[0, 0] for name in "ab"] == [100, 150]
    for alpha, value in ((0, 100), (1, 200)):  # both ends of the range
        assert command(model, "in", "-o", "out", "--style", "style.png", "--set", f"alpha={alpha}")[0] == 0
        assert read(tmp_path / "out/b.png")[0, 0] == value
    assert command(model, "in", "-o", "out", "--style", "styles")[0] == 0  # of each image that of its name
    assert [read(tmp_path / f"out/{name}.png")[0, 0] for name in "ab"] == [200, 100]
    assert command(model, "in/b.png", "-o", "one.png", "--style", "styles")[0] == 0
    assert read(tmp_path / "one.png")[0, 0] == 100
    (tmp_path / "styles/b.jpg").unlink()
    assert "--set style: the folder has no image of the name 'b', as the input has" in command(
        model, "in", "-o", "out", "--style", "styles"
    )[2]  # fmt: skip


def test_a_style_of_free_size_keeps_its_own(command, tmp_path):
    write(tmp_path / "in.png", np.zeros((8, 8)))
    write(tmp_path / "style.png", np.zeros((4, 6)))
    free = fields.image((None, None, 1)), fields.image((None, None, 1), "style")
    model = Made(lambda image, style: {"image": image}, *free)
    assert command(model, "in.png", "-o", "out.png", "--style", "style.png")[0] == 0
    assert model.seen[0]["style"].shape == (1, 4, 6, 1)


def test_labels_and_vectors(command, tmp_path):
    write(tmp_path / "in.png", np.zeros((8, 8)))
    wanted = fields.image(SHAPE), fields.label(3), fields.vector("view", 2)
    model = Made(lambda image, labels, view: {"image": image}, *wanted)
    assert command(model, "in.png", "-o", "out.png", "--set", "label=2", "--set", "view=[1, 0.5]")[0] == 0
    assert model.seen[0]["labels"].tolist() == [2] and model.seen[0]["labels"].dtype == np.int32
    assert model.seen[0]["view"].tolist() == [[1.0, 0.5]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "the model also takes style, float32 [batch, 8, 8, 1] in [0, 1]: give --set style=FILE"),
        (("--style", "no.png"), "--set style must be an image file or a folder; there is no no.png"),
        (("--style", "in.png", "--set", "style=in.png"), "give --style or --set style=FILE, not both"),
        (("--style", "in.png", "--set", "alpha=2"), "--set alpha must be float32 in [0, 1]; received 2"),
        (("--style", "in.png", "--set", "alpha=[1]"), "--set alpha must be float32 in [0, 1]; received [1]"),
        (("--style", "in.png", "--set", "alpha=much"), "--set alpha must be float32 in [0, 1]; received 'much'"),
        (("--style", "in.png", "--set", "alpha=True"), "--set alpha must be float32 in [0, 1]; received True"),
        (("--style", "in.png", "--set", "beta=1"), "--set beta: further inputs of the model are style, alpha"),
        (("--style", "text.png"), "--set style: text.png: not a readable image"),
        (("--style", "in.png", "--set", "alpha=.5", "--set", "alpha=1"), "--set alpha: got 2 values, expected one"),
    ],
)
def test_wrong_inputs_are_named(words, message, command, tmp_path):
    write(tmp_path / "in.png", np.zeros((8, 8)))
    (tmp_path / "text.png").write_text("no image")
    status, out, error = command(Made(mixed, *STYLE, optional=["alpha"]), "in.png", "-o", "out.png", *words)
    assert status == 2 and out == "" and message in error and len(error.splitlines()) == 1
    assert not (tmp_path / "out.png").exists()


# ---- maps of classes


def grey_of_classes(label_map, edges):
    return {"image": 0.2 * label_map.argmax(-1)[..., None] + 0.4 * edges[..., None]}


MAPS = (fields.label_map(8, 8, 3), fields.mask(8, 8, "edges"))


@pytest.mark.parametrize("palette", [False, True])
def test_maps_of_classes(palette, command, tmp_path):
    """Borders are those of the classes, of a map of instances, or given."""
    classes, ids = np.zeros((2, 8, 8), np.uint8)
    classes[:, 4:], classes[4:, 4:] = 1, 2
    ids[2:5] = 7
    image = Image.fromarray(classes)
    if palette:
        image = image.convert("P")
        image.putpalette([9, 9, 9, 250, 0, 0, 0, 0, 250])
        image.putdata(classes.ravel())
    image.save(tmp_path / "map.png")
    write(tmp_path / "ids.png", ids)
    write(tmp_path / "none.png", np.zeros((8, 8)))
    model = Made(grey_of_classes, *MAPS)
    for words, edges in (
        ((), instance_edges(classes)), (("--set", "instances=ids.png"), instance_edges(ids)),
        (("--set", "edges=none.png"), np.zeros((8, 8))),
    ):  # fmt: skip
        assert command(model, "map.png", "-o", "out.png", *words)[0] == 0
        np.testing.assert_array_equal(read(tmp_path / "out.png"), 51 * classes + 102 * edges.astype(int))
    assert command(model, "map.png", "-o", "grid.png", "--grid")[0] == 0
    grid = read(tmp_path / "grid.png")
    assert grid.shape == (8 + 2 * 2, 3 * (8 + 2) + 2, 3)
    np.testing.assert_array_equal(grid[2:10, 2:10], label_pictures(classes, 3))
    np.testing.assert_array_equal(grid[2:10, 12:20], 255 * np.repeat(instance_edges(classes)[..., None], 3, -1))
    classes[1, 2] = 3
    write(tmp_path / "map.png", classes)
    assert "input: map.png: found the class 3 at (1, 2)" in command(model, "map.png", "-o", "out.png")[2]
    write(tmp_path / "small.png", np.zeros((4, 8)))
    write(tmp_path / "map.png", 0 * classes)
    error = command(model, "map.png", "-o", "out.png", "--set", "instances=small.png")[2]
    assert "--set instances: small.png has 4 x 8 pixels; expected those of the input, 8 x 8" in error
    error = command(model, "map.png", "-o", "out.png", "--set", "instances=none.png", "--set", "edges=none.png")[2]
    assert "give --set edges or --set instances, not both" in error


# ---- clips


def running_sum(frames, total=None):
    made = np.cumsum(frames, axis=1) + (0.0 if total is None else total[:, None])
    return {"frames": np.clip(made, 0, 1), "total": made[:, -1]}


@pytest.mark.parametrize("length", [2, None])
def test_clips_in_pieces_with_their_state(length, command, tmp_path):
    """Each folder is a clip, whose state begins anew; the last piece is not full."""
    for clip in "ab":
        for k in range(5):
            write(tmp_path / f"in/{clip}/{k}.png", np.full((8, 8), 10 * k + (100 if clip == "b" and k == 0 else 0)))
    wanted = fields.frames((length, *SHAPE)), fields.image(SHAPE, "total")
    model = Made(running_sum, *wanted, optional=["total"])
    status, out, _ = command(model, "in", "-o", "out")
    assert status == 0 and out == "out: 10 pictures\n"
    for clip, first in (("a", 0), ("b", 100)):
        found = [int(read(tmp_path / f"out/{clip}/{k}.png")[0, 0]) for k in range(5)]
        assert found == [first + sum(range(0, 10 * k + 1, 10)) for k in range(5)]
    assert len(model.seen) == (2 if length is None else 6) and "total" not in model.seen[0]
    assert command(model, "in", "-o", "side", "--grid")[0] == 0
    assert read(tmp_path / "side/b/4.png").shape[1] > 2 * 8
    assert "input must be a folder of frames" in command(model, "in/a/0.png", "-o", "out.png")[2]
    write(tmp_path / "in/b/3.png", np.zeros((8, 9)))
    assert "in/b/3.png has (8, 9) pixels, the first frame (8, 8)" in command(model, "in", "-o", "out")[2]


def test_frames_are_in_the_order_of_their_numbers(command, tmp_path):
    for k in (2, 9, 10, 11):
        write(tmp_path / f"in/{k}.png", np.full((8, 8), k))
    wanted = fields.frames((2, *SHAPE)), fields.image(SHAPE, "total")
    assert command(Made(running_sum, *wanted, optional=["total"]), "in", "-o", "out")[0] == 0
    assert [read(tmp_path / f"out/{k}.png")[0, 0] for k in (2, 9, 10, 11)] == [2, 11, 21, 32]


def test_a_clip_that_begins_with_given_frames(command, tmp_path):
    """Of the same names as its first ones; each further piece begins with the last frame that was made."""
    for k in range(4):
        write(tmp_path / f"in/{k}.png", np.full((8, 8), 10 + k))
    write(tmp_path / "first/0.png", np.full((8, 8), 100))

    def delayed(frames, start):
        return {"frames": np.concatenate([start, frames[:, :1]], axis=1)}

    wanted = fields.frames((2, *SHAPE)), fields.frames((1, *SHAPE), "start")
    assert command(Made(delayed, *wanted), "in", "-o", "out", "--set", "start=first")[0] == 0
    assert [read(tmp_path / f"out/{k}.png")[0, 0] for k in range(4)] == [100, 10, 11, 12]


def test_long_clips_of_vid2vid_go_on_from_the_last_made_frames(command, tmp_path):
    """The first frames are one file for all, or two files; the inputs of two pieces have as many frames in common."""
    model = Vid2Vid(**SMALL)
    maps, photos = RNG.integers(0, 3, (2 * T - 2, 8, 8)), RNG.integers(0, 256, (2, 8, 8, 3))
    for k, one in enumerate(maps):
        write(tmp_path / f"in/{k}.png", one)
    for k, one in enumerate(photos):
        write(tmp_path / f"first/{k}.png", one)
    inputs = {"label_map": np.eye(3, dtype="float32")[maps][None], "edges": np.float32(instance_edges(maps))[None]}
    for given, start in (("first", photos), ("first/1.png", photos[[1, 1]])):
        made = model.translate(**{k: v[:, :T] for k, v in inputs.items()}, start=np.float32(start[None] / 255))["frames"]
        more = model.translate(**{k: v[:, T - 2 :] for k, v in inputs.items()}, start=made[:, -2:])["frames"]
        for words in ((), ("--grid",)):
            assert command(translate._OfRun(model, False), "in", "-o", "out", "--set", f"start={given}", *words)[0] == 0
            found = [read(tmp_path / f"out/{k}.png") for k in range(len(maps))]
            if not words:
                np.testing.assert_array_equal(found, np.rint(255 * np.concatenate([made[0], more[0, 2:]])))
            assert len({one.shape for one in found}) == 1 and len(list((tmp_path / "out").iterdir())) == len(maps)


def test_maps_of_clips(command, tmp_path):
    maps = RNG.integers(0, 3, (3, 8, 8))
    for k, one in enumerate(maps):
        write(tmp_path / f"in/{k}.png", one)
    wanted = fields.label_map(8, 8, 3, num_frames=2), fields.mask(8, 8, "edges", num_frames=2)
    model = Made(lambda label_map, edges: {"frames": 0.2 * label_map.argmax(-1)[..., None]}, *wanted)
    assert command(model, "in", "-o", "out")[0] == 0
    for k, one in enumerate(maps):
        np.testing.assert_array_equal(read(tmp_path / f"out/{k}.png"), 51 * one)
    np.testing.assert_array_equal(model.seen[0]["edges"][0], instance_edges(maps[:2]))


# ---- paths


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("no.png", "-o", "out.png"), "input must be an image file or a folder; there is no no.png"),
        (("in.png", "-o", "in.png"), "--out must be another file than the input"),
        (("in.png", "-o", "folder"), "--out must be a file to write; received the folder folder"),
        (("in.png", "-o", "out.xyz"), "--out must have the suffix of a picture, such as .png; received out.xyz"),
        (("in.png", "-o", "in.png/out.png"), "--out must be a file to write, in a folder"),
        (("folder", "-o", "folder/out"), "--out must be outside of the input folder; received folder/out"),
        (("folder", "-o", "in.png"), "--out must be a folder, as the input is one; received in.png"),
        (("folder", "-o", "out"), "input: folder holds no images"),
        (("twice", "-o", "out"), "expected one image of the name 'a'"),
        (("text.png", "-o", "out.png"), "input: text.png: not a readable image"),
    ],
)
def test_wrong_paths(words, message, command, tmp_path):
    write(tmp_path / "in.png", np.zeros((8, 8)))
    write(tmp_path / "twice/a.png", np.zeros((8, 8)))
    write(tmp_path / "twice/a.bmp", np.zeros((8, 8)))
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.png").write_text("no image")
    status, _, error = command(Made(invert, fields.image(SHAPE)), *words)
    assert status == 2 and message in error and len(error.splitlines()) == 1 and error.startswith("tfgen translate: ")
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.png").exists()


def test_paths_are_checked_before_the_model_is_loaded(tmp_path, monkeypatch, capsys):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(translate, "_model", lambda *args: pytest.fail("loaded"))
    write(tmp_path / "in.png", np.zeros((8, 8)))
    for name in ("empty", "model"):
        (tmp_path / name).mkdir()

    def error(*words):
        assert main(["translate", *words]) == 2
        return capsys.readouterr().err

    assert "input: empty holds no images" in error("empty", "-o", "out", "--model", "model")
    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    for out in ("out.png", "a/b/out.png"):
        assert "--out: the folder . cannot be written: Permission denied" in error("in.png", "-o", out, "--model", "model")


def test_a_file_that_cannot_be_written(command, tmp_path):
    write(tmp_path / "in/a/0.png", np.zeros((8, 8)))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a").write_text("no folder")
    status, _, error = command(Made(invert, fields.image(SHAPE)), "in", "-o", "out")
    assert status == 2 and error.startswith("tfgen translate: --out: out/a/0.png could not be written: ")


# ---- with models


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of two steps of a CycleGAN, and its export."""
    folder = tmp_path_factory.mktemp("translate")
    small = [f"--set={name}=4" for name in ("width", "discriminator_width", "pool_size")] + ["--set=blocks=1"]
    words = ["--preset", "cycle-gan/digits-inverted", "--workdir", str(folder / "run"), "--steps", "2", *small]
    assert main(["train", *words]) == 0
    assert main(["export", "--workdir", str(folder / "run"), "--to", str(folder / "export")]) == 0
    return folder


def test_a_run_and_its_export_translate_alike(trained, command, tmp_path):
    from tfgen_trainers.train import load_run

    image = RNG.integers(0, 256, (8, 8))
    write(tmp_path / "in.png", image)
    model, _ = load_run(trained / "run")
    for words, verb in (((), model.translate), (("--reverse",), model.translate_back)):
        wanted = 255 * verb(image=np.float32(image[None, ..., None] / 255))["image"][0, ..., 0].numpy()
        for kind in ("run", "export"):
            assert command(None, "in.png", "-o", "out.png", "--model", trained / kind, *words)[0] == 0
            np.testing.assert_allclose(read(tmp_path / "out.png"), wanted, atol=0.51)


def test_other_sizes_need_a_run(trained, command, tmp_path):
    """Far from the borders a large image is translated as its part would be, if the whole had the same statistics."""
    image = np.tile(RNG.integers(0, 256, (8, 8)), (3, 2))
    write(tmp_path / "in.png", image)
    assert command(None, "in.png", "-o", "out.png", "--model", trained / "run")[0] == 0
    assert read(tmp_path / "out.png").shape == (24, 16)
    status, _, error = command(None, "in.png", "-o", "out.png", "--model", trained / "export")
    assert status == 2 and "is an export for 8 x 8 pixels; received 24 x 16; --resize center_crop brings" in error
    write(tmp_path / "odd.png", np.zeros((9, 16)))
    error = command(None, "odd.png", "-o", "out.png", "--model", trained / "run")[2]
    assert "received 9 x 16, near which heights of 8 or 10 and widths of 16 fit; --resize center_crop" in error


def test_models_that_do_not_translate(trained, command, tmp_path):
    write(tmp_path / "in.png", np.zeros((8, 8)))
    error = command(None, "in.png", "-o", "out.png", "--model", "nowhere")[2]
    assert "--model: There is no trained model 'nowhere'" in error
    assert "is not a SavedModel" in command(None, "in.png", "-o", "out.png", "--model", tmp_path)[2]
    words = ["--preset", "vae/digits", "--workdir", str(tmp_path / "vae"), "--steps", "1", "--set", "hidden=(8,)"]
    assert main(["train", *words]) == 0
    assert "which is no translator; it is: sampler" in command(None, "in.png", "-o", "out.png", "--model", "vae")[2]


def test_the_fields_of_an_export():
    """Those of the metadata; what they lack has shape and dtype of the signature. States and defaults may be missing."""
    spec = lambda *shape: types.SimpleNamespace(shape=shape, dtype=np.dtype("float32"))  # noqa: E731
    specs = {"frames": spec(None, 2, *SHAPE), "previous": spec(None, *SHAPE), "alpha": spec(None)}
    found = {}

    def call(**given):
        found.update(given)
        return given

    call.structured_input_signature = ((), specs)
    call.structured_outputs = {"frames": None, "previous": None}
    exported = types.SimpleNamespace(
        signatures={"translate": call}, path="x", image_shape=SHAPE,
        input_fields=lambda name: (fields.frames((2, *SHAPE)), fields.Field("alpha", (), low=0.0, high=1.0, default=0.5)),
    )  # fmt: skip
    model = translate._OfExport(exported, "translate")
    assert [field.argument for field in model.fields] == ["frames", "alpha", "previous"]
    assert model.optional == ["alpha", "previous"] and model.fields[2].shape == SHAPE and model.fields[1].high == 1.0
    model({"frames": np.zeros([3, 2, *SHAPE], "float32")})
    np.testing.assert_array_equal(found["alpha"], np.float32([0.5, 0.5, 0.5]))
    np.testing.assert_array_equal(found["previous"], np.zeros([3, *SHAPE]))


def test_metadata_of_an_export_has_the_fields_of_its_inputs(trained):
    exported = tfgen.metrics.load_exported(trained / "export")
    assert exported.input_fields("translate") == (fields.image(SHAPE),)
    assert exported.metadata["inputs"] == [fields.image(SHAPE).config()]
