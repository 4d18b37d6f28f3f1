"""Training as a job: one function behind the command `tfgen train` and the TFX Trainer."""
