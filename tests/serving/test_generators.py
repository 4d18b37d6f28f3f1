"""Exported VAE and DCGAN over the wire: the images of the model in Python, also while a new version takes over."""

import base64
import json
import threading
import urllib.request

import grpc
import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tfgen.export import export_saved_model
from tfgen.models import DCGAN, VAE
from tfgen_serving.server import main

SEEDS = [0, 7, 3 * 2**32 + 1]
ARGS = {
    "vae": (VAE, {"image_shape": (8, 8, 1), "latent_dim": 3, "hidden": (16,)}),
    "dcgan": (DCGAN, {"image_shape": (8, 8, 1), "width": 8, "stages": 2, "latent_dim": 5}),
}


def export(name, base, seed):
    """Exports a model with the weights of `seed`; -> the images of SEEDS as the export makes them."""
    keras.utils.set_random_seed(seed)
    cls, args = ARGS[name]
    model = cls(**args)
    model.compile()
    path = export_saved_model(model, base)
    loaded = tf.saved_model.load(str(path)).signatures["sample"]
    images = loaded(seeds=tf.constant(SEEDS, tf.int64))["image"].numpy()
    np.testing.assert_allclose(images, model.generate(SEEDS), atol=1e-6)
    return images


def serve(base):
    flags = [
        "--port=0",
        "--rest_api_port=0",
        "--model_name=m",
        f"--model_base_path={base}",
        "--file_system_poll_wait_seconds=1",
    ]
    return main.start(flags)


def predict(stub, timeout=30.0):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "m", "sample"
    request.inputs["seeds"].CopyFrom(tf.make_tensor_proto(SEEDS, tf.int64))
    reply = stub.Predict(request, timeout=timeout)
    return reply.model_spec.version.value, tf.make_ndarray(reply.outputs["image"])


def rest(port, body):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/models/m:predict", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)


@pytest.mark.parametrize("name", sorted(ARGS))
def test_images_over_grpc_and_rest_equal_those_in_process(name, tmp_path):
    images = export(name, tmp_path, seed=1)
    server = serve(tmp_path)
    try:
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
            version, over_grpc = predict(prediction_service_pb2_grpc.PredictionServiceStub(channel))
        assert version == 1
        np.testing.assert_array_equal(over_grpc, images)
        over_rest = rest(server.rest_port, {"signature_name": "sample", "inputs": {"seeds": SEEDS}})["outputs"]
        np.testing.assert_array_equal(np.array(over_rest, "float32"), images)
        pictures = rest(server.rest_port, {"instances": SEEDS})["predictions"]
        decoded = [tf.io.decode_png(base64.b64decode(p["b64"])).numpy() for p in pictures]
        np.testing.assert_array_equal(decoded, np.round(images * 255).astype("uint8"))
    finally:
        server.stop(0)


@pytest.mark.long
def test_a_second_push_takes_over_under_sixteen_clients(tmp_path):
    versions = {1: export("dcgan", tmp_path, seed=1)}
    server = serve(tmp_path)
    seen, errors, stop = [], [], threading.Event()

    def client():
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            while not stop.is_set():
                try:
                    seen.append(predict(stub))
                except grpc.RpcError as error:
                    errors.append(error)
                    return

    threads = [threading.Thread(target=client) for _ in range(16)]
    try:
        for thread in threads:
            thread.start()
        versions[2] = export("dcgan", tmp_path, seed=2)
        assert np.abs(versions[1] - versions[2]).max() > 1e-4
        for _ in range(600):
            if errors or sum(version == 2 for version, _ in seen) > 200:
                break
            stop.wait(0.1)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        server.stop(0)
    assert not errors, f"{len(errors)} requests failed, first: {errors[0]}"
    assert {version for version, _ in seen} == {1, 2}
    for version, images in seen:
        np.testing.assert_array_equal(images, versions[version])
