"""tfgen's metric accumulators as one Beam CombineFn."""

import apache_beam as beam


class Combine(beam.CombineFn):
    """Combines elements into the result of any accumulator of `tfgen.metrics`.

    Each element is a mapping of the arguments of the accumulator's `update`, a batch of examples with their ids:

        batches | beam.CombineGlobally(Combine(functools.partial(metrics.FrechetDistance, force=True)))
        {"side": "fake", "rows": features float32 [N, F], "ids": int64 [N]}

    Batches of a hundred examples and more are cheap to add, single ones are not (a covariance costs as much for one).
    Ids must be given where an accumulator keeps rows: workers cannot count together.

    Args:
      make: function without arguments that makes an empty accumulator, and pickles. For `CombineGlobally` of an empty
        collection use `without_defaults()`: there is no result of no examples.
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
