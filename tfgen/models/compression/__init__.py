"""Learned lossy compression: one file per paper, and the codec that makes files of their latents."""

from tfgen.models.compression.codec import Codec

__all__ = ["Codec"]
