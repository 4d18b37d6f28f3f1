"""tfgen in TFX pipelines: components, the pipeline, and a runner for each orchestrator.

`tfgen_pipelines.pipeline.create_pipeline` takes all settings as arguments; only the runners (`tfgen_pipelines.local`,
`tfgen_pipelines.kubeflow`) choose paths. Needs the extra `tfgen[tfx]`.
"""

if __name__ != "tfgen_pipelines":
    # Under two names every module would be imported twice, with two sets of Keras registrations and exception classes.
    raise ImportError(f"The package in the folder pipelines/ is imported as tfgen_pipelines, not as {__name__}.")

# TF_USE_LEGACY_KERAS must be set before TFX is imported, in Beam's workers too: importing tfgen does that.
import tfgen  # noqa: E402, F401
