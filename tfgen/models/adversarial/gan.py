"""Generative adversarial network: the first.

Goodfellow, Pouget-Abadie, Mirza, Xu, Warde-Farley, Ozair, Courville, Bengio, "Generative Adversarial Nets", NeurIPS 2014,
arXiv:1406.2661; networks and settings as in the authors' code (goodfeli/adversarial), since the paper gives almost none.

The idea: a generator G makes images from noise z, and a discriminator D learns to tell them from real ones. G is trained to
make images that D takes for real. With the best D, the value of the game is a divergence between the data and the samples,
whose minimum is at equality.

    min_G max_D V = E log D(x) + E log(1 - D(G(z)))                                                          (eq. 1)
    D* = p_data / (p_data + p_g),   V(D*) = -log 4 + 2 JSD(p_data, p_g)                               (eq. 2, theorem 1)

`objective="minimax"` is eq. 1. There G has almost no gradient while D rejects its images with confidence. With
"non_saturating" (section 3, the default, and the code's) G maximises log D(G(z)) instead: the fixed point is the same, and
the gradient by D's logit is -1 where that of eq. 1 is 0.

The paper's measure, the log-likelihood of test images under a Parzen window on samples (section 5), is
`tfgen.metrics.parzen`. Its protocol for MNIST, for images as rows in [0, 1]:

    samples = model.sample(10_000).numpy().reshape(10_000, -1)
    parzen_estimate(samples, validation[:1000], test, grid=np.logspace(-1, 0, 10))     # nats per image

What differs from the paper and its code: G's update follows D's and draws its own noise; the code updates both at once on
the same samples. D's loss is the sum of its two terms; the code has half of it, so the presets halve D's learning rate.
Momentum stays at .5; the code raises it to .7 over 250 epochs. Images lie in [-1, 1] between the networks. A sigmoid output
is then the tanh of half its logit, and MNIST's D maps its input back to [0, 1] (dropout's 0 is black there), so the
functions are those of the code. CIFAR-10 is not contrast-normalised, since this cannot be undone for samples. Training sees
all 60,000 (50,000) images; the code keeps the last 10,000 for validation. The Toronto faces are not public and are left out.
Conditional models are an addition: their labels of fakes are drawn uniformly.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfgen.layers.initializers import uniform
from tfgen.models.adversarial.parts.free_network import FreeNetworkModel
from tfgen.networks import GivenNetwork, NetworkKind
from tfgen.networks.common import OUTPUTS


@keras.saving.register_keras_serializable("tfgen")
class GAN(FreeNetworkModel):
    """GAN, with the networks of its authors' code or other ones.

    Example:
        >>> model = tfgen.models.GAN(image_shape=(8, 8, 1), network="mlp", width=16, latent_dim=4)
        >>> model.sample(2, seed=0).shape
        TensorShape([2, 8, 8, 1])

    Args:
        network: "maxout": MNIST's, fully connected; "conv_maxout": CIFAR-10's; or any in
            `tfgen.networks`.
        width: of both networks. The published widths of generator and discriminator are 1200 and 240 ("maxout"), 80 and 32
            ("conv_maxout"); to give one network its own, use `network_args`: {"discriminator": {"width": 240}}.
        **kwargs: see `FreeNetworkModel` and `AdversarialModel`.
    """

    def __init__(self, *, network: NetworkKind | dict = "maxout", **kwargs):
        super().__init__(network=network, **kwargs)

    def network_defaults(self, network):
        if network != "maxout":
            return {}
        return {"generator": {"norm": None, "output": "sigmoid", "kernel_initializer": uniform(0.05)}}

    @property
    def initialized_by_data(self) -> bool:
        return self.network_kinds["generator"] == "maxout" and not isinstance(self.generator, GivenNetwork)

    def initialize(self, batch):
        """`init_output_bias` for the published MNIST networks; nothing for others."""
        if self.initialized_by_data:
            self.init_output_bias(batch["image"])

    def init_output_bias(self, images: tf.Tensor) -> None:
        """Sets the generator's output bias so that its last layer, for inputs of zero, gives the mean image.

        Call it once, before training. The authors' code does so on MNIST with all training images.

        Args:
            images: float [N, H, W, C] in [0, 1].

        Raises:
            ValueError: images of another shape or dtype, or a generator whose last layer is not fully connected with a
                sigmoid or tanh.
        """
        scales: dict[Any, float] = {OUTPUTS["sigmoid"]: 1.0, OUTPUTS["tanh"]: 0.5}
        scale = scales.get(getattr(self.generator, "activation", None))
        layer = getattr(self.generator, "out", None)
        if scale is None or not isinstance(layer, keras.layers.Dense):
            raise ValueError(
                "init_output_bias needs a generator that ends in a fully connected layer and a sigmoid or tanh; received "
                f"network {self.get_config()['network']!r}."
            )
        # Means of 0 and 1 have no finite logit; the code has the same bounds.
        mean = np.clip(np.mean(self.check_images(images), axis=0, dtype="float64"), 1e-7, 1.0 - 1e-7)
        layer.bias.assign((scale * np.log(mean / (1.0 - mean))).reshape(-1))
