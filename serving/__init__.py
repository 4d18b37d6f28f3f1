"""Serving: the client, a local server that speaks TensorFlow Serving's protocols, and the configuration of the real one.

Both servers load the version folders that `tfgen export` and the pipeline write. Needs the extra `tfgen[serving]`.
"""

if __name__ != "tfgen_serving":
    # Under a second name every module would exist twice, with two sets of Keras registrations and of exception classes.
    raise ImportError(f"The package in the folder serving/ is imported as tfgen_serving, not as {__name__}.")
