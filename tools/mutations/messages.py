"""The guards of what every service stands on: messages, what is remembered of them, tokens and Redis while they hang."""

from __future__ import annotations

from tools.mutations.guards import CodeGuard, DatabaseGuard

C, CT = "libs/common/common", "libs/common/tests"
R, RT = "services/relay/relay", "services/relay/tests"

_KEPT = (f"{RT}/test_forgetting.py::test_nobody_forgets_what_must_be_kept",)

CODE = (
    CodeGuard(
        "messages: a frozen Redis is left alone",
        f"{C}/redis.py",
        "            with self._circuit.attempt():",
        "            if self._circuit:",
        (f"{CT}/test_redis.py::test_a_frozen_redis_is_left_alone_and_asked_again_by_one_command_later",),
    ),
    CodeGuard(
        "messages: what the inbox may have forgotten is not handled",
        f"{C}/amqp/consumer.py",
        "        if self._oldest is not None and envelope.time",
        "        if self._oldest is None and envelope.time",
        (f"{CT}/amqp/test_consumer.py::test_what_the_inbox_may_have_forgotten_is_dead",),
    ),
    CodeGuard(
        "messages: a row that ends the channel holds up its own aggregate alone",
        f"{C}/amqp/publisher.py",
        "    kind = Rejected if alone else Unclear",
        "    kind = Unconfirmed",
        (f"{RT}/test_carrying.py::test_a_row_that_cannot_be_sent_holds_up_its_aggregate_alone",),
    ),
    CodeGuard(
        "messages: a stuck shard that a visit did not get through stays stuck",
        f"{R}/service.py",
        "            if rest == 0:",
        "            if rest >= 0:",
        (
            f"{RT}/test_carrying.py::test_a_visit_that_runs_out_of_time_does_not_make_a_stuck_shard_a_good_one",
        ),
    ),
    CodeGuard(
        "messages: what no queue takes is held and not given back",
        f"{C}/amqp/consumer.py",
        "            except (Unroutable, Rejected):",
        "            except NotTaken:",
        (f"{CT}/amqp/test_consumer.py::test_a_message_that_no_queue_takes_is_held_and_not_given_up",),
    ),
    CodeGuard(
        "deadlines: an effect that changes its own deadline holds up no other",
        f"{C}/deadlines.py",
        "AND generation = $3 AND state = 'ARMED'",
        "AND generation = $3",
        (f"{CT}/test_deadlines.py::test_an_effect_may_change_its_own_deadline_and_holds_up_no_other",),
    ),
    CodeGuard(
        "deadlines: none is early, whatever its worker's clock says",
        f"{C}/deadlines.py",
        "least(now(), $4)",
        "greatest(now(), $4)",
        (f"{CT}/test_deadlines.py::test_a_worker_whose_clock_is_ahead_fires_nothing_early",),
    ),
    CodeGuard(
        "deadlines: none is told of a moment that has not come for its worker",
        f"{C}/deadlines.py",
        "least(now(), $4)",
        "coalesce(now(), $4)",
        (
            f"{CT}/test_deadlines.py::test_a_worker_whose_clock_is_behind_leaves_to_others_what_has_not_come_for_it",
        ),
    ),
    CodeGuard(
        "deadlines: a lock that was not to be had is no failure",
        f"{C}/deadlines.py",
        "        except LOCKED as error:",
        "        except () as error:",
        (f"{CT}/test_deadlines.py::test_what_cannot_be_locked_waits_and_has_not_failed",),
    ),
    CodeGuard(
        "edge: a clock that is put back locks nobody out",
        f"{C}/rate_limits.py",
        "tonumber(ARGV[2 * i]) then arrivals[i] = now end",
        "tonumber(ARGV[2 * i]) then arrivals[i] = arrivals[i] end",
        (f"{CT}/test_rate_limits.py::test_a_clock_that_is_put_back_locks_nobody_out",),
    ),
    CodeGuard(
        "edge: while identity hangs, nobody waits behind somebody who asks it",
        f"{C}/auth.py",
        "        if not known or (old and not self._asking.locked()):",
        "        if not known or old:",
        (f"{CT}/test_auth.py::test_while_identity_hangs_one_request_waits_for_it_and_the_others_pass",),
    ),
)

DATABASE = tuple(
    DatabaseGuard(
        name,
        "betting",
        f"ALTER TABLE {table} DISABLE TRIGGER {trigger}",
        f"ALTER TABLE {table} ENABLE TRIGGER {trigger}",
        _KEPT,
    )
    for name, table, trigger in (
        ("messages: what was heard is kept for its time", "inbox", "inbox_is_kept"),
        ("messages: a deadline is kept for its time", "deadline", "deadline_is_kept"),
        ("messages: a key is kept for ever", "idempotency", "idempotency_is_kept"),
        ("messages: the first stored answer stays", "idempotency", "idempotency_answers_once"),
    )
)
