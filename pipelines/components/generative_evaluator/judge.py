"""Judge: compares the numbers of an evaluation with thresholds, and blesses the model or not."""

import json
import os

from tfx.components.evaluator import constants
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, channel, component_spec, standard_artifacts
from tfx.utils import io_utils

from tfgen.metrics.measures import check_metrics
from tfgen_pipelines.components.generative_evaluator import verdict

OUTCOME = "outcome"  # custom property of the blessing


class JudgeSpec(component_spec.ComponentSpec):
    PARAMETERS = {
        "thresholds": component_spec.ExecutionParameter(type=str),  # JSON
        "code": component_spec.ExecutionParameter(type=str),  # part of the cache key only
    }
    INPUTS = {
        "evaluation": component_spec.ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "baseline_model": component_spec.ChannelParameter(type=standard_artifacts.Model, optional=True),
    }
    OUTPUTS = {"blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing)}


class Executor(base_executor.BaseExecutor):
    def Do(self, input_dict, output_dict, exec_properties):
        evaluation = artifact_utils.get_single_instance(input_dict["evaluation"])
        model = artifact_utils.get_single_instance(input_dict["model"])
        blessing = artifact_utils.get_single_instance(output_dict["blessing"])
        with open(os.path.join(evaluation.uri, "metrics.json")) as f:
            content = json.load(f)
        found = verdict.judge_evaluation(content, json.loads(exec_properties["thresholds"]))

        # The convention of TFX's Evaluator, which Pusher and LatestBlessedModelStrategy read.
        blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, model.uri)
        blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)
        given = input_dict.get("baseline_model")
        baseline = artifact_utils.get_single_instance(given) if given else None
        if baseline is not None and baseline.id != model.id:  # TFX's own strategy finds this very model in a second run
            blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_URI_KEY, baseline.uri)
            blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_ID_KEY, baseline.id)
        blessing.set_string_custom_property(OUTCOME, found["outcome"])
        blessing.set_int_custom_property(
            constants.ARTIFACT_PROPERTY_BLESSED_KEY,
            constants.BLESSED_VALUE if found["blessed"] else constants.NOT_BLESSED_VALUE,
        )
        io_utils.write_string_file(os.path.join(blessing.uri, "verdict.json"), json.dumps(found, indent=1, sort_keys=True))
        name = constants.BLESSED_FILE_NAME if found["blessed"] else constants.NOT_BLESSED_FILE_NAME
        io_utils.write_string_file(os.path.join(blessing.uri, name), "")


class Judge(base_component.BaseComponent):
    """Judges the evaluation of a model, see `verdict`. It measures nothing.

    Outputs `blessing`, which Pusher reads: verdict.json, the content of `verdict.judge_evaluation`, and its outcome as the
    custom property `outcome`. A model that could not be judged is not blessed; the Pusher decides whether it
    is pushed.

    Args:
        evaluation: channel of the GenerativeEvaluator's output; model, baseline_model: channels of its inputs.
        thresholds: see `verdict`; None: the default ones of the model's capabilities, {}: none.
        code: hash of the code that the result depends on; the component runs again when it changes.
    """

    SPEC_CLASS = JudgeSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, evaluation, model, *, baseline_model=None, thresholds=None, code=""):
        verdict.check_thresholds(thresholds or {})
        check_metrics(thresholds or {})
        spec = JudgeSpec(
            evaluation=evaluation,
            model=model,
            baseline_model=baseline_model,
            thresholds=json.dumps(thresholds, sort_keys=True),
            code=code,
            blessing=channel.Channel(type=standard_artifacts.ModelBlessing),
        )
        super().__init__(spec=spec)
