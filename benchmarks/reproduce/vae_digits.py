"""VAE on scikit-learn's digits, binarised at grey level 8."""

from benchmarks.reproduce.common import likelihood, main

if __name__ == "__main__":
    gates = {"negative_elbo_nats": ("<=", 18.9), "iwae500_nats": ("<=", 17.8)}
    main("vae_digits", "vae/digits", likelihood("threshold"), gates, data="digits", tuning="none: settings given in advance",
         zoo="negative_elbo_nats")  # fmt: skip
