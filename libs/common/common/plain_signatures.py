"""The form in which our own signer writes signatures, written and read without the library's general parser.

RFC 9421 lets a signature cover anything in any order, and reading that costs the library a third of a millisecond; at
hundreds of signed requests a second it was the dearest thing that happened to one. What our services and apps send is
always of one form, which needs one regular expression and one HMAC. **Nothing is decided here that the library would
decide otherwise**: whatever is not of this form to the letter (another order, more covered, an escape in the path, a
header that comes twice) is left to it. `test_plain_signatures` holds both to the same answers.
"""

import hashlib
import hmac
import re
from base64 import b64encode
from dataclasses import dataclass
from typing import Final

from multidict import CIMultiDict, CIMultiDictProxy

_PATH: Final = re.compile(r"/[A-Za-z0-9_~/-]*")
_QUERY: Final = re.compile(r"[A-Za-z0-9_~=&-]*")
_METHOD: Final = re.compile(r"[A-Z]+")
_VALUE: Final = re.compile(r"[!-~]+")
_QUOTED: Final = r"[ !#-\[\]-~]"
"""What stands in a structured string for itself."""
_INPUT: Final = re.compile(
    r'sig1=(?P<params>\("@method" "@path" "@query"(?P<keyed> "idempotency-key")? "content-digest"\);'
    rf'created=(?P<created>[0-9]{{1,12}});keyid="(?P<key_id>{_QUOTED}+)";alg="hmac-sha256";nonce="(?P<nonce>{_QUOTED}+)";tag="(?P<tag>{_QUOTED}+)")'
)
_SIGNATURE: Final = re.compile(r"sig1=:(?P<mac>[A-Za-z0-9+/]{43}=):")


@dataclass(frozen=True, slots=True)
class Plain:
    """A signature in this form as it was found: nothing of it is verified yet."""

    key_id: str
    created: int
    nonce: str
    tag: str
    keyed: bool
    """Whether it covers an idempotency key."""
    _base: str
    _mac: str
    _digest: str

    def holds(self, secret: bytes, body: bytes) -> bool:
        """Whether it is that key's over this request with this body."""
        mac = hmac.compare_digest(_mac_of(secret, self._base), self._mac)
        return hmac.compare_digest(_digest_of(body), self._digest) and mac


def sign(
    method: str, path: str, query: str, key: str | None, body: bytes, *, created: int, key_id: str, secret: bytes,
    nonce: str, tag: str,
) -> dict[str, str] | None:  # fmt: skip
    """The headers to add to a request; None if it cannot be told in this form. `key` is the idempotency key."""
    fits = _METHOD.fullmatch(method) and _PATH.fullmatch(path) and _QUERY.fullmatch(query)
    if not fits or (key is not None and not _VALUE.fullmatch(key)):
        return None
    covered = (
        '("@method" "@path" "@query"' + ("" if key is None else ' "idempotency-key"') + ' "content-digest")'
    )
    params = f'{covered};created={created};keyid="{key_id}";alg="hmac-sha256";nonce="{nonce}";tag="{tag}"'
    input = f"sig1={params}"
    if _INPUT.fullmatch(input) is None:
        return None
    digest = _digest_of(body)
    mac = _mac_of(secret, _base(method, path, query, key, digest, params))
    return {"Content-Digest": digest, "Signature-Input": input, "Signature": f"sig1=:{mac}:"}


def claimed_key_id(signature_input: str) -> str | None:
    """The key that is said to have signed, if it is said in this form."""
    found = _INPUT.fullmatch(signature_input)
    return None if found is None else found["key_id"]


def find(
    method: str, path: str, query: str, headers: CIMultiDict[str] | CIMultiDictProxy[str]
) -> Plain | None:
    """The signature of a request, if it has exactly one and that is in this form; else it is for the library."""
    input, signature = _only(headers, "Signature-Input"), _only(headers, "Signature")
    digest, key = _only(headers, "Content-Digest"), _only(headers, "Idempotency-Key")
    found, mac = _INPUT.fullmatch(input or ""), _SIGNATURE.fullmatch(signature or "")
    if found is None or mac is None or not digest or key == "":
        return None
    keyed = found["keyed"] is not None
    if keyed != (key is not None):
        return None
    if not (_METHOD.fullmatch(method) and _PATH.fullmatch(path) and _QUERY.fullmatch(query)):
        return None
    if not _VALUE.fullmatch(digest) or (key is not None and not _VALUE.fullmatch(key)):
        return None
    base = _base(method, path, query, key, digest, found["params"])
    return Plain(
        found["key_id"], int(found["created"]), found["nonce"], found["tag"], keyed, base, mac["mac"], digest
    )


def _only(headers: CIMultiDict[str] | CIMultiDictProxy[str], name: str) -> str | None:
    """The value of a header; None without one, and "" for one that comes twice, which fits nothing here."""
    values = headers.getall(name, ())
    return values[0] if len(values) == 1 else None if not values else ""


def _base(method: str, path: str, query: str, key: str | None, digest: str, params: str) -> str:
    keyed = "" if key is None else f'"idempotency-key": {key}\n'
    return (
        f'"@method": {method}\n"@path": {path}\n"@query": ?{query}\n{keyed}"content-digest": {digest}\n'
        f'"@signature-params": {params}'
    )


def _mac_of(secret: bytes, base: str) -> str:
    return b64encode(hmac.digest(secret, base.encode(), "sha256")).decode()


def _digest_of(body: bytes) -> str:
    return f"sha-256=:{b64encode(hashlib.sha256(body).digest()).decode()}:"
