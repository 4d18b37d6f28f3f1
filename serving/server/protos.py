"""Messages that tensorflow-serving-api lacks, made in a separate descriptor pool.

Names and numbers of the fields are those of session_bundle_config.proto, monitoring_config.proto, ssl_config.proto (only
their text form is used) and of grpc/health/v1/health.proto.
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

_TYPES = descriptor_pb2.FieldDescriptorProto
_ONE, _MANY = _TYPES.LABEL_OPTIONAL, _TYPES.LABEL_REPEATED
_WRAPPERS = ".google.protobuf."
_FIELDS = {
    "BatchingParameters": [
        ("max_batch_size", _WRAPPERS + "Int64Value", _ONE),
        ("batch_timeout_micros", _WRAPPERS + "Int64Value", _ONE),
        ("max_enqueued_batches", _WRAPPERS + "Int64Value", _ONE),
        ("num_batch_threads", _WRAPPERS + "Int64Value", _ONE),
        ("thread_pool_name", _WRAPPERS + "StringValue", _ONE),
        ("allowed_batch_sizes", _TYPES.TYPE_INT64, _MANY),
        ("pad_variable_length_inputs", _TYPES.TYPE_BOOL, _ONE),
        ("enable_large_batch_splitting", _WRAPPERS + "BoolValue", _ONE),
    ],
    "PrometheusConfig": [("enable", _TYPES.TYPE_BOOL, _ONE), ("path", _TYPES.TYPE_STRING, _ONE)],
    "MonitoringConfig": [("prometheus_config", ".tensorflow.serving.PrometheusConfig", _ONE)],
    "SSLConfig": [
        ("server_key", _TYPES.TYPE_STRING, _ONE),
        ("server_cert", _TYPES.TYPE_STRING, _ONE),
        ("custom_ca", _TYPES.TYPE_STRING, _ONE),
        ("client_verify", _TYPES.TYPE_BOOL, _ONE),
    ],
    "HealthCheckRequest": [("service", _TYPES.TYPE_STRING, _ONE)],
    "HealthCheckResponse": [("status", _TYPES.TYPE_INT32, _ONE)],  # an enum has the same bytes; SERVING is 1
}


def _messages():
    file = descriptor_pb2.FileDescriptorProto(
        name="tfgen/serving.proto", package="tensorflow.serving", syntax="proto3", dependency=[wrappers_pb2.DESCRIPTOR.name]
    )
    for name, fields in _FIELDS.items():
        proto = file.message_type.add(name=name)
        for number, (field, kind, label) in enumerate(fields, 1):
            made = proto.field.add(name=field, number=number, label=label)
            if isinstance(kind, str):
                made.type, made.type_name = _TYPES.TYPE_MESSAGE, kind
            else:
                made.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    if hasattr(message_factory, "GetMessageClass"):
        make = message_factory.GetMessageClass
    else:  # protobuf 3
        make = message_factory.MessageFactory(pool).GetPrototype
    return {name: make(pool.FindMessageTypeByName(f"tensorflow.serving.{name}")) for name in _FIELDS}


_MESSAGES = _messages()
BatchingParameters, MonitoringConfig = _MESSAGES["BatchingParameters"], _MESSAGES["MonitoringConfig"]
SSLConfig = _MESSAGES["SSLConfig"]
HealthCheckRequest, HealthCheckResponse = _MESSAGES["HealthCheckRequest"], _MESSAGES["HealthCheckResponse"]
