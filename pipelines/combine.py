"""tfgen's metric accumulators as one Beam CombineFn."""

import apache_beam as beam


class Combine(beam.CombineFn):
    """Combines elements into the result of any accumulator of `tfgen.metrics`.

    Each element is a dict of arguments of the accumulator's `update`, for a batch of examples with ids:

        batches | beam.CombineGlobally(Combine(functools.partial(metrics.FrechetDistance, force=True)))
        {"side": "fake", "rows": features float32 [N, F], "ids": int64 [N]}

    Use batches of a hundred examples or more: adding one example takes as long as adding a batch (a covariance is computed
    for each). Ids are needed if an accumulator keeps rows, since workers do not share a counter.

    Args:
      make: a function without arguments that returns an empty accumulator; it must be picklable. For `CombineGlobally` of a
          collection that may be empty use `without_defaults()`, which then returns no result.
    """

    def __init__(self, make):
        if not callable(make):
            raise ValueError(f"make must be a function that makes an accumulator; received {type(make).__name__}")
        super().__init__()
        self._make = make

    def create_accumulator(self):
        return self._make()

    def add_input(self, accumulator, element):
        return accumulator.update(**element)

    def merge_accumulators(self, accumulators):
        merged = self._make()
        for accumulator in accumulators:
            merged.merge(accumulator)
        return merged

    def extract_output(self, accumulator):
        return accumulator.result()
