"""Runs reproductions by name, one after the other. Each writes its record NAME.json.

python -m benchmarks.reproduce                      lists them
python -m benchmarks.reproduce sngan_digits         one or several
python -m benchmarks.reproduce all --manual_dir ~/mnist
python -m benchmarks.reproduce --status             says which records are fresh, and writes the table in README.md
python -m benchmarks.reproduce --check vae_digits   trains the first 20 steps with today's code and compares them
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

from benchmarks.reproduce import autoregressive, stack_gan
from benchmarks.reproduce.adversarial import RUNS
from tfgen import onednn

CLAIMS = ("saturating", "clipping", "spectral", "gaussians", "few-images", "attention", "truncation", "rotation", "styles",
          "modified", "disjoint", "damage", "blind-spot", "completions", "psi", "interpolation",
          "fractal-gradients")  # fmt: skip
# name of the record: the arguments of `python -m benchmarks.reproduce.`
COMMANDS = {
    **{name: [name] for name in ("vae_digits", "vae_mnist", "dcgan_mnist")},
    **{name: ["adversarial", name] for name in RUNS},
    **{name: ["autoregressive", name] for name in autoregressive.RUNS},
    **{name: ["stack_gan", name] for name in stack_gan.RUNS},
    "pixel_cnn_autoencoder": ["pixel_cnn_autoencoder"],
    **{f"autoencoder_{data}": ["autoencoder", data] for data in ("digits", "mnist")},
    "dfc_vae": ["dfc_vae"],
    "vae_gan": ["vae_gan"],
    **{f"pix2pix_{name}": ["pix2pix", name] for name in ("edges", "quadrants", "patches")},
    **{f"pix2pix_hd_{name}": ["pix2pix_hd", name] for name in ("digits", "features")},
    **{f"cycle_gan_{name}": ["cycle_gan", name] for name in ("inverted", "usps")},
    **{f"fractal_net_{name}": ["fractal_net", name] for name in ("digits", "fashion", "cifar10_jpeg")},
    "igan_mnist": ["igan", "mnist"],
    "compression": ["compression"],
    "ppgn_mnist": ["ppgn", "mnist"],
    "ppgn_fashion": ["ppgn", "fashion_mnist"],
    "adain_kodak": ["style_transfer", "adain"],
    "fast_style_transfer_kodak": ["style_transfer", "fast"],
    "glimpses": ["glimpses"],
    "deepsim_mnist": ["deepsim", "mnist"],
    "deepsim_photos": ["deepsim_photos"],
    "dgn_am_mnist": ["dgn_am", "mnist"],
    "vid2vid": ["vid2vid"],
    **{f"{model}_{data}": [model, data] for model in ("gmvae", "draw") for data in ("digits", "mnist")},
    **{f"dc_ign_{data}": ["dc_ign", data] for data in ("rendered_shapes", "coil20")},
    **{f"tvsn_{data}": ["tvsn", data] for data in ("rendered_views", "coil20_views")},
    **{f"infogan_{data}": ["infogan", data] for data in ("digits", "mnist")},
    **{f"claim_{name.replace('-', '_')}": ["claims", name] for name in CLAIMS},
    **{f"semi_supervised_{data}": ["semi_supervised", data] for data in ("digits", "mnist")},
}


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reproduce", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help=f"all, or any of: {', '.join(COMMANDS)}")
    parser.add_argument("--folder", default="benchmarks/reproduce", help="where the records go")
    parser.add_argument("--status", action="store_true", help="which records are fresh; writes the table in README.md")
    parser.add_argument("--check", action="store_true", help="compare the first steps of named records with today's code")
    args, rest = parser.parse_known_args()
    if args.status:
        return status()
    if args.check:
        return check(args, rest)
    names = list(COMMANDS) if args.names == ["all"] else args.names
    if unknown := sorted(set(names) - set(COMMANDS)):
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(COMMANDS)}")
    if not names:
        print(f"Name what to run, or all: {', '.join(COMMANDS)}")
    for name in names:
        module, *words = COMMANDS[name]
        print(f"== {name}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.reproduce.{module}", *words, "--out", f"{args.folder}/{name}.json"]
        if code := subprocess.run([*command, *rest], env={**_kernels_of(name, rest), **os.environ}).returncode:
            raise SystemExit(code)


def _kernels_of(name, rest):
    """{variable: value} by which runs that are continued keep their CPU kernels, and new ones have oneDNN's on every CPU."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--workdir", default="runs")
    workdir = parser.parse_known_args(rest)[0].workdir
    for path in sorted(pathlib.Path(workdir).glob(f"{name}-*/config.json")):
        if isinstance(on := json.loads(path.read_text()).get("onednn"), bool):
            return {onednn.VARIABLE: str(int(on))}
    return {onednn.VARIABLE: "1"} if onednn.supported() else {}


def status():
    from benchmarks.reproduce.status import freshness, readme, records

    found = records()
    for name, record in found.items():
        fresh, why = freshness(name, record)
        missed = [gate for gate, met in (record.get("passed") or {}).items() if met is False]
        print(f"{name:26} {'fresh' if fresh else 'stale'}: {why}{'; MISSED ' + ', '.join(missed) if missed else ''}")
    path, text = readme(found)
    path.write_text(text)


def check(args, rest):
    from benchmarks.reproduce.status import check

    parser = argparse.ArgumentParser(prog="python -m benchmarks.reproduce --check")
    parser.add_argument("--manual_dir", help="folder with the original files of the data set, offline")
    parser.add_argument("--against", metavar="COMMIT", help="of records of another kind of machine: compare with the steps "
                        "of this commit's code here, by which they were fresh")  # fmt: skip
    options = parser.parse_args(rest)
    reproduced = [check(f"{args.folder}/{name}.json", options.manual_dir, options.against) for name in args.names]
    if not all(reproduced):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
