"""What is done with a trained model: interpolation, arithmetic in latent space, image grids."""

from tfgen.sampling.arithmetic import combine, concept, neighbourhood, vector_arithmetic
from tfgen.sampling.grid import image_grid, save_png
from tfgen.sampling.interpolation import interpolate, latent_path, lerp, slerp

__all__ = [
    "combine",
    "concept",
    "image_grid",
    "interpolate",
    "latent_path",
    "lerp",
    "neighbourhood",
    "save_png",
    "slerp",
    "vector_arithmetic",
]
