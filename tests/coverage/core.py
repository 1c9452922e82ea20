# SPDX-License-Identifier: BSD-2-Clause
"""What commits, rolls back and recovers: the code of which every branch is
taken by a test. A part is a file, or some functions of it; the rest of such a
file does other things."""

import typing


class Part(typing.NamedTuple):
    """@why it belongs to the core, as a phrase; @functions None: all."""

    path: str
    why: str
    functions: tuple = None


CORE = (
    Part("store/commit.c", "how a commit works, and what is done if it fails"),
    Part("store/committer.c", "when the next one is due"),
    Part("store/waiter.c", "how what waited for it ends, in doubt, too"),
    Part("store/sync.c", "how callers wait, and what they are told"),
    Part("store/life.c", "begin, checkpoint, commit, publish, abort"),
    Part("store/claim.c", "what keeps one from undoing another"),
    Part("store/change.c", "what is staged, frozen and put back"),
    Part("store/spill.c", "what is staged on disk, and let go of again"),
    Part("store/quarantine.c", "where what was rolled back is kept"),
    Part("fs/op_commit.c", "when a client's transaction ends"),
    Part("fs/op_undo.c", "when it is rolled back"),
    Part("fs/transaction.c", "what of it is where"),
)
