"""Training steps with and without TensorFlow's oneDNN kernels, in turns, each in a process of its own.

python -m benchmarks.onednn --out benchmarks/reproduce/onednn.json
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

from benchmarks.record import report
from tfgen import onednn

CONVOLUTIONAL = ("pixel-cnn/mnist", "dcgan/images-32")  # of images of a usual size
PRESETS = ("vae/mnist", "draw/mnist", "pixel-cnn/mnist", "dcgan/images-32", "vae/digits", "dcgan/digits")


def one(preset, value):
    """{"seconds_per_step", "cpu_seconds_per_step", ...} of a preset with the variable set to `value`."""
    command = [sys.executable, "-m", "tfgen_trainers.timing", preset]
    run = subprocess.run(command, env={**os.environ, onednn.VARIABLE: value}, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(run.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", help="the record")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--presets", nargs="+", default=list(PRESETS))
    args = parser.parse_args()
    started, results, load = time.perf_counter(), {}, [os.getloadavg()[0]]
    for preset in args.presets:
        found = {"0": [], "1": []}
        for _ in range(args.rounds):
            for value in found:
                found[value].append(one(preset, value))
            load.append(os.getloadavg()[0])
        for name, unit in (("seconds_per_step", "wall"), ("cpu_seconds_per_step", "cpu")):
            off, on = (statistics.median(times[name] for times in found[value]) for value in ("0", "1"))
            ratios = [a[name] / b[name] for a, b in zip(found["0"], found["1"], strict=True)]
            results |= {f"{preset} {unit} ms off": 1e3 * off, f"{preset} {unit} ms on": 1e3 * on,
                        f"{preset} {unit} off/on": statistics.median(ratios)}  # fmt: skip
        print(*(f"{name} {value:.3f}" for name, value in results.items() if name.startswith(preset)), sep="\n", flush=True)
    gates = {f"{preset} wall off/on": (">=", 1.0) for preset in args.presets if preset in CONVOLUTIONAL}
    report(
        args.out, "benchmarks.onednn", seed=0, seconds=time.perf_counter() - started, results=results, gates=gates,
        protocol={"rounds": args.rounds, "statistic": "medians; ratios within a round", "load_average": load},
    )  # fmt: skip


if __name__ == "__main__":
    main()
