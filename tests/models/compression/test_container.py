"""The layout of a file, byte by byte."""

import struct
import zlib

import pytest

from tfgen.models.compression import container
from tfgen.models.compression.container import Container


def test_container_layout():
    packed = Container((2, 300, 3), b"12345678", [b"ab", b""]).pack()
    head = b"TFGC\x01\x03\x02\x00\x2c\x0112345678\x02" + struct.pack("<II", 2, 0)
    assert packed == head + struct.pack("<I", zlib.crc32(head + b"ab")) + b"ab"
    assert Container.unpack(packed) == Container((2, 300, 3), b"12345678", [b"ab", b""])
    with pytest.raises(ValueError, match="received 70000x1"):
        Container((70_000, 1, 3), b"12345678", []).pack()
    with pytest.raises(ValueError, match="not a tfgen compressed image"):
        Container.unpack(b"\x89PNG")
    with pytest.raises(ValueError, match="version 2"):
        Container.unpack(packed[:4] + b"\x02" + packed[5:])
    with pytest.raises(ValueError, match="truncated"):
        Container.unpack(packed[:-1])
    assert container.MAX_SIDE == 65535
