"""Runs the pipeline on this machine: LocalDagRunner, ML Metadata in SQLite, all files under one workspace folder.

    <workspace>/pipeline.log     output of TensorFlow, Beam and TFX
    <workspace>/metadata.sqlite  ML Metadata: executions, their inputs and times
    <workspace>/artifacts/       outputs of the components
    <workspace>/runs/            run folders of the trainers (checkpoints, TensorBoard)
    <workspace>/pushed/<model>/<version>/  the model folders for TensorFlow Serving
    <workspace>/report.html

After an interruption the same call continues: finished components are cached, the trainer resumes from its run folder.
"""

import argparse
import contextlib
import dataclasses
import json
import logging
import os
import pathlib
import re
import shlex
import sys
import time
from collections.abc import Sequence
from typing import Literal

import tfgen
from tfgen import onednn, progress, settings
from tfgen.files import locked
from tfgen.settings import NaturalInt, PositiveInt, Seed, Text
from tfgen_pipelines import beam_options
from tfgen_trainers import arguments
from tfgen_trainers.arguments import (
    DATA_OPTIONS,
    MixedPrecision,
    Parser,
    add_data_options,
    add_mixed_precision,
    option,
)  # fmt: skip

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_NOT_BLESSED, EXIT_INTERRUPTED = 0, 1, 2, 3, 130

LOG = "pipeline.log"
DEMO_PRESETS = ("vae/digits", "dcgan/digits")


class UsageError(ValueError):
    """The request is invalid; raised before anything starts."""


class PipelineFailure(RuntimeError):
    """A component failed; the message names it, the cause and the log."""


def check_workspace(workspace):
    """Makes the folder, and returns the folders that it made; raises UsageError if it cannot be written."""
    made = [folder for folder in (workspace, *workspace.parents) if not folder.exists()]
    try:
        workspace.mkdir(parents=True, exist_ok=True)
        probe = workspace / f".write-test-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"The workspace {workspace} cannot be written: {error}. Choose another one.") from error
    return made


@contextlib.contextmanager
def only_run_in(workspace, made=()):
    """Locks the workspace against a second run; the lock ends with the process, even if it is killed.

    If the request is refused, and no run ever started here, the files and the folders in `made` are removed again.
    """
    with contextlib.ExitStack() as stack:
        try:
            busy = f"Another run is at work in {workspace}. Wait for it, or choose another workspace."
            stack.enter_context(locked(workspace / ".lock", busy))
        except BlockingIOError as error:
            raise UsageError(busy) from error
        for probe in workspace.glob(".write-test-*"):  # of runs that were killed in `check_workspace`
            probe.unlink(missing_ok=True)
        try:
            yield
        except UsageError:
            files = list(workspace.iterdir())
            if {file.name for file in files} <= {".lock", LOG}:
                for file in files:
                    file.unlink()
                with contextlib.suppress(OSError):  # another process has put something there
                    for folder in made:
                        folder.rmdir()
            raise


def check_request(presets, overrides, thresholds, steps=None, metrics=()):
    """Raises UsageError for an unknown or repeated preset, an unknown override, steps or a batch size that are not positive,
    a malformed threshold, or one of no metric, and metrics that do not exist. `steps`: int, {preset: int} or None.
    """
    from tfgen.metrics.measures import check_metrics
    from tfgen_pipelines.components.generative_evaluator import evaluate, verdict
    from tfgen_trainers.train import TrainConfig

    if not presets:
        raise UsageError("No preset was given.")
    try:
        if len({tfgen.presets.get(preset).name for preset in presets}) != len(presets):
            raise UsageError(f"Each preset can be given once; received {', '.join(presets)}.")
        evaluate.check_further(metrics)
        for preset in {**dict.fromkeys(presets), **overrides, **thresholds}:
            of_preset = steps.get(preset) if isinstance(steps, dict) else steps
            TrainConfig(preset, overrides=overrides.get(preset, {}), steps=of_preset).resolve()
            verdict.check_thresholds(thresholds.get(preset) or {})
            check_metrics(thresholds.get(preset) or {})
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from error


def run(
    *,
    workspace: Text | os.PathLike = "tfgen-demo",
    data: Text = "digits",
    data_options: dict | None = None,
    presets: Sequence[str] = DEMO_PRESETS,
    steps: PositiveInt | dict[str, PositiveInt] | None = None,
    overrides: dict[str, dict] | None = None,
    thresholds: dict[str, dict] | None = None,
    num_samples: NaturalInt = 0,
    seed: Seed = 0,
    mixed_precision: MixedPrecision = False,
    cache: bool = True,
    beam_args: Sequence[str] = (),
    train_split: Text = "train",
    eval_split: Text | None = "test",
    import_base: Text | None = None,
    infra_validation: Literal["local", "docker", "none"] = "local",
    push_unjudged: bool = False,
    metrics: Sequence[str] = (),
    out=None,
):
    """Runs the whole pipeline and writes the report.

    Args:
        workspace: folder; made if it does not exist.
        data: data spec of `tfgen.data.load`; data_options: its options.
        presets: names that `tfgen.presets.get` takes.
        steps: None (those of the presets), one int for all, or {preset: int}.
        overrides: {preset: {name: value}}.
        thresholds: {preset: thresholds}; presets that are not named have the default ones of their capabilities. With
            {preset: {}} there are none: the model is not judged.
        num_samples: number of images for each evaluation; 0: as many as the eval split has.
        seed: seed of training, classifier and evaluation.
        mixed_precision: see `tfgen_trainers.train.TrainConfig`.
        cache: False runs all components again.
        beam_args: Beam pipeline options, see docs/beam.md.
        train_split, eval_split, import_base: see `tfgen_pipelines.data.Data`.
        infra_validation: "local", "docker" or "none", see `tfgen_pipelines.pipeline.create_pipeline`.
        push_unjudged: whether to push models that could not be judged.
        metrics: names of further metrics, see `FURTHER` of the evaluator; those that do not fit a model are skipped.
        out: text stream for the progress; default sys.stdout.

    Returns: a dict {"report": path, "models": {preset: {"outcome", "blessed", "pushed", "metrics", "samples", ...}},
        "exit_code"}.

    Raises: UsageError before anything starts; PipelineFailure if a component failed.
    """
    started, given = time.monotonic(), dict(locals())
    try:
        settings.check(run, **given)
    except ValueError as error:
        raise UsageError(str(error)) from error
    workspace = pathlib.Path(workspace).expanduser().absolute()
    # Before TensorFlow is imported; trainings that go on keep their choice. A run folder ends in 12 digits, see `run_name`.
    onednn.choose(presets, [run for name in presets for run in workspace.glob(f"runs/{name.replace('/', '-')}-{'?' * 12}")])
    from tfgen.data.source import skipped_text

    data = f"tfrecord:{import_base}" if import_base else data
    presets = [tfgen.presets.canonical(name) for name in presets]  # a run folder and the report are read from anywhere
    overrides, thresholds, steps = _of_canonical(overrides or {}), _of_canonical(thresholds or {}), _of_canonical(steps)
    check_request(presets, overrides, thresholds, steps, metrics)
    try:
        beam_options.check(beam_args)
    except ValueError as error:
        raise UsageError(str(error)) from error
    made = check_workspace(workspace)
    log_path = workspace / LOG
    with (
        only_run_in(workspace, made),
        _quiet(log_path, out or sys.stdout) as console,
        progress.shown(lambda line: console(f"      {line}")),
    ):
        data_options = _with_own(data, dict(data_options or {}), presets, overrides)
        resolved = _resolve(data, data_options, train_split, eval_split, import_base)
        console(
            f"data      {data}: {resolved.num_examples[0]} training and {resolved.num_examples[1]} evaluation images "
            f"{'x'.join(map(str, resolved.image_shape))}"
        )
        if skipped := resolved.statistics["skipped"]:
            console(f"skipped   {skipped_text(skipped, resolved.num_examples)}, the first: {skipped[0][0]}: {skipped[0][1]}")
        for preset in presets:
            overrides = {
                **overrides, preset: tfgen.presets.get(preset).for_images(resolved.image_shape, overrides.get(preset, {}))
            }  # fmt: skip
            _check_fit(tfgen.presets.get(preset).override(overrides.get(preset, {})), resolved)
        console(f"workspace {workspace}")
        console(f"log       {log_path}")
        console("loading TFX, which can take half a minute ...")
        branches = [
            {
                "preset": preset,
                "steps": steps.get(preset) if isinstance(steps, dict) else steps,
                "overrides": overrides.get(preset, {}),
                "seed": seed,
                "mixed_precision": mixed_precision,
                "thresholds": thresholds.get(preset),
            }
            for preset in presets
        ]
        options = {
            "num_samples": num_samples,
            "evaluation_seed": seed,
            "enable_cache": cache,
            "infra_validation": infra_validation,
            "push_unjudged": push_unjudged,
            "metrics": metrics,
            "beam_pipeline_args": list(beam_args),
        }
        outcome = _run_pipeline(workspace, resolved, branches, options, console, log_path)
        console(f"finished in {time.monotonic() - started:.0f} s")
        _print_outcome(outcome, console)
    return outcome


def _of_canonical(given):
    """{preset: value} by the canonical names of presets; anything else as it is."""
    return {tfgen.presets.canonical(name): value for name, value in given.items()} if isinstance(given, dict) else given


def _with_own(data, options, presets, overrides):
    """The options of the data set, with those of the presets where it names none, such as the size of images."""
    resolved = (tfgen.presets.get(name).override(overrides.get(name, {})) for name in presets)
    own = {preset.name: found for preset in resolved if (found := preset.options_for(data))}
    given = {name: value for name, value in options.items() if value is not None}
    merged = {name: value for found in own.values() for name, value in found.items()}
    for option_name in [name for name in merged if name not in given]:
        values = {preset: found[option_name] for preset, found in own.items() if option_name in found}
        if any(value != merged[option_name] for value in values.values()):
            _refuse(option_name, values)
    return merged | given


def _refuse(name, values):
    """Raises the UsageError for an option of the data set of which presets have different `values`, {preset: value}."""
    text, what = repr, f"have different values of the data option {name}"
    if name == "size":
        text, what = (lambda size: "x".join(map(str, size))), "are for images of different sizes"
    wanted = ", ".join(f"{preset} {text(value)}" for preset, value in values.items())
    way = f"--{name}" if name in DATA_OPTIONS else f"{name} in --data_options"
    raise UsageError(f"The presets {what}: {wanted}. Give {way}, or run them one by one.")


def _resolve(data, options, train_split, eval_split, import_base):
    from tfgen_pipelines import data as data_lib

    try:
        return data_lib.resolve(data, options, train_split=train_split, eval_split=eval_split, import_base=import_base)
    except (ValueError, TypeError, OSError, LookupError, ImportError) as error:
        raise UsageError(f"The data set {data!r} cannot be used: {error}") from error


def _check_fit(preset, data):
    """Checks that the data fit the presets now, not after minutes of preparing data."""
    from tfgen.data import check_batch_size

    expected = tuple(preset.model_args["image_shape"])
    given = tfgen.data.augmented_shape(data.image_shape, preset.augmentation)
    if expected != given:
        raise UsageError(
            f"The preset {preset.name!r} is for images {expected}, {data.spec!r} has {given}. "
            "Give the data set a size (and channels), or override image_shape."
        )
    if given != tuple(data.image_shape):
        raise UsageError(
            f"The preset {preset.name!r} crops images {tuple(data.image_shape)} to {given} for training; the pipeline "
            f"evaluates whole images. Give the data set images {given}, or override augmentation."
        )
    if max(size for _, size in check_batch_size(preset.batch_size)) > data.num_examples[0]:
        raise UsageError(
            f"The preset {preset.name!r} has batches of {preset.batch_size}, {data.spec!r} has "
            f"{data.num_examples[0]} training images. Override batch_size."
        )


def main_of(**kwargs):
    """Calls `run`, prints errors as messages, and returns the exit code."""
    try:
        return run(**kwargs)["exit_code"]
    except UsageError as error:
        print(f"tfgen: {error}", file=sys.stderr)
        return EXIT_USAGE
    except PipelineFailure as error:
        print(f"tfgen: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("tfgen: interrupted; the next run goes on from here", file=sys.stderr)
        return EXIT_INTERRUPTED


def _run_pipeline(workspace, data, branches, options, console, log_path):
    from tfx import v1 as tfx

    from tfgen_pipelines import local_runner, report, runs
    from tfgen_pipelines.pipeline import Branch, create_pipeline

    branches = [Branch(**branch) for branch in branches]
    metadata = tfx.orchestration.metadata.sqlite_metadata_connection_config(str(workspace / "metadata.sqlite"))
    pipeline = create_pipeline(
        pipeline_name="tfgen",
        pipeline_root=str(workspace / "artifacts"),
        data=data,
        branches=branches,
        workdir=str(workspace / "runs"),
        push_base_directory=str(workspace / "pushed"),
        metadata_connection_config=metadata,
        **options,
    )
    steps = _Progress(console)
    try:
        local_runner.Runner(steps).run(pipeline)
    except Exception as error:
        logging.getLogger().exception("The pipeline failed.")
        where = steps.current or "The start of the pipeline"
        raise PipelineFailure(f"{where} failed: {_first_lines(error)}\nThe full log is in {log_path}.") from error
    record = runs.read(metadata, branches)
    _add_infra_verdicts(record, branches)
    record["command"] = shlex.join(sys.orig_argv)
    record["settings"] = {"data": data.config(), "branches": [dataclasses.asdict(b) for b in branches], **options}
    record["settings"]["onednn"] = onednn.enabled()
    page = workspace / "report.html"
    report.write(page, record, data)
    record["report"] = str(page)
    good = all(m["blessed"] or m["pushed"] for m in record["models"].values())
    record["exit_code"] = EXIT_OK if good else EXIT_NOT_BLESSED
    return record


def _add_infra_verdicts(record, branches):
    """Withdraws the blessing of models that could not be served."""
    from tfgen_pipelines.components.generative_evaluator.verdict import NOT_BLESSED

    for branch in branches:
        node = f"InfraValidator.{branch.slug}"
        for blessing in record["components"].get(node, {}).get("outputs", {}).get("blessing", []):
            if not blessing["properties"].get("blessed"):
                model = record["models"][branch.preset]
                model["blessed"], model["outcome"] = False, NOT_BLESSED
                model["reasons"].append(f"{node}: the server did not load the model or not answer; the log says why")


class _Progress:
    """Prints a line when a component starts and ends; what components report in between is shown by `tfgen.progress`."""

    def __init__(self, console):
        self.current, self._console, self._started = None, console, 0.0

    def start(self, node):
        self._started, self.current = time.monotonic(), node
        if not _is_resolver(node):
            self._console(f"  {node} ...")

    def finish(self, node, cached):
        self.current = None
        if not _is_resolver(node):
            seconds = time.monotonic() - self._started
            self._console(f"  {node:32s} {'cached' if cached else 'done':>6s} {seconds:7.1f} s")


def _is_resolver(node):
    return node.startswith("LastBlessed.")


@contextlib.contextmanager
def _quiet(log_path, out):
    """Redirects stdout and stderr of this process, including C++ and child processes, to the log file. Yields a function
    that writes a line to the original `out` and to the log.
    """
    for stream in (out, sys.stdout, sys.stderr):
        stream.flush()
    try:
        shown = os.fdopen(os.dup(out.fileno()), "w", buffering=1)
    except (AttributeError, OSError, ValueError):
        shown = out  # not a file, e.g. io.StringIO
    saved = os.dup(1), os.dup(2)
    log = open(log_path, "a", buffering=1)  # noqa: SIM115
    handler = logging.StreamHandler(log)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname).1s %(name)s: %(message)s"))
    root = logging.getLogger()
    absl_logger = logging.getLogger("absl")
    before = root.handlers[:], root.level, absl_logger.handlers[:], absl_logger.level
    root.handlers, absl_logger.handlers = [handler], []
    root.setLevel(logging.INFO)
    absl_logger.setLevel(logging.INFO)
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)

    def console(line):
        print(line, file=shown, flush=True)
        root.info("tfgen: %s", line)

    try:
        # Python's streams too: in notebooks and pytest they are not the descriptors 1 and 2.
        with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            yield console
    finally:
        log.flush()
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        for descriptor in saved:
            os.close(descriptor)
        root.handlers, absl_logger.handlers = before[0], before[2]
        root.setLevel(before[1])
        absl_logger.setLevel(before[3])
        # The log stays open, since logging handlers of libraries may still use it.
        if shown is not out:
            shown.close()


def _first_lines(error, lines=4):
    text = str(error).strip() or type(error).__name__
    return f"{type(error).__name__}: " + "\n".join(text.splitlines()[:lines])


def _print_outcome(outcome, console):
    for preset, model in outcome["models"].items():
        console("")
        console(f"{preset}: {model['outcome']}")
        for reason in model["reasons"]:
            console(f"  reason   {reason}")
        for warning in model["warnings"]:
            console(f"  warning  {warning}")
        if model["samples"]:
            console(f"  samples  {model['samples']}")
        console(f"  metrics  {model['metrics']}")
        if model["pushed"]:
            when = "" if model["pushed_now"] else " (by an earlier run)"
            console(f"  pushed   {model['pushed']}{when}")
        else:
            unjudged = ", and with --push_unjudged those that nothing could judge" if model["outcome"] == "UNJUDGED" else ""
            console(f"  pushed   nothing: only blessed models are pushed{unjudged}")
    console("")
    console(f"report     {outcome['report']}")
    for name, line in _next_steps(outcome):
        console(f"{name:10} {line}")


def _next_steps(outcome):
    """(name, command) of what to do with the outcome: to open the report, and to serve and ask the first pushed model."""
    from tfgen_pipelines import report

    yield "open it", f"python3 -m webbrowser {shlex.quote(pathlib.Path(outcome['report']).absolute().as_uri())}"
    pushed = next((model for model in outcome["models"].values() if model["pushed"]), None)
    if pushed is not None:
        tfgen = sys.argv[0] if pathlib.Path(sys.argv[0]).name == "tfgen" else "tfgen"
        yield "serve", report.serve_command(pushed["pushed"], tfgen)
        yield "try it", report.studio_command(pushed["pushed"], tfgen)
        yield "ask", report.ask_command(pushed["pushed"], pushed["content"]["model"])


def build_parser(demo=False):
    """The parser of `tfgen pipeline`; `demo`: of `tfgen demo`, which has a default for everything."""
    parser = Parser(
        prog=f"tfgen {'demo' if demo else 'pipeline'}",
        description="Trains, evaluates and pushes models of a data set, on this machine."
        + (f" Without options: {' and '.join(DEMO_PRESETS)}, on scikit-learn's 8x8 digits." if demo else ""),
        epilog="Exit codes: 0 every model was blessed and pushed, 1 a component failed, 2 the request is wrong (nothing "
        "was started), 3 the pipeline ran but a model was NOT BLESSED, or UNJUDGED, and so not pushed.",
    )
    add = parser.add_argument
    add(
        "--workspace",
        type=option(Text),
        default="tfgen-demo" if demo else "tfgen-pipeline",
        help="folder for all output (default: %(default)s)",
    )
    data = parser.add_mutually_exclusive_group(required=not demo)
    data.add_argument("--data", type=option(Text), default="digits" if demo else None,
        help="digits, a TFDS name, a folder, folder:PATH or tfrecord:GLOB"
        + (" (default: %(default)s)" if demo else ""))  # fmt: skip
    add_data_options(parser)
    add("--data_options", type=_json_dict, default={}, metavar="JSON",
        help="further options of the data set, e.g. '{\"levels\": 2}', see tfgen.data.load")  # fmt: skip
    add("--train_split", type=option(Text), default="train", help="split to train on (default: %(default)s)")
    add("--eval_split", type=option(Text), default="test",
        help="split to evaluate on (default: %(default)s); '-': a tenth of the training split")  # fmt: skip
    data.add_argument("--import_base", type=option(Text), default=None, metavar="DIR",
        help="instead of --data: a folder of TFRecords of {image, label}, which are copied unchanged; --train_split and "
        "--eval_split are then glob patterns in it")  # fmt: skip
    add("--preset", action="append", type=option(Text), dest="presets", metavar="NAME", required=not demo,
        help="preset to train, see `tfgen presets`, or your own: package.module:NAME, file.py:NAME, file.py; may be repeated"
        + (f" (default: {' and '.join(DEMO_PRESETS)})" if demo else ""))  # fmt: skip
    add("--steps", type=option(PositiveInt), default=None, help="training steps (default: the preset's)")
    add("--override", action="append", default=[], metavar="PRESET:NAME=VALUE",
        help="changes a setting of one of several presets, the value as JSON; may be repeated")  # fmt: skip
    add("--thresholds", type=_json_dict, default=None, metavar="JSON",
        help="{preset: {metric: {rule: bound}}} with the rules upper, lower, relative_to_untrained, relative_to_real, "
        "relative_to_trivial, max_worsening (default: those of the model's capabilities)")  # fmt: skip
    add("--metrics", default="", metavar="LIST",
        help="metrics that are measured besides, separated by commas, of the models that they fit: fid_infinity, ms_ssim, "
        "swd, birthday, path_length, separability, k_means, few_labels")  # fmt: skip
    add("--push_unjudged", action="store_true",
        help="push also models that cannot be judged, for instance of too few images or with a weak classifier")  # fmt: skip
    add(
        "--num_samples",
        type=option(NaturalInt),
        default=0,
        help="images per evaluation (default: as many as the eval split has)",
    )
    add("--seed", type=option(Seed), default=0, help="seed of training, classifier and evaluation (default: 0)")
    add_mixed_precision(parser)
    add("--no_cache", action="store_true", help="run all components, also unchanged ones")
    add("--infra_validation", choices=("local", "docker", "none"), default="local",
        help="serve each model and send it requests before it is pushed: with the compatible server, with TensorFlow "
        "Serving's docker image, or not at all (default: %(default)s)")  # fmt: skip
    add("--beam_arg", action="append", default=[], help="a Beam pipeline option, as --beam_arg=--direct_num_workers=2; "
        "may be repeated, see docs/beam.md")  # fmt: skip
    return parser


def _json_dict(text):
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"got {settings.shown(text)}, expected JSON: {error}") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"got {settings.shown(text)}, expected a JSON object")
    return value


def parse_overrides(texts):
    """["vae/digits:latent_dim=8"] -> {"vae/digits": {"latent_dim": 8}}; a value that is not JSON is a string."""
    result = {}
    for text in texts:
        match = re.fullmatch(r"([^=]+):([^:=]+)=(.*)", text)
        if not match:
            raise UsageError(f"--override must read PRESET:NAME=VALUE; received {text!r}.")
        preset, name, value = match.groups()
        with contextlib.suppress(json.JSONDecodeError):
            value = json.loads(value)
        result.setdefault(preset, {})[name] = value
    return result


def data_options(args):
    """The options of the data set, of `--data_options` and of the options that `tfgen train` has too."""
    options = {name: value for name in DATA_OPTIONS if (value := getattr(args, name)) is not None}
    if twice := sorted(options.keys() & args.data_options.keys()):
        raise UsageError(f"--{twice[0]} is given twice: as an option of its own, and in --data_options.")
    return {**args.data_options, **options}


def demo(argv=None):
    """`tfgen demo`; returns the exit code."""
    return main(argv, demo=True)


def main(argv=None, demo=False):
    """`tfgen pipeline`; returns the exit code."""
    args = build_parser(demo).parse_args(argv)
    presets = tuple(args.presets or DEMO_PRESETS)
    try:
        overrides = parse_overrides(args.override)
        of_all = arguments.overrides(args.overrides)
        overrides |= {name: {**of_all, **overrides.get(name, {})} for name in presets if of_all}
        options = data_options(args)
    except ValueError as error:
        print(f"tfgen: {error}", file=sys.stderr)
        return EXIT_USAGE
    return main_of(
        workspace=args.workspace,
        **({} if args.data is None else {"data": args.data}),  # with --import_base there is none
        data_options=options,
        presets=presets,
        steps=args.steps,
        overrides=overrides,
        thresholds=args.thresholds,
        num_samples=args.num_samples,
        seed=args.seed,
        mixed_precision=args.mixed_precision,
        cache=not args.no_cache,
        beam_args=args.beam_arg,
        train_split=args.train_split,
        eval_split=None if args.eval_split == "-" else args.eval_split,
        import_base=args.import_base,
        infra_validation=args.infra_validation,
        push_unjudged=args.push_unjudged,
        metrics=tuple(name.strip() for name in args.metrics.split(",") if name.strip()),
    )


if __name__ == "__main__":
    sys.exit(main())
