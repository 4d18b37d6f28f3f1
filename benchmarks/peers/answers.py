"""What a peer in PyTorch does with the questions it is asked: see `benchmarks.peers`."""

import json
import os
import sys
import time
import traceback

import torch


def answer(prepare, ways):
    """Answers until there are no more questions.

    Args:
        prepare: way -> (a function that makes one step, further facts for its answers); called when a way is asked for the
            first time.
        ways: the names it knows.
    """
    # What a library prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    torch.set_flush_denormal(True)  # as TensorFlow has it

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
        except Exception as error:  # of any kind: a compiler that is missing must not end the other ways
            traceback.print_exc()
            say(error=f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}")
