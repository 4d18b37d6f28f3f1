"""Time and memory of the metrics at their published sizes, on random features.

    python -m benchmarks.metrics --out benchmarks/reproduce/metrics.json

Each measurement runs in a separate process, and its peak of resident memory is that process's (Linux). Features are
rectified normal numbers, float32 like those of an extractor; the time to make them is not counted.

    frechet     50,000 x 2,048 on either side, accumulated in batches of 1,000: moments, then matrix roots by eigenvalues
    sqrtm       the same with NumPy's covariance of all rows and SciPy's root of the product of the covariances
    kernel      100 subsets of 1,000 of 2 x 10,000 x 2,048
    prdc        precision, recall, density, coverage of 10,000 x 10,000 x 2,048
    shards      the moments of 1, 2, 4, ... shards of 1,000, each accumulated alone and merged: time per shard
"""

import argparse
import functools
import multiprocessing
import time

import numpy as np

from benchmarks.record import report
from benchmarks.scale import peak_gib
from tfgen import metrics

GATES = {"frechet_seconds": ("<=", 60.0), "frechet_peak_gib": ("<=", 2.0)}
BATCH = 1000


def features(count, width, side):
    """Batches float32 [<= BATCH, width]; the second set has a slightly larger variance, so that the distance is not 0."""
    rng = np.random.default_rng([0, side])
    for start in range(0, count, BATCH):
        rows = rng.standard_normal((min(BATCH, count - start), width), dtype=np.float32)
        yield np.maximum(rows, 0) * np.float32(1 + 0.1 * side)


def whole(count, width, side, dtype=np.float32):
    array = np.empty((count, width), dtype)
    for i, rows in enumerate(features(count, width, side)):
        array[i * BATCH : i * BATCH + len(rows)] = rows
    return array


def frechet(args):
    distance, seconds = metrics.FrechetDistance(), {"moments": 0.0}
    for side, name in enumerate(("real", "fake")):
        for rows in features(args.images, args.width, side):
            started = time.perf_counter()
            distance.update(name, rows)
            seconds["moments"] += time.perf_counter() - started
    started = time.perf_counter()
    value = distance.result()
    seconds["root"] = time.perf_counter() - started
    return {"value": value, "seconds": sum(seconds.values()), **{f"{k}_seconds": v for k, v in seconds.items()}}


def sqrtm(args):
    from scipy import linalg

    moments, seconds = [], 0.0
    for side in range(2):
        rows = whole(args.images, args.width, side, np.float64)
        started = time.perf_counter()
        moments.append((rows.mean(axis=0), np.cov(rows, rowvar=False)))
        seconds += time.perf_counter() - started
        del rows
    started = time.perf_counter()
    (mean_a, cov_a), (mean_b, cov_b) = moments
    root = linalg.sqrtm(cov_a @ cov_b)
    value = float(((mean_a - mean_b) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * np.trace(root).real)
    root_seconds = time.perf_counter() - started
    return {
        "value": value, "seconds": seconds + root_seconds, "moments_seconds": seconds, "root_seconds": root_seconds,
    }  # fmt: skip


def _pair(function, args, **settings):
    a, b = (whole(args.pool, args.width, side) for side in range(2))
    started = time.perf_counter()
    value = function(a, b, **settings)
    return {"value": value, "seconds": time.perf_counter() - started}


def kernel(args):
    return _pair(metrics.kernel_distance, args, subsets=args.subsets, subset_size=args.subset_size)


def prdc(args):
    return _pair(metrics.prdc, args, k=5)


def shards(args):
    counts = [2**i for i in range(args.doublings + 1)]
    rows = whole(BATCH * counts[-1], args.width, 0)
    metrics.Moments().update(rows[:BATCH])  # the first call starts the threads of the linear algebra library
    seconds = {}
    for count in counts:
        started = time.perf_counter()
        parts = [metrics.Moments().update(rows[i * BATCH : (i + 1) * BATCH]) for i in range(count)]
        merged = functools.reduce(metrics.Moments.merge, parts)
        seconds[count] = time.perf_counter() - started
    once = metrics.Moments().update(rows).result()[1]
    return {
        "seconds": sum(seconds.values()),
        "seconds_per_shard": {str(count): value / count for count, value in seconds.items()},
        "relative_difference": float(np.abs(merged.result()[1] - once).max() / np.abs(once).max()),
    }


MEASUREMENTS = {function.__name__: function for function in (frechet, sqrtm, kernel, prdc, shards)}


def alone(name, args):
    """Runs a measurement in a new process: its result and the peak of resident memory."""
    result = MEASUREMENTS[name](args)
    result["peak_gib"] = peak_gib()
    return result


def summed(results):
    """The results for the gates."""
    frechet = results.get("frechet", {})
    return {f"frechet_{key}": frechet.get(key) for key in ("seconds", "peak_gib")}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out")
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    parser.add_argument("--images", type=int, default=50_000, help="rows of frechet and sqrtm on either side")
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--pool", type=int, default=10_000, help="rows of kernel and prdc on either side")
    parser.add_argument("--subsets", type=int, default=100)
    parser.add_argument("--subset-size", type=int, default=1000)
    parser.add_argument("--doublings", type=int, default=4, help="shards up to 2 to this")
    args = parser.parse_args()
    started, results = time.perf_counter(), {}
    context = multiprocessing.get_context("spawn")
    for name in args.only:
        with context.Pool(1) as pool:
            results[name] = pool.apply(alone, (name, args))
        print(name, results[name], flush=True)
    report(
        args.out,
        "benchmarks.metrics",
        seed=0,
        protocol={**{k: v for k, v in vars(args).items() if k != "out"}, "batch": BATCH},
        seconds=time.perf_counter() - started,
        results={**summed(results), **results},
        gates=GATES,
    )


if __name__ == "__main__":
    main()
