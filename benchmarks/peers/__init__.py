"""The same work in other libraries, timed in separate processes and environments.

A peer is a script that runs with the Python of an environment with its library. A benchmark asks it for one measurement at a
time, so that both sides run in turns:

    question (a line of JSON to its stdin)     {"way": "eager", "steps": 100}
    answer (a line of JSON from its stdout)    {"seconds": 5.1} or {"error": "why there is no number"}

Before the first question it prints a line about itself: {"library": "torch 2.13.0", "threads": 2, ...}.

The environment of PyTorch (the CPU build is enough) needs Python 3.10 or newer with its headers, since torch.compile builds
C++. git ignores it:

    python3.11 -m venv .venv-torch
    .venv-torch/bin/python -m pip install torch==2.13.0
"""

import json
import os
import pathlib
import subprocess

FOLDER = pathlib.Path(__file__).resolve().parent


class Peer:
    """One running peer; a context manager.

    Args:
        python: the interpreter of its environment.
        script: file name in this folder.
        threads: number of threads for its library.

    Raises:
        RuntimeError: the peer did not start; the message says why.
    """

    def __init__(self, python, script, threads):
        variables = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        try:
            self.process = subprocess.Popen(
                [str(python), str(FOLDER / script)], env={**os.environ, **variables}, text=True, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )  # fmt: skip
        except OSError as error:
            raise RuntimeError(f"{python} cannot be run ({error.strerror}): see benchmarks/peers/__init__.py.") from error
        self.about = self._answer()

    def ask(self, **question):
        """Sends a question and returns the answer, a dict."""
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(self.process.args)} ended with status {self.process.wait()}.")
        return json.loads(line)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.stdin.close()  # closing stdin ends the peer
        self.process.wait()
        self.process.stdout.close()
