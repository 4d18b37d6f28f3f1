"""Trained models in folders: what is saved is what comes back, and nothing else does."""

import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.seeds import set_seed
from tfgen import pretrained
from tfgen.files import sha256
from tfgen.training.state import named_variables

SMALL = {"image_shape": (8, 8, 1), "hidden": (8,), "latent_dim": 2}
HERE = pytest.mark.skipif(not pretrained.names(), reason="needs the zoo of a checkout")


class OwnVAE(tfgen.models.VAE):
    """A model that tfgen does not know."""


def trained(model_class=tfgen.models.VAE, **compiled):
    set_seed(0)
    model = model_class(**SMALL)
    model.compile(**compiled)
    model.fit(tf.round(tf.random.stateless_uniform([8, 8, 8, 1], (0, 0))), epochs=3, batch_size=4, verbose=0)
    return model


def values(model):
    return {name: np.array(variable) for name, variable in named_variables(model).items()}


@pytest.fixture(scope="module")
def model():
    return trained()


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    return model.save_to_preset(tmp_path_factory.mktemp("saved") / "mine", card="# Mine\n", metadata={"licence": "MIT"})


def copied(saved, folder):
    folder.mkdir()
    for path in saved.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


# ---- what comes back


@pytest.mark.parametrize("load", [tfgen.from_preset, tfgen.models.VAE.from_preset, pretrained.read])
def test_the_same_model_comes_back(model, saved, load):
    found = load(saved)
    assert type(found) is tfgen.models.VAE and not found.compiled
    assert values(found).keys() == values(model).keys()
    for name, value in values(model).items():
        np.testing.assert_array_equal(values(found)[name], value, err_msg=name)
    np.testing.assert_array_equal(found.sample(3, seed=1), model.sample(3, seed=1))


def test_metadata(model, saved):
    content = json.loads((saved / "metadata.json").read_text())
    assert (content["weights"], content["dtype"], content["step"], content["licence"]) == ("as trained", "float32", 6, "MIT")
    assert content["parameters"] == model.count_params()
    assert content["sha256"] == {p.name: sha256(p) for p in saved.iterdir() if p.name != "metadata.json"}
    assert (saved / "README.md").read_text() == "# Mine\n"


def test_averages_are_saved_as_the_weights(tmp_path):
    model = trained(ema_decay=0.5)
    with model.ema.swapped():
        wanted = values(model)
    assert any(np.any(wanted[name] != value) for name, value in values(model).items())
    found = tfgen.from_preset(model.save_to_preset(tmp_path / "mine"))
    for name, value in wanted.items():
        np.testing.assert_array_equal(values(found)[name], value, err_msg=name)
    assert json.loads((tmp_path / "mine" / "metadata.json").read_text())["weights"] == "averaged"


def test_float16_is_of_half_the_size_and_trains_on_in_float32(tmp_path):
    set_seed(0)
    model = tfgen.models.VAE(image_shape=(8, 8, 1))
    folders = [model.save_to_preset(tmp_path / dtype, dtype=dtype) for dtype in pretrained.DTYPES]
    sizes = [(folder / "model.weights.h5").stat().st_size for folder in folders]
    assert sizes[1] < 0.55 * sizes[0]
    found = tfgen.from_preset(folders[1])
    assert all(v.dtype == "float32" for v in found.trainable_variables)
    for name, value in values(model).items():
        wanted = value.astype("float16").astype("float32") if value.dtype == np.float32 else value
        np.testing.assert_array_equal(values(found)[name], wanted, err_msg=name)
    found.compile()
    found.fit(tf.zeros([4, 8, 8, 1]), verbose=0)
    assert any(np.any(v != v.astype("float16")) for v in values(found).values())


def test_training_goes_on_where_the_count_of_steps_stands(model, saved):
    assert int(tfgen.from_preset(saved).step.value) == int(model.step.value) == 6


def test_a_model_of_ones_own(tmp_path):
    saved = trained(OwnVAE).save_to_preset(tmp_path / "own")
    assert type(OwnVAE.from_preset(saved)) is OwnVAE
    with pytest.raises(ValueError, match=r"a OwnVAE, which is no model of tfgen: load it by OwnVAE\.from_preset"):
        tfgen.from_preset(saved)


def test_a_base_class_takes_the_models_of_its_kind(saved):
    assert type(tfgen.models.TrainableModel.from_preset(saved)) is tfgen.models.VAE
    with pytest.raises(ValueError, match="has a VAE, not a DCGAN"):
        tfgen.models.DCGAN.from_preset(saved)


# ---- what must not come back


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5", "README.md"])
def test_a_changed_file_is_named_with_both_hashes(saved, tmp_path, name):
    folder = copied(saved, tmp_path / "copy")
    before = sha256(folder / name)
    with open(folder / name, "ab") as file:
        file.write(b" ")
    with pytest.raises(ValueError, match=rf"{name} has the sha256 {sha256(folder / name)}; metadata\.json has {before}"):
        tfgen.from_preset(folder)


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5", "metadata.json", "README.md"])
def test_a_missing_file_is_named(saved, tmp_path, name):
    folder = copied(saved, tmp_path / "copy")
    (folder / name).unlink()
    with pytest.raises(ValueError, match=name):
        tfgen.from_preset(folder)


def test_hashes_must_be_there(saved, tmp_path):
    folder = copied(saved, tmp_path / "copy")
    content = json.loads((folder / "metadata.json").read_text())
    for hashes in ({}, {"config.json": content["sha256"]["config.json"]}):
        (folder / "metadata.json").write_text(json.dumps({**content, "sha256": hashes}))
        with pytest.raises(ValueError, match=r"must have the sha256 of config\.json and model\.weights\.h5; it lacks"):
            tfgen.from_preset(folder)


def test_nothing_is_overwritten_and_nothing_is_left_half_written(model, saved, tmp_path, monkeypatch):
    with pytest.raises(FileExistsError, match="never overwritten"):
        model.save_to_preset(saved)
    monkeypatch.setattr(pretrained, "halve", lambda path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model.save_to_preset(tmp_path / "mine", dtype="float16")
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="dtype must be one of float32, float16; received 'int8'"):
        model.save_to_preset(tmp_path / "mine", dtype="int8")


@pytest.mark.parametrize(
    "given, message",
    [
        ("vae/imagenet", r"There is no trained model 'vae/imagenet'.*Give a folder"),
        ("vae/mnist", r"'vae/mnist' has no trained weights here; presets\.get\('vae/mnist'\)\.build\(\) makes"),
        ("hf://nobody", r"hf://USER/REPO or hf://USER/REPO@REVISION; received hf://nobody"),
        ("https://nowhere.invalid/a.zip", "needs the sha256 of the file"),
    ],
)
def test_sources_that_are_none(given, message):
    with pytest.raises(ValueError, match=message):
        tfgen.from_preset(given)


def test_a_folder_takes_no_hash(saved):
    with pytest.raises(ValueError, match="sha256 is that of a .zip at a URL"):
        tfgen.from_preset(saved, sha256="0" * 64)


# ---- from elsewhere


def test_a_zip_is_downloaded_with_permission_and_only_once(model, saved, tmp_path):
    archive = tmp_path / "mine.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in saved.iterdir():
            file.write(path, f"some/folder/{path.name}")
        file.writestr("../outside.txt", "no")
    given = {"sha256": sha256(archive), "cache": tmp_path / "cache"}
    with pytest.raises(ValueError, match="allow the download"):
        tfgen.from_preset(archive.as_uri(), **given)
    for allowed in (True, False):
        found = tfgen.from_preset(archive.as_uri(), allow_download=allowed, **given)
        np.testing.assert_array_equal(found.sample(2, seed=0), model.sample(2, seed=0))
        archive.unlink(missing_ok=True)
    assert not list(tmp_path.rglob("outside.txt"))


@HERE
def test_an_entry_of_the_zoo_can_be_sent_as_a_zip(tmp_path):
    entry = pretrained._folder("vae/digits", None, False, None)
    archive = tmp_path / "entry.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in entry.iterdir():
            file.write(path, path.name)
    found = tfgen.from_preset(archive.as_uri(), sha256=sha256(archive), allow_download=True, cache=tmp_path / "cache")
    np.testing.assert_array_equal(found.sample(2), tfgen.from_preset("vae/digits").sample(2))


def test_what_is_no_zip(tmp_path):
    (tmp_path / "mine.zip").write_text("no")
    with pytest.raises(ValueError, match="no .zip of a trained model"):
        tfgen.from_preset(
            (tmp_path / "mine.zip").as_uri(), sha256=sha256(tmp_path / "mine.zip"), allow_download=True, cache=tmp_path / "c"
        )


def test_the_hub_is_asked_with_permission_only(model, saved, monkeypatch):
    asked = []

    class Hub:
        @staticmethod
        def snapshot_download(repo, *, revision, local_files_only, allow_patterns, cache_dir):
            asked.append((repo, revision, local_files_only))
            assert "model.weights.h5" in allow_patterns
            if local_files_only:
                raise OSError("not in the cache")
            return str(saved)

    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", Hub)
    found = tfgen.from_preset("hf://me/my-vae@v1.0", allow_download=True)
    np.testing.assert_array_equal(found.sample(2, seed=0), model.sample(2, seed=0))
    with pytest.raises(ValueError, match=r"hf://me/my-vae could not be had: not in the cache Pass allow_download=True"):
        tfgen.from_preset("hf://me/my-vae")
    assert asked == [("me/my-vae", "v1.0", False), ("me/my-vae", None, True)]


def test_without_the_client_of_the_hub(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match="pip install huggingface_hub"):
        tfgen.from_preset("hf://me/my-vae", allow_download=True)


# ---- the zoo


@HERE
def test_presets_of_the_zoo_are_presets_and_draw_images():
    assert set(pretrained.names()) <= set(tfgen.presets.names())
    model = tfgen.models.VAE.from_preset("vae/digits")
    assert tuple(model.get_config()["image_shape"]) == tfgen.presets.get("vae/digits").model_args["image_shape"]
    digits = tfgen.data.load("digits", "test").images()
    error = float(np.mean((np.array(model.reconstruct(digits)) - digits) ** 2))
    assert error < 0.6 * float(np.mean((digits.mean(axis=0) - digits) ** 2))


def test_another_zoo(model, tmp_path, monkeypatch):
    model.save_to_preset(tmp_path / "one", metadata={"training": {"config": {"preset": "vae/mnist"}}})
    monkeypatch.setenv("TFGEN_ZOO", str(tmp_path))
    assert pretrained.names() == ["vae/mnist"]
    assert tfgen.from_preset("vae/mnist").latent_dim == 2
    keras.utils.clear_session()
