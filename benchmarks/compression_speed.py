"""Time of compressing and decompressing one photo, for transforms and entropy coding separately.

    python -m benchmarks.compression_speed --out benchmarks/reproduce/compression_speed.json

A 768x512 picture on two threads. The models are not trained. Each channel of the latents is scaled to a standard deviation
of 2, and the model's scales are set to it, so that a file has as many bits as at high quality: the coder has at least as
much work as in use. Results are medians over the rounds; each way runs once before the first round. MB are 10^6 bytes of the
uncompressed picture.
"""

import argparse
import statistics
import time

import keras
import numpy as np
import tensorflow as tf

from benchmarks.record import report
from tfgen.models import FactorizedPrior, ScaleHyperprior

THREADS = 2
SIZE = (512, 768, 3)
CASES = {
    "factorized_64": (FactorizedPrior, {"width": 64}),
    "hyperprior_64": (ScaleHyperprior, {"width": 64}),
    "hyperprior_128_192": (ScaleHyperprior, {"width": 128, "latent_channels": 192}),  # the paper's smaller size
}
GATES = {name: ("<=", bound) for name, bound in (("slowest_compress_seconds", 1.5), ("coding_over_transform", 1.0))}


def codec_of(model, image):
    """A codec whose latents vary as much in each channel as at high quality."""
    kernel = model.analysis.layers[-1].kernel
    kernel.assign(kernel * (2.0 / np.std(model.analyze(image[None] / np.float32(255)), axis=(0, 1, 2))))
    if isinstance(model, ScaleHyperprior):
        last = model.hyper_synthesis.layers[-1]
        last.bias.assign(tf.fill(last.bias.shape, 24.0))  # sigma = 2.1
    return model.codec()


def timed(function, *args):
    started = time.perf_counter()
    result = function(*args)
    return result, time.perf_counter() - started


def one_round(codec, image):
    code, analysis = timed(codec.code, image)
    data, writing = timed(codec.write, code, image.shape)
    (read, size), reading = timed(codec.read, data)
    _, synthesis = timed(codec.decode, read[0], *size[:2])
    return {"analysis": analysis, "encoding": writing, "decoding": reading, "synthesis": synthesis}, len(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error("--rounds must be positive.")
    started = time.perf_counter()
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    keras.utils.set_random_seed(0)
    rows, columns, _ = np.mgrid[: SIZE[0], : SIZE[1], : SIZE[2]]
    waves = 0.5 + 0.3 * np.sin(rows * columns / 5000) + 0.05 * np.random.default_rng(0).normal(size=SIZE)
    image = np.round(255 * np.clip(waves, 0, 1)).astype(np.uint8)
    results, slowest, ratio = {}, 0.0, 0.0
    for name, (model, arguments) in CASES.items():
        codec = codec_of(model(image_shape=(64, 64, 3), **arguments), image)
        rounds = [one_round(codec, image) for _ in range(args.rounds + 1)][1:]
        seconds = {part: statistics.median(found[part] for found, _ in rounds) for part in rounds[0][0]}
        compress, decompress = seconds["analysis"] + seconds["encoding"], seconds["decoding"] + seconds["synthesis"]
        results[name] = {
            "seconds": seconds, "compress_seconds": compress, "decompress_seconds": decompress,
            "mb_per_second": {part: image.nbytes / 1e6 / value for part, value in seconds.items()},
            "file_bits_per_pixel": 8 * rounds[0][1] / (SIZE[0] * SIZE[1]),
        }  # fmt: skip
        slowest = max(slowest, compress)
        ratio = max(ratio, seconds["encoding"] / seconds["analysis"], seconds["decoding"] / seconds["synthesis"])
    results |= {"slowest_compress_seconds": slowest, "coding_over_transform": ratio}
    report(
        args.out, "benchmarks.compression_speed",
        seed=0,
        protocol={"image": SIZE, "rounds": args.rounds, "statistic": "median over rounds", "threads": THREADS,
                  "weights": "as models begin, each channel of the latents scaled to a standard deviation of 2"},
        seconds=time.perf_counter() - started,
        results=results,
        gates=GATES,
    )  # fmt: skip


if __name__ == "__main__":
    main()
