"""The best snapshot: of held-out images, beside the last one, and whole at every moment."""

import json
import os

import numpy as np
import pytest

import tfgen
from tfgen.models import DCGAN, VAE, TrainableModel
from tfgen.models.capabilities import Encoder
from tfgen_trainers import best
from tfgen_trainers.train import TrainConfig, load_run, train

TINY = {"hidden": (4,), "latent_dim": 2, "batch_size": 20, "binarization": "threshold", "ema_decay": 0.5}


@pytest.fixture(scope="module")
def source():
    return tfgen.data.load("digits")


def test_held_out_images_are_a_part_of_those_to_train_on(source):
    train_part, held_out = best.split(source, seed=0)
    assert (train_part.num_examples, held_out.num_examples) == (1260, 140)
    both = np.concatenate([train_part.images(), held_out.images()]).reshape(1400, -1)
    np.testing.assert_array_equal(np.sort(both, axis=0), np.sort(source.images().reshape(1400, -1), axis=0))
    assert best.split(source, seed=0)[1].fingerprint == held_out.fingerprint != best.split(source, seed=1)[1].fingerprint
    with pytest.raises(ValueError, match="keep_best holds 2 images out; .* has only 3"):
        best.split(source.subset([0, 1, 2]), seed=0)


def test_metrics_that_a_model_does_not_have():
    for metric, model, message in (
        ("kidd", VAE, "keep_best must be one of kid, fid, score, swd, accuracy, .*; received 'kidd'"),
        ("bits_per_dim", DCGAN, "'bits_per_dim' is no metric of a DCGAN; its metrics are: kid, fid, score, swd"),
    ):
        with pytest.raises(ValueError, match=message):
            best.check(metric, model)
    with pytest.raises(ValueError, match="'kid' is no metric of a Coder; its metrics are: reconstruction_error"):
        best.check("kid", type("Coder", (Encoder, TrainableModel), {}))
    gan = DCGAN(image_shape=(8, 8, 1), width=4, stages=1, latent_dim=2)
    gan.concluded_by_data = True
    with pytest.raises(ValueError, match="this DCGAN is complete only after its last step"):
        best.check_fits("kid", gan, None)
    gan.concluded_by_data = False
    unlabelled = tfgen.data.from_arrays(np.zeros([9, 8, 8, 1], "uint8"), name="black")
    with pytest.raises(ValueError, match="'kid' needs labels, for a classifier; black has none"):
        best.check_fits("kid", gan, unlabelled)
    best.check_fits("swd", gan, unlabelled)
    with pytest.raises(ValueError, match="swd needs images of at least 7 pixels"):
        best.check_fits("swd", gan, tfgen.data.from_arrays(np.zeros([9, 6, 6, 1], "uint8")))
    with pytest.raises(ValueError, match="must be one of kid"):
        TrainConfig("vae/digits", keep_best="loss").resolve()


@pytest.mark.long
def test_a_run_keeps_the_best_beside_the_last(source, tmp_path, monkeypatch):
    steps = {2: 3.0, 4: 1.0, 6: 2.0, 8: 0.5}
    real = best.measure

    def measure(*args):
        assert args[2].num_examples == 140
        measured = real(*args)

        def value(model):
            step = int(model.step.value.numpy())
            seen[step] = measured(model)
            return steps[step]

        return value

    seen = {}
    monkeypatch.setattr(best, "measure", measure)
    config = lambda n: TrainConfig("vae/digits", TINY, n, log_every=2, keep_best="reconstruction_error", evaluate_every=2)  # noqa: E501, E731
    lines = []
    train(config(6), source, tmp_path, report=lines.append)
    content = json.loads((tmp_path / "best/evaluations.json").read_text())
    assert content == {"metric": "reconstruction_error", "held_out": 140, "values": {"2": 3.0, "4": 1.0, "6": 2.0}}
    assert "step 4: reconstruction_error 1 of held-out images, the best so far" in lines
    kept, _ = load_run(tmp_path, at_best=True)
    assert (int(kept.step), int(load_run(tmp_path)[0].step)) == (4, 6)
    train_part, held_out = best.split(source, 0)
    with kept.ema.swapped():
        again = real("reconstruction_error", train_part, held_out, config(6).resolve(), 0, tmp_path / "best")(kept)
    assert again == pytest.approx(seen[4]) and 0 < again < 1
    train(config(8), source, tmp_path, report=None)
    assert int(load_run(tmp_path, at_best=True)[0].step) == 8
    with pytest.raises(ValueError, match="holds another run; it differs in .*keep_best: 'reconstruction_error' there, None"):
        train(TrainConfig("vae/digits", TINY, 8), source, tmp_path, report=None)


def test_a_kill_at_any_moment_leaves_a_whole_snapshot(tmp_path, monkeypatch):
    model = VAE(image_shape=(8, 8, 1), hidden=(4,), latent_dim=2)
    model.compile()
    values, replace, calls = {2: 3.0, 4: 1.0}, os.replace, []

    def keeper(folder):
        made = best.KeepBest(model, folder, "swd", lambda model: values[int(model.step)], every_steps=2, held_out=2)
        made.set_params({"epochs": 9})
        return made

    def reach(folder, step):
        model.step.assign(step - 2)
        made = keeper(folder)
        made.on_train_begin()
        model.step.assign(step)
        made.on_epoch_end(0)

    def killed(number, after):
        def call(*args):
            calls.append(args)
            if len(calls) == number and after:
                replace(*args)
            if len(calls) == number:
                raise KeyboardInterrupt
            replace(*args)

        return call

    reach(tmp_path / "whole", 2)
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", killed(0, False))
        reach(tmp_path / "whole", 4)
    writes = len(calls)
    assert writes >= 2 and keeper(tmp_path / "whole").best() == 1.0
    for number in range(1, writes + 1):
        for after in (False, True):
            folder = tmp_path / f"{number}-{after}"
            reach(folder, 2)
            calls.clear()
            with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
                patched.setattr(os, "replace", killed(number, after))
                reach(folder, 4)
            found = keeper(folder)
            assert found.best() == (1.0 if number == writes and after else 3.0)
            assert found.snapshots.restore() == (4 if found.best() == 1.0 else 2)
            reach(folder, 4)
            assert keeper(folder).best() == 1.0 and keeper(folder).snapshots.restore() == 4
            assert len(list((folder / "best").glob("ckpt-*.index"))) == 1
