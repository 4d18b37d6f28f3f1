"""The options of Beam, which say by which engine the data are prepared and the models evaluated, see docs/beam.md."""

from collections.abc import Sequence

# Of Beam, by which TFX decides whether the workers have its code.
_PACKAGES = ("extra_packages", "setup_file", "requirements_file", "worker_harness_container_image", "sdk_container_image")


def check(beam_args: Sequence[str]) -> None:
    """Raises ValueError if one of them is no option. Beam itself passes over what it does not know."""
    for arg in beam_args:
        if not arg.startswith("--") or len(arg) < 3:
            raise ValueError(f"beam_arg must read --NAME=VALUE, or --NAME; received {arg!r}.")


def with_environment(beam_args: Sequence[str]) -> list[str]:
    """The options, and `--sdk_container_image=none` where Beam's workers have the environment of this process.

    Without it, TFX packs its own code in each component, for workers that may lack it: seconds, and 49 MB in the temporary
    folder each time. Without any option it does not.

    Args:
        beam_args: options, such as "--direct_num_workers=2".

    Raises:
        ValueError: see `check`.
    """
    from apache_beam.options.pipeline_options import PipelineOptions

    check(beam_args)
    options = PipelineOptions(flags=list(beam_args)).get_all_options()
    if not beam_args or any(options.get(name) for name in _PACKAGES):
        return list(beam_args)
    here = (options["runner"] or "DirectRunner").rpartition(".")[2] in ("DirectRunner", "BundleBasedDirectRunner")
    workers_are_given = options["environment_type"] in ("EXTERNAL", "LOOPBACK", "PROCESS")
    return [*beam_args, "--sdk_container_image=none"] if here or workers_are_given else list(beam_args)
