"""DCGAN at half width on MNIST, at most 20 minutes of training."""

from benchmarks.reproduce.common import FCD, adversarial, main

if __name__ == "__main__":
    gates = {"classifier_score": (">=", 8.0), "num_classes": (">=", 10), "fcd_relative_to_untrained": ("<=", 0.2),
             "train_seconds": ("<=", 1200.0)}  # fmt: skip
    main("dcgan_mnist", "dcgan/mnist", adversarial, gates, data="mnist", tuning="none: the published settings at half width",
         zoo=FCD)  # fmt: skip
