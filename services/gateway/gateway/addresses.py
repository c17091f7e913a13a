"""Where a request really comes from, when our own proxies stand in front."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TypeAlias

from aiohttp import web

Network: TypeAlias = IPv4Network | IPv6Network


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


def _is_in(address: str, networks: Sequence[Network]) -> bool:
    return _is_address(address) and any(ip_address(address) in network for network in networks)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
