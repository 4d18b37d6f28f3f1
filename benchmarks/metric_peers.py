"""Metrics of tfgen and of other packages on the same features of real images: how far the numbers are apart.

    python -m benchmarks.metric_peers --peer_python .venv-fidelity/bin/python --out benchmarks/reproduce/metric_peers.json

Reference: 600 of scikit-learn's digits. Judged: 600 others with noise of three sizes. Features: a convolutional network with
random weights. Logits, for the score: logistic regression of the features. The other packages get these arrays, and run in
an environment of their own, which git ignores:

    python3.11 -m venv .venv-fidelity
    .venv-fidelity/bin/python -m pip install torch torch-fidelity prdc scipy scikit-learn
"""

import argparse
import json
import pathlib
import subprocess
import tempfile
import time

import numpy as np
from sklearn.linear_model import LogisticRegression

import tfgen
from benchmarks.record import report

SCRIPT = pathlib.Path(__file__).parent / "peers/torch_fidelity_metrics.py"
NUMBER, K, NOISE = 600, 5, (0.0, 0.1, 0.3)
GATES = {"largest_relative_difference": ("<=", 1e-5)}
# {metric: {package: its name there}}; the names of ours are the keys.
NAMES = {
    "frechet": {"torch-fidelity": "frechet_inception_distance", "scipy": "frechet"},
    "kernel": {"torch-fidelity": "kernel_inception_distance_mean", "scikit-learn": "kernel"},
    "score": {"torch-fidelity": "inception_score_mean"},
    "precision": {"torch-fidelity": "precision", "prdc": "precision"},
    "recall": {"torch-fidelity": "recall", "prdc": "recall"},
    "density": {"prdc": "density"},
    "coverage": {"prdc": "coverage"},
}


def arrays(noise):
    """{"real", "fake": float64 [N, F], "logits": float64 [N, 10]}."""
    digits = tfgen.data.load("digits").take(2 * NUMBER)
    images, labels = digits.images(), digits.labels()
    images[NUMBER:] += noise * np.random.default_rng(0).normal(size=images[NUMBER:].shape)
    network = tfgen.features.random_conv((16, 32), channels=1)
    maps = list(network(np.clip(images, 0.0, 1.0)).values())[-1].numpy().astype(np.float64)
    features = maps.mean(axis=(1, 2))
    known = LogisticRegression(max_iter=2000).fit(features[:NUMBER], labels[:NUMBER])
    return {"real": features[:NUMBER], "fake": features[NUMBER:], "logits": known.decision_function(features[NUMBER:])}


def ours(real, fake, logits):
    return {
        "frechet": tfgen.metrics.frechet_distance(real, fake),
        "kernel": tfgen.metrics.kernel_distance(fake, real, subsets=1, subset_size=NUMBER).mean,
        "score": tfgen.metrics.classifier_score(logits).mean,
        **tfgen.metrics.prdc(real, fake, k=K),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out")
    parser.add_argument("--peer_python", default=".venv-fidelity/bin/python")
    args = parser.parse_args()
    started, results, differences, versions = time.perf_counter(), {}, [], None
    for noise in NOISE:
        given = arrays(noise)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "features.npz"
            np.savez(path, **given, k=K)
            run = subprocess.run([args.peer_python, str(SCRIPT), str(path)], check=True, capture_output=True, text=True)
        theirs = json.loads(run.stdout.splitlines()[-1])
        versions, own, table = theirs.pop("versions"), ours(**given), {}
        for metric, names in NAMES.items():
            table[metric] = {"tfgen": own[metric], **{package: theirs[package][name] for package, name in names.items()}}
            differences += [abs(value - own[metric]) / max(abs(own[metric]), 1e-12) for value in table[metric].values()]
        results[f"noise_{noise}"] = table
        print(noise, json.dumps(table, indent=1))
    report(
        args.out, "benchmarks.metric_peers", seed=0,
        protocol={"images": NUMBER, "noise": NOISE, "k": K, "features": "random_conv of (16, 32) filters, means over places",
                  "peers": versions, "kernel": "one subset of all images"},
        seconds=time.perf_counter() - started,
        results={"largest_relative_difference": float(np.max(differences)), **results}, gates=GATES,
    )  # fmt: skip


if __name__ == "__main__":
    main()
