"""TFX's LocalDagRunner with reports of progress."""

import datetime
import pathlib
import shutil

from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.compiler import constants
from tfx.orchestration import metadata
from tfx.orchestration.local import local_dag_runner, runner_utils
from tfx.orchestration.portable import launcher, runtime_parameter_utils


class Runner(local_dag_runner.LocalDagRunner):
    """`LocalDagRunner` of TFX 1.16 with a call before and after each component.

    LocalDagRunner only logs its progress, and components change the log level. This is its loop without partial runs. Before
    the loop, executions of killed runs are closed and their outputs removed, so no other run may use the same metadata.

    Args:
        progress: object with `start(node_id)` and `finish(node_id, cached)`.
    """

    def __init__(self, progress):
        super().__init__()
        self._progress = progress

    def run_with_ir(self, pipeline, run_options=None):
        if run_options:
            raise ValueError("Partial runs are not supported: unchanged components are cached anyway.")
        runtime_parameter_utils.substitute_runtime_parameter(
            pipeline, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: datetime.datetime.now().isoformat()}
        )
        deployment = runner_utils.extract_local_deployment_config(pipeline)
        connection = getattr(
            deployment.metadata_connection_config,
            deployment.metadata_connection_config.WhichOneof("connection_config"),
        )
        root = pipeline.runtime_spec.pipeline_root.field_value.string_value
        close_unfinished(metadata.Metadata(connection), pathlib.Path(root))
        for node in (node.pipeline_node for node in pipeline.nodes):  # in topological order
            node_id = node.node_info.id
            component = _Launcher(
                pipeline_node=node,
                mlmd_connection=metadata.Metadata(connection),
                pipeline_info=pipeline.pipeline_info,
                pipeline_runtime_spec=pipeline.runtime_spec,
                executor_spec=runner_utils.extract_executor_spec(deployment, node_id),
                custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, node_id),
            )
            self._progress.start(node_id)
            execution = component.launch()
            # TFX records a failed resolver and continues, as if there were no earlier model to compare with.
            if node.node_info.type.name.endswith("resolver.Resolver") and not execution.output_dict:
                raise RuntimeError(f"{node_id} could not look up its artifacts; see the log.")
            self._progress.finish(node_id, cached=not component.executed)


def close_unfinished(connection, root):
    """Marks the executions that a killed run left unfinished as failed, and removes the folders of their outputs.

    Args:
        connection: `tfx.orchestration.metadata.Metadata`, used by no other run.
        root: `pathlib.Path` of the pipeline's artifacts.
    """
    states = metadata_store_pb2.Execution.State
    with connection as handle:
        unfinished = [e for e in handle.store.get_executions() if e.last_known_state in (states.NEW, states.RUNNING)]
        # TFX keeps the outputs of an execution in <root>/<node>/<key>/<id>, and its own files in <root>/<node>/.system.
        for execution in unfinished:
            for folder in [*root.glob(f"*/*/{execution.id}"), *root.glob(f"*/.system/*/{execution.id}")]:
                shutil.rmtree(folder)
            execution.last_known_state = states.FAILED
        if unfinished:
            handle.store.put_executions(unfinished)
    for folder in root.glob("*/.system/stateful_working_dir/*"):
        shutil.rmtree(folder)


class _Launcher(launcher.Launcher):
    executed = False

    def _run_executor(self, execution_info):
        self.executed = True
        return super()._run_executor(execution_info)
