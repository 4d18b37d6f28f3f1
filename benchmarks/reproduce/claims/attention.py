"""SAGAN on MNIST with attention and without, three seeds."""

import statistics

import keras
import matplotlib.pyplot as plt
import numpy as np

import tfgen
from benchmarks.record import markdown_table
from benchmarks.reproduce.claims.runs import SEEDS, numbers, trained
from benchmarks.reproduce.common import FCD, SCORE
from tfgen.layers import SelfAttention2D
from tfgen.metrics import Evaluator, train_classifier
from tfgen_trainers.timing import time_steps

CAPTION = "Fréchet classifier distance with attention, without, and with gamma set to 0 after training, three seeds each"
PRESET, STEPS, SAMPLES, ROUNDS = "sagan/mnist", 1_500, 10_000, 3
VARIANTS = {"attention": {}, "no attention": {"attention_size": None}}
OFF = "gamma = 0"


def measure(args):
    """FCD of the averaged weights, the same with gamma of the generator set to 0, and the time of a step."""
    source, test = (tfgen.data.load("mnist", split, manual_dir=args.manual_dir) for split in ("train", "test"))
    evaluator = Evaluator(source, test, train_classifier(source, test, seed=0), seed=0)
    steps, seeds = args.steps or STEPS, {name: [] for name in (*VARIANTS, OFF)}
    trainings, zoo, protocol = {}, None, None
    for seed in SEEDS:
        for name, settings in VARIANTS.items():
            load = {"spec": "mnist", "split": "train"}
            model, training, seconds = trained(args, source, PRESET, seed, steps, settings, f"claim_{name}", **load)
            trainings[f"{name}-{seed}"] = training
            one, protocol, _ = numbers(evaluator, model, SAMPLES, seed, averaged=True)
            seeds[name].append({"seed": seed, "train_seconds": seconds, **one})
            print(name, seeds[name][-1])
            if name == "attention":
                zoo = zoo or {"model": model, "metric": FCD, "training": training, "train": source, "test": test}
                with model.ema.swapped():
                    layers = model.generator._flatten_layers()
                    gammas = [layer.gamma for layer in layers if isinstance(layer, SelfAttention2D)]
                    seeds[name][-1]["gamma"] = [float(keras.ops.convert_to_numpy(gamma)) for gamma in gammas]
                    kept = [keras.ops.convert_to_numpy(gamma) for gamma in gammas]
                    for gamma in gammas:
                        gamma.assign(0.0)
                    one, *_ = numbers(evaluator, model, SAMPLES, seed)
                    for gamma, value in zip(gammas, kept, strict=True):
                        gamma.assign(value)
                seeds[OFF].append({"seed": seed, **one})
                print(OFF, seeds[OFF][-1])
    cost = _seconds_per_step()
    distance = {name: [one[FCD] for one in found] for name, found in seeds.items()}
    results = {
        "fcd_over_plain": float(np.median(distance["attention"]) / np.median(distance["no attention"])),
        "gamma_off_over_on": float(np.median(np.divide(distance[OFF], distance["attention"]))),
        "step_over_plain": statistics.median(a / b for a, b in zip(*cost.values(), strict=True)),
        "cpu_seconds_per_step": cost,
        "seeds": seeds,
    }
    protocol = {"preset": tfgen.presets.get(PRESET).config(), "steps": steps, "variants": VARIANTS, "seeds": SEEDS,
                "samples": SAMPLES, "weights": "averaged", "metrics": protocol,
                "gamma_off": "of the generator, after training",
                "step_over_plain": f"CPU seconds of a step, both in turns, median of {ROUNDS} rounds"}  # fmt: skip
    gates = {"fcd_over_plain": ("<=", 1.0), "gamma_off_over_on": (">=", 1.2), "step_over_plain": ("<=", 1.1)}
    return results, protocol, gates, trainings, zoo


def _seconds_per_step():
    presets = {name: tfgen.presets.get(PRESET).override(settings) for name, settings in VARIANTS.items()}
    cost = {name: [] for name in VARIANTS}
    for _ in range(ROUNDS):
        for name, preset in presets.items():
            cost[name].append(time_steps(preset).cpu_seconds_per_step)
    return cost


def draw(found, args):
    seeds = found["results"]["seeds"]
    figure, axes = plt.subplots(figsize=(4.8, 3.4), layout="constrained")
    for x, runs in enumerate(seeds.values()):
        axes.plot([x + 0.06 * (one["seed"] - 1) for one in runs], [one[FCD] for one in runs], "o", color=f"C{x}")
    axes.set(xticks=range(len(seeds)), xticklabels=seeds, xlim=(-0.5, len(seeds) - 0.5))
    axes.set(ylabel="Fréchet classifier distance", ylim=(0, 1.1 * axes.get_ylim()[1]))
    return figure


def table(found):
    results = found["results"]
    rows = [
        [name, *(" / ".join(f"{one[key]:{form}}" for one in runs) for key, form in ((FCD, ".3f"), (SCORE, ".2f")))]
        for name, runs in results["seeds"].items()
    ]
    return (
        f"{markdown_table(['generator', 'FCD', 'score'], rows)}\n\n"
        f"One number for each of the seeds {', '.join(map(str, found['protocol']['seeds']))}. Medians: FCD with "
        f"attention is {results['fcd_over_plain']:.2f} of that without; with gamma set to 0 after training it is "
        f"{results['gamma_off_over_on']:.2f} times as large. With attention a step takes "
        f"{results['step_over_plain']:.2f} times the CPU time."
    )
