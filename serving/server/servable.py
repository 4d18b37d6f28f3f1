"""One loaded version of a model: a SavedModel in a TensorFlow session, as in TensorFlow Serving."""

import dataclasses
import os

import grpc
import numpy as np
import tensorflow as tf

from tfgen_serving.errors import ServingError

DEFAULT_SIGNATURE = "serving_default"
_CODES = {code.value[0]: code for code in grpc.StatusCode}
# The session loader is deprecated for training code; here it is needed for deadlines, pruned runs and unloading.
tf.get_logger().addFilter(lambda record: "loader_impl) is deprecated" not in record.getMessage())


@dataclasses.dataclass(frozen=True)
class Tensor:
    """Name, dtype and shape in the graph of an input or output of a signature."""

    name: str
    dtype: tf.DType
    shape: tf.TensorShape

    @property
    def numpy_dtype(self):
        return np.dtype(self.dtype.as_numpy_dtype)


class Servable:
    """A SavedModel ready to run. Thread-safe.

    It uses a session and not `tf.saved_model.load`: a run can have a timeout, computes only the requested outputs and has
    TensorFlow Serving's error messages, and `close` frees the memory.

    Args:
        tags: tags of the graph to load.
        intra_op_parallelism, inter_op_parallelism: numbers of TensorFlow's threads, 0 for its default. The first model that
            a process loads determines intra_op_parallelism for all.

    Raises:
        ServingError: TensorFlow cannot load a model from the folder.
    """

    def __init__(
        self, name, version, path, *, tags=(tf.saved_model.SERVING,), intra_op_parallelism=0, inter_op_parallelism=0
    ):
        self.name, self.version, self.path = name, version, path
        self.batcher = self._own_batcher = None
        self.graph = tf.Graph()
        config = tf.compat.v1.ConfigProto(allow_soft_placement=True)
        config.intra_op_parallelism_threads = intra_op_parallelism
        config.inter_op_parallelism_threads = inter_op_parallelism
        self._session = tf.compat.v1.Session(graph=self.graph, config=config)
        try:
            with self.graph.as_default():
                meta = tf.compat.v1.saved_model.load(self._session, list(tags), os.fspath(path))
            self.graph.finalize()
        except Exception as error:
            self._session.close()
            raise as_serving_error(error) from error
        self.signatures = dict(meta.signature_def)
        self._tensors = {}
        for signature in self.signatures.values():
            for info in [*signature.inputs.values(), *signature.outputs.values()]:
                self._describe(info)

    def tensor(self, info):
        """The `Tensor` of a TensorInfo; ServingError if the graph has none of that name."""
        if info.WhichOneof("encoding") != "name":
            raise ServingError(grpc.StatusCode.UNIMPLEMENTED, "Only dense tensors are served")
        if info.name not in self._tensors:
            raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, f"Tensor {info.name}, specified in the signature, "
                               "was not found in the Graph")  # fmt: skip
        return self._tensors[info.name]

    def _describe(self, info):
        if info.WhichOneof("encoding") == "name":
            try:
                found = self.graph.get_tensor_by_name(info.name)
            except (KeyError, ValueError):
                return  # e.g. the initialisation operation; a request for it raises
            self._tensors[info.name] = Tensor(info.name, found.dtype.base_dtype, found.shape)

    def use_own_batcher(self, batcher):
        """Batches requests with a `Batcher` that ends when the servable is closed."""
        self.batcher = self._own_batcher = batcher

    def execute(self, feeds, fetches, timeout=None):
        """`run`, in a batch with other requests if batching is on."""
        if self.batcher is not None:
            return self.batcher.execute(self, feeds, fetches, timeout)
        return self.run(feeds, fetches, timeout)

    def run(self, feeds, fetches, timeout=None):
        """One run of the graph.

        Args:
            feeds: {tensor name: ndarray of exactly that tensor's dtype}.
            fetches: tensor names.
            timeout: seconds, None for no limit.

        Returns:
            ndarrays in the order of `fetches`; strings are object arrays of bytes.

        Raises:
            ServingError: with TensorFlow's code and message.
        """
        options = None
        if timeout is not None:
            if timeout <= 0:
                raise ServingError(grpc.StatusCode.DEADLINE_EXCEEDED, "Timed out before the model was run")
            options = tf.compat.v1.RunOptions(timeout_in_ms=max(1, min(int(timeout * 1000), 2**31 - 1)))
        try:
            results = self._session.run(list(fetches), feeds, options=options)
        except tf.errors.OpError as error:
            raise as_serving_error(error) from error
        # A scalar comes back as a Python or NumPy scalar.
        return [np.asarray(r, dtype=self._tensors[name].numpy_dtype) for name, r in zip(fetches, results, strict=True)]

    def close(self):
        """Stops its batching and frees the session."""
        if self._own_batcher is not None:
            self._own_batcher.stop()
        self._session.close()


def _in_one_line(message):
    """TensorFlow's message without its heading and without the names of nodes, which say nothing to a client."""
    lines = [line.strip() for line in message.splitlines()]
    kept = [line for line in lines if line and not line.startswith("[[{{node") and line != "Graph execution error:"]
    return " ".join(kept) or message


def as_serving_error(error):
    """Converts an exception of TensorFlow or the file system to a `ServingError` for the client."""
    if isinstance(error, ServingError):
        return error
    if isinstance(error, tf.errors.OpError):
        return ServingError(_CODES.get(error.error_code, grpc.StatusCode.UNKNOWN), _in_one_line(error.message or str(error)))
    if isinstance(error, MemoryError):
        return ServingError(grpc.StatusCode.RESOURCE_EXHAUSTED, "Out of memory")
    if isinstance(error, FileNotFoundError):
        return ServingError(grpc.StatusCode.NOT_FOUND, str(error))
    if isinstance(error, (ValueError, TypeError, OSError)):
        return ServingError(grpc.StatusCode.INVALID_ARGUMENT, str(error))
    return ServingError(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}")
