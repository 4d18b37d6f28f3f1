"""`python -m tfgen_pipelines.components.infra_validator.serve FLAGS`: serves one model until stdin is closed.

Writes the gRPC port to stdout when the model is available. stdin is a pipe from the validator, which closes when the
validator exits for any reason, so no server is left running.
"""

import logging
import os
import sys


def main(argv=None):
    """Returns the exit status: 1 if the model cannot be served."""
    # Output of libraries must not be read as the port.
    shown = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from tfgen_serving.errors import ServingError
    from tfgen_serving.server.main import start

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    once = ["--port=0", "--file_system_poll_wait_seconds=0", "--max_num_load_retries=0"]
    try:
        server = start([*once, *(sys.argv[1:] if argv is None else argv)])
    except ServingError as error:
        print(f"The model cannot be served: {error}", file=sys.stderr)
        return 1
    with server:
        print(server.grpc_port, file=shown, flush=True)
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
