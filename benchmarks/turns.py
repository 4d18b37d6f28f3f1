"""Times several ways to do the same work in turns, so that other load slows all of them alike, and writes the record.

Ratios are medians over the rounds of the ratio within a round. Each way runs once before the first round.
"""

import argparse
import statistics
import time

import keras
import tensorflow as tf

from benchmarks.peers import Peer
from benchmarks.record import report

THREADS = 2  # threads of each library


class Turns:
    """The ways and their times; a way that fails is not run again, and its error is kept.

    Attributes:
        rounds: [{way: time}].
        errors: {way: error text}.
        peer: the peer's line about itself, or None.
        facts: {way of the peer: what else its last answer had}.
    """

    def __init__(self, doc, *, rounds, steps):
        self.parser = argparse.ArgumentParser(description=doc.splitlines()[0])
        self.parser.add_argument("--out", help="the record")
        self.parser.add_argument("--rounds", type=int, default=rounds)
        self.parser.add_argument("--steps", type=int, default=steps, help="of training in a round")
        self.parser.add_argument("--torch_python", default=".venv-torch/bin/python", help="of PyTorch's environment")
        self.runs, self.errors, self.rounds, self.peer, self.facts = {}, {}, [], None, {}

    def start(self, multiple_of=1):
        """Parses and checks the arguments (--steps must be a multiple of `multiple_of`), and starts the clock."""
        self.args = args = self.parser.parse_args()
        if args.rounds < 1 or args.steps < multiple_of or args.steps % multiple_of:
            self.parser.error(f"--rounds must be positive and --steps a multiple of {multiple_of}.")
        self.started = time.perf_counter()
        tf.config.threading.set_intra_op_parallelism_threads(THREADS)
        tf.config.threading.set_inter_op_parallelism_threads(THREADS)
        keras.utils.set_random_seed(0)
        return args

    def add(self, way, run, scale=1.0):
        """Adds a way: its time is the seconds of `run()` times `scale`; `run` may return the seconds itself, a float."""
        self.runs[way] = run, scale

    def add_peer(self, stack, script, questions=None, scale=1.0):
        """Adds ways "torch_<way>" of a peer (see `benchmarks.peers`), which runs until `stack` is closed.

        Args:
            script: file name in benchmarks/peers.
            questions: {way: (steps, scale)}; None: all ways of the peer, with --steps and `scale`.
        """
        try:
            peer = stack.enter_context(Peer(self.args.torch_python, script, THREADS))
        except RuntimeError as error:
            self.errors["torch"] = str(error)
            return
        self.peer = {key: value for key, value in peer.about.items() if key != "ways"}

        def asked(way, steps):
            def run():
                answer = peer.ask(way=way, steps=steps)
                if "error" in answer:
                    raise RuntimeError(answer["error"])
                seconds = float(answer.pop("seconds"))
                self.facts[f"torch_{way}"] = answer
                return seconds

            return run

        for way, (steps, factor) in (questions or {way: (self.args.steps, scale) for way in peer.about["ways"]}).items():
            self.add(f"torch_{way}", asked(way, steps), factor)

    def take(self, rounds=None):
        """Runs all ways `rounds` times (default --rounds), after one round to warm up."""
        rounds = rounds or self.args.rounds
        for i in range(rounds + 1):
            print(f"round {i} of {rounds}", flush=True)
            found = {}
            for way, (run, scale) in self.runs.items():
                if way in self.errors:
                    continue
                try:
                    started = time.perf_counter()
                    answer = run()
                    found[way] = scale * (answer if isinstance(answer, float) else time.perf_counter() - started)
                except (RuntimeError, ValueError, NotImplementedError, tf.errors.OpError) as error:
                    self.errors[way] = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
                print(f"  {way:32} {found.get(way, 'failed')}", flush=True)
            self.rounds += [found] if i else []

    def medians(self):
        """{way: median of its times}, without failed ways."""
        ways = dict.fromkeys(way for times in self.rounds for way in times)
        return {way: statistics.median(times[way] for times in self.rounds if way in times) for way in ways}

    def ratio(self, over, under):
        """Median ratio of the times of two ways, or None."""
        ratios = [times[over] / times[under] for times in self.rounds if over in times and under in times]
        return statistics.median(ratios) if ratios else None

    def best(self, ways):
        """The way with the smallest median, or None if none ran."""
        medians = self.medians()
        return min((way for way in ways if way in medians), key=medians.get, default=None)

    def report(self, module, results, gates, protocol):
        """Prints `results` with their `gates` (see `benchmarks.record.judged`), and writes the record to --out."""
        results = {**results, "errors": self.errors}
        protocol = {
            **protocol, "steps": self.args.steps, "rounds": len(self.rounds),
            "statistic": "median over rounds; ratios within a round",
            "threads": {"tensorflow_intra_op": THREADS, "tensorflow_inter_op": THREADS, "torch": THREADS},
        }  # fmt: skip
        seconds = time.perf_counter() - self.started
        report(
            self.args.out,
            module,
            seed=0,
            seconds=seconds,
            protocol=protocol,
            results=results,
            gates=gates,
            peer=self.peer,
        )
