# SPDX-License-Identifier: BSD-2-Clause
"""The judge of the mail programs, judged: each rule must accept what may be
and find what may not, and say when it was."""

import datetime

import pytest

import mail
from census import Census
from checker import check, judge
from history import Event, History, digest, state_of

KEY = r"PO\KEY\A.KEY"
MBG = r"PO\MBG\A.MBG"
QUEUE = r"PO\KEY\INQUEUE3.KEY"
OLD_QUEUE = r"PO\MBG\INQUEUE.MBG"
CONTROL = r"PO\GLB\CONTROL.GLB"


class Script:
    """A history written by hand: times are given, in seconds."""

    def __init__(self):
        self.history = History()

    def __call__(self, program, operation, path, began, ended, **facts):
        self.history.record(program, operation, path, began, ended, **facts)
        return self

    def hold(self, program, path, began, ended, handle, **facts):
        """Opens, reads at once and closes, each in 0.1 s."""
        facts = {"write": True, "handle": handle, **facts}
        self(program, "open", path, began, began + 0.1, **facts)
        self(program, "read", path, began + 0.1, began + 0.2, handle=handle)
        if ended is not None:
            self(program, "close", path, ended - 0.1, ended, handle=handle)
        return self

    def publish(self, program, state, began, ended, path=KEY):
        """Stages at once, and commits."""
        self(program, "stage", path, began, began, state=state)
        return self(program, "commit", "", began, ended)

    def wrong(self, census=None):
        return judge(self.history, census)


@pytest.fixture
def script():
    return Script()


def has(verdicts, *words):
    """Whether it is one verdict, and says all of this."""
    assert len(verdicts) == 1, verdicts
    for word in words:
        assert word in verdicts[0], verdicts[0]
    return True


# ---- the history itself -----------------------------------------------------


def test_a_history_is_read_as_it_was_written(script, tmp_path):
    script("A", "open", KEY.lower(), 1, None, handle=1, write=True)
    script("A", "open", KEY, 2, 3, handle=2, write=True, error=32)
    script.history.save(tmp_path / "history")
    events = History.load(tmp_path / "history").events
    assert events == script.history.events
    assert events[0] == Event("A", "open", KEY, 1, None, 0,
                              {"handle": 1, "write": True})
    assert [event.is_done for event in events] == [False, False]
    assert [event.may_be_done for event in events] == [True, False]


def test_a_refusal_ends_an_event_and_a_lost_link_does_not():
    class Refusal(Exception):
        code = 32

    history = History()
    for kind in (Refusal, OSError):
        with pytest.raises(kind), history.operation("A", "open", KEY):
            raise kind
    with history.operation("A", "read", KEY) as facts:
        facts["size"] = 560
    refused, lost, read = history.events
    assert refused.error == 32 and refused.ended >= refused.began
    assert lost.error == 0 and lost.ended is None
    assert read.is_done and read.facts == {"size": 560}


def test_a_state_is_of_both_files():
    assert state_of(b"k", b"m") == state_of(b"k", b"m")
    assert len({state_of(b"k", b"m"), state_of(b"k", b"n"),
                state_of(b"km", b""), state_of(b"", b"km"),
                digest(b"km")}) == 5


def test_a_failure_tells_all_and_leaves_the_history(script, monkeypatch,
                                                    tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    script("A", "read", KEY, 1, 2)
    check(script.history, [])
    assert not list(tmp_path.iterdir())
    with pytest.raises(AssertionError, match="first\nsecond\nhistory: "):
        check(script.history, ["first", "second"])
    left, = tmp_path.iterdir()
    assert History.load(left).events == script.history.events


# ---- exclusion --------------------------------------------------------------


def test_one_after_the_other(script):
    script.hold("A", KEY, 1, 2, 1).hold("B", KEY, 1.95, 3, 2)
    # B's answer came after A had begun to close, and that is all we know.
    assert not script.wrong()


def test_two_writers_of_a_mailbag(script):
    script.hold("A", KEY, 1, 2, 1).hold("B", KEY, 1.5, 3, 2)
    assert has(script.wrong(), "A of PO (update) was held twice", "1.6",
               "by A with", "by B with")


def test_key_and_mbg_are_one_mailbag(script):
    script.hold("A", KEY, 1, 2, 1).hold("B", MBG, 1.5, 3, 2)
    assert has(script.wrong(), MBG)


def test_one_program_may_hold_both_files(script):
    script.hold("A", KEY, 1, 4, 1).hold("A", MBG, 2, 3, 2)
    assert not script.wrong()


def test_readers_of_a_mailbag_do_not_exclude(script):
    script.hold("A", KEY, 1, 2, 1).hold("B", KEY, 1.5, 3, 2, write=False)
    script.hold("C", r"PO\KEY\B.KEY", 1, 2, 3)
    script.hold("D", r"HUB\KEY\A.KEY", 1, 2, 4)
    assert not script.wrong()


def test_readers_of_an_inqueue_do(script):
    script.hold("A", QUEUE, 1, 2, 1, write=False)
    script.hold("B", OLD_QUEUE, 1.5, 3, 2, write=False)
    assert has(script.wrong(), "INQUEUE of PO (either)")


@pytest.mark.parametrize("name", [r"P1\INQUEUE.0LK", r"P1\INQUEUE3.OLK",
                                  "INQUEUE.0LK"])
def test_a_lock_file_locks_an_inqueue_until_it_is_deleted(script, name):
    name = rf"PO\{name}"
    script("A", "create", name, 1, 1.1, handle=1, write=True, new=True)
    script("A", "close", name, 1.2, 1.3, handle=1)
    script.hold("B", QUEUE, 1.5, 3, 2)
    script("A", "delete", name, 2, 2.1)
    assert has(script.wrong(), name, QUEUE, "from 1.6", "to 2.0")


def test_a_lock_file_does_not_keep_writers_out_elsewhere(script):
    for program, suffix, at in (("A", "0LK", 1), ("B", "0LK", 3)):
        name = rf"PO\P1\A.{suffix}"
        script(program, "create", name, at, at + .1, handle=at, write=True,
               new=True)
        script(program, "delete", name, at + 1, at + 1.1)
    script.hold("C", KEY, 1, 4, 9)
    assert not script.wrong()


def test_two_lock_files_of_one_queue(script):
    for handle, (program, suffix) in enumerate((("A", "0LK"), ("B", "005"))):
        script(program, "create", rf"PO\P1\A.{suffix}", 1, 1.1, handle=handle,
               write=True, new=True)
    assert has(script.wrong(), "A of PO (processing)")


def test_looking_at_a_lock_file_takes_nothing(script):
    script("A", "create", r"PO\P1\A.0LK", 1, 1.1, handle=1, write=True,
           new=True)
    script("B", "open", r"PO\P1\A.0LK", 2, 2.1, handle=2, write=False,
           new=False, deny="NONE")
    script("B", "create", r"PO\P1\LOCKP1ID.PBB", 2, 2.1, handle=3, write=True,
           new=True)
    script("B", "create", r"PO\P1\00000001.PBB", 2, 2.1, handle=4, write=True,
           new=True)
    assert not script.wrong()
    script("C", "open", r"PO\P1\A.0LK", 2, 2.1, handle=5, write=True,
           new=False, deny="ALL")
    assert has(script.wrong(), "by A with", "by C with")


def test_the_refused_and_the_unanswered_hold_nothing(script):
    script.hold("A", QUEUE, 1, 4, 1)
    script("B", "open", QUEUE, 2, 3, handle=2, write=True, error=32)
    script("C", "open", QUEUE, 2, None, handle=3, write=True)
    assert not script.wrong()


@pytest.mark.parametrize("end, program", [("gone", "A"), ("crash", "")])
def test_who_is_gone_holds_nothing(script, end, program):
    script.hold("A", QUEUE, 1, None, 1).hold("B", QUEUE, 3, 4, 2)
    assert has(script.wrong(), "by A with", "by B with")
    script(program, end, "", 2, 2.1)
    assert not script.wrong()


def test_an_idle_handle_may_be_passed(script):
    script.hold("A", KEY, 1, 20, 1).hold("B", KEY, 7, 8, 2)
    assert not script.wrong()
    script("A", "write", KEY, 6, 6.1, handle=1)
    assert has(script.wrong(), "by A with", "by B with")


def test_an_idle_handle_of_an_inqueue_counts(script):
    script.hold("A", QUEUE, 1, 20, 1).hold("B", QUEUE, 17, 18, 2)
    assert has(script.wrong(), "INQUEUE")


def test_one_process_files(script):
    script.hold("A", CONTROL, 1, 9, 1).hold("B", CONTROL, 8, 10, 2)
    script.hold("C", CONTROL, 8, 10, 3, write=False)
    assert has(script.wrong(), "CONTROL.GLB of PO", "by A with", "by B with")


# ---- reads ------------------------------------------------------------------


def view(script, program, state, began, ended, path=KEY):
    return script(program, "view", path, began, ended, state=state)


def test_the_latest_state_is_seen(script):
    script.publish("S", "one", 1, 2)
    view(script, "R", "one", 2.5, 3)
    # While a commit is on its way both are right.
    script.publish("S", "two", 4, 6)
    view(script, "R", "one", 4.5, 5)
    view(script, "R", "two", 4.5, 5)
    view(script, "R", "two", 7, 8)
    assert not script.wrong()


def test_an_old_state_is_found(script):
    script.publish("S", "one", 1, 2).publish("S", "two", 3, 4)
    view(script, "R", "one", 4.5, 5)
    assert has(script.wrong(), "R saw in", "what S had committed at [1.0",
               "no longer so", "4.5")


def test_an_old_state_is_found_after_another_programs_commit(script):
    script.publish("S", "one", 1, None).publish("S", "two", 3, 4)
    script.publish("T", "three", 5, 6)
    view(script, "R", "one", 7, 8)
    assert has(script.wrong(), "no longer so")


def test_a_commit_is_not_seen_before_it_began(script):
    script.publish("S", "one", 1, 2)
    script("S", "stage", KEY, 3, 3, state="two")
    view(script, "R", "two", 3.5, 4)
    script("S", "commit", "", 5, 6)
    assert has(script.wrong(), "what S had written at [3.0", "not committed")


def test_what_an_aborted_writer_staged_is_found(script):
    script.publish("S", "one", 1, 2)
    script("S", "stage", KEY, 3, 3, state="two")
    script("S", "gone", "", 4, 4)
    view(script, "R", "two", 5, 6)
    assert has(script.wrong(), "S had written", "not committed")


def test_what_a_failed_commit_had_staged_is_found(script):
    script.publish("S", "one", 1, 2)
    script("S", "stage", KEY, 3, 3, state="two")
    script("S", "commit", "", 3, 4, error=112)
    view(script, "R", "one", 5, 6)
    assert not script.wrong()
    view(script, "R", "two", 5, 6)
    assert has(script.wrong(), "not committed")


def test_a_later_commit_does_not_publish_what_was_undone(script):
    script.publish("S", "one", 1, 2)
    script("S", "stage", KEY, 3, 3, state="two")
    script("S", "gone", "", 4, 4)
    script.publish("S", "three", 5, 6, path=QUEUE)
    view(script, "R", "two", 7, 8)
    assert has(script.wrong(), "not committed")


def test_a_torn_state_is_found(script):
    script.publish("S", "one", 1, 2).publish("S", "two", 3, 4)
    view(script, "R", "half", 5, 6)
    assert has(script.wrong(), "a state that nobody had made")


def test_what_was_cut_off_may_have_been_committed(script):
    script.publish("S", "one", 1, 2).publish("S", "two", 3, None)
    view(script, "R", "one", 5, 6)
    view(script, "R", "two", 5, 6)
    assert not script.wrong()


def test_a_program_sees_what_it_has_written(script):
    script.publish("S", "one", 1, 2)
    script("S", "stage", KEY, 3, 3, state="two")
    view(script, "S", "two", 3.5, 4)
    assert not script.wrong()
    view(script, "S", "one", 3.5, 4)
    assert has(script.wrong(), "not what it had written itself")


def test_after_a_crash_a_program_sees_what_had_been_committed(script):
    script.publish("S", "one", 1, 2)
    script("S", "stage", KEY, 3, 3, state="two")
    script("", "crash", "", 4, 4)
    view(script, "S", "one", 5, 6)
    assert not script.wrong()
    view(script, "S", "two", 5, 6)
    assert has(script.wrong(), "not committed")


def test_another_mailbags_state_is_not_its(script):
    script.publish("S", "one", 1, 2).publish("S", "two", 1, 2, path=QUEUE)
    view(script, "R", "two", 3, 4)
    assert has(script.wrong(), "a state that nobody had made")


@pytest.mark.parametrize("why", ["missing", "short: 5 of 900 bytes"])
def test_a_header_without_its_message_is_found(script, why):
    script("R", "seen", QUEUE, 1, 2, stem="00000001", complete=True)
    assert not script.wrong()
    script("R", "seen", QUEUE, 3, 4, stem="00000002", complete=False, why=why)
    assert has(script.wrong(), "R saw", "00000002", why, "[3.0")


# ---- delivery ---------------------------------------------------------------


def submit(script, message, ended, *recipients, began=1):
    return script("S", "submit", QUEUE, began, ended, message=message,
                  recipients=list(recipients or ["PO/A"]))


@pytest.fixture
def census():
    return Census()


def test_delivered_queued_and_taken_are_places(script, census):
    for message in ("one", "two", "three"):
        submit(script, message, 2)
    census.delivered["PO/A", "one"] = 1
    census.queued["PO/A", "two"] = 1
    script("R", "take", KEY, 3, 4, message="three")
    assert not script.wrong(census)


def test_what_was_not_acknowledged_may_be_anywhere_or_nowhere(script, census):
    submit(script, "one", None)
    submit(script, "two", None)
    census.delivered["PO/A", "two"] = 1
    assert not script.wrong(census)


def test_a_lost_message_is_found(script, census):
    submit(script, "one", 2)
    assert has(script.wrong(census), "one for PO/A, acknowledged at [1.0",
               "lost")


def test_a_message_lost_by_one_recipient_is_found(script, census):
    submit(script, "one", 2, "PO/A", "PO/B")
    census.delivered["PO/A", "one"] = 1
    assert has(script.wrong(census), "one for PO/B", "lost")


@pytest.mark.parametrize("ended", [2, None])
def test_a_message_delivered_twice_is_found(script, census, ended):
    submit(script, "one", ended)
    census.delivered["PO/A", "one"] = 2
    assert has(script.wrong(census), "one for PO/A", "2 times",
               "2 in the mailbag")


def test_delivered_and_still_queued_is_twice(script, census):
    submit(script, "one", 2)
    census.delivered["PO/A", "one"] = 1
    census.queued["PO/A", "one"] = 1
    assert has(script.wrong(census), "1 in the mailbag, 1 on the way")


def test_taken_and_still_there_is_twice(script, census):
    submit(script, "one", 2)
    script("R", "take", KEY, 3, 4, message="one")
    census.delivered["PO/A", "one"] = 1
    assert has(script.wrong(census), "1 taken out")


def test_perhaps_taken_is_neither_lost_nor_twice(script, census):
    submit(script, "one", 2)
    submit(script, "two", 2)
    for message in ("one", "two"):
        script("R", "take", KEY, 3, None, message=message)
    census.delivered["PO/A", "two"] = 1
    assert not script.wrong(census)


def test_a_refused_take_takes_nothing(script, census):
    submit(script, "one", 2)
    script("R", "take", KEY, 3, 4, message="one", error=32)
    assert has(script.wrong(census), "lost")


def test_trying_again_makes_no_second_message(script, census):
    submit(script, "one", None)
    submit(script, "one", 6, began=5)
    census.delivered["PO/A", "one"] = 1
    assert not script.wrong(census)
    census.delivered.clear()
    assert has(script.wrong(census), "acknowledged at [5.0")


def test_a_message_of_nobody_and_for_another_are_found(script, census):
    submit(script, "one", 2)
    census.delivered["PO/A", "one"] = 1
    census.delivered["PO/B", "one"] = 1
    assert has(script.wrong(census), "PO/B has one, which was not for him")
    del census.delivered["PO/B", "one"]
    script("R", "take", KEY, 3, 4, message="two")
    assert has(script.wrong(census), "PO/A has two, which nobody submitted")


# ---- numbers ----------------------------------------------------------------


def number(script, program, value, began, ended, path=CONTROL):
    return script(program, "number", path, began, ended, number=value)


def test_each_number_once(script):
    number(script, "A", 1, 1, 2)
    number(script, "B", 2, 1, 3)
    number(script, "A", 3, 3, 4)
    number(script, "A", 1, 5, 6, path=r"HUB\GLB\CONTROL.GLB")
    # The second to ask may be the first to be served.
    number(script, "A", 5, 7, 9)
    number(script, "B", 4, 8, 10)
    assert not script.wrong()


def test_a_number_given_twice_is_found(script):
    number(script, "A", 1, 1, 2)
    number(script, "B", 1, 1.5, 2.5)
    assert has(script.wrong(), "number 1 of", "A at [1.0", "B at [1.5")


def test_a_number_given_again_later_is_found(script):
    number(script, "A", 1, 1, 2)
    number(script, "A", 2, 3, 4)
    number(script, "A", 1, 5, 6)
    assert has(script.wrong(), "number 1 of", "[5.0")


def test_numbers_that_go_back_are_found(script):
    number(script, "A", 7, 1, 2)
    number(script, "B", 6, 3, 4)
    assert has(script.wrong(), "number 6", "when 7 had been")


def test_a_crash_may_take_numbers_back(script):
    number(script, "A", 7, 1, 2)
    script("", "crash", "", 3, 3)
    number(script, "B", 7, 4, 5)
    assert not script.wrong()


def test_an_end_in_order_takes_no_numbers_back(script):
    number(script, "A", 7, 1, 2)
    script("", "crash", "", 3, 3, keeps=True)
    number(script, "B", 7, 4, 5)
    assert has(script.wrong(), "number 7 of", "A at [1.0", "B at [4.0")


# ---- the census -------------------------------------------------------------

WHEN = datetime.datetime(1993, 10, 8, 16, 25)


@pytest.fixture
def office(tmp_path):
    """A postoffice with one message in PO/A, one in the inqueue for both."""
    for name in ("KEY", "MBG", "P1", "MAI/MA1", "MAI/MA2"):
        (tmp_path / name).mkdir(parents=True)
    put(tmp_path, "A", "00000001", "one", "PO/A")
    put(tmp_path, "INQUEUE3", "00000002", "two", "PO/A", "PO/B")
    (tmp_path / "P1" / "00000002.P1").write_bytes(
        mail.encode_envelope(["PO/A", "PO/B"]))
    return tmp_path


def put(office, mailbag, stem, subject, *recipients):
    """A mailbag with one header, and its message."""
    (office / "KEY" / f"{mailbag}.KEY").write_bytes(bytes(560))
    (office / "MBG" / f"{mailbag}.MBG").write_bytes(
        mail.Header("ANNA", subject, WHEN, stem).encode())
    (office / "MAI" / f"MA{stem[-1]}" / f"{stem}.MAI").write_bytes(
        mail.encode_message("PO/S", recipients, subject, WHEN, "text"))


def test_a_census_counts(office, census):
    census.count(office, "PO")
    assert not census.faults
    assert dict(census.delivered) == {("PO/A", "one"): 1}
    assert dict(census.queued) == {("PO/A", "two"): 1, ("PO/B", "two"): 1}


def test_a_census_knows_outgoing_queues(office, census):
    put(office, "0000000E", "00000001", "three", "PO/A", "HUB/C")
    (office / "KEY" / "A.KEY").unlink()
    census.count(office, "PO", {"0000000E": "HUB"})
    assert census.queued["HUB/C", "three"] == 1
    assert census.queued["PO/A", "three"] == 0


def test_a_deleted_header_is_not_there(office, census):
    key = mail.Key(bytes(560))
    key.mark_deleted(0, True)
    (office / "KEY" / "A.KEY").write_bytes(key.encode())
    census.count(office, "PO")
    assert not census.faults and not census.delivered


def test_a_header_without_mai_is_a_fault(office, census):
    (office / "MAI" / "MA1" / "00000001.MAI").unlink()
    census.count(office, "PO")
    assert has(census.faults, "PO/A", "[016]", "00000001")


def test_a_short_mai_is_a_fault(office, census):
    mai = office / "MAI" / "MA2" / "00000002.MAI"
    mai.write_bytes(mai.read_bytes()[:-1])
    census.count(office, "PO")
    assert has(census.faults, "PO/INQUEUE3", "[023]", "00000002")


def test_a_header_without_envelope_is_a_fault(office, census):
    (office / "P1" / "00000002.P1").unlink()
    census.count(office, "PO")
    assert has(census.faults, "[021]", "00000002")


def test_two_headers_of_one_message_are_a_fault(office, census):
    bag = office / "MBG" / "A.MBG"
    bag.write_bytes(bag.read_bytes() * 2)
    census.count(office, "PO")
    assert "two headers of 00000001" in census.faults[0]


def test_an_owner_too_many_is_a_fault(office, census):
    put(office, "A", "00000001", "one", "PO/A", "PO/B")
    census.count(office, "PO")
    assert has(census.faults, "00000001.MAI counts 2 owners and has 1")


@pytest.mark.parametrize("key, bag", [(559, 116), (560, 115)])
def test_wrong_sizes_are_faults(office, census, key, bag):
    (office / "KEY" / "A.KEY").write_bytes(bytes(key))
    (office / "MBG" / "A.MBG").write_bytes(bytes(bag))
    census.count(office, "PO")
    assert has(census.faults, f"KEY of {key}, MBG of {bag}")


def test_the_faults_of_the_census_are_verdicts(script, office, census):
    (office / "P1" / "00000002.P1").unlink()
    census.count(office, "PO")
    submit(script, "one", 2)
    assert has(script.wrong(census), "[021]")
