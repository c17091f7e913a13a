"""Our own form of signatures against the library: whatever is read without it, it would have decided the same way."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web
from common import plain_signatures, signing
from common.signing import RequestSigner, SignatureNotValid, SigningKey
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict
from yarl import URL

KEY = SigningKey("0b9f8a1e-device", bytes(range(32)))
BODY = b'{"stake":"18.00"}'
PLAIN = st.text("abcXYZ019_~/-", max_size=30).map(lambda text: f"/v1/{text}")
ANYTHING = st.text(max_size=20).map(lambda text: f"/v1/{text}")


@dataclass
class Request:
    """What a signature covers of a request, and its headers."""

    method: str
    url: URL
    headers: CIMultiDict[str]
    body: bytes

    def as_aiohttp(self) -> web.Request:
        return cast(
            web.Request,
            SimpleNamespace(method=self.method, rel_url=self.url.relative(), headers=self.headers),
        )

    def found(self) -> plain_signatures.Plain | None:
        return plain_signatures.find(self.method, self.url.raw_path, self.url.raw_query_string, self.headers)

    def library_takes(self) -> bool:
        keyed = "Idempotency-Key" in self.headers
        try:
            signing._verified_by_library(
                self.as_aiohttp(), KEY, self.body, keyed=keyed, now=datetime.now(UTC)
            )
        except SignatureNotValid:
            return False
        return True

    def taken(self) -> bool:
        keyed = "Idempotency-Key" in self.headers
        try:
            signing._verified(self.as_aiohttp(), KEY, self.body, keyed=keyed, now=datetime.now(UTC))
        except SignatureNotValid:
            return False
        return True


def signed(method: str, target: str, key: str | None, body: bytes) -> Request:
    url = URL(f"http://anywhere{target}")
    headers = {} if key is None else {"Idempotency-Key": key}
    return Request(method, url, CIMultiDict(RequestSigner(KEY).headers(method, url, headers, body)), body)


@settings(max_examples=200)
@given(
    st.sampled_from(("GET", "POST", "DELETE")), PLAIN, st.text("abc019=&_-", max_size=20),
    st.none() | st.text("abc:09-é ", min_size=1, max_size=20), st.binary(max_size=40),
)  # fmt: skip
def test_what_we_sign_the_library_verifies(
    method: str, path: str, query: str, key: str | None, body: bytes
) -> None:
    if key is not None and (not key.isascii() or key.strip() != key):
        return
    request = signed(method, f"{path}?{query}" if query else path, key, body)
    assert request.library_takes()
    assert request.taken()


def test_our_own_requests_need_no_library() -> None:
    for key in (None, "hold-1"):
        assert signed("POST", "/v1/offers?after=7", key, BODY).found() is not None


@settings(max_examples=100)
@given(ANYTHING, st.binary(max_size=20))
def test_what_is_not_plain_is_signed_and_verified_all_the_same(target: str, body: bytes) -> None:
    request = signed("POST", target, "k-1", body)
    assert request.taken() == request.library_takes() is True


CHANGES: dict[str, Any] = {
    "method": lambda request: setattr(request, "method", "PUT"),
    "path": lambda request: setattr(request, "url", request.url / "more"),
    "query": lambda request: setattr(request, "url", request.url.with_query("after=8")),
    "body": lambda request: setattr(request, "body", request.body + b" "),
    "another idempotency key": lambda request: request.headers.update({"Idempotency-Key": "k-2"}),
    "a second idempotency key": lambda request: request.headers.add("Idempotency-Key", "k-1"),
    "no idempotency key": lambda request: request.headers.popall("Idempotency-Key"),
    "a second digest": lambda request: request.headers.add("Content-Digest", "sha-256=:AAAA:"),
    "another digest": lambda request: request.headers.update(
        {"Content-Digest": signed("POST", "/v1/x", None, b"").headers["Content-Digest"]}
    ),
    "no digest": lambda request: request.headers.popall("Content-Digest"),
    "another mac": lambda request: request.headers.update(
        {"Signature": signed("POST", "/v1/x", None, b"").headers["Signature"]}
    ),
    "a second signature": lambda request: request.headers.add("Signature", request.headers["Signature"]),
    "a second input": lambda request: request.headers.add("Signature-Input", "sig2=()"),
    "later": lambda request: change_input(request, "created=1", "created=2"),
    "another tag": lambda request: change_input(request, "el-carril", "el-carril-2"),
    "another nonce": lambda request: change_input(request, 'nonce="', 'nonce="A'),
    "less covered": lambda request: change_input(request, ' "idempotency-key"', ""),
    "more covered": lambda request: change_input(request, '"@query"', '"@query" "date"'),
    "a space": lambda request: change_input(request, ";keyid", "; keyid"),
}


def change_input(request: Request, before: str, after: str) -> None:
    text = request.headers["Signature-Input"]
    assert before in text
    request.headers["Signature-Input"] = text.replace(before, after, 1)


@pytest.mark.parametrize("change", CHANGES)
def test_both_say_the_same_of_what_was_changed(change: str) -> None:
    request = signed("POST", "/v1/offers?after=7", "k-1", BODY)
    assert request.taken()
    CHANGES[change](request)
    try:
        taken = request.taken()
    except signing.SignatureExpired:  # a changed moment is looked at first, by both
        assert change == "later"
        taken = False
    assert taken is (change == "a space")  # structured fields allow that one: the library takes it
    if change != "later":
        assert request.library_takes() is taken


@pytest.mark.parametrize(
    "name",
    [
        "a second idempotency key",
        "no idempotency key",
        "a second signature",
        "a second input",
        "more covered",
        "a space",
    ],
)
def test_what_is_not_ours_to_the_letter_is_left_to_the_library(name: str) -> None:
    request = signed("POST", "/v1/offers?after=7", "k-1", BODY)
    CHANGES[name](request)
    assert request.found() is None


def test_a_key_that_is_sent_must_be_covered() -> None:
    request = signed("POST", "/v1/offers", None, BODY)
    assert request.taken()
    request.headers["Idempotency-Key"] = "k-1"
    assert request.found() is None
    assert not request.taken()


def test_one_made_for_another_application_is_refused() -> None:
    now = int(datetime.now(UTC).timestamp())
    for tag, taken in (("el-carril", True), ("another", False)):
        headers = plain_signatures.sign(
            "POST",
            "/v1/offers",
            "",
            None,
            BODY,
            created=now,
            key_id=KEY.id,
            secret=KEY.secret,
            nonce="n" * 22,
            tag=tag,
        )
        assert headers is not None
        request = Request("POST", URL("http://anywhere/v1/offers"), CIMultiDict(headers), BODY)
        assert request.found() is not None
        assert request.taken() is taken


@pytest.mark.parametrize("seconds", [-310, 310])
def test_outside_of_its_window_it_is_refused(seconds: int) -> None:
    url = URL("http://anywhere/v1/offers")
    signer = RequestSigner(KEY, now=lambda: datetime.now(UTC) + timedelta(seconds=seconds))
    request = Request("POST", url, CIMultiDict(signer.headers("POST", url, {}, BODY)), BODY)
    assert request.found() is not None
    with pytest.raises(signing.SignatureExpired):
        request.taken()
