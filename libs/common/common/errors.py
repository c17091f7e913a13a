"""The few kinds of refusal a service can give, each with the HTTP status it becomes.

A service subclasses a kind with its own `slug` and `title` and raises it from domain or service code;
`common.problem` turns it into problem+json. `slug` is the contract clients branch on; `detail` is for people.
"""

from typing import ClassVar


class DomainError(Exception):
    """A refusal with a name. Raise a subclass of one of the kinds below, never this.

    `field` is the path of the offending input, `extra` further members for the answer,
    `retry_after` seconds after which trying again makes sense.
    """

    status: ClassVar[int]
    slug: ClassVar[str]
    title: ClassVar[str]

    def __init__(
        self,
        detail: str,
        *,
        field: str | None = None,
        extra: dict[str, str | int] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.extra: dict[str, str | int] = {} if extra is None else extra
        self.retry_after = retry_after


class Invalid(DomainError):
    """The request itself is wrong; repeating it cannot help."""

    status = 400
    slug = "invalid-request"
    title = "Invalid request"


class Unauthenticated(DomainError):
    """We do not know who is asking."""

    status = 401
    slug = "unauthenticated"
    title = "Authentication required"


class Forbidden(DomainError):
    """We know who is asking, and they may not."""

    status = 403
    slug = "forbidden"
    title = "Forbidden"


class NotFound(DomainError):
    """There is no such thing, or not for the one who asks."""

    status = 404
    slug = "not-found"
    title = "Not found"


class Conflict(DomainError):
    """The state of things does not allow it now."""

    status = 409
    slug = "conflict"
    title = "Conflict"


class NotReady(Conflict):
    """Something this depends on has not happened yet: the same request will succeed later."""

    slug = "not-ready"
    title = "Not ready yet"

    def __init__(
        self,
        detail: str,
        *,
        field: str | None = None,
        extra: dict[str, str | int] | None = None,
        retry_after: int | None = 1,
    ) -> None:
        super().__init__(detail, field=field, extra=extra, retry_after=retry_after)


class Refused(DomainError):
    """A well-formed request that the rules of the business refuse."""

    status = 422
    slug = "refused"
    title = "Refused"


class TooMany(DomainError):
    """More than we take in now."""

    status = 429
    slug = "too-many-requests"
    title = "Too many requests"


class Unavailable(DomainError):
    """Something we depend on does not answer."""

    status = 503
    slug = "unavailable"
    title = "Service unavailable"
