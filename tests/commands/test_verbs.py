"""The verbs that draw grids, and `classify`: each does what the method of the model does, also with an export."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from tfgen import export, metrics, models, pretrained, sampling
from tfgen.features.text import CharacterEncoder, character_network
from tfgen_commands import models as models_of_commands
from tfgen_commands.main import main

SHAPE = (8, 8, 1)
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 8, 8))
needs_zoo = pytest.mark.skipif(not pretrained.names(), reason="needs the zoo of a checkout")


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Runs a command in a folder with photos; -> (status, stdout, stderr). model: what `load` returns, or None."""
    monkeypatch.chdir(tmp_path)
    for i, pixels in enumerate(IMAGES):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"photos/{i}.png")

    def command(model, *words):
        if model is not None:
            monkeypatch.setattr(models_of_commands, "load", lambda args: (model, None))
            words = (*words, "--model", "mine")
        capsys.readouterr()
        status = main([str(word) for word in words])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return command


def cells(path, rows, columns):
    """The images [rows, columns, 8, 8, 1] in [0, 1] of a grid; ValueError if it has another size."""
    picture = np.asarray(Image.open(path))[1:, 1:, None]
    return picture.reshape(rows, 9, columns, 9, 1).swapaxes(1, 2)[:, :, :8, :8] / 255


def check(path, wanted):
    """Compares a grid with images [rows, columns, H, W, C]."""
    np.testing.assert_allclose(cells(path, *wanted.shape[:2]), wanted, atol=0.51 / 255 + 1e-5)


def photos(*numbers):
    return np.float32(IMAGES[list(numbers), ..., None] / 255)


@pytest.fixture(scope="module")
def style_gan():
    return models.StyleGAN(image_shape=SHAPE, latent_dim=4, w_size=4, max_filters=4, num_classes=3)


@pytest.fixture(scope="module")
def vae():
    return models.VAE(image_shape=SHAPE, hidden=(4,), latent_dim=3)


@pytest.fixture(scope="module")
def info_gan():
    return models.InfoGAN(image_shape=SHAPE, network="mlp", width=4, noise_dim=2, categorical=(3,), continuous=1)


@pytest.fixture(scope="module")
def pixel_cnn():
    return models.GatedPixelCNN(image_shape=SHAPE, levels=5, num_classes=3, width=4, depth=1, first_kernel_size=3)


# ---- samples


def test_rows_of_labels_and_truncations(style_gan, command):
    """A row for each pair, all with the same seeds."""
    words = ("sample", "-o", "a.png", "--labels", "0,2", "--truncation", "1,0.5", "--num", "8", "--seed", "3")
    assert command(style_gan, *words)[:2] == (0, "a.png\n")
    rows = [
        style_gan.sample(2, seed=3, labels=[label] * 2, truncation=psi).numpy() for label in (0, 2) for psi in (1.0, 0.5)
    ]
    check("a.png", np.stack(rows))
    assert command(style_gan, "sample", "-o", "b.png", "--truncation", "0.5", "--num", "6")[0] == 0  # classes in turn
    wanted = style_gan.sample(6, labels=[0, 1, 2, 0, 1, 2], truncation=0.5).numpy()
    check("b.png", wanted.reshape(2, 3, *SHAPE))


def test_codes_of_samples(info_gan, command):
    assert command(info_gan, "sample", "-o", "a.png", "--codes=0-2,-0.5", "--num", "6")[0] == 0
    codes = np.float32([[i, -0.5] for i in (0, 0, 1, 1, 2, 2)])
    check("a.png", info_gan.generate([0, 1] * 3, codes).numpy().reshape(3, 2, *SHAPE))
    assert command(info_gan, "sample", "-o", "b.png", "--codes", "_,0.5", "--num", "4")[0] == 0
    wanted = info_gan.generate(range(4), np.float32([[np.nan, 0.5]] * 4)).numpy()
    check("b.png", wanted.reshape(2, 2, *SHAPE))


def test_other_settings_and_animations(command):
    model = models.GMVAE(image_shape=SHAPE, num_clusters=2, latent_dim=2, style_dim=2, hidden=(4,), free_bits=0.0)
    assert command(model, "sample", "-o", "a.png", "--set", "clusters=0,1", "--num", "4")[0] == 0
    check("a.png", model.generate([0, 1, 0, 1], clusters=[0, 0, 1, 1]).numpy().reshape(2, 2, *SHAPE))
    assert command(model, "sample", "-o", "a.gif", "--set", "clusters=0,1", "--num", "6", "--scale", "2")[0] == 0
    gif = Image.open("a.gif")
    assert gif.n_frames == 3 and gif.size == (2 * (16 + 2) + 2, 16 + 4)


@pytest.mark.long
def test_samples_of_sentences(command, tmp_path):
    """An export with the encoder of its texts draws them; without it, or for other models, the reason is said."""
    network = character_network(4, width=4)
    network.save(tmp_path / "encoder.keras")
    settings = {"embedding_dim": 4, "width": 4, "ups": 0, "discriminator_width": 2, "noise_dim": 2, "condition_dim": 2}
    model = models.StackGANv2(image_shape=SHAPE, **settings)
    model.save(tmp_path / "gan.keras")
    export_it = ("export", "--model", tmp_path / "gan.keras", "--to", "out")
    assert command(None, *export_it, "--text_encoder", "encoder.keras")[0] == 0
    sentences = ["a red one", "two"]
    words = [word for sentence in sentences for word in ("--text", sentence)]
    assert command(None, "sample", "--model", "out", "-o", "a.png", *words, "--num", "4", "--seed", "3")[0] == 0
    vectors = CharacterEncoder(network)(sentences)
    check("a.png", np.stack([model.sample(2, seed=3, embedding=vectors[[k, k]]) for k in (0, 1)]))
    assert "samples of out need --text SENTENCE" in command(None, "sample", "--model", "out", "-o", "b.png")[2]
    assert "ASCII" in command(None, "sample", "--model", "out", "-o", "b.png", "--text", "gr\u00fcn")[2]
    assert command(None, *export_it[:-1], "bare")[0] == 0
    error = command(None, "sample", "--model", "bare", "-o", "b.png", "--text", "one")[2]
    assert "samples of bare need embedding, which this command cannot give" in error
    character_network(5, width=4).save(tmp_path / "wrong.keras")
    error = command(None, *export_it, "--text_encoder", "wrong.keras")[2]
    assert "--text_encoder wrong.keras: text_encoder must be a function from N sentences to vectors [N, 4]" in error
    error = command(None, *export_it[:-1], "x.keras", "--text_encoder", "encoder.keras")[2]
    assert "no part of a file" in error
    error = command(None, "sample", "--model", "out", "-o", "b.png", "--text", "one", "--truncation", "1")[2]
    assert "--text cannot be given with --truncation" in error
    assert "--set takes numbers" in command(None, "sample", "--model", "out", "-o", "b.png", "--set", "text=1")[2]
    assert not (tmp_path / "b.png").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--labels", "1,3"), "--labels must be whole numbers in [0, 2]; received 3"),
        (("--codes", "1"), "--codes is no setting of the samples of mine, a StyleGAN; it takes labels, truncation"),
        (("--set", "level=0"), "--set level is no setting of the samples of mine, a StyleGAN; it takes labels, truncation"),
        (("--labels", "0-2", "--num", "8"), "--num must be a multiple of the 3 rows and at most 10000; received 8"),
        (("--labels", "0", "--set", "labels=1"), "give --labels or --set labels=LIST, not both"),
        (("--set", "level=1", "--set", "level=0"), "--set level: got 2 values, expected one"),
    ],
)
def test_wrong_settings_of_samples(words, message, style_gan, command, tmp_path):
    status, out, error = command(style_gan, "sample", "-o", "x.png", *words)
    assert status == 2 and out == "" and message in error and len(error.splitlines()) == 1
    assert not (tmp_path / "x.png").exists()


def test_wrong_codes(info_gan, command):
    for codes, message in (
        ("3", "--codes: category_0 must be whole numbers in [0, 2]; received 3"),
        ("0.5", "--codes: category_0 must be whole numbers in [0, 2]; received 0.5"),
        ("1,0,0", "--codes must be at most 2 values, of category_0, continuous_0; received 3"),
    ):
        status, _, error = command(info_gan, "sample", "-o", "x.png", "--codes", codes)
        assert status == 2 and message in error and len(error.splitlines()) == 1
    for reach in ("0", "-1"):  # a BigGAN's threshold; its signature takes 0 for none
        gan = models.BigGAN(image_shape=SHAPE, width=2, latent_dim=4, shared_dim=2)
        error = command(gan, "sample", "-o", "x.png", f"--truncation={reach}")[2]
        assert f"--truncation must be numbers > 0; received {reach}" in error


# ---- images


@pytest.mark.parametrize(("keep", "known"), [("top", np.s_[:4]), ("right", np.s_[:, 4:])])
def test_complete(keep, known, pixel_cnn, command):
    words = ("complete", "photos/0.png", "photos/2.png", "-o", "a.png", "--num", "2", "--label", "1", "--seed", "4")
    assert command(pixel_cnn, *words, "--keep", keep)[:2] == (0, "a.png\n")
    images, mask = np.float32(np.rint(photos(0, 2) * 4) / 4), np.zeros((8, 8), bool)
    mask[known] = True
    made = pixel_cnn.complete(images, mask, num=2, seed=4, labels=[1, 1]).numpy()
    shown = np.where(mask[..., None], images, 0.5)
    check("a.png", np.concatenate([images[:, None], shown[:, None], made], axis=1))


def test_complete_with_a_mask_of_a_file(pixel_cnn, command):
    mask = np.eye(8, dtype=bool)
    Image.fromarray(255 * mask.astype(np.uint8)).save("mask.png")
    words = ("complete", "photos/1.png", "-o", "a.png", "--label", "0", "--num", "1")
    assert command(pixel_cnn, *words, "--mask", "mask.png")[0] == 0
    found, wanted = cells("a.png", 1, 3)[0, ..., 0], np.rint(photos(1)[0, ..., 0] * 4) / 4
    np.testing.assert_allclose(found[2][mask], wanted[mask], atol=0.51 / 255)
    np.testing.assert_allclose(found[1][~mask], 0.5, atol=0.51 / 255)
    assert "--label must be a class of the model, a whole number in [0, 2]; received none" in command(
        pixel_cnn, "complete", "photos/1.png", "-o", "x.png", "--keep", "top"
    )[2]  # fmt: skip
    Image.fromarray(np.full((8, 8), 255, np.uint8)).save("mask.png")
    assert "white everywhere, so that nothing is unknown" in command(pixel_cnn, *words, "--mask", "mask.png")[2]


def test_reconstruct(vae, command):
    assert command(vae, "reconstruct", "photos", "-o", "a.png")[:2] == (0, "a.png\n")
    check("a.png", np.stack([photos(0, 1, 2), vae.reconstruct(photos(0, 1, 2)).numpy()], axis=1))


def test_classify(info_gan, command):
    images = photos(2, 0, 1, 2)
    status, out, _ = command(info_gan, "classify", "photos/2.png", "photos")
    best, probabilities = info_gan.classify(images).numpy(), info_gan.predict(images, verbose=0)
    lines = [line.split("\t") for line in out.splitlines()]
    assert status == 0 and [line[0] for line in lines] == ["photos/2.png", *(f"photos/{i}.png" for i in range(3))]
    assert [int(line[1]) for line in lines] == best.tolist()
    np.testing.assert_allclose([float(line[2]) for line in lines], probabilities.max(axis=1), atol=1e-4)
    found = json.loads(command(info_gan, "classify", "photos/0.png", "--json")[1])
    np.testing.assert_allclose(found[0]["probabilities"], probabilities[1], rtol=1e-4)
    assert found[0]["class"] == best[1] and found[0]["probability"] == max(found[0]["probabilities"])


# ---- latents


def test_interpolate(vae, style_gan, command):
    words = ("--label", "2", "--frames", "4", "--rule", "slerp")
    assert command(style_gan, "interpolate", "3", "5", "-o", "a.png", *words)[0] == 0
    points = sampling.latent_path(*style_gan.latents([3, 5]).numpy(), 4, rule="slerp").astype(np.float32)
    check("a.png", style_gan.decode_images(points, labels=[2] * 4).numpy()[None])
    assert command(vae, "interpolate", "photos/0.png", "photos/2.png", "-o", "b.png", "--frames", "3")[0] == 0
    points = sampling.latent_path(*vae.codes(photos(0, 2)).numpy(), 3).astype(np.float32)
    check("b.png", vae.decode_images(points).numpy()[None])


def test_traverse(vae, info_gan, command):
    words = ("--latents", "2,0", "--frames", "3", "--reach", "1.5", "--seed", "7")
    assert command(vae, "traverse", "-o", "a.png", *words)[0] == 0
    points = np.tile(vae.latents([7]).numpy(), (6, 1))
    points[:3, 2] += [-1.5, 0, 1.5]
    points[3:, 0] += [-1.5, 0, 1.5]
    check("a.png", vae.decode_images(points).numpy().reshape(2, 3, *SHAPE))
    assert command(vae, "traverse", "-o", "b.png", "--image", "photos/1.png", "--frames", "3")[0] == 0
    middle = vae.decode_images(vae.codes(photos(1))).numpy()
    np.testing.assert_allclose(cells("b.png", 3, 3)[:, 1], np.repeat(middle, 3, axis=0), atol=0.51 / 255 + 1e-5)
    for code, rows in ((0, 4), (1, 2)):
        words = ("--code", code, "--rows", rows, "--frames", "5", "--reach", "1", "--seed", "2")
        assert command(info_gan, "traverse", "-o", "c.png", *words)[0] == 0
        values = None if code == 0 else np.linspace(-1, 1, 5)
        check("c.png", info_gan.traversal(code, values, rows=rows, seed=2).numpy())


def test_mix(style_gan, command):
    words = ("--rows", "0,1", "--columns", "5-7", "--layers", "1", "--label", "1", "--truncation", "0.5")
    assert command(style_gan, "mix", "-o", "a.png", *words)[0] == 0
    labels = {"row_labels": [1] * 2, "column_labels": [1] * 3}
    check("a.png", sampling.mixing_matrix(style_gan, [0, 1], [5, 6, 7], [1], **labels, truncation=0.5))


@pytest.mark.parametrize(
    ("model", "words", "message"),
    [
        ("vae", ("complete", "photos", "-o", "x.png", "--keep", "top"), "mine is a VAE, which is no completer; it is: samp"),
        ("vae", ("classify", "photos"), "mine is a VAE, which is no classifier; it is: sampler, encoder, likelihood"),
        ("vae", ("mix", "-o", "x.png"), "mine is a VAE, which cannot mix styles: it has no signature mix"),
        ("vae", ("traverse", "-o", "x.png", "--code", "0"), "mine is a VAE, which cannot show a code: it has no signature"),
        ("vae", ("traverse", "-o", "x.png", "--latents", "3"), "--latents must be whole numbers in [0, 2]; received 3"),
        ("vae", ("traverse", "-o", "x.png", "--rows", "3"), "--rows is for --code"),
        ("vae", ("traverse", "-o", "x.png", "--image", "photos/0.png", "--code", "0"), "--code shows no --image"),
        ("vae", ("interpolate", "1", "photos/0.png", "-o", "x.png"), "two seeds or two image files, not one of each"),
        ("vae", ("interpolate", "1", "2", "-o", "x.png", "--label", "0"), "--label is for models that take a class"),
        ("vae", ("reconstruct", "nothing.png", "-o", "x.png"), "input must be an image file or a folder; there is no"),
        ("vae", ("reconstruct", "empty", "-o", "x.png"), "input: empty holds no images"),
        ("vae", ("reconstruct", "big.png", "-o", "x.png"), "input: big.png: the model takes 8 x 8 pixels, and this"),
        ("info_gan", ("reconstruct", "photos", "-o", "x.png"), "mine is an InfoGAN, which is no encoder; it is"),
        ("info_gan", ("traverse", "-o", "x.png", "--code", "2"), "--code must be a whole number in [0, 1]; received 2"),
        ("style_gan", ("mix", "-o", "x.png", "--layers", "9"), "--layers must be whole numbers in [0, 3]; received 9"),
        ("style_gan", ("interpolate", "1", "2", "-o", "x.png", "--label", "3"), "whole number in [0, 2]; received 3"),
        ("pixel_cnn", ("interpolate", "1", "2", "-o", "x.png"), "draws pixel by pixel: there is no way between its latents"),
    ],
)
def test_what_a_model_cannot(model, words, message, command, request, tmp_path):
    (tmp_path / "empty").mkdir()
    Image.fromarray(np.zeros((9, 12), np.uint8)).save(tmp_path / "big.png")
    status, out, error = command(request.getfixturevalue(model), *words)
    assert status == 2 and out == "" and message in error and len(error.splitlines()) == 1, error
    assert not (tmp_path / "x.png").exists()


# ---- places of models


def test_an_export_does_the_same(style_gan, info_gan, command, tmp_path):
    """Of signatures with and without classes; one that it lacks is named."""
    words = {
        style_gan: [("sample", "--truncation", "0.5", "--num", "4"), ("mix", "--label", "0"),
                    ("interpolate", "1", "2", "--label", "0")],
        info_gan: [("traverse", "--code", "1", "--rows", "2"), ("sample", "--codes", "1", "--num", "4")],
    }  # fmt: skip
    for model, lines in words.items():
        exported = metrics.load_exported(export.export_saved_model(model, tmp_path / type(model).__name__, warmup=False))
        for line in lines:
            pictures = []
            for one in (model, exported):
                assert command(one, *line, "-o", "a.png")[0] == 0
                pictures.append(np.asarray(Image.open("a.png"), int))
            assert np.abs(pictures[0] - pictures[1]).max() <= 1
        status, _, error = command(exported, "complete", "photos", "-o", "x.png", "--keep", "top")
        name = type(model).__name__
        assert status == 2 and re.search(f"mine is an export of an? {name}, which is no completer; it is: sampler", error)
    found = json.loads(command(exported, "classify", "photos/0.png", "--json")[1])
    np.testing.assert_allclose(found[0]["probabilities"], info_gan.predict(photos(0), verbose=0)[0], rtol=1e-4)


@needs_zoo
def test_weights_by_name_are_evaluated_and_served(command, tmp_path):
    words = ("evaluate", "--preset", "vae/digits", "--metrics", "swd", "--n_real", "60", "--no_cache", "--out", "a.json")
    status, out, _ = command(None, *words)
    assert status == 0 and "protocol: data digits" in out and "n_fake 60" in out
    assert json.loads((tmp_path / "a.json").read_text())["evaluated"] == "vae/digits"
    pytest.importorskip("grpc")
    from tfgen_serving.client import Client
    from tfgen_serving.server import main as server

    with server.start(["--preset=vae/digits", "--model_name=vae", "--port=0"]) as running:
        with Client(f"127.0.0.1:{running.grpc_port}", "vae") as client:
            served = client.sample([0, 1])
    np.testing.assert_allclose(served, pretrained.from_preset("vae/digits").sample(2), atol=1e-5)


@needs_zoo
def test_every_place_of_a_model(command, tmp_path):
    """A preset's name, its own folder, a .keras file, an exported folder."""
    assert command(None, "export", "--preset", "vae/digits", "--to", "vae.keras")[0] == 0
    assert command(None, "export", "--model", "vae/digits", "--to", "exported")[0] == 0
    pretrained.from_preset("vae/digits").save_to_preset(tmp_path / "mine")
    pictures = []
    for name in ("vae/digits", "mine", "vae.keras", "exported"):
        assert command(None, "sample", "--model", name, "-o", "a.png", "--num", "4")[0] == 0
        pictures.append(np.asarray(Image.open("a.png"), int))
    assert max(np.abs(picture - pictures[0]).max() for picture in pictures) <= 1
    (tmp_path / "text.keras").write_text("no model")
    for place, message in (
        ("photos", "photos is not a SavedModel"), ("vae/digit", "--model: There is no trained model 'vae/digit'. Did you"),
        ("vae/mnist", "has no trained weights here"), ("photos/0.png", "a model in one file is a .keras file"),
        ("text.keras", "--model: "),
    ):  # fmt: skip
        status, _, error = command(None, "sample", "--model", place, "-o", "x.png")
        assert status == 2 and message in error and len(error.splitlines()) == 1, error
    for words, message in ((("--workdir", "mine"), "damaged"), (("--preset", "exported"), "is no trained model: it has no")):
        status, _, error = command(None, "sample", *words, "-o", "x.png")
        assert status == 2 and message in error
    error = command(None, "export", "--model", "exported", "--to", "again")[2]
    assert "--model: exported is exported already" in error
