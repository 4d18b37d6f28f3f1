"""ClassifierTrainer: trains the small classifier whose features the metrics use, once for all evaluators."""

import json
import os

from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, channel, component_spec, standard_artifacts

from tfgen_pipelines.components import examples as examples_lib


class ClassifierTrainerSpec(component_spec.ComponentSpec):
    PARAMETERS = {
        "data": component_spec.ExecutionParameter(type=str),  # JSON of Data.description()
        "seed": component_spec.ExecutionParameter(type=int),
        "code": component_spec.ExecutionParameter(type=str),  # used for the cache key only
    }
    INPUTS = {"examples": component_spec.ChannelParameter(type=standard_artifacts.Examples)}
    OUTPUTS = {"model": component_spec.ChannelParameter(type=standard_artifacts.Model)}


class Executor(base_executor.BaseExecutor):
    def Do(self, input_dict, output_dict, exec_properties):
        from tfgen import metrics

        model = artifact_utils.get_single_instance(output_dict["model"])
        data = json.loads(exec_properties["data"])
        train = examples_lib.source(input_dict["examples"], "train", data)
        test = examples_lib.source(input_dict["examples"], "eval", data)
        classifier = metrics.train_classifier(train, test, seed=exec_properties["seed"])
        classifier.save(model.uri)
        model.set_string_custom_property("accuracy", f"{classifier.accuracy:.6f}")
        model.set_string_custom_property("weights_hash", classifier.weights_hash)
        summary = {"accuracy": float(classifier.accuracy), "weights_hash": classifier.weights_hash}
        with open(os.path.join(model.uri, "summary.json"), "w") as f:
            json.dump(summary, f)


class ClassifierTrainer(base_component.BaseComponent):
    """Outputs `model`: a folder for `tfgen.metrics.Classifier.load`, with its accuracy on the eval split.

    Args:
        examples: channel of transformed examples with labels, splits train and eval.
        data: dict, `tfgen_pipelines.data.Data.description()`.
        seed: int.
        code: hash of the code; the component runs again when it changes.
    """

    SPEC_CLASS = ClassifierTrainerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, examples, data, *, seed=0, code=""):
        spec = ClassifierTrainerSpec(
            examples=examples,
            data=json.dumps(data, sort_keys=True),
            seed=seed,
            code=code,
            model=channel.Channel(type=standard_artifacts.Model),
        )
        super().__init__(spec=spec)
