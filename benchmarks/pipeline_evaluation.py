"""Time and memory of the pipeline's GenerativeEvaluator: 10,000 samples of 28x28 pixels, on Beam and in one process.

    python -m benchmarks.pipeline_evaluation --out benchmarks/reproduce/pipeline_evaluation.json

The component's whole evaluation of an untrained generator of the preset dcgan/mnist: samples, real images, the anchors of
real images and of another untrained generator, all default metrics, figures. Images are synthetic, as many as in MNIST
(60,000 and 10,000), PNG in TFRecords like those of Transform; the time to read them is counted. Each way runs in a separate
process, and the peak of resident memory is that process's (Linux). The classifier is trained for one epoch before; this time
is not counted.
"""

import argparse
import functools
import json
import multiprocessing
import pathlib
import tempfile
import time

import numpy as np

from benchmarks.record import report
from benchmarks.scale import peak_gib

SHAPE = (28, 28, 1)
GATES = {"largest_relative_difference": ("<=", 1e-6), "beam_over_in_process": ("<=", 1.5)}
WAYS = ("beam", "in_process")


def prepare(folder, args):
    """Writes data, classifier and generator."""
    from tfgen import data, metrics, presets
    from tfgen.export import export_saved_model

    sources = {}
    for split, count in (("train", args.train), ("test", args.test)):
        rng = np.random.default_rng([0, count])
        labels = rng.integers(0, 10, count)
        pixels = np.repeat(np.repeat(rng.integers(0, 256, (count, 7, 7, 1), dtype=np.uint8), 4, axis=1), 4, axis=2)
        pixels[np.arange(count), labels, :] = 255  # the class is the place of a bright row
        sources[split] = data.from_arrays(pixels, labels, num_classes=10)
        sources[split].write_tfrecords(folder / split / "images.tfrecord")
    metrics.train_classifier(
        sources["train"].take(2000), sources["test"].take(1000), epochs=1, workdir=folder / "classifier"
    )
    preset = presets.get("dcgan/mnist")
    export_saved_model(
        preset.build(seed=0), folder / "model", version=1, warmup=False, metadata={"preset": preset.name, "seed": 0}
    )


def open_source(folder, split):
    from tfgen import data

    return data.from_tfrecords(str(folder / split / "*"), split=split, num_classes=10)


def run(way, folder, args):
    """Runs an evaluation in a new process: seconds, peak of resident memory, and the values."""
    import apache_beam as beam

    from tfgen_pipelines.components.generative_evaluator import evaluate
    from tfgen_pipelines.components.generative_evaluator.through_beam import Remote, ThroughBeam

    options = ["--direct_running_mode=in_memory", "--direct_num_workers=1"]
    pipeline = functools.partial(beam.Pipeline, argv=options)
    started = time.perf_counter()
    content = evaluate.evaluate(
        folder / "model" / "1",
        train=Remote(functools.partial(open_source, folder, "train")),
        test=Remote(functools.partial(open_source, folder, "test")),
        data_name="synthetic",
        output_dir=str(folder / way),
        classifier_dir=folder / "classifier",
        num_samples=args.samples,
        run=functools.partial(ThroughBeam, pipeline) if way == "beam" else None,
    )
    seconds = time.perf_counter() - started
    peak = peak_gib()
    values = {name: metric["value"] for name, metric in content["metrics"].items()}
    return {"seconds": seconds, "peak_gib": peak, "values": values}


def summed(results):
    """The results for the gates."""
    return {"beam_over_in_process": results["beam"]["seconds"] / results["in_process"]["seconds"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--train", type=int, default=60_000, help="synthetic training images")
    parser.add_argument("--test", type=int, default=10_000, help="synthetic test images")
    args = parser.parse_args()
    started, context = time.perf_counter(), multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        folder, results = pathlib.Path(folder), {}
        for function, way in ((prepare, None), *((run, way) for way in WAYS)):
            with context.Pool(1) as pool:
                found = pool.apply(function, (folder, args) if way is None else (way, folder, args))
            if way:
                results[way] = found
                print(way, json.dumps(found), flush=True)
    pairs = [(results["beam"]["values"][name], value) for name, value in results["in_process"]["values"].items()]
    results["largest_relative_difference"] = max(abs(a - b) / max(abs(b), 1e-12) for a, b in pairs)
    report(
        args.out,
        "benchmarks.pipeline_evaluation",
        seed=0,
        protocol={
            **{k: v for k, v in vars(args).items() if k != "out"},
            "image_shape": SHAPE,
            "generator": "dcgan/mnist",
        },
        seconds=time.perf_counter() - started,
        results={**summed(results), **results},
        gates=GATES,
    )


if __name__ == "__main__":
    main()
