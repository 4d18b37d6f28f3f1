"""The metrics' walks over images as Beam pipelines: shards of places in, one merged accumulator out."""

import functools
import os
import pickle
import uuid

import apache_beam as beam
from apache_beam.utils import shared

from tfgen_pipelines.combine import Combine

SHARD = 1024  # images; of whole batches, so that no image passes a network in another batch than in one process


class Remote:
    """An object that every process opens for itself: what is pickled is the function that opens it.

    Attributes and methods are those of the object; it is opened once in a process, when the first of them is used.
    """

    def __init__(self, open_object, handle=None):
        self._open, self._handle, self._object = open_object, handle or shared.Shared(), None

    def __getattr__(self, name):
        if name.startswith("_"):  # what copying and pickling look for; also ends a recursion on half-made objects
            raise AttributeError(name)
        if self._object is None:
            self._object = self._handle.acquire(self._open)
        return getattr(self._object, name)

    def __reduce__(self):
        return Remote, (self._open, self._handle)


class ThroughBeam:
    """Runs walks as `tfgen.metrics.InProcess` does, to the same numbers, each in a Beam pipeline of its own.

    Args:
        make_pipeline: function without arguments -> `beam.Pipeline`.
        scratch: folder that this process and the workers see; results pass through it.
        shard: images of a shard.
    """

    def __init__(self, make_pipeline, scratch, shard=SHARD):
        self.make_pipeline, self.scratch, self.shard = make_pipeline, str(scratch), shard

    def __call__(self, make, walk, what):
        path = os.path.join(self.scratch, uuid.uuid4().hex)
        # Through a file: Beam compresses what it pickles, many times over, and query images are megabytes.
        _keep(f"{path}.make", make)
        make = functools.partial(_made, f"{path}.make")
        with self.make_pipeline() as pipeline:
            (
                pipeline
                | f"Shards[{what}]" >> beam.Create(walk.shards(-(-walk.count // self.shard)))
                | f"Spread[{what}]" >> beam.Reshuffle()
                | f"Walk[{what}]" >> beam.FlatMap(walk)
                | f"Combine[{what}]" >> beam.CombineGlobally(Combine(make)).without_defaults()
                | f"Keep[{what}]" >> beam.Map(functools.partial(_keep, path))
            )
        with open(path, "rb") as f:
            result = pickle.load(f)
        for name in (path, f"{path}.make"):
            os.remove(name)
        return result


@functools.lru_cache(maxsize=1)
def _unpickled(path):
    with open(path, "rb") as f:
        return pickle.load(f)


def _made(path):
    return _unpickled(path)()


def _keep(path, result):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{path}.{uuid.uuid4().hex}"  # a bundle may run twice
    with open(temporary, "wb") as f:
        pickle.dump(result, f, protocol=pickle.HIGHEST_PROTOCOL)
    os.replace(temporary, path)
