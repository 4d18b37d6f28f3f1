"""The command `tfgen`."""

import fnmatch
import importlib
import os
import pathlib
import re
import sys
from collections.abc import Sequence
from typing import Annotated

from tfgen import onednn, progress, settings
from tfgen.files import save_keras
from tfgen.settings import PositiveInt, Seed, Text
from tfgen_commands import (
    classify,
    complete,
    doctor,
    edit,
    evaluate,
    extras,
    interpolate,
    mix,
    models,
    project,
    reconstruct,
    sample,
    studio,
    translate,
    traverse,
)
from tfgen_trainers.arguments import (
    DATA_OPTIONS,
    OutputFolder,
    Parser,
    add_data_options,
    add_mixed_precision,
    option,
    overrides,
)

# {sub-command: (module, function)}; these parse their own options.
_APPLICATIONS = {
    "demo": ("tfgen_pipelines.local", "demo"), "pipeline": ("tfgen_pipelines.local", "main"),
    "serve": ("tfgen_serving.server.main", "main"),
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one sub-command.

    Args:
        argv: the words after `tfgen`; None: those of this process.

    Returns:
        The exit status: 0; 1 if a run failed, as by divergence or for want of memory; 2 for wrong input. Then one line on
        stderr says what is wrong. `pipeline` and `demo` have further ones, see their help.

    Raises:
        SystemExit: after --help, and with status 2 for words that the parser refuses.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    if argv and (missing := extras.missing(argv[0])):
        print(f"tfgen {argv[0]}: {missing}", file=sys.stderr)
        return 2
    if argv and argv[0] in _APPLICATIONS:
        module, function = _APPLICATIONS[argv[0]]
        return getattr(importlib.import_module(module), function)(argv[1:])
    if argv[:1] != ["presets"]:  # which times each preset in a process of its own
        given = {name: _values(argv, f"--{name}") for name in ("preset", "workdir", "model")}
        onednn.choose([*given["preset"], *given["model"]], [*given["workdir"], *given["model"]])
    parser = _parser()
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        known = re.findall(r"--\w+", args.parser.format_help())
        close = settings.did_you_mean(unknown[0].partition("=")[0], known)
        kind = "option" if unknown[0].startswith("-") else "further argument"
        args.parser.error(f"it takes no {kind} {unknown[0]}.{close} See {args.parser.prog} --help.")
    args.words = argv
    try:
        with progress.shown(evaluate.say):
            return args.run(args) or 0
    except BrokenPipeError:  # `tfgen presets | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError) as error:
        print(f"tfgen {args.command}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except (FloatingPointError, RuntimeError, ImportError, MemoryError) as error:  # diverged; an extra is not installed
        print(f"tfgen {args.command}: {str(error) or 'out of memory'}", file=sys.stderr)
        return 1
    except Exception as error:
        if type(error).__name__ != "ResourceExhaustedError":  # of TensorFlow, which may not have been imported
            raise
        print(f"tfgen {args.command}: out of memory: {str(error).splitlines()[0]}", file=sys.stderr)
        return 1


def _values(argv, option):
    """All values of an option, before the parser exists: what depends on them must be set before TensorFlow is imported."""
    found = [after for before, after in zip(argv, argv[1:], strict=False) if before == option]
    return found + [text.partition("=")[2] for text in argv if text.startswith(f"{option}=")]


def _parser():
    parser = Parser(prog="tfgen", description="Generative image models: train, look, export.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = commands.add_parser(
        "presets", help="list the presets: model, data set, source, the paper's result",
        description="Lists presets: name, model, data, steps, how long they take on this machine if that was measured, "
        "source, the paper's result.",
    )  # fmt: skip
    command.add_argument("names", type=option(Text), nargs="*", metavar="NAME",
                         help="presets to list (default: all); your own as package.module:NAME or file.py")  # fmt: skip
    command.add_argument("--model", type=option(Text), help="of this model only, e.g. DCGAN or '*gan*'")
    command.add_argument("--data", type=option(Text), help="of this data set only, e.g. mnist or 'imagenet*'")
    command.add_argument("--time", action="store_true",
                         help="time a few steps of each listed preset that was not timed on this machine before; takes "
                         "about 15 seconds each, of large networks minutes")  # fmt: skip
    command.add_argument("--anew", action="store_true", help="with --time: also those that were timed before")
    command.set_defaults(run=_presets)

    command = commands.add_parser(
        "train", help="train a preset on images; the same command again continues the run",
        description="Trains a preset. After an interruption the same command continues from the last checkpoint.",
    )  # fmt: skip
    command.add_argument("--preset", type=option(Text), required=True,
                         help="a name that `tfgen presets` lists, e.g. vae/mnist; or your own: package.module:NAME, "
                         "file.py:NAME or file.py")  # fmt: skip
    command.add_argument("--workdir", type=option(OutputFolder), required=True,
                         help="run folder: checkpoints, losses, TensorBoard, sample grids")  # fmt: skip
    command.add_argument(
        "--data", type=option(Text),
        help="digits, a TFDS name, a folder, folder:PATH, crops:PATH or tfrecord:GLOB (default: the preset's)",
    )  # fmt: skip
    command.add_argument("--split", type=option(Text), default="train", help="split to train on (default: train)")
    add_data_options(command)
    count = option(PositiveInt)
    command.add_argument("--steps", type=count, help="optimiser steps (default: the preset's)")
    command.add_argument("--batch_size", type=count, help="images per step over all devices (default: the preset's)")
    command.add_argument("--accumulate", type=option(Annotated[int, settings.at_least(2)]), metavar="N",
                         help="update with the mean gradient of N batches, where a batch N times larger does not fit in "
                         "memory; steps still count batches")  # fmt: skip
    command.add_argument("--workers", type=option(Annotated[int, settings.within(2, 64)]), metavar="N",
                         help="train with N processes on this machine; on several machines set TF_CONFIG instead, see "
                         "docs/workers.md")  # fmt: skip
    command.add_argument("--strategy", choices=("mirrored", "multi_worker", "one_device"),
                         help="one replica of the model for each device, for each worker, or one device without replicas "
                         "(default: multi_worker if there are several workers, else mirrored)")  # fmt: skip
    command.add_argument("--devices", type=option(Text), metavar="NAMES",
                         help="train on these, e.g. GPU:0,GPU:1 (default: all GPUs, or the CPU without one)")  # fmt: skip
    command.add_argument("--seed", type=option(Seed), default=0, help="seed of weights, noise and data order (default: 0)")
    add_mixed_precision(command)
    command.add_argument("--log_every", type=count, default=100, help="steps between lines of progress (default: 100)")
    command.add_argument("--checkpoint_every", type=count, default=1000, help="steps between checkpoints (default: 1000)")
    command.add_argument("--sample_every", type=count, default=2000, help="steps between sample grids (default: 2000)")
    command.add_argument("--init_from", type=option(Text), metavar="RUN_OR_PRESET",
                         help="start from the trained weights of a run folder, a folder of save_to_preset, a preset whose "
                         "weights come with tfgen, or hf://USER/REPO")  # fmt: skip
    command.add_argument("--freeze", type=option(Text), action="append", default=[], metavar="PATTERN",
                         help="do not train the weights of such names, e.g. 'encoder/*' (repeatable)")  # fmt: skip
    command.add_argument("--keep_best", type=option(Text), metavar="METRIC",
                         help="also keep the best snapshot by a metric of held-out images, a tenth of those to train on: "
                         "kid, fid, score, swd of samples; bits_per_dim, reconstruction_error, accuracy, l1")  # fmt: skip
    command.add_argument("--evaluate_every", type=count, default=2000,
                         help="steps between measurements for --keep_best (default: 2000)")  # fmt: skip
    command.add_argument("--callback", type=option(Text), action="append", default=[], dest="callbacks", metavar="PLACE",
                         help="package.module:make or file.py:make, a function that makes a further Keras callback, of "
                         "config, model and workdir if it takes them (repeatable)")  # fmt: skip
    command.set_defaults(run=_train)

    command = commands.add_parser("export", help="write a trained model as a SavedModel for TensorFlow Serving",
                                  description=models.MODEL)  # fmt: skip
    models.add_model(command)
    command.add_argument("--to", type=option(OutputFolder), required=True,
                         help="the model's folder; the version is a numbered folder in it. Or a new .keras file, for models "
                         "that use this one, such as igan/mnist; or a new .onnx file with one signature")  # fmt: skip
    command.add_argument("--signature", type=option(Text),
                         help="of an .onnx file: what it computes, such as decode or reconstruct (default: the first use of "
                         "the model, such as sample or translate)")  # fmt: skip
    command.add_argument("--version", type=option(PositiveInt),
                         help="version number (default: the largest in the folder plus 1)")  # fmt: skip
    command.add_argument("--raw", action="store_true", help="export the weights, not their moving average")
    command.add_argument("--best", action="store_true", help="export the best snapshot of a run with --keep_best")
    command.add_argument("--text_encoder", type=option(Text), metavar="FILE",
                         help="of a StackGAN: a .keras file of the network of its encoder of texts, so that the exported "
                         "model can be asked with sentences, see tfgen.features.CharacterEncoder")  # fmt: skip
    command.set_defaults(run=_export)

    teach = (
        "MODEL is a run folder of `tfgen train`, a folder of `tfgen export`, or a codec file. None comes with tfgen; to "
        "train one on a folder of photos: tfgen train --preset scale-hyperprior/kodak --data crops:PHOTOS --workdir MODEL"
    )
    command = commands.add_parser("compress", help="compress a photo with a trained model", description=teach)
    command.add_argument("photo", type=option(Text), help="image file of any size")
    command.add_argument("-o", "--out", type=option(Text), help="file to write (default: the photo's name with .tfgc)")
    command.add_argument("--model", type=option(Text), required=True, help="run folder, exported folder or codec file")
    command.set_defaults(run=_compress)

    command = commands.add_parser("decompress", help="decompress a file of `tfgen compress`", description=teach)
    command.add_argument("file", type=option(Text), help="file of `tfgen compress`")
    command.add_argument("-o", "--out", type=option(Text), help="picture to write (default: the file's name with .png)")
    command.add_argument("--model", type=option(Text), required=True,
                         help="the model that wrote the file, as for `tfgen compress`")  # fmt: skip
    command.set_defaults(run=_decompress)

    for module in (
        sample, complete, interpolate, traverse, mix, reconstruct, classify, translate, project, edit, evaluate, doctor,
        studio,
    ):  # fmt: skip
        command = commands.add_parser(module.__name__.rpartition(".")[2], help=module.SUMMARY)
        module.add_arguments(command)

    commands.add_parser("pipeline", help="run the TFX pipeline on your data and presets; see `tfgen pipeline --help`")
    commands.add_parser("demo", help="the pipeline for a VAE and a DCGAN on 8x8 digits; see `tfgen demo --help`")
    commands.add_parser("serve", help="serve exported models over TensorFlow Serving's protocols; see `tfgen serve --help`")
    for command in commands.choices.values():
        command.set_defaults(parser=command)
    return parser


def _presets(args):
    from tfgen import presets
    from tfgen_trainers import timing

    if args.anew and not args.time:
        raise ValueError("--anew is for --time")
    named = {name: presets.get(name) for name in args.names} if args.names else dict(sorted(presets.all_presets().items()))
    found, name_of = list(named.values()), {preset.name: name for name, preset in named.items()}
    for filtered, words_of in (("model", _model_words), ("data", _data_words)):
        if (pattern := getattr(args, filtered)) is None:
            continue
        known = sorted({words_of(preset)[0] for preset in found})
        found = [p for p in found if any(fnmatch.fnmatchcase(_plain(word), _plain(pattern)) for word in words_of(p))]
        if not found:
            raise ValueError(f"no preset has --{filtered} {pattern}; there are {', '.join(known)}, and patterns")
    for preset in found:
        result = f"; paper: {preset.paper}" if preset.paper else ""
        steps = f"{preset.steps:>9} steps  {_time_of(timing, preset, name_of[preset.name], args):36}".rstrip()
        print(f"{preset.name:28} {preset.model.__name__:18} {preset.data:22} {steps}  {preset.source}{result}", flush=True)


def _time_of(timing, preset, name, args):
    """How long a preset trains here, in words: as it was measured before, or with --time is measured now."""
    known = None if args.anew else timing.cached(preset)
    if known is None and not args.time:
        return ""
    try:
        known = known or timing.measure(preset, name)
    except RuntimeError as error:
        return f"not timed: {error}"
    seconds = known.seconds_per_step
    return f"about {progress.duration(seconds * preset.steps)} here, {1e3 * seconds:.3g} ms each"


def _model_words(preset):
    return preset.model.__name__, preset.name.partition("/")[0]


def _data_words(preset):
    kind, _, rest = preset.data.rpartition(":")
    return preset.data, rest, rest.partition("/")[0], kind


def _plain(word):
    return word.lower().replace("-", "").replace("_", "")


def _train(args):
    changes = overrides(args.overrides)
    if args.batch_size is not None:
        changes["batch_size"] = args.batch_size
    if args.accumulate is not None:
        changes["accumulate"] = args.accumulate
    import tfgen
    from tfgen.data.source import skipped_text
    from tfgen_trainers import workers
    from tfgen_trainers.train import TrainConfig, train

    devices = [name.strip() for name in (args.devices or "").split(",")] if args.devices else []
    if args.workers is not None and workers.mine() is None:
        if args.strategy not in (None, "multi_worker") or devices:
            given = f"--strategy {args.strategy}" if args.strategy else f"--devices {args.devices}"
            raise ValueError(f"--workers is for --strategy multi_worker, on all devices; received {given}")
        return workers.launch(args.workers, args.words)
    if args.workers not in (None, workers.mine() and workers.mine().count):
        raise ValueError(f"--workers must be {workers.mine().count}, as in TF_CONFIG; received {args.workers}")
    workers.choose(args.strategy, devices)
    workers.strategy()  # before TensorFlow is used
    config = TrainConfig(
        preset=args.preset, overrides=changes, steps=args.steps, seed=args.seed, mixed_precision=args.mixed_precision,
        log_every=args.log_every, checkpoint_every=args.checkpoint_every, sample_every=args.sample_every,
        init_from=args.init_from, freeze=tuple(args.freeze), keep_best=args.keep_best, evaluate_every=args.evaluate_every,
        callbacks=tuple(args.callbacks),
    )  # fmt: skip
    preset = config.resolve()
    options = {name: getattr(args, name) for name in DATA_OPTIONS}
    if preset.own_images and args.data is None:
        raise ValueError(f"{args.preset} is for images of your own: give them with --data FOLDER")
    spec = args.data or preset.data
    options |= {name: value for name, value in preset.options_for(spec).items() if options[name] is None}
    if args.data is None:
        _check_files(preset)
    if spec.startswith("crops:") and options["size"] is None:  # photos differ in size, so the crops have the model's size
        options["size"] = tuple(preset.model_args["image_shape"][:2])
    source = tfgen.data.load(spec, args.split, **options)
    if source.skipped:
        print(f"{skipped_text(source.skipped, source.num_examples)}, the first: {': '.join(source.skipped[0])}")
    result = train(config, source, args.workdir)
    pictures = result.workdir / "samples"
    drawn = f"; pictures in {pictures}" if pictures.exists() else ""
    print(f"done: {result.step} steps in {result.workdir}{drawn}")
    print(f"next: tfgen export --workdir {result.workdir} --to models/{preset.name.replace('/', '-')}")


def _check_files(preset):
    """Raises ValueError if a preset's data are a folder that is not there."""
    from tfgen.data.catalog import FOLDERS

    kind, _, path = preset.data.partition(":")
    if kind in FOLDERS and not os.path.exists(path) and "+" not in path:
        raise ValueError(
            f"{preset.name} is for files that are not here: put them into a folder {path}, or give theirs with --data "
            f"{kind}:FOLDER ({preset.source})"
        )


def _export(args):
    from tfgen import metrics
    from tfgen.export import export_saved_model
    from tfgen_trainers.train import export_metadata

    onnx = args.to.endswith(".onnx")
    if onnx and args.version is not None:
        raise ValueError(f"--version is for exported folders; received {args.version} and the file --to {args.to}")
    if args.signature is not None and not onnx:
        raise ValueError(f"--signature is for .onnx files; received {args.signature} and --to {args.to}, which gets all")
    if onnx and (missing := extras.missing("export --to *.onnx")):
        raise ValueError(missing)
    model, record = models.load(args, at_best=args.best)
    if isinstance(model, metrics.ExportedModel):
        raise ValueError(f"--model: {args.model} is exported already")
    if args.raw:
        models.check_raw(args, model, record)
    if args.text_encoder is not None:
        _set_text_encoder(model, args)
    if args.to.endswith(".keras"):
        return _export_keras(model, args)
    of_run = record is not None and "run" in record  # the weights of a preset have a shorter record
    preset = {"preset": (record or {}).get("config", {}).get("preset", args.preset)}
    common = {
        "use_ema": not args.raw, "class_names": (record or {}).get("class_names"),
        "metadata": export_metadata(record) if of_run else preset,
    }  # fmt: skip
    if onnx:
        from tfgen.onnx import export_onnx

        print(export_onnx(model, args.to, args.signature, **common))
        return
    path = export_saved_model(model, args.to, version=args.version, **common)
    print(path)
    name = pathlib.Path(args.to).resolve().name
    print(f"next: tfgen serve --model_base_path={args.to} --model_name={name} --rest_api_port=8501", file=sys.stderr)


def _set_text_encoder(model, args):
    from tfgen.features import load_text_encoder

    if not hasattr(type(model), "text_encoder"):
        raise ValueError(f"--text_encoder is for models that draw of texts; {type(model).__name__} is none")
    if args.to.endswith((".keras", ".onnx")):
        raise ValueError(f"--text_encoder is for exported folders, and no part of a file; received --to {args.to}")
    try:
        model.text_encoder = load_text_encoder(args.text_encoder)
    except ValueError as error:
        raise ValueError(f"--text_encoder {args.text_encoder}: {error}") from error


def _export_keras(model, args):
    """Writes Keras' own format, which has the weights and their averages."""
    if args.raw or args.version is not None:
        raise ValueError(
            f"--{'raw' if args.raw else 'version'} is for exported folders; {args.to} is a file with all weights"
        )
    path = pathlib.Path(args.to)
    save_keras(model, path)
    print(path)


def _compress(args):
    from tfgen_commands.compress import compress

    print(compress(args.photo, args.out, args.model))


def _decompress(args):
    from tfgen_commands.compress import decompress

    print(decompress(args.file, args.out, args.model))


if __name__ == "__main__":
    sys.exit(main())
