"""`python -m tfgen_pipelines.components.infra_validator.serve FLAGS`: serves one candidate until stdin ends.

Writes the gRPC port to stdout once the model is available. stdin is a pipe from the validator, which ends with it, however
it ends: no server stays behind.
"""

import logging
import os
import sys


def main(argv=None):
    """-> exit status: 1 where the model cannot be served."""
    # What libraries print must not be taken for the port.
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
