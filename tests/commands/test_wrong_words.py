"""Hundreds of wrong command lines: each ends in time with status 2, says the setting and the value, and writes nothing.

They are refused by their words alone, so no test trains, loads a run or reads a data set.
"""

import itertools
import signal
import sys
import time

import pytest

from tfgen_commands import extras
from tfgen_commands.main import main
from tfgen_trainers.arguments import assignment

TRAIN = ("train", "--preset", "vae/digits", "--workdir", "made")
SAMPLE = ("sample", "--workdir", "made", "--out", "made.png")
EXPORT = ("export", "--workdir", "made", "--to", "models")
COMPRESS = ("compress", "photo.png", "--model", "made")
DECOMPRESS = ("decompress", "photo.tfgc", "--model", "made")
TRANSLATE = ("translate", "photo.png", "--out", "other.png", "--model", "made")
PROJECT = ("project", "photo.png", "--out", "other.png", "--model", "made")
EDIT = ("edit", "photo.png", "--out", "other.png", "--model", "made")
EVALUATE = ("evaluate", "--model", "made", "--data", "digits")
GROWING = ("train", "--preset", "progressive-gan/digits", "--workdir", "made")
BIGGAN = ("train", "--preset", "biggan/digits", "--workdir", "made")
DEMO = ("demo", "--workspace", "made")
SERVE = ("serve", "--model_base_path=made", "--port=0")

COMPLETE = ("complete", "photo.png", "--out", "made.png", "--keep", "top", "--model", "made")
INTERPOLATE = ("interpolate", "1", "2", "--out", "made.png", "--model", "made")
TRAVERSE = ("traverse", "--out", "made.png", "--model", "made")
MIX = ("mix", "--out", "made.png", "--model", "made")
RECONSTRUCT = ("reconstruct", "photo.png", "--out", "made.png", "--model", "made")
CLASSIFY = ("classify", "photo.png", "--model", "made")

NO_INTEGER = ("1.5", "1e3", "abc", "", " ", "None", "True", "nan", "inf", "0x10", "1_000", "9" * 30, "9" * 5000, "٣")
NOT_POSITIVE = ("0", "-1", "-5", *NO_INTEGER)
NO_NUMBERS = ("a", "", " ", "1,", ",1", "1,,2", "3-1", "0-99999", "0-999999999", "nan", "inf", "9" * 5000, "٣")
NO_LIST = ("-1", "1.5", "0.5,1", *NO_NUMBERS)
SEEDS = ("-1", "2147483648", "1099511627776", *NO_INTEGER)
SIZES = ("0", "-5", "8x", "x8", "8x8x8", "axb", "1.5", "", "0x8", "8x0", "100000", "8193x8", "8x99999999999", "8 8")
UNDER_A_FILE = ("/dev/null/x", "/dev/null/x/y", "z" * 300 + "/x")
BLANK = ("", " ", "\t", "a\0b")


def lines(command, options, values):
    """[(words, option, value)] of the options of a command with wrong values."""
    return [((*command, option, value), option, value) for option, value in itertools.product(options, values)]


def set_lines(preset, settings):
    """The same for --set, of {setting: wrong values}."""
    command = ("train", "--preset", preset, "--workdir", "made")
    return [((*command, "--set", f"{name}={value}"), name, value) for name, values in settings.items() for value in values]


OPTIONS = [
    *lines(TRAIN, ("--steps", "--batch_size", "--log_every", "--checkpoint_every", "--sample_every"), NOT_POSITIVE),
    *lines(TRAIN, ("--seed",), SEEDS),
    *lines(TRAIN, ("--size",), SIZES),
    *lines(TRAIN, ("--channels",), ("0", "2", "4", "-1", "1.0", "rgb", "True", "")),
    *lines(TRAIN, ("--resize",), ("crop", "CENTER_CROP", "center-crop", "")),
    *lines(TRAIN, ("--on_error",), ("ignore", "Skip", "")),
    *lines(TRAIN, ("--input", "--num_frames", "--num_classes"), ("middle", "0.5", "")),
    *lines(TRAIN, ("--strategy",), ("parameter_server", "Mirrored", "")),
    *lines((*TRAIN, "--workers", "2"), ("--strategy",), ("mirrored", "one_device")),
    *lines((*TRAIN, "--workers", "2"), ("--devices",), ("CPU:0",)),
    *lines(TRAIN, ("--devices",), ("CPU:99", "GPU", "CPU:0,CPU:0", ",", *BLANK)),
    *lines(TRAIN, ("--set",), ("latent_dim", "=3", "", "latent_dim:3")),
    *lines(TRAIN, ("--preset", "--workdir", "--data", "--split", "--manual_dir", "--data_dir"), BLANK),
    *lines(TRAIN, ("--workdir",), UNDER_A_FILE),
    *lines(SAMPLE, ("--num",), ("10001", "1000000000", *NOT_POSITIVE)),
    *lines(SAMPLE, ("--seed",), SEEDS),
    *lines(SAMPLE, ("--workdir", "--out"), BLANK),
    *lines(SAMPLE, ("--labels",), NO_LIST),
    *lines(SAMPLE, ("--truncation", "--codes"), NO_NUMBERS),
    *lines(SAMPLE, ("--set",), ("clusters", "=3", "", "clusters=", "clusters=x")),
    *lines(SAMPLE, ("--scale",), ("65", *NOT_POSITIVE)),
    *lines(COMPLETE, ("--keep",), ("half", "TOP", "")),
    *lines(COMPLETE, ("--num",), ("1001", *NOT_POSITIVE)),
    *lines(COMPLETE, ("--seed",), SEEDS),
    *lines(COMPLETE, ("--label",), ("-1", *NO_INTEGER)),
    *lines(COMPLETE, ("--resize",), ("crop", "")),
    *lines(COMPLETE, ("--model", "--preset", "--workdir", "--mask"), BLANK),
    *lines(INTERPOLATE, ("--frames",), ("1", "1001", *NOT_POSITIVE)),
    *lines(INTERPOLATE, ("--rule",), ("linear", "")),
    *lines(INTERPOLATE, ("--out",), ("x.jpg", "x", ".", "/dev/null/x.png")),
    *lines(TRAVERSE, ("--latents",), NO_LIST),
    *lines(TRAVERSE, ("--reach",), ("0", "-1", "nan", "inf", "far", "")),
    *lines(TRAVERSE, ("--code",), ("-1", *NO_INTEGER)),
    *lines(TRAVERSE, ("--rows",), NOT_POSITIVE),
    *lines(MIX, ("--rows", "--columns", "--layers"), NO_LIST),
    *lines(MIX, ("--truncation",), ("nan", "inf", "much", "")),
    *lines(RECONSTRUCT, ("--seed",), SEEDS),
    *lines(RECONSTRUCT, ("--out",), ("x.jpg", "x", ".", "/dev/null/x.png")),
    *lines(CLASSIFY, ("--resize",), ("crop", "")),
    *lines(CLASSIFY, ("--model", "--preset", "--workdir"), BLANK),
    *lines(SAMPLE, ("--out",), ("x.jpg", "x", ".", "/", "/dev/null/x.png", "y" * 300 + ".png")),
    *lines(EXPORT, ("--version",), (*NOT_POSITIVE, "9223372036854775808", "v1", "latest")),
    *lines(EXPORT, ("--workdir", "--to", "--signature"), BLANK),
    *lines(EXPORT, ("--to",), UNDER_A_FILE),
    *lines(COMPRESS, ("--out", "--model"), BLANK),
    *lines(DECOMPRESS, ("--out", "--model"), BLANK),
    *lines(EVALUATE, ("--n_fake", "--n_real"), ("1", *NOT_POSITIVE)),
    *lines(EVALUATE, ("--k", "--splits"), NOT_POSITIVE),
    *lines(EVALUATE, ("--seed",), SEEDS),
    *lines(EVALUATE, ("--size",), SIZES),
    *lines(EVALUATE, ("--channels",), ("0", "2", "")),
    *lines(EVALUATE, ("--resize", "--on_error", "--features", "--batch_norm", "--inception_resize"), ("wrong", "")),
    *lines(EVALUATE, ("--sha256",), ("0" * 63, "g" * 64, "")),
    *lines(EVALUATE, ("--model", "--data", "--split", "--test_split", "--metrics", "--cache", "--compare", "--out"), BLANK),
    *lines(EVALUATE, ("--out",), (".", "/", *UNDER_A_FILE)),
    *lines(EVALUATE, ("--cache", "--classifier"), UNDER_A_FILE),
    *lines(TRANSLATE, ("--seed",), SEEDS),
    *lines(TRANSLATE, ("--batch_size",), NOT_POSITIVE),
    *lines(TRANSLATE, ("--size",), SIZES),
    *lines(TRANSLATE, ("--resize",), ("crop", "center-crop", "")),
    *lines(TRANSLATE, ("--set",), ("alpha", "=3", "", "alpha:3")),
    *lines(TRANSLATE, ("--model", "--out", "--style"), BLANK),
    *lines(PROJECT, ("--batch_size",), NOT_POSITIVE),
    *lines(PROJECT, ("--frames",), ("1", "1001", *NOT_POSITIVE)),
    *lines(PROJECT, ("--resize",), ("crop", "")),
    *lines(PROJECT, ("--model", "--out", "--to", "--latents"), BLANK),
    *lines(EDIT, ("--batch_size",), NOT_POSITIVE),
    *lines(EDIT, ("--warp",), ("1,2,3", "1,2,3,4,5,6", "1,2,3,-4", "1,2,3,x", "1 2 3 4", "")),
    *lines(EDIT, ("--model", "--out", "--colour", "--mask", "--edges", "--edge_mask"), BLANK),
    *lines(DEMO, ("--steps",), NOT_POSITIVE),
    *lines(DEMO, ("--num_samples",), ("-1", *NO_INTEGER)),
    *lines(DEMO, ("--seed",), SEEDS),
    *lines(DEMO, ("--workspace", "--data", "--train_split", "--eval_split", "--import_base", "--preset"), BLANK),
    *lines(DEMO, ("--thresholds", "--data_options"), ("{", "[]", "3", "", "[" * 5000)),
    *lines(DEMO, ("--infra_validation",), ("remote", "")),
    *lines(DEMO, ("--override",), ("latent_dim=3", "vae/digits:latent_dim", "")),
    *lines(SERVE, ("--port", "--rest_api_port"), ("-1", "65536", *NO_INTEGER)),
    *lines(SERVE, ("--grpc_max_threads", "--max_request_bytes", "--rest_api_timeout_in_ms"), NOT_POSITIVE),
    *lines(SERVE, ("--file_system_poll_wait_seconds", "--max_num_load_retries"), ("-1", *NO_INTEGER)),
    *lines(SERVE, ("--enable_batching", "--wait_for_versions"), ("yes", "2", "")),
    *lines(SERVE, ("--grpc_reload",), ("all", "")),
    *lines(SERVE, ("--model_name", "--model_base_path", "--host"), BLANK),
]

SETTINGS = [
    *set_lines("vae/digits", {
        "latent_dim": ("0", "-1", "1.5", "True", "None", "'3'", "[3]", "9" * 25), "hidden": ("5", "(0,)", "(8, 1.5)", "abc"),
        "activation": ("rleu", "3", ""), "likelihood": ("gausian", "None"), "levels": ("1", "256.0"),
        "kl_weight": ("-0.1", "nan", "'1'", "True", "1e999"), "network": ("conv2", "None"),
        "image_shape": ("(8, 8)", "(8, 8, 1, 1)", "(0, 8, 1)", "(-8, 8, 1)", "('8', 8, 1)", "8", "(99999, 99999, 1)"),
        "batch_size": ("True", "0", "-3", "2.5", "[]", "[(0, 0)]", "[8]"), "steps": ("0", "1e3", "True"),
        "learning_rate": ("0", "-1e-3", "fast", "nan", "True", "{}", "{'class_name': 'x', 'config': {}}"),
        "ema_decay": ("1", "-0.1", "1.0", "None0"), "ema_start": ("-1", "0.5", "True"),
        "binarization": ("dynamical", "True"), "dequantize": ("1", "yes"), "labels_per_class": ("0", "True"),
        "augmentation": ("flip", "2"), "data": ("''", "3"),
    }),
    *set_lines("wgan-gp/digits", {
        "penalty_weight": ("-1", "nan", "True", "'10'"), "penalty": ("gradient", "10"), "discriminator_steps": ("0", "1.0"),
        "objective": ("wasserstien", "None"), "weight_clip": ("0", "-0.1"), "num_classes": ("-1", "True", "9" * 15),
        "width": ("0", "64.0"), "network": ("mpl", "{'generator': 'mlp'}"), "regularizer_weight": ("-1e-5",),
        "generator_batch_factor": ("0",), "latent_distribution": ("gaussian",), "network_args": ("3",),
    }),
    *set_lines("infogan/digits", {
        "categorical": ("(1,)", "10", "(10, 'a')"), "continuous": ("-1", "2.0"), "code_stddev": ("0", "-1"),
        "categorical_weight": ("0", "-1"), "slope": ("-0.1",),
    }),
    *set_lines("improved-gan/digits", {
        "num_labels": ("1", "-1", "True"), "noise": ("0.3", "(0.1,)", "(-1, 0)"), "dropout": ("(0, 1)", "(0, 0, 0)"),
        "real_target": ("0", "1.5"), "feature_matching": ("square",), "scaled_by_data": ("1",),
    }),
    *set_lines("pixel-cnn/digits", {"kernel_size": ("2", "0", "3.0"), "depth": ("0", "1000000000000"),
                                     "levels": ("1", "True")}),
    *set_lines("pixel-rnn/digits", {"cell": ("diagonl", "1"), "residual": ("yes", "1")}),
    *set_lines("pixel-cnn-pp/digits", {"dropout": ("1", "-0.5"), "halvings": ("-1",), "components": ("0",)}),
    *set_lines("factorized-prior/digits", {"distortion_weight": ("0", "-1", "inf0"), "latent_channels": ("0",)}),
    *set_lines("gmvae/digits", {"free_bits": ("-1",), "num_clusters": ("0",), "num_samples": ("True",)}),
    *set_lines("draw/digits", {"read_size": ("1", "0"), "glimpses": ("0", "2.5", "1000000000000")}),
    *set_lines("progressive-gan/digits", {
        "start_size": ("0", "4.0", "(4,)", "True"), "level_batch_sizes": ("0", "(64, 0)", "abc"), "fused": ("yes", "2"),
        "level_rates": ("0", "-1.0", "(0.1, -1)"), "fade_images": ("0",), "first_level": ("-1",), "group_size": ("0",),
    }),
    *set_lines("style-gan/digits", {
        "mixing_probability": ("1.5", "-0.1", "nan"), "start_size": ("0", "(4,)"), "w_size": ("0",), "penalty": ("r3",),
    }),
    *set_lines("biggan/digits", {
        "shared_dim": ("0", "1.5"), "attention_size": ("0", "four"), "attention_args": ("3",), "ema_start": ("-1",),
        "discriminator_augmentation": ("colour", "color,color"), "lecam_weight": ("-1",), "adaptation_images": ("0",),
    }),
]  # fmt: skip

# (words, what the message has)
OTHERS = [
    ([], ["required", "COMMAND"]),
    (["trian"], ["trian", "train"]),
    (["train"], ["required", "--preset", "--workdir"]),
    (["sample", "--workdir", "made"], ["required", "--out"]),
    (["export", "--to", "models"], ["required", "--workdir"]),
    (["compress", "photo.png"], ["required", "--model"]),
    (["compress", "", "--model", "made"], ["photo", "''"]),
    (["decompress", " ", "--model", "made"], ["file", "' '"]),
    (["presets", "vae"], ["vae"]),
    (["presets", "--sort"], ["--sort"]),
    ([*TRAIN, "--lgo_every", "5"], ["--lgo_every", "Did you mean '--log_every'"]),
    ([*TRAIN, "--log", "5"], ["--log"]),  # no prefix of an option is an option
    ([*TRAIN, "--steps=-3"], ["--steps", "-3"]),
    ([*TRAIN, "extra"], ["extra"]),
    ([*TRAIN, "--steps"], ["--steps", "expected one argument"]),
    ([*TRAIN, "--set", "latent_dims=3"], ["latent_dims", "Did you mean 'latent_dim'"]),
    ([*TRAIN, "--set", "latent_dim=3", "--set", "latent_dim=4"], ["latent_dim", "2 values", "expected one"]),
    (["train", "--preset", "vae/digit", "--workdir", "made"], ["'vae/digit'", "Did you mean 'vae/digits'"]),
    (["train", "--preset", "x" * 500, "--workdir", "made"], ["There is no preset"]),
    (["train", "--preset", "mine.py:X", "--workdir", "made"], ["mine.py", "There is no file"]),
    (["train", "--preset", "no.where:X", "--workdir", "made"], ["no.where:X", "finds no module 'no'"]),
    ([*TRAIN, "--init_from", "nothing"], ["init_from", "'nothing'"]),
    ([*TRAIN, "--freeze", "encode/*"], ["freeze", "'encode/*'", "encoder/hidden_0/kernel"]),
    ([*TRAIN, "--keep_best", "kidd"], ["keep_best", "'kidd'", "kid, fid"]),
    ([*TRAIN, "--callback", "make"], ["callback", "'make'", "package.module:NAME"]),
    (["export", "--preset", "vae/digits", "--to", "made", "--best"], ["--best", "--workdir", "vae/digits"]),
    ([*TRAIN, "--set", "image_shape=(16, 16, 1)"], ["(16, 16, 1)", "(8, 8, 1)"]),
    ([*TRAIN, "--set", "batch_size=[(1, 8)]"], ["batch_size", "[1]"]),
    ([*TRAIN, "--set", "batch_size=[(0, 8), (0, 9)]"], ["batch_size", "[0, 0]"]),
    ([*TRAIN, "--set", "augmentation={'flop': True}"], ["augmentation", "'flop'"]),
    ([*TRAIN, "--set", "augmentation={'shift': -1}"], ["shift of augmentation", "-1"]),
    ([*TRAIN, "--data", "digits", "--size", "16"], ["size"]),
    ([*TRAIN, "--data", "digitz"], ["digitz", "digits"]),
    ([*TRAIN, "--data", "folder:"], ["data", "folder:PATH", "'folder:'"]),
    ([*TRAIN, "--data", "folder:/no/such/folder"], ["/no/such/folder"]),
    ([*TRAIN, "--data", "tfrecord:/no/such/*"], ["/no/such/*"]),
    ([*TRAIN, "--data", "crops:/no/such/folder"], ["/no/such/folder"]),
    ([*TRAIN, "--split", "validation"], ["validation"]),
    ([*TRAIN, "--batch_size", "5000"], ["batch_size", "5000", "1400"]),
    (["train", "--preset", "dcgan/digits", "--workdir", "made", "--set", "stages=5"], ["stages", "5"]),
    (["train", "--preset", "pixel-cnn/digits", "--workdir", "made", "--set", "first_kernel_size=99"], ["99"]),
    (["train", "--preset", "wgan/digits", "--workdir", "made", "--set", "thorough_turns=999"], ["thorough_turns=999"]),
    (["train", "--preset", "gmvae/digits", "--workdir", "made", "--set", "free_bits=99"], ["free_bits", "99"]),
    (["train", "--preset", "wgan-gp/digits", "--workdir", "made", "--set", "network_args={'wdith': 3}"], ["wdith"]),
    (["train", "--preset", "wgan-gp/digits", "--workdir", "made", "--set", "network_args={'depth': -1}"], ["depth", "-1"]),
    ([*TRAIN, "--set", "latent_dim=1000000000000"], ["'latent_dim': 1000000000000", "does not fit in memory"]),
    ([*TRAIN, "--set", "binarization=None"], ["images must be 0 or 1", "binarise"]),
    (["train", "--preset", "pixel-cnn/digits", "--workdir", "made", "--set", "levels=3"], ["levels=3", "one is off by"]),
    (["train", "--preset", "dcgan/digits", "--workdir", "made", "--set", "stages=9000000000"], ["stages", "9000000000"]),
    ([*GROWING, "--set", "start_size=3"], ["start_size 1 x 1, 2 x 2, 4 x 4, 8 x 8 fits"]),
    ([*GROWING, "--set", "first_level=2"], ["first_level must be below 2"]),
    ([*GROWING, "--set", "level_batch_sizes=(64,)"], ["level_batch_sizes", "each of the 2 levels", "(64,)"]),
    ([*BIGGAN, "--set", "attention_size=3"], ["attention_size", "4 or 8", "3"]),
    ([*BIGGAN, "--set", "latent_dim=25"], ["latent_dim must be a multiple of 3", "25"]),
    ([*BIGGAN, "--set", "network_args={'generator': {'filters': ()}}"], ["'filters'", "of the grid and of each block"]),
    ([*BIGGAN, "--set", "attention_args={'key_divisor': 0}"], ["key_divisor", "0"]),
    ([*SAMPLE], ["made", "config.json"]),
    ([*EXPORT], ["made", "config.json"]),
    ([*COMPRESS], ["photo", "received photo.png", "No such file"]),
    ([*DECOMPRESS], ["file", "received photo.tfgc", "No such file"]),
    (["compress", "..", "--model", "made"], ["photo", "received ..", "Is a directory"]),
    (["translate", "photo.png"], ["required", "--out"]),
    (["translate", "photo.png", "--out", "other.png"], ["required", "--model", "--preset", "--workdir"]),
    ([*TRANSLATE, "--preset", "vae/digits"], ["--preset", "not allowed with", "--model"]),
    ([*TRANSLATE], ["input", "there is no photo.png"]),
    ([*TRANSLATE, "--set", "alpha=1", "--set", "alpha=2"], ["--set alpha", "2 values", "expected one"]),
    (["translate", "..", "--out", ".", "--model", "made"], ["--out", "outside of the input ..", "received ."]),
    (["evaluate"], ["--model", "--preset", "--fake", "received none"]),
    ([*EVALUATE], ["made"]),
    ([*EVALUATE, "--set", "latent_dim=3"], ["--set", "--preset"]),
    ([*EVALUATE, "--weights", "x"], ["--weights", "--features"]),
    ([*DEMO, "--preset", "vae/digit"], ["'vae/digit'", "vae/digits"]),
    ([*DEMO, "--preset", "vae/digits", "--override", "vae/digits:latent_dim=0"], ["latent_dim", "0"]),
    ([*DEMO, "--preset", "vae/digits", "--override", "vae/digits:latent_dim=true"], ["latent_dim", "True"]),
    ([*DEMO, "--preset", "vae/digits", "--override", "vae/digits:batch_size=0"], ["batch_size", "0"]),
    ([*DEMO, "--preset", "vae/digits", "--thresholds", '{"vae/digits": 3}'], ["thresholds", "3"]),
    ([*DEMO, "--preset", "vae/digits", "--thresholds", '{"vae/digits": {"fid": {"least": 1}}}'], ["least"]),
    ([*DEMO, "--metrics", "kmeans"], ["kmeans", "k_means"]),
    ([*DEMO, "--step", "5"], ["--step"]),
    (["serve"], ["--model_base_path", "--model_config_file", "--preset", "received none"]),
    ([*SERVE, "--model_config_file=x"], ["--model_base_path", "--model_config_file"]),
    (["serve", "--model_config_file=/no/such/file", "--port=0"], ["/no/such/file"]),
    ([*SERVE, "--batching_parameters_file=x"], ["batching"]),
    ([*SERVE, "--saved_model_tags=a,,b"], ["--saved_model_tags", "a,,b"]),
    ([*SERVE, "--portt=3"], ["--portt"]),
    ([*SERVE, "--preset=vae/digits"], ["--model_base_path", "--preset"]),
    (["serve", "--preset=vae/digit", "--port=0"], ["--preset", "'vae/digit'", "Did you mean 'vae/digits'"]),
    ([*SERVE], ["made", "Could not find base path"]),
    ([*SERVE, "--model_name=a/b"], ["a/b", "name"]),
]


@pytest.fixture
def refused(tmp_path, monkeypatch, capfd):
    """Runs `tfgen` in an empty folder and returns the message: status 2, in time, in one line or two, nothing written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFGEN_CACHE", str(tmp_path / "cache"))

    def late(*_):
        raise AssertionError("it hangs")

    def refused(words):
        handlers = {number: signal.getsignal(number) for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT)}
        signal.signal(signal.SIGALRM, late)
        signal.alarm(60)  # of which most is the import of the pipeline, once
        try:
            status = main(words)
        except SystemExit as end:
            status = end.code
        finally:
            signal.alarm(0)
            for number, handler in handlers.items():
                signal.signal(number, handler)
        captured = capfd.readouterr()
        text = captured.err.strip()
        assert status == 2, f"{words} ended with {status}: {text}"
        assert text and len(text.splitlines()) <= 3 and "Traceback" not in text, text
        assert captured.out == "" and list(tmp_path.iterdir()) == []
        return text

    return refused


def check(refused, cases):
    wrong = []
    for words, setting, value in cases:
        try:
            text = refused(words)
            assert setting.lstrip("-") in text, f"{words} does not name {setting}: {text}"
            # As it was written, or as Python writes it; long ones are shortened.
            shown = value if isinstance(value, str) and value.isprintable() and value.strip() else repr(value)
            assert shown[:150] in text or repr(value)[:150] in text, f"{words} does not show {value!r}: {text}"
        except AssertionError as error:
            wrong.append(str(error).split("\nassert")[0][:400])
    assert not wrong, "\n".join([f"{len(wrong)} of {len(cases)}:", *wrong])


@pytest.mark.parametrize("command", sorted({words[0] for words, _, _ in OPTIONS}))
def test_wrong_values_of_options(command, refused):
    cases = [case for case in OPTIONS if case[0][0] == command]
    assert len(cases) >= 8
    check(refused, cases)


@pytest.mark.parametrize("preset", sorted({words[2] for words, _, _ in SETTINGS}))
def test_wrong_values_of_settings(preset, refused):
    check(refused, [(words, name, assignment(f"x={value}")[1]) for words, name, value in SETTINGS if words[2] == preset])


@pytest.mark.parametrize(("words", "parts"), OTHERS, ids=lambda value: " ".join(value)[:60])
def test_other_wrong_lines(words, parts, refused):
    text = refused(list(words))
    assert all(part in text for part in parts), text


def test_there_are_hundreds_of_lines():
    assert len(OPTIONS) + len(SETTINGS) + len(OTHERS) > 600


def test_options_are_checked_without_tensorflow(refused):
    started = time.monotonic()
    refused([*TRAIN, "--steps", "0"])
    assert time.monotonic() - started < 1.0


def test_serve_refuses_an_empty_base_path(tmp_path, refused, monkeypatch):
    base = tmp_path.parent / f"{tmp_path.name}-empty"
    base.mkdir()
    text = refused(["serve", f"--model_base_path={base}", "--port=0"])
    assert f"under base path {base}. It is empty" in text and "--wait_for_versions" in text


@pytest.mark.parametrize(
    ("command", "module", "extra", "pythons"),
    [
        ("serve", "grpc", "serving", "3.10 and later"),
        ("serve", "tensorflow_serving", "serving", "3.10 and later"),
        ("serve", "uvicorn", "serving", "3.10 and later"),
        ("studio", "httpx", "serving", "3.10 and later"),
        ("demo", "tfx", "tfx,serving", "3.10 only"),
        ("demo", "apache_beam", "tfx,serving", "3.10 only"),
        ("pipeline", "uvicorn", "tfx,serving", "3.10 only"),
        ("compress", "constriction", "compression", "3.10 and later"),
        ("decompress", "constriction", "compression", "3.10 and later"),
    ],
)
@pytest.mark.parametrize("how", ["blocked", "absent"])
def test_a_missing_extra_is_named(command, module, extra, pythons, how, refused, monkeypatch):
    if how == "blocked":
        monkeypatch.setitem(sys.modules, module, None)
    else:
        found = extras.importlib.util.find_spec
        monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None if name == module else found(name))
    text = refused([command, "--help"])
    assert f"tfgen {command}: needs the extra [{extra}]; not installed: {module}" in text
    assert f"pip install 'tfgen[{extra}]'" in text and f"It exists for Python {pythons}; this is Python 3." in text
