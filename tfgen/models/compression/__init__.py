"""Learned lossy compression: one file per paper, and the codec that writes their latents to files."""

from tfgen.models.compression.codec import Codec

__all__ = ["Codec"]
