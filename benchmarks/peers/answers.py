"""The loop of a PyTorch peer that answers questions, see `benchmarks.peers`."""

import contextlib
import json
import os
import sys
import time
import traceback

import torch


def answer(prepare, ways):
    """Answers questions until stdin ends.

    Args:
        prepare: function way -> (a function that runs one step, additional entries of its answers, which it may change);
            called at the first question about a way.
        ways: names of the ways. A question may add "@bfloat16" to one: its steps then run under `torch.autocast`.

    The environment variable PEER_DEVICE is the device of all tensors: cpu, if it is not set, or cuda.
    """
    # Output of libraries must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    torch.set_flush_denormal(True)  # as in TensorFlow

    device = os.environ.get("PEER_DEVICE", "cpu")
    torch.set_default_device(device)
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None

    def say(**answer):
        print(json.dumps(answer), file=answers, flush=True)

    prepared = {}
    say(library=f"torch {torch.__version__}", python=sys.version.split()[0], threads=torch.get_num_threads(), ways=ways,
        device=torch.cuda.get_device_name() if device == "cuda" else device)  # fmt: skip
    for line in sys.stdin:
        question = json.loads(line)
        way = question["way"]
        try:
            name, _, dtype = way.partition("@")
            if way not in prepared:
                prepared[way] = prepare(name)
            step, facts = prepared[way]
            wait()
            started = time.perf_counter()
            with torch.autocast(device, getattr(torch, dtype)) if dtype else contextlib.nullcontext():
                for _ in range(question["steps"]):
                    step()
            wait()
            say(seconds=time.perf_counter() - started, **facts)
        except Exception as error:  # any exception: a missing compiler must not stop the other ways
            traceback.print_exc()
            say(error=f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}")
