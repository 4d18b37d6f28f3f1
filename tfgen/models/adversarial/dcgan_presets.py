"""Presets of DCGAN."""

from tfgen.models.adversarial.dcgan import DCGAN
from tfgen.models.preset import Preset, held_decay


def _adam(learning_rate):
    return {"class_name": "Adam", "config": {"learning_rate": learning_rate, "beta_1": 0.5, "epsilon": 1e-8}}


_PAPER = {"optimizer": _adam(2e-4)}
_FACES = {"image_shape": (64, 64, 3), "regularizer": "l2", "regularizer_weight": 1e-5}

PRESETS = [
    Preset(
        "dcgan/lsun-bedrooms-paper", DCGAN, _FACES, data="lsun/bedroom",
        source="section 4, appendix A.1 and the code for faces: 64 px, Adam 2e-4 beta_1 .5, batch 128, five epochs (figure"
        " 3) of 3,033,042 images; one network for each minibatch there, so as many updates of each", batch_size=128,
        steps=59_000, compile_args=_PAPER,
    ),
    Preset(
        "dcgan/faces-paper", DCGAN, _FACES, data="folder:faces",
        source="section 4.3 and the code: 64 px, 25 epochs of 350,000 faces; one network for each minibatch there, "
        "so as many updates of each", batch_size=128, steps=34_000, compile_args=_PAPER,
    ),
    Preset(
        "dcgan/imagenet-paper", DCGAN, {**_FACES, "image_shape": (32, 32, 3)}, data="imagenet_resized/32x32",
        source="section 4.2: 32 px centre crops; 25 epochs, a number that the paper leaves open", batch_size=128,
        steps=250_000, compile_args=_PAPER,
        paper="82.8 % CIFAR-10 accuracy of a linear SVM on D's features (table 1)",
    ),
    Preset(
        "dcgan/mnist-paper", DCGAN,
        {"image_shape": (28, 28, 1), "width": 64, "dense_width": 1024, "num_classes": 10, "regularizer": "l2",
         "regularizer_weight": 2.5e-5},
        data="mnist", source="appendix A.2 and the code: conditional, 200 epochs of 50,000 images in batches of 128, one "
        "network for each there, so as many updates of each; 2e-4, from the middle on falling to 0", batch_size=128,
        steps=39_000, compile_args={"optimizer": _adam(held_decay(2e-4, 0.5))},
        paper="2.98 % 1-NN error on 50,000 samples (table 3)",
    ),
    Preset(
        "dcgan/mnist", DCGAN,
        {"image_shape": (28, 28, 1), "width": 32, "dense_width": 256},
        data="mnist", source="the MNIST network at half width, unconditional", batch_size=64, steps=10_000,
        compile_args={**_PAPER, "ema_decay": 0.999},
    ),
    Preset(
        "dcgan/digits", DCGAN,
        {"image_shape": (8, 8, 1), "width": 32, "stages": 2, "dense_width": 128, "latent_dim": 32},
        data="digits", source="the 28 px layout scaled down to scikit-learn's 8x8 digits", batch_size=64, steps=4_000,
        compile_args={**_PAPER, "ema_decay": 0.995},
    ),
    *(
        Preset(
            f"dcgan/images-{side}", DCGAN, {"image_shape": (side, side, 3), "width": width}, data="folder:images",
            source=f"images of your own: the paper's {side} px network with fewer filters, for minutes on two cores",
            batch_size=batch_size, steps=steps, compile_args={**_PAPER, "ema_decay": 0.995}, own_images=True,
        )
        for side, width, batch_size, steps in ((32, 32, 64, 4_000), (64, 24, 32, 3_000))
    ),
]  # fmt: skip
