"""`Loader`: loads versions by the settings of the flags."""

import logging
import os
import time

from tfgen_serving.server import flags as flags_module
from tfgen_serving.server import inference
from tfgen_serving.server.batching import Batcher
from tfgen_serving.server.servable import Servable

BATCHING_FILE = "batching_params.pbtxt"
_log = logging.getLogger("tfgen.serving")


class Loader:
    """Makes warmed-up servables with the flags' tags, threads and batching.

    Args:
        flags: a namespace from `flags.parse`.
        batcher: the server's `Batcher`, None without batching.
    """

    def __init__(self, flags, batcher):
        self._flags, self._batcher = flags, batcher

    def __call__(self, name, version, path):
        flags = self._flags
        servable = Servable(
            name, version, path, tags=flags.saved_model_tags.split(","),
            intra_op_parallelism=flags.tensorflow_intra_op_parallelism,
            inter_op_parallelism=flags.tensorflow_inter_op_parallelism,
        )  # fmt: skip
        try:
            if flags.enable_model_warmup:
                started = time.monotonic()
                if count := inference.warm_up(servable):
                    _log.info("%s %d warmed up with %d requests in %.1f s", name, version, count, time.monotonic() - started)
            if flags.enable_per_model_batching_parameters:
                servable.use_own_batcher(self._own_batcher(path))
            else:
                servable.batcher = self._batcher
        except Exception:
            servable.close()
            raise
        return servable

    def _own_batcher(self, path):
        """A Batcher with the settings of the version's file and the server's number of threads; None without the file."""
        file = os.path.join(path, BATCHING_FILE)
        if not os.path.exists(file):
            return None
        parameters = flags_module.read_text_proto(file, flags_module.BatchingParameters())
        parameters.num_batch_threads.value = self._batcher.num_threads
        return Batcher(parameters)
