"""A server with TensorFlow Serving's protocols, for local use and tests: `tfgen_serving.server.main.start`."""
