"""What a pipeline, an evaluation and two workers cost at 60,000 images and at a million, in CPU seconds and in memory.

    python -m benchmarks.scale --manual_dir ~/mnist --out benchmarks/reproduce/scale.json

CPU seconds are those of the process and its children. Other load on the machine changes them less than the wall clock. Peaks
are those of the process's resident memory (Linux), and begin anew with each component. Each way runs in a new process.

    pipeline    `tfgen pipeline` with vae/mnist, for a few steps, on folders of PNG files of MNIST's first images
    training    `tfgen_trainers.train` of the same preset on the largest folder, for two numbers of steps
    evaluator   the pipeline's evaluator of an untrained dcgan/mnist, by Beam with one process and with two
    million     score and fid of 10,000 and of 1,000,000 samples of an untrained vae/digits
    workers     `tfgen train` of dcgan/mnist by one process and by two workers, for two numbers of steps

What is measured is kept in OUT.part until all is; a run that was stopped goes on from there. With --page nothing is
measured: the tables of docs/beam.md are made from the record.
"""

import argparse
import functools
import io
import json
import multiprocessing
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks.record import ROOT, filled, markdown_table, report
from tfgen.files import write_whole

PRESET, STEPS = "vae/mnist", (500, 2500)
SIZES, TEST = (1_000, 10_000, 60_000), 2_000
INGEST = ("resolve", "ImageExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "Transform")
SAMPLES, MANY = 50_000, (10_000, 1_000_000)
WORKER_STEPS = (20, 120)
GATES = {
    "ingest_ms_an_image": ("<=", 0.7), "ingest_flat": ("<=", 1.2), "largest_peak_ratio": ("<=", 1.2),
    "overhead_of_the_pipeline": ("<=", 0.15), "evaluator_two_over_one": ("<=", 1.3), "million_peak_ratio": ("<=", 1.05),
}  # fmt: skip


def cpu_seconds():
    """Those of this process and of its children that have ended."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in (own, children))


def peak_gib():
    with open("/proc/self/status") as f:
        return int(re.search(r"VmHWM:\s+(\d+) kB", f.read())[1]) / 2**20


def forget_peak():
    with open("/proc/self/clear_refs", "w") as f:
        f.write("5")


class Meter:
    """Takes the place of the pipeline's progress, and keeps CPU seconds, seconds and peak of each component."""

    found = {}

    def __init__(self, console):
        self.current = None

    def start(self, node):
        self.current, self._started = node, (cpu_seconds(), time.perf_counter())
        forget_peak()

    def finish(self, node, cached):
        self.current = None
        cpu, wall = cpu_seconds() - self._started[0], time.perf_counter() - self._started[1]
        Meter.found[node] = {"cpu_seconds": cpu, "seconds": wall, "peak_gib": peak_gib()}


# ---- What is measured, each in a process of its own


def prepare(folder, args):
    """Folders of PNG files of MNIST's first images; generators and classifiers that the evaluations need."""
    import keras
    from PIL import Image

    import tfgen
    from tfgen.export import export_saved_model

    sources = {split: tfgen.data.load("mnist", split, manual_dir=args.manual_dir) for split in ("train", "test")}
    for split, count in (("train", max(args.sizes)), ("test", TEST)):
        some = sources[split].take(count)
        images, labels = np.round(some.images()[..., 0] * 255).astype(np.uint8), some.labels()
        for size in args.sizes:
            for i in range(min(size, count) if split == "train" else count):
                path = folder / f"images-{size}" / split / str(labels[i]) / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                out = io.BytesIO()
                Image.fromarray(images[i]).save(out, "png")
                path.write_bytes(out.getvalue())
    for split, source in sources.items():
        source.write_tfrecords(folder / "records" / split / "images.tfrecord")
    tfgen.metrics.train_classifier(*(s.take(2000) for s in sources.values()), epochs=1, workdir=folder / "classifier")
    keras.utils.set_random_seed(0)
    preset = tfgen.presets.get("dcgan/mnist")
    about = {"preset": preset.name, "seed": 0}
    export_saved_model(preset.build(seed=0), folder / "model", version=1, warmup=False, metadata=about)


def pipeline(folder, args, size):
    """CPU seconds, seconds and peak memory of all components, and of what comes before the first one ("resolve")."""
    from tfgen_pipelines import local

    local._Progress = Meter
    resolve, before = local._resolve, cpu_seconds()

    def resolved(*given):
        nonlocal before
        before = cpu_seconds()
        forget_peak()
        found = resolve(*given)
        Meter.found["resolve"] = {"cpu_seconds": cpu_seconds() - before, "peak_gib": peak_gib()}
        return found

    local._resolve = resolved
    started = cpu_seconds()
    local.run(
        workspace=folder / f"workspace-{size}", data=str(folder / f"images-{size}"), data_options={"channels": 1},
        presets=[PRESET], steps=args.steps[0], num_samples=TEST, infra_validation="none",
    )  # fmt: skip
    return {"cpu_seconds": cpu_seconds() - started, "components": Meter.found}


def training(folder, args, steps):
    """CPU seconds of a training without a pipeline, its data included."""
    import tfgen
    from tfgen_trainers.train import TrainConfig, train

    started = cpu_seconds()
    source = tfgen.data.load(str(folder / f"images-{max(args.sizes)}"), channels=1)
    with tempfile.TemporaryDirectory() as workdir:
        train(TrainConfig(PRESET, steps=steps), source, workdir, report=None)
    return {"cpu_seconds": cpu_seconds() - started, "peak_gib": peak_gib()}


def open_source(folder, split):
    import tfgen

    return tfgen.data.from_tfrecords(str(folder / "records" / split / "*"), split=split, num_classes=10)


def evaluator(folder, args, processes):
    """CPU seconds of the evaluator of `args.samples` samples by Beam with one process or more."""
    import apache_beam as beam

    from tfgen_pipelines import beam_options
    from tfgen_pipelines.components.generative_evaluator import evaluate
    from tfgen_pipelines.components.generative_evaluator.through_beam import Remote, ThroughBeam

    mode = "in_memory" if processes == 1 else "multi_processing"
    options = [f"--direct_running_mode={mode}", f"--direct_num_workers={processes}"]
    make = functools.partial(beam.Pipeline, argv=beam_options.with_environment(options))
    from benchmarks import scale  # not __main__, which Beam's processes do not have

    sources = {split: Remote(functools.partial(scale.open_source, folder, split)) for split in ("train", "test")}
    started, wall = cpu_seconds(), time.perf_counter()
    content = evaluate.evaluate(
        folder / "model" / "1", **sources, data_name="mnist", output_dir=str(folder / f"evaluated-{processes}"),
        classifier_dir=folder / "classifier", num_samples=args.samples, run=functools.partial(ThroughBeam, make),
    )  # fmt: skip
    values = {name: metric["value"] for name, metric in content["metrics"].items()}
    return {"cpu_seconds": cpu_seconds() - started, "seconds": time.perf_counter() - wall, "peak_gib": peak_gib(),
            "values": values}  # fmt: skip


def million(folder, args, count):
    """CPU seconds and peak memory of score and fid of `count` samples."""
    import tfgen
    from tfgen.metrics import Evaluator, RunGenerator, Samples, train_classifier

    train, test = tfgen.data.load("digits"), tfgen.data.load("digits", "test")
    model = tfgen.presets.get("vae/digits").build(seed=0)
    judge = Evaluator(train, test, train_classifier(train, test, epochs=1), metrics=("score", "fid"))
    judge.evaluate(Samples(RunGenerator(model), 0), 1000, weights="raw")
    forget_peak()
    started = cpu_seconds()
    values = judge.evaluate(Samples(RunGenerator(model), 0), count, weights="raw").values
    values = {name: value for name, value in values.items() if isinstance(value, float)}
    return {"cpu_seconds": cpu_seconds() - started, "peak_gib": peak_gib(), "values": values}


def workers(folder, args, number, steps):
    """CPU seconds and seconds of `tfgen train` with `number` workers."""
    with tempfile.TemporaryDirectory() as workdir:
        data = f"tfrecord:{folder}/records/{{split}}/*"
        command = [sys.executable, "-m", "tfgen_commands.main", "train", "--preset", "dcgan/mnist", "--data", data,
                   "--steps", str(steps), "--workdir", f"{workdir}/run"]  # fmt: skip
        command += ["--workers", str(number)] if number > 1 else []
        started, wall = cpu_seconds(), time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return {"cpu_seconds": cpu_seconds() - started, "seconds": time.perf_counter() - wall}


# ---- What it means


def summed(found, args):
    """The results for the gates, and the costs of larger runs."""
    from tfgen import presets

    small, middle, large = args.sizes
    components = {size: found["pipeline"][str(size)]["components"] for size in args.sizes}

    def ingest(size):
        return sum(one["cpu_seconds"] for name, one in components[size].items() if name.partition(".")[0] in INGEST)

    marginal = [1e3 * (ingest(b) - ingest(a)) / (b - a) for a, b in ((small, middle), (middle, large))]
    peaks = {
        name: one["peak_gib"] / components[small][name]["peak_gib"] for name, one in components[large].items()
        if name in components[small]
    }  # fmt: skip
    first, last = (found["training"][str(steps)]["cpu_seconds"] for steps in args.steps)
    a_step = (last - first) / (args.steps[1] - args.steps[0])
    overhead = found["pipeline"][str(large)]["cpu_seconds"] - first
    one, two = (found["evaluator"][str(number)] for number in (1, 2))
    few, many = (found["million"][str(count)] for count in args.many)
    an_image = (many["cpu_seconds"] - few["cpu_seconds"]) / (args.many[1] - args.many[0])
    a, b = args.worker_steps
    a_worker_step = {
        number: {
            key: (found["workers"][f"{number}-{b}"][key] - found["workers"][f"{number}-{a}"][key]) / (b - a)
            for key in ("cpu_seconds", "seconds")
        }
        for number in (1, 2)
    }
    costs = {
        f"{count:,}": {
            "ingest_cpu_hours": count * marginal[1] / 3.6e6, "evaluation_cpu_hours": count * an_image / 3600,
        }
        for count in (1_000_000, 100_000_000)
    }  # fmt: skip
    return {
        "ingest_ms_an_image": marginal[1],
        "ingest_flat": max(marginal) / min(marginal),
        "ingest_marginal_ms": marginal,
        "peak_ratio": peaks,
        "largest_peak_ratio": max(peaks.values()),
        "training_ms_a_step": 1e3 * a_step,
        "overhead_cpu_seconds": overhead,
        "overhead_of_the_pipeline": overhead / (a_step * presets.get(PRESET).steps),
        "evaluator_two_over_one": two["cpu_seconds"] / one["cpu_seconds"],
        "evaluator_largest_difference": float(np.max([
            abs(two["values"][name] - value) / max(abs(value), 1e-12) for name, value in one["values"].items()
        ])),
        "million_peak_ratio": many["peak_gib"] / few["peak_gib"],
        "million_ms_an_image": 1e3 * an_image,
        "a_step_of_workers": a_worker_step,
        "costs_extrapolated": costs,
    }


# ---- The page

RECORD, PAGE = ROOT / "benchmarks/reproduce/scale.json", ROOT / "docs/beam.md"
BEGIN, END = "<!-- scale: from its record -->", "<!-- end of scale -->"


def rebuilt(text, found):
    """The page with the tables of the record."""
    results, sizes = found["results"], [str(size) for size in found["protocol"]["sizes"]]
    by_size = [results["pipeline"][size]["components"] for size in sizes]
    names = [name for name in by_size[-1] if not name.startswith("LastBlessed")]
    rows = [
        [name.partition(".")[0], *(f"{one[name]['cpu_seconds']:.1f}" if name in one else "-" for one in by_size),
         *(f"{one[name]['peak_gib']:.2f}" if name in one else "-" for one in by_size)]
        for name in names
    ]  # fmt: skip
    head = ["component", *(f"{int(s):,} images: CPU s" for s in sizes), *(f"{int(s):,}: peak GiB" for s in sizes)]
    costs = [
        [count, *(f"{one[key]:.2g}" for key in ("ingest_cpu_hours", "evaluation_cpu_hours"))]
        for count, one in results["costs_extrapolated"].items()
    ]
    larger = markdown_table(["images, **extrapolated**", "ingest: CPU hours", "score and fid: CPU hours"], costs)
    return filled(text, BEGIN, END, f"{markdown_table(head, rows)}\n\n{larger}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out")
    parser.add_argument("--manual_dir", help="folder of MNIST's four files")
    parser.add_argument("--page", action="store_true", help="make the tables of docs/beam.md from the record")
    numbers = functools.partial(parser.add_argument, type=int, nargs="+")
    numbers("--sizes", default=SIZES, help="images of the three folders")
    numbers("--steps", default=STEPS, help="of the training and, the first, of the pipelines")
    numbers("--many", default=MANY, help="samples of the two long evaluations")
    numbers("--worker_steps", default=WORKER_STEPS)
    parser.add_argument("--samples", type=int, default=SAMPLES, help="of the evaluator with one process and with two")
    args = parser.parse_args()
    if args.page:
        PAGE.write_text(rebuilt(PAGE.read_text(), json.loads(RECORD.read_text())))
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    jobs = [
        *((pipeline, size) for size in args.sizes), *((training, steps) for steps in args.steps),
        *((evaluator, number) for number in (1, 2)), *((million, count) for count in args.many),
        *((workers, number, steps) for number in (1, 2) for steps in args.worker_steps),
    ]  # fmt: skip
    started, context = time.perf_counter(), multiprocessing.get_context("spawn")
    part = pathlib.Path(f"{args.out}.part")
    found = json.loads(part.read_text()) if args.out and part.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for function, *given in [(prepare,), *jobs]:
            name = "-".join(map(str, given))
            if name in found.get(function.__name__, {}):
                continue
            with context.Pool(1) as pool:
                result = pool.apply(function, (folder, args, *given))
            if given:
                found.setdefault(function.__name__, {})[name] = result
                if args.out:
                    write_whole(part, json.dumps(found).encode())
                print(function.__name__, *given, json.dumps(result), flush=True)
    report(
        args.out, "benchmarks.scale", seed=0,
        protocol={**{k: v for k, v in vars(args).items() if k not in ("out", "manual_dir", "page")}, "preset": PRESET,
                  "test_images": TEST, "evaluated_model": "dcgan/mnist", "workers_model": "dcgan/mnist",
                  "overhead_of_the_pipeline": "CPU seconds of the pipeline of the largest folder less those of a training "
                  "of as many steps, over the steps of the preset times those of a step: extrapolated",
                  "costs_extrapolated": "from the marginal costs of ingest of 10,000 to 60,000 images of 28x28 and of the "
                  "long evaluation of 8x8 images: not run"},
        seconds=time.perf_counter() - started, results={**summed(found, args), **found}, gates=GATES,
    )  # fmt: skip
    part.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
