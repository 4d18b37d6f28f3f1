"""Code that the reproductions share: command line, training, record."""

import argparse
import contextlib
import dataclasses
import functools
import pathlib
import time

import numpy as np

import tfgen
from benchmarks.record import report, training_of
from benchmarks.zoo import keep
from tfgen.metrics import Evaluator, train_classifier
from tfgen_trainers.train import TrainConfig, origin_of, snapshot, train

FCD, SCORE, CLASSES = "frechet_classifier_distance", "classifier_score", "num_classes"


def arguments(doc, name, *, data=None, seeds=(0,), picture=None):
    """The parser of a reproduction's command line.

    Args:
        doc: docstring of the module, shown by --help.
        name: name of the record; a part in capitals stands for a choice.
        data: default of --data; None: no such option.
        seeds: default of --seed or, if there are several, of --seeds.
        picture: description of the picture of --picture; None: no such option.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    own = {"default": f"benchmarks/reproduce/{name}.json"} if name == name.lower() else {}
    parser.add_argument("--out", help=f"the record; default benchmarks/reproduce/{name}.json", **own)
    parser.add_argument("--workdir", default="runs", help="where run folders go")
    if data:
        parser.add_argument("--data", default=data, help=f"data set, see tfgen.data.load; default {data}")
    parser.add_argument("--manual_dir", help="folder with the original files of the data set, offline")
    parser.add_argument("--steps", type=int, help="of each training, instead of the preset's")
    if len(seeds) == 1:
        parser.add_argument("--seed", type=int, default=seeds[0])
    else:
        parser.add_argument("--seeds", type=int, nargs="+", default=list(seeds))
    if picture:
        parser.add_argument("--picture", action="store_true", help=f"save {picture}")
    return parser


def main(
    name, preset, measure, gates, *, data, tuning, argv=None, module=None, seeds=None, rank=None, zoo=None, sources=None,
    **overrides,
):  # fmt: skip
    """Trains `preset`, measures, and writes `<out>`.

    With several seeds there is a run for each, and one record. The results are those of the best seed, to which the gates
    apply; in them "median" has the median over the seeds of every number, "seeds" has the results of each seed.

    Args:
        name: name of the run, a folder under --workdir.
        measure: (model, train source, test source, seed) -> (results dict, protocol dict).
        gates: {result name: ("<=" or ">=", number)}.
        data: default of --data.
        tuning: description of how the settings were chosen, for the record.
        module: the module of the recorded command; None: `benchmarks.reproduce.<name>`.
        seeds: None: one seed, --seed; or the default of --seeds.
        rank: with several seeds, the name of the result by which they are compared; the highest is best.
        sources: None: the splits of --data; or (arguments of the command line) -> (train source, test source).
        zoo: the metric by which the model is kept in the zoo, see `benchmarks.zoo`; None: it is not.
        **overrides: settings of the preset.

    Returns:
        the trained model; with several seeds the best.
    """
    args = arguments(__doc__, name, data=data, seeds=seeds or (0,)).parse_args(argv)
    if seeds is not None:
        seeds = args.seeds
    train_source, test_source = sources(args) if sources else (
        tfgen.data.load(args.data, split, manual_dir=args.manual_dir) for split in ("train", "test")
    )  # fmt: skip
    load = {} if sources else {"spec": args.data, "split": "train"}
    runs, trainings, evaluation_seconds = {}, {}, 0.0  # {seed: (model, results)}
    for seed in [args.seed] if seeds is None else seeds:
        config = TrainConfig(preset, overrides, args.steps, seed, log_every=500, checkpoint_every=5000, sample_every=10_000)
        workdir = pathlib.Path(args.workdir) / f"{name}-{seed}"
        result = train(config, train_source, workdir)
        trainings[f"seed_{seed}"] = training_of(workdir, **load)
        started = time.perf_counter()
        results, protocol = measure(result.model, train_source, test_source, seed)
        evaluation_seconds += time.perf_counter() - started
        runs[seed] = result.model, {"train_seconds": train_seconds_of(workdir), "steps": result.step, **results}
    found = {seed: results for seed, (_, results) in runs.items()}
    train_seconds = sum(results["train_seconds"] for results in found.values())
    best = seed if seeds is None else max(seeds, key=lambda seed: found[seed][rank])
    model, results = runs[best]
    if seeds is not None:
        numbers = [key for key, value in results.items() if isinstance(value, (int, float))]
        median = {key: float(np.median([one[key] for one in found.values()])) for key in numbers}
        protocol = {"best_of_seeds": f"highest {rank}", **protocol}
        results = {**results, "median": median, "seeds": found}
    resolved = config.resolve()
    report(
        args.out, module or f"benchmarks.reproduce.{name}",
        seed=args.seed if seeds is None else list(seeds),
        protocol={
            "preset": resolved.config(), "train": f"{train_source.name} {train_source.split}", "n_train": len(train_source),
            "test": f"{test_source.name} {test_source.split}", "n_test": len(test_source), "tuning": tuning,
            **protocol,
        },
        seconds=train_seconds + evaluation_seconds,
        results=results,
        gates=gates,
        trainings=trainings,
        evaluation_seconds=round(evaluation_seconds, 1),
        paper=resolved.paper,
    )  # fmt: skip
    if zoo:
        keep(args.out, model, zoo, training=trainings[f"seed_{best}"], train=train_source, test=test_source,
             binarization=resolved.binarization)  # fmt: skip
    return model


def training_here(config, source, loop, **load):
    """What a record says of a training of `config` that does not use `train`, but for its first steps. To be called before
    the training, of code that may be edited during it.

    Args:
        loop: dotted name of the module that trains.
        **load: see `benchmarks.record.training_of`; `validation`: the number of images that `split_validation` takes away.
    """
    settings = snapshot(config, config.resolve(), source)
    return {
        "trained_by": [{"from_step": 0, **origin_of(config, source, loop)}],
        "first_steps": None,
        "config": dataclasses.asdict(config),
        "preset": settings["preset"],
        "data": {"name": f"{source.name}, {source.split}", **settings["data"]},
        "load": load or None,
    }


def train_seconds_of(workdir):
    """Seconds from the creation of the run folder to its last line, so that a later evaluation does not change them."""
    workdir = pathlib.Path(workdir)
    return (workdir / "history.jsonl").stat().st_mtime - (workdir / "config.json").stat().st_mtime


def in_parts(function, *arrays, size=500):
    """Computes function(*arrays), at most `size` rows at a time, as one NumPy array."""
    parts = range(0, len(arrays[0]), size)
    return np.concatenate([np.asarray(function(*(array[i : i + size] for array in arrays))) for i in parts])


def likelihood(binarization, k=500, elbo_samples=10):
    """Computes -ELBO and the importance weighted bound, nats per image, on the whole test split."""

    def measure(model, train_source, test_source, seed):
        elbo, bound = [], []
        for batch in test_source.batches(500, binarization=binarization, seed=seed):
            elbo.append(np.mean([model.elbo(batch["image"], seed=seed + i) for i in range(elbo_samples)], axis=0))
            bound.append(model.log_prob(batch["image"], num_importance_samples=k, seed=seed))
        results = {"negative_elbo_nats": -float(np.mean(np.concatenate(elbo))),
                   f"iwae{k}_nats": -float(np.mean(np.concatenate(bound)))}  # fmt: skip
        return results, {
            "binarization": binarization,
            "importance_samples": k,
            "elbo_samples": elbo_samples,
            "weights": "raw",
        }

    return measure


@functools.cache
def _evaluator(train_source, test_source, seed):
    classifier = train_classifier(train_source, test_source, seed=seed)
    return Evaluator(train_source, test_source, classifier, seed=seed)


def adversarial(model, train_source, test_source, seed):
    """Evaluates samples with a classifier trained on the train split, beside an untrained generator and real test images."""
    evaluator = _evaluator(train_source, test_source, seed)
    n = min(10_000, len(test_source))
    real = evaluator.real_anchor(n).values
    labels = model.conditions_to_show(n)  # all classes in turn
    untrained = type(model).from_config(model.get_config()).sample(n, seed=seed, **labels)
    untrained = evaluator(untrained.numpy(), weights="raw").values
    with contextlib.nullcontext() if model.ema is None else model.ema.swapped():
        trained = evaluator(model.sample(n, seed=seed, **labels).numpy(), weights="raw" if model.ema is None else "ema")
    values = dict(trained.values)
    ratio = values["frechet_classifier_distance"] / untrained["frechet_classifier_distance"]
    results = {**values, "fcd_relative_to_untrained": ratio, "classifier_accuracy": evaluator.classifier.accuracy,
               "anchor_real": real, "anchor_untrained": untrained}  # fmt: skip
    return results, {"metrics": trained.protocol.to_dict()}
