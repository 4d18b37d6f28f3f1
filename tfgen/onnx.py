"""Exports a signature of a trained model as an ONNX file, which runs without TensorFlow and without tfgen.

The random numbers of `tfgen.random` are made by operations on integers, which ONNX has too: a seed gives the same image.

Normal numbers: M. Giles, "Approximating the erfinv function", GPU Computing Gems Jade Edition, 2011, in single precision.
"""

import json
import logging
import math
import os
import pathlib
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tfgen import card, settings
from tfgen.export import metadata_of, weights_to_export
from tfgen.files import write_whole
from tfgen.settings import Text, did_you_mean
from tfgen.warmup import FREE_SIDE

OPSET = 18  # the first with operations on bits
TOLERANCE = 1e-3  # of the results; of numbers above 1, relative to them

# Of the centre and of the tails; that of the highest power comes first.
_CENTRE = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 2.1858087e-04, -1.25372503e-03, -4.17768164e-03,
           0.246640727, 1.50140941)  # fmt: skip
_TAILS = (-2.00214257e-04, 1.00950558e-04, 1.34934322e-03, -3.67342844e-03, 5.73950773e-03, -7.6224613e-03, 9.43887047e-03,
          1.00167406, 2.83297682)  # fmt: skip


def export_onnx(
    model: keras.Model, path: Text | os.PathLike, signature: Text | None = None, *, use_ema: bool = True,
    class_names: Sequence[str] | None = None, metadata: dict | None = None,
) -> pathlib.Path:  # fmt: skip
    """Writes one signature of `model.signatures()` as an ONNX file, after its results were compared with TensorFlow's.

    Inputs and outputs are named as in the signature, and the batch dimension is free. Names in an ONNX file are unique: an
    output that is named like an input has `_out` added, so `reconstruct` takes `image` and returns `image_out`. ONNX has no
    assertions, so the file does not check its inputs. Its `metadata_props` are the entries of `assets.extra/tfgen.json` (see
    `export_saved_model`), those that are no text as JSON; `signature`, its name; and `signatures`, its inputs and outputs as
    in the card (see `tfgen.card`).

    Args:
        model: a `TrainableModel`.
        path: the file to write; a file that is there is replaced.
        signature: its name; None: that of the model's first capability, such as `sample` or `translate`.
        use_ema: export the averaged weights if the model has them.
        class_names: as in `export_saved_model`.
        metadata: dict that is stored with the model's own metadata.

    Returns:
        `pathlib.Path` of the file.

    Raises:
        ImportError: the extra [onnx] is not installed.
        ValueError: the model has no such signature, or it cannot be converted; the message says why.
        FloatingPointError: a weight is not finite; nothing is written.
    """
    settings.check(
        export_onnx, path=path, signature=signature, use_ema=use_ema, class_names=class_names, metadata=metadata
    )  # fmt: skip
    onnx = _packages()[0]
    signatures = model.signatures()
    name = model.capabilities()[0].SIGNATURE if signature is None else signature
    what = f"signature {name!r} of {type(model).__name__}"
    if name not in signatures:
        raise ValueError(
            f"There is no {what}; it has {', '.join(sorted(signatures))}.{did_you_mean(name, signatures)}"
        )
    function, specs = signatures[name]
    specs = {key: tf.TensorSpec(spec.shape, spec.dtype, name=key) for key, spec in specs.items()}

    def of_tensors(*given):
        outputs = function(**dict(zip(specs, given, strict=True)))
        return {f"{key}_out" if key in specs else key: tensor for key, tensor in outputs.items()}

    content = card.card(model, class_names)
    with weights_to_export(model, path, use_ema) as ema:
        compute = tf.function(of_tensors, jit_compile=False, autograph=False)  # as for a SavedModel
        traced = compute.get_concrete_function(*specs.values())
        outputs = traced.structured_outputs
        file = _converted(what, compute, specs, outputs)
        _compare(what, traced, specs, file)
        described = card.signatures_of(model, {name: (specs, outputs)}, content["classes"])
        entries = {**metadata_of(model, content, ema, metadata or {}), "signature": name, "signatures": described}
    texts = {key: value if isinstance(value, str) else json.dumps(value, default=str) for key, value in entries.items()}
    onnx.helper.set_model_props(file, texts)
    path = pathlib.Path(path)
    write_whole(path, file.SerializeToString())
    return path


def _packages():
    try:
        import onnx
        import onnxruntime
        import tf2onnx
    except ImportError as error:
        raise ImportError(f"ONNX files need the package {error.name}: install tfgen[onnx].") from error
    return onnx, onnxruntime, tf2onnx


def _converted(what, compute, specs, outputs):
    """The `onnx.ModelProto`; ValueError if an operation has no counterpart."""
    onnx, _, tf2onnx = _packages()
    texts = [name for name, tensor in (*specs.items(), *outputs.items()) if tensor.dtype == tf.string]
    if texts:
        raise ValueError(
            f"The {what} cannot be converted to ONNX, which has no operations that read or write texts and files: "
            f"{', '.join(texts)} holds bytes. Other signatures compute the same with numbers."
        )
    # tf2onnx logs its errors, leaves the operation as it is, and goes on.
    failures, logger = _Failures(), logging.getLogger("tf2onnx")
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(failures)
    try:
        file, _ = tf2onnx.convert.from_function(
            compute, list(specs.values()), opset=OPSET, custom_op_handlers=_handlers()
        )  # fmt: skip
    finally:
        logger.removeHandler(failures)
        logger.propagate = propagated
    left = sorted({node.op_type for node in _nodes(file.graph) if not onnx.defs.has(node.op_type, node.domain)})
    if left or failures.texts:
        raise ValueError(
            f"The {what} cannot be converted to ONNX. Operations of TensorFlow without a counterpart: "
            f"{', '.join(left) or 'none'}.{' Errors: ' * bool(failures.texts)}{'; '.join(failures.texts)}"
        )
    for value in (*file.graph.input, *file.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    return file


class _Failures(logging.Handler):
    """Keeps the texts of errors that were caught."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.texts = []

    def emit(self, record):
        if record.exc_info:
            self.texts.append(" ".join(str(record.exc_info[1]).split()))


def _nodes(graph):
    """All nodes, with those in loops and conditions."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _compare(what, traced, specs, file):
    """Runs two rows in TensorFlow and in ONNX Runtime; ValueError unless the results agree."""
    onnxruntime = _packages()[1]
    rng = np.random.default_rng(0)

    def rows(name, spec):
        shape = [2, *(size or FREE_SIDE for size in spec.shape[1:])]
        values = rng.random(shape) if spec.dtype.is_floating else np.zeros(shape)  # 0 is a valid class, level, ...
        return (np.arange(2) if name == "seeds" else values).astype(spec.dtype.as_numpy_dtype)

    request = {name: rows(name, spec) for name, spec in specs.items()}
    try:
        wanted = traced(*map(tf.constant, request.values()))
    except tf.errors.InvalidArgumentError:  # from a model of images that are 0 or 1
        request = {name: np.round(values) for name, values in request.items()}
        wanted = traced(*map(tf.constant, request.values()))
    wanted = {name: tensor.numpy() for name, tensor in wanted.items()}
    try:
        session = onnxruntime.InferenceSession(file.SerializeToString(), providers=["CPUExecutionProvider"])
        found = dict(zip(wanted, session.run(list(wanted), request), strict=True))
    except Exception as error:  # ONNX Runtime's own types, which have no public base
        raise ValueError(f"The {what} was converted to ONNX, but ONNX Runtime cannot run it: {error}") from error
    for name, numbers in wanted.items():
        if numbers.shape != found[name].shape:
            raise ValueError(
                f"The {what} cannot be converted to ONNX: {name} must have the shape {numbers.shape}; the file returns "
                f"{found[name].shape}."
            )
        far = np.max(np.abs(found[name] - numbers) / np.maximum(np.abs(numbers), 1.0))
        if not far <= TOLERANCE:
            raise ValueError(
                f"The {what} cannot be converted to ONNX: {name} must differ from TensorFlow's by at most {TOLERANCE}; it "
                f"differs by {far:.2g}."
            )


def _handlers():
    """{operation of TensorFlow: (handler, [operation of ONNX])} where tf2onnx has none, or none for uint64."""
    types = _packages()[0].TensorProto

    def bitcast(graph, node, *_):
        kinds = [graph.get_dtype(node.input[0]), graph.get_dtype(node.output[0])]
        if sorted(kinds) == sorted((types.INT64, types.UINT64)):  # a cast keeps the bits
            _replace(graph, node, lambda make, x: make("Cast", x, to=kinds[1]))
        else:
            raise ValueError(f"Bitcast of the types {kinds}")

    def in_integers(kind):
        def handler(graph, node, *_):
            # ONNX Runtime has the arithmetic of int64 alone, which gives the same bits.
            if graph.get_dtype(node.output[0]) == types.UINT64:
                _replace(graph, node, build)

        def build(make, *inputs):
            return make("Cast", make(kind, *(make("Cast", x, to=types.INT64) for x in inputs)), to=types.UINT64)

        return handler, [kind]

    def replaced_by(build):
        return lambda graph, node, *_: _replace(graph, node, build), []

    return {
        "Add": in_integers("Add"), "AddV2": in_integers("Add"), "Sub": in_integers("Sub"), "Mul": in_integers("Mul"),
        "Bitcast": (bitcast, []),
        "Expm1": replaced_by(lambda make, x: make("Sub", make("Exp", x), 1.0)),
        "Log1p": replaced_by(_log1p),
        "MulNoNan": replaced_by(lambda make, x, y: make("Where", make("Equal", y, 0.0), 0.0, make("Mul", x, y))),
        "Ndtri": replaced_by(_ndtri),
    }  # fmt: skip


def _replace(graph, node, build):
    """Puts the operations that `build(make, *inputs)` makes into the place of a node; numbers among inputs are float32."""
    import tf2onnx

    inputs, output = list(node.input), node.output[0]
    shape, dtype = graph.get_shape(output), graph.get_dtype(output)

    def make(kind, *inputs, **attributes):
        names = [
            x if isinstance(x, str) else graph.make_const(tf2onnx.utils.make_name("number"), np.float32(x)).output[0]
            for x in inputs
        ]
        return graph.make_node(kind, names, attr=attributes).output[0]

    graph.remove_node(node.name)
    graph.make_node("Identity", [build(make, *inputs)], outputs=[output], name=node.name, shapes=[shape], dtypes=[dtype])


def _log1p(make, x):
    """log(u) x / (u - 1) with u = 1 + x as rounded, or x where u is 1: exact for small x too."""
    u = make("Add", 1.0, x)
    quotient = make("Div", make("Mul", make("Log", u), x), make("Sub", u, 1.0))
    return make("Where", make("Equal", u, 1.0), x, quotient)


def _ndtri(make, p):
    """sqrt(2) erfinv(2 p - 1)"""

    def polynomial(coefficients, x):
        value = coefficients[0]
        for coefficient in coefficients[1:]:
            value = make("Add", make("Mul", value, x), coefficient)
        return value

    x = make("Sub", make("Mul", p, 2.0), 1.0)
    w = make("Neg", make("Log", make("Mul", make("Sub", 1.0, x), make("Add", 1.0, x))))
    centre = polynomial(_CENTRE, make("Sub", w, 2.5))
    tails = polynomial(_TAILS, make("Sub", make("Sqrt", w), 3.0))
    return make("Mul", make("Mul", make("Where", make("Less", w, 5.0), centre, tails), x), math.sqrt(2.0))
