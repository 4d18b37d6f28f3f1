"""Broken requests, half over REST and half over gRPC, to a `tfgen serve` process with small models.

    python -m benchmarks.serving_fuzz --out benchmarks/reproduce/serving_fuzz.json

Every request is made of a valid one by random changes of bytes, or of random values of the fields. A wrong answer is one
that is neither a result nor a well-formed error of the client (4xx, UNIMPLEMENTED), a broken connection, or none in 30 s.
At the end the server must still predict, and its memory must not have grown.
"""

import argparse
import pathlib
import tempfile
import time

from benchmarks.record import report
from tfgen_serving import conformance


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", help="the record, a JSON file")
    parser.add_argument("--requests", type=int, default=10_000, help="number of requests (default: 10000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the requests (default: 0)")
    args = parser.parse_args(argv)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        found = conformance.run_fuzz(args.requests, args.seed, conformance.OWN_SERVER, pathlib.Path(folder))
    before, after = found["resident_mib"]
    report(
        args.out,
        "benchmarks.serving_fuzz",
        seed=args.seed,
        seconds=time.perf_counter() - start,
        protocol=__doc__,
        results={**found, "answered": sum(found["answers"].values()), "failures": len(found["wrong"]),
                 "memory_growth_mib": after - before},
        gates={"answered": (">=", args.requests), "failures": ("<=", 0),
               "memory_growth_mib": ("<=", conformance.MEMORY_GROWTH)},
    )  # fmt: skip


if __name__ == "__main__":
    main()
