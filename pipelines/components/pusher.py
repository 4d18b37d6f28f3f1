"""Pusher: copies a blessed model atomically to the folder that servers load from."""

import json
import pathlib
import secrets
import time

from absl import logging
from google.protobuf import message
from tensorflow.core.protobuf import saved_model_pb2
from tfx.components import Pusher as TfxPusher
from tfx.components.pusher import executor as tfx_executor
from tfx.dsl.components.base import executor_spec
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils
from tfx.utils import io_utils, proto_utils

from tfgen.files import locked, new_version, sha256
from tfgen_pipelines.components.generative_evaluator.judge import OUTCOME
from tfgen_pipelines.components.generative_evaluator.verdict import UNJUDGED

# Properties of the pushed model: whether an earlier execution had pushed the same files; what was found besides.
ALREADY_PUSHED, WARNING = "already_pushed", "warning"


class Executor(tfx_executor.Executor):
    """The executor of TFX's Pusher, with an atomic copy.

    TFX copies directly into the serving folder: if it is killed, or the disk is full, an incomplete version stays there, and
    a repeated push makes a second version of the same model. Here a version is copied to a hidden folder and renamed, and a
    model whose files are those of the newest version is not pushed again. A failed push changes nothing.

    With `custom_config` {"push_unjudged": True}, a model that the Judge could not judge is pushed too. It is still not
    blessed, so no later model is compared with it, on any orchestrator.
    """

    def CheckBlessing(self, input_dict):
        (blessing,) = input_dict["model_blessing"]
        if self._push_unjudged and blessing.get_string_custom_property(OUTCOME) == UNJUDGED:
            input_dict = {name: given for name, given in input_dict.items() if name != "model_blessing"}
        return super().CheckBlessing(input_dict)

    def Do(self, input_dict, output_dict, exec_properties):
        self._push_unjudged = bool((json.loads(exec_properties.get("custom_config") or "null") or {}).get("push_unjudged"))
        destination = pusher_pb2.PushDestination()
        proto_utils.json_to_proto(exec_properties["push_destination"], destination)
        base = destination.filesystem.base_directory
        if "://" in base or "://" in self.GetModelPath(input_dict):
            super().Do(input_dict, output_dict, exec_properties)  # buckets have no renames
            return
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        model = self.GetModelPath(input_dict)
        try:
            io_utils.copy_dir(model, pushed.uri)  # TFX's archive of pushed models; before the push, which must be last
            warning = set_aside_incomplete(pathlib.Path(base))
            version, already = push(pathlib.Path(model), pathlib.Path(base))
        except OSError as error:
            raise OSError(f"Nothing was pushed to {base}: {error}") from error
        self._MarkPushed(pushed, pushed_destination=str(version), pushed_version=version.name)
        pushed.set_int_custom_property(ALREADY_PUSHED, int(already))
        if warning:
            pushed.set_string_custom_property(WARNING, warning)


class Pusher(TfxPusher):
    """TFX's Pusher with `Executor`; the arguments are the same."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)


def set_aside_incomplete(base: pathlib.Path) -> str:
    """Renames incomplete versions in `base` to `.incomplete-<version>-<random>`, which servers and pushes pass over.

    A version is incomplete without a whole `saved_model.pb`. TFX's own Pusher writes that file last, and leaves such folders
    when it is killed or the disk is full. Nothing is deleted, since a numbered folder may be something else.

    Returns:
        a warning that names the folders, also logged; "" if there were none.
    """
    if not base.is_dir():
        return ""
    with locked(base):
        versions = sorted((path for path in base.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
        found = [path for path in versions if path.is_dir() and not _is_complete(path)]
        moved = [path.rename(path.with_name(f".incomplete-{path.name}-{secrets.token_hex(4)}")).name for path in found]
    if not found:
        return ""
    warning = (
        f"Versions in {base} have no whole saved_model.pb, as an interrupted push leaves them, so no server can load them: "
        f"{', '.join(path.name for path in found)}. They were renamed to {', '.join(moved)}; delete what nobody needs."
    )
    logging.warning(warning)
    return warning


def _is_complete(version):
    try:
        return bool(saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes()).meta_graphs)
    except (FileNotFoundError, message.DecodeError):
        return False


def push(model: pathlib.Path, base: pathlib.Path) -> tuple[pathlib.Path, bool]:
    """Copies the SavedModel in the folder `model` to `<base>/<version>`, which appears by one rename.

    The version is the time in seconds, or the newest in `base` plus 1 if that is larger. Hidden folders of killed pushes in
    `base` are removed.

    Returns:
        (the folder of the version, whether the newest version in `base` had the same files, so that nothing was copied).
    """
    versions = [path for path in base.glob("*") if path.name.isdigit()]
    newest = max(versions, key=lambda path: int(path.name), default=None)
    if newest is not None and sha256(newest) == sha256(model):
        return newest, True
    with new_version(base, at_least=int(time.time())) as (hidden, target):
        io_utils.copy_dir(str(model), str(hidden))
    return target, False
