"""Requests on one servable: predict, classify, regress, several at once, and the replay of warm-up records.

Codes and messages follow tensorflow/serving 2.16.1 (predict_util.cc, classifier.cc, regressor.cc, multi_inference.cc,
saved_model_warmup_util.cc).
"""

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    predict_pb2,
    prediction_log_pb2,
    regression_pb2,
)

from tfgen_serving.allowance import UNLIMITED
from tfgen_serving.errors import ServingError
from tfgen_serving.server import tensors
from tfgen_serving.server.servable import DEFAULT_SIGNATURE

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"
WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
MAX_WARMUP_RECORDS = 1000
_INVALID, _PRECONDITION = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION


def predict(servable, signature_name, inputs, output_filter=(), timeout=None):
    """Computes {output: ndarray} from {input: ndarray}: all outputs of the signature, or those of `output_filter`."""
    signature = _predict_signature(servable, signature_name)
    _check_names(signature, inputs)
    feeds = {}
    for alias, info in signature.inputs.items():
        if alias in inputs:
            value = inputs[alias]
        elif alias in signature.defaults:
            value = tensors.from_proto(signature.defaults[alias], alias)
        else:
            raise ServingError(_INVALID, f"Signature input {alias} was not found in the request and has no default value.")
        tensor = servable.tensor(info)
        feeds[tensor.name] = _checked(value, alias, tensor)
    aliases = _outputs(signature, output_filter)
    fetches = [servable.tensor(signature.outputs[alias]).name for alias in aliases]
    return dict(zip(aliases, servable.execute(feeds, fetches, timeout), strict=True))


def predict_proto(servable, request, response, timeout=None, allowance=UNLIMITED):
    """Answers a PredictRequest into a PredictResponse."""
    spec = request.model_spec
    _check_names(_predict_signature(servable, spec.signature_name), request.inputs)  # before any tensor is made
    inputs = {name: tensors.from_proto(proto, name, allowance) for name, proto in request.inputs.items()}
    outputs = predict(servable, spec.signature_name, inputs, request.output_filter, timeout)
    fill_spec(response.model_spec, servable, spec.signature_name)
    for name, array in outputs.items():
        tensors.to_proto(array, response.outputs[name])


def fill_spec(spec, servable, signature_name=None):
    spec.name = servable.name
    spec.version.value = servable.version
    if signature_name is not None:
        spec.signature_name = signature_name or DEFAULT_SIGNATURE


def _predict_signature(servable, name):
    name = name or DEFAULT_SIGNATURE
    if name not in servable.signatures:
        raise ServingError(_PRECONDITION, f'Serving signature key "{name}" not found.')
    return servable.signatures[name]


def _check_names(signature, given):
    expected = signature.inputs
    if len(given) > len(expected) or (len(given) < len(expected) and not signature.defaults):
        sent, needed = sorted(given), sorted(expected)
        raise ServingError(
            _INVALID,
            f"input size does not match signature: {len(sent)}!={len(needed)} len({{{','.join(sent)}}}) != "
            f"len({{{','.join(needed)}}}). Sent extra: {{{','.join(sorted({*sent} - {*needed}))}}}. "
            f"Missing but required: {{{','.join(sorted({*needed} - {*sent}))}}}.",
        )


def _checked(value, alias, tensor):
    # Session.run would silently convert, e.g. integers to float; TensorFlow Serving refuses.
    if value.dtype != tensor.numpy_dtype:
        given = "string" if value.dtype == object else value.dtype.name
        raise ServingError(_INVALID, f"Input {alias} expects {tensor.dtype.name} but {given} is provided")
    if not tensor.shape.is_compatible_with(value.shape):
        raise ServingError(_INVALID, f"Input {alias} expects shape {tensor.shape} but {list(value.shape)} is provided")
    return value


def _outputs(signature, output_filter):
    seen = []
    for alias in output_filter:
        if alias not in signature.outputs:
            known = ",".join(sorted(signature.outputs))
            raise ServingError(_INVALID, f"output tensor alias not found in signature: {alias} "
                               f"Outputs expected to be in the set {{{known}}}.")  # fmt: skip
        if alias in seen:
            raise ServingError(_INVALID, f"duplicate output tensor alias: {alias}")
        seen.append(alias)
    return seen or list(signature.outputs)


# ---- classification and regression over tf.Examples


def classify(servable, request, response, timeout=None, allowance=UNLIMITED):
    """Answers a ClassificationRequest."""
    signature = _example_signature(servable, request.model_spec.signature_name)
    names = _classify_tensors(servable, signature)
    count, values = _run_examples(servable, names, request.input, timeout, allowance)
    _fill_classes(response.result, signature, count, values)
    fill_spec(response.model_spec, servable, request.model_spec.signature_name)


def regress(servable, request, response, timeout=None, allowance=UNLIMITED):
    """Answers a RegressionRequest."""
    signature = _example_signature(servable, request.model_spec.signature_name)
    names = _regress_tensors(servable, signature)
    count, values = _run_examples(servable, names, request.input, timeout, allowance)
    _fill_regressions(response.result, signature, count, values)
    fill_spec(response.model_spec, servable, request.model_spec.signature_name)


def multi_inference(servable, request, response, timeout=None, allowance=UNLIMITED):
    """Answers a MultiInferenceRequest: its tasks share the examples and one run."""
    plans, seen, shared = [], set(), None
    for task in request.tasks:
        if not task.model_spec.name:
            raise ServingError(_INVALID, "Found ModelSpec with an empty model name.")
        if task.model_spec.name != servable.name:
            raise ServingError(_INVALID, "All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        name = task.model_spec.signature_name or DEFAULT_SIGNATURE
        if name in seen:
            raise ServingError(_INVALID, f"Duplicate evaluation of signature: {name}")
        seen.add(name)
        if name not in servable.signatures:
            raise ServingError(_INVALID, f"Requested signature not found in model graph: {name}")
        signature = servable.signatures[name]
        if task.method_name == CLASSIFY:
            plan, fill = _classify_tensors(servable, signature), _fill_classes
        elif task.method_name == REGRESS:
            plan, fill = _regress_tensors(servable, signature), _fill_regressions
        else:
            raise ServingError(grpc.StatusCode.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}")
        if shared not in (None, plan[0]):
            raise ServingError(_INVALID, "Input tensor must be the same for all Signatures.")
        shared = plan[0]
        plans.append((task, signature, fill, plan))
    fetches = sorted({name for *_, (_, outputs) in plans for name in outputs})
    count, values = _run_examples(servable, (shared, fetches), request.input, timeout, allowance)
    for task, signature, fill, _ in plans:
        result = response.results.add()
        fill(result.classification_result if fill is _fill_classes else result.regression_result, signature, count, values)
        fill_spec(result.model_spec, servable, task.model_spec.signature_name)


def _example_signature(servable, name):
    name = name or DEFAULT_SIGNATURE
    if name not in servable.signatures:
        raise ServingError(_INVALID, f"No signature was found with the name: {name}")
    return servable.signatures[name]


def _classify_tensors(servable, signature):
    """(input tensor, output tensors) of a classification signature."""
    if len(signature.inputs) != 1:
        raise ServingError(_INVALID, "Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise ServingError(_INVALID, f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if "inputs" not in signature.inputs:
        raise ServingError(_PRECONDITION, f"No classification inputs found in SignatureDef: {signature}")
    outputs = [signature.outputs[name] for name in ("classes", "scores") if name in signature.outputs]
    if not outputs:
        raise ServingError(_PRECONDITION, "Expected classification signature outputs to contain at least one of "
                           f'"classes" or "scores". Signature was: {signature}')  # fmt: skip
    return servable.tensor(signature.inputs["inputs"]), [servable.tensor(info).name for info in outputs]


def _regress_tensors(servable, signature):
    """(input tensor, [output tensor]) of a regression signature."""
    for what, found in (("input", signature.inputs), ("output", signature.outputs)):
        if len(found) != 1:
            raise ServingError(_INVALID, f"Expected one {what} Tensor.")
        if what + "s" not in found:
            raise ServingError(_PRECONDITION, f"No regression {what}s found in SignatureDef: {signature}")
    return servable.tensor(signature.inputs["inputs"]), [servable.tensor(signature.outputs["outputs"]).name]


def _run_examples(servable, names, proto, timeout, allowance):
    """Runs the examples of an Input proto: (number of examples, {output tensor: ndarray})."""
    input_tensor, fetches = names
    kind = proto.WhichOneof("kind")
    examples = getattr(proto, kind).examples if kind else []
    if not examples:
        raise ServingError(_INVALID, "Input is empty.")
    # Concatenated serialized messages are merged when they are parsed: the context's features, then the example's own.
    context = proto.example_list_with_context.context.SerializeToString() if kind == "example_list_with_context" else b""
    allowance.reserve(len(examples) * len(context) + proto.ByteSize())
    serialized = np.empty(len(examples), object)
    serialized[:] = [context + example.SerializeToString() for example in examples]
    outputs = servable.execute({input_tensor.name: _checked(serialized, "inputs", input_tensor)}, fetches, timeout)
    return len(examples), dict(zip(fetches, outputs, strict=True))


def _fill_classes(result, signature, count, values):
    found = {}
    for name, dtype, label in (("classes", np.dtype(object), "DT_STRING"), ("scores", np.dtype(np.float32), "DT_FLOAT")):
        if name in signature.outputs:
            array = found[name] = values[signature.outputs[name].name]
            if array.ndim != 2:
                raise ServingError(_INVALID, f"Expected Tensor shape: [batch_size num_classes] but got {_shape(array)}")
            if array.dtype != dtype:
                raise ServingError(_INVALID, f"Expected {name} Tensor of {label}. Got: {_type(array)}")
            if len(array) != count:
                raise ServingError(_INVALID, f"Expected {name} output batch size of {count}. Got: {len(array)}")
    widths = sorted({array.shape[1] for array in found.values()})
    if len(widths) != 1:
        raise ServingError(_INVALID, f"Tensors class and score should match in dim_size(1). Got {widths}")
    for i in range(count):
        classes = result.classifications.add().classes
        for j in range(widths[0]):
            made = classes.add()
            if "classes" in found:
                made.label = found["classes"][i, j].decode("utf-8", "replace")  # protobuf refuses other bytes
            if "scores" in found:
                made.score = found["scores"][i, j]


def _fill_regressions(result, signature, count, values):
    array = values[signature.outputs["outputs"].name]
    if array.ndim != 1 and not (array.ndim == 2 and array.shape[1] == 1):
        raise ServingError(_INVALID, "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
                           f"{_shape(array)}")  # fmt: skip
    if len(array) != count:
        raise ServingError(_INVALID, f"Input batch size did not match output batch size: {count} vs. {len(array)}")
    if array.dtype != np.float32:
        raise ServingError(_INVALID, f"Expected output Tensor of DT_FLOAT.  Got: {_type(array)}")
    for value in array.ravel().tolist():
        result.regressions.add(value=value)


def _shape(array):
    return f"[{','.join(map(str, array.shape))}]"


def _type(array):
    return (
        "DT_STRING"
        if array.dtype == object
        else f"DT_{tensors.dtype_name(tf.as_dtype(array.dtype).as_datatype_enum).upper()}"
    )


# ---- warm-up


def warm_up(servable):
    """Runs the version's recorded requests and returns their number. Results are dropped; errors are raised.

    Raises:
        ServingError: a record cannot be read, has an unsupported type, or its request fails.
    """
    path = f"{str(servable.path).rstrip('/')}/{WARMUP_FILE}"
    if not tf.io.gfile.exists(path):
        return 0
    count = 0
    try:
        for record in tf.compat.v1.io.tf_record_iterator(path):
            log = prediction_log_pb2.PredictionLog()
            try:
                log.ParseFromString(record)
            except Exception as error:  # DecodeError; its module depends on the protobuf release
                shown = record[:100].decode("utf-8", "replace")
                raise ServingError(_INVALID, f"Failed to parse warmup record: {shown} from {path}") from error
            _replay(servable, log)
            count += 1
            if count > MAX_WARMUP_RECORDS:
                raise ServingError(
                    _INVALID, f"Number of warmup records exceeds the maximum ({MAX_WARMUP_RECORDS}) at {path}"
                )
    except tf.errors.DataLossError as error:
        raise ServingError(grpc.StatusCode.DATA_LOSS, f"{error.message}. Please verify your warmup data is in TFRecord "
                           "format.") from error  # fmt: skip
    return count


def _replay(servable, log):
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        predict_proto(servable, log.predict_log.request, predict_pb2.PredictResponse())
    elif kind == "classify_log":
        classify(servable, log.classify_log.request, classification_pb2.ClassificationResponse())
    elif kind == "regress_log":
        regress(servable, log.regress_log.request, regression_pb2.RegressionResponse())
    elif kind == "multi_inference_log":
        multi_inference(servable, log.multi_inference_log.request, inference_pb2.MultiInferenceResponse())
    else:
        name = prediction_log_pb2.PredictionLog.DESCRIPTOR.fields_by_name[kind].number if kind else 0
        raise ServingError(grpc.StatusCode.UNIMPLEMENTED, f"Unsupported log_type for warmup: {name}")
