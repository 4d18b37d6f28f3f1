"""Measures a claim of a paper: writes its record, and its figure and table in docs/claims.md.

    python -m benchmarks.reproduce.claims saturating
    python -m benchmarks.reproduce.claims page          makes the tables of docs/claims.md again
"""

import argparse
import json
import pathlib
import pkgutil
import time

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from benchmarks.record import ROOT, report
from benchmarks.reproduce import claims
from benchmarks.reproduce.claims import page
from benchmarks.zoo import keep

SHARED = ("__main__", "digits", "page", "runs")
# As they are written: with a hyphen.
NAMES = [m.name.replace("_", "-") for m in pkgutil.iter_modules(claims.__path__) if m.name not in SHARED]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("claim", choices=[*NAMES, "page"])
    parser.add_argument("--out", help="the record; default benchmarks/reproduce/claim_NAME.json")
    parser.add_argument("--docs", default=ROOT / "docs", type=pathlib.Path, help="folder with claims.md and images")
    parser.add_argument("--workdir", default="runs", help="where run folders go")
    parser.add_argument("--manual_dir", help="folder with the original files of the data set, offline")
    parser.add_argument("--steps", type=int, help="of each training, for a trial, whose record goes to --workdir")
    args = parser.parse_args()
    if args.claim != "page":
        measure(args)
    path = args.docs / "claims.md"
    path.write_text(page.rebuilt(path.read_text(), {name: found for name in NAMES if (found := page.record(name))}))


def measure(args):
    """Writes the record and the figure."""
    slug = args.claim.replace("-", "_")
    claim = page.claim(args.claim)
    module = claim.__name__
    if hasattr(claim, "measure"):
        started = time.perf_counter()
        results, protocol, gates, trainings, zoo = claim.measure(args)
        folder = "benchmarks/reproduce" if args.steps is None else args.workdir
        path = pathlib.Path(args.out or f"{folder}/claim_{slug}.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        report(
            path, claims.__name__, code=module, seed=protocol.get("seeds", 0), protocol=protocol,
            seconds=time.perf_counter() - started, results=results, gates=gates, trainings=trainings,
        )  # fmt: skip
        if zoo is not None:
            keep(path, **zoo)
        found = json.loads(path.read_text())  # so that changes by JSON have no effect later
    elif (found := page.record(args.claim)) is None:
        print(f"{args.claim}: a record is missing of {claim.RECORD}; `python -m benchmarks.reproduce NAME` makes it.")
        return
    if args.steps is not None:  # a trial, of which the docs say nothing
        print(claim.table(found))
        return
    (args.docs / "images").mkdir(parents=True, exist_ok=True)
    figure = claim.draw(found, args)
    figure.savefig(args.docs / f"images/claim_{slug}.png", dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
