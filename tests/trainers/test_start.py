"""Trainings that start from other weights, and that leave some weights as they are."""

import json
import shutil

import numpy as np
import pytest

import tfgen
from tfgen.models import DCGAN, VAE
from tfgen_trainers import start
from tfgen_trainers.train import TrainConfig, load_run, train

TINY = {"hidden": (4,), "latent_dim": 2, "batch_size": 20, "binarization": "dynamic"}


def config(steps, overrides=None, **settings):
    return TrainConfig("vae/digits", {**TINY, **(overrides or {})}, steps, log_every=2, checkpoint_every=2, **settings)


def values(model):
    return {name: np.array(v) for name, v in start.weights_of(model).items()}


@pytest.fixture(scope="module")
def source():
    return tfgen.data.load("digits")


@pytest.fixture(scope="module")
def trained(source, tmp_path_factory):
    """(the run folder, its averaged weights)"""
    folder = tmp_path_factory.mktemp("start") / "run"
    model = train(config(2, {"ema_decay": 0.5}), source, folder, report=None).model
    with model.ema.swapped():
        return folder, values(model)


def test_a_run_starts_from_the_averages_of_another_and_goes_on(trained, source, tmp_path, monkeypatch):
    folder, weights = trained
    seen = []
    fit = VAE.fit
    monkeypatch.setattr(VAE, "fit", lambda self, *a, **k: (seen.append(values(self)), fit(self, *a, **k))[1])
    monkeypatch.chdir(folder.parent)
    mine = config(2, init_from="run", freeze=("encoder/*",), seed=1)
    result = train(mine, source, tmp_path / "new", report=None)
    for name, value in weights.items():
        np.testing.assert_array_equal(seen[0][name], value, err_msg=name)
    after = values(result.model)
    changed = {name for name in weights if (after[name] != weights[name]).any()}
    assert changed == {name for name in weights if not name.startswith("encoder/")} and len(changed) < len(weights)

    record = json.loads((tmp_path / "new/config.json").read_text())
    assert record["config"]["init_from"] == record["start"]["from"] == str(folder) and record["start"]["step"] == 2
    assert record["run"]["freeze"] == ["encoder/*"] and len(record["start"]["weights"]) == 64
    on = train(config(4, init_from="run", freeze=("encoder/*",), seed=1), source, tmp_path / "new", report=None)
    assert on.step == 4 and (values(on.model)["encoder/hidden_0/kernel"] == weights["encoder/hidden_0/kernel"]).all()
    for name in changed:
        np.testing.assert_array_equal(seen[1][name], after[name], err_msg="resumed, and not begun again")
    for other in (config(4, seed=1), config(4, init_from="run", seed=1)):
        with pytest.raises(ValueError, match=r"holds another run; it differs in .*freeze: \['encoder/\*'\] there, None now"):
            train(other, source, tmp_path / "new", report=None)
    assert load_run(tmp_path / "new")[1] == record


@pytest.mark.long
def test_a_start_that_never_came_to_a_checkpoint_is_that_of_the_same_weights(trained, source, tmp_path):
    shutil.copytree(trained[0], tmp_path / "copy")
    mine = config(2, init_from=str(tmp_path / "copy"))
    train(mine, source, tmp_path / "new", report=None)
    shutil.rmtree(tmp_path / "new/checkpoints")
    train(config(4, {"ema_decay": 0.5}), source, tmp_path / "copy", report=None)
    with pytest.raises(ValueError, match="no checkpoint yet, and the weights of .*copy have changed since it was begun"):
        train(mine, source, tmp_path / "new", report=None)


def test_weights_of_a_folder_and_of_other_shapes(trained, tmp_path):
    model = VAE(image_shape=(8, 8, 1), hidden=(4,), latent_dim=2, seed=3)
    saved = model.save_to_preset(tmp_path / "saved")
    found = start.initial_weights(str(saved), model)
    assert found.values.keys() == values(model).keys()
    assert not {"step", "bad_step"} & found.values.keys()
    message = (
        r"init_from='.*saved', a VAE, does not fit this VAE: for the weight encoder/hidden_0/kernel expected the shape "
        r"\(64, 5\), found the shape \(64, 4\)"
    )
    with pytest.raises(ValueError, match=message):
        start.initial_weights(str(saved), VAE(image_shape=(8, 8, 1), hidden=(5,), latent_dim=2))
    deeper = VAE(image_shape=(8, 8, 1), hidden=(4, 4), latent_dim=2)
    with pytest.raises(ValueError, match=r"encoder/hidden_1/kernel expected the shape .*, found no such weight"):
        start.initial_weights(str(saved), deeper)
    with pytest.raises(ValueError, match=r"expected no such weight, found the shape"):
        start.initial_weights(str(deeper.save_to_preset(tmp_path / "deeper")), model)
    with pytest.raises(ValueError, match=r"init_from must be a run folder with a checkpoint.*no trained model 'nothing'"):
        start.initial_weights("nothing", model)


def test_frozen_layers_keep_their_statistics(source):
    gan = DCGAN(image_shape=(8, 8, 1), width=4, stages=1, latent_dim=2)
    gan.compile()
    names = list(start.weights_of(gan))
    assert any("moving_mean" in name for name in names if name.startswith("generator/"))
    start.freeze(gan, ["generator/*moving*", "generator/*gamma*", "generator/*beta*", "discriminator/logit/*"])
    before = values(gan)
    gan.fit(source.batches(20), steps_per_epoch=2, verbose=0)
    after = values(gan)
    same = {name for name in names if (after[name] == before[name]).all()}
    norm = {name for name in names if name.startswith("generator/") and name.endswith(("gamma", "beta", "mean", "variance"))}
    assert len(norm) == 4 and same == norm | {"discriminator/logit/kernel"}


def test_patterns_that_freeze_nothing_or_everything():
    model = VAE(image_shape=(8, 8, 1), hidden=(4,), latent_dim=2)
    model.compile()
    with pytest.raises(ValueError, match=r"freeze='encode/\*' must match weights of the VAE; it matches none of encoder/"):
        start.freeze(model, ["encode/*"])
    with pytest.raises(ValueError, match=r"freeze=encoder/\*, decoder/\* leaves the player 'model' no weight to train"):
        start.freeze(model, ["encoder/*", "decoder/*"])
