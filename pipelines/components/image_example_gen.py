"""ImageExampleGen: writes any data set of `tfgen.data` as tf.Examples with all fields and `id`, on Beam.

The examples are those of `tfgen.data.Source.example`: images are PNG or JPEG bytes, taken from the files if they need no
resizing.
"""

import functools
import json

import apache_beam as beam
from google.protobuf import struct_pb2
from tfx.components.example_gen import base_example_gen_executor
from tfx.components.example_gen.component import QueryBasedExampleGen
from tfx.dsl.components.base import executor_spec
from tfx.proto import example_gen_pb2
from tfx.types import standard_component_specs
from tfx.utils import proto_utils

from tfgen_pipelines import data as data_lib

EXAMPLES_PER_SHARD = 1000


@functools.lru_cache(maxsize=2)  # a worker opens a split once, not once for each shard
def _load(data_json, split):
    # Not in memory: each shard then reads only its own images.
    source = data_lib.load_split(json.loads(data_json), split, in_memory=False)
    source.check_ids()
    return source


class ReadShard(beam.DoFn):
    """(first, last) -> the examples with indices first <= i < last."""

    def __init__(self, data_json, split):
        self._data_json = data_json
        self._split = split

    def process(self, bounds):
        source = _load(self._data_json, self._split)
        for i in range(*bounds):
            yield source.example(i)


class Executor(base_example_gen_executor.BaseExampleGenExecutor):
    """Reads each split with `tfgen.data`, in shards."""

    def GetInputSourceToExamplePTransform(self):
        raise NotImplementedError("GenerateExamplesByBeam reads the splits itself.")

    def GenerateExamplesByBeam(self, pipeline, exec_properties):
        config = example_gen_pb2.CustomConfig()
        proto_utils.json_to_proto(exec_properties[standard_component_specs.CUSTOM_CONFIG_KEY], config)
        unpacked = struct_pb2.Struct()
        config.custom_config.Unpack(unpacked)
        data_json = unpacked["data"]
        input_config = example_gen_pb2.Input()
        proto_utils.json_to_proto(exec_properties[standard_component_specs.INPUT_CONFIG_KEY], input_config)
        _load.cache_clear()  # a second run in the same process must not use the first run's files
        splits = {}
        for split in input_config.splits:
            count = _load(data_json, split.pattern).num_examples
            shards = [(i, min(i + EXAMPLES_PER_SHARD, count)) for i in range(0, count, EXAMPLES_PER_SHARD)]
            splits[split.name] = (
                pipeline
                | f"Shards[{split.name}]" >> beam.Create(shards)
                | f"Read[{split.name}]" >> beam.ParDo(ReadShard(data_json, split.pattern))
            )
        return splits


class ImageExampleGen(QueryBasedExampleGen):
    """Outputs `examples` with the splits train and eval.

    Args:
        data: dict of `tfgen_pipelines.data.Data.config()`; its fingerprint is part of the cache key, so the data are read
            again only if pixels have changed.
        code: hash of the code that reads them, a part of the cache key.
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(self, data, *, code=""):
        struct = struct_pb2.Struct()
        # As text: a Struct has no whole numbers, as of sizes, and no tuples.
        struct.update({"data": json.dumps(data, sort_keys=True), "code": code})
        custom = example_gen_pb2.CustomConfig()
        custom.custom_config.Pack(struct)
        splits = [example_gen_pb2.Input.Split(name=name, pattern=name) for name in ("train", "eval")]
        super().__init__(input_config=example_gen_pb2.Input(splits=splits), custom_config=custom)
