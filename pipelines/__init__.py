"""tfgen as TFX pipelines: components, the pipeline, and one thin runner per orchestrator.

`pipelines.pipeline.create_pipeline` takes everything as arguments; only the runners (`pipelines.local`,
`pipelines.kubeflow`) know paths. Needs the extra `tfgen[tfx]`.
"""

# TF_USE_LEGACY_KERAS must be set before TFX is imported, in Beam's workers too: importing tfgen does that.
import tfgen  # noqa: F401
