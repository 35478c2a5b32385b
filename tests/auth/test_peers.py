"""Whose address counts."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from aiohttp.test_utils import make_mocked_request

from gatelodge.transports.peers import client_address, host_name, within

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "seen"),
    [
        ("192.0.2.1", ["198.51.100.7"], ("192.0.2.1", False)),
        ("10.0.0.1", [], ("10.0.0.1", True)),
        ("10.0.0.1", ["198.51.100.7"], ("198.51.100.7", True)),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.7"], ("198.51.100.7", True)),
        ("10.0.0.1", ["6.6.6.6", "198.51.100.7, 10.0.0.2"], ("198.51.100.7", True)),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], ("10.0.0.1", True)),
        ("10.0.0.1", ["198.51.100.7, nonsense"], ("10.0.0.1", True)),
        ("10.0.0.1", ["2001:db8::7"], ("2001:db8::7", True)),
        ("::ffff:10.0.0.1", ["198.51.100.7"], ("198.51.100.7", True)),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.7:4711, 10.0.0.2:80"], ("198.51.100.7", True)),
        ("fd00::1", ["[2001:db8::7]:443, [fd00::2]"], ("2001:db8::7", True)),
        ("10.0.0.1", ["6.6.6.6, [2001:db8::7]evil"], ("10.0.0.1", True)),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.7:"], ("10.0.0.1", True)),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.7:99999999"], ("10.0.0.1", True)),
        ("2001:db8::1", ["198.51.100.7"], ("2001:db8::1", False)),
    ],
)
def test_the_clients_address(peer: str, forwarded: list[str], seen: tuple[str, bool]) -> None:
    """Only what trusted proxies added counts, from the right, so that no client sets its own address."""
    headers = [("X-Forwarded-For", value) for value in forwarded]
    request = make_mocked_request("GET", "/", headers=headers).clone(remote=peer)
    assert client_address(request, PROXIES) == seen


def test_networks() -> None:
    """Both families, and nothing that is no address."""
    assert [within(address, PROXIES) for address in ("10.1.2.3", "fd00::1", "::ffff:10.1.2.3")] == [True] * 3
    assert [within(address, PROXIES) for address in ("11.0.0.1", "fe80::1", "", "localhost")] == [False] * 4
    assert not within("10.1.2.3", ())


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Gate.Example", "gate.example"),
        ("gate.example:8054", "gate.example"),
        ("[::1]:8054", "::1"),
        ("[::1]", "::1"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("", ""),
    ],
)
def test_host_names(header: str, name: str) -> None:
    """A Host header without its port."""
    assert host_name(header) == name
