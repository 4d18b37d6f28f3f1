"""How much memory cached sampling takes, by image size: it should grow with a row, one pass of the network with the image.

    python -m benchmarks.autoregressive_memory --out benchmarks/reproduce/autoregressive_memory.json

Of the Gated PixelCNN of the record's preset, at N x N pixels. Each number is of a process of its own, in which the function
ran once with one image before: how far the resident set rises above that while it runs with --images images, in MiB. Linux
alone.

    cached_N     `model.generate`
    whole_N      the network's parameters of all pixels, once: what naive sampling does for every pixel
    images_N     the images themselves, float32
"""

import argparse
import json
import pathlib
import subprocess
import sys
import time

import tensorflow as tf

import tfgen
from benchmarks.record import report
from tfgen.sampling.cached import Whole

PRESET = "gated-pixel-cnn/mnist"
SIZES = (16, 32, 64)
# From 16 to 64 a row grows 4 times, an image 16 times.
GATES = {"cached_64_over_16": ("<=", 6.0)}


def rise(way, size, images):
    """MiB; see above."""
    model = tfgen.presets.get(PRESET).override({"image_shape": [size, size, 1]}).build()

    @tf.function(input_signature=[tf.TensorSpec([None, size, size, 1])])
    def whole(levels):
        return model.network(model.prepare(levels), Whole())

    def run(num):
        return (
            model.generate_function(tf.range(num, dtype=tf.int64))
            if way == "cached"
            else whole(tf.zeros([num, size, size, 1]))
        )

    run(1)
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what is resident now
    before = _status("VmHWM")
    run(images)
    return (_status("VmHWM") - before) / 1024.0


def _status(name):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{name}:")))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", help="the record")
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--one", nargs=2, metavar=("WAY", "N"), help="print one number, of this process")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(rise(args.one[0], int(args.one[1]), args.images)))
        return
    started, results = time.perf_counter(), {}
    for way in ("cached", "whole"):
        for size in SIZES:
            command = [
                sys.executable,
                "-m",
                "benchmarks.autoregressive_memory",
                "--images",
                str(args.images),
                "--one",
                way,
                str(size),
            ]
            answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            results[f"{way}_{size}"] = json.loads(answer.splitlines()[-1])
        results[f"{way}_64_over_16"] = results[f"{way}_64"] / results[f"{way}_16"]
    results |= {f"images_{size}": args.images * size * size * 4 / 2**20 for size in SIZES}
    report(
        args.out, "benchmarks.autoregressive_memory", seed=0, seconds=time.perf_counter() - started,
        protocol={"preset": tfgen.presets.get(PRESET).config(), "images": args.images, "unit": "MiB"},
        results=results, gates=GATES,
    )  # fmt: skip


if __name__ == "__main__":
    main()
