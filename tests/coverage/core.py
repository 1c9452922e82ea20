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
    Part("store/batch.c", "one batch, and what becomes of it"),
    Part("store/deferral.c", "what of it can wait for room"),
    Part("store/committer.c", "when the next one is due"),
    Part("store/waiter.c", "how what waited for it ends, in doubt, too"),
    Part("store/sync.c", "how callers wait, and what they are told"),
    Part("store/life.c", "begin, checkpoint, commit, publish, abort"),
    Part("store/claim.c", "what keeps one from undoing another"),
    Part("store/change.c", "what is staged, frozen and put back"),
    Part("store/spill.c", "what is staged on disk, and let go of again"),
    Part("store/draft.c", "how what a crash leaves of it stays true"),
    Part("store/quarantine.c", "where what was rolled back is kept"),
    Part("store/quarantine_room.c", "what of it goes where there is no room"),
    Part("store/undone_write.c", "what of it is kept there"),
    Part("store/undone.c", "finding it again",
         ("quarantine_any_head", "is_alive", "quarantine_head",
          "quarantine_next_id")),
    Part("store/orphan.c", "what a crash left of no name is queued",
         ("orphan_load", "orphan_queue", "orphan_queue_layer",
          "orphan_reap")),
    Part("store/store.c", "opening after whatever happened, and the end",
         ("store_open_on", "load_meta", "load_tables", "get_clean",
          "put_clean", "store_close")),
    Part("store/kv_lmdb.c", "a batch in LMDB, its failures, opening anew",
         ("check_guard", "apply_change", "apply_batch", "quota_is_reached",
          "disk_is_full", "is_finished", "commit_result", "lmdb_commit",
          "open_env", "lmdb_reopen", "lmdb_close", "kv_lmdb_open")),
    Part("store/kv_lmdb_env.c", "opening a database, and its meta pages",
         ("lmdb_error", "lmdb_env_close", "env_new", "open_dbi",
          "prepare_lock_file", "env_open", "forget_namesake",
          "lmdb_env_is_short", "lmdb_env_check_file", "lmdb_env_open",
          "lmdb_env_settle", "lmdb_env_create")),
    Part("store/txn.c", "what is staged, and what of that fails a commit",
         ("get_below", "digest_below", "before", "after", "txn_put",
          "txn_delete", "txn_edit", "txn_count", "txn_uncount",
          "txn_fits", "txn_result")),
    Part("store/journal.c", "the entry that a commit or an undoing writes"),
    Part("store/journal_ring.c", "what it gives up for want of room",
         ("journal_load", "load_since", "count_entries", "shed_head",
          "shed_past", "puts_of", "journal_shed")),
    Part("store/headship.c", "who may write", ("headship_take", "write_pid")),
    Part("fs/op_break.c", "when an administrator has it rolled back"),
    Part("fs/op_commit.c", "when a client's transaction ends"),
    Part("fs/op_undo.c", "when it is rolled back"),
    Part("fs/transaction.c", "what of it is where"),
)
