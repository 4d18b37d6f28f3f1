"""Runs the metrics' walks over images as Beam pipelines: from shards of positions to one merged accumulator."""

import functools
import os
import pickle
import uuid

import apache_beam as beam
from apache_beam.utils import shared

from tfgen.progress import Progress
from tfgen_pipelines.combine import Combine

SHARD = 1024  # images; a multiple of the batch size, so that the batches are the same as in one process


class Remote:
    """A proxy of an object that every process opens itself: only the function that opens it is pickled.

    Attributes and methods are those of the object; it is opened once in a process, when the first of them is used.
    """

    def __init__(self, open_object, handle=None):
        self._open, self._handle, self._object = open_object, handle or shared.Shared(), None

    def __getattr__(self, name):
        if name.startswith("_"):  # copy and pickle look these up, also before __init__, which would recurse
            raise AttributeError(name)
        if self._object is None:
            self._object = self._handle.acquire(self._open)
        return getattr(self._object, name)

    def __reduce__(self):
        return Remote, (self._open, self._handle)


class ThroughBeam:
    """Runs walks like `tfgen.metrics.InProcess`, with the same results: those of one call in one Beam pipeline.

    Args:
        make_pipeline: function without arguments -> `beam.Pipeline`.
        scratch: folder that this process and the workers can access, for results.
        shard: images of a shard.
    """

    def __init__(self, make_pipeline, scratch, shard=SHARD):
        self.make_pipeline, self.scratch, self.shard = make_pipeline, str(scratch), shard

    def __call__(self, jobs):
        paths = [os.path.join(self.scratch, uuid.uuid4().hex) for _ in jobs]
        with self.make_pipeline() as pipeline:
            for i, (path, job) in enumerate(zip(paths, jobs, strict=True)):
                self._add(pipeline, path, *job, label=f"{i}: {job[2]}")
        _unpickled.cache_clear()
        return [_taken(path) for path in paths]

    def _add(self, pipeline, path, make, walk, what, label):
        # In a file: Beam compresses pickled objects many times, and the query images of `make` are megabytes.
        _keep(f"{path}.make", make)
        make = functools.partial(_made, f"{path}.make")
        (
            pipeline
            | f"Shards[{label}]" >> beam.Create(walk.shards(-(-walk.count // self.shard)))
            | f"Spread[{label}]" >> beam.Reshuffle()
            | f"Walk[{label}]" >> beam.FlatMap(_Followed(walk, what, path))
            | f"Combine[{label}]" >> beam.CombineGlobally(Combine(make)).without_defaults()
            | f"Keep[{label}]" >> beam.Map(functools.partial(_keep, path))
        )


def _taken(path):
    with open(path, "rb") as f:
        result = pickle.load(f)
    for name in (path, f"{path}.make"):
        os.remove(name)
    return result


class _Followed:
    """A walk that reports its progress: one line for all shards of a process."""

    def __init__(self, walk, what, path):
        self.walk, self.what, self.path = walk, what, path

    def __call__(self, bounds):
        progress = _progress(self.path, self.what, self.walk.count)
        for element in self.walk(bounds):
            yield element
            progress.add(len(element["ids"]))


@functools.lru_cache(maxsize=16)
def _progress(path, what, total):
    """That of the walk whose result goes to `path`."""
    return Progress(what, total)


@functools.lru_cache(maxsize=2)  # it may hold many images
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
