# SPDX-License-Identifier: BSD-2-Clause
"""What a daemon has logged, word by word."""

import re

_WORD = re.compile(r'([a-z-]+)=("(?:[^"\\]|\\["\\]|\\x[0-9a-f]{2})*"'
                   r'|[^\s"\\=]+)')
_ESCAPE = re.compile(rb'\\(["\\]|x[0-9a-f]{2})')


def _plain(found):
    what = found[1]
    return bytes([int(what[1:], 16)]) if len(what) == 3 else what


def _value(word):
    if word[0] != '"':
        return word
    return _ESCAPE.sub(_plain, word[1:-1].encode()).decode(errors="replace")


def parse(line):
    """One line as a dictionary; fails on what is not of the form."""
    words = _WORD.findall(line)
    assert " ".join(f"{key}={value}" for key, value in words) == line, line
    assert words[0][0] == "event", line
    assert len({key for key, _ in words}) == len(words), line
    return {key: _value(value) for key, value in words}


def events(mount, *names):
    """All events so far, or those of these names; every line must be one."""
    found = [parse(line) for line in mount.stderr.splitlines()]
    return [one for one in found if not names or one["event"] in names]
