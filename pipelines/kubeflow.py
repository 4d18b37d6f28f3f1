"""Compiles the pipeline for Kubeflow Pipelines / Vertex AI to a JSON file; needs no cluster and no network.

    python -m tfgen_pipelines.kubeflow --image REGISTRY/tfgen:TAG --pipeline_root /shared/root --output pipeline.json ...

docs/kubeflow.md says how to run it. All paths must be folders that the containers see, such as a mounted bucket: tfgen's own
components write through the file system.

The image, see pipelines/Containerfile, must contain tfgen with the extras [tfx,serving] and set the environment variable
TF_USE_LEGACY_KERAS=0 (TFX's own images set it to 1, and TensorFlow Probability then fails with Keras 3). Components refer to
code by dotted paths, so compiling uploads nothing.

The containers of a preset use TensorFlow's oneDNN kernels if they suit it, see `tfgen.onednn`; all others use them. If
TF_ENABLE_ONEDNN_OPTS is set where the pipeline is compiled, all containers have its value; a value of the image has no
effect.

Kubeflow supports only TFX's own LatestBlessedModelStrategy, which returns the last blessed model of the whole pipeline. So
give each preset its own pipeline there. The evaluator never compares models of different presets.
"""

import json
import os
import pathlib
import sys

import tfgen
from tfgen import onednn
from tfgen.files import write_whole
from tfgen.settings import PositiveInt
from tfgen_trainers.arguments import Parser, option


def compile_pipeline(output, *, image, pipeline_name, pipeline_root, data, branches, workdir, push_base_directory,
                     num_samples=0, evaluation_seed=0, beam_pipeline_args=None, infra_validation="local",
                     push_unjudged=False):  # fmt: skip
    """Writes the compiled pipeline to the file `output`, and returns it as a dict. For other arguments see
    `create_pipeline`.

    Args:
        output: path of the JSON file.
        image: the container image, see the module's docstring.
        infra_validation: "local" or "none"; TFX's compiler for Kubeflow refuses TFX's InfraValidator, so not "docker".

    Raises:
        ValueError: "docker"; or a folder is the address of a bucket or a relative path, so it would stay in a container.
    """
    folders = {"pipeline_root": pipeline_root, "workdir": workdir, "push_base_directory": push_base_directory}
    for name, path in folders.items():
        check_folder(name, path)
    if infra_validation == "docker":
        raise ValueError("infra_validation must be 'local' or 'none' on Kubeflow; received 'docker'.")
    from tfx import v1 as tfx

    from tfgen_pipelines.pipeline import create_pipeline

    output = pathlib.Path(output).absolute()
    pipeline = create_pipeline(
        pipeline_name=pipeline_name,
        pipeline_root=pipeline_root,
        data=data,
        branches=branches,
        workdir=workdir,
        push_base_directory=push_base_directory,
        num_samples=num_samples,
        evaluation_seed=evaluation_seed,
        beam_pipeline_args=beam_pipeline_args,
        baseline_strategy=tfx.dsl.experimental.LatestBlessedModelStrategy,
        infra_validation=infra_validation,
        push_unjudged=push_unjudged,
    )
    runner = tfx.orchestration.experimental.KubeflowV2DagRunner(
        config=tfx.orchestration.experimental.KubeflowV2DagRunnerConfig(default_image=image)
    )
    compiled = runner.run(pipeline, write_out=False)
    slugs = {branch.slug: branch.preset for branch in branches}
    for name, executor in compiled["pipelineSpec"]["deploymentSpec"]["executors"].items():
        if "container" in executor:
            # A task of a branch is called "Trainer.<slug>". TFX offers no setting for variables.
            preset = slugs.get(name.removesuffix("_executor").partition(".")[2])
            value = os.environ.get(onednn.VARIABLE, "1" if onednn.suits([preset] if preset else []) else None)
            if value is not None:  # else the default of TensorFlow for the CPU stays
                executor["container"].setdefault("env", []).append({"name": onednn.VARIABLE, "value": value})
    write_whole(output, json.dumps(compiled, sort_keys=True).encode())
    return compiled


def check_folder(name, path):
    """Raises ValueError for the address of a bucket, and for a path that begins in the working folder of a container."""
    if "://" in str(path) or not str(path).startswith("/"):
        raise ValueError(
            f"{name} must be the absolute path of a folder that all containers see, such as a mounted bucket; received "
            f"{str(path)!r}: what tfgen's components write there would stay in a container."
        )


def main(argv=None):
    """`python -m tfgen_pipelines.kubeflow`; returns the exit code."""
    parser = Parser(
        prog="python -m tfgen_pipelines.kubeflow",
        description="Compiles the pipeline for Kubeflow Pipelines / Vertex AI.",
        epilog="The image must set TF_USE_LEGACY_KERAS=0.",
    )
    add = parser.add_argument
    add("--output", default="pipeline.json")
    add("--image", required=True, help="container image with tfgen[tfx,serving] and TF_USE_LEGACY_KERAS=0")
    add("--pipeline_name", default="tfgen", help="(default: %(default)s)")
    add("--pipeline_root", required=True, help="folder of the artifacts, mounted in all containers")
    add("--workdir", required=True, help="shared folder of the trainers' run folders")
    add("--push_to", required=True, help="folder that TensorFlow Serving loads from")
    add("--data", default="digits", help="readable here (its shape is looked up) and in the containers")
    add("--preset", action="append", dest="presets", required=True)
    add("--steps", type=option(PositiveInt), default=None)
    add("--infra_validation", choices=("local", "none"), default="local",
        help="how a model is served and tested before it is pushed (default: %(default)s)")  # fmt: skip
    add("--push_unjudged", action="store_true", help="push also models that cannot be judged")
    add("--beam_arg", action="append", default=[], help="a Beam pipeline option, as --beam_arg=--runner=DataflowRunner; "
        "may be repeated, see docs/beam.md")  # fmt: skip
    args = parser.parse_args(argv)

    from tfgen_pipelines import beam_options
    from tfgen_pipelines import data as data_lib
    from tfgen_pipelines.pipeline import Branch

    try:
        beam_options.check(args.beam_arg)
        for name in ("pipeline_root", "workdir", "push_to"):
            check_folder(name, getattr(args, name))
    except ValueError as error:
        parser.error(str(error))
    for preset in args.presets:
        tfgen.presets.get(preset)
    compile_pipeline(
        args.output,
        image=args.image,
        pipeline_name=args.pipeline_name,
        pipeline_root=args.pipeline_root,
        data=data_lib.resolve(args.data),
        branches=[Branch(p, steps=args.steps) for p in args.presets],
        workdir=args.workdir,
        push_base_directory=args.push_to,
        infra_validation=args.infra_validation,
        push_unjudged=args.push_unjudged,
        beam_pipeline_args=args.beam_arg,
    )
    print(f"wrote {args.output}; submit it with the Kubeflow Pipelines or Vertex AI client")
    return 0


if __name__ == "__main__":
    sys.exit(main())
