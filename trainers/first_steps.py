"""What the first steps of a training give: the cheapest proof that other code trains the same model."""

import hashlib

import keras
import numpy as np

from tfgen.training.state import named_variables

FIRST_STEPS = 20


class FirstSteps(keras.callbacks.Callback):
    """Notes the losses and a checksum of the weights after `FIRST_STEPS` steps, or after all if there are fewer.

    The mean losses of the epochs until then are noted, and those since the last epoch, so they are the same only with epochs
    of the same length. `steps_per_execution` must divide `FIRST_STEPS`.

    Args:
        model: the model that is trained.
        found: what was noted before an interruption, or None; lines after the model's step are dropped.
        stop: end the training there.
        report: function that is called with `found` when it has changed, or None.

    Attributes:
        found: None, or {"steps": int, "losses": [{"step", loss: mean}], "weights": sha256 (hex)}.
    """

    def __init__(self, model, found=None, *, stop=False, report=None):
        super().__init__()
        self.source, self.stop, self.report = model, stop, report
        step = self._step()
        self.lines = [line for line in found["losses"] if line["step"] <= step] if found else []
        self.found = found if step else None
        self.done = step >= FIRST_STEPS

    def _step(self):
        return int(self.source.step.value.numpy())

    def on_train_batch_end(self, batch, logs=None):
        if not self.done and self._step() == FIRST_STEPS:
            self._note(logs)
            self.done = True
        if self.done and self.stop:
            self.source.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        if not self.done:
            self._note(logs)

    def _note(self, logs):
        step = self._step()
        self.lines.append({"step": step, **{name: float(value) for name, value in (logs or {}).items()}})
        self.found = {"steps": step, "losses": self.lines, "weights": weights_checksum(self.source)}
        if self.report:
            self.report(self.found)


def weights_checksum(model: keras.Model) -> str:
    """sha256 (hex) of names, types, shapes and bytes of all weights of a model, without optimisers and averages."""
    digest = hashlib.sha256()
    for name, variable in sorted(named_variables(model).items()):
        value = np.ascontiguousarray(keras.ops.convert_to_numpy(variable))
        digest.update(f"{name} {value.dtype} {value.shape} ".encode() + value.tobytes())
    return digest.hexdigest()
