# SPDX-License-Identifier: BSD-2-Clause
"""Backups taken apart and put together again, right but for what a test
changes: the layout of store/backup_stream.h, written down a second time."""

import ctypes
import hashlib
import struct

HEADER_SIZE = 96
SEAL_SIZE = 8

_xxhash = ctypes.CDLL("libxxhash.so.0")
_xxhash.XXH3_64bits.restype = ctypes.c_uint64
_xxhash.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
_xxhash.XXH3_64bits_withSeed.restype = ctypes.c_uint64
_xxhash.XXH3_64bits_withSeed.argtypes = [
    ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]


def seal(key, value):
    """The value as it is in a database: with its checksum."""
    seed = _xxhash.XXH3_64bits(key, len(key))
    return value + struct.pack("<Q", _xxhash.XXH3_64bits_withSeed(
        value, len(value), seed))


def take_apart(stream):
    """The header of a whole backup, and its records without their seals."""
    records = {}
    at = HEADER_SIZE
    while True:
        key_size, value_size = struct.unpack_from("<HI", stream, at)
        if key_size == 0:
            break
        at += 6
        key = stream[at:at + key_size]
        at += key_size
        records[key] = stream[at:at + value_size - SEAL_SIZE]
        assert stream[at:at + value_size] == seal(key, records[key])
        at += value_size
    assert struct.unpack_from("<Q", stream, at + 2)[0] == len(records)
    assert hashlib.sha256(stream[:-32]).digest() == stream[at + 10:]
    return stream[:HEADER_SIZE], records


def put_together(header, records):
    """A whole backup of these records."""
    stream = header
    for key in sorted(records):
        value = seal(key, records[key])
        stream += struct.pack("<HI", len(key), len(value)) + key + value
    stream += struct.pack("<HQ", 0, len(records))
    return stream + hashlib.sha256(stream).digest()
