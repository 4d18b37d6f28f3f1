"""Runs what was compiled for Kubeflow on this machine: each task a process, as the containers of a cluster."""

import json
import os
import pathlib
import subprocess
import sys


def run(compiled, root):
    """Runs the tasks one after another, as in a first run, in which nothing was blessed before.

    Args:
        compiled: what `tfgen_pipelines.kubeflow.compile_pipeline` returns.
        root: folder of the artifacts.

    Returns: {task: {output: the runtime artifact, with "uri" and "metadata"}}.
    """
    spec, done = compiled["pipelineSpec"], {}
    waiting = dict(spec["root"]["dag"]["tasks"])
    while waiting:
        name = next(name for name, task in waiting.items() if set(needed(task)) <= set(done))
        done[name] = run_task(name, waiting.pop(name), spec, done, pathlib.Path(root))
    return done


def needed(task):
    """The tasks that come before: those that are named, and those whose artifacts it takes."""
    taken = task.get("inputs", {}).get("artifacts", {}).values()
    return [*task.get("dependentTasks", []), *(one["taskOutputArtifact"]["producerTask"] for one in taken)]


def run_task(name, task, spec, done, root):
    component = spec["components"][task["componentRef"]["name"]]
    executor = spec["deploymentSpec"]["executors"][component["executorLabel"]]
    if "container" not in executor:
        return {}  # a resolver, which asks the cluster for earlier artifacts
    inputs, outputs = {}, {}
    for key, given in task.get("inputs", {}).get("artifacts", {}).items():
        place = given["taskOutputArtifact"]
        if (artifact := done[place["producerTask"]].get(place["outputArtifactKey"])) is not None:
            inputs[key] = {"artifacts": [artifact]}
    for number, (key, definition) in enumerate(component.get("outputDefinitions", {}).get("artifacts", {}).items()):
        uri, store = root / name / key, f"projects/p/locations/l/metadataStores/default/artifacts/{10 * len(done) + number}"
        outputs[key] = {"artifacts": [{"name": store, "uri": str(uri), "type": definition["artifactType"]}]}
    parameters = {
        key: given["runtimeValue"]["constantValue"] for key, given in task.get("inputs", {}).get("parameters", {}).items()
    }
    said = root / name / "executor_output.json"
    given = {"inputs": {"artifacts": inputs, "parameters": parameters},
             "outputs": {"artifacts": outputs, "outputFile": str(said)}}  # fmt: skip
    container = executor["container"]
    words = [word.replace("{{$}}", json.dumps(given)) for word in (*container["command"], *container["args"])]
    environment = {**os.environ, "PYTHONPATH": ".", **{one["name"]: one["value"] for one in container.get("env", [])}}
    assert words[0] == "python"
    process = subprocess.run([sys.executable, *words[1:]], env=environment, capture_output=True, text=True)
    assert process.returncode == 0, f"{name}: {process.stderr[-4000:]}"
    found = json.loads(said.read_text()).get("artifacts", {})
    # What a container says of an artifact is put to what was asked for: it has no type.
    return {key: {**one["artifacts"][0], **found.get(key, {}).get("artifacts", [{}])[0], "type": one["artifacts"][0]["type"]}
            for key, one in outputs.items()}  # fmt: skip
