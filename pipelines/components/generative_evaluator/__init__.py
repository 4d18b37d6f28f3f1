"""GenerativeEvaluator: measures a model, compares, and blesses it or not.

`verdict` (thresholds), `evaluate` (measuring), `through_beam` (the same in shards) and `figures` need no TFX; `executor`
and `component` make them a TFX component.
"""
