"""Ports to listen on, reserved before models are loaded."""

import socket

from tfgen_serving.server.flags import ConfigError


def bind(host, port, what):
    """A socket bound to an address, on which nothing listens yet. ConfigError if the address is not available.

    Args:
        port: 0 for any free one.
        what: the protocol, for the message.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # If the protocol is given, asyncio sets TCP_NODELAY; without it every small reply is delayed by 40 ms.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise ConfigError(f"cannot listen on {host}:{port} for {what}: {error.strerror or error}") from error
    return made
