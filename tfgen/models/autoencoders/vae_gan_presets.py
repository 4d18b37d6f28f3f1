"""Presets of VAEGAN."""

from tfgen.models.autoencoders.vae_gan import FAKES, VAEGAN
from tfgen.models.preset import Preset


def _rmsprop(start, batch_size=64, **config):
    # The code falls from start to 1e-5 as t^.75, all over the batch size; (1 - t)^1.3 stays within .06 of 1 - t^.75.
    rate = {
        "module": "keras.optimizers.schedules", "class_name": "PolynomialDecay",
        "config": {"initial_learning_rate": start / batch_size, "decay_steps": None,
                   "end_learning_rate": 1e-5 / batch_size, "power": 1.3},
    }  # fmt: skip
    return {"optimizer": {"class_name": "RMSprop", "config": {"learning_rate": rate, **config}}}


def _paper(start):
    return _rmsprop(start, epsilon=1e-16)  # Keras adds epsilon under the root, the code 1e-8 to the root


_PAPER = {"fakes": ("prior",)}

PRESETS = [
    Preset(
        "vae-gan/celeba-paper", VAEGAN, {**_PAPER, "image_shape": (64, 64, 3)}, data="celeb_a",
        source="the code, celeba_aegan.py: Dis_l the third convolution of stride 2, w 1e-6, 250 epochs of 250 batches; its "
        "shifts and mirror images, but not its zoom, rotation and colours", batch_size=64, steps=62_500,
        augmentation={"flip": True, "shift": 1}, compile_args=_paper(0.025), paper="pictures alone",
    ),
    Preset(
        "vae-gan/lfw-paper", VAEGAN, {**_PAPER, "image_shape": (64, 64, 3), "real_weight": 0.33}, data="lfw",
        source="the code, lfw_aegan.py: as for CelebA but r .33, 150 epochs of 250 batches; its mirror images. "
        "Aligned crops of 150 pixels and its shifts, zoom, rotation and colours are not here, nor is the model conditional "
        "on attributes", batch_size=64, steps=37_500, augmentation={"flip": True}, compile_args=_paper(0.01),
    ),
    Preset(
        "vae-gan/cifar10-paper", VAEGAN,
        {**_PAPER, "image_shape": (32, 32, 3), "latent_dim": 256, "decoder_widths": (256, 192, 128, 32),
         "discriminator_widths": (32, 128, 192, 256, 512), "similarity_layer": 2, "similarity_weight": 1e-5},
        data="cifar10", source="the code, cifar_aegan.py: Dis_l the second convolution of stride 2, w 1e-5, 200 epochs of "
        "250 batches of 64", batch_size=64, steps=50_000, compile_args=_paper(0.025),
    ),
    Preset(
        "vae-gan/fashion-mnist", VAEGAN,
        {**_PAPER, "image_shape": (28, 28, 1), "latent_dim": 32, "encoder_widths": (16, 32, 64, 256),
         "decoder_widths": (64, 64, 32, 16), "discriminator_widths": (8, 32, 64, 64, 128), "similarity_layer": 2,
         "similarity_weight": 0.05, "real_weight": 0.42, "fakes": FAKES},
        data="fashion_mnist", source="the layout of the code's small pictures with a quarter of the filters; w and r by "
        "runs of 400 steps",
        batch_size=64, steps=6_000, compile_args=_rmsprop(0.025),
    ),
]  # fmt: skip
