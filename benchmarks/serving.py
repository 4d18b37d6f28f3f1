"""Overhead of `tfgen serve` over calling the model in the same process, and the effect of batching.

    python -m benchmarks.serving --out benchmarks/reproduce/serving.json

Two models answer 16 seeds with 16 images of 64x64x3: a DCGAN generator with random weights, and a model with almost no
computation, which shows the cost of the protocol. The server is a separate process on this machine; its CPU time, over all
threads, is read from the system and does not include the clients, which share the cores with it.
"""

import argparse
import concurrent.futures
import gc
import http.client
import json
import os
import pathlib
import tempfile
import time

import grpc
import keras
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

import tfgen
from benchmarks.record import report
from tfgen.export import export_saved_model
from tfgen_serving import conformance

BATCH, CLIENTS = 16, 16
SHAPE = (64, 64, 3)
TICK = os.sysconf("SC_CLK_TCK")
GATES = {"grpc_over_limit": ("<=", 1.0), "rest_over_model_cpu_ms": ("<=", 25.0)}
BATCHING = "max_batch_size { value: 32 } batch_timeout_micros { value: 1000 } num_batch_threads { value: 2 }\n"


def build_models(root):
    """{name: base path} of the two models, both with signature `sample`: seeds int64 [n] -> image float32 [n, 64, 64, 3]."""
    keras.utils.set_random_seed(0)
    model = tfgen.models.DCGAN(image_shape=SHAPE, width=32, stages=4)
    export_saved_model(model, root / "dcgan")

    def cheap(seeds):
        ramp = np.linspace(0.1, 0.9, np.prod(SHAPE), dtype=np.float32) / 3
        return {"image": tf.reshape(ramp + tf.cast(seeds % 2, tf.float32)[:, None], [-1, *SHAPE])}

    (root / "cheap").mkdir()
    conformance.write_model(root / "cheap" / "1", {"sample": ({"seeds": (tf.int64, [None])}, cheap)})
    return {name: root / name for name in ("dcgan", "cheap")}


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def summary(walls, cpu, seconds=None):
    """Statistics in milliseconds of a list of wall times and their CPU time."""
    p50, p99 = np.percentile(walls, [50, 99]) * 1e3
    found = {"cpu_ms": 1e3 * cpu / len(walls), "p50_ms": p50, "p99_ms": p99, "requests": len(walls)}
    return found | ({"requests_per_s": len(walls) / seconds} if seconds else {})


def timed(call, seconds, clock):
    """`summary` of repeated calls, after three calls to warm up."""
    for _ in range(3):
        call()
    walls, cpu, end = [], clock(), time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        call()
        walls.append(time.perf_counter() - started)
    return summary(walls, clock() - cpu)


def grpc_request(model, seeds):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = model, "sample"
    request.inputs["seeds"].CopyFrom(tf.make_tensor_proto(np.asarray(seeds, np.int64)))
    return request


def channel(port):
    options = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    return grpc.insecure_channel(f"127.0.0.1:{port}", options)


def rest_call(port, model):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    body = json.dumps({"signature_name": "sample", "instances": list(range(BATCH))})

    def call():
        connection.request("POST", f"/v1/models/{model}:predict", body)
        reply = connection.getresponse()
        data = reply.read()
        if reply.status != 200:
            raise RuntimeError(data[:500])
        return data

    return call


def measure_overhead(models, command_flags, rounds, seconds):
    """CPU and wall milliseconds of a request for 16 images in process, by gRPC and by REST; medians over interleaved
    rounds.
    """
    results = {}
    with conformance.Server(conformance.OWN_SERVER, command_flags) as server:
        pid = server.process.pid
        for name, path in models.items():
            function = tf.saved_model.load(str(path / "1")).signatures["sample"]
            seeds = tf.range(BATCH, dtype=tf.int64)
            with channel(server.grpc_port) as open_channel:
                stub = prediction_service_pb2_grpc.PredictionServiceStub(open_channel)
                request = grpc_request(name, range(BATCH))
                ways = {
                    "in_process": (lambda f=function, s=seeds: f(seeds=s)["image"].numpy(), time.process_time),
                    "grpc": (lambda s=stub, r=request: s.Predict(r), lambda: cpu_seconds(pid)),
                    "rest": (rest_call(server.rest_port, name), lambda: cpu_seconds(pid)),
                }
                image = ways["in_process"][0]()
                answered = np.array(ways["grpc"][0]().outputs["image"].float_val, np.float32).reshape(image.shape)
                np.testing.assert_array_equal(answered, image)
                np.testing.assert_array_equal(np.array(json.loads(ways["rest"][0]())["predictions"], np.float32), image)
                taken = [{way: timed(call, seconds, clock) for way, (call, clock) in ways.items()} for _ in range(rounds)]
            results[name] = {
                way: {key: float(np.median([one[way][key] for one in taken])) for key in taken[0][way]} for way in ways
            }
            base = results[name]["in_process"]["cpu_ms"]
            results[name]["grpc_limit_cpu_ms"] = 1.1 * base + 2
            results[name]["rest_over_model_cpu_ms"] = results[name]["rest"]["cpu_ms"] - base
    return results


def summed(results):
    """The results for the gates."""
    overhead, clients = results["overhead"].values(), results["clients_16"]
    return {
        "grpc_over_limit": max(one["grpc"]["cpu_ms"] / one["grpc_limit_cpu_ms"] for one in overhead),
        "rest_over_model_cpu_ms": max(one["rest_over_model_cpu_ms"] for one in overhead),
        "batching_gain": clients["with"]["requests_per_s"] / clients["without"]["requests_per_s"],
        "memory_growth_mib": results["memory"]["growth_mib"],
        "seconds_to_first_answer": results["start_to_first_answer"]["seconds"],
    }


def measure_clients(models, flags, rounds, seconds):
    """16 clients that each request one image of the DCGAN, with batching and without, in turns."""
    commands = {"without": flags, "with": [*flags, "--enable_batching", f"--batching_parameters_file={flags_file(models)}"]}
    taken = {way: [] for way in commands}
    servers = {way: conformance.Server(conformance.OWN_SERVER, words) for way, words in commands.items()}
    try:
        for _ in range(rounds):
            for way, server in servers.items():
                taken[way].append(hammer(server, seconds))
    finally:
        for server in servers.values():
            server.stop()
    return {way: {key: float(np.median([one[key] for one in found])) for key in found[0]} for way, found in taken.items()}


def flags_file(models):
    path = next(iter(models.values())).parent / "batching.config"
    path.write_text(BATCHING)
    return path


def hammer(server, seconds):
    def client(index, seconds):
        walls, end = [], time.perf_counter() + seconds
        with channel(server.grpc_port) as open_channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(open_channel)
            request = grpc_request("dcgan", [index])
            while time.perf_counter() < end:
                started = time.perf_counter()
                stub.Predict(request)
                walls.append(time.perf_counter() - started)
        return walls

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client, range(CLIENTS), [0.5] * CLIENTS))
        cpu, started = cpu_seconds(server.process.pid), time.perf_counter()
        walls = [wall for found in pool.map(client, range(CLIENTS), [seconds] * CLIENTS) for wall in found]
        seconds = time.perf_counter() - started
    return summary(walls, cpu_seconds(server.process.pid) - cpu, seconds)


def measure_memory(flags, requests):
    """Resident memory of the server in MiB after a tenth of the requests and after all; half gRPC, half REST, 16 images."""
    with conformance.Server(conformance.OWN_SERVER, flags) as server, channel(server.grpc_port) as open_channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(open_channel)
        request, ask = grpc_request("cheap", range(BATCH)), rest_call(server.rest_port, "cheap")
        at_start = conformance.resident_mib(server.process.pid)
        found = []
        for i in range(requests):
            stub.Predict(request) if i % 2 else ask()
            if (i + 1) % (requests // 10) == 0:
                found.append(conformance.resident_mib(server.process.pid))
        return {
            "mib_at_start": at_start,
            "mib_after_each_tenth": found,
            "growth_mib": found[-1] - found[0],
            "requests": requests,
        }


def measure_start(models, rounds):
    """Seconds from starting the process to the first answer of the DCGAN (16 images by REST)."""
    found = []
    for _ in range(rounds):
        started = time.perf_counter()
        with conformance.Server(
            conformance.OWN_SERVER, ["--model_name=dcgan", f"--model_base_path={models['dcgan']}"]
        ) as server:
            rest_call(server.rest_port, "dcgan")()
            found.append(time.perf_counter() - started)
    return {"seconds": float(np.median(found)), "each": found}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="per way and round")
    parser.add_argument("--requests", type=int, default=10_000, help="for memory")
    args = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        models = build_models(root)
        (root / "models.config").write_text(conformance.config_text(models))
        flags = [f"--model_config_file={root}/models.config"]
        gc.collect()
        results = {
            "overhead": measure_overhead(models, flags, args.rounds, args.seconds),
            "clients_16": measure_clients(models, flags, args.rounds, args.seconds),
            "memory": measure_memory(flags, args.requests),
            "start_to_first_answer": measure_start(models, args.rounds),
        }
    print(json.dumps(results, indent=2))
    report(
        args.out,
        "benchmarks.serving",
        seed=0,
        protocol={
            "batch": BATCH, "image_shape": SHAPE, "rounds": args.rounds, "seconds": args.seconds, "batching": BATCHING,
            "statistic": "median over interleaved rounds; cpu_ms is the server's CPU per request over all threads",
            "gates": "the larger number of both models; the limit of gRPC is 1.1 times the CPU time in process and 2 ms",
        },
        seconds=time.perf_counter() - started,
        results={**summed(results), **results},
        gates=GATES,
    )  # fmt: skip


if __name__ == "__main__":
    main()
