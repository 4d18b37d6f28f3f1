"""Every public model with tiny arguments. A new model adds one line here."""

import dataclasses
import tempfile

import keras
import numpy as np
import tensorflow as tf

from tests.skeletons.inversion import Inversion
from tests.skeletons.ppgn import PPGN as PPGNSkeleton
from tfgen.features import encoder_network
from tfgen.models import (
    DCGAN,
    DCIGN,
    DFCVAE,
    DGNAM,
    DRAW,
    EBGAN,
    GAN,
    GMVAE,
    IGAN,
    PPGN,
    SAGAN,
    SNGAN,
    SSGAN,
    TVSN,
    VAE,
    VAEGAN,
    WGAN,
    WGANGP,
    AdaINStyleTransfer,
    Autoencoder,
    BigGAN,
    CycleGAN,
    DeePSiM,
    FactorizedPrior,
    FastStyleTransfer,
    FractalNet,
    GatedPixelCNN,
    GlimpseClassifier,
    ImprovedGAN,
    InfoGAN,
    JointPPGN,
    MultiScalePixelRNN,
    Pix2Pix,
    Pix2PixHD,
    PixelCNN,
    PixelCNNAutoencoder,
    PixelCNNPP,
    PixelRNN,
    ProgressiveGAN,
    ScaleHyperprior,
    StackGAN,
    StackGANv2,
    StyleGAN,
    Vid2Vid,
)
from tfgen.models.capabilities import CAPABILITIES, Likelihood, Sampler


@dataclasses.dataclass(frozen=True)
class Case:
    """How the conformance suite builds a model.

    Attributes:
        model: its class.
        args: tiny constructor arguments.
        falling: the loss that must fall when the model sees one batch again and again.
        binary: whether images must be 0 or 1.
        fixed: {name of an integer field: its value in every row of a batch}; else integers are random.
        without: capabilities of the class that this instance does not have.
        bfloat16: whether it can be trained in bfloat16; else it must be refused.
        long: whether its tests run in `make test-long` alone, as those of a larger variant of a model.
        labels: the number of classes that it takes as labels, if no argument says so.
    """

    model: type
    args: dict
    falling: str = "loss"
    binary: bool = False
    fixed: dict = dataclasses.field(default_factory=dict)
    without: tuple = ()
    bfloat16: bool = True
    long: bool = False
    labels: int = 0

    @property
    def capabilities(self):
        """Those that the model must have: of its class, but for `without`."""
        return tuple(c for c in CAPABILITIES if issubclass(self.model, c) and c not in self.without)

    @property
    def fields(self):
        """The `tfgen.fields.Field`s of a training batch."""
        parameters = self.model.config_parameters().values()
        return self.model.fields_of({**{p.name: p.default for p in parameters}, **self.args})

    def build(self, **extra):
        return self.model(**self.args, **extra)

    def batch(self, size=8, seed=0):
        """{field name: NumPy array}: images are soft blobs whose place depends on the label. Labels are always there."""
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, CLASSES, size).astype("int32")
        batch = {"image": self._images(self.args["image_shape"], labels, rng), "label": labels}
        for field in self.fields:
            if field.name in self.fixed:
                batch[field.name] = np.full(size, self.fixed[field.name], "int32")
            elif field.encoded and field.name != "image":
                batch[field.name] = self._images(field.shape, labels, rng)
            elif field.classes:
                classes = rng.integers(0, field.classes, (size, *field.stored_shape))
                batch[field.name] = np.eye(field.classes, dtype="float32")[classes]
            elif field.name not in batch:
                batch[field.name] = _values(field.shape, field.dtype, size, rng)
        return batch

    def _images(self, shape, labels, rng):
        *more, height, width, channels = shape  # clips have frames besides
        rows, columns = np.mgrid[:height, :width]
        centre = 1 + labels * (height - 3) / 2
        blobs = np.exp(-((rows[None] - centre[:, None, None]) ** 2 + (columns[None] - width / 2) ** 2) / 4)
        blobs = blobs.reshape(len(labels), *[1] * len(more), height, width, 1)
        images = np.clip(blobs + 0.1 * rng.random((len(labels), *shape)), 0, 1).astype("float32")
        levels = 2 if self.binary else self.args.get("levels")
        return np.round(images * (levels - 1)) / np.float32(levels - 1) if levels else images

    def conditions(self, num):
        """{argument: values for `num` images} of what the model's verbs take beside images and seeds."""
        classes = self.labels or (self.args.get("num_classes", 0) if Sampler in self.capabilities else 0)
        found = {"labels": np.arange(num, dtype="int32") % classes} if classes else {}
        rng = np.random.default_rng(1)  # more rows begin with those of fewer
        vectors = [field for field in self.fields if field.name == "embedding"] if Sampler in self.capabilities else []
        return found | {field.argument: _values(field.shape, field.dtype, num, rng) for field in vectors}

    def inputs(self, specs, num):
        """{name: tensor} for a signature with the specs {name: tf.TensorSpec}, `num` rows."""
        rng, found = np.random.default_rng(0), {}
        batch = self.batch(num)
        for name, spec in specs.items():
            if name == "seeds":
                values = np.arange(num)
            elif name == "examples":
                label = {"label": 2} if "labels" in self.conditions(1) else {}
                values = [example(seed=i, **label) for i in range(num)]
            elif name == "mask":
                values = np.round(rng.random((num, *spec.shape[1:])))
            elif name == "truncation":
                values = rng.uniform(0.1, 2.0, num)
            elif name == "codes":  # the categorical ones among them are numbers of categories
                values = np.zeros((num, *spec.shape[1:]))
            elif name == "layers":
                values = rng.integers(0, 2, (num, *spec.shape[1:]))
            elif name in batch:
                values = batch[name]
                if values.ndim > spec.shape.rank:  # one frame of a clip
                    values = values[:, 0]
                values = values[tuple(map(slice, spec.shape))]  # or its first frames
            elif spec.dtype.is_integer:
                values = np.arange(num) % CLASSES
            elif name == "latent":  # those of autoregressive models are uniform numbers
                values = rng.uniform(0.01, 0.99, (num, *spec.shape[1:]))
            else:
                values = rng.random((num, *spec.shape[1:]))
            found[name] = tf.constant(values, spec.dtype)
        return found


CLASSES = 3  # of every label and other integer


def _values(shape, dtype, size, rng):
    if dtype == "int32":
        return rng.integers(0, CLASSES, (size, *shape)).astype(dtype)
    return rng.random((size, *shape), "float32")


def example(**features):
    """A serialized tf.Example of integers or floats."""
    made = tf.train.Example()
    for name, value in features.items():
        value, feature = np.atleast_1d(value), made.features.feature[name]
        (feature.float_list if value.dtype.kind == "f" else feature.int64_list).value.extend(value)
    return made.SerializeToString()


_SMALL = {"image_shape": (8, 8, 1), "latent_dim": 3}
_DCGAN = {**_SMALL, "width": 4, "stages": 1}
_PIXELS = {"image_shape": (8, 8, 1), "width": 4, "depth": 1, "head_width": 8, "first_kernel_size": 3}
_PLUS = {"image_shape": (8, 8, 1), "levels": 5, "width": 4, "resnets": 1, "components": 2, "dropout": 0.1, "num_classes": 3}
_CONV = {**_SMALL, "width": 4, "network_args": {"stages": 1}}
# With a seed: then the architecture alone makes the same features again.
_SEEDED = {"kernel_initializer": keras.initializers.GlorotUniform(seed=0), "name": "conv"}
_FEATURES = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, activation="tanh", **_SEEDED)])

# With seeds, so that every process has the same weights.
_GENERATOR = keras.Sequential(
    [
        keras.Input((3,)),
        keras.layers.Dense(64, "sigmoid", kernel_initializer=keras.initializers.GlorotUniform(seed=0)),
        keras.layers.Reshape((8, 8, 1)),
    ]
)
# A folder that lasts as long as the process, for models whose config has the path of a generator.
_FOLDER = tempfile.TemporaryDirectory(prefix="tfgen-registry-")
_GENERATOR_FILE = f"{_FOLDER.name}/generator.keras"
_GENERATOR.save(_GENERATOR_FILE)
_ENCODER = keras.saving.serialize_keras_object(encoder_network((8, 8, 1), 3, filters=(3, 4), units=5))
_CHAINS = {"chain_steps": 4, "rate": 0.3, "epsilons": (1e-3, 1.0, 1e-3)}
_CODES_OF_3 = keras.saving.serialize_keras_object(encoder_network((8, 8, 1), 3, filters=(3, 4), units=3, seed=1))
_RANDOM_CONV = {"maker": "random_conv", "arguments": {"filters": [4, 6]}}
_ADAIN = {"image_shape": (8, 8, 1), "feature_network": _RANDOM_CONV, "decoder_filters": ((4,), (4,)), "style_weight": 0.1}

CASES = {
    "vae-mlp-bernoulli": Case(VAE, {**_SMALL, "hidden": (16,)}, binary=True),
    "vae-conv-logistic": Case(
        VAE, {**_SMALL, "network": "conv", "hidden": (4, 8, 16), "likelihood": "discretized_logistic", "levels": 17}
    ),
    "vae-mlp-gaussian": Case(VAE, {**_SMALL, "hidden": (16,), "likelihood": "gaussian", "levels": 17}, long=True),
    "draw": Case(DRAW, {"image_shape": (8, 8, 1), "glimpses": 2, "hidden": 6, "z_size": 2}, binary=True, long=True),
    "draw-attention": Case(
        DRAW, {"image_shape": (8, 8, 1), "glimpses": 2, "hidden": 6, "z_size": 2, "read_size": 3, "write_size": 3},
        binary=True,
    ),
    "glimpse-classifier": Case(
        GlimpseClassifier, {"image_shape": (8, 8, 1), "num_classes": 3, "glimpses": 2, "hidden": 6, "read_size": 3}
    ),
    # Steps of all columns and of each one alone, so several kinds; dropout.
    "fractal-net": Case(
        FractalNet, {"image_shape": (8, 8, 1), "num_classes": 3, "filters": (3, 4), "columns": 2, "dropout": (0.0, 0.1)}
    ),
    "fractal-net-column-losses": Case(
        FractalNet,
        {"image_shape": (8, 8, 1), "num_classes": 3, "filters": (3, 4), "columns": 2, "column_losses": True,
         "own_statistics": False, "affine": True},
        long=True,
    ),
    "autoencoder": Case(Autoencoder, {**_SMALL, "hidden": (4, 8)}),
    # Free bits at which the z-term ends within a few steps: replicas must agree on when.
    "gmvae": Case(
        GMVAE,
        {**_SMALL, "num_clusters": 3, "style_dim": 2, "hidden": (8,), "prior_hidden": 8, "free_bits": 0.2, "num_samples": 2},
        binary=True,
    ),
    "dfc-vae": Case(
        DFCVAE,
        {**_SMALL, "width": 4, "stages": 1, "feature_network": keras.saving.serialize_keras_object(_FEATURES),
         "feature_layers": ("conv",), "feature_weight": 100.0},
    ),
    "vae-gan": Case(
        VAEGAN,
        {**_SMALL, "encoder_widths": (4, 8), "decoder_widths": (4, 4), "discriminator_widths": (3, 4, 5),
         "similarity_layer": 1, "similarity_weight": 0.1},
        falling="encoder_loss",
    ),
    # In the batch the first of two factors varies; replicas must agree on the mean of the other latents.
    "dc-ign": Case(
        DCIGN,
        {**_SMALL, "factors": ("azimuth", "light"), "filters": (4,), "kernel_size": 3, "decoder_filters": (),
         "decoder_kernel_size": 3, "invariance": 1.0},
        fixed={"active": 0},
    ),
    "wgan": Case(WGAN, {**_CONV, "thorough_turns": 1, "thorough_every": 2, "thorough_steps": 3, "discriminator_steps": 2},
                 falling="discriminator_loss"),
    "wgan-gp": Case(WGANGP, {**_CONV, "discriminator_steps": 2}, falling="discriminator_loss", long=True),
    "sngan": Case(SNGAN, {**_CONV, "discriminator_steps": 1}, falling="discriminator_loss"),
    "sagan": Case(
        SAGAN, {**_SMALL, "width": 8, "attention_size": 4, "num_classes": 3, "network_args": {
            "generator": {"stages": 2}, "discriminator": {"downs": 1}}}, falling="discriminator_loss",
    ),
    # All images are turned: of a part, by design others are turned where a batch is divided.
    "ss-gan": Case(
        SSGAN, {**_SMALL, "network": "resnet", "width": 4, "rotated_share": 1.0, "alpha_steps": 4, "self_modulated": True},
        falling="discriminator_loss",
    ),
    "style-gan": Case(
        # Groups of one, since those of several images are within a replica.
        StyleGAN, {"image_shape": (8, 8, 1), "latent_dim": 3, "w_size": 4, "mapping_depth": 2, "max_filters": 4,
                   "num_classes": 3, "group_size": 1}, falling="discriminator_loss",
    ),
    # Three phases in the first steps, and a lazy penalty.
    "style-gan-growing": Case(
        StyleGAN, {"image_shape": (8, 8, 1), "latent_dim": 3, "w_size": 4, "mapping_depth": 2, "max_filters": 4,
                   "group_size": 1, "growing": True, "start_size": 2, "first_level": 1, "level_batch_sizes": 8,
                   "stable_images": 16, "fade_images": 32, "penalty_interval": 3}, falling="discriminator_loss", long=True,
    ),
    "biggan": Case(
        BigGAN,
        {"image_shape": (8, 8, 1), "width": 2, "num_classes": 3, "shared_dim": 4, "latent_dim": 6,
         "network_args": {"generator": {"filters": (8, 8)}, "discriminator": {"filters": (8, 8), "downs": 1}}},
        falling="discriminator_loss",
    ),
    # Three phases in the first steps. With a group of one: by design others depend on how a batch is divided.
    "progressive-gan": Case(
        ProgressiveGAN,
        {"image_shape": (8, 8, 1), "latent_dim": 3, "start_size": 2, "width": 4, "first_level": 1, "level_batch_sizes": 8,
         "stable_images": 16, "fade_images": 32, "group_size": 1, "num_classes": 3},
        falling="discriminator_loss",
    ),
    "sngan-projection-resnet": Case(
        SNGAN,
        {**_SMALL, "network": "resnet", "width": 4, "num_classes": 3, "discriminator_steps": 1, "generator_batch_factor": 2},
        falling="discriminator_loss",
    ),
    # A pool that is full after a few steps of eight images.
    "cycle-gan": Case(
        CycleGAN,
        {"image_shape": (8, 8, 1), "width": 4, "blocks": 1, "halvings": 1, "discriminator_width": 4,
         "discriminator_layers": 1, "identity_weight": 0.5, "pool_size": 12},
        falling="generator_loss",
    ),
    "gan-maxout": Case(GAN, {**_SMALL, "width": 16}, falling="discriminator_loss"),
    "gan-conv-maxout": Case(
        GAN, {**_SMALL, "network": "conv_maxout", "width": 8, "num_classes": 3, "objective": "minimax"},
        falling="discriminator_loss", long=True,
    ),
    # Without the pulling-away term, which compares the codes of one replica.
    "ebgan": Case(EBGAN, {**_SMALL, "width": 4, "depth": 1, "encoder": (4, 8)}, falling="discriminator_loss"),
    "ebgan-mlp-squared": Case(
        EBGAN, {**_SMALL, "network": "mlp", "width": 16, "encoder": (16, 8), "energy": "squared", "num_classes": 3},
        falling="discriminator_loss", long=True,
    ),
    "infogan": Case(
        InfoGAN,
        {"image_shape": (8, 8, 1), "width": 4, "network_args": {"stages": 2, "dense_width": 8}, "categorical": (3, 2),
         "continuous": 1, "noise_dim": 2, "code_stddev": None},
        falling="discriminator_loss",
    ),
    "improved-gan-semi-supervised": Case(
        ImprovedGAN,
        {**_SMALL, "widths": (8, 8), "generator_widths": (8,), "num_labels": 3, "feature_matching": "squared",
         "historical_weight": 0.1},
        falling="discriminator_loss",
    ),
    # Without minibatch discrimination, which by design depends on how a batch is divided.
    "improved-gan-virtual-batch-norm": Case(
        ImprovedGAN,
        {**_SMALL, "widths": (8,), "generator_widths": (8,), "dropout": (0.1, 0.5), "real_target": 0.9, "reference_size": 3,
         "generator_steps": 2, "num_labels": 3},
        falling="supervised_loss", long=True,
    ),
    "pixel-cnn-binary": Case(PixelCNN, {**_PIXELS, "levels": 2}, falling="nll", binary=True),
    "gated-pixel-cnn-classes": Case(
        GatedPixelCNN, {**_PIXELS, "levels": 5, "num_classes": 3, "map_channels": 2}, falling="nll"
    ),
    "pixel-cnn-autoencoder": Case(
        PixelCNNAutoencoder, {**_PIXELS, "levels": 5, "embedding_dim": 3, "encoder_widths": (4,)}, falling="nll",
        without=(Likelihood,),
    ),
    "pixel-cnn-pp": Case(PixelCNNPP, {**_PLUS, "halvings": 0, "dropout": 0.0}, falling="nll"),  # the next one has dropout
    "pixel-cnn-pp-halved": Case(PixelCNNPP, {**_PLUS, "halvings": 1}, falling="nll", long=True),
    "pixel-rnn-diagonal": Case(PixelRNN, {**_PIXELS, "levels": 5, "num_classes": 3}, falling="nll"),
    "multi-scale-pixel-rnn": Case(
        MultiScalePixelRNN, {**_PIXELS, "levels": 5, "cell": "row", "map_channels": 3}, falling="nll"
    ),
    "factorized-prior": Case(FactorizedPrior, {"image_shape": (8, 8, 1), "width": 4, "distortion_weight": 1e-4}),
    "scale-hyperprior": Case(
        ScaleHyperprior, {"image_shape": (8, 8, 1), "width": 4, "latent_channels": 6, "distortion_weight": 1e-4},
        bfloat16=False,
    ),
    # A grey image to a coloured target, with seeds; batch norm of each image alone.
    "pix2pix": Case(
        Pix2Pix,
        {"image_shape": (8, 8, 1), "target_channels": 3, "width": 4, "levels": 2, "discriminator_width": 4,
         "receptive_field": 16},
        falling="absolute_error",
    ),
    # A label map with borders; three phases in the first steps.
    "pix2pix-hd": Case(
        Pix2PixHD,
        {"image_shape": (8, 8, 3), "map_classes": 3, "width": 4, "halvings": 1, "blocks": 1, "enhancer_blocks": 1,
         "discriminator_width": 4, "discriminator_halvings": 1, "global_steps": 4, "frozen_steps": 4},
        falling="discriminator_loss",
    ),
    # With features of instances, as many numbers as there are pixels, and the distance of a frozen network.
    "pix2pix-hd-features": Case(
        Pix2PixHD,
        {"image_shape": (8, 8, 3), "map_classes": 3, "width": 4, "halvings": 1, "blocks": 1, "enhancer": False,
         "discriminator_width": 4, "discriminator_halvings": 1, "scales": 1, "feature_channels": 2, "clusters": 2,
         "encoder_width": 2, "encoder_halvings": 1, "feature_network": keras.Sequential(
             [keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3, kernel_initializer=keras.initializers.GlorotUniform(seed=2))]
         )},
        falling="discriminator_loss", long=True,
    ),
    # Clips of label maps with borders, given first frames and flow.
    "vid2vid": Case(
        Vid2Vid,
        {"image_shape": (8, 8, 3), "num_frames": 5, "map_classes": 3, "width": 4, "halvings": 1, "blocks": 2,
         "discriminator_width": 2, "discriminator_halvings": 1, "discriminator_scales": 1, "temporal_scales": 1},
        falling="discriminator_loss",
    ),
    # Three kinds of steps in the first ones: DOAFN, both networks of the completion, its generator.
    "tvsn": Case(
        TVSN,
        {"image_shape": (8, 8, 1), "view_size": 3, "filters": (4, 6), "dense_width": 8, "view_widths": (4,),
         "completion_view_width": 4, "discriminator_filters": (4, 4), "flow_steps": 4, "near_identity": True},
        falling="warp_error",
    ),
    # From the first step on the completion, without masks, and with features.
    "tvsn-completion": Case(
        TVSN,
        {"image_shape": (8, 8, 1), "view_size": 3, "filters": (4, 6), "dense_width": 8, "view_widths": (4,),
         "completion_view_width": 4, "discriminator_filters": (4, 4), "flow_steps": 0, "visibility": False,
         "feature_network": keras.saving.serialize_keras_object(_FEATURES), "feature_layers": ("conv",)},
        falling="absolute_error", long=True,
    ),
    "pix2pix-l1": Case(
        Pix2Pix,
        {"image_shape": (8, 8, 1), "width": 4, "adversarial": None, "statistics": "moving", "test_dropout": False,
         "skips": False},
        falling="absolute_error", long=True,
    ),
    "adain": Case(AdaINStyleTransfer, _ADAIN),
    "adain-regions": Case(AdaINStyleTransfer, {**_ADAIN, "regions": 2, "preserve_colour": True}, long=True),
    "fast-style-transfer": Case(
        FastStyleTransfer,
        {"image_shape": (8, 8, 1), "num_styles": 3, "width": 4, "halvings": 1, "blocks": 1, "kernel_size": 5,
         "feature_network": _RANDOM_CONV, "content_layer": "relu_1", "style_weight": 10.0},
    ),
    "deepsim": Case(
        DeePSiM,
        {"image_shape": (8, 8, 1), "encoder": _ENCODER, "encoder_layers": ("code", "maps"), "gating": "stateful",
         "generator_hidden": (6,), "generator_grid": 4, "generator_filters": ((4,),),
         "discriminator_convs": ((4, 3, 2),), "discriminator_code": (3,), "discriminator_units": 4},
        falling="generator_loss",
    ),
    "ppgn": Case(
        PPGN,
        {"image_shape": (8, 8, 1), "prior": "codes", "generator": _GENERATOR_FILE, "encoder": _CODES_OF_3,
         "encoder_layer": "code", "condition": _ENCODER, "prior_widths": (6,), **_CHAINS}, labels=3,
    ),
    "ppgn-pixels": Case(
        PPGN, {"image_shape": (8, 8, 1), "prior": "pixels", "condition": _ENCODER, "prior_widths": (3, 4), **_CHAINS},
        labels=3, long=True,
    ),
    "joint-ppgn": Case(
        JointPPGN,
        {"image_shape": (8, 8, 1), "encoder": _ENCODER, "encoder_layers": ("code", "maps"), "generator_hidden": (6,),
         "generator_grid": 4, "generator_filters": ((4,),), "discriminator_convs": ((4, 3, 2),), "discriminator_code": (3,),
         "discriminator_units": 4, "noise": (0.1, 0.2, 0.2), "code_weight": 1.0, **_CHAINS},
        falling="generator_loss", labels=3,
    ),
    "dgn-am": Case(
        DGNAM,
        {"image_shape": (8, 8, 1), "classifier": _ENCODER, "generator": _GENERATOR_FILE, "encoder": _CODES_OF_3,
         "encoder_layer": "code", "first_rate": 1.0, "ascent_steps": 20},
    ),
    "dgn-am-hidden": Case(
        DGNAM,
        {"image_shape": (8, 8, 1), "classifier": _ENCODER, "layer": "maps", "units": ((0,), (2,), (1, 3)),
         "resize": "bilinear", "generator": _GENERATOR_FILE, "encoder": _CODES_OF_3, "encoder_layer": "code",
         "bounds": "symmetric",
         "first_rate": 1.0, "ascent_steps": 20}, long=True,
    ),
    # Two stages in the first steps; mismatched pairs within the batch.
    "stack-gan": Case(
        StackGAN,
        {"image_shape": (8, 8, 1), "embedding_dim": 3, "stage_1_steps": 4, "factor": 2, "width": 4, "ups": 1, "downs": 1,
         "blocks": 1, "noise_dim": 2, "condition_dim": 2, "discriminator_width": 4},
        falling="discriminator_loss",
    ),
    "stack-gan-v2": Case(
        StackGANv2,
        {"image_shape": (8, 8, 1), "embedding_dim": 3, "width": 4, "ups": 1, "branches": 2, "blocks": 1, "noise_dim": 2,
         "condition_dim": 2, "discriminator_width": 4, "colour_weight": 1.0, "mismatches": "given"},
        falling="discriminator_loss",
    ),
    # Two kinds of steps; a few steps of each optimisation.
    "igan": Case(
        IGAN,
        {"image_shape": (8, 8, 1), "generator": _GENERATOR_FILE, "width": 4, "sample_steps": 4, "projection_steps": 30,
         "starts": 2, "candidates": 2, "edit_steps": 4, "frames": 3, "flow_steps": 3},
    ),
    "dcgan": Case(DCGAN, {**_DCGAN, "stages": 2, "regularizer": "l2"}, falling="discriminator_loss"),
    "sngan-adaptive-lecam": Case(
        SNGAN, {**_SMALL, "network": "mlp", "width": 4, "discriminator_steps": 1, "discriminator_augmentation": "adaptive",
                "adaptation_images": 200, "lecam_weight": 0.1}, falling="discriminator_loss", long=True,
    ),
    "dcgan-conditional-wgan-gp": Case(
        DCGAN,
        {**_DCGAN, "num_classes": 3, "objective": "wasserstein", "penalty": "gradient_penalty", "penalty_weight": 10.0},
        falling="discriminator_loss",
    ),
}  # fmt: skip

_CLASSES = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        keras.layers.Flatten(),
        keras.layers.Dense(3, kernel_initializer=keras.initializers.GlorotUniform(seed=1)),
    ]
)

# Skeletons of papers to come: they are tested where no public model has the capability yet, and by its own tests alone.
STAND_INS = {
    "skeleton-inversion": Case(Inversion, {"image_shape": (8, 8, 1), "generator": _GENERATOR}),
    "skeleton-ppgn": Case(PPGNSkeleton, {"image_shape": (8, 8, 1), "generator": _GENERATOR, "classifier": _CLASSES}),
}
