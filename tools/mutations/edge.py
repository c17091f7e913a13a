"""The guards of identity and the edge: who somebody is, what they may do, what they allow themselves."""

from __future__ import annotations

import re

from tools.mutations.guards import CodeGuard, DatabaseGuard
from tools.stack.layout import ROOT

C, CT = "libs/common/common", "libs/common/tests"
P, PT = "services/identity/identity", "services/identity/tests"
G, GT = "services/gateway/gateway", "services/gateway/tests"
L, LT = "services/ledger/ledger", "services/ledger/tests"

_CONFUSED = (f"{CT}/test_auth.py::test_anything_else_is_not_accepted",)
_COVERED = (f"{CT}/test_plain_signatures.py",)
_FOUR_EYES = (f"{PT}/test_four_eyes.py::test_the_database_takes_four_eyes_too",)

_LIVE = "services/gateway/tests/test_live.py"

CODE = (
    CodeGuard(
        "live: who logged out does not leave the others in the dark",
        "services/gateway/gateway/live/hub.py",
        "            except Unauthenticated as error:\n                refused = error",
        "            except Unauthenticated:\n                raise",
        (f"{_LIVE}::test_nobody_is_left_in_the_dark_by_who_logged_out",),
    ),
    CodeGuard(
        "live: what nobody watches any more is not kept for the next one who comes",
        "services/gateway/gateway/live/hub.py",
        "        if market in self._watchers:\n            self._keep(image)",
        "        if True:\n            self._keep(image)",
        (f"{_LIVE}::test_an_image_is_not_kept_for_who_left_while_it_was_read",),
    ),
    CodeGuard(
        "live: a market that is read slowly holds up nobody else's",
        "services/gateway/gateway/live/hub.py",
        "            self._renew(market)  # if that fails, the next event shows a gap\n",
        "            self._renew(market)\n            await asyncio.wait({self._reading_of(market)})\n",
        (
            f"{_LIVE}::test_a_market_that_is_read_slowly_holds_up_nobody_elses",
            "services/gateway/tests/test_live_frozen.py",
        ),
    ),
    CodeGuard(
        "live: so many images are read at once",
        "services/gateway/gateway/live/hub.py",
        "                await self._places.acquire()\n",
        "                await asyncio.sleep(0)\n",
        (f"{_LIVE}::test_so_many_images_are_read_at_once",),
    ),
    CodeGuard(
        "edge: who makes sessions up is counted before identity is asked",
        "services/gateway/gateway/door.py",
        "        if not self._exchange.keeps(secret, service):\n",
        "        if False:\n",
        (
            "services/gateway/tests/test_limits.py::test_who_makes_sessions_up_reaches_identity_no_faster_than_their_address_may",
        ),
    ),
    CodeGuard(
        "live: a status that could not be read shows as a gap",
        "services/gateway/gateway/live/hub.py",
        "        if not image.follows(envelope.sequence) or envelope.type in MOVES:\n",
        "        if image.follows(envelope.sequence) and envelope.type in MOVES:\n"
        "            image.seen = envelope.sequence\n            self._renew(market)\n            return\n"
        "        if not image.follows(envelope.sequence):\n",
        (f"{_LIVE}::test_a_status_that_could_not_be_read_is_read_with_the_next_event",),
    ),
    CodeGuard(
        "live: who comes back is told how the market stands",
        "services/gateway/gateway/live/watchers.py",
        "            self.tell(status_message(image))\n",
        "",
        (f"{_LIVE}::test_a_status_is_told_without_the_book",),
    ),
    CodeGuard(
        "live: what must not wait does not wait for the book",
        "services/gateway/gateway/live/watchers.py",
        "                await _within(min(rests), self._urgent)",
        "                await asyncio.sleep(min(rests))",
        (f"{_LIVE}::test_a_status_does_not_wait_until_changes_of_the_book_may_be_told",),
    ),
    CodeGuard(
        "live: what could not be done is tried again on a busy day",
        "services/gateway/gateway/live/feed.py",
        "                if monotonic() - mended_at >= MEND_SECONDS:",
        "                if False:",
        ("services/gateway/tests/test_feed.py::test_what_could_not_be_done_is_tried_again_on_a_busy_day",),
    ),
    CodeGuard(
        "live: what is one's own and was missed is said to be",
        "services/gateway/gateway/live/hub.py",
        "            watcher.tell(MISSED)",
        "            pass",
        (f"{_LIVE}::test_what_was_anybodys_own_and_was_missed_is_said_to_be",),
    ),
    CodeGuard(
        "live: nobody takes all the connections there are",
        "services/gateway/gateway/live/hub.py",
        "        if self._clients[watcher.subject] >= MOST_OF_A_PERSON or self._clients.total() >= MOST_CLIENTS:",
        "        if False:",
        ("services/gateway/tests/test_live_doors.py::test_nobody_takes_all_the_connections_there_are",),
    ),
    CodeGuard(
        "live: a market that cannot be read is not said to be missing",
        "services/gateway/gateway/live/doors.py",
        "                    if answer.status in _NOT_NOW or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:",
        "                    if False:",
        ("services/gateway/tests/test_live_doors.py",),
    ),
    CodeGuard(
        "edge: a device signs under one spelling of its name",
        "services/gateway/gateway/devices.py",
        "        if not _is_canonical(device):",
        "        if False:",
        ("services/gateway/tests/test_revocations.py::test_a_device_is_known_by_one_spelling_alone",),
    ),
    CodeGuard(
        "edge: a key that was asked for before its device was revoked is not kept",
        "services/gateway/gateway/keeping.py",
        "        if self._asking.get(name) is not done:\n            return  # forgotten meanwhile\n"
        "        del self._asking[name]",
        "        self._asking.pop(name, None)",
        (
            "services/gateway/tests/test_revocations.py::test_a_key_that_comes_after_its_revocation_is_not_kept",
            "services/gateway/tests/test_keeping.py",
        ),
    ),
    CodeGuard(
        "edge: nothing that identity told is used beyond its time",
        "services/gateway/gateway/keeping.py",
        "        if kept is None or now >= kept.use_until:",
        "        if kept is None:",
        ("services/gateway/tests/test_keeping.py",),
    ),
    CodeGuard(
        "edge: what identity does not stand by any more is dropped",
        "services/gateway/gateway/keeping.py",
        "        if done.cancelled() or isinstance(refusal, Unavailable):",
        "        if done.cancelled() or refusal:",
        ("services/gateway/tests/test_keeping.py",),
    ),
    CodeGuard(
        "edge: a session is worth nothing once what it was started on has changed",
        f"{P}/service/access.py",
        "        if known is None or _proved(known) != _proved(user):",
        "        if False:",
        (f"{PT}/test_four_eyes.py::test_who_is_dismissed_while_logging_in_gets_no_session",),
    ),
    CodeGuard(
        "edge: a session ends whole, or can be asked to end again",
        f"{P}/sessions.py",
        "return bool(await self._end(keys=[_key(sid), _index(user)], args=[str(sid)]))",
        "return bool(\n"
        "                await self._redis.zrem(_index(user), str(sid)) and await self._redis.delete(_key(sid))\n"
        "            )",
        (f"{PT}/test_sessions.py::test_an_end_that_redis_broke_off_can_be_asked_for_again",),
    ),
    CodeGuard(
        "edge: who is dismissed has no session, though we die on the way",
        f"{P}/service/approvals.py",
        "            await self._end_sessions(await self._would_be(who, approval_id))",
        "            await self._would_be(who, approval_id)",
        (f"{PT}/test_four_eyes.py::test_who_was_dismissed_keeps_no_session_though_we_die_on_the_way",),
    ),
    CodeGuard(
        "edge: who may not decide ends nobody's session",
        f"{P}/service/approvals.py",
        "        return decide(found, decider, approve=True, now=self._desk.clock())",
        "        return found",
        (f"{PT}/test_four_eyes.py::test_who_may_not_decide_ends_nobodys_session",),
    ),
    CodeGuard(
        "edge: a token of another type is none",
        f"{C}/auth.py",
        'header.get("alg") != ALGORITHM or header.get("typ") != TYPE or not',
        "not",
        _CONFUSED,
    ),
    CodeGuard(
        "edge: a token signed by another key is none",
        f"{C}/auth.py",
        "        if key_id not in keys:\n            raise _not_accepted()\n        return keys[key_id]",
        "        return keys.get(key_id, next(iter(keys.values())))",
        _CONFUSED,
    ),
    CodeGuard(
        "edge: a token for another service is none",
        f"{C}/auth.py",
        '"strict_aud": True',
        '"verify_aud": False',
        _CONFUSED,
    ),
    CodeGuard(
        "edge: a token of another issuer is none",
        f"{C}/auth.py",
        '"strict_aud": True',
        '"strict_aud": True, "verify_iss": False',
        _CONFUSED,
    ),
    CodeGuard(
        "edge: a token that has expired is none",
        f"{C}/auth.py",
        '"strict_aud": True',
        '"strict_aud": True, "verify_exp": False',
        _CONFUSED,
    ),
    CodeGuard(
        "edge: a token lives a minute at most",
        f"{C}/auth.py",
        "    if claims.exp - claims.iat > LONGEST_LIFETIME_SECONDS:",
        "    if False:",
        _CONFUSED,
    ),
    CodeGuard(
        "edge: a remembered token expires too",
        f"{C}/auth.py",
        "principal is not None and datetime.now(UTC).timestamp() < expires + LEEWAY_SECONDS",
        "principal is not None",
        (f"{CT}/test_auth.py::test_a_remembered_token_still_expires",),
    ),
    CodeGuard(
        "edge: a session that is proved again has one secret",
        f"{P}/sessions.py",
        "redis.call('RENAME', KEYS[1], KEYS[2])",
        "redis.call('COPY', KEYS[1], KEYS[2])",
        (f"{GT}/test_attacks.py::test_proving_oneself_again_leaves_the_old_secret_worthless",),
    ),
    CodeGuard(
        "edge: a session is opened by all of its secret",
        f"{P}/sessions.py",
        "if session[8] ~= ARGV[1] or not session[9]",
        "if not session[9]",
        (f"{PT}/test_sessions.py::test_a_session_is_opened_by_its_whole_digest_not_by_its_name",),
    ),
    CodeGuard(
        "edge: an unknown address costs a hash",
        f"{P}/service/accounts.py",
        "right = await self._passwords.verify(None if known is None else known.password_hash, password)",
        "right = known is not None and await self._passwords.verify(known.password_hash, password)",
        (f"{PT}/test_passwords_reset.py::test_log_in_does_the_same_work_whether_the_account_exists_or_not",),
    ),
    CodeGuard(
        "edge: an unknown address is answered like a wrong password",
        f"{P}/service/accounts.py",
        "        if known is None or not right:\n",
        '        if known is None:\n            raise BadCredentials("Nobody has this address.")\n        if not right:\n',
        (f"{PT}/test_sessions.py::test_an_unknown_user_and_a_wrong_password_are_answered_alike",),
    ),
    CodeGuard(
        "edge: guesses at an account are counted",
        f"{P}/service/access.py",
        "        charge = Charge(self._attempts, account_name(email))\n        await self._limiter.admit(charge)",
        "        charge = Charge(self._attempts, account_name(email))",
        (f"{PT}/test_sessions.py::test_guessing_at_one_account_is_slowed_down_whether_it_exists_or_not",),
    ),
    CodeGuard(
        "edge: a code of an authenticator is good once",
        f"{P}/store/people.py",
        " AND totp_last_step < $3 RETURNING",
        " RETURNING",
        (f"{PT}/test_staff.py::test_one_code_used_by_many_at_once_lets_one_in",),
    ),
    CodeGuard(
        "edge: a signature is good once",
        f"{C}/signing.py",
        "        if not fresh:",
        "        if False:",
        (f"{CT}/test_signing.py::test_once", f"{GT}/test_signed.py::test_a_signature_is_good_once"),
    ),
    *(
        CodeGuard(
            f"edge: a signature covers {what}",
            f"{C}/plain_signatures.py",
            old,
            new,
            _COVERED,
        )
        for what, old, new in (
            ("the method", 'f\'"@method": {method}\\n', "f'"),
            ("the path", '\\n"@path": {path}\\n', "\\n"),
            ("the query", '"@query": ?{query}\\n', ""),
            ("the body", "return hmac.compare_digest(_digest_of(body), self._digest) and mac", "return mac"),
        )
    ),
    *(
        CodeGuard(
            f"edge: a signature of another form covers {what}",
            f"{C}/signing.py",
            'COVERED: Final = ("@method", "@path", "@query")',
            f"COVERED: Final = {left}",
            (f"{CT}/test_signing.py::test_covering_too_little_is_refused",),
        )
        for what, left in (
            ("the method", '("@path", "@query")'),
            ("the path", '("@method", "@query")'),
            ("the query", '("@method", "@path")'),
        )
    ),
    CodeGuard(
        "edge: a signature covers the idempotency key",
        f"{C}/signing.py",
        "    required = (*COVERED, IDEMPOTENCY_KEY) if keyed else COVERED",
        "    required = COVERED",
        (f"{CT}/test_signing.py::test_covering_too_little_is_refused",),
    ),
    CodeGuard(
        "edge: an old signature is none",
        f"{C}/signing.py",
        "abs(at - created) > WINDOW.total_seconds()",
        "False",
        (f"{CT}/test_signing.py::test_the_window",),
    ),
    CodeGuard(
        "edge: a device signs for whose it is",
        f"{P}/domain/devices.py",
        "if device is None or device.user != user:",
        "if device is None:",
        (f"{GT}/test_signed.py::test_another_persons_device_and_a_revoked_one_are_refused",),
    ),
    CodeGuard(
        "edge: what must be signed is",
        f"{G}/door.py",
        "            if device is not None:\n                await self._devices.verify",
        "            if False:\n                await self._devices.verify",
        (f"{GT}/test_signed.py::test_whatever_was_changed_is_refused",),
    ),
    CodeGuard(
        "edge: a body has a size, whatever it says",
        f"{G}/bodies.py",
        "            if len(body) > max_bytes:",
        "            if False:",
        (f"{GT}/test_door.py::test_a_large_body_is_refused_whether_it_says_so_or_not",),
    ),
    CodeGuard(
        "edge: a body has a time",
        f"{G}/bodies.py",
        "asyncio.timeout(self._timeout_seconds):",
        "asyncio.timeout(self._timeout_seconds + 15):",
        (f"{GT}/test_door.py::test_a_body_that_dribbles_in_is_given_up",),
    ),
    CodeGuard(
        "edge: so many bodies are waited for, and of one sender not all of them",
        f"{G}/bodies.py",
        "        if self._senders[sender] >= most or",
        "        if",
        (f"{GT}/test_slow_clients.py::test_those_who_are_slow_are_bounded_too",),
    ),
    CodeGuard(
        "edge: a body on its way takes no place",
        f"{G}/door.py",
        "        body = await self._body(request, route, address)\n        with self._shedder.place(route.priority):\n"
        "            return",
        "        with self._shedder.place(route.priority):\n            body = await self._body(request, route, address)\n"
        "            return",
        (f"{GT}/test_slow_clients.py::test_who_sends_a_body_slowly_takes_nobodys_place",),
    ),
    CodeGuard(
        "edge: a session that ends while its body is waited for does nothing more",
        f"{G}/door.py",
        "            if is_waited_for:",
        "            if False:",
        (
            f"{GT}/test_slow_clients.py::test_a_session_that_ends_while_its_body_is_waited_for_does_nothing_more",
        ),
    ),
    CodeGuard(
        "edge: who does not read an answer is let go",
        f"{G}/forwarding.py",
        "asyncio.timeout(seconds):",
        "asyncio.timeout(None):",
        (f"{GT}/test_slow_clients.py::test_who_does_not_read_an_answer_is_let_go",),
    ),
    CodeGuard(
        "edge: a wrong password is not taken for a refused token",
        f"{G}/forwarding.py",
        " and _refuses_token(first):",
        ":",
        (f"{GT}/test_attacks.py::test_a_wrong_password_of_who_is_logged_in_is_told_as_that",),
    ),
    CodeGuard(
        "edge: a header that no service could read is refused",
        f"{G}/forwarding.py",
        "(name, _text(name, value)) for",
        "(name, value) for",
        (f"{GT}/test_attacks.py::test_what_no_service_could_read_is_a_bad_request",),
    ),
    CodeGuard(
        "edge: the network of one client is one address",
        f"{G}/addresses.py",
        "    if isinstance(found, IPv6Address):",
        "    if False:",
        (f"{GT}/test_limits.py::test_a_network_of_one_client_is_one_address",),
    ),
    CodeGuard(
        "live: what is asked for over a connection is counted",
        f"{G}/live/doors.py",
        "            await request.app[DOOR].hear(watcher.subject)\n",
        "",
        (f"{GT}/test_limits.py::test_what_is_asked_for_over_a_connection_is_counted_like_requests",),
    ),
    CodeGuard(
        "edge: one mailbox is one account, however it is spelt",
        f"{P}/domain/people.py",
        "        spelt = Email.parse(email).value",
        "        spelt = email.strip().lower()",
        (f"{PT}/test_spellings.py",),
    ),
    CodeGuard(
        "edge: an address is read in one way",
        f"{P}/domain/people.py",
        "        if ENCODED_WORD in checked.local_part:",
        "        if False:",
        (f"{PT}/test_profile.py::test_an_address_is_read_in_one_way",),
    ),
    CodeGuard(
        "edge: a letter that cannot be written holds up no other",
        f"{P}/messengers.py",
        "(SMTPException, OSError, ValueError)",
        "(SMTPException, OSError)",
        (f"{PT}/test_profile.py::test_an_address_that_no_mail_can_be_written_to_is_not_sent_to",),
    ),
    CodeGuard(
        "edge: codes for another address are counted",
        f"{P}/service/profile.py",
        '                await self._codes.admit(f"user:{user_id}", email.value)',
        "                pass",
        (
            f"{PT}/test_profile.py::test_changing_the_address_sends_no_more_codes_than_asking_for_them",
            f"{PT}/test_profile.py::test_one_address_is_not_written_to_by_many_accounts",
        ),
    ),
    CodeGuard(
        "edge: a code that has run out is not used",
        f"{P}/service/messages.py",
        " or now >= found.expires_at:",
        ":",
        (f"{PT}/test_passwords_reset.py::test_a_code_that_runs_out_while_the_password_is_hashed_is_refused",),
    ),
    CodeGuard(
        "edge: two who decide about each other come one after the other",
        f"{P}/service/approvals.py",
        "for each in sorted({who, *subject})}",
        "for each in (who, *subject)}",
        (f"{PT}/test_four_eyes_races.py",),
    ),
    CodeGuard(
        "edge: JSON has a depth",
        f"{C}/http/strict_json.py",
        "elif isinstance(value, list | dict) and len(path) >= MAX_DEPTH:",
        "elif False:",
        (f"{CT}/test_strict_json.py::test_depth_is_bounded_and_brackets_in_text_do_not_count",),
    ),
    CodeGuard(
        "edge: only listed headers reach a service",
        f"{G}/forwarding.py",
        "(name, _text(name, value)) for name in REQUEST_HEADERS for value in request.headers.getall(name, ())",
        "(name, value) for name, value in request.headers.items()",
        (f"{GT}/test_attacks.py::test_no_header_is_smuggled_to_a_service",),
    ),
    CodeGuard(
        "edge: a page of another origin asks in vain",
        f"{G}/cors.py",
        "if not asks or request.headers.get(hdrs.ORIGIN) not in origins:",
        "if not asks:",
        (f"{GT}/test_cors.py",),
    ),
    CodeGuard(
        "edge: a page of another origin sees nothing",
        f"{G}/cors.py",
        "if origin is not None and origin in origins:",
        "if origin is not None:",
        (f"{GT}/test_cors.py",),
    ),
    CodeGuard(
        "edge: the gateway asks for the route's role",
        f"{G}/door.py",
        "        if not route.admits(token.role):",
        "        if False:",
        (f"{GT}/test_door.py::test_a_bettor_cannot_officiate",),
    ),
    CodeGuard(
        "edge: the service asks for the route's role",
        f"{C}/http/edge.py",
        "        if endpoint.roles and principal.role not in endpoint.roles:",
        "        if False:",
        (f"{CT}/test_http.py",),
    ),
    CodeGuard(
        "edge: what is dangerous takes a fresh proof",
        f"{C}/http/edge.py",
        "        if endpoint.step_up:",
        "        if False:",
        (f"{PT}/test_devices.py",),
    ),
    CodeGuard(
        "edge: four eyes, in the domain",
        f"{P}/domain/approvals.py",
        "    if who.id == approval.requested_by or str(who.id) == approval.subject:",
        "    if False:",
        (f"{PT}/test_four_eyes.py::test_nobody_decides_about_themselves_or_beyond_their_role",),
    ),
    CodeGuard(
        "edge: one digit repeated is nobody's CPF",
        f"{P}/domain/documents.py",
        "if kind is DocumentKind.CPF and len(set(document.value)) == 1:",
        "if False:",
        (f"{PT}/test_profile.py::test_further_documents_are_checked_and_one_persons",),
    ),
    CodeGuard(
        "edge: what is refused ends no session",
        f"{P}/service/profile.py",
        "            people.close_account(await known_user(PeopleStore(connection), user_id), now=now)",
        "            await known_user(PeopleStore(connection), user_id)",
        (f"{PT}/test_profile.py::test_closing_ends_every_session_and_keeps_the_person_known",),
    ),
    CodeGuard(
        "edge: every gateway hears of a session's end",
        f"{G}/revocations.py",
        "self._exchange.forget_session(",
        "(lambda _: None)(",
        (f"{GT}/test_revocations.py",),
    ),
    CodeGuard(
        "edge: browsing is shed before money",
        f"{G}/shedding.py",
        "        if self._in_hand >= self._places[priority]:",
        "        if False:",
        (f"{GT}/test_shedding.py::test_browsing_is_shed_first_and_money_last",),
    ),
    CodeGuard(
        "edge: a service that has too much to do is not taken for dead",
        f"{G}/forwarding.py",
        'raise UpstreamBusy("Nothing',
        'raise UpstreamDown("Nothing',
        (f"{GT}/test_door.py::test_a_service_with_too_much_to_do_is_not_taken_for_dead",),
    ),
    CodeGuard(
        "limits: a larger one waits for a day",
        f"{P}/domain/play.py",
        "    grows = holds is not None and (amount is None or amount > holds)",
        "    grows = False",
        (f"{PT}/test_play.py::test_nothing_that_held_grows_sooner_than_a_day_after_it_was_asked_for",),
    ),
    CodeGuard(
        "limits: confirmed by the ledger's word alone",
        f"{P}/domain/play.py",
        "        return self.acknowledged == self.version",
        "        return True",
        (f"{PT}/test_play.py::test_a_silent_ledger_confirms_nothing_and_is_told_again",),
    ),
    CodeGuard(
        "limits: a new session keeps to them",
        f"{P}/service/access.py",
        "        return await self._within_own_limit(user, started)",
        "        return started",
        (f"{PT}/test_play.py::test_a_session_limit_holds_for_the_sessions_there_are_and_those_to_come",),
    ),
    CodeGuard(
        "limits: the engine refuses what goes beyond",
        f"{L}/domain/limits.py",
        "        if standing.counts[currency, cap.period].of(cap.measure) > cap.amount:",
        "        if False:",
        (
            f"{LT}/test_limits.py::test_no_order_of_moves_leads_beyond_a_cap_by_a_stake_or_a_deposit",
            f"{LT}/test_limits.py::test_a_stake_up_to_the_cap_and_not_beyond",
        ),
    ),
    CodeGuard(
        "limits: only who is permitted sets them",
        f"{L}/domain/limits.py",
        "    if LIMIT not in permitted:",
        "    if False:",
        (f"{LT}/test_limits.py::test_only_who_is_permitted_sets_policies",),
    ),
)


def _function(migration: str, name: str) -> str:
    """A function as a migration of the ledger makes it."""
    text = (ROOT / "services/ledger/migrations" / migration).read_text(encoding="utf-8")
    found = re.search(rf"CREATE (?:OR REPLACE )?FUNCTION ({name}\(.*?\nEND \$\$;)", text, re.DOTALL)
    if found is None:
        raise ValueError(f"{migration} makes no {name}")
    return f"CREATE OR REPLACE FUNCTION {found[1]}"


DATABASE = (
    DatabaseGuard(
        "edge: four eyes, in the database",
        "identity",
        "ALTER TABLE approval DROP CONSTRAINT approval_takes_four_eyes",
        "ALTER TABLE approval ADD CONSTRAINT approval_takes_four_eyes CHECK (decided_by <> requested_by)",
        _FOUR_EYES,
    ),
    DatabaseGuard(
        "edge: an approval is by whom may",
        "identity",
        "ALTER TABLE approval DISABLE TRIGGER approval_is_by_whom_may",
        "ALTER TABLE approval ENABLE TRIGGER approval_is_by_whom_may",
        _FOUR_EYES,
    ),
    DatabaseGuard(
        "edge: one digit repeated is nobody's CPF, in the database",
        "identity",
        "ALTER TABLE holder_document DROP CONSTRAINT holder_document_is_somebodys",
        "ALTER TABLE holder_document ADD CONSTRAINT holder_document_is_somebodys "
        r"CHECK (kind <> 'cpf' OR value !~ '^([0-9])\1{10}$') NOT VALID",
        (f"{PT}/test_store.py::test_an_unsound_document_is_refused",),
    ),
    DatabaseGuard(
        "edge: nobody becomes staff without an approval",
        "identity",
        "ALTER TABLE users DISABLE TRIGGER users_staff_takes_four_eyes",
        "ALTER TABLE users ENABLE TRIGGER users_staff_takes_four_eyes",
        _FOUR_EYES,
    ),
    DatabaseGuard(
        "edge: an approval serves once",
        "identity",
        "ALTER TABLE approval_use DROP CONSTRAINT approval_is_used_once",
        "ALTER TABLE approval_use ADD CONSTRAINT approval_is_used_once PRIMARY KEY (approval)",
        (f"{PT}/test_forged_rows.py::test_an_approval_serves_once",),
    ),
    DatabaseGuard(
        "edge: an approval begins as a question",
        "identity",
        "ALTER TABLE approval DISABLE TRIGGER approval_begins_as_a_question",
        "ALTER TABLE approval ENABLE TRIGGER approval_begins_as_a_question",
        (f"{PT}/test_forged_rows.py::test_an_approval_begins_as_a_question",),
    ),
    DatabaseGuard(
        "edge: a KYC case begins as a draft",
        "identity",
        "ALTER TABLE kyc_case DISABLE TRIGGER kyc_case_begins_as_a_draft",
        "ALTER TABLE kyc_case ENABLE TRIGGER kyc_case_begins_as_a_draft",
        (f"{PT}/test_forged_rows.py::test_a_case_begins_as_a_draft",),
    ),
    DatabaseGuard(
        "edge: a lost second factor does not come back",
        "identity",
        "ALTER TABLE users DISABLE TRIGGER users_second_factor_is_not_taken_back",
        "ALTER TABLE users ENABLE TRIGGER users_second_factor_is_not_taken_back",
        (f"{PT}/test_forged_rows.py::test_a_lost_second_factor_does_not_come_back",),
    ),
    DatabaseGuard(
        "limits: a day to think does not lie in the past",
        "identity",
        "ALTER TABLE play_limit DISABLE TRIGGER play_limit_grows_by_waiting",
        "ALTER TABLE play_limit ENABLE TRIGGER play_limit_grows_by_waiting",
        (f"{PT}/test_forged_rows.py::test_no_day_to_think_lies_in_the_past",),
    ),
    DatabaseGuard(
        "limits: the database lets none grow at once",
        "identity",
        "ALTER TABLE play_limit DISABLE TRIGGER play_limit_grows_by_waiting",
        "ALTER TABLE play_limit ENABLE TRIGGER play_limit_grows_by_waiting",
        (f"{PT}/test_play.py::test_the_database_lets_no_limit_grow_at_once_and_no_block_shrink",),
    ),
    DatabaseGuard(
        "limits: the database refuses what goes beyond",
        "ledger",
        "CREATE OR REPLACE FUNCTION count_play(lines posting[]) RETURNS void LANGUAGE plpgsql AS $$ BEGIN END $$",
        _function("20261121010000_limits.sql", "count_play"),
        (
            f"{LT}/test_attacks.py::test_a_stake_beyond_its_players_limits",
            f"{LT}/test_limits.py::test_a_policy_holds_for_what_is_posted_after_it_even_by_an_engine_that_remembers",
        ),
    ),
    DatabaseGuard(
        "limits: a block is not cut short",
        "ledger",
        "ALTER TABLE player_policy DISABLE TRIGGER player_policy_moves_on",
        "ALTER TABLE player_policy ENABLE TRIGGER player_policy_moves_on",
        (f"{LT}/test_limits.py::test_who_is_blocked_stakes_and_deposits_nothing_and_gets_what_is_theirs",),
    ),
    DatabaseGuard(
        "limits: of a receipt and its replacement one is spent",
        "ledger",
        _function("20261121008100_cards_and_suspense.sql", "spend_receipts"),
        _function("20261121014100_receipts_replaced.sql", "spend_receipts"),
        (
            f"{LT}/test_cards_and_suspense.py::test_a_deposit_that_was_booked_after_all_does_not_go_to_suspense",
        ),
    ),
)
