"""The infra validators: TFX's own with docker, and one without docker."""

from tfx import v1 as tfx
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts, standard_component_specs

from tfgen_pipelines.components.infra_validator import executor

SIGNATURE = "serve_examples"  # TFX can only call a signature with one input, serialized examples
DOCKER_TAG = "2.16.1"  # tag of the image tensorflow/serving
MODES = ("local", "docker", "none")


class LocalInfraValidator(base_component.BaseComponent):
    """TFX's InfraValidator with tfgen's compatible server in a separate process instead of a container.

    Requests, client, deadlines, retries and the InfraBlessing are TFX's. The model passes when the server has loaded and
    warmed it up (so each signature has answered each batch size) and has answered requests made of `examples`.
    It has the spec of TFX's component but is not a subclass of it: the compiler for Kubeflow refuses subclasses.

    Args:
        model: channel of a SavedModel with the signature `serve_examples`. Exports of tfgen answer it with the model's first
            capability: images for seeds, classes or codes for images.
        examples: channel of tf.Examples whose images are PNG or JPEG files.
        code: hash of the server's code, a part of the cache key; it is stored as the tag of the image in TFX's spec.
        split_name, num_examples: the split and number of examples for requests.
        num_tries, max_seconds: number of attempts, and seconds for each.
    """

    SPEC_CLASS = standard_component_specs.InfraValidatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(self, model, examples, *, code="local", split_name="eval", num_examples=4, num_tries=2, max_seconds=300):
        spec = standard_component_specs.InfraValidatorSpec(
            model=model,
            examples=examples,
            blessing=channel.Channel(type=standard_artifacts.InfraBlessing),
            serving_spec=tfx.proto.ServingSpec(tensorflow_serving={"image_name": "tfgen-serve", "tags": [code]}),
            **_specs(split_name, num_examples, num_tries, max_seconds),
        )
        super().__init__(spec=spec)


def docker_infra_validator(
    model, examples, *, tag=DOCKER_TAG, split_name="eval", num_examples=4, num_tries=2, max_seconds=300
):
    """TFX's InfraValidator with the image tensorflow/serving in docker on this machine."""
    image = tfx.proto.ServingSpec(tensorflow_serving={"tags": [tag]}, local_docker={})
    return tfx.components.InfraValidator(
        model=model, examples=examples, serving_spec=image, **_specs(split_name, num_examples, num_tries, max_seconds)
    )


def infra_validator(mode, model, examples, *, code="local"):
    """The component for a mode in `MODES`; None for "none"."""
    if mode not in MODES:
        raise ValueError(f"infra_validation must be one of {', '.join(MODES)}; received {mode!r}.")
    if mode == "none":
        return None
    return docker_infra_validator(model, examples) if mode == "docker" else LocalInfraValidator(model, examples, code=code)


def _specs(split_name, num_examples, num_tries, max_seconds):
    return {
        "request_spec": tfx.proto.RequestSpec(
            tensorflow_serving={"signature_names": [SIGNATURE]}, split_name=split_name, num_examples=num_examples
        ),
        "validation_spec": tfx.proto.ValidationSpec(num_tries=num_tries, max_loading_time_seconds=max_seconds),
    }
