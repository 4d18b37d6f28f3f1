"""Other libraries' code for the same work, timed in processes and environments of their own.

A peer is a script that is run by the Python of an environment that has its library, and of which a benchmark asks for one
measurement after the other, so that the rounds of both sides take turns:

    question (a line of JSON to its stdin)     {"way": "eager", "steps": 100}
    answer (a line of JSON from its stdout)    {"seconds": 5.1} or {"error": "why there is no number"}

Before the first question it says what it is, on a line of its own: {"library": "torch 2.13.0", "threads": 2, ...}.

PyTorch's environment (the CPU build will do), of any Python from 3.10 with its headers, since torch.compile builds C++; git
ignores it:

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
        threads: that its library may use.

    Raises:
        RuntimeError: it did not start; the message says why.
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
        """The answer, a dict."""
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
        self.process.stdin.close()  # the end of its questions
        self.process.wait()
        self.process.stdout.close()
