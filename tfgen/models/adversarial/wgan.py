"""Wasserstein GAN with weight clipping.

Arjovsky, Chintala, Bottou, "Wasserstein GAN", ICML 2017, arXiv:1701.07875; settings as in the authors' code
(martinarjovsky/WassersteinGAN).

The idea: the discriminator ("critic") f does not tell real from fake. It estimates, up to a factor, the earth mover's
distance W(p, q) = max E_p f(x) - E_q f(x) over functions of Lipschitz constant 1. This distance is continuous in the
generator's weights where the Jensen-Shannon divergence is not. So the critic can be trained to its optimum, and its loss
falls as the images get better.

    critic minimises E f(G(z)) - E f(x), then w <- clip(w, -c, c),      G minimises -E f(G(z))

The critic has five updates for each of the generator's. It has a hundred in each of the generator's first 25 turns and in
every 500th, so that its estimate is accurate there. The critic's objective is not stationary, so the optimiser has no
momentum (RMSprop).

What differs from the paper: the algorithm is the paper's; the schedule of a hundred updates is from the code alone. Weights
are clipped after each critic update (algorithm 1); the code clips before. The code's RMSprop adds its epsilon, 1e-8, to the
root of the mean square; Keras adds epsilon under the root, so that of the paper's presets and the default is 1e-16. The
critic's last 4x4 convolution is a dense layer here (the same function). The generator's first layer is dense with batch norm
for each unit; the code normalises its output for each channel. Fully connected networks start from Glorot's uniform and
biases of 0, in the code from uniform(-1, 1) / sqrt(inputs). Samples use the moving statistics of batch norm; the code uses
those of the batch.
"""

import keras

from tfgen.losses import Objective
from tfgen.models.adversarial.base import ObjectiveName
from tfgen.models.adversarial.parts.free_network import FreeNetworkModel
from tfgen.settings import NaturalInt, PositiveFloat, PositiveInt


@keras.saving.register_keras_serializable("tfgen")
class WGAN(FreeNetworkModel):
    """WGAN. In its logs, `real_logit` - `fake_logit` estimates the distance up to a factor: it should fall.

    Example:
        >>> model = tfgen.models.WGAN(image_shape=(8, 8, 1), network="mlp", width=16, latent_dim=4)
        >>> [bool(model.generator_turn(step)) for step in (98, 99, 100)]  # after 100 updates of the critic
        [False, True, False]

    Args:
        thorough_turns: the first `thorough_turns` turns of the generator come after `thorough_steps` critic updates each,
            and so does every turn whose number is a multiple of `thorough_every`. 0: no turn does.
        **kwargs: see `FreeNetworkModel` and `AdversarialModel`.
    """

    def __init__(
        self, *, thorough_turns: NaturalInt = 25, thorough_every: PositiveInt = 500, thorough_steps: PositiveInt = 100,
        objective: ObjectiveName | Objective = "wasserstein", weight_clip: PositiveFloat | None = 0.01,
        discriminator_steps: PositiveInt = 5, **kwargs,
    ):  # fmt: skip
        super().__init__(
            objective=objective, weight_clip=weight_clip, discriminator_steps=discriminator_steps, **kwargs
        )  # fmt: skip
        if not 0 <= thorough_turns <= thorough_every or thorough_steps < discriminator_steps:
            raise ValueError(
                "thorough_turns must lie in [0, thorough_every] and thorough_steps be at least discriminator_steps; "
                f"received {thorough_turns=}, {thorough_every=}, {thorough_steps=}, {discriminator_steps=}."
            )
        self.thorough_turns, self.thorough_every, self.thorough_steps = thorough_turns, thorough_every, thorough_steps

    def default_optimizer(self):
        return keras.optimizers.RMSprop(5e-5, rho=0.99, epsilon=1e-16)

    def generator_turn(self, step):
        if not self.thorough_turns:
            return super().generator_turn(step)
        # A period has `thorough_every` turns. Its first turn is thorough; in the first period the first several are.
        few, many = self.discriminator_steps, self.thorough_steps
        first = self.thorough_every * few + self.thorough_turns * (many - few)
        period = self.thorough_every * few + (many - few)
        step, thorough = (step, self.thorough_turns) if step < first else ((step - first) % period, 1)
        if step < thorough * many:
            return (step + 1) % many == 0
        return (step - thorough * many + 1) % few == 0
