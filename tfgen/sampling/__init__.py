"""Uses of a trained model: interpolation, arithmetic in latent space, optimisation of codes, image grids."""

from tfgen.sampling.animation import save_animation
from tfgen.sampling.arithmetic import attribute_vector, combine, concept, neighbourhood, vector_arithmetic
from tfgen.sampling.attention import attention_grid
from tfgen.sampling.directions import Directions, feature_directions, principal_directions, sweep, weight_directions
from tfgen.sampling.grid import image_grid, save_png
from tfgen.sampling.interpolation import decoded, interpolate, latent_path, lerp, slerp
from tfgen.sampling.morph import morph
from tfgen.sampling.style import mixing_matrix, noise_deviation, noise_variants, truncation_strip

__all__ = [
    "Ascent",
    "Directions",
    "Step",
    "ascend",
    "attention_grid",
    "attribute_vector",
    "combine",
    "concept",
    "decoded",
    "feature_directions",
    "image_grid",
    "interpolate",
    "latent_path",
    "lerp",
    "morph",
    "mixing_matrix",
    "neighbourhood",
    "noise_deviation",
    "noise_variants",
    "principal_directions",
    "save_animation",
    "save_png",
    "slerp",
    "sweep",
    "truncation_strip",
    "vector_arithmetic",
    "weight_directions",
]

_OF_ASCENT = ("Ascent", "Step", "ascend")


def __getattr__(name):
    # Not imported above: it needs TensorFlow, and the other modules, which the client uses, do not.
    if name in _OF_ASCENT:
        from tfgen.sampling import ascent

        return getattr(ascent, name)
    raise AttributeError(f"module 'tfgen.sampling' has no attribute {name!r}; it has {', '.join(__all__)}")
