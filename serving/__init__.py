"""Serving: the client, a local server with TensorFlow Serving's protocols, and configuration files for the real server.

Both servers load the version folders of `tfgen export` and of the pipeline. Needs the extra `tfgen[serving]`.
"""

if __name__ != "tfgen_serving":
    # Under two names every module would be imported twice, with two sets of Keras registrations and exception classes.
    raise ImportError(f"The package in the folder serving/ is imported as tfgen_serving, not as {__name__}.")
