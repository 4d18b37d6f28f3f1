"""Time of `import tfgen`, beside importing TensorFlow and Keras.

    python -m benchmarks.import_time --out benchmarks/reproduce/import_time.json

Each measurement is a new interpreter that times its own imports. The cases run in turns, so that other load on the machine
slows all of them alike. Ratios are of medians to that of `import tensorflow, keras`.
"""

import argparse
import statistics
import subprocess
import sys
import time

from benchmarks.record import ROOT, report

BASE = "import tensorflow, keras"
GATES = {"tfgen_and_tensorflow_keras_over_base": ("<=", 1.2), "tfgen_vae_over_base": ("<=", 1.2)}
CASES = {
    "tensorflow_keras": BASE,
    "tfgen": "import tfgen",
    "tfgen_and_tensorflow_keras": f"import tfgen; {BASE}",
    "tfgen_vae": "import tfgen; from tfgen.models import VAE",
}


def import_seconds(statement):
    """Seconds that `statement` takes in a new interpreter, without the interpreter's start."""
    code = f"import time; start = time.perf_counter(); {statement}; print(time.perf_counter() - start)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"{statement!r} failed:\n{run.stderr}")
    return float(run.stdout.split()[-1])


def summed(results):
    """The results for the gates."""
    return {f"{name}_over_base": ratio for name, ratio in results["ratio_of_medians"].items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each case (default 7)")
    parser.add_argument("--out", help="JSON file for the record; without it nothing is written")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"--rounds must be at least 1; got {arguments.rounds}")

    start = time.perf_counter()
    for statement in CASES.values():  # one round without a record, to warm up the disk cache
        import_seconds(statement)
    seconds = {name: [] for name in CASES}
    for turn in range(arguments.rounds):
        for name, statement in CASES.items():
            seconds[name].append(import_seconds(statement))
        latest = ", ".join(f"{name} {values[-1]:.2f} s" for name, values in seconds.items())
        print(f"round {turn + 1}/{arguments.rounds}: {latest}")

    medians = {name: statistics.median(values) for name, values in seconds.items()}
    results = {"seconds": seconds, "median_seconds": medians, "ratio_of_medians": {}}
    for name in list(CASES)[1:]:
        results["ratio_of_medians"][name] = ratio = medians[name] / medians["tensorflow_keras"]
        print(f"{CASES[name]!r} takes {ratio:.3f}x the time of {BASE!r} (median {medians[name]:.2f} s)")
    report(
        arguments.out,
        "benchmarks.import_time",
        seed=None,
        protocol={
            "cases": CASES,
            "rounds": arguments.rounds,
            "how": "fresh interpreter each time, cases in turn, one round first unrecorded, medians",
        },
        seconds=time.perf_counter() - start,
        results={**summed(results), **results},
        gates=GATES,
    )


if __name__ == "__main__":
    main()
