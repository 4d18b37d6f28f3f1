"""The command `tfgen`. It imports the library and the applications; none of them imports it."""

if __name__ != "tfgen_commands":
    # Under two names every module would be imported twice, with two sets of Keras registrations and exception classes.
    raise ImportError(f"The package in the folder commands/ is imported as tfgen_commands, not as {__name__}.")
