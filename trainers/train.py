"""The training job: trains a preset on images in a run folder; it can be resumed at any moment.

<workdir>/config.json        model, data and settings; a run with others is refused
<workdir>/training.json      commit, code, kernels and first steps, see `tfgen_trainers.origin`
<workdir>/checkpoints/       weights, optimisers, averaged weights, step
<workdir>/history.jsonl      mean losses of every `log_every` steps
<workdir>/tensorboard/       the same as scalars, and sample grids
<workdir>/samples/           pictures during training, see `SampleGrid`
<workdir>/best/              the best snapshot by a metric, if one is kept, see `tfgen_trainers.best`
<workdir>/.lock              locked while a process trains here
"""

from tfgen import onednn

onednn.choose()  # before TensorFlow is imported, if nobody has chosen: the command has, by the preset

import contextlib
import dataclasses
import functools
import hashlib
import json
import pathlib
import re
import shutil
import time
import typing
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tfgen import presets, settings
from tfgen.data import Source, augmented_shape, check_augmentation, check_batch_size, semi_supervised
from tfgen.export import versions
from tfgen.fields import check_fields
from tfgen.files import locked, remove_temporaries, write_whole
from tfgen.settings import PositiveInt, Seed, Text
from tfgen.training import Checkpoints, History, SampleGrid, StopOnNonFinite
from tfgen.training.callbacks import averaged_weights, read_history
from tfgen_trainers import best, callbacks, origin, start, workers
from tfgen_trainers.arguments import MixedPrecision
from tfgen_trainers.code_hash import files_of, model_modules
from tfgen_trainers.first_steps import FIRST_STEPS, FirstSteps

# The number of steps in one call of fit's function: Keras has an overhead for each call.
STEPS_PER_CALL = 10
# The number of images for the data-dependent initialisation of a model.
INITIAL_IMAGES = 500
# The number of images for what a model sets after training, and the largest number of those in a batch.
CONCLUDING_IMAGES, CONCLUDING_BATCH = 2000, 8


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The settings of a training run.

    Attributes:
        preset: a name that `tfgen.presets.get` takes; the path of a file of your own becomes absolute.
        overrides: {name: value}, see `Preset.override`.
        steps: number of steps; None: that of the preset.
        seed: in [0, 2**31); weights, noise and data order are functions of it.
        mixed_precision: the type that the model computes in beside float32, "bfloat16" or "float16", the latter with loss
            scaling; True means bfloat16, False none.
        log_every: steps between lines of progress.
        checkpoint_every: steps between checkpoints.
        sample_every: steps between pictures.
        init_from: None, or the trained weights to start from, see `tfgen_trainers.start.initial_weights`.
        freeze: patterns of names of weights that are not trained, see `tfgen_trainers.start.freeze`.
        keep_best: None, or the metric by which the best snapshot is kept, see `tfgen_trainers.best`; a part of the training
            images is then held out.
        evaluate_every: steps between measurements of this metric.
        callbacks: places of functions that make further Keras callbacks, see `tfgen_trainers.callbacks.made`; they are
            called with those of `config`, `model` and `workdir` that are among their arguments.

    Raises:
        ValueError: a value is not of its type or out of its range.
    """

    preset: Text
    overrides: dict[str, object] = dataclasses.field(default_factory=dict)
    steps: PositiveInt | None = None
    seed: Seed = 0
    mixed_precision: MixedPrecision = False
    log_every: PositiveInt = 100
    checkpoint_every: PositiveInt = 1000
    sample_every: PositiveInt = 2000
    init_from: Text | None = None
    freeze: Sequence[Text] = ()
    keep_best: Text | None = None
    evaluate_every: PositiveInt = 2000
    callbacks: Sequence[Text] = ()

    def __post_init__(self):
        settings.check(TrainConfig, **vars(self))
        # A run folder is read from anywhere.
        object.__setattr__(self, "preset", presets.canonical(self.preset))
        object.__setattr__(self, "callbacks", tuple(presets.canonical(name) for name in self.callbacks))
        if self.init_from is not None:
            object.__setattr__(self, "init_from", start.canonical(self.init_from))

    def resolve(self) -> presets.Preset:
        """The preset with all overrides; ValueError for an unknown name, or a value that is not of its type or range."""
        steps = {} if self.steps is None else {"steps": self.steps}
        preset = presets.get(self.preset).override({**self.overrides, **steps})
        check_batch_size(preset.batch_size)
        check_augmentation(preset.augmentation)
        if self.keep_best is not None:
            best.check(self.keep_best, preset.model)
        return preset

    def model(self) -> keras.Model:
        """The compiled model, with weights that depend on `seed` only. Under a strategy, call this in its scope."""
        keras.utils.set_random_seed(self.seed)
        kind = "bfloat16" if self.mixed_precision is True else self.mixed_precision
        dtype = {"dtype": f"mixed_{kind}"} if kind else {}
        try:
            model = self.resolve().build(seed=self.seed, **dtype)
            start.freeze(model, self.freeze)
            return model
        except (tf.errors.ResourceExhaustedError, MemoryError, OverflowError) as error:
            raise ValueError(
                f"The model of {self.preset} with the settings {settings.shown(self.overrides)} does not fit in memory: "
                f"{_first_line(error)}"
            ) from error


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """The result of `train`. The model has the weights of `step`; `model.ema` has the averaged weights."""

    workdir: pathlib.Path
    step: int
    model: keras.Model
    history: list
    seconds: float


def train(
    config: TrainConfig, source: Source, workdir: str | pathlib.Path, *, report: typing.Callable | None = print
) -> TrainResult:
    """Trains a model, or continues the run in `workdir`.

    Uses MirroredStrategy, with one replica for each device, or with several workers that of `tfgen_trainers.workers`, of
    which all call this function, after `workers.strategy()`. The batch size of the preset is the global batch size. On one
    CPU device, and with a number of workers, an interrupted and resumed run ends with the same bits as an uninterrupted run.

    A preset of `own_images` takes its image_shape from `source`.

    A model that is `initialized_by_data` is given `INITIAL_IMAGES` images of `source` before its first step.

    Args:
        config: `TrainConfig`.
        source: `tfgen.data.Source` of training images.
        workdir: the run folder.
        report: function that is called with lines of text about the progress, or None.

    Returns:
        `TrainResult`.

    Raises:
        ValueError: unknown preset or override; images that do not fit the model; a batch with NaN or values out of range;
            `workdir` has another run.
        BlockingIOError: another process trains in `workdir`.
        OSError: the folder cannot be written.
        TrainingDiverged: a loss, a weight or a sample became NaN or infinite; the message names the step, the player and the
            last good checkpoint.
        MemoryError: the memory is not enough for the batch size and the size of the images.
        RuntimeError: another worker was lost.
    """
    started = time.perf_counter()
    overrides = presets.get(config.preset).for_images(source.image_shape, config.overrides)
    config = dataclasses.replace(config, overrides=overrides)
    preset = config.resolve()
    check_images_fit(preset, source)
    held_out = None
    if config.keep_best is not None:
        source, held_out = best.split(source, config.seed)
        check_images_fit(preset, source)
    whole, source = source, examples_of(config, source)
    check_fields_fit(preset, source)
    workdir = pathlib.Path(workdir)
    worker = workers.mine()
    alone = worker is None or worker.is_chief
    with only_training_in(workdir) if alone else contextlib.nullcontext(), workers.watched():
        try:
            model = _train(config, preset, source, whole, held_out, workdir, report)
        except (tf.errors.ResourceExhaustedError, MemoryError) as error:
            raise MemoryError(
                f"The training of {preset.name} with batch_size {preset.batch_size} and images of the size "
                f"{'x'.join(map(str, source.image_shape))} needs more memory than there is. Choose a smaller batch_size or "
                f"size. ({_first_line(error)})"
            ) from error
    step = int(model.step.value.numpy())
    return TrainResult(workdir, step, model, read_history(workdir / "history.jsonl"), time.perf_counter() - started)


def _train(config, preset, source, whole, held_out, workdir, report):
    """The trained model; for the arguments see `train`. `whole`: the source with all labels; `held_out`: of `best.split`."""
    worker = workers.mine()
    alone = worker is None or worker.is_chief  # others write nothing
    report = report if alone else None
    say = report or (lambda line: None)
    strategy = make_strategy(preset)
    with strategy.scope():
        model, batches_from = prepared(config, source, strategy.num_replicas_in_sync)
        examples = next(iter(batches_from(0)))
        try:
            model.as_batch(examples)
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(f"The images do not fit the settings of {preset.name}: {_said(error)}") from error
        if held_out is not None:
            best.check_fits(config.keep_best, model, whole)
        own_callbacks = callbacks.made(config.callbacks, config=config, model=model, workdir=workdir)
        given = None
        if config.init_from is not None and not (workdir / "checkpoints" / "checkpoint").exists():
            given = start.initial_weights(config.init_from, model)
        if alone:
            open_run(workdir, config, preset, source, given)  # when all that can be refused before the first step was not
        checkpoints = Checkpoints(
            model, workdir / "checkpoints", every_steps=config.checkpoint_every, examples=examples, report=report
        )
        step = checkpoints.restore()
        keepers = []
        if alone:
            checkpoints.remove_leftovers()
        if held_out is not None and alone:
            measured = best.measure(config.keep_best, whole, held_out, preset, config.seed, workdir / best.FOLDER)
            keepers = [best.KeepBest(model, workdir, config.keep_best, measured, every_steps=config.evaluate_every,
                                     held_out=held_out.num_examples, examples=examples, report=report)]  # fmt: skip
        if given is not None:
            start.begin_with(model, given)
            say(f"starts from the weights of {config.init_from}, of step {given.origin['step']}")
        elif step == 0:
            initialize(model, config, whole)
        if worker is not None:
            workers.agree(strategy, "The step of the last checkpoint", step)

    if step:
        say(f"resumed at step {step} from {checkpoints.latest}")
    if step < preset.steps and alone:
        origin.begin(workdir, step, origin_of(config, source))
    while step < preset.steps:
        # Whole intervals first, then the remaining steps as one shorter interval.
        interval = min(config.log_every, preset.steps - step)
        epochs = (preset.steps - step) // interval
        model.steps_per_execution = STEPS_PER_CALL if interval % STEPS_PER_CALL == 0 else 1
        all_callbacks = [StopOnNonFinite(checkpoints), *own_callbacks]
        if alone:
            history = History(model, workdir, total_steps=preset.steps, report=report)
            # Before the checkpoint: what was lost by an interruption is then drawn again.
            pictures = SampleGrid(
                model, workdir / "samples", every_steps=config.sample_every, examples=examples, writer=history.writer
            )
            noted = [_first_steps_of(model, workdir)] if step < FIRST_STEPS else []
            all_callbacks[1:1] = [history, pictures, *keepers]
            all_callbacks += [checkpoints, *noted]
        batches = batches_from(step)
        if worker is not None:
            batches = workers.shared(strategy, functools.partial(batches_from, step))
        try:
            model.fit(batches, epochs=epochs, steps_per_epoch=interval, verbose=0, callbacks=all_callbacks)
        except tf.errors.InvalidArgumentError as error:  # of the checks of fields
            at = int(model.step.value.numpy())
            raise ValueError(f"The batch of step {at} was refused: {_said(error)} {checkpoints.last_good()}") from error
        step = int(model.step.value.numpy())
        if model.stop_training and step < preset.steps:  # by a callback of the user's own
            if alone:
                checkpoints.save()
            say(f"stopped at step {step} of {preset.steps} by a callback")
            break
    if model.concluded_by_data and alone:
        # A random part, since files are often ordered by what they show; small batches, as in training.
        chosen = np.random.default_rng(config.seed).permutation(source.num_examples)[:CONCLUDING_IMAGES]
        with averaged_weights(model):
            model.conclude(source.subset(np.sort(chosen)).batches(min(CONCLUDING_BATCH, config.resolve().batch_size)))
        checkpoints.save()
    if worker is not None:
        workers.agree(strategy, "The last step", step)  # TensorFlow takes a worker that leaves before the chief for lost
    return model


def _first_steps_of(model, workdir):
    content = origin.read(workdir)
    report = lambda found: origin.write(workdir, {**content, "first_steps": found})  # noqa: E731
    return FirstSteps(model, content["first_steps"], report=report)


def examples_of(config: TrainConfig, source: Source) -> Source:
    """The examples on which a model is trained: those of `source`, of a few of which alone the labels may be known."""
    labels = config.resolve().labels_per_class
    return source if labels is None else semi_supervised(source, labels, seed=config.seed)


def prepared(config: TrainConfig, source: Source, replicas: int = 1) -> tuple[keras.Model, typing.Callable]:
    """The compiled model, and a function of a step that returns the endless batches from this step on; and of `part`, see
    `tfgen.data.Source.batches`.

    Under a strategy, call this in its scope.

    Args:
        config: `TrainConfig`.
        source: `tfgen.data.Source` of training images.
        replicas: number of devices, >= 1.

    Raises:
        ValueError: a batch size is no multiple of `replicas`.
    """
    preset = config.resolve()
    for _, size in check_batch_size(preset.batch_size):
        if size % replicas:
            raise ValueError(f"batch_size {size} must be a multiple of the {replicas} devices.")

    def batches_from(step, part=None):
        return source.batches(
            preset.batch_size, shuffle=True, repeat=True, seed=config.seed, start_step=step,
            binarization=preset.binarization, dequantize=preset.dequantize, augmentation=preset.augmentation, part=part,
        )  # fmt: skip

    return config.model(), batches_from


def initialize(model: keras.Model, config: TrainConfig, source: Source) -> None:
    """Initialises a model that is `initialized_by_data` with `INITIAL_IMAGES` images of `source`; others stay as they are.

    Args:
        model: compiled `tfgen.models.TrainableModel`.
        config: the config that the model was made with.
        source: the whole `tfgen.data.Source`, with all labels.
    """
    if model.initialized_by_data:
        given = {"shuffle": True, "seed": config.seed, "augmentation": config.resolve().augmentation}
        model.initialize(next(iter(source.batches(min(INITIAL_IMAGES, source.num_examples), **given))))
        if model.ema is not None:
            model.ema.restart()


def first_steps(config: TrainConfig, source: Source) -> dict:
    """Trains the first steps of a run, in no folder, and returns what `FirstSteps` found. For the arguments see `train`."""
    preset = config.resolve()
    strategy = make_strategy(preset)
    with strategy.scope():
        model, batches_from = prepared(config, examples_of(config, source), strategy.num_replicas_in_sync)
        initialize(model, config, source)
    interval, first = min(config.log_every, preset.steps), FirstSteps(model, stop=True)
    model.steps_per_execution = STEPS_PER_CALL if interval % STEPS_PER_CALL == 0 else 1
    epochs = min(preset.steps, FIRST_STEPS + interval - 1) // interval
    model.fit(batches_from(0), epochs=epochs, steps_per_epoch=interval, verbose=0, callbacks=[first])
    return first.found


def origin_of(config: TrainConfig, source: Source, loop: str = __name__) -> dict:
    """The origin of a training by this process, see `tfgen_trainers.origin`.

    Args:
        loop: dotted name of the module with the loop. Of it and of the schedules only their own code counts.
    """
    preset, own = config.resolve(), presets.module_of(config.preset)
    followed = {*model_modules(preset), *([own] if own else [])}
    followed |= {cls.__module__ for cls in type(source).__mro__ if cls is not object}
    alone = {loop, "tfgen.training.schedules"} | ({start.__name__} if config.init_from or config.freeze else set())
    found = origin.origin(followed, alone)
    files = files_of(preset)
    worker = workers.mine()
    shared = {} if worker is None else {"workers": worker.count}
    return {**found, "steps": preset.steps, **({"files": files} if files else {}), **shared}


def _first_line(error):
    """The first line of an error; of one inside a graph, the line that says what could not be allocated."""
    lines = str(error).splitlines() or [type(error).__name__]
    return next((line for line in lines if line.startswith("OOM ")), lines[0])[:200]


def _said(error):
    """What a failed check of a batch said, in a graph or outside."""
    inside = re.search(r"assertion failed: (.*)", error.message)
    return inside[1] if inside else error.message.partition("\n")[0]


@contextlib.contextmanager
def only_training_in(workdir: pathlib.Path) -> typing.Iterator[None]:
    """A context in which no other process trains in `workdir`, which is made; removes what killed ones left half-written.

    If the training is refused before it writes anything, the folder is removed again.

    Raises:
        BlockingIOError: another process does.
        OSError: the folder cannot be written.
    """
    busy = f"Another training is at work in {workdir}. Wait for it, or choose another workdir."
    with contextlib.ExitStack() as stack:
        made = not workdir.exists()
        try:
            workdir.mkdir(parents=True, exist_ok=True)
            held = stack.enter_context(locked(workdir / ".lock", busy))
        except BlockingIOError:
            raise
        except OSError as error:
            raise OSError(f"The run folder {workdir} cannot be written: {error}.") from error
        if held:
            for pattern in ("config.json", "history.jsonl", origin.FILE, "samples/step-*.png"):
                remove_temporaries(workdir / pattern)
        try:
            yield
        except Exception:
            if made and [path.name for path in workdir.iterdir()] == [".lock"]:
                shutil.rmtree(workdir)
            raise


def make_strategy(preset: presets.Preset | None = None) -> tf.distribute.Strategy:
    """That of several workers, if this is one; else MirroredStrategy over all GPUs, or the logical CPU devices without.

    Args:
        preset: what is trained. On one device there is no strategy if it accumulates, which Keras can do without alone.

    Raises:
        ValueError: the preset has jit_compile, and there are several replicas, or one on another device than the first.
    """
    found = _strategy_for(preset)
    elsewhere = isinstance(found, tf.distribute.OneDeviceStrategy)
    if preset is not None and preset.compile_args.get("jit_compile") and (found.num_replicas_in_sync > 1 or elsewhere):
        raise ValueError(
            "jit_compile=True is for a training on the first device alone, since XLA compiles for one device; received a "
            f"{type(found).__name__} with {found.num_replicas_in_sync} replicas. Use strategy one_device, or leave it out."
        )
    return found


def _strategy_for(preset):
    if (found := workers.strategy()) is not None:
        return found
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    accumulates = preset is not None and "accumulate" in preset.compile_args
    if accumulates and len(tf.config.list_logical_devices(kind)) == 1:
        return tf.distribute.get_strategy()
    if tf.config.list_logical_devices("GPU"):
        return tf.distribute.MirroredStrategy()
    # On CPU the collectives of two strategies in one process mix up their messages; this reduction uses no collectives.
    devices = [f"CPU:{i}" for i, _ in enumerate(tf.config.list_logical_devices("CPU"))]
    return tf.distribute.MirroredStrategy(devices, cross_device_ops=tf.distribute.ReductionToOneDevice())


def check_images_fit(preset: presets.Preset, source: Source) -> None:
    """Raises ValueError if the preset's model cannot be trained on these images."""
    wanted = tuple(preset.model_args["image_shape"])
    given = augmented_shape(source.image_shape, preset.augmentation)
    if given != wanted:
        raise ValueError(
            f"Preset {preset.name!r} is for images {wanted} (height, width, channels); {source.name} has {given}"
            f"{' after the crop' if given != source.image_shape else ''}. Load the images with another size or channels, or "
            f"override image_shape={given}."
        )
    classes = preset.model_args.get("num_classes", 0)
    if classes and source.num_classes != classes:
        raise ValueError(f"The model has num_classes={classes}; {source.name} has {source.num_classes} classes.")
    preset.model.check_source(_arguments(preset), source)
    for _, size in check_batch_size(preset.batch_size):
        if size > source.num_examples:
            raise ValueError(f"batch_size {size} exceeds the {source.num_examples} images of {source.name}.")


def check_fields_fit(preset: presets.Preset, source: Source) -> None:
    """Raises ValueError if batches of `source` lack a field that the preset's model needs in training."""
    needed = [field for field in preset.model.fields_of(_arguments(preset)) if field.name != "image"]
    given = {name: _augmented(field, preset.augmentation) for name, field in source.fields.items()}
    check_fields(needed, given, f"Preset {preset.name!r}", source.name)


def _augmented(field, augmentation):
    """The Field of batches with this augmentation."""
    if not field.pixels:
        return field
    clip = len(field.files_shape)
    sides = augmented_shape(field.shape[clip : clip + 2], augmentation)
    return dataclasses.replace(field, shape=(*field.shape[:clip], *sides, *field.shape[clip + 2 :]))


def _arguments(preset):
    """All constructor arguments of the preset's model."""
    return {name: p.default for name, p in preset.model.config_parameters().items()} | preset.model_args


def snapshot(config: TrainConfig, preset: presets.Preset, source: Source) -> dict:
    """The settings that identify a run, as JSON; steps and logging are not among them and may change when it is resumed."""
    resolved = preset.config()
    resolved.pop("steps")
    run = {
        "preset": resolved,
        "seed": config.seed,
        "mixed_precision": config.mixed_precision,
        "data": {"num_examples": source.num_examples, "fingerprint": source.fingerprint},
    }
    given = {"init_from": config.init_from, "freeze": list(config.freeze), "keep_best": config.keep_best}
    return json.loads(json.dumps({**run, **{name: value for name, value in given.items() if value}}))


def run_name(config: TrainConfig, source: Source, code: str = "") -> str:
    """The folder name of a run: preset and a hash of `snapshot` and `code`."""
    run = json.dumps([snapshot(config, config.resolve(), source), code], sort_keys=True)
    return f"{config.resolve().name.replace('/', '-')}-{hashlib.sha256(run.encode()).hexdigest()[:12]}"


def open_run(
    workdir: pathlib.Path, config: TrainConfig, preset: presets.Preset, source: Source, given: start.Start | None = None
) -> None:
    """Makes the folder and its config.json, or checks that an existing config.json is of the same run.

    Args:
        workdir: the run folder.
        config: `TrainConfig`.
        preset: what `config` resolves to.
        source: `tfgen.data.Source` of training images.
        given: the weights to start from, if the run is at its start and is given some.

    Raises:
        ValueError: the folder has another run, or one that was trained with other CPU kernels.
        OSError: the folder cannot be written.
    """
    ours, path = snapshot(config, preset, source), workdir / "config.json"
    if path.exists():
        record = read_record(workdir)
        onednn.check(record.get("onednn"), str(workdir))
        different = sorted(_differences(record["run"], ours))
        if different:
            raise ValueError(
                f"{workdir} holds another run; it differs in {'; '.join(different)}. Choose another workdir, or delete it."
            )
        if given is not None and record.get("start") != given.origin:
            raise ValueError(
                f"{workdir} has no checkpoint yet, and the weights of {config.init_from} have changed since it was begun: "
                f"{record.get('start')} there, {given.origin} now. Delete it, or choose another workdir."
            )
        return
    try:
        record = {
            "run": ours,
            "data": f"{source.name}, {source.split}",
            "class_names": source.class_names,
            "config": dataclasses.asdict(config),
            "versions": versions(),
            "onednn": onednn.enabled(),
            **({} if given is None else {"start": given.origin}),
        }
        write_whole(path, json.dumps(record, indent=2).encode())
    except OSError as error:
        raise OSError(f"The run folder {workdir} cannot be written: {error}.") from error


def _differences(theirs, ours, prefix=""):
    for key in {**theirs, **ours}:
        a, b = theirs.get(key), ours.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            yield from _differences(a, b, f"{prefix}{key}.")
        elif a != b:
            yield f"{prefix}{key}: {a!r} there, {b!r} now"


def load_run(workdir: str | pathlib.Path, *, at_best: bool = False) -> tuple[keras.Model, dict]:
    """Loads the model of a run folder at its last checkpoint.

    Args:
        workdir: the run folder.
        at_best: whether at the best snapshot in place of the last one; of a run with `keep_best`.

    Returns:
        (model, config.json as a dict).

    Raises:
        ValueError: the folder is no run folder, or has no checkpoint yet.
    """
    record = read_record(workdir)
    model = TrainConfig(**record["config"]).model()
    if at_best and record["config"].get("keep_best") is None:
        raise ValueError(f"{workdir} keeps no best snapshot: it was not trained with --keep_best METRIC.")
    if Checkpoints(model, pathlib.Path(workdir) / (best.FOLDER if at_best else "checkpoints")).restore() == 0:
        raise ValueError(f"{workdir} has no {'best snapshot' if at_best else 'checkpoint'} yet.")
    return model, record


def read_record(workdir: str | pathlib.Path) -> dict:
    """The config.json of a run folder as a dict; ValueError if the folder has none, or one that no training wrote."""
    path = pathlib.Path(workdir) / "config.json"
    if not path.is_file():
        raise ValueError(f"{workdir} is not a run folder: it has no config.json.")
    try:
        record = json.loads(path.read_text())
        TrainConfig(**record["config"]).resolve()
        snapshot_of = {name: record["run"][name] for name in ("preset", "seed", "mixed_precision", "data")}
        export_metadata({"run": snapshot_of, "config": record["config"], "data": record["data"]})
    except presets.PresetError as error:
        raise ValueError(f"{path} has the preset {record['config']['preset']!r}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged, or of another version of tfgen ({type(error).__name__}: {error}).") from error
    return record


def export_metadata(record: dict) -> dict:
    """The entries about the run in an exported model's metadata, from the run's config.json."""
    run, preset = record["run"], record["config"]["preset"]
    return {
        "preset": run["preset"]["name"],
        **({"own_preset": preset} if presets.is_reference(preset) else {}),  # where it is, and the class of the model
        "seed": run["seed"],
        "binarization": run["preset"]["binarization"],
        "dequantize": run["preset"]["dequantize"],
        "data": record["data"],
        "data_fingerprint": run["data"]["fingerprint"],
    }
