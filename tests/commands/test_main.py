"""`tfgen` as a user types it."""

import functools
import json

import numpy as np
import pytest
import tensorflow as tf

from tfgen import data, features, metrics, models, pretrained, sampling
from tfgen.export import export_saved_model, read_metadata
from tfgen_commands.main import main


def test_train_sample_export(tmp_path, capsys):
    run = str(tmp_path / "run")
    command = [
        "train",
        "--preset",
        "vae/digits",
        "--workdir",
        run,
        "--steps",
        "10",
        "--set",
        "hidden=(8,)",
        "--batch_size",
        "20",
    ]
    assert main(command) == 0
    assert main(["sample", "--workdir", run, "--out", str(tmp_path / "grid.png"), "--num", "4"]) == 0
    assert tf.io.decode_png((tmp_path / "grid.png").read_bytes()).shape.rank == 3
    assert main(["export", "--workdir", run, "--to", str(tmp_path / "models")]) == 0
    out = capsys.readouterr().out
    assert "done: 10 steps" in out and str(tmp_path / "models/1") in out
    assert "sample" in tf.saved_model.load(str(tmp_path / "models/1")).signatures


OOM = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[9,9]\n\nand more lines")
OOM_IN_GRAPH = tf.errors.ResourceExhaustedError(
    None, None, "Graph execution error:\n\nDetected at node conv\n\nOOM when allocating tensor with shape[9,9]\n\t [[conv]]"
)


@pytest.mark.parametrize("error", [OOM, OOM_IN_GRAPH], ids=("eager", "graph"))
def test_a_training_that_runs_out_of_memory(error, tmp_path, capsys, monkeypatch):
    def fit(self, *args, **kwargs):
        raise error

    monkeypatch.setattr("tfgen.models.VAE.fit", fit)
    command = ["train", "--preset", "vae/digits", "--workdir", str(tmp_path), "--set", "hidden=(8,)", "--batch_size", "20"]
    assert main(command) == 1
    assert capsys.readouterr().err == (
        "tfgen train: The training of vae/digits with batch_size 20 and images of the size 8x8x1 needs more memory than "
        "there is. Choose a smaller batch_size or size. (OOM when allocating tensor with shape[9,9])\n"
    )


@pytest.mark.parametrize(("error", "said"), [(OOM, "OOM when allocating tensor with shape[9,9]"), (MemoryError(), "")])
def test_another_command_that_runs_out_of_memory(error, said, capsys, monkeypatch):
    def run(args):
        raise error

    monkeypatch.setattr("tfgen_commands.main._presets", run)
    assert main(["presets"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("tfgen presets: out of memory") and said in error and len(error.splitlines()) == 1


def test_presets_are_listed(capsys):
    assert main(["presets"]) == 0
    assert "vae/mnist" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--model", "dcgan", "--data", "digits"], ["dcgan/digits"]),
        (["--model", "VAE", "--data", "folder:freyfaces"], ["vae/freyfaces-paper"]),
        (["--model", "wgan-gp", "--data", "mnist"], ["wgan-gp/mnist"]),
        (["--model", "*pixelrnn", "--data", "digits"], ["multi-scale-pixel-rnn/digits"]),
        (["--data", "freyfaces"], ["vae/freyfaces-paper"]),
        (["vae/mnist", "dcgan/digits"], ["vae/mnist", "dcgan/digits"]),
    ],
)
def test_presets_are_filtered(options, names, capsys):
    from tfgen import presets

    assert main(["presets", *options]) == 0
    found = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert set(names) <= set(found) < set(presets.names())
    for name in found:
        preset = presets.get(name)
        assert "--data" not in options or options[options.index("--data") + 1] in preset.data
    if options[0] == "--model":
        assert len({presets.get(name).model for name in found}) < 4


def test_presets_tell_their_time_if_it_is_known_and_measure_it_if_asked(capsys, monkeypatch, tmp_path):
    from tfgen_trainers import timing

    def measure(preset, name):
        measured.append(preset.name)
        if preset.name == "gan/digits":
            raise RuntimeError("no memory")
        return timing.Timing(0.1, 0.2, True, "2026-11-29")

    def times(*options):
        assert main(["presets", "--data", "digits", "--model", "*gan", *options]) == 0
        return {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}

    measured, known = [], {"dcgan/digits": timing.Timing(0.036, 0.06, True, "2026-11-28")}
    monkeypatch.setattr(timing, "measure", measure)
    monkeypatch.setattr(timing, "cached", lambda preset: known.get(preset.name))
    lines = times()
    assert " 4000 steps  about 2 min here, 36 ms each  " in lines["dcgan/digits"]
    assert not measured and " here" not in lines["gan/digits"]
    lines = times("--time")
    assert "gan/digits" in measured and "dcgan/digits" not in measured and "not timed: no memory" in lines["gan/digits"]
    assert ", 100 ms each" in times("--time", "--anew")["dcgan/digits"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["presets", "--model", "vqvae"], "no preset has --model vqvae; there are AdaINStyleTransfer, Autoencoder, "),
        (["presets", "--model", "DRAW", "--data", "imagenet"], "no preset has --data imagenet; there are "),
        (["presets", "vae/nothing"], "There is no preset 'vae/nothing'"),
        (["presets", "--anew"], "--anew is for --time"),
        (["train", "--preset", "vae/images-32", "--workdir", "x"], "vae/images-32 is for images of your own"),
        (["train", "--preset", "vae/nothing", "--workdir", "x"], "There is no preset 'vae/nothing'"),
        (["train", "--preset", "vae/digits", "--workdir", "x", "--data", "no_such_set"], "no_such_set"),
        (["train", "--preset", "vae/digits", "--workdir", "x", "--set", "hiden=3"], "Did you mean 'hidden'"),
        (["train", "--preset", "vae/digits", "--workdir", "x", "--split", "validation"], "validation"),
        (["export", "--workdir", "nowhere", "--to", "x"], "no config.json"),
    ],
)
def test_wrong_input_is_one_line(argv, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and len(error.splitlines()) == 1
    assert not (tmp_path / "x").exists()


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A run of three steps, a classifier of the digits trained for it, and the cache that both leave."""
    folder = tmp_path_factory.mktemp("evaluate")
    train = ["train", "--preset", "vae/digits", "--workdir", str(folder / "run"), "--steps", "3", "--set", "hidden=(8,)"]
    assert main(train) == 0
    return folder


@pytest.fixture
def evaluate(run_folder, tmp_path, monkeypatch, capsys):
    """Runs `tfgen evaluate` with a few words of arguments; -> (status, stdout, stderr)."""
    monkeypatch.setenv("TFGEN_CACHE", str(run_folder / "cache"))
    monkeypatch.setattr(metrics, "train_classifier", functools.partial(metrics.train_classifier, epochs=8))
    monkeypatch.chdir(tmp_path)

    def evaluate(*argv):
        capsys.readouterr()
        status = main(["evaluate", *map(str, argv)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    evaluate.model = run_folder / "run"
    return evaluate


FAST = ("--metrics", "score,fid,kid,prdc", "--n_real", "400")


def test_evaluate_run_folder_saved_model_and_checkpoint_alike(evaluate, tmp_path):
    status, out, error = evaluate("--model", evaluate.model, *FAST, "--anchor", "--out", tmp_path / "a.json")
    assert status == 0 and "frechet_classifier_distance" in out and "protocol: data digits" in out
    assert "training the classifier" in error and "training" not in out
    content = json.loads((tmp_path / "a.json").read_text())
    values, protocol = content["result"]["values"], content["result"]["protocol"]
    assert content["anchor"]["values"]["frechet_classifier_distance"] < values["frechet_classifier_distance"]
    assert (protocol["n_real"], protocol["n_fake"], protocol["weights"], protocol["batch_norm"]) == (
        400,
        400,
        "raw",
        "moving",
    )
    assert len(protocol["generator_hash"]) == len(protocol["features_hash"]) == 64

    assert main(["export", "--workdir", str(evaluate.model), "--to", str(tmp_path / "models")]) == 0
    checkpoint = ("--preset", "vae/digits", "--set", "hidden=(8,)", "--checkpoint", evaluate.model / "checkpoints")
    for given in (("--model", tmp_path / "models"), checkpoint):
        status, out, error = evaluate(*given, *FAST, "--compare", tmp_path / "a.json", "--out", tmp_path / "b.json")
        assert status == 0 and "difference" in out and "training" not in error
        difference = json.loads((tmp_path / "b.json").read_text())["difference"]
        assert difference == pytest.approx(dict.fromkeys(difference, 0), abs=1e-4)

    status, out, error = evaluate("--model", evaluate.model, *FAST, "--n_fake", "200", "--compare", tmp_path / "a.json")
    assert status == 2 and "different protocols cannot be compared: n_fake 200 != 400" in error and out == ""


@pytest.mark.long
def test_evaluate_what_the_capabilities_of_a_model_offer(evaluate, tmp_path):
    """Of a run folder and of its export the same numbers."""
    assert main(["export", "--workdir", str(evaluate.model), "--to", str(tmp_path / "models")]) == 0
    of_samples, of_model = "path_length,separability,birthday,swd", "likelihood,encoder,k_means,few_labels"
    contents = []
    for model in (evaluate.model, tmp_path / "models"):
        arguments = ("--model", model, "--n_real", "200", "--out", tmp_path / "a.json")
        status, out, error = evaluate(*arguments, "--metrics", f"{of_samples},{of_model}")
        assert status == 0, error
        contents.append(json.loads((tmp_path / "a.json").read_text()))
        for name in ("path_length ", "linear_separability", "birthday_duplicate_rate", "swd_8", "k_means_accuracy"):
            assert name in out
        assert contents[-1]["measures"].keys() == set(of_model.split(","))
        assert contents[-1]["measures"]["few_labels"]["protocol"]["per_class"] == 10
    one, two = ({**c["result"]["values"], **{k: v for m in c["measures"].values() for k, v in m["values"].items()}}
                for c in contents)  # fmt: skip
    assert one == pytest.approx(two, rel=1e-3)
    # Those of the model alone need no classifier.
    status, out, error = evaluate("--model", tmp_path / "models", "--metrics", "encoder", "--no_cache")
    assert status == 0 and "reconstruction_error" in out and "classifier" not in error


def write_images(folder, images, classes=None):
    for i, image in enumerate(np.round(255 * images).astype(np.uint8)):
        path = folder / ("" if classes is None else str(classes[i])) / f"{i:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tf.io.encode_png(image).numpy())


@pytest.mark.long
def test_evaluate_what_draws_of_texts(evaluate, tmp_path):
    """Samples are of the texts of held-out images, of a model and of its export; other data say what is missing."""
    small = {"width": 4, "ups": 0, "discriminator_width": 2, "noise_dim": 2, "condition_dim": 2}
    model = models.StackGANv2(image_shape=(8, 8, 1), embedding_dim=4, **small)
    model.save(tmp_path / "gan.keras")
    export_saved_model(model, tmp_path / "out")
    encoder = features.character_network(4, width=4)
    encoder.save(tmp_path / "encoder.keras")
    options = "--data named:digits --metrics swd --n_fake 30 --n_real 40 --no_cache".split()
    found = {}
    for name in ("gan.keras", "out"):
        status, _, error = evaluate(
            "--model", tmp_path / name, *options, "--text_encoder", tmp_path / "encoder.keras", "--out", tmp_path / "a.json"
        )
        assert status == 0, error
        found[name] = json.loads((tmp_path / "a.json").read_text())["result"]["values"]
    assert found["gan.keras"] == pytest.approx(found["out"], rel=1e-5)
    train = ("train", "--preset", "stack-gan-v2/mnist", "--data", "named:digits", "--steps", "1", "--batch_size", "4")
    sizes = {**small, "embedding_dim": 4, "image_shape": (8, 8, 1)}
    words = [word for name, value in sizes.items() for word in ("--set", f"{name}={value}")]
    encoders = [["--text_encoder", str(tmp_path / f"{name}.keras")] for name in ("encoder", "other")]
    features.character_network(4, width=4, seed=1).save(tmp_path / "other.keras")
    assert main([*train, *words, *encoders[0], "--workdir", str(tmp_path / "run")]) == 0
    for given, says in zip(encoders, (False, True), strict=True):
        status, _, error = evaluate("--model", tmp_path / "run", *options, *given)
        assert status == 0 and ("if texts are by another encoder" in error) == says, error
    assert "needs the field 'embedding', float32 [batch, 4]; digits has" in evaluate(
        "--model", tmp_path / "out", "--data", "digits", "--metrics", "swd"
    )[2]  # fmt: skip


def test_evaluate_two_folders(evaluate, tmp_path):
    """Real digits as if they were generated; a classifier trained on the other folder, which has no held-out split."""
    source = data.load("digits")
    images, labels = source.images(), source.labels()
    write_images(tmp_path / "fake", images[:300])
    write_images(tmp_path / "real", images[300:1000], labels[300:1000])
    folders = ("--fake", tmp_path / "fake", "--real", tmp_path / "real")
    status, out, error = evaluate(*folders, "--out", tmp_path / "a.json")
    assert status == 0, error
    content = json.loads((tmp_path / "a.json").read_text())["result"]
    assert content["values"]["num_classes"] >= 9 and content["values"]["frechet_classifier_distance"] < 4
    assert "nn_pixel_ratio" not in content["values"] and "nearest is left out" in error
    assert (content["protocol"]["weights"], content["protocol"]["n_fake"]) == ("files", 300)
    (tmp_path / "real" / "0" / "bad.png").write_bytes(b"no image")
    arguments = ("--size", "16", "--metrics", "ms_ssim", "--no_cache", "--on_error", "skip")
    status, out, error = evaluate(*folders, *arguments)
    assert status == 0 and "ms_ssim_mean" in out and "resize center_crop to 16x16" in out
    assert "1 of 701 files skipped, the first: " in error and "bad.png: not a readable image" in error


def test_evaluate_with_a_graph_by_path(evaluate, tmp_path):
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, 299, 299, 3], name="Mul")
        kernel = np.random.default_rng(0).normal(size=(8, 8, 3, 4)).astype(np.float32)
        x = tf.nn.conv2d(x, kernel, 37, "SAME")
        tf.reduce_mean(tf.nn.relu(x), axis=[1, 2], keepdims=True, name="pool_3")
    (tmp_path / "graph.pb").write_bytes(graph.as_graph_def().SerializeToString())
    arguments = ("--model", evaluate.model, "--features", "inception", "--weights", tmp_path / "graph.pb", "--n_real", "50")
    status, out, error = evaluate(*arguments, "--metrics", "fid")
    assert status == 0 and "frechet_inception_distance" in out and "inception-v3-2015-12-05, bilinear_tf1" in out
    status, _, error = evaluate(*arguments, "--metrics", "score")
    assert status == 2 and "needs logits" in error


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ((), "give one of --model, --preset, --fake; received none"),
        (("--model", "RUN", "--fake", "x"), "received model, fake"),
        (("--model", "nowhere"), "--model: There is no trained model 'nowhere'"),
        (("--preset", "vae/mnist"), "'vae/mnist' has no trained weights here"),
        (("--model", "RUN", "--checkpoint", "x"), "--checkpoint has the weights of --preset, the network"),
        (("--preset", "vae/digits", "--set", "hidden=(8,)"), "--set changes a setting of --preset with --checkpoint"),
        (("--preset", "vae/digits", "--checkpoint", "x"), "there is no folder x"),
        (("--fake", "x"), "--fake needs the real images"),
        (("--fake", "x", "--real", "y"), "expected a folder of images, found nothing"),
        (("--model", "RUN", "--data", "digits", "--real", "y"), "not both"),
        (("--model", "RUN", "--metrics", "fdi"), "must be some of score, fid"),
        (("--model", "RUN", "--metrics", ","), "must be some of score, fid"),
        (("--model", "RUN", "--data", "no_such_set"), "no_such_set"),
        (("--model", "RUN", "--batch_norm", "batch"), "of VAE must be one of moving; received 'batch'"),
        (("--model", "RUN", "--features", "inception"), "classify_image_graph_def.pb"),
        (("--model", "RUN", "--features", "keras-inception"), "not comparable with published FID"),
        (("--model", "RUN", "--features", "inception", "--weights", "http://x/y.pb"), "needs the sha256"),
        (("--model", "RUN", "--weights", "x"), "--weights needs --features inception"),
        (("--model", "RUN", "--compare", "cli.json"), "is no JSON file of `tfgen evaluate --out`"),
        (("--model", "RUN", "--compare", "missing.json"), "missing.json"),
        (("--model", "RUN", "--metrics", "fid", "--n_fake", "20"), "more examples than features"),
        (("--model", "RUN", "--metrics", "ms_ssim"), "at least 11 pixels"),
        (("--model", "RUN", "--metrics", "codec"), "--metrics codec: the model is no codec; its capabilities: sampler,"),
        (("--model", "RUN", "--metrics", "likelihood", "--anchor"), "--anchor is for samples, but no metric of samples"),
        (("--fake", "x", "--data", "digits", "--metrics", "k_means"), "--metrics k_means is of models"),
        (("--model", "RUN", "--metrics", "nearest", "--test_split", "validation"), "need a held-out split"),
        (("--model", "vae/digits", "--raw"), "--raw is for run folders; the weights of vae/digits are the averages"),
        (("--fake", "x", "--data", "digits", "--raw"), "--raw is for run folders and checkpoints"),
    ],
)
def test_evaluate_says_what_is_wrong_in_one_line(argv, message, evaluate, tmp_path):
    (tmp_path / "cli.json").write_text("{}")
    status, out, error = evaluate(*[evaluate.model if word == "RUN" else word for word in argv])
    last = error.strip().splitlines()[-1]
    assert status == 2 and message in last and out == "" and last.startswith("tfgen evaluate: ")


@pytest.mark.long
def test_presets_of_own_images_take_their_shape(tmp_path, monkeypatch, capsys):
    """Of the size of the preset, or another one that is asked for, and of the channels of the images."""
    from tfgen import presets
    from tfgen_trainers import train

    write_images(tmp_path / "images", np.random.default_rng(0).random((8, 40, 50, 3)))
    run, small = str(tmp_path / "run"), ["--batch_size", "4", "--set", "hidden=(2, 2, 4)", "--set", "latent_dim=2"]
    command = ["train", "--preset", "vae/images-32", "--data", str(tmp_path / "images"), "--workdir", run, *small]
    with monkeypatch.context() as patched:
        shapes = []

        def note(config, source, workdir):
            shapes.append((source.image_shape, presets.get(config.preset).for_images(source.image_shape, config.overrides)))
            return train.TrainResult(tmp_path, 1, None, [], 0.0)

        patched.setattr(train, "train", note)
        for options in ([], ["--size", "8x12", "--channels", "1"], ["--set", "image_shape=(16, 16, 3)"]):
            assert main([*command, *options]) == 0
    assert [shape for shape, _ in shapes] == [(32, 32, 3), (8, 12, 1), (16, 16, 3)]
    assert all(found["image_shape"] == shape for shape, found in shapes)

    assert main([*command, "--size", "8", "--steps", "2"]) == 0
    record = json.loads((tmp_path / "run/config.json").read_text())
    assert record["run"]["preset"]["model_args"]["image_shape"] == [8, 8, 3]
    assert "own_images" not in record["run"]["preset"]  # so runs from before it go on
    assert main([*command, "--size", "8", "--steps", "3"]) == 0
    assert "resumed at step 2" in capsys.readouterr().out


def test_train_says_what_was_skipped(tmp_path, monkeypatch, capsys):
    from tfgen_trainers import train

    write_images(tmp_path / "images", np.full((5, 8, 8, 1), 0.5), list("aabbb"))
    (tmp_path / "images" / "a" / "bad.png").write_bytes(b"no image")
    monkeypatch.setattr(train, "train", lambda config, source, workdir: train.TrainResult(tmp_path, 1, None, [], 0.0))
    arguments = ["train", "--preset", "vae/digits", "--workdir", str(tmp_path / "run"), "--data", str(tmp_path / "images")]
    assert main(arguments) == 2 and 'on_error="skip" leaves it out' in capsys.readouterr().err
    assert main([*arguments, "--on_error", "skip"]) == 0
    assert "1 of 6 files skipped, the first: " in capsys.readouterr().out


@pytest.mark.long
def test_a_model_that_makes_no_images(tmp_path, capsys):
    run, models = str(tmp_path / "run"), str(tmp_path / "models")
    train = ["train", "--preset", "glimpse-classifier/digits", "--workdir", run, "--steps", "100", "--set", "hidden=16"]
    assert main(train) == 0
    assert "pictures" not in capsys.readouterr().out and not (tmp_path / "run/samples").exists()
    assert main(["export", "--workdir", run, "--to", models]) == 0
    assert read_metadata(f"{models}/1")["classes"] == {"count": 10, "names": list("0123456789")}
    values = []
    for i, model in enumerate((run, models)):
        assert main(["evaluate", "--model", model, "--data", "digits", "--out", str(tmp_path / f"{i}.json")]) == 0
        assert "accuracy" in (out := capsys.readouterr().out) and "protocol of classifier: data digits" in out
        values.append(json.loads((tmp_path / f"{i}.json").read_text())["measures"]["classifier"]["values"])
    assert values[0] == pytest.approx(values[1]) and 0.2 < values[0]["accuracy"] <= 1.0
    sampling.save_png(tmp_path / "photo.png", np.zeros((1, 16, 16, 3), "float32"))
    for argv, message in (
        (["evaluate", "--model", run, "--metrics", "fid"], "--metrics is for samples, but the model generates none"),
        (["sample", "--workdir", run, "--out", "x.png"], "is a GlimpseClassifier, which is no sampler; it is: classifier"),
        (["compress", str(tmp_path / "photo.png"), "--model", run], "which is no codec; it is: classifier"),
    ):
        assert main(argv) == 2 and message in capsys.readouterr().err


@pytest.mark.skipif(not pretrained.names(), reason="needs the zoo of a checkout")
def test_weights_that_come_with_tfgen(tmp_path, capsys):
    """Of a preset's name, and of a folder of one's own: the same model."""
    mine = pretrained.from_preset("vae/digits").save_to_preset(tmp_path / "mine", dtype="float16")
    pictures = []
    for i, name in enumerate(["vae/digits", str(mine)]):
        out = tmp_path / f"{i}.png"
        assert main(["sample", "--preset", name, "--out", str(out), "--num", "4"]) == 0
        pictures.append(out.read_bytes())
    assert pictures[0] == pictures[1]
    assert main(["export", "--preset", "vae/digits", "--to", str(tmp_path / "models")]) == 0
    served = tf.saved_model.load(str(tmp_path / "models/1")).signatures["sample"]
    wanted = pretrained.from_preset("vae/digits").sample(2, seed=0)
    np.testing.assert_allclose(served(seeds=tf.constant([0, 1], tf.int64))["image"], wanted, atol=1e-5)
    capsys.readouterr()
    for wrong, message in (
        (["sample", "--preset", "vae/mnist", "--out", "x.png"], "'vae/mnist' has no trained weights here"),
        (["sample", "--preset", "vae/digit", "--out", "x.png"], "Did you mean"),
        (["export", "--preset", "vae/digits", "--raw", "--to", str(tmp_path / "raw")], "--raw is for run folders"),
    ):
        assert main(wrong) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["sample", "--preset", "vae/digits", "--workdir", "run", "--out", "x.png"])
    assert "not allowed with" in capsys.readouterr().err


@pytest.fixture(scope="module")
def codec_run(tmp_path_factory):
    """A run of a compression model, and a photo of a size that fits no stride."""
    folder = tmp_path_factory.mktemp("codec")
    run = ["train", "--preset", "factorized-prior/digits", "--workdir", str(folder / "run"), "--steps", "3"]
    assert main([*run, "--set", "width=4"]) == 0
    photo = np.random.default_rng(0).integers(0, 256, (21, 33, 1), dtype=np.uint8)
    (folder / "photo.png").write_bytes(tf.io.encode_png(photo).numpy())
    return folder


def test_compress_and_decompress(codec_run, tmp_path, capsys):
    run, models, photo, out = (str(p) for p in (codec_run / "run", tmp_path / "models", codec_run / "photo.png", tmp_path))
    assert main(["compress", photo, "-o", f"{out}/a.tfgc", "--model", run]) == 0
    size = len((tmp_path / "a.tfgc").read_bytes())
    assert f"a.tfgc: {size} bytes, {8 * size / (21 * 33):.3f} bits per pixel (33x21)" in capsys.readouterr().out
    assert (codec_run / "run/codec-00000003.npz").exists()  # which is what reading goes by
    assert main(["export", "--workdir", run, "--to", models]) == 0
    pictures = []
    for model in (run, f"{run}/codec-00000003.npz", models, f"{models}/1"):
        assert main(["decompress", f"{out}/a.tfgc", "-o", f"{out}/a.png", "--model", model]) == 0
        pictures.append(tf.io.decode_png((tmp_path / "a.png").read_bytes()).numpy())
    assert pictures[0].shape == (21, 33, 1) and all(np.array_equal(picture, pictures[0]) for picture in pictures)
    assert main(["compress", photo, "-o", f"{out}/b.tfgc", "--model", models]) == 0
    assert (tmp_path / "b.tfgc").read_bytes() == (tmp_path / "a.tfgc").read_bytes()


def test_compress_says_what_is_wrong_in_one_line(codec_run, tmp_path, capsys):
    run, photo, file = str(codec_run / "run"), str(codec_run / "photo.png"), tmp_path / "x.tfgc"
    assert main(["compress", photo, "-o", str(file), "--model", run]) == 0
    whole = file.read_bytes()

    def error(*argv):
        capsys.readouterr()
        assert main(list(argv)) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        return line

    assert "holds no codec" in error("compress", photo, "--model", str(tmp_path))
    assert f"{file}: not a readable image" in error("compress", str(file), "--model", run)
    assert "No such file" in error("compress", f"{file}.no", "--model", run)
    assert "is the input file" in error("compress", photo, "-o", photo, "--model", run)
    assert "the folder" in error("compress", photo, "-o", str(tmp_path), "--model", run)
    assert "the folder" in error("decompress", str(file), "-o", str(tmp_path), "--model", run)
    for picture in ("x.jpg", "x"):
        assert "must be lossless" in error("decompress", str(file), "-o", str(tmp_path / picture), "--model", run)
    colour = tmp_path / "colour.png"
    grey = np.zeros((4, 4, 3), np.uint8)
    colour.write_bytes(tf.io.encode_png(grey).numpy())
    assert main(["compress", str(colour), "--model", run]) == 0  # grey in three channels
    colour.write_bytes(tf.io.encode_png(grey + np.arange(3, dtype=np.uint8)).numpy())
    assert "is in colour" in error("compress", str(colour), "--model", run)
    for content, message in ((whole[:-1], "truncated"), (whole[:-1] + b"\0\0", "damaged"), (b"nonsense", "not a tfgen"),
                             (b"", "not a tfgen"), (whole[:-1] + bytes([whole[-1] ^ 1]), "damaged")):  # fmt: skip
        file.write_bytes(content)
        assert message in error("decompress", str(file), "-o", str(tmp_path / "x.png"), "--model", run)
    assert not (tmp_path / "x.png").exists()
    file.write_bytes(whole)
    codec = next(codec_run.glob("run/codec-*.npz"))
    hidden = codec.rename(codec.with_name("hidden"))
    try:  # a codec is never made for reading
        assert "holds no codec" in error("decompress", str(file), "--model", run)
    finally:
        hidden.rename(codec)
