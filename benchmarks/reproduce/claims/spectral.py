"""Digits, three seeds: gradient penalty and spectral normalisation."""

from benchmarks.reproduce.claims.runs import compare, draw_numbers, table_numbers
from benchmarks.reproduce.common import FCD

CAPTION = "Fréchet classifier distance and seconds of training, three seeds each"
draw, table = draw_numbers(FCD, "train_seconds"), table_numbers


def measure(args):
    results, protocol, trainings, zoo = compare(args, ("sngan/digits", "wgan-gp/digits"), args.steps)
    medians = [results[name]["median"] for name in ("sngan/digits", "wgan-gp/digits")]
    results["seconds_ratio"] = medians[0]["train_seconds"] / medians[1]["train_seconds"]
    results["sngan_fcd"] = medians[0][FCD]
    return results, protocol, {"sngan_fcd": ("<=", 2.0), "seconds_ratio": ("<=", 1.0)}, trainings, zoo
