import json
import types

import numpy as np
import pytest
from PIL import Image

import tfgen
from benchmarks.reproduce import compression


def test_psnr_of_a_mean_squared_error_of_one():
    image = np.full((4, 4, 3), 7, np.uint8)
    assert compression.psnr(image, image + 1) == pytest.approx(48.1308, abs=1e-3)


def test_the_size_of_crops_is_chosen_by_training_photos(tmp_path, monkeypatch):
    best = 128  # the presets have 256
    for i in range(8):
        Image.fromarray(np.full((4, 4, 3), i, np.uint8)).save(tmp_path / f"kodim0{i + 1}.png")
    trained, judged, kept = {}, {}, []

    def crops(photos, *, size, num, seed):
        return size, [int(str(photo)[-5]) - 1 for photo in photos]

    def train(config, source, workdir):
        trained[workdir.name] = (*source, config.resolve().batch_size)
        return types.SimpleNamespace(step=config.steps, model=workdir.name)

    def measure_codec(codec, photos):
        judged[codec] = [int(photo[0, 0, 0]) for photo in photos]
        rate = 0.1 + len(judged) / 100
        one = {"bits_per_pixel": rate, "estimated_bits_per_pixel": rate, "ms_ssim": 0.9}
        one["psnr_db"] = len(judged) + (20.0 if f"crops-{best}" in codec else 10.0)
        return {**one, "photos": [one] * len(photos)}

    monkeypatch.setattr(tfgen.data, "crops", crops)
    for name, stand_in in (
        ("train", train), ("measure_codec", measure_codec), ("codec_for_writing", lambda workdir: workdir.name),
        ("training_of", lambda workdir: {"trained_by": []}), ("train_seconds_of", lambda workdir: 1.0),
        ("measure_jpeg", lambda photos, level: {"bits_per_pixel": 0.1 * level, "psnr_db": 20.0 + level, "ms_ssim": 0.9}),
        ("keep", lambda *args, **settings: kept.append((args, settings))),
    ):  # fmt: skip
        monkeypatch.setattr(compression, name, stand_in)
    out = str(tmp_path / "record.json")
    compression.main(["--data", str(tmp_path), "--out", out, "--picture", str(tmp_path / "a.png"), "--steps", "3"])

    trials = {name for name in trained if "crops" in name}
    assert len(trials) == 4 and len(trained) == 10
    for name, (size, photos, batch) in trained.items():
        assert size**2 * batch == 256**2 and (size == best or name in trials)
        assert photos == ([0, 1, 2, 5, 6] if name in trials else [0, 1, 2, 4, 5, 6])
        assert judged[name] == ([4] if name in trials else [3, 7])
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["protocol"]["crops"]["judged_on"] == ["kodim05.png"]
    assert record["protocol"]["test"] == ["kodim04.png", "kodim08.png"]
    losses = record["results"]["loss_by_size_of_crops"]["factorized-prior"]
    assert min(losses, key=losses.get) == str(best) and len(record["trainings"]) == 10
    assert kept[0][0][:2] == (out, "compression-factorized-prior-0.01-0")
