"""One module for each recorded run; `python -m benchmarks.reproduce` lists them."""

import os

# Set before TensorFlow is imported: it logs long messages about missing hardware.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
