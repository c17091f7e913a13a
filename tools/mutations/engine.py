"""The guards of the ledger's engine: whole batches, memory and drafts, one answer a key, a queue that is bounded."""

from __future__ import annotations

from tools.mutations.guards import CodeGuard

L, LT = "services/ledger/ledger", "services/ledger/tests"

_HALVES = (f"{LT}/test_batches.py::test_the_database_refuses_only_the_guilty",)
_CRASH = "tests/e2e/test_ledger_crash.py::test_kill_9_loses_no_answer_and_doubles_no_key"
_OVERLOAD = ("tests/e2e/test_ledger_overload.py",)
_DOOR = f"{LT}/test_overload.py"
_LOOKED_UP = (
    "finished = await outcomes(connection, ledger, [command.id for group in groups for command in group])"
)
_NOT_LOOKED_UP = "finished: Mapping[UUID, Outcome] = {}"

CODE = (
    CodeGuard(
        "ledger: a batch that is refused goes by halves down to the guilty",
        f"{L}/engine/batch.py",
        "        if len(groups) == 1:\n            return _guilty(groups[0], broken)",
        "        if groups:\n            return {k: v for group in groups for k, v in _guilty(group, broken).items()}",
        _HALVES,
    ),
    CodeGuard(
        "ledger: the refusals of a batch are written at once",
        f"{L}/engine/batch.py",
        "        await journal.write_refusals(connection, refused)",
        "        for each in refused:\n            await journal.write_refusals(connection, [each])",
        (f"{LT}/test_batches.py::test_the_refusals_of_a_batch_are_written_at_once_and_told_one_by_one",),
    ),
    CodeGuard(
        "ledger: a balance that no column can hold is refused before it is written",
        f"{L}/domain/decide.py",
        "        if abs(balance) >= LARGEST:",
        "        if False:",
        (f"{LT}/test_batches.py::test_a_balance_beyond_the_largest_amount_is_an_answer_and_no_defect",),
    ),
    CodeGuard(
        "ledger: a hold that is over before it begins is refused",
        f"{L}/domain/derived.py",
        "    if command.overdue:",
        "    if False:",
        (f"{LT}/test_holds.py::test_a_hold_that_is_over_before_it_begins_is_refused",),
    ),
    CodeGuard(
        "ledger: who is refused opens no account",
        f"{L}/engine/batch.py",
        "new & accounts_of(decided)",
        "new",
        (f"{LT}/test_opening.py::test_who_is_refused_opens_no_account",),
    ),
    CodeGuard(
        "ledger: memory opens no account on books of before",
        f"{L}/store/books.py",
        "         WHERE (SELECT sequence FROM head WHERE ledger_id = $1) = $4\n",
        "         WHERE $4::bigint IS NOT NULL\n",
        (f"{LT}/test_opening.py::test_what_an_engine_remembers_wrongly_opens_no_account",),
    ),
    CodeGuard(
        "ledger: that the two nets disagree is counted",
        f"{L}/engine/batch.py",
        "    NETS_DISAGREED.inc()",
        "    pass",
        _HALVES,
    ),
    CodeGuard(
        "ledger: what no column can hold is refused alone",
        f"{L}/engine/batch.py",
        "REFUSED = (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError, asyncpg.ProgramLimitExceededError)",
        "REFUSED = (asyncpg.IntegrityConstraintViolationError,)",
        (f"{LT}/test_batches.py::test_what_no_column_can_hold_hurts_no_neighbour",),
    ),
    CodeGuard(
        "ledger: linked entries are committed together",
        f"{L}/engine/queue.py",
        "self._land(left, await under_lock(self._pool, self._memory, _groups(left)))",
        "self._land(left, {k: v for flight in left for each in flight.group for k, v in "
        "(await under_lock(self._pool, self._memory, [(each,)])).items()})",
        (f"{LT}/test_crashes.py", f"{LT}/test_batches.py::test_linked_entries_happen_all_or_none"),
    ),
    CodeGuard(
        "ledger: what knew nothing of a posting under the lock is decided again",
        f"{L}/engine/memory.py",
        "        if self.head != before or self._drafts:",
        "        if self.head != before:",
        (f"{LT}/test_drafts.py::test_drafts_upon_a_batch_whose_refused_is_posted_after_all",),
    ),
    CodeGuard(
        "ledger: who is posted does not wait for who is refused",
        f"{L}/engine/queue.py",
        "                self._land(left, await begun)\n",
        "                self._land(left, told if len(told := await begun) == len(left) else {})\n",
        (f"{LT}/test_drafts.py::test_who_is_posted_does_not_wait_for_who_is_refused",),
    ),
    CodeGuard(
        "ledger: what was decided upon a batch that failed is decided again",
        f"{L}/engine/memory.py",
        "        self._drafts.clear()\n",
        "",
        (f"{LT}/test_drafts.py::test_drafts_upon_a_batch_that_is_refused_are_decided_again",),
    ),
    CodeGuard(
        "ledger: drafts that are void are not mixed with new ones",
        f"{L}/engine/queue.py",
        "        if self._drafted and not self._memory.has_drafts:",
        "        if False:",
        (f"{LT}/test_drafts.py::test_drafts_that_became_void_are_not_mixed_with_new_ones",),
    ),
    CodeGuard(
        "ledger: a defect in the loop leaves nobody waiting",
        f"{L}/engine/queue.py",
        "        self._task.add_done_callback(self._ended)\n",
        "",
        (f"{LT}/test_drafts.py::test_a_defect_in_the_loop_leaves_nobody_waiting",),
    ),
    CodeGuard(
        "ledger: what was never queued is not in flight",
        f"{L}/engine/queue.py",
        "        self._draft_waiting()\n        flight = Flight(group, party, place, asyncio.get_running_loop().time())\n",
        "        flight = Flight(group, party, place, asyncio.get_running_loop().time())\n"
        "        self._flights[group[0].id] = flight\n        self._draft_waiting()\n",
        (f"{LT}/test_drafts.py::test_a_defect_in_the_loop_leaves_nobody_waiting",),
    ),
    CodeGuard(
        "ledger: a batch that failed was not what memory says",
        f"{L}/engine/memory.py",
        "        if sent.attempt == self._attempt:\n            self.forget()",
        "        pass",
        (f"{LT}/test_drafts.py", f"{LT}/test_sent_ahead.py", f"{LT}/test_memory.py"),
    ),
    CodeGuard(
        "ledger: what was sent upon a batch that failed says nothing of the memory that came after",
        f"{L}/engine/memory.py",
        "        if sent.attempt != self._attempt:",
        "        if False:",
        (f"{LT}/test_sent_ahead.py::test_what_lands_upon_a_failure_is_no_memory",),
    ),
    CodeGuard(
        "ledger: nothing is decided upon half a batch",
        f"{L}/engine/batch.py",
        "    whole = len(drafts) + len(suited) == len(groups)\n",
        "    whole = True\n",
        (f"{LT}/test_drafts.py::test_nothing_is_drafted_upon_half_a_batch",),
    ),
    CodeGuard(
        "ledger: what has to wait is not overtaken",
        f"{L}/engine/queue.py",
        "if not self._waiting and len(self._drafted)",
        "if len(self._drafted)",
        (f"{LT}/test_drafts.py::test_what_cannot_be_drafted_is_not_overtaken",),
    ),
    CodeGuard(
        "ledger: what was posted before a crash is found by its key",
        f"{L}/engine/batch.py",
        _LOOKED_UP,
        _NOT_LOOKED_UP,
        (f"{_CRASH}[ledger-2]",),
        whole=True,
    ),
    CodeGuard(
        "ledger: a key that was answered is answered again",
        f"{L}/engine/batch.py",
        _LOOKED_UP,
        _NOT_LOOKED_UP,
        (f"{LT}/test_storms.py::test_one_key_two_hundred_times_posts_once", f"{LT}/test_crashes.py"),
    ),
    CodeGuard(
        "ledger: a key answers for one request only",
        f"{L}/engine/batch.py",
        "command.id in finished and finished[command.id].fingerprint == command.fingerprint",
        "command.id in finished",
        (f"{LT}/test_storms.py::test_the_same_key_for_another_request_is_refused",),
    ),
    CodeGuard(
        "ledger: what does not fit into the queue is refused",
        f"{L}/engine/queue.py",
        "        if fresh and self._queued + sum(map(len, fresh)) > self._max_queued:",
        "        if False:",
        (f"{LT}/test_batches.py::test_a_request_that_does_not_fit_is_refused_as_a_whole",),
    ),
    CodeGuard(
        "ledger: who would wait too long is refused at the door",
        f"{L}/engine/queue.py",
        "or (self._late and self._queued >= self._max_batch)",
        "",
        (_DOOR,),
    ),
    CodeGuard(
        "ledger: while the next batch has room nobody is refused",
        f"{L}/engine/queue.py",
        "self._late and self._queued >= self._max_batch",
        "self._late",
        (_DOOR,),
    ),
    CodeGuard(
        "ledger: who is refused for overload is told when to come again",
        f"{L}/engine/queue.py",
        'refusals.Overloaded("too many commands are waiting", retry_after=1)',
        'refusals.Overloaded("too many commands are waiting")',
        _OVERLOAD,
    ),
)
