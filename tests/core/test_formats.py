"""Single texts: addresses, durations, times, countries, days, zones, scopes, domains."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.formats import FORMATS, ip_entry, minutes_of

GOOD = {
    "ip-entry": "10.0.0.1 10.0.0.0/8 0.0.0.0/0 192.168.* 10.* 1.2.3.* 10.0.0.1-10.0.0.9 ::1 ::/0 2001:db8::/32 "
    "2001:db8::1-2001:db8::5 ::ffff:10.0.0.1 255.255.255.255/32",
    "span-of-time": "1ms 90d 5m 1h 12w 7776000s",
    "time-of-day": "00:00 08:30 23:59",
    "end-of-day": "00:00 24:00",
    "country-code": "DE de EU eu US",
    "day-name": "mon Mon SUNDAY sunday thu",
    "iana-timezone": "UTC Europe/Berlin America/Argentina/Buenos_Aires Etc/GMT+1",
    "date": "2027-01-31 2028-02-29",
    "scope": "all all_agents agent_id:ci-* role:admin trust_score_below:0.5 tenant:a:b",
    "domain-entry": "* localhost example.com *.example.com EXAMPLE.com xn--bcher-kva.example 10.0.0.0/8 ::1",
    "json-pointer": "/a /a~1b/0 //",
    "policy-id": "a pol-1 A.b_c-9 " + "a" * 128,
    "target-name": "neosc prod-1",
    "base-url": "https://a.example http://127.0.0.1:8800/api http://[::1]:8800/v1",
    "notice-url": "https://a.example/x http://127.0.0.1:9/a/~b/c.d http://[::1]:8800/v1 https://a.example/_/x",
    "remote-name": "origin my/fork",
}
BAD = {
    "ip-entry": "10.0.0.1/8 192.168.1* 192.168* * *.1 1.2.3.4.* 1.2.3 1.2.3.4.5 256.0.0.1 01.2.3.4 10.0.0.0/33 ::/129 "
    "10.0.0.0/255.0.0.0 10.0.0.0/08 10.0.0.9-10.0.0.1 10.0.0.1-::1 fe80::1%eth0 a-b - / 2001:db8::1/32 "
    "10.0.0.0/-1 1-2 ::1-",
    "span-of-time": "0m 1 h 1.5h 91d 14w 1H -1m 1m2s 01m 2160001m",
    "time-of-day": "24:00 8:30 08:60 25:00 0830 08:30:00",
    "end-of-day": "24:01 8:30",
    "country-code": "UK XX D DEU \uff24\uff25 EUR",
    "day-name": "mo montag m0n weekday \uff4d\uff4f\uff4e",
    "iana-timezone": "Berlin Europe/Berln ../../etc/passwd /etc/localtime Europe CEST+ a/b/c/d",
    "date": "2027-02-30 2027-1-31 20270131 27-01-31 2027-01-31T00:00 \u0662\u0660\u0662\u0667-01-01",
    "scope": "everyone agent_id: agent:x trust_score_below:x trust_score_below:-1 ALL",
    "domain-entry": "https://a.example a.example. a.example:443 b\xfccher.example a..b -a.example *.*.a 10.0.0.1/8",
    "json-pointer": "a /~ /~2",
    "policy-id": ".. . -a _a a/b a%2f " + "a" * 129,
    "target-name": "Neosc a_b a/b " + "a" * 64,
    "base-url": "ftp://a https://u:p@a https://a?b https://a#b https:// //a http:a",
    "notice-url": "https://a.example https://a.example/ https://a.example/x/ https://a.example/x?y "
    "https://a.example/x#y "
    "https://u:p@a.example/x ftp://a.example/x https://a.example//x https://a.example/%2e https://a.example/x/..",
    "remote-name": "-x --upload-pack=x .git",
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in GOOD.items() for text in texts.split()])
def test_a_well_formed_text_passes(name: str, text: str) -> None:
    assert FORMATS[name](text) is None


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in BAD.items() for text in texts.split()])
def test_an_ill_formed_text_is_refused_with_a_way_out(name: str, text: str) -> None:
    flaw = FORMATS[name](text)

    assert flaw is not None
    assert flaw.what
    assert flaw.fix


@pytest.mark.parametrize(
    ("name", "text"), [(name, texts.split()[0]) for name, texts in GOOD.items() if name != "json-pointer"]
)
def test_a_final_newline_belongs_to_no_format(name: str, text: str) -> None:
    assert FORMATS[name](text + "\n") is not None


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_format_has_good_and_bad_texts_here(name: str) -> None:
    assert name in GOOD
    assert name in BAD


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("10.1.2.3/8", "write 10.0.0.0/8"),
        ("2001:db8::1/32", "write 2001:db8::/32"),
        ("10.0.0.9-10.0.0.1", "write 10.0.0.1-10.0.0.9"),
    ],
)
def test_an_address_that_can_be_put_right_is(text: str, fix: str) -> None:
    flaw = ip_entry(text)

    assert flaw is not None
    assert flaw.fix == fix


@given(st.ip_addresses(), st.integers(0, 128))
def test_every_network_without_host_bits_passes_and_with_them_is_corrected(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, length: int
) -> None:
    length = min(length, address.max_prefixlen)
    network = ipaddress.ip_network(f"{address}/{length}", strict=False)

    flaw = ip_entry(f"{address}/{length}")

    if network.network_address == address:
        assert flaw is None
    else:
        assert flaw is not None
        assert flaw.fix == f"write {network}"


@given(st.text(max_size=80))
def test_no_text_makes_a_format_raise(text: str) -> None:
    for check in FORMATS.values():
        check(text)


@pytest.mark.parametrize(
    ("value", "minutes"),
    [
        (0, 0),
        (24, 1440),
        (8.0, 480),
        ("24:00", 1440),
        ("08:30", 510),
        (25, None),
        (True, None),
        ("8", None),
        (8.5, None),
    ],
)
def test_times_of_day_have_minutes(value: object, minutes: int | None) -> None:
    assert minutes_of(value) == minutes
