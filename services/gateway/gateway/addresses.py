"""Where a request really comes from, when our own proxies stand in front."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, TypeAlias

from aiohttp import web

Network: TypeAlias = IPv4Network | IPv6Network

ONE_CLIENTS_BITS: Final = 64
"""Of an IPv6 address, what a client is given; the other half it makes up as it likes (RFC 4291)."""


def client_address(request: web.Request, trusted: Sequence[Network]) -> str:
    """The last address that was not one of ours.

    `X-Forwarded-For` is believed only as far as our own proxies wrote it: from the right, one entry for each
    trusted hop. What a client puts in it itself is further left and never looked at.
    """
    address = request.remote or ""
    told = [each.strip() for each in ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")]
    while told and told[-1] and _is_in(address, trusted):
        address = told.pop()
    return address if _is_address(address) else request.remote or ""


def counted_as(address: str) -> str:
    """What a client's address is counted by: its network, if it has one to itself."""
    found = _parsed(address)
    if isinstance(found, IPv6Address):
        return str(IPv6Network((int(found), ONE_CLIENTS_BITS), strict=False))
    return address if found is None else str(found)


def _is_in(address: str, networks: Sequence[Network]) -> bool:
    found = _parsed(address)
    return found is not None and any(found in network for network in networks)


def _is_address(text: str) -> bool:
    return _parsed(text) is not None


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """An address, one of IPv4 in the clothes of IPv6 as what it is; None for anything else."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
