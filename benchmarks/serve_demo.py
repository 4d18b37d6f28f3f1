"""Serves the demo's pushed models: answers equal those in process, and clients see no error during a second push.

    python -m benchmarks.serve_demo --out benchmarks/reproduce/serve_demo.json

Runs the demo pipeline (VAE and DCGAN on the digits) and times it; starts `tfgen serve` with the pushed models; compares gRPC
(the official stubs) and REST (plain HTTP) with the SavedModel in this process. Then the pipeline runs again with another
seed and pushes other models, while 16 clients keep sending requests.
"""

import argparse
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from benchmarks.record import report
from tfgen_pipelines import local

SEEDS = list(range(14)) + [2**31, 5 * 2**32 + 3]
MODELS = {"vae": "vae-digits", "dcgan": "dcgan-digits"}
CLIENTS = 16
GATES = {"failed": ("<=", 0), "torn": ("<=", 0), "versions_that_answered": (">=", 2)}


def predict(stub, name):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = name, "sample"
    request.inputs["seeds"].CopyFrom(tf.make_tensor_proto(SEEDS, tf.int64))
    reply = stub.Predict(request, timeout=60.0)
    return reply.model_spec.version.value, tf.make_ndarray(reply.outputs["image"])


def in_process(pushed):
    """{version: images of SEEDS} of all versions under a folder."""
    images = {}
    for version in pushed.iterdir():
        sample = tf.saved_model.load(str(version)).signatures["sample"]
        images[int(version.name)] = sample(seeds=tf.constant(SEEDS, tf.int64))["image"].numpy()
    return images


def over_rest(port, name):
    body = json.dumps({"signature_name": "sample", "inputs": {"seeds": SEEDS}}).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models/{name}:predict", body, timeout=60) as reply:
        return np.array(json.load(reply)["outputs"], "float32")


def demo(workspace, seed, steps):
    started = time.perf_counter()
    result = local.run(workspace=workspace, seed=seed, steps=steps, out=sys.stderr)
    if result["exit_code"] != local.EXIT_OK:
        raise SystemExit(
            f"The demo with seed {seed} ended with exit code {result['exit_code']}; see {workspace}/pipeline.log."
        )
    return time.perf_counter() - started


def free_ports(n):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def hammer(port, name, stop, seen, errors):
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        while not stop.is_set():
            try:
                seen.append((name, *predict(stub, name)))
            except grpc.RpcError as error:
                errors.append(f"{name}: {error}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=pathlib.Path, help="of the pipeline (default: a temporary folder)")
    parser.add_argument("--out", default="benchmarks/reproduce/serve_demo.json")
    parser.add_argument("--steps", type=int, help="training steps (default: the presets')")
    args = parser.parse_args()
    started = time.perf_counter()
    workspace = (args.workspace or pathlib.Path(tempfile.mkdtemp(prefix="served-demo-"))).resolve()
    seconds = {"first": demo(workspace, 0, args.steps), "unchanged": demo(workspace, 0, args.steps)}
    pushed = {name: workspace / "pushed" / slug for name, slug in MODELS.items()}

    config = workspace / "models.config"
    entries = [f'config {{ name: "{n}" base_path: "{p}" model_platform: "tensorflow" }}' for n, p in pushed.items()]
    config.write_text("model_config_list { " + " ".join(entries) + " }\n")
    grpc_port, rest_port = free_ports(2)
    server = subprocess.Popen(
        [pathlib.Path(sys.executable).with_name("tfgen"), "serve", f"--model_config_file={config}", f"--port={grpc_port}",
         f"--rest_api_port={rest_port}", "--file_system_poll_wait_seconds=1"],
    )  # fmt: skip
    stop, seen, errors, threads = threading.Event(), [], [], []
    try:
        with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
            grpc.channel_ready_future(channel).result(timeout=120)
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            for name in MODELS:
                ((version, expected),) = in_process(pushed[name]).items()
                answered, images = predict(stub, name)
                if answered != version or not np.array_equal(images, expected):
                    raise SystemExit(f"{name}: gRPC's images are not those in process.")
                if not np.array_equal(over_rest(rest_port, name), expected):
                    raise SystemExit(f"{name}: REST's images are not those in process.")
        threads = [
            threading.Thread(target=hammer, args=(grpc_port, list(MODELS)[i % 2], stop, seen, errors))
            for i in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        seconds["second_push_under_load"] = demo(workspace, 1, args.steps)
        newest = {name: max(int(v.name) for v in folder.iterdir()) for name, folder in pushed.items()}
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not all((n, v) in {s[:2] for s in seen[-64:]} for n, v in newest.items()):
            time.sleep(0.5)
        time.sleep(3)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        server.terminate()
        server.wait(60)
    expected = {name: in_process(folder) for name, folder in pushed.items()}
    torn = sum(not np.array_equal(images, expected[name][version]) for name, version, images in seen)
    counts = {name: {} for name in MODELS}
    for name, version, _ in seen:
        counts[name][version] = counts[name].get(version, 0) + 1
    results = {
        "demo_seconds": seconds, "equal_over_grpc_and_rest": True, "clients": CLIENTS, "requests": len(seen),
        "failed": len(errors), "torn": torn, "answers_by_version": counts, "first_error": errors[0] if errors else None,
    }  # fmt: skip
    results["versions_that_answered"] = min(len(count) for count in counts.values())
    written = report(
        args.out, "benchmarks.serve_demo", seed=0, protocol=" ".join(__doc__.split()),
        seconds=time.perf_counter() - started, results=results, gates=GATES,
    )  # fmt: skip
    if not all(written["passed"].values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
