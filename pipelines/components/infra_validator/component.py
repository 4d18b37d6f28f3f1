"""The infra validators: TFX's own with docker, and one that needs none."""

from tfx import v1 as tfx
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts, standard_component_specs

from tfgen_pipelines.components.infra_validator import executor

SIGNATURE = "serve_examples"  # TFX can only ask a signature whose one input is serialized records
DOCKER_TAG = "2.16.1"  # of tensorflow/serving
MODES = ("local", "docker", "none")


class LocalInfraValidator(base_component.BaseComponent):
    """TFX's InfraValidator with tfgen's compatible server, in a process of its own, instead of a container.

    Requests, client, deadlines, retries and the InfraBlessing are TFX's. The model passes when the server has loaded and
    warmed it up (so each signature has answered each batch size) and has answered requests made of `examples`.
    Not a subclass of TFX's component, with which it shares its spec: the compiler for Kubeflow refuses those.

    Args:
        model: channel of a SavedModel with the signature `serve_examples`: exports of tfgen answer it by what the model can
            do first, seeds by images, images by classes or codes.
        examples: channel of tf.Examples whose images are PNG or JPEG files.
        code: hash of the server's code, a part of the cache key: it stands where TFX names the tag of the image.
        split_name, num_examples: which examples make requests, and how many.
        num_tries, max_seconds: attempts, and seconds for each.
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
    """TFX's InfraValidator with the image tensorflow/serving of a docker daemon on this machine."""
    image = tfx.proto.ServingSpec(tensorflow_serving={"tags": [tag]}, local_docker={})
    return tfx.components.InfraValidator(
        model=model, examples=examples, serving_spec=image, **_specs(split_name, num_examples, num_tries, max_seconds)
    )


def infra_validator(mode, model, examples, *, code="local"):
    """The component of a mode of `MODES`; None for "none"."""
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
