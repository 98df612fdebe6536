"""Endpoints: what is read, what is refused, and that text and value go both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malha.wireguard.endpoint import Endpoint, parse_endpoint, parse_port

HOSTS = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
    st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z]([a-z0-9-]{0,9}[a-z])?){1,3}\Z"),
)


@given(HOSTS, st.integers(1, 65535))
def test_text_and_value_go_both_ways(host: str, port: int) -> None:
    endpoint = Endpoint(host, port)
    assert parse_endpoint(str(endpoint)) == endpoint


@pytest.mark.parametrize(
    ("text", "host", "family"),
    [
        ("192.0.2.1:51820", "192.0.2.1", 4),
        ("[2001:DB8:0::1]:51820", "2001:db8::1", 6),
        ("[fe80::1%eth0]:51820", "fe80::1%eth0", 6),
        ("hub.example.org:51820", "hub.example.org", None),
        ("hub:51820", "hub", None),
        ("1and1.example:51820", "1and1.example", None),
    ],
)
def test_a_host_is_kept_in_one_spelling(text: str, host: str, family: int | None) -> None:
    assert parse_endpoint(text) == Endpoint(host, 51820)
    assert parse_endpoint(text).family == family


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2001:db8::1:51820", "brackets"),
        ("[2001:db8::1]", "[address]:port"),
        ("[2001:db8::1", "[address]:port"),
        ("[192.0.2.1]:1", "not an IPv6 address"),
        ("[fe80::1%a b]:1", "not an interface name"),
        ("192.0.2.1", "needs a port"),
        ("192.0.2:1", "not an IPv4 address"),
        ("192.0.2.300:1", "not an IPv4 address"),
        ("hub.example.1:1", "not an IPv4 address"),
        (":51820", "neither an address nor a host name"),
        ("-hub:1", "neither an address nor a host name"),
        ("a..b:1", "neither an address nor a host name"),
        ("hub example:1", "neither an address nor a host name"),
        ("hub\nPostUp:1", "neither an address nor a host name"),
        ("a." * 127 + "a:1", "neither an address nor a host name"),
        ("hub:51820\n", "not a number"),
        ("hub:", "not a number"),
    ],
)
def test_what_is_no_endpoint_says_why(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("[", r"\[")):
        parse_endpoint(text)


@pytest.mark.parametrize("text", ["1", "65535", "00080"])
def test_ports(text: str) -> None:
    assert parse_port(text) == int(text)


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "65536",
        "99999",
        "-1",
        "+1",
        " 1",
        "1e3",
        "0x50",
        "",
        "٣",
        "²",
        "000001999999",
        "9" * 99,
    ],
)
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(ValueError, match="1 to 65535"):
        parse_port(text)
