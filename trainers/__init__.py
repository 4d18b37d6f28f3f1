"""Training as a job: one function behind the command `tfgen train` and the TFX Trainer."""

if __name__ != "tfgen_trainers":
    # Under two names every module would be imported twice, with two sets of Keras registrations and exception classes.
    raise ImportError(f"The package in the folder trainers/ is imported as tfgen_trainers, not as {__name__}.")
