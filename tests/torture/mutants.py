# SPDX-License-Identifier: BSD-2-Clause
"""What a broken or hostile program may leave of a KEY, MBG or MAI file."""

import struct


def flip(rand, content):
    """A few bits are others."""
    data = bytearray(content)
    for _ in range(rand.randint(1, 8)):
        if data:
            data[rand.randrange(len(data))] ^= 1 << rand.randrange(8)
    return bytes(data)


def cut(rand, content):
    """The end is missing."""
    return content[:rand.randrange(len(content) + 1)]


def extend(rand, content):
    """There is more behind it."""
    return content + rand.randbytes(rand.choice((1, 115, 116, 117, 4096)))


def fill(rand, content):
    """A part of it is all zeros, all ones, or noise."""
    first = rand.randrange(len(content) + 1)
    last = rand.randrange(first, len(content) + 1)
    noise = rand.choice((bytes(last - first), b"\xff" * (last - first),
                         rand.randbytes(last - first)))
    return content[:first] + noise + content[last:]


def count(rand, content):
    """A number in it is one of those that programs trip over."""
    if len(content) < 4:
        return content
    width, form = rand.choice(((2, "<H"), (4, "<I")))
    number = rand.choice((0, 1, 0x7F, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF,
                          0x80000000, 0xFFFFFFFF)) & ((1 << 8 * width) - 1)
    at = rand.randrange(len(content) - width + 1)
    return content[:at] + struct.pack(form, number) + content[at + width:]


def shift(rand, content):
    """A part of it is there twice, or what was elsewhere."""
    first = rand.randrange(len(content) + 1)
    size = rand.randrange(1, 200)
    return content[:first] + content[first // 2:first // 2 + size] + \
        content[first:]


def empty(_, __):
    """Nothing is left."""
    return b""


KINDS = (flip, cut, extend, fill, count, shift, empty)


def mutant(rand, content):
    """One of them, or two."""
    changed = rand.choice(KINDS)(rand, content)
    return rand.choice((lambda _, same: same, *KINDS))(rand, changed)
