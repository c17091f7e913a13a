"""The guards of the fast lane: nothing is read twice, out of order, or as somebody else's."""

from __future__ import annotations

from tools.mutations.guards import CodeGuard

F = "libs/common/common/http/lane/connection.py"
T = "services/ledger/tests/test_fast_lane.py"
HANDED = "services/ledger/tests/test_lane_handing_over.py"

CODE = (
    CodeGuard(
        "lane: what leaves in doubt where a request ends is refused",
        F,
        "        check(headers)\n",
        "",
        (f"{T}::test_a_request_of_doubtful_length_is_refused_and_nothing_after_it_is_read",),
    ),
    CodeGuard(
        "lane: a connection is handed over after the answers before it",
        F,
        "        if self._task is not None:\n            self._foreign = data\n",
        "        if self._lane.closing:\n            self._foreign = data\n",
        (f"{HANDED}::test_what_is_not_the_lanes_waits_for_the_answers_before_it",),
    ),
    CodeGuard(
        "lane: where a request ends is known before the next is looked at",
        F,
        "                end = self._end_of_piece(data)\n",
        "                end = len(data)\n",
        (f"{HANDED}::test_what_is_not_the_lanes_waits_for_the_answers_before_it",),
    ),
    CodeGuard(
        "lane: what is sent ahead behind chunks is not taken for a post",
        F,
        "        if not self._lane.knows(method, target):",
        "        if False:",
        (f"{HANDED}::test_what_is_sent_ahead_in_one_piece_with_the_end_of_chunks_is_left_unread",),
    ),
    CodeGuard(
        "lane: a body is bounded while it arrives",
        F,
        "        if self._size > request.client_max_size:",
        "        if False:",
        (f"{T}::test_chunks_without_end_are_cut_off",),
    ),
    CodeGuard(
        "lane: a head has its time as a whole, however it drips",
        F,
        "        while data and not self._last:\n",
        "        self._deadline = self._loop.time() + self._lane.body_seconds\n        while data and not self._last:\n",
        (f"{T}::test_drop_by_drop_does_not_hold_a_head_open",),
    ),
)
