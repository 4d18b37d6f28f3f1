"""The command `tfgen evaluate`: parses options, evaluates images, prints the metrics and their protocol."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import typing
from pathlib import Path

from tfgen.settings import PositiveInt, Seed, Sha256, Text, TwoOrMore
from tfgen_commands import models
from tfgen_trainers.arguments import DATA_OPTIONS, OutputFile, OutputFolder, add_data_options, option, overrides

if typing.TYPE_CHECKING:
    from tfgen.metrics import Result

SUMMARY = "measure a model, or a folder of images, against real images"
DESCRIPTION = """\
Measures generated images against real ones, and prints each number with the protocol under which it was obtained.

The images, one of
  --model PATH                    a SavedModel (or a folder of numbered versions), a run folder of `tfgen train`, a .keras
                                  file, or what --preset takes
  --preset NAME                   a preset whose trained weights come with tfgen, such as vae/digits; a folder of
                                  save_to_preset; hf://USER/REPO
  --preset NAME --checkpoint DIR  a preset with the weights in DIR, as in the folder `checkpoints` of a run
  --fake DIR                      a folder of images
against
  --data SPEC                     digits, a TFDS name, folder:PATH or tfrecord:GLOB (default: the model's own)
  --real DIR                      a folder of images

Metrics (--metrics, separated by commas)
  score         classifier score (inception score), classes among the samples     higher is better
  fid           Frechet distance of features; of more images than features        lower is better
  fid_infinity  the same without the bias of a finite number of samples           lower is better
  kid           kernel distance of features; unbiased, for few images             lower is better
  prdc          precision, recall, density, coverage                              higher is better
  nearest       distance to the nearest training image; ratio far below 1: copies
  ms_ssim       similarity of random pairs of samples                             lower is more diverse
  swd           sliced Wasserstein distance of patches of pixels                  lower is better
  birthday      share of batches with near-duplicates; see the anchor            lower is more diverse
  path_length   change of features over a small step in latent space              lower is smoother
  separability  of the classes by planes in latent space, 1 is perfect            lower is better
  likelihood, encoder, classifier, codec, translator: what the capability of that name is measured by, on real images
  k_means       accuracy of clusters of codes, matched to classes                 higher is better
  few_labels    accuracy of a linear classifier of codes, of 10 labels per class  higher is better

Features (--features)
  classifier       a small classifier, trained on the data set itself and kept in the cache: needs labels, no download
  inception        the network of published FID numbers, from --weights: the file classify_image_graph_def.pb,
                   the archive inception-2015-12-05.tgz that it comes in, or a SavedModel or .keras file of it
  keras-inception  Keras' ImageNet weights from --weights: never comparable with published numbers
Nothing is downloaded unless --weights is a URL with --sha256 and --allow_download.

A model that generates no images, such as a classifier, is evaluated by its own capabilities on the held-out split (accuracy,
reconstruction error, ...); options for samples are then errors. A metric that the model has no capability for is an error.

Numbers compare only under one protocol: as many images, the same features, data, seeds. --compare refuses all else.
"""
EPILOG = """\
examples:
  tfgen evaluate --model runs/dcgan-mnist --data mnist --metrics fid,kid,prdc --out dcgan.json
  tfgen evaluate --preset vae/digits --anchor
  tfgen evaluate --model models/vae-digits --data digits --anchor
  tfgen evaluate --fake samples/ --real photos/ --size 64 --features inception --weights classify_image_graph_def.pb
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `tfgen evaluate`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument_group("images to evaluate").add_argument
    add("--model", type=option(Text), metavar="PATH", help="SavedModel, run folder, .keras file, or as --preset")
    add("--preset", type=option(Text), help="a preset with trained weights, or folder of save_to_preset; with --checkpoint, "
        "any name that `tfgen presets` lists, or your own as for `tfgen train`")  # fmt: skip
    add("--checkpoint", type=option(Text), metavar="DIR", help="folder of checkpoints of that preset")
    add("--fake", type=option(Text), metavar="DIR", help="folder of generated images")
    add("--n_fake", type=option(TwoOrMore), help="number of samples (default: as many as real images; of a folder: all)")
    add("--raw", action="store_true", help="use the weights, not their moving average (run folders, checkpoints)")
    add("--batch_norm", choices=("moving", "batch", "standing"), default="moving",
        help="statistics of the generator's batch norm (default: moving; a SavedModel has no other)")  # fmt: skip
    group = parser.add_argument_group("real images")
    add = group.add_argument
    add("--data", type=option(Text), metavar="SPEC", help="data set (default: the model's own)")
    add("--real", type=option(Text), metavar="DIR", help="folder of real images")
    add("--split", type=option(Text), default="train", help="split of the real images (default: train)")
    add("--test_split", type=option(Text), default="test",
        help="held-out split, for the classifier, nearest and --anchor (default: test)")  # fmt: skip
    add("--n_real", type=option(TwoOrMore), default=10_000,
        help="use at most N real images, a seeded subset (default: 10000)")  # fmt: skip
    add_data_options(group)
    add = parser.add_argument_group("metrics and features").add_argument
    add("--metrics", type=option(Text), metavar="LIST",
        help="separated by commas (default: score,fid,kid,prdc,nearest, or those of the model's capabilities)")  # fmt: skip
    add(
        "--features",
        choices=("classifier", "inception", "keras-inception"),
        default="classifier",
        help="network of the features (default: classifier)",
    )
    add("--classifier", type=option(OutputFolder), metavar="DIR",
        help="folder of a trained classifier; if it has none, one is trained and saved there")  # fmt: skip
    add("--weights", type=option(Text), metavar="FILE", help="path or URL of the weights of inception or keras-inception")
    add("--sha256", type=option(Sha256), help="expected sha256 of --weights; needed for a URL")
    add("--allow_download", action="store_true", help="allow the download of --weights if it is a URL")
    add("--inception_resize", choices=("bilinear_tf1", "bicubic_antialias"), default="bilinear_tf1",
        help="resizing to 299x299 (default: bilinear_tf1, as published)")  # fmt: skip
    add("--seed", type=option(Seed), default=0, help="seed of samples, subsets and the classifier (default: 0)")
    add("--k", type=option(PositiveInt), default=5, help="number of neighbours of prdc (default: 5)")
    add("--splits", type=option(PositiveInt), default=1, help="number of splits of the score (default: 1)")
    add("--force", action="store_true", help="compute fid even of fewer images than features")
    add(
        "--cache",
        type=option(OutputFolder),
        metavar="DIR",
        help="cache of real statistics, classifiers and weights (default: $TFGEN_CACHE or ~/.cache/tfgen)",
    )
    add("--no_cache", action="store_true", help="read and write no cache")
    add = parser.add_argument_group("results").add_argument
    add("--anchor", action="store_true", help="also evaluate held-out real images: the best value to expect")
    add("--compare", type=option(Text), metavar="FILE",
        help="JSON of an earlier --out with the same protocol; prints the differences")  # fmt: skip
    add("--out", type=option(OutputFile), metavar="FILE", help="JSON file to write with all results")
    parser.set_defaults(run=run, workdir=None)


def run(args: argparse.Namespace) -> int:
    """Runs the command.

    Args:
        args: the options of `add_arguments`.

    Returns:
        The exit status, 0.

    Raises:
        ValueError: invalid options or files.
    """
    _check(args)  # before TensorFlow is loaded
    from tfgen import metrics
    from tfgen.files import default_cache
    from tfgen.metrics.evaluate import WITHOUT_FEATURES, check_applies
    from tfgen.models.capabilities import Sampler

    names, of_model = _metrics(args, metrics.METRICS)
    earlier = _earlier(args.compare)
    folder = None if args.no_cache else Path(args.cache).expanduser() if args.cache else default_cache()
    if of_model and args.fake:
        raise ValueError(f"--metrics {of_model[0]} is of models; received a folder of images")
    generator, preset, model = _evaluated(args, bool(of_model))
    own_data = preset and preset.data
    if not args.fake and (Sampler not in generator.capabilities or not names):
        if Sampler in generator.capabilities or args.metrics is None:
            names = ()
        return _measure(args, model or generator, own_data, names, of_model)
    measures = _measures(args, model, own_data, of_model) if of_model else {}
    train, test, resize = _real(args, own_data, names)
    if test is None and args.metrics is None:
        say("there is no held-out split: the metric nearest is left out")
        names = tuple(name for name in names if name != "nearest")
    binarization = generator.binarization
    train, test = (None if source is None else metrics.imitated(source, binarization) for source in (train, test))
    if tuple(generator.image_shape) != tuple(train.image_shape):
        raise ValueError(
            f"the generated images are {tuple(generator.image_shape)} (height, width, channels), the images of {train.name} "
            f"{tuple(train.image_shape)}: give --size and --channels to convert files to one shape"
        )
    count, samples = _count(args, generator, train), metrics.Samples(generator, args.seed)
    for name in names:
        check_applies(name, samples, train.image_shape)
    extractor = _extractor(args, train, test, folder) if set(names) - WITHOUT_FEATURES else None
    evaluator = metrics.Evaluator(
        train, test, extractor, metrics=names, seed=args.seed, n_real=args.n_real, k=args.k, score_splits=args.splits,
        force=args.force, resize=resize, run=metrics.InProcess(),
        cache=None if folder is None else metrics.Cache(folder / "real", say),
    )  # fmt: skip
    result = evaluator.evaluate(
        samples, count, weights=generator.weights, batch_norm=generator.batch_norm,
        generator_hash=generator.weights_hash, extra={"binarization": binarization} if binarization else {},
    )  # fmt: skip
    anchor = evaluator.real_anchor(count) if args.anchor else None
    difference = None if earlier is None else result.difference(earlier)
    print(table(result, anchor, difference))
    _print_measures(measures)
    if args.out:
        content = {"evaluated": _what(args), "result": result.to_dict()}
        content |= {"anchor": anchor.to_dict()} if anchor else {}
        content |= {"difference": difference} if difference is not None else {}
        content |= {"measures": measures} if measures else {}
        _write(args.out, content)
    return 0


def _write(path, content):
    from tfgen.files import write_whole

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, (json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n").encode())


def _measure(args, model, own_data, names, of_model) -> int:
    """Metrics of a model's capabilities but its samples, on the held-out split; by default those of all capabilities."""
    from tfgen import metrics
    from tfgen.models.capabilities import Sampler

    can = ", ".join(capability.NAME for capability in model.capabilities) or "none that is known"
    of_samples = ("classifier", "weights", "n_fake", "anchor", "compare")
    if given := [*(["metrics"] if names else []), *(name for name in of_samples if getattr(args, name))]:
        none = "no metric of samples is asked for" if Sampler in model.capabilities else "the model generates none"
        raise ValueError(f"--{given[0]} is for samples, but {none}; its capabilities: {can}")
    if not of_model:
        of_model = tuple(capability.NAME for capability in model.capabilities if capability in metrics.MEASURES)
    if not of_model:
        raise ValueError(f"no capability of the model can be evaluated; its capabilities: {can}")
    measures = _measures(args, model, own_data, of_model)
    _print_measures(measures)
    if args.out:
        _write(args.out, {"evaluated": _what(args), "measures": measures})
    return 0


def _what(args):
    """What is evaluated, in words."""
    return args.model or args.fake or " ".join(filter(None, (args.preset, args.checkpoint)))


def _measures(args, model, own_data, names):
    """{name: {"values", "protocol"}} of capabilities and of codes; ValueError where model or images lack something."""
    from tfgen import data, metrics

    test = data.load(_spec(args, own_data), args.test_split, **_options(args, *DATA_OPTIONS))
    if model.image_shape != tuple(test.image_shape):
        raise ValueError(f"the model is for images {model.image_shape}, those of {test.name} are {tuple(test.image_shape)}")
    of_name, found = {capability.NAME: capability for capability in metrics.MEASURES}, {}
    for name in names:
        if name in metrics.OF_CODES:
            train = data.load(_spec(args, own_data), args.split, **_options(args, *DATA_OPTIONS))
            values, protocol = metrics.measure_codes(model, train, test, [name], seed=args.seed)
        elif of_name[name] not in model.capabilities:
            can = ", ".join(capability.NAME for capability in model.capabilities)
            raise ValueError(f"--metrics {name}: the model is no {name}; its capabilities: {can}")
        else:
            values, protocol = metrics.measure(model, of_name[name], test, seed=args.seed)
        found[name] = {"values": values, "protocol": protocol}
    return found


def _print_measures(measures):
    for name, found in measures.items():
        print("\n".join(f"{metric:32} {value:>14.6g}" for metric, value in found["values"].items()))
        shown = ", ".join(f"{key} {value}" for key, value in found["protocol"].items() if value is not None)
        print(f"\nprotocol of {name}: {shown}")


def table(result: Result, anchor: Result | None = None, difference: dict | None = None) -> str:
    """A table of a result's metrics, followed by the protocol of each column.

    Args:
        result: of `tfgen.metrics.Evaluator.evaluate`.
        anchor: the same of real images, or None.
        difference: {metric: difference to an earlier result}, or None.
    """
    columns = {"value": result.values}
    if anchor is not None:
        columns["real images"] = anchor.values
    if difference is not None:
        columns["difference"] = difference
    lines = [" ".join([f"{'':32}", *(f"{name:>14}" for name in columns)])]
    for name, value in result.values.items():
        if isinstance(value, list):
            lines.append(f"{name:32} " + " ".join(f"{share:.3f}" for share in value))
        else:
            cells = [column.get(name) for column in columns.values()]
            lines.append(" ".join([f"{name:32}", *(f"{'-' if cell is None else f'{cell:.6g}':>14}" for cell in cells)]))
    lines += ["", f"protocol: {result.protocol}"]
    if anchor is not None:
        lines.append(f"of real images: {anchor.protocol}")
    return "\n".join(lines)


def say(line: str) -> None:
    """Prints a line of progress to stderr; stdout holds only the table."""
    print(line, file=sys.stderr, flush=True)


def _check(args):
    given = [name for name in ("model", "preset", "fake") if getattr(args, name)]
    if len(given) != 1:
        raise ValueError(f"give one of --model, --preset, --fake; received {', '.join(given) or 'none'}")
    if args.checkpoint and not args.preset:
        raise ValueError("--checkpoint has the weights of --preset, the network; received no --preset")
    if args.overrides and not args.checkpoint:
        raise ValueError("--set changes a setting of --preset with --checkpoint; received no --preset or no --checkpoint")
    if args.data and args.real:
        raise ValueError("give --data or --real, not both")
    if args.fake and not (args.data or args.real):
        raise ValueError("--fake needs the real images to compare with: --real DIR or --data SPEC")
    if args.weights and args.features == "classifier":
        raise ValueError(
            "--weights needs --features inception or keras-inception; for a classifier give --classifier"
        )
    if args.classifier and args.features != "classifier":
        raise ValueError(f"--classifier needs --features classifier; received {args.features}")
    if args.raw and args.fake:
        raise ValueError("--raw is for run folders and checkpoints; received images, --fake")


def _metrics(args, of_samples):
    """(names of metrics of samples, names of measures of the model)."""
    from tfgen.metrics import MEASURES, OF_CODES
    from tfgen.metrics.evaluate import DEFAULT

    if args.metrics is None:
        return DEFAULT, ()
    names = tuple(dict.fromkeys(name.strip() for name in args.metrics.split(",") if name.strip()))
    of_model = (*(capability.NAME for capability in MEASURES), *OF_CODES)
    if not names or set(names) - {*of_samples, *of_model}:
        raise ValueError(f"--metrics must be some of {', '.join((*of_samples, *of_model))}; received {args.metrics!r}")
    return tuple(n for n in names if n in of_samples), tuple(n for n in names if n in of_model)


def _earlier(path):
    if path is None:
        return None
    from tfgen.metrics import Result

    try:
        return Result.from_dict(json.loads(Path(path).read_text())["result"])
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no JSON file of `tfgen evaluate --out` ({type(error).__name__}: {error})") from error


class _Folder:
    """Generated images from files."""

    weights, batch_norm, binarization = "files", "none", None

    def __init__(self, source):
        self.source, self.image_shape, self.weights_hash = source, source.image_shape, source.fingerprint
        self.num_examples = source.num_examples

    def images(self, seed, first, last):
        return self.source.subset(range(first, last)).images()


def _options(args, *names):
    return {name: getattr(args, name) for name in names}


def _evaluated(args, exported):
    """(generator, or an `ExportedModel` that generates no images; its preset or None; an `ExportedModel` of the same model,
    where `exported` asks for it)."""
    from tfgen import data, metrics, presets
    from tfgen.models.capabilities import Sampler

    if args.fake:
        options = _options(args, "size", "channels", "resize", "on_error")
        return _Folder(data.load(f"folder:{args.fake}", **options)), None, None
    if args.checkpoint:
        return _from_checkpoint(args, exported)
    model, training = models.load(args)
    if args.raw:
        models.check_raw(args, model, training)
    if isinstance(model, metrics.ExportedModel):
        if args.batch_norm != "moving":
            raise ValueError(f"a SavedModel samples with moving statistics; received --batch_norm {args.batch_norm}")
        name = model.metadata.get("preset")
        preset = presets.get(name) if name in presets.names() else None
        _set_own_options(args, preset, model)
        if Sampler in model.capabilities and not isinstance(model, metrics.SavedModelGenerator):
            # It says why it cannot be a generator, if it draws images.
            trained_on = model.metadata.get("data_fingerprint")
            model = metrics.load_exported(model.path, _conditions_of(args, preset, model.conditions, trained_on))
        return model, preset, model
    preset = None
    if training is not None:
        from tfgen_trainers.train import TrainConfig

        preset = TrainConfig(**training["config"]).resolve()
    trained_on = None if training is None else training.get("run", training)["data"].get("fingerprint")
    generator, exported = _in_memory(args, model, preset, exported, trained_on)
    return generator, preset, exported


def _set_own_options(args, preset, model):
    """Sets options of the data that are not given to those of the preset."""
    if preset is None or args.real:
        return
    own = preset.options_for(args.data or preset.data)
    if own.get("size") is not None and hasattr(model, "image_shape"):  # of an export, which knows no overrides
        own["size"] = tuple(model.image_shape[:2])
    vars(args).update({name: value for name, value in own.items() if getattr(args, name) is None})


def _conditions_of(args, preset, conditions, trained_on):
    """The held-out images, whose conditions samples get where they are not classes, such as the embedding of a text.

    Says so if the images to train on are not those of the fingerprint `trained_on`: their vectors may be of another encoder.
    """
    from tfgen import data

    if all(field.dtype == "int32" for field in conditions):
        return None
    spec, options = _spec(args, preset and preset.data), _options(args, *DATA_OPTIONS)
    now = data.load(spec, args.split, **options).fingerprint
    if trained_on not in (None, now):
        say(
            f"the model was trained on data of the fingerprint {trained_on[:12]}, {spec} with these options has {now[:12]}: "
            "if texts are by another encoder than that of the training (--text_encoder), samples are of no text at all"
        )
    return data.load(spec, args.test_split, **options)


def _in_memory(args, model, preset, exported, trained_on=None):
    """(a `RunGenerator`, or an `ExportedModel` if it generates no images; an `ExportedModel` or None)."""
    from tfgen import metrics
    from tfgen.export import export_saved_model
    from tfgen.models.capabilities import Sampler

    _set_own_options(args, preset, model)
    is_sampler, found = Sampler in model.capabilities(), None
    binarization, dequantize = (None, False) if preset is None else (preset.binarization, preset.dequantize)
    if exported or not is_sampler:
        with tempfile.TemporaryDirectory() as folder:
            trained = {"binarization": binarization, "dequantize": dequantize}
            found = metrics.ExportedModel(
                export_saved_model(model, folder, use_ema=not args.raw, warmup=False, metadata=trained)
            )
    if not is_sampler:
        return found, found
    real = _conditions_of(args, preset, model.conditions(), trained_on)
    settings = {"use_ema": not args.raw, "batch_norm": args.batch_norm, "num": args.n_fake or args.n_real, "real": real}
    return metrics.RunGenerator(model, **settings, binarization=binarization), found


def _from_checkpoint(args, exported):
    from tfgen.training import Checkpoints
    from tfgen_trainers.train import TrainConfig

    config = TrainConfig(preset=args.preset, overrides=overrides(args.overrides), seed=args.seed)
    preset = config.resolve()
    if not os.path.isdir(args.checkpoint):
        raise ValueError(f"--checkpoint must be a folder of checkpoints; there is no folder {args.checkpoint}")
    model = config.model()
    if Checkpoints(model, args.checkpoint).restore() == 0:
        raise ValueError(f"{args.checkpoint} holds no checkpoint")
    generator, exported = _in_memory(args, model, preset, exported)
    return generator, preset, exported


def _spec(args, own_data):
    spec = f"folder:{args.real}" if args.real else args.data or own_data
    if spec is None:
        raise ValueError("the model names no data set: give --data or --real")
    return spec


def _real(args, own_data, names):
    """(train, test or None, the resize rule or None)."""
    from tfgen import data
    from tfgen.data.source import skipped_text

    spec, options = _spec(args, own_data), _options(args, *DATA_OPTIONS)
    train = data.load(spec, args.split, **options)
    if train.skipped:
        say(f"{train.name}: {skipped_text(train.skipped, train.num_examples)}, the first: {': '.join(train.skipped[0])}")
    resize = None
    if args.size is not None:
        resize = f"{args.resize or 'center_crop'} to {train.image_shape[0]}x{train.image_shape[1]}"
    must = args.anchor or (args.metrics is not None and "nearest" in names)
    try:
        test = data.load(spec, args.test_split, **options)
    except ValueError as error:
        if must:
            raise ValueError(f"nearest and --anchor need a held-out split: {error}") from error
        test = None
    return train, test, resize


def _count(args, generator, train):
    there = generator.num_examples if args.fake else None
    count = args.n_fake or there or min(args.n_real, train.num_examples)
    if there is not None and count > there:
        raise ValueError(f"--n_fake {count} exceeds the {there} images in {args.fake}")
    return count


def _extractor(args, train, test, folder):
    from tfgen import metrics

    if args.features != "classifier":
        return metrics.inception(
            args.weights, kind=args.features, resize=args.inception_resize, sha256_expected=args.sha256,
            allow_download=args.allow_download, cache=folder, report=say,
        )  # fmt: skip
    if args.classifier and (Path(args.classifier) / "classifier.npz").exists():
        return metrics.Classifier.load(args.classifier)
    if not train.has_labels:
        raise ValueError(
            f"{train.name} has no labels to train a classifier on: give --classifier DIR (a trained one), "
            "--features inception with --weights, or a metric of pixels (--metrics ms_ssim)"
        )
    if test is None:  # no held-out split: a tenth of the images is held out to measure the classifier's accuracy
        import numpy as np

        order = np.random.default_rng(args.seed).permutation(train.num_examples)
        cut = max(1, train.num_examples // 10)
        train, test = train.subset(np.sort(order[cut:])), train.subset(np.sort(order[:cut]))
    workdir = args.classifier
    if workdir is None and folder is not None:
        key = hashlib.sha256(f"{train.fingerprint} {test.fingerprint} {args.seed}".encode()).hexdigest()
        workdir = folder / "classifiers" / key
    if workdir is None or not (Path(workdir) / "classifier.npz").exists():
        say("training the classifier for the features; it is kept for later runs" if workdir else
            "training the classifier for the features")  # fmt: skip
    classifier = metrics.train_classifier(train, test, seed=args.seed, workdir=workdir)
    say(f"classifier: accuracy {classifier.accuracy:.4f} on held-out images")
    return classifier
