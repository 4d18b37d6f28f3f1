"""TensorFlow Serving's gRPC protocol."""

from tfgen_serving.errors import ServingError


class GrpcTransport:
    """Requests to one model, over gRPC.

    Args:
        target: "host:port".
        model: name of the model.
        headers: {name: value}, sent as metadata.
        credentials: `grpc.ChannelCredentials`, or None for plain text.

    Raises:
        ImportError: grpcio or protobuf is not installed.
    """

    def __init__(self, target, model, headers, credentials):
        try:
            import grpc

            from tfgen_serving.client import messages, tensors
        except ModuleNotFoundError as error:
            if error.name.partition(".")[0] not in ("grpc", "google"):
                raise
            raise ImportError(
                f"gRPC needs the packages grpcio and protobuf ({error}). Install them, or use REST: "
                "http://host:port, which needs the package httpx."
            ) from error
        self._grpc, self._messages, self._tensors = grpc, messages, tensors
        self.target, self._model = target, model
        self._headers = [(name.lower(), value) for name, value in headers.items()]
        options = [
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            # After a failed connection gRPC refuses calls for a second and more, doubled each time: longer than our pauses.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
        ]
        if credentials is None:
            self._channel = grpc.insecure_channel(target, options)
        else:
            self._channel = grpc.secure_channel(target, credentials, options)
        self._predict = self._method("Predict", messages.PredictRequest, messages.PredictResponse)
        self._metadata = self._method("GetModelMetadata", messages.MetadataRequest, messages.MetadataResponse)

    def close(self):
        self._channel.close()

    def predict(self, name, signature, outputs, inputs, version, seconds):
        """[ndarray] of the outputs of a signature.

        Args:
            signature: its description, see `signatures`.
            inputs: {name: ndarray of the signature's dtype}.
            version: int.
            seconds: deadline.
        """
        request = self._messages.PredictRequest(model_spec=self._spec({"version": version}), output_filter=outputs)
        request.model_spec.signature_name = name
        for key, array in inputs.items():
            request.inputs.add(key=key, value=self._tensors.to_proto(array, signature["inputs"][key]["dtype"]))
        found = {entry.key: entry.value for entry in self._run(self._predict, request, seconds).outputs}
        for output in outputs:
            if output not in found:
                message = f"The reply has no output {output!r}; it has {sorted(found)}"
                raise ServingError(self._grpc.StatusCode.INTERNAL, message)
        return [self._tensors.from_proto(found[output], output) for output in outputs]

    def metadata(self, choice, seconds):
        """(version, {signature name: description}) of the version that answers.

        Args:
            choice: {"version": int or None} or {"label": text}.
        """
        request = self._messages.MetadataRequest(model_spec=self._spec(choice), metadata_field=["signature_def"])
        reply = self._run(self._metadata, request, seconds)
        packed = {entry.key: entry.value.value for entry in reply.metadata}
        if "signature_def" not in packed:
            raise ServingError(self._grpc.StatusCode.INTERNAL, f"The metadata of {self.target} have no signatures")
        signatures = self._messages.SignatureMap.FromString(packed["signature_def"]).signature_def
        return reply.model_spec.version.value, {
            entry.key: {
                "inputs": {info.key: self._tensor(info.value) for info in entry.value.inputs},
                "outputs": {info.key: self._tensor(info.value) for info in entry.value.outputs},
            }
            for entry in signatures
        }

    def _tensor(self, info):
        shape = None if info.tensor_shape.unknown_rank else [None if d.size < 0 else d.size for d in info.tensor_shape.dim]
        return {"dtype": self._tensors.DTYPES.get(info.dtype, f"type {info.dtype}"), "shape": shape}

    def _spec(self, choice):
        spec = self._messages.ModelSpec(name=self._model)
        if choice.get("version") is not None:
            spec.version.value = choice["version"]
        elif choice.get("label") is not None:
            spec.version_label = choice["label"]
        return spec

    def _method(self, name, request, reply):
        path = f"/tensorflow.serving.PredictionService/{name}"
        return self._channel.unary_unary(path, request.SerializeToString, reply.FromString)

    def _run(self, method, request, seconds):
        try:
            return method(request, timeout=seconds, metadata=self._headers)
        except self._grpc.RpcError as error:
            raise ServingError(error.code(), error.details() or "") from error
