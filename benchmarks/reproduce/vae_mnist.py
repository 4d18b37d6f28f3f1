"""VAE on MNIST with dynamic binarisation, at most 20 minutes of training."""

from benchmarks.reproduce.common import likelihood, main

if __name__ == "__main__":
    gates = {"negative_elbo_nats": ("<=", 98.0), "iwae500_nats": ("<=", 92.0), "train_seconds": ("<=", 1200.0)}
    main(
        "vae_mnist",
        "vae/mnist",
        likelihood("dynamic"),
        gates,
        data="mnist",
        tuning="network and schedule from 6,000-step runs judged on 10,000 held-out training images",
        zoo="negative_elbo_nats",
    )
