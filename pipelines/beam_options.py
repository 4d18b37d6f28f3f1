"""The options of Beam, which say by which engine the data are prepared and the models evaluated, see docs/beam.md."""

import contextlib
import io
import re
from collections.abc import Sequence

# Of Beam, by which TFX decides whether the workers have its code.
_PACKAGES = ("extra_packages", "setup_file", "requirements_file", "worker_harness_container_image", "sdk_container_image")


def check(beam_args: Sequence[str]) -> None:
    """Raises ValueError if one of them is no option, has a value that Beam refuses, or is unknown to the direct runner.

    Beam itself passes over what it does not know. Other runners may have options that are not Beam's.
    """
    for arg in beam_args:
        if not re.fullmatch(r"--\w[\w-]*(=.*)?", arg, re.DOTALL):
            raise ValueError(f"beam_arg must read --NAME=VALUE, or --NAME; received {arg!r}.")
    options = _parsed(beam_args)
    unknown = [arg for arg in beam_args if arg.partition("=")[0].lstrip("-").replace("-", "_") not in options]
    if unknown and _is_direct(options):
        raise ValueError(f"beam_arg {unknown[0]!r} is no option of Beam's direct runner.")


def _parsed(beam_args):
    """{name: value} of all options that Beam knows."""
    if not beam_args:
        return {}
    from apache_beam.options.pipeline_options import PipelineOptions

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return PipelineOptions(flags=list(beam_args)).get_all_options()
    except SystemExit:  # of argparse
        reason = said.getvalue().strip().rpartition("error: ")[2]
        raise ValueError(f"beam_arg: {reason}; received {' '.join(beam_args)}") from None


def _is_direct(options):
    return (options["runner"] or "DirectRunner").rpartition(".")[2] in ("DirectRunner", "BundleBasedDirectRunner")


def with_environment(beam_args: Sequence[str]) -> list[str]:
    """The options, and `--sdk_container_image=none` where Beam's workers have the environment of this process.

    Without it, TFX packs its own code in each component, for workers that may lack it: seconds, and 49 MB in the temporary
    folder each time. Without any option it does not.

    Args:
        beam_args: options, such as "--direct_num_workers=2".

    Raises:
        ValueError: see `check`.
    """
    check(beam_args)
    options = _parsed(beam_args)
    if not beam_args or any(options.get(name) for name in _PACKAGES):
        return list(beam_args)
    workers_are_given = options["environment_type"] in ("EXTERNAL", "LOOPBACK", "PROCESS")
    return [*beam_args, "--sdk_container_image=none"] if _is_direct(options) or workers_are_given else list(beam_args)
