"""Training as a job: one function behind the command `tfgen train` and the TFX Trainer."""

if __name__ != "tfgen_trainers":
    # Under a second name every module would exist twice, with two sets of Keras registrations and of exception classes.
    raise ImportError(f"The package in the folder trainers/ is imported as tfgen_trainers, not as {__name__}.")
