"""PPGN: images of a class, of a neuron or around known pixels, from one generator and any classifier, by chains of codes.

Nguyen, Clune, Bengio, Dosovitskiy, Yosinski, "Plug & Play Generative Networks: Conditional Iterative Generation of Images in
Latent Space", CVPR 2017, arXiv:1612.00005; settings as in the authors' code (Evolving-AI-Lab/ppgn).

The idea: p(x, y) = p(x) p(y|x), so a sampler needs the gradient of a prior p(x) and that of any classifier p(y|x), which can
be changed without training. A denoising autoencoder R has the gradient of a prior: (R(h) - h) / sigma^2 is about that of
log p(h). And a chain of codes h of a generator G mixes faster than one of pixels:

    h <- h + eps1 (R(h) - h) + eps2 d log p(y | G(h)) / d h + N(0, eps3^2)                                   (eq. 11)

see `parts/mala.py` for the step of the released code. The variants differ in R and in how G was trained:

    PPGN                                                                            section
      prior="pixels"       PPGN-x: h is the image, R a denoiser of pixels             3.1
      prior="none"         DGN-AM: no prior but G and the bounds of codes             3.2
      prior="codes"        PPGN-h: R a denoiser of codes, dense layers                3.3
      prior="linear"       the best linear R, in closed form, which the paper has not
      prior="autoencoder"  R(h) = E(G(h)), h -> x -> h, with a G of DeePSiM            3.5, noiseless joint PPGN-h
    JointPPGN              trains G for R(h) = E(G(h)), with or without noise          3.4 and 3.5

E is the encoder whose codes G turns into images; it, G in `PPGN`, and the condition network are fixed. A noiseless JointPPGN
is trained as DeePSiM is. With noise, E and G are three denoisers in one, of x, of the maps h1 and of the code h,

    h1~ = E1(x + n_x) + n_h1,   h~ = E2(h1~) + n_h,   x' = G(h~)
    L = image_weight |x' - x|^2 + feature_weight |E1(x') - E1(x)|^2 + code_weight |E(x') - E(x)|^2 + L_GAN

What differs from the paper: images are in [0, 1], so the epsilons have other scales. Its noise levels are not published:
here that of x is in units of [0, 1], those of h1 and h are relative to the root mean square of the row's activations. D sees
the code of the image without noise. In a chain of several classes each has the same number of steps (the released loop gives
the first one more). As in the released code, the last image is the result, not that of the highest probability.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import keras
import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.features import FeatureNetwork
from tfgen.models.base import TrainableModel
from tfgen.models.synthesis.deepsim import DeePSiM
from tfgen.models.synthesis.parts.chains import Bounds, ChainModel
from tfgen.models.synthesis.parts.denoisers import code_network, image_network, linear_denoiser
from tfgen.models.synthesis.parts.fixed_features import Given, fixed_features
from tfgen.models.synthesis.parts.scores import within
from tfgen.settings import NOT_EMPTY, ImageShape, NonNegativeFloat, PositiveFloat, Widths
from tfgen.training.players import Player

Prior = Literal["autoencoder", "codes", "linear", "none", "pixels"]


@keras.saving.register_keras_serializable("tfgen")
class PPGN(ChainModel):
    """Chains of codes of a fixed generator. Only the denoisers of "codes" and "pixels" are trained.

    The others need no `fit`: call `initialize({"image": images})` once, which sets the bounds of codes and the linear
    prior. `sample` takes `labels`, `maximize` units, `complete` images and a mask; `chain` returns all steps.

    Loss: the squared error of the denoiser over the energy of the noise. 1 means that it has learned nothing.

    Example:
        >>> encoder = tfgen.features.encoder_network((8, 8, 1), 10, units=5)
        >>> trained = tfgen.models.DeePSiM(image_shape=(8, 8, 1), encoder=encoder, encoder_layers=("code", "maps"))
        >>> model = tfgen.models.PPGN(
        ...     image_shape=(8, 8, 1), generator=trained.generator, encoder=encoder, encoder_layer="code", condition=encoder)
        >>> model.initialize({"image": tf.random.uniform([20, 8, 8, 1])})
        >>> model.chain(seeds=[0, 1], units=[3, 4], steps=10).image.shape
        TensorShape([2, 11, 8, 8, 1])

    Args:
        image_shape: (H, W, C).
        prior: R, see the top of this file.
        generator: G, codes [B, ...] -> images [B, H, W, C] in [0, 1]: a `keras.Model`, such as `DeePSiM.generator`, or the
            path of its .keras file. It is no part of the model. Not for "pixels".
        encoder: E, in the forms that `tfgen.features.get` takes. Not for "pixels".
        encoder_layer: its layer with the codes that G was made for; None: the output.
        prior_widths: of the denoiser: units of its dense layers, or filters of its convolutions, see `parts/denoisers.py`.
        prior_noise: sigma, for codes relative to their standard deviation, for pixels in [0, 1]; None: 1 and 0.25. At 0.1 a
            narrow network of codes learns nothing.
        code_bounds: see `ChainModel`; of "pixels" they are [0, 1].
        **kwargs: see `ChainModel` and `TrainableModel`.

    Raises:
        ValueError: a network is missing, or not needed; the codes of E are not those that G takes.
    """

    def __init__(
        self, *, image_shape: ImageShape, prior: Prior = "autoencoder", generator: Given | None = None,
        encoder: Given | None = None, encoder_layer: str | None = None,
        prior_widths: Annotated[Widths, NOT_EMPTY] = (2048, 1024, 500, 1024, 2048), prior_noise: PositiveFloat | None = None,
        code_bounds: Bounds | None = None, **kwargs,
    ):  # fmt: skip
        of_pixels = prior == "pixels"
        super().__init__(image_shape=image_shape, code_bounds=(0.0, 1.0) if of_pixels else code_bounds, **kwargs)
        if of_pixels:
            self.check_without_effect('prior="pixels"', "generator", "encoder", "encoder_layer", "code_bounds")
        if prior not in ("codes", "pixels"):
            self.check_without_effect(f'prior="{prior}"', "prior_widths")
        if prior in ("none", "autoencoder"):
            self.check_without_effect(f'prior="{prior}"', "prior_noise")
        self.prior = prior
        self.generator: Any = None
        self.encoder: Any = None
        self.denoiser: Any = None
        self.noise_level = float(prior_noise or (0.25 if of_pixels else 1.0))
        self.latent_dim = math.prod(self.image_shape)
        if not of_pixels:
            self._fixed(generator, encoder, encoder_layer)
        state = {"trainable": False, "autocast": False}
        if of_pixels:
            self.denoiser = image_network(self.image_shape, prior_widths, self.dtype_policy)
            self.denoiser.build((None, *self.image_shape))
        elif prior == "codes":  # the network sees codes of mean 0 and standard deviation 1, if `initialize` was called
            self.denoiser = code_network(self.latent_dim, prior_widths, self.dtype_policy)
            self.denoiser.build((None, self.latent_dim))
            self.code_moments = self.add_weight(name="code_moments", shape=[2, self.latent_dim], initializer=_unit, **state)
        elif prior == "linear":
            shape = [self.latent_dim] * 2
            self.matrix = self.add_weight(name="matrix", shape=shape, initializer="identity", **state)
            self.offset = self.add_weight(name="offset", shape=shape[:1], initializer="zeros", **state)
        self.initialized_by_data |= prior in ("codes", "linear")
        if prior in ("codes", "linear"):
            start = keras.initializers.Constant(self.noise_level)
            self.sigma = self.add_weight(name="sigma", shape=[], initializer=start, **state)
        self.built = True

    def _fixed(self, generator, encoder, encoder_layer):
        for name, given in (("generator", generator), ("encoder", encoder)):
            if given is None:
                raise ValueError(f"{name} is needed, a network or its .keras file, unless prior is 'pixels'; received None.")
        self.encoder = fixed_features("encoder", encoder, encoder_layer and [encoder_layer], self.image_shape)
        code = next(iter(self.encoder(tf.zeros([1, *self.image_shape])).values())).shape[1:]
        self.generator, self.latent_dim = fixed_features("generator", generator, None, code), code.num_elements()
        made = self.image_of(tf.zeros([1, self.latent_dim])).shape[1:]
        if tuple(made) != self.image_shape:
            raise ValueError(f"generator must make images {self.image_shape}; it makes {tuple(made)}.")
        self._config.update(generator=self.generator.get_config(), encoder=self.encoder.get_config())

    def held(self):
        own = {} if self.encoder is None else {"generator": self.generator, "encoder": self.encoder}
        return super().held() | own

    # ---- the prior

    def players(self):
        return {"prior": Player(() if self.denoiser is None else self.denoiser)}

    def initialize(self, batch):
        """Sets, from the codes of images {"image": float32 [B, H, W, C] in [0, 1]}, the bounds of codes, the moments with
        which the denoiser of codes is scaled, and the linear prior, whose covariance needs many times latent_dim images.
        """
        super().initialize(batch)
        if self.prior not in ("codes", "linear"):
            return
        codes = np.asarray(self.code_of(self.check_images(batch["image"])), np.float64)
        spread = np.sqrt(codes.var(axis=0).mean()) or 1.0
        self.sigma.assign(self.noise_level * spread)
        if self.prior == "codes":
            self.code_moments.assign([codes.mean(axis=0), np.maximum(codes.std(axis=0), 0.01 * spread)])
        else:
            covariance = np.cov(codes, rowvar=False, bias=True).reshape([self.latent_dim] * 2)
            matrix, offset = linear_denoiser(codes.mean(axis=0), covariance, self.noise_level * spread)
            self.matrix.assign(matrix)
            self.offset.assign(offset)

    def unmeasured(self):
        found = super().unmeasured()
        if self.prior == "linear" and np.array_equal(keras.ops.convert_to_numpy(self.matrix), np.eye(self.latent_dim)):
            return "the linear prior has no effect" + (f", and {found}" if found else "")
        return found

    def with_settings(self, **changed):
        if "prior_noise" in changed and self.prior in ("codes", "linear"):
            raise ValueError(
                f'prior_noise has no effect on a prior="{self.prior}" that exists: make a new PPGN and initialize it.'
            )
        return super().with_settings(**changed)

    def denoised(self, codes, images):
        if self.prior == "none":
            return None
        return self.code_of(images) if self.prior == "autoencoder" else self.denoise(codes)

    def denoise(self, codes: tf.Tensor, training: bool = False) -> tf.Tensor:
        """R(codes), float32 [B, latent_dim], of codes float32 [B, latent_dim]; not for "none" and "autoencoder"."""
        if self.prior == "linear":
            return tf.einsum("bi,oi->bo", codes, tf.convert_to_tensor(self.matrix)) + self.offset
        if self.prior == "codes":
            mean, scale = tf.unstack(tf.convert_to_tensor(self.code_moments))
            return mean + scale * tf.cast(self.denoiser((codes - mean) / scale, training=training), tf.float32)
        images = tf.reshape(codes, [-1, *self.image_shape])
        return tf.reshape(tf.cast(self.denoiser(images, training=training), tf.float32), tf.shape(codes))

    def denoising_error(self, images: tf.Tensor, noise: tf.Tensor, training: bool = False) -> tf.Tensor:
        """|R(h + sigma n) - h|^2 / |sigma n|^2 in the mean, float32 [B]; noise: n, N(0, 1), float32 [B, latent_dim]."""
        codes = self.code_of(images)
        sigma = self.noise_level if self.prior == "pixels" else tf.convert_to_tensor(self.sigma)
        missed = self.denoise(codes + sigma * noise, training) - codes
        return tf.reduce_mean(tf.square(missed / sigma), axis=1)

    def update(self, batch):
        noise = self.noise([self.latent_dim], tf.shape(batch["image"])[0], stream=0)

        def losses_fn():
            return {"loss": tf.reduce_mean(self.denoising_error(batch["image"], noise, training=True))}

        if self.denoiser is None:
            return losses_fn() if self.prior == "linear" else {"loss": tf.constant(0.0)}
        return self.step_players({"prior": "loss"}, losses_fn)

    def evaluation_losses(self, batch):
        if self.prior in ("none", "autoencoder"):
            return {}
        rows = random.fold(random.key(self.seed), tf.range(tf.shape(batch["image"])[0]))
        return {"loss": self.denoising_error(batch["image"], random.normal(rows, self.latent_dim))}

    # ---- codes

    def code_of(self, images):
        code = images if self.encoder is None else next(iter(self.encoder(images).values()))
        return tf.reshape(code, [-1, self.latent_dim])

    def image_of(self, codes):
        if self.generator is None:
            return within(tf.reshape(codes, [-1, *self.image_shape]))
        made = next(iter(self.generator(tf.reshape(codes, [-1, *self.generator.image_shape])).values()))
        return within(made)

    def reconstruct(self, images):
        """G(E(images)); of "pixels" the image without noise, R(images)."""
        codes = self.encode(images)
        return self.image_of(self.denoise(codes) if self.prior == "pixels" else codes)


def _unit(shape, dtype=None):
    """Means of 0 and standard deviations of 1, [2, Z]."""
    return tf.stack([tf.zeros(shape[1:], dtype), tf.ones(shape[1:], dtype)])


@keras.saving.register_keras_serializable("tfgen")
class JointPPGN(ChainModel, DeePSiM):
    """A DeePSiM whose generator and encoder are the prior of its chains, R(h) = E(G(h)).

    Losses: those of `DeePSiM`; with `code_weight`, `feature_loss` has the error of the code, too.

    Example:
        >>> network = tfgen.features.encoder_network((8, 8, 1), 10, units=5)
        >>> model = tfgen.models.JointPPGN(
        ...     image_shape=(8, 8, 1), encoder=network, encoder_layers=("code", "maps"), noise=(0.1, 0.3, 0.3),
        ...     code_weight=1.0)
        >>> model.sample(2, labels=[3, 4]).shape
        TensorShape([2, 8, 8, 1])

    Args:
        image_shape: (H, W, C).
        encoder, encoder_layers: see `DeePSiM`. With noise, two layers: the code, and the maps h1 from which it is computed.
        noise: standard deviations of the noise on x, h1 and h in training; zeros: noiseless.
        code_weight: of the error of the code E(G(h)), relative where the feature losses are.
        condition: see `ChainModel`; None: `encoder`, whose output must then be scores, as of `tfgen.features.train_encoder`.
        **kwargs: see `DeePSiM`, `ChainModel` and `TrainableModel`.

    Raises:
        ValueError: as `DeePSiM` and `ChainModel`; with noise, E has not two layers, or the code does not follow from the
            maps.
    """

    def __init__(
        self, *, image_shape: ImageShape, encoder: Given, encoder_layers: Sequence[str] | None = None,
        noise: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat] = (0.0, 0.0, 0.0),
        code_weight: NonNegativeFloat = 0.0, condition: Given | None = None, **kwargs,
    ):  # fmt: skip
        super().__init__(
            image_shape=image_shape, encoder=encoder, encoder_layers=encoder_layers,
            condition=encoder if condition is None and self._config["epsilons"][1] else condition, **kwargs,
        )  # fmt: skip
        self.noise_levels, self.code_weight = tuple(map(float, noise)), float(code_weight)
        self.upper: Any = self._upper() if any(noise) else None

    def _upper(self):
        """E2, h1 -> h."""
        try:
            code, maps = self.encoder.network.outputs
            return FeatureNetwork(keras.Model(maps, code, name="upper"))
        except (ValueError, KeyError) as error:
            raise ValueError(
                f"noise needs two encoder_layers, the code and the maps from which it is computed; received "
                f"{self.encoder.layers}."
            ) from error

    def held(self):
        return super().held() | {"encoder": self.encoder, "comparator": self.comparator}

    def noisy_code(self, images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        """h~, float32 [B, Z]; keys: uint64 [B]."""
        of_image, of_maps, of_code = self.noise_levels

        def noisy(values, level, stream, relative=True):
            drawn = tf.reshape(random.normal(random.fold(keys, stream), math.prod(values.shape[1:])), tf.shape(values))
            axes = list(range(1, values.shape.rank))
            size = tf.sqrt(tf.reduce_mean(tf.square(values), axis=axes, keepdims=True)) if relative else 1.0
            return values + level * size * drawn

        _, maps = self.encoder(noisy(images, of_image, 2, relative=False)).values()
        (code,) = self.upper(noisy(maps, of_maps, 3)).values()
        return noisy(code, of_code, 4)

    def losses_of(self, images, training=False, keys=None):
        if self.upper is None and not self.code_weight:
            return super().losses_of(images, training, keys)
        code, target = self.code_and_features(images)
        code = tf.stop_gradient(code)
        noisy = code if keys is None or self.upper is None else tf.stop_gradient(self.noisy_code(images, keys))
        made = self.decode_raw(noisy, training)
        again, found = self.code_and_features(made)
        pairs = zip(self.feature_weights, target, found, strict=True)
        features = tf.add_n([weight * self.feature_loss(real, fake) for weight, real, fake in pairs])
        features += self.code_weight * self.feature_loss(code, again)
        return self.combined(tf.reduce_mean(tf.square(made - images)), features, images, made, code, training, keys)

    # ---- codes

    def code_of(self, images):
        return tf.reshape(self.code_and_features(images)[0], [-1, self.latent_dim])

    def image_of(self, codes):
        return within(self.decode_raw(tf.reshape(codes, [-1, *self.code_shape])))

    def denoised(self, codes, images):
        return self.code_of(images)

    def signatures(self):
        return TrainableModel.signatures(self)  # `decode` is that of chains, which begin at the codes
