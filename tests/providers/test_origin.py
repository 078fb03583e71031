"""Where a token may go: every URL that could be read in two ways is refused."""

from __future__ import annotations

import pytest

from reconciler.errors import ConfigError
from reconciler.providers.origin import check_url


@pytest.mark.parametrize(
    ("url", "shown", "host", "port", "prefix"),
    [
        ("https://api.example.com", "https://api.example.com", "api.example.com", 443, ""),
        ("https://api.example.com/", "https://api.example.com", "api.example.com", 443, ""),
        ("HTTPS://API.Example.com:443/v1/", "https://api.example.com", "api.example.com", 443, "/v1"),
        ("https://api.example.com:8443/v1", "https://api.example.com:8443", "api.example.com", 8443, "/v1"),
        ("https://10.1.2.3/api", "https://10.1.2.3", "10.1.2.3", 443, "/api"),
        ("https://[2001:DB8::1]:8443/api", "https://[2001:db8::1]:8443", "2001:db8::1", 8443, "/api"),
        ("http://127.0.0.1:8800/api", "http://127.0.0.1:8800", "127.0.0.1", 8800, "/api"),
        ("http://127.9.8.7/api", "http://127.9.8.7", "127.9.8.7", 80, "/api"),
        ("http://[::1]:8800/v1", "http://[::1]:8800", "::1", 8800, "/v1"),
        ("http://localhost:8800/api/v2", "http://localhost:8800", "localhost", 8800, "/api/v2"),
    ],
)
def test_a_plain_url_is_taken_apart(url: str, shown: str, host: str, port: int, prefix: str) -> None:
    origin = check_url(url)

    assert (str(origin), origin.host, origin.port, origin.prefix) == (shown, host, port, prefix)


def test_localhost_is_connected_to_by_number() -> None:
    assert check_url("http://localhost:1/x").connect_host == "127.0.0.1"


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com/",
        "http://10.0.0.1/",
        "http://127.0.0.1@evil.example/",
        "http://evil.example#@127.0.0.1/",
        "http://127.0.0.1.evil.example/",
        "http://evil.example\\@127.0.0.1/",
        "http://localhost.",
        "http://localhost.evil.example/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://2130706433/",
        "http://127.1/",
        "http://0177.0.0.1/",
        "http://127.0.0.01/",
        "http://127.0.0.256/",
        "http://0.0.0.0/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::1%25lo]/",
        "http://[::1",
        "http://127。0。0。1/",
        "http://①②⑦.0.0.1/",
        "https://user@api.example.com/",
        "https://user:pass@api.example.com/",
        "https://@api.example.com/",
        "https://api.example.com/?x=1",
        "https://api.example.com/?",
        "https://api.example.com/#x",
        "https://api.example.com./",
        "https://api..example.com/",
        "https://-api.example.com/",
        "https://api_x.example.com/",
        "https://bücher.example/",
        "https://api.example.com:0/",
        "https://api.example.com:/",
        "https://api.example.com:65536/",
        "https://api.example.com:+443/",
        "https://api.example.com:0443/",
        "https://api.example.com/../x",
        "https://api.example.com/./x",
        "https://api.example.com//x",
        "https://api.example.com/%2e%2e/x",
        "https://api.example.com/a b",
        "https://api.example.com/\n",
        " https://api.example.com/",
        "https:///x",
        "https://",
        "//api.example.com/",
        "/api",
        "api.example.com",
        "ftp://api.example.com/",
        "file:///etc/passwd",
        "https://" + "a" * 3000 + ".example/",
        "",
    ],
)
def test_a_url_that_could_mislead_is_refused(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_url(url)

    assert caught.value.code == "bad-url"
    assert caught.value.fix


def test_a_password_in_a_url_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        check_url("https://user:hunter2-secret@api.example.com/")

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        (("api.example.com",), "https://api.example.com/v1"),
        (("API.example.com",), "https://api.example.com/v1"),
        (("api.example.com:443",), "https://api.example.com/v1"),
        (("other.example.com", "api.example.com:8443"), "https://api.example.com:8443/v1"),
        (("127.0.0.1:8800",), "http://127.0.0.1:8800/api"),
        (("127.0.0.1",), "http://127.0.0.1/api"),
        (("[::1]:8800",), "http://[::1]:8800/api"),
    ],
)
def test_an_allowed_host_is_used(allowed: tuple[str, ...], url: str) -> None:
    assert check_url(url, allowed)


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        ((), "https://api.example.com/"),
        (("api.example.com",), "https://evil.example.com/"),
        (("example.com",), "https://api.example.com/"),
        (("api.example.com",), "https://api.example.com.evil.example/"),
        (("api.example.com",), "https://api.example.com:8443/"),
        (("api.example.com:8443",), "https://api.example.com/"),
        (("127.0.0.1",), "http://127.0.0.1:8800/"),
        (("127.0.0.1:8800",), "http://localhost:8800/"),
        (("*",), "https://api.example.com/"),
        (("https://api.example.com",), "https://api.example.com/"),
    ],
)
def test_any_other_host_is_refused_by_name(allowed: tuple[str, ...], url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_url(url, allowed)

    assert caught.value.code == "host-not-allowed"
    assert "RECONCILER_ALLOWED_HOSTS" in caught.value.fix
