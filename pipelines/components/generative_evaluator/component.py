"""The GenerativeEvaluator component."""

import json

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import channel, component_spec, standard_artifacts

from tfgen_pipelines.components.generative_evaluator import executor
from tfgen_pipelines.components.generative_evaluator.evaluate import check_further


class GenerativeEvaluatorSpec(component_spec.ComponentSpec):
    PARAMETERS = {
        "data": component_spec.ExecutionParameter(type=str),  # JSON of Data.description()
        "num_samples": component_spec.ExecutionParameter(type=int),
        "seed": component_spec.ExecutionParameter(type=int),
        "metrics": component_spec.ExecutionParameter(type=str),  # JSON
        "code": component_spec.ExecutionParameter(type=str),  # part of the cache key only
    }
    INPUTS = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "classifier": component_spec.ChannelParameter(type=standard_artifacts.Model, optional=True),
        "baseline_model": component_spec.ChannelParameter(type=standard_artifacts.Model, optional=True),
    }
    OUTPUTS = {
        "evaluation": component_spec.ChannelParameter(type=standard_artifacts.ModelEvaluation),
    }


class GenerativeEvaluator(base_beam_component.BaseBeamComponent):
    """Measures a model on the eval split by its capabilities. Samples are made in shards, on Beam.

    Outputs `evaluation`: metrics.json with anchors and the protocol of each number; samples.png, real.png and neighbours.png
    if the model makes images, reconstructions.png if it reconstructs, translations.png if it translates. `Judge` compares
    the numbers with thresholds.

    Args:
        examples: channel of transformed examples, splits train and eval.
        model: channel of the Trainer's model: a SavedModel of `tfgen.export`.
        data: dict, `tfgen_pipelines.data.Data.description()`.
        classifier: channel of the ClassifierTrainer's model; without it samples are not measured.
        baseline_model: channel of the last blessed model. It is measured again, under the same protocol.
        num_samples: int; images that are generated; 0: as many as the eval split has.
        seed: int.
        metrics: names of further metrics, from `evaluate.FURTHER`.
        code: hash of the code that the result depends on; the component runs again when it changes.
    """

    SPEC_CLASS = GenerativeEvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(self, examples, model, data, *, classifier=None, baseline_model=None,
                 num_samples=0, seed=0, metrics=(), code=""):  # fmt: skip
        check_further(metrics)
        if num_samples < 0 or num_samples == 1:
            raise ValueError(f"num_samples must be 0 (as many as the eval split has) or >= 2; received {num_samples}.")
        spec = GenerativeEvaluatorSpec(
            examples=examples,
            model=model,
            classifier=classifier,
            baseline_model=baseline_model,
            data=json.dumps(data, sort_keys=True),
            num_samples=num_samples,
            seed=seed,
            metrics=json.dumps(list(metrics)),
            code=code,
            evaluation=channel.Channel(type=standard_artifacts.ModelEvaluation),
        )
        super().__init__(spec=spec)
