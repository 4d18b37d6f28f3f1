"""Digits, three seeds: clipping and gradient penalty."""

import tfgen
from benchmarks.reproduce.claims.runs import compare, draw_numbers, table_numbers
from benchmarks.reproduce.common import FCD, SCORE

CAPTION = "Fréchet classifier distance, score and recall of three seeds each"
draw, table = draw_numbers(FCD, SCORE, "recall"), table_numbers


def measure(args):
    steps = args.steps or tfgen.presets.get("wgan-gp/digits").steps
    results, protocol, trainings, zoo = compare(args, ("wgan/digits", "wgan-gp/digits"), steps)
    results["fcd_ratio"] = results["wgan/digits"]["median"][FCD] / results["wgan-gp/digits"]["median"][FCD]
    return results, {**protocol, "steps": steps}, {"fcd_ratio": (">=", 1.0)}, trainings, zoo
