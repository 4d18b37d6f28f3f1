"""The client for served models: `from tfgen.client import Client`. It lives in `serving.client` (extra [serving])."""

_NAMES = ("Client", "ServingError")


def __getattr__(name):
    if name not in _NAMES:
        raise AttributeError(f"module 'tfgen.client' has no attribute {name!r}; it has {', '.join(_NAMES)}")
    from serving import client

    return getattr(client, name)


def __dir__():
    return list(_NAMES)
