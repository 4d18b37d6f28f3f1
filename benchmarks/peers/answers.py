"""The loop of a PyTorch peer that answers questions, see `benchmarks.peers`."""

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
        ways: names of the ways.
    """
    # Output of libraries must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    torch.set_flush_denormal(True)  # as in TensorFlow

    def say(**answer):
        print(json.dumps(answer), file=answers, flush=True)

    prepared = {}
    say(library=f"torch {torch.__version__}", python=sys.version.split()[0], threads=torch.get_num_threads(), ways=ways)
    for line in sys.stdin:
        question = json.loads(line)
        way = question["way"]
        try:
            if way not in prepared:
                prepared[way] = prepare(way)
            step, facts = prepared[way]
            started = time.perf_counter()
            for _ in range(question["steps"]):
                step()
            say(seconds=time.perf_counter() - started, **facts)
        except Exception as error:  # any exception: a missing compiler must not stop the other ways
            traceback.print_exc()
            say(error=f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}")
