"""The guards of the gateway and its live feed."""

from __future__ import annotations

from tools.mutations.guards import CodeGuard

G, GT = "services/gateway/gateway", "services/gateway/tests"

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
)
