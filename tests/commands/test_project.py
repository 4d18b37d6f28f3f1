"""`tfgen project` and `tfgen edit`: files, sizes, codes, drawings, and which models they take."""

import keras
import numpy as np
import pytest
from PIL import Image

from tfgen.models import DCGAN, GlimpseClassifier
from tfgen_commands import edit, project
from tfgen_commands.main import main
from tfgen_trainers import train

SHAPE = (8, 8, 1)
RNG = np.random.default_rng(0)


def write(path, pixels, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8), mode).save(path)
    return path


def read(path):
    return np.asarray(Image.open(path))


class Made:
    """A model whose code is the image's mean, and whose images are flat; its edits are the strokes on the photo."""

    edit_inputs = ["strokes", "mask", "edges", "edge_mask"]

    def __init__(self, shape=SHAPE):
        self.image_shape, self.seen = shape, []

    def project(self, photos):
        latent = photos.mean(axis=(1, 2, 3))[:, None]
        return {"latent": latent, "image": self.decode_images(latent)}

    def decode_images(self, latents):
        return np.broadcast_to(latents[:, :, None, None], (len(latents), *self.image_shape)).astype(np.float32)

    def edit(self, photos, **given):
        self.seen.append(given)
        drawn = np.where(given["mask"][..., None] > 0, given["strokes"], photos)
        return {"latent": photos[:, 0, 0], "image": 1 - drawn, "transferred": drawn}


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Runs a command in an empty folder with a given model; -> (status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()

    def command(model, *words):
        if model is not None:
            for module in (project, edit):
                monkeypatch.setattr(module, "load", lambda args, stack: model)
        capsys.readouterr()
        status = main([*map(str, words), "--model", "model"])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return command


def test_a_photo(command, tmp_path):
    write(tmp_path / "in.png", np.repeat([0, 200], 32).reshape(8, 8))
    assert command(Made(), "project", "in.png", "-o", "there/out.png", "--latents", "codes.npz")[:2] == (
        0,
        "there/out.png\n",
    )
    np.testing.assert_array_equal(read(tmp_path / "there/out.png"), np.full((8, 8), 100))
    codes = np.load(tmp_path / "codes.npz")
    assert codes["name"].tolist() == ["in"]
    np.testing.assert_allclose(codes["latent"], [[100 / 255]], rtol=1e-6)
    assert command(Made(), "project", "in.png", "-o", "grid.png", "--grid")[0] == 0
    grid = read(tmp_path / "grid.png")
    assert grid.shape == (12, 22)
    assert grid[8, 5] == 200 and grid[8, 15] == 100  # the photo, then its projection


def test_a_folder_in_batches(command, tmp_path):
    for i, name in enumerate(("a/0", "a/1", "b")):
        write(tmp_path / f"in/{name}.png", np.full((8, 8), 50 * i))
    status, out, _ = command(Made(), "project", "in", "-o", "out", "--batch_size", "2", "--latents", "codes.npz")
    assert status == 0 and out == "out: 3 pictures\n"
    order = np.load(tmp_path / "codes.npz")["name"].tolist()
    for name, value in (("a/0", 0), ("a/1", 50), ("b", 100)):
        assert read(tmp_path / f"out/{name}.png")[0, 0] == value
        np.testing.assert_allclose(np.load(tmp_path / "codes.npz")["latent"][order.index(name)], value / 255, atol=1e-6)


def test_images_between_two_photos(command, tmp_path):
    write(tmp_path / "in.png", np.zeros((8, 8)))
    write(tmp_path / "other.png", np.tile([100, 200], (8, 4)))
    words = ("project", "in.png", "--to", "other.png", "--frames", "3", "-o")
    assert command(Made(), *words, "strip.png")[0] == 0
    strip = read(tmp_path / "strip.png")
    assert strip.shape == (12, 32)
    assert strip[5, 2] == 0 and strip[5, 12:14].tolist() == [50, 100] and strip[5, 22:24].tolist() == [100, 200]
    assert command(Made(), *words, "plain.png", "--generated")[0] == 0
    assert read(tmp_path / "plain.png")[5, [2, 12, 22]].tolist() == [0, 75, 150]
    assert command(Made(), *words, "morph.gif")[0] == 0
    assert Image.open(tmp_path / "morph.gif").n_frames == 3


def test_sizes(command, tmp_path):
    write(tmp_path / "in.png", np.zeros((8, 16)))
    status, _, error = command(Made(), "project", "in.png", "-o", "out.png")
    assert status == 2 and error == (
        "tfgen project: input: in.png: the model takes 8 x 8 pixels, and this has 8 x 16; --resize center_crop brings "
        "images to 8 x 8\n"
    )
    assert command(Made(), "project", "in.png", "-o", "out.png", "--resize", "stretch")[0] == 0
    write(tmp_path / "fits.png", np.zeros((8, 8)))
    error = command(Made(), "project", "fits.png", "--to", "in.png", "-o", "out.png")[2]
    assert error.startswith("tfgen project: --to: in.png: the model takes 8 x 8 pixels")
    error = command(Made(), "edit", "fits.png", "--colour", "in.png", "--mask", "fits.png", "-o", "out.png")[2]
    assert error.startswith("tfgen edit: --colour: in.png: the model takes 8 x 8 pixels")


# ---- drawings


def test_strokes_with_transparency(command, tmp_path):
    write(tmp_path / "in.png", np.full((8, 8), 40))
    strokes = np.zeros((8, 8, 4), np.uint8)
    strokes[2:4, 2:4] = [200, 200, 200, 255]
    strokes[6, 6] = [9, 9, 9, 100]  # less than half opaque
    write(tmp_path / "strokes.png", strokes)
    model = Made()
    assert command(model, "edit", "in.png", "-o", "out.png", "--colour", "strokes.png")[0] == 0
    expected = np.full((8, 8), 40)
    expected[2:4, 2:4] = 200
    np.testing.assert_array_equal(read(tmp_path / "out.png"), expected)
    assert model.seen[0]["mask"].sum() == 4 and not model.seen[0]["edge_mask"].any()
    assert command(model, "edit", "in.png", "-o", "made.png", "--color", "strokes.png", "--generated")[0] == 0
    np.testing.assert_array_equal(read(tmp_path / "made.png"), 255 - expected)
    assert command(model, "edit", "in.png", "-o", "grid.png", "--colour", "strokes.png", "--grid")[0] == 0
    assert read(tmp_path / "grid.png")[5, [4, 14, 24, 34]].tolist() == [40, 200, 55, 200]


def test_strokes_with_a_mask_and_of_each_photo(command, tmp_path):
    for name, value in (("a", 10), ("b", 90)):
        write(tmp_path / f"in/{name}.png", np.full((8, 8), 40))
        write(tmp_path / f"strokes/{name}.png", np.full((8, 8), value))
    mask = np.zeros((8, 8))
    mask[0] = 255
    write(tmp_path / "mask.png", mask)
    assert command(Made(), "edit", "in", "-o", "out", "--colour", "strokes", "--mask", "mask.png")[0] == 0
    for name, value in (("a", 10), ("b", 90)):
        np.testing.assert_array_equal(read(tmp_path / f"out/{name}.png"), np.where(mask > 0, value, 40))
    (tmp_path / "strokes/b.png").unlink()
    error = command(Made(), "edit", "in", "-o", "out", "--colour", "strokes", "--mask", "mask.png")[2]
    assert "--colour: the folder has no image of the name 'b', as the input has" in error


def test_sketches_and_moved_pieces(command, tmp_path):
    pixels = RNG.integers(0, 256, (8, 8))
    write(tmp_path / "in.png", pixels)
    sketch = np.zeros((8, 8))
    sketch[3] = 255
    write(tmp_path / "sketch.png", sketch)
    model = Made()
    assert command(model, "edit", "in.png", "-o", "out.png", "--edges", "sketch.png")[0] == 0
    np.testing.assert_array_equal(model.seen[0]["edge_mask"][0], sketch > 0)  # its lines
    assert not model.seen[0]["mask"].any()
    assert command(model, "edit", "in.png", "-o", "out.png", "--warp", "2,2,5,4,2")[0] == 0
    given = model.seen[1]
    np.testing.assert_allclose(given["strokes"][0, 4:6, 3:5, 0], pixels[1:3, 1:3] / 255, atol=1e-6)
    for name in ("mask", "edge_mask"):
        assert given[name].sum() == 4 and (given[name][0, 4:6, 3:5] == 1).all()
    assert "--warp: end must be a pixel" in command(model, "edit", "in.png", "-o", "out.png", "--warp", "2,2,8,4")[2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("project", "in.png", "-o", "out.png", "--generated"), "--generated is for --to"),
        (("project", "in.png", "-o", "out.png", "--to", "no.png"), "--to must be an image file; there is no no.png"),
        (("project", "in.png", "-o", "out.png", "--latents", "x"), "--latents must be the path of a .npz file to write"),
        (("project", "no.png", "-o", "out.png"), "input must be an image file or a folder; there is no no.png"),
        (("project", "in.png", "-o", "out.txt"), "--out must have the suffix of a picture"),
        (("edit", "in.png", "-o", "out.png"), "give what to change: --colour, --edges or --warp"),
        (("edit", "in.png", "-o", "out.png", "--warp", "1,1,2,2", "--mask", "in.png"), "--mask is for --colour"),
        (("edit", "in.png", "-o", "out.png", "--colour", "no.png"), "--colour must be an image file or a folder"),
        (("edit", "in.png", "-o", "out.png", "--colour", "in.png"), "nothing in in.png is transparent, so say with --mask"),
        (("edit", "in.png", "-o", "out.png", "--colour", "text.png"), "--colour: text.png: not a readable image"),
    ],
)
def test_wrong_words_and_files(words, message, command, tmp_path):
    write(tmp_path / "in.png", np.zeros((8, 8)))
    (tmp_path / "text.png").write_text("no image")
    status, out, error = command(Made(), *words)
    assert status == 2 and out == "" and message in error and len(error.splitlines()) == 1
    assert not (tmp_path / "out.png").exists()


# ---- models


@pytest.fixture
def run(command, tmp_path, monkeypatch):
    """Runs a command with the run folder of a given model."""
    (tmp_path / "model/config.json").write_text("{}")

    def run(model, *words):
        monkeypatch.setattr(train, "load_run", lambda path, at_best=False: (model, {}))
        return command(None, *words)

    return run


def test_the_run_of_a_gan_is_used_by_optimisation_alone(run, tmp_path, monkeypatch):
    keras.utils.set_random_seed(0)
    gan = DCGAN(image_shape=SHAPE, latent_dim=3, width=4)
    for variable in gan.generator.trainable_variables:  # images that differ
        variable.assign(variable * 4.0)
    gan.compile(ema_decay=0.5)
    (image,) = gan.sample(1).numpy()
    write(tmp_path / "in.png", np.rint(255 * image[..., 0]))
    monkeypatch.setattr(project, "STARTS", 2)
    assert run(gan, "project", "in.png", "-o", "out.png")[0] == 0
    assert np.abs(read(tmp_path / "out.png").astype(float) - 255 * image[..., 0]).mean() < 3


def test_models_that_cannot(run, tmp_path):
    write(tmp_path / "in.png", np.zeros((8, 8)))
    conditional = DCGAN(image_shape=SHAPE, width=4, num_classes=3)
    error = run(conditional, "project", "in.png", "-o", "out.png")[2]
    assert "project: model: generator: DCGAN also takes labels" in error and len(error.splitlines()) == 1
    other = GlimpseClassifier(image_shape=SHAPE, num_classes=3, glimpses=2, hidden=6, read_size=3)
    assert "which is no sampler" in run(other, "project", "in.png", "-o", "out.png")[2]
    (tmp_path / "model/config.json").unlink()
    assert "is not a SavedModel" in run(other, "project", "in.png", "-o", "out.png")[2]


def test_edits_of_another_kind_are_refused(command, tmp_path):
    write(tmp_path / "in.png", np.zeros((8, 8)))
    model = Made()
    model.edit_inputs = ["direction"]
    error = command(model, "edit", "in.png", "-o", "out.png", "--warp", "1,1,2,2")[2]
    assert error == "tfgen edit: model: its edits take direction, and no strokes\n"


def test_an_export_of_a_generator_is_refused_with_a_hint(command, tmp_path, monkeypatch):
    from tfgen.metrics import ExportedModel
    from tfgen.models.capabilities import Sampler

    write(tmp_path / "in.png", np.zeros((8, 8)))
    exported = ExportedModel.__new__(ExportedModel)
    exported.capabilities, exported.metadata = (Sampler,), {"model": "DCGAN"}
    monkeypatch.setattr("tfgen_commands.models._of_export", lambda path: exported)
    error = command(None, "project", "in.png", "-o", "out.png")[2]
    assert "model is an export of a DCGAN, which is no projector; it is: sampler; give the run folder of the" in error
