"""The pipeline: it trains, evaluates, blesses and pushes a model for each preset. Paths are arguments.

ImageExampleGen | ImportExampleGen -> StatisticsGen -> SchemaGen -> ExampleValidator
                -> Transform -> ClassifierTrainer
                             -> per preset: Trainer -> GenerativeEvaluator -> Judge (against the last blessed) -> Pusher
                                                    -> InfraValidator (can it be served?)                      ->
"""

import dataclasses
import json

from tfx import v1 as tfx
from tfx.types import channel, standard_artifacts

from tfgen import presets
from tfgen_pipelines import beam_options
from tfgen_pipelines.components.classifier_trainer import ClassifierTrainer
from tfgen_pipelines.components.generative_evaluator.component import GenerativeEvaluator
from tfgen_pipelines.components.generative_evaluator.judge import Judge
from tfgen_pipelines.components.image_example_gen import ImageExampleGen
from tfgen_pipelines.components.infra_validator.component import MODES, infra_validator
from tfgen_pipelines.components.previous_blessed_model import PreviousBlessedModelStrategy
from tfgen_pipelines.components.pusher import Pusher
from tfgen_pipelines.components.transform import Transform
from tfgen_trainers.arguments import MixedPrecision
from tfgen_trainers.code_hash import code_hash, own_hash
from tfgen_trainers.train import TrainConfig

PICTURES = 4  # sample grids of a run, for the report


@dataclasses.dataclass(frozen=True)
class Branch:
    """One preset in the pipeline.

    Attributes:
        preset: its name, or its place if it is one of your own, see `tfgen.presets`.
        steps: number of training steps; None: that of the preset.
        overrides: {name: value} of settings of the preset.
        thresholds: the conditions of a blessing, see `tfgen_pipelines.components.generative_evaluator.verdict`. None: the
            default ones of the model's capabilities; {}: none.
    """

    preset: str
    steps: int | None = None
    overrides: dict = dataclasses.field(default_factory=dict)
    seed: int = 0
    mixed_precision: MixedPrecision = False
    thresholds: dict | None = None

    @property
    def slug(self):
        return presets.get(self.preset).name.replace("/", "-")

    def resolve(self):
        """The preset with all overrides, checked."""
        return TrainConfig(self.preset, overrides=self.overrides, steps=self.steps).resolve()


def create_pipeline(
    *,
    pipeline_name,
    pipeline_root,
    data,
    branches,
    workdir,
    push_base_directory,
    num_samples=0,
    evaluation_seed=0,
    enable_cache=True,
    metadata_connection_config=None,
    beam_pipeline_args=None,
    baseline_strategy=PreviousBlessedModelStrategy,
    infra_validation="local",
    push_unjudged=False,
    metrics=(),
):
    """Builds the TFX pipeline.

    Args:
        pipeline_name: str.
        pipeline_root: folder (or bucket) of the artifacts.
        data: `tfgen_pipelines.data.Data`.
        branches: sequence of `Branch`, one per preset.
        workdir: folder of the trainers' run folders; keep it for all runs, so that an interrupted training is resumed.
        push_base_directory: the model of preset `vae/digits` is pushed to `<push_base_directory>/vae-digits/<version>`.
        num_samples: int; number of images for each evaluation; 0: as many as the eval split has.
        evaluation_seed: int; seed of the classifier and of the generated images.
        enable_cache: bool.
        metadata_connection_config: connection to ML Metadata; None if the orchestrator has its own.
        beam_pipeline_args: list of str, as "--direct_num_workers=2"; where Beam's workers have this environment,
            "--sdk_container_image=none" is added, see `tfgen_pipelines.beam_options`.
        baseline_strategy: resolver strategy for the model to compare with. Use `LatestBlessedModelStrategy` for
            orchestrators that support only TFX's own.
        infra_validation: how each model is served and tested before it is pushed: "local" (the compatible server in a
            separate process; needs the extra [serving]), "docker" (TensorFlow Serving's image), or "none".
        push_unjudged: whether to push models that could not be judged.
        metrics: names of further metrics, see `GenerativeEvaluator`.

    Returns: `tfx.dsl.Pipeline`.
    """
    if not branches:
        raise ValueError("The pipeline needs at least one preset; received none.")
    slugs = [branch.slug for branch in branches]
    if len(set(slugs)) != len(slugs):
        raise ValueError(f"Each preset can appear once; received {[b.preset for b in branches]}.")
    if infra_validation not in MODES:
        raise ValueError(f"infra_validation must be one of {', '.join(MODES)}; received {infra_validation!r}.")

    if data.import_base is not None:
        example_gen = tfx.components.ImportExampleGen(
            input_base=data.import_base,
            input_config=tfx.proto.Input(
                splits=[
                    tfx.proto.Input.Split(name="train", pattern=data.train_split),
                    tfx.proto.Input.Split(name="eval", pattern=data.eval_split),
                ]
            ),
        )
    else:
        reads = code_hash("tfgen.data", "tfgen_pipelines.data", "tfgen_pipelines.components.image_example_gen")
        example_gen = ImageExampleGen(data.config(), code=reads)
    statistics = tfx.components.StatisticsGen(examples=example_gen.outputs["examples"])
    schema = tfx.components.SchemaGen(statistics=statistics.outputs["statistics"], infer_feature_shape=True)
    validator = tfx.components.ExampleValidator(statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"])
    transform = Transform(
        examples=example_gen.outputs["examples"],
        schema=schema.outputs["schema"],
        preprocessing_fn="tfgen_pipelines.preprocessing.preprocessing_fn",
        custom_config={
            "fields": [field.config() for field in data.fields],
            # part of the cache key only
            "code": code_hash("tfgen_pipelines.preprocessing", "tfgen_pipelines.components.transform", "tfgen.fields"),
        },
        disable_statistics=True,  # statistics of pixels are not used, and take longer than reading the images
        disable_analyzer_cache=True,
    )
    examples = transform.outputs["transformed_examples"]
    components = [example_gen, statistics, schema, validator, transform]

    classifier = None
    if data.num_classes:
        code = code_hash("tfgen.metrics", "tfgen.data", "tfgen.features")
        classifier = ClassifierTrainer(examples, data.description(), seed=evaluation_seed, code=code)
        components.append(classifier)

    for branch in branches:
        components += _branch(
            branch, data, example_gen, transform, schema, classifier, workdir, push_base_directory, num_samples,
            evaluation_seed, baseline_strategy, infra_validation, push_unjudged, metrics,
        )  # fmt: skip

    return tfx.dsl.Pipeline(
        pipeline_name=pipeline_name,
        pipeline_root=pipeline_root,
        components=components,
        enable_cache=enable_cache,
        metadata_connection_config=metadata_connection_config,
        beam_pipeline_args=beam_options.with_environment(beam_pipeline_args or []),
    )


def _branch(branch, data, example_gen, transform, schema, classifier, workdir, push_base, num_samples, seed,
            baseline_strategy, infra_validation, push_unjudged, metrics):  # fmt: skip
    slug = branch.slug
    examples, resolved = transform.outputs["transformed_examples"], branch.resolve()
    trainer = tfx.components.Trainer(
        run_fn="tfgen_trainers.run_fn.run_fn",
        examples=examples,
        transform_graph=transform.outputs["transform_graph"],
        schema=schema.outputs["schema"],
        train_args=tfx.proto.TrainArgs(num_steps=branch.steps or 0),
        eval_args=tfx.proto.EvalArgs(num_steps=0),
        custom_config={
            "preset": branch.preset,
            "overrides": dict(branch.overrides),
            "workdir": str(workdir),
            "seed": branch.seed,
            "steps": branch.steps,
            "sample_every": max(100, resolved.steps // PICTURES),
            "mixed_precision": branch.mixed_precision,
            "data": data.description(),
            # Parts of the cache key: the resolved preset and the code, including the user's.
            "resolved": json.dumps(resolved.config(), sort_keys=True),
            "code": code_hash("tfgen", "tfgen_trainers") + own_hash(resolved, presets.module_of(branch.preset)),
        },
    ).with_id(f"Trainer.{slug}")

    # All models of this trainer, and all blessings: a blessing refers to its model by id.
    channels = {
        # Without output_key: with it the compiler would treat this channel and `current` as the same channel.
        "model": channel.Channel(type=standard_artifacts.Model, producer_component_id=trainer.id),
        "model_blessing": channel.Channel(type=standard_artifacts.ModelBlessing),
    }
    if baseline_strategy is PreviousBlessedModelStrategy:
        channels["current"] = trainer.outputs["model"]
    baseline = tfx.dsl.Resolver(strategy_class=baseline_strategy, **channels).with_id(f"LastBlessed.{slug}")

    evaluator = GenerativeEvaluator(
        examples=examples,
        model=trainer.outputs["model"],
        classifier=classifier.outputs["model"] if classifier else None,
        baseline_model=baseline.outputs["model"],
        data=data.description(),
        num_samples=num_samples,
        seed=seed,
        metrics=metrics,
        code=code_hash("tfgen", "tfgen_pipelines.components.generative_evaluator", "tfgen_pipelines.combine"),
    ).with_id(f"GenerativeEvaluator.{slug}")
    judge = Judge(
        evaluator.outputs["evaluation"],
        trainer.outputs["model"],
        baseline_model=baseline.outputs["model"],
        thresholds=branch.thresholds,
        code=code_hash("tfgen.metrics", "tfgen_pipelines.components.generative_evaluator"),
    ).with_id(f"Judge.{slug}")
    # With the examples before Transform: their images are files, as `serve_examples` takes them.
    validator = infra_validator(
        infra_validation, trainer.outputs["model"], example_gen.outputs["examples"], code=code_hash("tfgen_serving")
    )
    if validator is not None:
        validator = validator.with_id(f"InfraValidator.{slug}")
    pusher = Pusher(
        model=trainer.outputs["model"],
        model_blessing=judge.outputs["blessing"],
        infra_blessing=validator.outputs["blessing"] if validator else None,
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(base_directory=f"{str(push_base).rstrip('/')}/{slug}")
        ),
        custom_config={"push_unjudged": push_unjudged},
    ).with_id(f"Pusher.{slug}")
    return [trainer, baseline, evaluator, judge, *([validator] if validator else []), pusher]
