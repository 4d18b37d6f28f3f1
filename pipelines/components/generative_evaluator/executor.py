"""Executor of the GenerativeEvaluator."""

import functools
import json

from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from tfgen_pipelines.components import examples as examples_lib
from tfgen_pipelines.components.generative_evaluator import evaluate
from tfgen_pipelines.components.generative_evaluator.through_beam import Remote, ThroughBeam


class Executor(base_beam_executor.BaseBeamExecutor):
    def Do(self, input_dict, output_dict, exec_properties):
        model = artifact_utils.get_single_instance(input_dict["model"])
        evaluation = artifact_utils.get_single_instance(output_dict["evaluation"])
        data = json.loads(exec_properties["data"])
        classifier_dir = None
        if input_dict.get("classifier"):
            classifier_dir = artifact_utils.get_single_instance(input_dict["classifier"]).uri
        baseline = None
        if input_dict.get("baseline_model"):
            baseline = artifact_utils.get_single_instance(input_dict["baseline_model"])
        if baseline is not None and baseline.id == model.id:
            baseline = None  # TFX's own strategy finds this very model in an unchanged second run

        evaluate.evaluate(
            path_utils.serving_model_path(model.uri),
            train=Remote(functools.partial(examples_lib.source, input_dict["examples"], "train", data)),
            test=Remote(functools.partial(examples_lib.source, input_dict["examples"], "eval", data)),
            data_name=data["name"],
            classifier_dir=classifier_dir,
            baseline_dir=path_utils.serving_model_path(baseline.uri) if baseline else None,
            num_samples=exec_properties["num_samples"],
            seed=exec_properties["seed"],
            further=json.loads(exec_properties["metrics"]),
            output_dir=evaluation.uri,
            run=functools.partial(ThroughBeam, self._make_beam_pipeline),
        )
