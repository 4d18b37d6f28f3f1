"""How models are trained: players, one graph for each kind of step, averaged weights, resumable checkpoints, callbacks."""

from tfgen.training.callbacks import History, SampleGrid, StopOnNonFinite, TrainingDiverged
from tfgen.training.checkpoint import Checkpoints
from tfgen.training.ema import EMA
from tfgen.training.players import Player, mean_over_replicas

__all__ = [
    "EMA", "Checkpoints", "History", "Player", "SampleGrid", "StopOnNonFinite", "TrainingDiverged", "mean_over_replicas",
]  # fmt: skip
