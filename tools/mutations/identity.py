"""The guards of who somebody is: sessions, tokens, signatures, codes, and two who decide together."""

from __future__ import annotations

from tools.mutations.guards import CodeGuard, DatabaseGuard

C, CT = "libs/common/common", "libs/common/tests"
P, PT = "services/identity/identity", "services/identity/tests"
GT = "services/gateway/tests"

_CONFUSED = (f"{CT}/test_auth.py::test_anything_else_is_not_accepted",)
_COVERED = (f"{CT}/test_plain_signatures.py",)
_FOUR_EYES = (f"{PT}/test_four_eyes.py::test_the_database_takes_four_eyes_too",)
_VOID = (
    f"{PT}/test_killed_between.py",
    f"{PT}/test_void_sessions.py::test_a_session_on_what_has_changed_opens_nothing_though_nothing_has_ended_it",
)

CODE = (
    CodeGuard(
        "edge: a session is worth nothing once what it was started on has changed",
        f"{P}/service/access.py",
        "        if not await self._holds(started.session):",
        "        if False:",
        (f"{PT}/test_four_eyes.py::test_who_is_dismissed_while_logging_in_gets_no_session",),
    ),
    CodeGuard(
        "edge: a session on what has changed opens nothing, though nothing has ended it",
        f"{P}/service/access.py",
        "        if not await self._holds(session):",
        "        if False:",
        _VOID,
    ),
    CodeGuard(
        "edge: a session that is proved again stands on what it was proved by",
        f"{P}/service/passwords.py",
        "        return await self._access.renew(user_id, sid, proof)",
        "        return await self._access.renew(user_id, sid, (await self._access._accounts.user(user_id)).proof)",
        (f"{PT}/test_void_sessions.py::test_who_changed_the_password_before_it_was_reset_keeps_nothing",),
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
        "edge: gateways hear of who is dismissed, though we die on the way",
        f"{P}/service/approvals.py",
        "            await self._end_sessions(await self._would_be(who, approval_id))",
        "            await self._would_be(who, approval_id)",
        (
            f"{PT}/test_four_eyes.py::test_of_who_was_dismissed_the_gateways_have_heard_though_we_die_on_the_way",
        ),
    ),
    CodeGuard(
        "edge: who may not decide ends nobody's session",
        f"{P}/service/approvals.py",
        "        return decide(found, decider, asker, approve=True, now=self._desk.clock())",
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
        "edge: a wrong code costs the same whether somebody has the address or not",
        f"{P}/service/passwords.py",
        "        verification = await self._codes.check(email, Purpose.PASSWORD_RESET, code)\n        if known is None:\n"
        "            raise WrongCode",
        "        if known is None:\n            raise WrongCode\n"
        "        verification = await self._codes.check(email, Purpose.PASSWORD_RESET, code)",
        (
            f"{PT}/test_passwords_reset.py::test_a_wrong_code_costs_the_same_whether_somebody_has_the_address_or_not",
        ),
    ),
    CodeGuard(
        "edge: a code of an address is of who had it",
        f"{P}/service/messages.py",
        "(found.id, found.user) != (verification_id, user_id)",
        "found.id != verification_id",
        (f"{PT}/test_passwords_reset.py::test_a_code_of_an_address_is_of_who_had_it_when_it_was_asked_for",),
    ),
    CodeGuard(
        "edge: a limit is set once by its key",
        f"{P}/service/play.py",
        "            await once(connection, principal=str(user_id), key=key, fingerprint=fingerprint, work=work)",
        "            await work()",
        (
            f"{PT}/test_play.py::test_a_limit_that_is_asked_for_again_is_not_set_again",
            f"{GT}/test_killed_redis.py",
        ),
    ),
    CodeGuard(
        "edge: two who decide about each other come one after the other",
        f"{P}/service/approvals.py",
        "sorted({who, found.requested_by, *subject})",
        "(who, found.requested_by, *subject)",
        (f"{PT}/test_four_eyes_races.py::test_of_two_who_dismiss_each_other_at_once_one_does",),
    ),
    CodeGuard(
        "edge: what was asked by who is dismissed is not approved",
        f"{P}/domain/approvals.py",
        "    if approve and not _may(asker, approval.act):",
        "    if False:",
        (
            f"{PT}/test_four_eyes_gone.py::test_what_somebody_asked_who_was_dismissed_or_moved_is_not_approved",
        ),
    ),
    CodeGuard(
        "edge: JSON has a depth",
        f"{C}/http/strict_json.py",
        "elif isinstance(value, list | dict) and len(path) >= MAX_DEPTH:",
        "elif False:",
        (f"{CT}/test_strict_json.py::test_depth_is_bounded_and_brackets_in_text_do_not_count",),
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
        "edge: of devices enrolled at one moment a page leaves none out",
        f"{P}/store/devices.py",
        "(enrolled_at, id) < ($2, $3::uuid)",
        "(enrolled_at, $3::uuid) < ($2, $3::uuid)",
        (f"{PT}/test_pages.py::test_devices_come_newest_first_each_once",),
    ),
    CodeGuard(
        "edge: what is refused ends no session",
        f"{P}/service/profile.py",
        "            people.close_account(await known_user(PeopleStore(connection), user_id), now=now)",
        "            await known_user(PeopleStore(connection), user_id)",
        (f"{PT}/test_profile.py::test_closing_ends_every_session_and_keeps_the_person_known",),
    ),
)

DATABASE = (
    DatabaseGuard(
        "edge: what sessions stand on is counted by the database",
        "identity",
        "ALTER TABLE users DISABLE TRIGGER users_proof_is_counted",
        "ALTER TABLE users ENABLE TRIGGER users_proof_is_counted",
        _VOID,
    ),
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
        (*_FOUR_EYES, f"{PT}/test_four_eyes_gone.py::test_the_database_approves_nothing_of_who_is_gone"),
    ),
    DatabaseGuard(
        "edge: an approval takes effect at once",
        "identity",
        "ALTER TABLE approval DISABLE TRIGGER approval_takes_effect_at_once",
        "ALTER TABLE approval ENABLE TRIGGER approval_takes_effect_at_once",
        (f"{PT}/test_four_eyes_gone.py::test_no_approval_lies_ready_for_when_those_who_gave_it_are_gone",),
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
)
