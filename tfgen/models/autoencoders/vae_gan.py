"""VAE/GAN.

Larsen, Sønderby, Larochelle, Winther, "Autoencoding beyond pixels using a learned similarity metric", ICML 2016,
arXiv:1512.09300. Layer widths and settings as in the authors' code (andersbll/autoencoding_beyond_pixels).

The idea: the decoder of a VAE is at the same time the generator of a GAN. Images and their reconstructions are compared not
in pixels but in a hidden layer Dis_l of the discriminator. This layer has learned what images look like and changes little
under small shifts, so reconstructions are sharp. Differences of mean codes are directions of visual attributes.

    q(z|x) = N(mean, diag stddev^2);  x~ = Dec(z), z ~ q(z|x);  x_p = Dec(z_p), z_p ~ N(0, I)
    L_prior = KL(q(z|x) || N(0, I))                                                                             (eq. 3)
    L_sim   = |Dis_l(x) - Dis_l(x~)|^2 / 2 = -ln N(Dis_l(x) | Dis_l(x~), I) + constant                          (eq. 7, 8)
    L_GAN   = ln D(x) + ln(1 - D(x~)) + ln(1 - D(x_p)),  D = sigmoid(s)                                         (algorithm 1)

    group             minimises                                      gets no gradient of
    encoder           L_prior + L_sim                                L_GAN
    decoder           w L_sim + (1 - w) sum_fakes ln(1 - D(fake))    L_prior
    discriminator     r C(x) + (1 - r) mean_fakes C(fake)            L_prior, L_sim

The decoder's loss is 1 - w times gamma L_sim + L_GAN with gamma = w / (1 - w); the paper writes -L_GAN, with L_GAN as a
cost. With both kinds of fakes and r = 1/3 the discriminator's loss is -L_GAN / 3. C are the costs -ln D(x) and -ln(1 -
D(fake)); both are ln 2 where D = 1/2.

Balance, as in the code: the discriminator is not updated where one of its two costs is less than `equilibrium` - `margin`,
and the decoder is not updated where one is more than `equilibrium` + `margin`. Where both conditions hold, both are updated.

What differs from the paper: its formulas have both kinds of fakes; its code, whose settings the presets have, has prior
samples alone (`fakes`). Each of x, x~ and x_p passes the networks in a batch of its own; the code joins two kinds in one
batch. Batch norm then lets the discriminator tell images by the statistics that one kind has in common. On Fashion-MNIST it
did so within ten steps, lost nearly all its turns to the balance rule, and the decoder made noise. Logarithms are of the
sigmoid itself; the code adds 1e-3 to D. Kernels start from Glorot's uniform; those of the code from uniform(-1, 1) / sqrt(3
inputs). The code's RMSprop adds its epsilon, 1e-8, to the root of the mean square of gradients summed over the batch; Keras
adds it under the root, to gradients of means: 1e-16 in the paper's presets. There is no weight decay (1e-5 in the code). Of
the code's augmentation the presets have mirror images, drawn for each image and not for each batch, and CelebA's shifts;
zoom, rotation and colours are not here.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.models.autoencoders.base import AutoencodingModel
from tfgen.networks.given import GivenNetwork
from tfgen.networks.slots import batch_norm
from tfgen.settings import DIFFERENT, NOT_EMPTY, Fraction, ImageShape, NaturalInt, PositiveFloat, PositiveInt, Rule, between
from tfgen.training.players import Player

tfd = tfp.distributions
layers = keras.layers

Fake = Literal["prior", "reconstruction"]
FAKES: tuple[Fake, ...] = ("prior", "reconstruction")

_Widths = Annotated[Sequence[PositiveInt], Rule("of length >= 2", lambda widths: len(widths) >= 2)]


@keras.saving.register_keras_serializable("tfgen")
class VAEGAN(AutoencodingModel):
    """VAE/GAN. Its logs have the terms of the equations above and the shares of turns that were skipped.

    Example:
        >>> model = tfgen.models.VAEGAN(
        ...     image_shape=(8, 8, 1), latent_dim=4, encoder_widths=(8, 16), decoder_widths=(16, 8),
        ...     discriminator_widths=(4, 8, 16), similarity_layer=1)
        >>> list(model.players())
        ['encoder', 'decoder', 'discriminator']
        >>> model.encode(tf.zeros([2, 8, 8, 1])).mean().shape
        TensorShape([2, 4])

    Args:
        image_shape: (H, W, C), of any size.
        latent_dim: number of latent dimensions.
        encoder_widths: filters of the convolutions of stride 2, then the units of a dense layer.
        decoder_widths: filters of the grid, then of the transposed convolutions of stride 2 that follow.
        discriminator_widths: filters of a convolution of stride 1 and of those of stride 2, then the units of a dense layer.
        similarity_layer: Dis_l is the output of this convolution of the discriminator, counted from 0, before batch norm and
            ReLU. None: L_sim is of the pixels in [-1, 1], an ordinary VAE's (with `similarity_weight` 1, no more than that).
        similarity_weight: w in [0, 1], of L_sim against the adversarial term in the decoder's loss.
        fakes: the fake images in the discriminator's loss, of "prior" and "reconstruction".
        real_weight: r in (0, 1), of the real images in the discriminator's loss.
        equilibrium: the cost at which decoder and discriminator are balanced.
        margin: positive, or None: both are updated in every step.
        encoder, decoder, discriminator: None, or networks of your own (see `tfgen.networks.given_network`; copied, with
            their weights) for images in [-1, 1]: images [B, H, W, C] -> mean and ln variance of q(z|x), [B, 2 latent_dim];
            latents [B, latent_dim] -> images; images -> logits [B, 1] and Dis_l in any shape [B, ...], as two outputs or a
            dict {"logit", "features"}. With similarity_layer=None it needs no second output; any other value is for the
            built-in discriminator alone. With a network of your own, leave out its widths.
        seed: int, of the training noise.
    """

    loss_names = (
        "encoder_loss", "decoder_loss", "discriminator_loss", "kl", "similarity", "real_cost", "fake_cost",
        "decoder_skipped", "discriminator_skipped",
    )  # fmt: skip
    own_networks = {(name,): (f"{name}_widths",) for name in ("encoder", "decoder", "discriminator")}

    def __init__(
        self, *, image_shape: ImageShape, latent_dim: PositiveInt = 128, encoder_widths: _Widths = (64, 128, 256, 1024),
        decoder_widths: _Widths = (256, 256, 128, 32), discriminator_widths: _Widths = (32, 128, 256, 256, 512),
        similarity_layer: NaturalInt | None = 3, similarity_weight: Fraction = 1e-6,
        fakes: Annotated[Sequence[Fake], NOT_EMPTY, DIFFERENT] = FAKES,
        real_weight: Annotated[float, between(0, 1)] = 0.5, equilibrium: float = 0.68, margin: PositiveFloat | None = 0.35,
        encoder: keras.Model | dict | str | None = None, decoder: keras.Model | dict | str | None = None,
        discriminator: keras.Model | dict | str | None = None, **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, **kwargs)
        convolutions = len(discriminator_widths) - 1
        if discriminator is None and similarity_layer is not None and similarity_layer not in range(convolutions):
            raise ValueError(f"similarity_layer must be None or in [0, {convolutions}); received {similarity_layer!r}.")
        self.latent_dim, self.fakes = latent_dim, tuple(fakes)
        self.similarity_weight, self.real_weight = float(similarity_weight), float(real_weight)
        self.equilibrium, self.margin = float(equilibrium), margin
        self.in_pixels = similarity_layer is None
        dtype = self.dtype_policy
        self.choose_networks(
            lambda: (
                _encoder(encoder_widths, self.latent_dim, dtype), _decoder(decoder_widths, self.image_shape, dtype)
            ),
            encoder=(encoder, self.image_shape, (2 * latent_dim,)), decoder=(decoder, (latent_dim,), self.image_shape),
        )  # fmt: skip
        self._set_discriminator(discriminator, discriminator_widths, similarity_layer, dtype)
        self.built = True

    def _set_discriminator(self, given, widths, similarity_layer, dtype):
        outputs = {"logit": (1,), "features": None}
        needed = ("logit",) if self.in_pixels else None
        own = self.own_network("discriminator", given, [self.image_shape], outputs, needed)
        self.discriminator = None
        if own is None:
            # In two parts: up to Dis_l, and what is left.
            self.trunk, self.head = _discriminator(widths, similarity_layer or 0, dtype)
            self.trunk.build((None, *self.image_shape))
            self.head.build(self.trunk.output_shape)
        elif similarity_layer not in (None, self.config_parameters()["similarity_layer"].default):
            raise ValueError(
                "similarity_layer is a layer of the built-in discriminator; with one of your own Dis_l is its output "
                f"'features', or pixels with similarity_layer=None; received {similarity_layer!r}."
            )
        else:
            self.discriminator = GivenNetwork(own, tuple(outputs), name="discriminator")

    # ---- networks

    def posterior(self, images, training=False):
        return super().posterior(2.0 * images - 1.0, training)

    def decode_raw(self, latents: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The images of the decoder, float32 [B, H, W, C] in [-1, 1], of latents [B, latent_dim]."""
        return tf.cast(self.decoder(latents, training=training), tf.float32)

    def decode_images(self, latents: tf.Tensor) -> tf.Tensor:
        """Images float32 [B, H, W, C] in [0, 1] of latents [B, latent_dim]."""
        latents = self.check_latents(latents)
        return tf.clip_by_value(0.5 + 0.5 * self.decode_raw(latents), 0.0, 1.0)

    def discriminate(self, raw_images: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """(Dis_l float32 [B, F], logits float32 [B]) of images in [-1, 1]."""
        maps, logits = self._maps_and_logits(raw_images, training)
        logits = tf.cast(logits, tf.float32)
        compared = tf.cast(raw_images if self.in_pixels else maps, tf.float32)
        return tf.reshape(compared, [tf.shape(compared)[0], -1]), tf.reshape(logits, [-1])

    def _maps_and_logits(self, raw_images, training):
        if self.discriminator is not None:
            found = self.discriminator([raw_images], training=training)
            return found.get("features"), found["logit"]
        maps = self.trunk(raw_images, training=training)
        return maps, self.head(maps, training=training)

    def features(self, images: tf.Tensor) -> tf.Tensor:
        """Dis_l of images [B, H, W, C] in [0, 1]: float32 [B, F]. Distances of these are the learned similarity."""
        return self.discriminate(2.0 * self.check_images(images) - 1.0)[0]

    # ---- training

    def players(self):
        networks = (self.trunk, self.head) if self.discriminator is None else self.discriminator
        return {
            "encoder": Player(self.encoder),
            "decoder": Player(self.decoder),
            "discriminator": Player(networks, averaged=False),
        }

    def default_optimizer(self):
        return keras.optimizers.RMSprop(3e-4)

    def terms(
        self, images: tf.Tensor, noise: tf.Tensor, prior: tf.Tensor, training: bool = True
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]:
        """(L_prior, L_sim, C(x), {kind of fake: C(fake)}), means over the batch, in one forward pass.

        Args:
            images: [B, H, W, C] in [0, 1].
            noise, prior: standard normal [B, latent_dim], for z and z_p.
        """
        posterior = self.posterior(images, training)
        codes = posterior.mean() + posterior.stddev() * noise
        of_real, real = self.discriminate(2.0 * images - 1.0, training)
        of_reconstructed, reconstructed = self.discriminate(self.decode_raw(codes, training), training)
        _, sampled = self.discriminate(self.decode_raw(prior, training), training)
        kl = tf.reduce_mean(tfd.kl_divergence(posterior, self.prior))
        similarity = 0.5 * tf.reduce_mean(tf.reduce_sum(tf.square(of_real - of_reconstructed), axis=-1))
        fake = {"prior": sampled, "reconstruction": reconstructed}
        costs: dict[str, tf.Tensor] = {kind: tf.reduce_mean(tf.nn.softplus(fake[kind])) for kind in self.fakes}
        return kl, similarity, tf.reduce_mean(tf.nn.softplus(-real)), costs

    def losses_of(
        self, kl: tf.Tensor, similarity: tf.Tensor, real_cost: tf.Tensor, fake_costs: dict[str, tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        """{loss name: scalar} from the results of `terms`: one loss for each player, see the top of this file."""
        w, r, total = self.similarity_weight, self.real_weight, tf.add_n(list(fake_costs.values()))
        fake_cost = total / len(fake_costs)
        return {
            "encoder_loss": kl + similarity,
            "decoder_loss": w * similarity - (1.0 - w) * total,
            "discriminator_loss": r * real_cost + (1.0 - r) * fake_cost,
            "kl": kl, "similarity": similarity, "real_cost": real_cost, "fake_cost": fake_cost,
        }  # fmt: skip

    def turns(self, real_cost: tf.Tensor, fake_cost: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The balance rule: (bool scalar: update the decoder, bool scalar: update the discriminator) at these costs."""
        if self.margin is None:
            return tf.constant(True), tf.constant(True)
        decoder = tf.maximum(real_cost, fake_cost) <= self.equilibrium + self.margin
        discriminator = tf.minimum(real_cost, fake_cost) >= self.equilibrium - self.margin
        neither = tf.logical_not(decoder | discriminator)
        return decoder | neither, discriminator | neither

    def update(self, batch):
        images, turns = batch["image"], {}
        noise, prior = (self.noise([self.latent_dim], tf.shape(images)[0], stream=stream) for stream in range(2))

        def when(losses):
            turns["decoder"], turns["discriminator"] = self.turns(losses["real_cost"], losses["fake_cost"])
            return turns

        losses = self.step_players(
            {name: f"{name}_loss" for name in self.players()}, lambda: self.losses_of(*self.terms(images, noise, prior)),
            when=when,
        )  # fmt: skip
        return losses | {f"{name}_skipped": 1.0 - tf.cast(turn, tf.float32) for name, turn in turns.items()}

    def evaluation_losses(self, batch):
        images = batch["image"]
        noise, prior = (self.evaluation_noise(tf.shape(images)[0], self.seed, draw) for draw in range(2))
        return self.losses_of(*self.terms(images, noise, prior, training=False))


# ---- the three networks


def _block(layer, dtype):
    norm = batch_norm(dtype, f"{layer.name}_norm", epsilon=1e-6, gamma_initializer="ones")
    return [layer, norm, layers.ReLU(dtype=dtype)]


def _down(filters, name, dtype):
    return layers.Conv2D(filters, 5, strides=2, padding="same", use_bias=False, dtype=dtype, name=name)


def _encoder(widths, latent_dim, dtype):
    *filters, dense = widths
    found = []
    for i, n in enumerate(filters):
        found += _block(_down(n, f"down_{i}", dtype), dtype)
    found += [layers.Flatten(dtype=dtype), *_block(layers.Dense(dense, use_bias=False, dtype=dtype, name="hidden"), dtype)]
    found.append(layers.Dense(2 * latent_dim, dtype=dtype, name="moments"))  # mean and ln variance
    return keras.Sequential(found, name="encoder")


def _decoder(widths, image_shape, dtype):
    sides = [image_shape[:2]]  # [grid, ..., image]
    for _ in widths[1:]:
        sides.insert(0, tuple(-(-side // 2) for side in sides[0]))
    grid = (*sides[0], widths[0])
    found = _block(layers.Dense(grid[0] * grid[1] * grid[2], use_bias=False, dtype=dtype, name="grid"), dtype)
    found.append(layers.Reshape(grid, dtype=dtype))
    for i, (n, small, large) in enumerate(zip(widths[1:], sides, sides[1:], strict=False)):
        conv = {"strides": 2, "padding": "same", "use_bias": False, "dtype": dtype, "name": f"up_{i}"}
        found += _block(layers.Conv2DTranspose(n, 5, **conv), dtype)
        excess = [(0, 2 * a - b) for a, b in zip(small, large, strict=True)]  # of an odd side
        found += [layers.Cropping2D(excess, dtype=dtype)] if any(n for _, n in excess) else []
    found.append(layers.Conv2D(image_shape[2], 5, padding="same", activation="tanh", dtype=dtype, name="out"))
    return keras.Sequential(found, name="decoder")


def _discriminator(widths, similarity_layer, dtype):
    first, *filters, dense = widths
    found = [layers.Conv2D(first, 5, padding="same", dtype=dtype, name="conv"), layers.ReLU(dtype=dtype)]
    convolutions = [0]
    for i, n in enumerate(filters):
        convolutions.append(len(found))
        found += _block(_down(n, f"down_{i}", dtype), dtype)
    found += [layers.Flatten(dtype=dtype), *_block(layers.Dense(dense, use_bias=False, dtype=dtype, name="hidden"), dtype)]
    found.append(layers.Dense(1, dtype=dtype, name="logit"))
    end = convolutions[similarity_layer] + 1
    return keras.Sequential(found[:end], name="trunk"), keras.Sequential(found[end:], name="head")
