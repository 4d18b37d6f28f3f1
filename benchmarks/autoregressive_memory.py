"""Memory of cached sampling by image size: it should grow with the length of a row, one pass of the network with the image.

    python -m benchmarks.autoregressive_memory --out benchmarks/reproduce/autoregressive_memory.json

The model is the Gated PixelCNN of the record's preset, at N x N pixels. Each number is measured in a separate process: the
function runs with one image, then with --images images, and the number is the rise of the resident set in MiB. Linux only.

    cached_N     `model.generate`
    whole_N      the parameters of all pixels, computed once; naive sampling does this for every pixel
    images_N     the images themselves, float32
"""

import argparse
import json
import subprocess
import sys
import time

import tensorflow as tf

import tfgen
from benchmarks.record import report
from benchmarks.scale import forget_peak, peak_gib
from tfgen.sampling.cached import Whole

PRESET = "gated-pixel-cnn/mnist"
SIZES = (16, 32, 64)
# From 16 to 64 pixels a row grows 4 times, an image 16 times.
GATES = {"cached_64_over_16": ("<=", 6.0)}


def rise(way, size, images):
    """The rise of the resident set in MiB, see the module's docstring."""
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
    forget_peak()
    before = peak_gib()
    run(images)
    return (peak_gib() - before) * 1024.0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", help="JSON file of the record")
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--one", nargs=2, metavar=("WAY", "N"), help="measure in this process and print one number")
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
