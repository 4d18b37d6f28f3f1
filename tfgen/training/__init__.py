"""Training aids that work with any Keras model loop: averaged weights, resumable checkpoints, callbacks."""

from tfgen.training.callbacks import History, SampleGrid, StopOnNonFinite, TrainingDiverged
from tfgen.training.checkpoint import Checkpoints
from tfgen.training.ema import EMA

__all__ = ["EMA", "Checkpoints", "History", "SampleGrid", "StopOnNonFinite", "TrainingDiverged"]
