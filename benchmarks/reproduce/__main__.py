"""Runs reproductions by name, one after the other. Each writes its record NAME.json.

python -m benchmarks.reproduce                      lists them
python -m benchmarks.reproduce sngan_digits         one or several
python -m benchmarks.reproduce all --manual_dir ~/mnist
"""

import argparse
import subprocess
import sys

from benchmarks.reproduce import autoregressive
from benchmarks.reproduce.adversarial import RUNS

# name of the record: the arguments of `python -m benchmarks.reproduce.`
COMMANDS = {
    **{name: [name] for name in ("vae_digits", "vae_mnist", "dcgan_mnist")},
    **{name: ["adversarial", name] for name in RUNS},
    **{name: ["autoregressive", name] for name in autoregressive.RUNS},
    "pixel_cnn_autoencoder": ["pixel_cnn_autoencoder"],
    **{f"autoencoder_{data}": ["autoencoder", data] for data in ("digits", "mnist")},
    "dfc_vae": ["dfc_vae"],
    "vae_gan": ["vae_gan"],
    "compression": ["compression"],
    "glimpses": ["glimpses"],
    **{f"{model}_{data}": [model, data] for model in ("gmvae", "draw") for data in ("digits", "mnist")},
    **{f"dc_ign_{data}": ["dc_ign", data] for data in ("rendered_shapes", "coil20")},
    **{f"infogan_{data}": ["infogan", data] for data in ("digits", "mnist")},
    **{f"claim_{name}": ["claims", name] for name in ("saturating", "clipping", "spectral", "gaussians")},
    **{f"semi_supervised_{data}": ["semi_supervised", data] for data in ("digits", "mnist")},
}


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reproduce", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help=f"all, or any of: {', '.join(COMMANDS)}")
    parser.add_argument("--folder", default="benchmarks/reproduce", help="where the records go")
    args, rest = parser.parse_known_args()
    names = list(COMMANDS) if args.names == ["all"] else args.names
    if unknown := sorted(set(names) - set(COMMANDS)):
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(COMMANDS)}")
    if not names:
        print(f"Name what to run, or all: {', '.join(COMMANDS)}")
    for name in names:
        module, *words = COMMANDS[name]
        print(f"== {name}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.reproduce.{module}", *words, "--out", f"{args.folder}/{name}.json"]
        if code := subprocess.run([*command, *rest]).returncode:
            raise SystemExit(code)


if __name__ == "__main__":
    main()
