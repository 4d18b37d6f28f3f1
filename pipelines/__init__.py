"""tfgen as TFX pipelines: components, the pipeline, and one thin runner per orchestrator.

`tfgen_pipelines.pipeline.create_pipeline` takes everything as arguments; only the runners (`tfgen_pipelines.local`,
`tfgen_pipelines.kubeflow`) know paths. Needs the extra `tfgen[tfx]`.
"""

if __name__ != "tfgen_pipelines":
    # Under a second name every module would exist twice, with two sets of Keras registrations and of exception classes.
    raise ImportError(f"The package in the folder pipelines/ is imported as tfgen_pipelines, not as {__name__}.")

# TF_USE_LEGACY_KERAS must be set before TFX is imported, in Beam's workers too: importing tfgen does that.
import tfgen  # noqa: E402, F401
