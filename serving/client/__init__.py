"""A client for models behind TensorFlow Serving or `tfgen serve`, over gRPC or REST.

    from tfgen_serving.client import Client

    with Client("localhost:8500", "vae-digits") as client:      # gRPC
        images = client.sample([1, 2, 3])                       # float32 [3, 8, 8, 1] in [0, 1]
    with Client("http://localhost:8501", "vae-digits") as client:  # REST
        pngs = client.sample_png([1, 2, 3])

gRPC sends images as raw numbers and is faster; over REST prefer `sample_png`. TensorFlow is not needed: both protocols need
NumPy, gRPC also grpcio and protobuf, REST also httpx.

The client is a part of the application `serving`, and not of the library `tfgen`, which has no server and imports neither
grpc nor httpx.
"""

from tfgen_serving.client.client import Client
from tfgen_serving.errors import ServingError

__all__ = ["Client", "ServingError"]
