"""Reads a pipeline run from ML Metadata: states, seconds and artifacts of its components."""

import importlib.metadata
import json
import math
import os
import pathlib

from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2

from tfgen_pipelines.components.pusher import ALREADY_PUSHED, WARNING

# The packages whose versions the report shows.
PACKAGES = (
    "tfgen",
    "tensorflow",
    "keras",
    "tensorflow-probability",
    "tensorflow-datasets",
    "numpy",
    "tfx",
    "apache-beam",
)

_VALUE = ".ATTRIBUTES/VARIABLE_VALUE"

_STATES = metadata_store_pb2.Execution.State


class Store:
    """Read access to the ML Metadata of the pipelines."""

    def __init__(self, connection_config):
        self._store = metadata_store.MetadataStore(connection_config)

    def latest_run(self):
        """Name of the pipeline run that was started last; None if there is none."""
        runs = self._store.get_contexts_by_type("pipeline_run")
        return max(runs, key=lambda c: c.create_time_since_epoch).name if runs else None

    def components(self, run):
        """{node id: {"state", "seconds", "made_in", "outputs": {key: [{"id", "uri", "properties"}]}}} of a run.

        state: "complete", "cached", "failed" or "running" (also of a killed run). seconds: of this execution; of a cached
        one, only the look-up in the cache. made_in: seconds of the execution that made the outputs, which may be an earlier
        one.
        """
        context = self._store.get_context_by_type_and_name("pipeline_run", run)
        executions = self._store.get_executions_by_context(context.id)
        types = {t.id: t.name for t in self._store.get_execution_types()}
        events = {}
        ids = [e.id for e in executions]
        for event in self._store.get_events_by_execution_ids(ids) if ids else []:
            if event.type == metadata_store_pb2.Event.OUTPUT:
                events.setdefault(event.execution_id, []).append(event)
        wanted = [e.artifact_id for group in events.values() for e in group]
        artifacts = {a.id: a for a in self._store.get_artifacts_by_id(wanted)} if wanted else {}
        result = {}
        for execution in sorted(executions, key=lambda e: e.create_time_since_epoch):
            outputs = {}
            for event in events.get(execution.id, []):
                artifact = artifacts[event.artifact_id]
                outputs.setdefault(event.path.steps[0].key, []).append(
                    {
                        "id": artifact.id,
                        "uri": artifact.uri,
                        "properties": {k: _value(v) for k, v in artifact.custom_properties.items()},
                    }
                )
            node = self._node(execution, types)
            state = _STATES.Name(execution.last_known_state).lower()
            result[node] = {
                "state": state,
                "seconds": _seconds(execution),
                "made_in": _seconds(self._maker(outputs) if state == "cached" and outputs else execution),
                "outputs": outputs,
            }
        return result

    def _maker(self, outputs):
        """The execution that made the artifacts: the first one with them as outputs."""
        artifact = next(iter(outputs.values()))[0]["id"]
        events = self._store.get_events_by_artifact_ids([artifact])
        made = min(e.execution_id for e in events if e.type == metadata_store_pb2.Event.OUTPUT)
        return self._store.get_executions_by_id([made])[0]

    def _node(self, execution, types):
        for context in self._store.get_contexts_by_execution(execution.id):
            # The node context is called "<pipeline>.<node id>".
            if context.type == "node":
                return context.name.split(".", 1)[1]
        return types[execution.type_id].rsplit(".", 1)[-1]


def _seconds(execution):
    return (execution.last_update_time_since_epoch - execution.create_time_since_epoch) / 1000.0


def _value(value):
    return getattr(value, value.WhichOneof("value"))


def uri(components, node, key):
    """The URI of the single output `key` of `node`; None if it has none."""
    outputs = components.get(node, {}).get("outputs", {}).get(key)
    return outputs[0]["uri"] if outputs else None


def read(connection_config, branches):
    """The last pipeline run: {"run", "components", "models": {preset: {...}}}.

    A model: outcome ("BLESSED", "NOT BLESSED" or "UNJUDGED"), blessed (bool), reasons (list of str: why it is not blessed),
    warnings (list of str: what makes the numbers uncertain, and what the push renamed), pushed (folder of the pushed
    version, or None), pushed_now (whether this run pushed it), evaluation, metrics (paths), samples (path, None if it has no
    images), pictures ([(step, path of a sample grid)]), parameters (number in the SavedModel), model (SavedModel), history
    (list of dicts), content (of metrics.json, with that of verdict.json as "verdict").
    """
    store = Store(connection_config)
    run = store.latest_run()
    if run is None:
        raise RuntimeError("ML Metadata holds no pipeline run.")
    components = store.components(run)
    models = {}
    for branch in branches:
        evaluation = uri(components, f"GenerativeEvaluator.{branch.slug}", "evaluation")
        with open(os.path.join(evaluation, "metrics.json")) as f:
            content = json.load(f)
        with open(os.path.join(uri(components, f"Judge.{branch.slug}", "blessing"), "verdict.json")) as f:
            verdict = content["verdict"] = json.load(f)
        pushed = components[f"Pusher.{branch.slug}"]["outputs"]["pushed_model"][0]["properties"]
        was_pushed = bool(pushed.get("pushed"))
        pusher_ran = components[f"Pusher.{branch.slug}"]["state"] == "complete"
        samples = os.path.join(evaluation, "samples.png")
        models[branch.preset] = {
            **{name: verdict[name] for name in ("outcome", "blessed", "reasons")},
            "warnings": verdict["warnings"] + ([pushed[WARNING]] if pusher_ran and WARNING in pushed else []),
            "pushed": pushed.get("pushed_destination") if was_pushed else None,
            "pushed_now": was_pushed and not pushed.get(ALREADY_PUSHED) and pusher_ran,
            "evaluation": evaluation,
            "metrics": os.path.join(evaluation, "metrics.json"),
            "samples": samples if os.path.exists(samples) else None,
            "model": uri(components, f"Trainer.{branch.slug}", "model"),
            "pictures": _pictures(uri(components, f"Trainer.{branch.slug}", "model_run")),
            "parameters": _parameters(uri(components, f"Trainer.{branch.slug}", "model")),
            "history": _history(uri(components, f"Trainer.{branch.slug}", "model_run")),
            "content": content,
        }
    return {
        "run": run,
        "components": components,
        "models": models,
        "anomalies": _anomalies(uri(components, "ExampleValidator", "anomalies")),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES if _installed(name)},
    }


def _installed(name):
    try:
        return bool(importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return False


def _anomalies(folder):
    """[(split, feature, what)] of ExampleValidator's output."""
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    found = []
    for path in sorted(pathlib.Path(folder).glob("Split-*/SchemaDiff.pb")):
        anomalies = anomalies_pb2.Anomalies.FromString(path.read_bytes())
        for feature, info in sorted(anomalies.anomaly_info.items()):
            found.append((path.parent.name.removeprefix("Split-"), feature, info.description))
    return found


def _pictures(folder):
    """[(step, path)] of the sample grids that were drawn during training."""
    found = sorted(pathlib.Path(folder).glob("samples/step-*.png")) if folder else []
    return [(int(path.stem.removeprefix("step-")), str(path)) for path in found]


def _parameters(folder):
    """The number of parameters in the SavedModel of a Model artifact."""
    import tensorflow as tf

    (variables,) = sorted(pathlib.Path(folder).rglob("variables.index"))[:1] or [None]
    if variables is None:
        return None
    shapes = (shape for name, shape in tf.train.list_variables(str(variables.with_suffix(""))) if name.endswith(_VALUE))
    return sum(math.prod(shape) for shape in shapes if shape)  # without counters


def _history(folder):
    path = os.path.join(folder, "history.json") if folder else None
    if path is None or not os.path.exists(path):
        return []
    with open(path) as f:
        return json.load(f)
