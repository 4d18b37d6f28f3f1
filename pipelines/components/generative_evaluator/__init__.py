"""GenerativeEvaluator: measures a generator, compares, and blesses it or not.

`verdict` (thresholds), `evaluate` (measuring) and `figures` need no TFX; `executor` and `component` make them a
TFX component.
"""
