"""The places of InfoGAN's codes in a latent vector (Chen et al. 2016, arXiv:1606.03657, section 5)."""

import dataclasses

import numpy as np
import tensorflow as tf

from tfgen import settings
from tfgen.fields import checked
from tfgen.settings import NaturalInt, TwoOrMore


@dataclasses.dataclass(frozen=True)
class CodeLayout:
    """The parts of a latent vector: [noise, one-hot codes ..., continuous codes].

    Codes are numbered from 0, the categorical ones first.

    Attributes:
        noise: number of noise variables.
        categorical: number of values K >= 2 of each categorical code.
        continuous: number of continuous codes.
    """

    noise: NaturalInt
    categorical: tuple[TwoOrMore, ...]
    continuous: NaturalInt

    def __post_init__(self):
        settings.check(CodeLayout, **vars(self))
        if not self.num_codes:
            raise ValueError("There must be a code: categorical or continuous; received categorical=() and continuous=0.")

    @property
    def sizes(self):
        return [self.noise, *self.categorical, self.continuous]

    @property
    def num_codes(self):
        return len(self.categorical) + self.continuous

    def split(self, latents):
        """Latents [B, sum of sizes] -> (noise [B, noise], [one-hot [B, K], ...], continuous [B, continuous])."""
        noise, *one_hots, continuous = tf.split(latents, self.sizes, axis=-1)
        return noise, one_hots, continuous

    def join(self, noise, one_hots, continuous):
        """The inverse of `split`."""
        parts = [noise, *one_hots, continuous]
        if [part.shape[-1] for part in parts] != self.sizes:
            raise ValueError(f"Parts of widths {self.sizes} are joined; received {[tuple(part.shape) for part in parts]}.")
        return tf.concat(parts, axis=-1)

    def check_code(self, code, *, categorical=False):
        """Raises ValueError unless `code` is the number of a code (with `categorical`: of a categorical code)."""
        count, kind = (len(self.categorical), "categorical codes") if categorical else (self.num_codes, "codes")
        if not isinstance(code, int) or not 0 <= code < count:
            raise ValueError(f"There are {count} {kind}, numbered from 0; received code {code!r}.")

    def set(self, latents, codes):
        """Latents [B, sum of sizes] with other codes: float32 tensor.

        Args:
            codes: float32 [B, number of codes]: the values of the categorical codes, whole numbers in [0, K), then those of
                the continuous codes, in (-1, 1) in training. NaN leaves a code as it is.

        Raises:
            ValueError: another number of codes.
            tf.errors.InvalidArgumentError: at run time, a value of a categorical code out of range.
        """
        codes = tf.convert_to_tensor(codes, tf.float32)
        if codes.shape.rank != 2 or codes.shape[1] != self.num_codes:
            raise ValueError(f"codes must be float [B, {self.num_codes}], as the layout has; received {codes.shape}.")
        noise, one_hots, continuous = self.split(latents)
        given, count = ~tf.math.is_nan(codes), len(self.categorical)
        for i, size in enumerate(self.categorical):
            value = tf.where(given[:, i], codes[:, i], 0.0)
            valid = tf.reduce_all((value == tf.round(value)) & (value >= 0.0) & (value < size))
            message = f"Values of the categorical code {i} must be whole, in [0, {size}); received"
            value = checked(value, valid, message, value)
            one_hots[i] = tf.where(given[:, i, None], tf.one_hot(tf.cast(value, tf.int32), size), one_hots[i])
        return self.join(noise, one_hots, tf.where(given[:, count:], codes[:, count:], continuous))

    def replace(self, latents, code, values):
        """Latents [B, sum of sizes] whose code number `code` has other values: float32 tensor.

        Args:
            code: number of the code.
            values: one number or [B]: integers in [0, K) for a categorical code; finite numbers for a continuous one (in
                (-1, 1) in training).

        Raises:
            ValueError: no such code, or values out of range.
        """
        self.check_code(code)
        latents, values = np.asarray(latents, np.float32), np.asarray(values)
        if latents.ndim != 2 or latents.shape[1] != sum(self.sizes) or values.shape not in ((), latents.shape[:1]):
            raise ValueError(
                f"Latents must be [B, {sum(self.sizes)}] and values one number or [B]; received {latents.shape} and "
                f"{values.shape}."
            )
        size = dict(enumerate(self.categorical)).get(code)  # None for a continuous code
        if size is None and (values.dtype.kind not in "iuf" or not np.isfinite(values).all()):
            raise ValueError(f"Values of the continuous code {code} must be finite numbers; received {values}.")
        if size and (values.dtype.kind not in "iu" or values.size and not (0 <= values.min() and values.max() < size)):
            raise ValueError(f"Values of the categorical code {code} must be integers in [0, {size}); received {values}.")
        codes = np.full([len(latents), self.num_codes], np.nan, np.float32)
        codes[:, code] = values
        return self.set(latents, codes)
