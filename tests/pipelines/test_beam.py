"""Beam's engines: what other processes prepare and measure is what the direct runner does in memory.

ExampleGen, statistics, Transform and the evaluator run on the portable runner, whose job server and pool of workers are
processes of their own, and on the direct runner with two processes.
"""

import functools
import os
import pathlib
import socket
import subprocess
import sys
import time

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen_pipelines import beam_options, local
from tfgen_pipelines import data as data_lib

IN_MEMORY = ["--runner=DirectRunner"]
PROCESSES = ["--runner=DirectRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=2"]
NONE = "--sdk_container_image=none"


# ---- options


@pytest.mark.parametrize(
    ("given", "added"),
    [
        ([], False), (["--direct_num_workers=2"], True), (PROCESSES, True),
        (["--runner=PortableRunner", "--environment_type=EXTERNAL", "--environment_config=localhost:1"], True),
        (["--runner=PortableRunner", "--environment_type=DOCKER"], False), (["--runner=PortableRunner"], False),
        (["--runner=FlinkRunner"], False), (["--runner=apache_beam.runners.DataflowRunner"], False),
        (["--runner=apache_beam.runners.direct.direct_runner.DirectRunner"], True),
        (["--direct_num_workers=2", "--setup_file=./setup.py"], False),
        (["--direct_num_workers=2", "--sdk_container_image=mine"], False),
    ],
)  # fmt: skip
def test_tfx_packs_itself_only_for_workers_that_may_lack_it(given, added):
    assert beam_options.with_environment(given) == [*given, *([NONE] if added else [])]


@pytest.mark.parametrize("given", ["direct_num_workers=2", "", "-runner"])
def test_what_is_no_option_is_refused(given, tmp_path, capfd):
    assert local.demo(["--workspace", str(tmp_path / "w"), f"--beam_arg={given}"]) == local.EXIT_USAGE
    assert f"beam_arg must read --NAME=VALUE, or --NAME; received {given!r}" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--direct_num_wokers=2"], "'--direct_num_wokers=2' is no option of Beam's direct runner"),
        (["--direct_num_workers=two"], "argument --direct_num_workers: invalid int value: 'two'; received"),
        (["--=2"], "must read --NAME=VALUE, or --NAME; received '--=2'"),
    ],
)
def test_options_that_beam_passes_over_or_ends_with_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        beam_options.check(given)
    beam_options.check(["--runner=PortableRunner", "--parallelism_of_the_job_server=2"])


# ---- engines


@pytest.fixture(scope="module")
def portable(tmp_path_factory):
    """The options for a job server and a pool of workers, each a process."""
    folder = tmp_path_factory.mktemp("portable")
    with socket.socket() as a, socket.socket() as b:
        for one in (a, b):
            one.bind(("127.0.0.1", 0))
        ports = [one.getsockname()[1] for one in (a, b)]
    path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])  # the pool starts `python`
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(pathlib.Path.cwd())}
    runners = "apache_beam.runners"
    commands = (
        [f"{runners}.portability.local_job_service_main", "--port", str(ports[0]), "--staging_dir", str(folder)],
        [f"{runners}.worker.worker_pool_main", f"--service_port={ports[1]}"],
    )
    with open(folder / "log", "w") as log:
        processes = [
            subprocess.Popen([sys.executable, "-m", *words], env=env, stdout=log, stderr=log, start_new_session=True)
            for words in commands
        ]
    try:
        for port in ports:
            deadline = time.monotonic() + 120
            while True:
                assert all(one.poll() is None for one in processes), (folder / "log").read_text()
                try:
                    socket.create_connection(("localhost", port), timeout=1).close()
                    break
                except OSError:
                    assert time.monotonic() < deadline
                    time.sleep(0.2)
        yield [
            "--runner=PortableRunner", f"--job_endpoint=localhost:{ports[0]}", "--job_server_timeout=900",
            "--environment_type=EXTERNAL", f"--environment_config=localhost:{ports[1]}",
        ]  # fmt: skip
    finally:
        for one in processes:
            one.terminate()
            one.wait()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    digits = tfgen.data.load("digits")
    for split, chosen in (("train", np.arange(1200)), ("test", np.arange(1200, 1400))):
        digits.subset(chosen).write_tfrecords(folder / f"{split}.tfrecord")
    return data_lib.resolve(f"tfrecord:{folder}/{{split}}.tfrecord", {"num_classes": 10})


def prepared(data, folder, beam_args):
    """{(component, split): its records, parsed} of ExampleGen and Transform on an engine."""
    from tfx import v1 as tfx

    from tfgen_pipelines import local_runner
    from tfgen_pipelines.pipeline import Branch, create_pipeline

    metadata = tfx.orchestration.metadata.sqlite_metadata_connection_config(str(folder / "metadata.sqlite"))
    pipeline = create_pipeline(
        pipeline_name="beam", pipeline_root=str(folder / "artifacts"), data=data, branches=[Branch("vae/digits")],
        metadata_connection_config=metadata, workdir=str(folder), push_base_directory=str(folder),
        beam_pipeline_args=beam_args,
    )  # fmt: skip
    with pytest.raises(Prepared):
        local_runner.Runner(UntilPrepared()).run(pipeline)
    found = {}
    for component, key in (("ImageExampleGen", "examples"), ("Transform", "transformed_examples")):
        for split in ("train", "eval"):
            files = sorted((folder / "artifacts" / component / key).glob(f"*/Split-{split}/*"))
            # Transform's are read in any order, so they are not compressed.
            records = tf.data.TFRecordDataset([str(file) for file in files], "GZIP" if key == "examples" else "")
            found[component, split] = [tf.train.Example.FromString(one).features for one in records.as_numpy_iterator()]
    return found


class Prepared(Exception):
    pass


class UntilPrepared:
    """Ends a pipeline before the first component that trains."""

    def start(self, node):
        if node.partition(".")[0] in ("ClassifierTrainer", "Trainer"):
            raise Prepared

    def finish(self, node, cached):
        pass


def as_set(records):
    return {tuple(sorted((name, str(value)) for name, value in one.feature.items())) for one in records}


@pytest.fixture(scope="module")
def expected(data, tmp_path_factory):
    found = prepared(data, tmp_path_factory.mktemp("in-memory"), [])
    assert [len(found["Transform", split]) for split in ("train", "eval")] == [1200, 200]
    assert all(len(as_set(records)) == len(records) for records in found.values())
    return found


@pytest.mark.long
def test_the_portable_runner_prepares_the_same_records(data, expected, portable, tmp_path):
    found = prepared(data, tmp_path, portable)
    assert found.keys() == expected.keys()
    for name, records in found.items():
        assert len(records) == len(expected[name]) and as_set(records) == as_set(expected[name]), name


@pytest.mark.long
def test_two_processes_prepare_the_same_records(data, expected, tmp_path):
    found = prepared(data, tmp_path, PROCESSES)
    assert found.keys() == expected.keys()
    for name, records in found.items():
        assert len(records) == len(expected[name]) and as_set(records) == as_set(expected[name]), name


@pytest.fixture(scope="module")
def evaluated(data, tmp_path_factory):
    """A function of Beam's options that evaluates an untrained model with them: {metric: {of: number}}, and protocols."""
    from tfgen_pipelines.components.generative_evaluator import evaluate
    from tfgen_pipelines.components.generative_evaluator.through_beam import Remote, ThroughBeam

    folder, pattern = tmp_path_factory.mktemp("evaluated"), data.spec.removeprefix("tfrecord:")
    sources = {
        name: Remote(functools.partial(tfgen.data.from_tfrecords, pattern.format(split=name), split=name, num_classes=10))
        for name in ("train", "test")
    }
    tfgen.metrics.train_classifier(**sources, epochs=1, feature_width=8, workdir=folder / "classifier")
    preset = tfgen.presets.get("dcgan/digits")
    about = {"preset": preset.name, "seed": 0}
    tfgen.export.export_saved_model(preset.build(seed=0), folder / "model", version=1, warmup=False, metadata=about)

    def evaluated(beam_args):
        pipeline = functools.partial(beam.Pipeline, argv=beam_options.with_environment(beam_args))
        content = evaluate.evaluate(
            folder / "model/1", **sources, data_name="digits", output_dir=str(folder / "out"), num_samples=200,
            classifier_dir=folder / "classifier", run=functools.partial(ThroughBeam, pipeline, shard=256),
        )  # fmt: skip
        numbers = {
            (name, of): metric[of]
            for name, metric in content["metrics"].items()
            for of in ("value", "real", "untrained")
            if metric[of] is not None
        }
        return numbers, content["protocols"]

    evaluated.expected = evaluated(IN_MEMORY)
    assert len(evaluated.expected[0]) > 10
    return evaluated


@pytest.mark.long
def test_the_portable_runner_measures_the_same_numbers(evaluated, portable):
    found, protocols = evaluated(portable)
    assert found == pytest.approx(evaluated.expected[0], rel=1e-5, abs=1e-6) and protocols == evaluated.expected[1]


@pytest.mark.long
def test_two_processes_measure_the_same_numbers(evaluated):
    found, protocols = evaluated(PROCESSES)  # sums of features come in another order
    assert found == pytest.approx(evaluated.expected[0], rel=1e-5, abs=1e-6) and protocols == evaluated.expected[1]
