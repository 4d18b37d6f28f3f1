"""The file of a compressed image, part by part; all numbers are little-endian.

bytes
4   "TFGC"
1   version of the format, 1
1   channels
2   height
2   width
8   id of the model: the first bytes of a hash of everything that decompression depends on
1   number of segments n
4n  length of each segment in bytes
4   CRC-32 of all other bytes
    the segments
"""

import dataclasses
import struct
import zlib

MAGIC, VERSION = b"TFGC", 1
MAX_SIDE = 2**16 - 1
ID_BYTES = 8
_FIXED = struct.Struct(f"<4sBBHH{ID_BYTES}sB")


@dataclasses.dataclass(frozen=True)
class Container:
    """The content of a file.

    Attributes:
        size: (H, W, C) of the image.
        model_id: 8 bytes.
        segments: list of bytes.
    """

    size: tuple
    model_id: bytes
    segments: list

    def pack(self) -> bytes:
        """The file as bytes. Raises ValueError for a size out of range."""
        height, width, channels = self.size
        if not (1 <= min(height, width) and max(height, width) <= MAX_SIDE):
            raise ValueError(f"An image must have 1 to {MAX_SIDE} pixels on each side; received {height}x{width}.")
        head = _FIXED.pack(MAGIC, VERSION, channels, height, width, self.model_id, len(self.segments))
        head += b"".join(struct.pack("<I", len(segment)) for segment in self.segments)
        body = b"".join(self.segments)
        return head + struct.pack("<I", zlib.crc32(body, zlib.crc32(head))) + body

    @classmethod
    def unpack(cls, data: bytes) -> "Container":
        """The container of a file's bytes.

        Raises:
            ValueError: not such a file, another version, too short, too long or damaged; the message says which.
        """
        if data[:4] != MAGIC[: len(data)] or not data:
            raise ValueError(f"not a tfgen compressed image: it begins with {data[:4]!r}, expected {MAGIC!r}")
        if len(data) > 4 and data[4] != VERSION:
            raise ValueError(f"format version {data[4]} is not known here, expected {VERSION}; or the file is damaged")
        if len(data) < _FIXED.size:
            raise ValueError(f"truncated: {len(data)} bytes, the header alone has {_FIXED.size}")
        _, _, channels, height, width, model_id, count = _FIXED.unpack_from(data)
        start = _FIXED.size + 4 * count + 4
        if len(data) < start:
            raise ValueError(f"truncated: {len(data)} bytes, the header alone has {start}")
        *lengths, checksum = struct.unpack_from(f"<{count + 1}I", data, _FIXED.size)
        if len(data) != start + sum(lengths):
            what = "truncated" if len(data) < start + sum(lengths) else "damaged"
            raise ValueError(f"{what}: {len(data)} bytes, by its header it should have {start + sum(lengths)}")
        if zlib.crc32(data[start:], zlib.crc32(data[: start - 4])) != checksum:
            raise ValueError("damaged: the checksum does not match")
        if min(height, width) < 1:
            raise ValueError(f"an image of {height}x{width} pixels")
        segments = []
        for length in lengths:
            segments.append(data[start : start + length])
            start += length
        return cls((height, width, channels), model_id, segments)
