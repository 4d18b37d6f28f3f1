"""Warm-up records: requests that TensorFlow Serving runs on a model version before that version answers clients.

The first request of a new shape takes longer than the later ones. One recorded request for each signature and batch size
moves that time into loading. A version that cannot answer then fails to load, and the previous version keeps serving.

Format: `assets.extra/tf_serving_warmup_requests`, a TFRecord file of at most 1,000 `PredictionLog`s
(tensorflow/serving 2.16.1, servables/tensorflow/saved_model_warmup_util.cc).
"""

import os
import pathlib
from collections.abc import Iterator, Sequence

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
MAX_RECORDS = 1000
TEXT = b"a"  # of the input `text`: an empty sentence is refused
FREE_SIDE = 64  # height and width of images whose size is free: a multiple of what networks halve
BATCH_SIZES = (1, 2, 4, 8, 16, 32)  # allowed_batch_sizes of serving/files/batching.config


def write_warmup(saved_model: str | os.PathLike, batch_sizes: Sequence[int] = BATCH_SIZES) -> pathlib.Path:
    """Writes the warm-up file into a SavedModel that no server sees yet.

    Numeric inputs are zeros, the input `text` is a letter, and other strings are serialized examples without features: all
    signatures of tfgen's models take these. Images of any size, two free sizes in a row, have `FREE_SIDE` pixels.

    Args:
        saved_model: folder with `saved_model.pb`.
        batch_sizes: positive integers; there is one request for each signature and size.

    Returns:
        `pathlib.Path` of the file.

    Raises:
        ModuleNotFoundError: tensorflow-serving-api, which brings the messages, is not installed.
        ValueError: the sizes are not positive integers, there would be no or more than 1,000 records, or an input has an
            unknown dimension after the first that is no height or width.
    """
    path = pathlib.Path(saved_model) / WARMUP_FILE
    logs = list(prediction_logs(signatures(saved_model), batch_sizes))
    if not 0 < len(logs) <= MAX_RECORDS:
        raise ValueError(f"A warm-up file has 1 to {MAX_RECORDS} records; these signatures and sizes make {len(logs)}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for log in logs:
            writer.write(log.SerializeToString(deterministic=True))
    return path


def prediction_logs(signature_defs: dict, batch_sizes: Sequence[int] = BATCH_SIZES) -> Iterator:
    """Yields a `PredictionLog` for each signature of {name: SignatureDef} and each batch size."""
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    sizes = sorted(set(batch_sizes))
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        raise ValueError(f"Batch sizes must be positive integers; received {batch_sizes!r}.")
    for name, signature in sorted(signature_defs.items()):
        for size in sizes:
            # No model name: the records are run on their own version, under any served name.
            request = predict_pb2.PredictRequest()
            request.model_spec.signature_name = name
            for alias, info in signature.inputs.items():
                request.inputs[alias].CopyFrom(_zeros(name, alias, info, size))
            yield prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))


def signatures(saved_model: str | os.PathLike) -> dict:
    """{name: SignatureDef} of a SavedModel folder, as a server offers them."""
    content = (pathlib.Path(saved_model) / "saved_model.pb").read_bytes()
    for graph in saved_model_pb2.SavedModel.FromString(content).meta_graphs:
        if tf.saved_model.SERVING in graph.meta_info_def.tags:
            # Names like __saved_model_init_op are TensorFlow's own.
            return {name: s for name, s in graph.signature_def.items() if not name.startswith("__")}
    raise ValueError(f"{saved_model} has no graph with the tag {tf.saved_model.SERVING!r}.")


def _zeros(signature, alias, info, size):
    """A small TensorProto of `size` rows that holds one value: readers repeat the last value."""
    shape = [dim.size for dim in info.tensor_shape.dim]
    free = [i for i, size in enumerate(shape) if i > 0 and size < 0]
    if len(free) == 2 and free[1] == free[0] + 1:
        shape[free[0] : free[1] + 1] = [FREE_SIDE] * 2
    if info.tensor_shape.unknown_rank or not shape or min(shape[1:], default=1) < 1:
        raise ValueError(f"Input {alias!r} of signature {signature!r} needs fixed dimensions after the first; has {shape}.")
    dtype = tf.as_dtype(info.dtype)
    value = (TEXT if alias == "text" else b"") if dtype == tf.string else 0
    return tf.make_tensor_proto(value, dtype=dtype, shape=[size if shape[0] < 0 else shape[0], *shape[1:]])
