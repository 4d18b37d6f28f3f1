"""Trainings of claims, and presets of digits compared over several seeds: their runs, a figure and a table."""

import contextlib
import pathlib
import re

import matplotlib.pyplot as plt
import numpy as np

import tfgen
from benchmarks.record import markdown_table, training_of
from benchmarks.reproduce.common import CLASSES, FCD, SCORE, train_seconds_of
from tfgen.metrics import Evaluator, train_classifier
from tfgen_trainers.train import TrainConfig, train

SEEDS = (0, 1, 2)
TITLES = {"wgan/digits": "clipping", "wgan-gp/digits": "gradient penalty", "sngan/digits": "spectral norm"}


def trained(args, source, preset, seed=0, steps=None, settings=None, folder=None, **load):
    """Trains a preset; a run that the run folder has is read.

    Args:
        settings: those that differ from the preset's.
        folder: name of the run, without the seed; None: the preset's.
        **load: how to load the source again, see `benchmarks.record.training_of`.

    Returns:
        (model, what a record says of the training, seconds).
    """
    config = TrainConfig(preset, settings or {}, steps, seed, log_every=500, checkpoint_every=5000, sample_every=10_000)
    # The runs of `adversarial` have these names; a run of another length must not continue one of them.
    own_length = steps is None or steps == tfgen.presets.get(preset).steps
    folder = re.sub(r"\W", "_", folder or preset) + ("" if own_length else f"-{steps}-steps") + f"-{seed}"
    workdir = pathlib.Path(args.workdir) / folder
    result = train(config, source, workdir)
    return result.model, training_of(workdir, **load), train_seconds_of(workdir)


def numbers(evaluator, model, num, seed=0, averaged=False, **given):
    """(the numbers of `num` samples that claims show, the protocol, the samples); `given` are arguments of `sample`."""
    with model.ema.swapped() if averaged else contextlib.nullcontext():
        images = model.sample(num, seed=seed, **model.conditions_to_show(num), **given).numpy()
    judged = evaluator(images, weights="ema" if averaged else "raw")
    found = {key: judged.values[key] for key in (FCD, SCORE, CLASSES, "precision", "recall")}
    return found, judged.protocol.to_dict(), images


def compare(args, presets, steps=None):
    """({preset: {"seeds": [results], "median": results}}, protocol, trainings, arguments of `keep` for the first run).

    Samples are drawn with the raw weights of each model; one classifier, of seed 0, is used for all.
    """
    sources = [tfgen.data.load("digits", split) for split in ("train", "test")]
    evaluator = Evaluator(*sources, train_classifier(*sources, seed=0), seed=0)
    found, trainings, protocol, zoo = {}, {}, None, None
    for name in presets:
        seeds = []
        for seed in SEEDS:
            model, training, seconds = trained(args, sources[0], name, seed, steps, spec="digits", split="train")
            trainings[f"{name}-{seed}"] = training
            zoo = zoo or {"model": model, "metric": FCD, "training": training, "train": sources[0], "test": sources[1],
                          "averaged": False}  # fmt: skip
            values, protocol, _ = numbers(evaluator, model, len(sources[1]), seed)
            done = int(model.step.value.numpy())
            seeds.append({"seed": seed, "steps": done, "train_seconds": seconds, **values})
            print(name, seeds[-1])
        median = {key: float(np.median([one[key] for one in seeds])) for key in seeds[0] if key != "seed"}
        found[name] = {"median": median, "seeds": seeds}
    real = evaluator.real_anchor(len(sources[1])).values
    anchor = {key: real[key] for key in (FCD, SCORE, "precision", "recall")}
    configs = {name: tfgen.presets.get(name).config() for name in presets}
    return found, {
        "presets": configs, "seeds": SEEDS, "metrics": protocol, "test_images": anchor,
        "train_seconds": "from the making of the run folder to its last line: too long where a run was interrupted",
    }, trainings, zoo  # fmt: skip


def draw_numbers(*keys):
    """Draws a panel for each number, with a dot for each seed."""
    labels = {FCD: "Fréchet classifier distance", SCORE: "classifier score", "train_seconds": "seconds of training"}

    def draw(found, args):
        models = {name: TITLES[name] for name in found["results"] if name in TITLES}
        figure, panels = plt.subplots(1, len(keys), figsize=(3.4 * len(keys), 3.4), layout="constrained")
        for axes, key in zip(panels, keys, strict=True):
            for x, name in enumerate(models):
                seeds = found["results"][name]["seeds"]
                axes.plot([x + 0.06 * (i - 1) for i in range(len(seeds))], [one[key] for one in seeds], "o", color=f"C{x}")
            if key in found["protocol"]["test_images"]:
                value = found["protocol"]["test_images"][key]
                axes.axhline(value, color="0.5", linestyle=":", label="test images")
                axes.legend()
            axes.set(title=labels.get(key, key), xticks=range(len(models)), xticklabels=models.values(), xlim=(-0.5, 1.5))
            if key != SCORE:
                axes.set_ylim(0, 1.1 * axes.get_ylim()[1])
        return figure

    return draw


def table_numbers(found):
    head = ["model", "generator steps", "FCD", "score", "classes", "recall", "seconds"]
    rows = []
    for name, one in found["results"].items():
        if name not in TITLES:
            continue
        turns = found["protocol"]["presets"][name]["model_args"].get("discriminator_steps", 5)
        forms = {FCD: ".2f", SCORE: ".2f", CLASSES: "d", "recall": ".2f", "train_seconds": ".0f"}
        texts = [" / ".join(f"{seed[key]:{form}}" for seed in one["seeds"]) for key, form in forms.items()]
        rows.append([f"{TITLES[name]} (`{name}`)", f"{one['median']['steps'] / turns:,.0f}", *texts])
    seeds = ", ".join(map(str, found["protocol"]["seeds"]))
    return f"{markdown_table(head, rows)}\n\nOne number for each of the seeds {seeds}."
