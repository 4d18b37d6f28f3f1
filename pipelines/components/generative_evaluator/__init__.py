"""GenerativeEvaluator: measures a model, and `Judge`, which compares the numbers with thresholds and blesses it or not.

`evaluate` (measuring), `through_beam` (the same in shards), `figures` and `verdict` (thresholds) need no TFX; `executor`,
`component` and `judge` make them TFX components. There are two components, so that new thresholds repeat no measurement.
"""
