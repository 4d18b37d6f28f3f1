"""Uses of a trained model: interpolation, arithmetic in latent space, image grids."""

from tfgen.sampling.animation import save_animation
from tfgen.sampling.arithmetic import attribute_vector, combine, concept, neighbourhood, vector_arithmetic
from tfgen.sampling.grid import image_grid, save_png
from tfgen.sampling.interpolation import interpolate, latent_path, lerp, slerp

__all__ = [
    "attribute_vector",
    "combine",
    "concept",
    "image_grid",
    "interpolate",
    "latent_path",
    "lerp",
    "neighbourhood",
    "save_animation",
    "save_png",
    "slerp",
    "vector_arithmetic",
]
