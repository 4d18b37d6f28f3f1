"""The messages of TensorFlow Serving that the client sends and reads, without the packages that define them.

Serialized messages depend only on the numbers and kinds of the fields (tensorflow/serving 2.16.1: predict.proto,
model.proto, get_model_metadata.proto; TensorFlow: tensor.proto, meta_graph.proto). A map is a list of entries with a key and
a value. The classes are in a separate pool, so they do not conflict with TensorFlow's.
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "tfgen_serving.client"
# {message: {field: (number, kind)}}; "*" is a repeated field.
_MESSAGES = {
    "Int64Value": {"value": (1, "int64")},
    "ModelSpec": {
        "name": (1, "string"), "version": (2, "Int64Value"), "signature_name": (3, "string"), "version_label": (4, "string"),
    },
    "Dim": {"size": (1, "int64")},
    "Shape": {"dim": (2, "*Dim"), "unknown_rank": (3, "bool")},
    "Tensor": {
        "dtype": (1, "int32"), "tensor_shape": (2, "Shape"), "tensor_content": (4, "bytes"),
        # Packed numbers of fixed size are the array's bytes. Read as bytes they cost no Python object for each number.
        "float_val": (5, "*bytes"), "double_val": (6, "*bytes"), "scomplex_val": (9, "*bytes"),
        "dcomplex_val": (12, "*bytes"), "int_val": (7, "*int32"), "string_val": (8, "*bytes"), "int64_val": (10, "*int64"),
        "bool_val": (11, "*bool"), "half_val": (13, "*int32"), "uint32_val": (16, "*uint32"), "uint64_val": (17, "*uint64"),
    },
    "TensorEntry": {"key": (1, "string"), "value": (2, "Tensor")},
    "PredictRequest": {"model_spec": (1, "ModelSpec"), "inputs": (2, "*TensorEntry"), "output_filter": (3, "*string")},
    "PredictResponse": {"outputs": (1, "*TensorEntry"), "model_spec": (2, "ModelSpec")},
    "Any": {"type_url": (1, "string"), "value": (2, "bytes")},
    "AnyEntry": {"key": (1, "string"), "value": (2, "Any")},
    "MetadataRequest": {"model_spec": (1, "ModelSpec"), "metadata_field": (2, "*string")},
    "MetadataResponse": {"model_spec": (1, "ModelSpec"), "metadata": (2, "*AnyEntry")},
    "TensorInfo": {"dtype": (2, "int32"), "tensor_shape": (3, "Shape")},
    "InfoEntry": {"key": (1, "string"), "value": (2, "TensorInfo")},
    "Signature": {"inputs": (1, "*InfoEntry"), "outputs": (2, "*InfoEntry")},
    "SignatureEntry": {"key": (1, "string"), "value": (2, "Signature")},
    "SignatureMap": {"signature_def": (1, "*SignatureEntry")},
}  # fmt: skip


def _classes():
    proto = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            label = proto.LABEL_REPEATED if kind.startswith("*") else proto.LABEL_OPTIONAL
            kind = kind.removeprefix("*")
            made = message.field.add(name=field, number=number, label=label)
            if kind in _MESSAGES:
                made.type, made.type_name = proto.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            else:
                made.type = proto.Type.Value(f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    # protobuf before 4.22 has no GetMessageClass, and later versions no MessageFactory.
    make = getattr(message_factory, "GetMessageClass", None) or message_factory.MessageFactory(pool).GetPrototype
    return {name: make(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES}


_made = _classes()
ModelSpec = _made["ModelSpec"]
Tensor = _made["Tensor"]
PredictRequest = _made["PredictRequest"]
PredictResponse = _made["PredictResponse"]
MetadataRequest = _made["MetadataRequest"]
MetadataResponse = _made["MetadataResponse"]
SignatureMap = _made["SignatureMap"]
