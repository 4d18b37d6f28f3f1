"""One module for each recorded run; `python -m benchmarks.reproduce` lists them."""

import os

# Before TensorFlow is imported, which else tells at length of what this machine lacks.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
