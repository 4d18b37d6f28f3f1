"""A server that speaks TensorFlow Serving's protocols, for local use and tests; `serving.server.main.start` runs one."""
