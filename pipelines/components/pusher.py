"""Pusher: copies a blessed model atomically to the folder that servers load from."""

import pathlib
import time

from tfx.components import Pusher as TfxPusher
from tfx.components.pusher import executor as tfx_executor
from tfx.dsl.components.base import executor_spec
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils
from tfx.utils import io_utils, proto_utils

from tfgen.files import new_version, sha256

ALREADY_PUSHED = "already_pushed"  # property of the pushed model: an earlier execution had pushed the same files


class Executor(tfx_executor.Executor):
    """The executor of TFX's Pusher, with an atomic copy.

    TFX copies directly into the serving folder: if it is killed, or the disk is full, an incomplete version stays there, and
    a repeated push makes a second version of the same model. Here a version is copied to a hidden folder and renamed, and a
    model whose files are those of the newest version is not pushed again. A failed push changes nothing.
    """

    def Do(self, input_dict, output_dict, exec_properties):
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
            version, already = push(pathlib.Path(model), pathlib.Path(base))
        except OSError as error:
            raise OSError(f"Nothing was pushed to {base}: {error}") from error
        self._MarkPushed(pushed, pushed_destination=str(version), pushed_version=version.name)
        pushed.set_int_custom_property(ALREADY_PUSHED, int(already))


class Pusher(TfxPusher):
    """TFX's Pusher with `Executor`; the arguments are the same."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)


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
