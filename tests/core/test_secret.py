"""A token never shows, however it is printed, copied or echoed."""

from __future__ import annotations

import base64
import copy
import json
import pickle
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.secret import Secret
from tests.support.secrecy import found, random_token, spellings

TOKEN = "tok+en/With=odd.chars~1234"


@pytest.mark.parametrize(
    "shown",
    [
        str,
        repr,
        "{}".format,
        "{:>10}".format,
        lambda secret: str([secret]),
        lambda secret: str({"token": secret}),
        lambda secret: json.dumps(secret, default=str),
        lambda secret: copy.deepcopy(secret).reveal(),
        lambda secret: copy.copy(secret).reveal(),
        lambda secret: pickle.loads(pickle.dumps(secret)).reveal(),
        lambda secret: repr(ValueError(secret)),
    ],
)
def test_a_secret_shows_as_stars_whatever_is_done_with_it(shown: object) -> None:
    assert callable(shown)

    text = shown(Secret(TOKEN))

    assert "***" in text
    assert TOKEN not in text


def test_a_secret_is_revealed_when_asked_for() -> None:
    assert Secret(TOKEN).reveal() == TOKEN


@pytest.mark.parametrize(
    "echo",
    [
        TOKEN,
        quote(TOKEN, safe=""),
        TOKEN.replace("+", "%2b").replace("/", "%2f"),
        "".join(f"%{ord(char):02X}" for char in TOKEN),
        "".join(f"\\u{ord(char):04x}" for char in TOKEN),
        "".join(f"&#{ord(char)};" for char in TOKEN),
        json.dumps(TOKEN).replace("/", "\\/"),
        TOKEN.encode().hex(),
        TOKEN.encode().hex().upper(),
        base64.b64encode(TOKEN.encode()).decode(),
        base64.b64encode(b"a" + TOKEN.encode()).decode(),
        base64.b64encode(b"ab" + TOKEN.encode() + b"c").decode(),
        base64.urlsafe_b64encode(b"user:" + TOKEN.encode()).decode(),
    ],
)
def test_a_token_is_taken_out_of_a_text_in_whatever_spelling(echo: str) -> None:
    shown = Secret(TOKEN).redact(f"you sent {echo} here")

    assert "***" in shown
    assert shown.startswith("you sent ")
    assert shown.endswith(" here")
    assert len(shown) <= len("you sent *** here") + 10  # what base64 shares with the bytes beside the token
    assert echo not in shown


def test_the_credentials_of_others_are_taken_out_too() -> None:
    text = "Authorization: Bearer abc.def and bearer ghi123, https://user:pass@proxy/x"

    shown = Secret(TOKEN).redact(text)

    assert "abc.def" not in shown
    assert "ghi123" not in shown
    assert "pass" not in shown
    assert "proxy/x" in shown


def test_a_short_secret_is_not_searched_for_in_ordinary_words() -> None:
    assert Secret("enabled").redact("Policy enabled") == "Policy enabled"


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=60), st.text(max_size=20))
def test_no_printable_token_survives_in_any_text_around_it(token: str, around: str) -> None:
    shown = Secret(token).redact(f"{around}{token}{around}")

    assert token not in shown or token in f"{around}***{around}"


# ---------------------------------------------------------------------------------------------------- in data


@pytest.mark.parametrize("seed", range(200))
def test_no_spelling_of_any_token_stays_in_data(seed: int) -> None:
    token = random_token(seed, 16 + seed % 50)
    told = {"name": f"before {token} after", token: [True, None, 1, *spellings(token).values()]}

    masked = Secret(token).mask(told)

    assert found(token, {"masked": json.dumps(masked, ensure_ascii=False).encode()}) == []
    assert isinstance(masked, dict)
    assert masked["name"] == "before *** after"
    assert [type(item) for item in masked["***"]] == [type(item) for item in told[token]]


@pytest.mark.parametrize("seed", range(50))
def test_no_spelling_of_any_token_stays_in_a_text(seed: int) -> None:
    token = random_token(seed, 16 + seed % 50)
    told = " ".join(spellings(token).values())

    assert found(token, {"redacted": Secret(token).redact(told).encode()}) == []


def test_data_without_the_token_is_left_alone_whatever_it_says() -> None:
    told = {"rule": "Authorization: Bearer tokens at https://user@host/, 100 % of \\u0041&#65;", "n": [1, None]}

    assert Secret(TOKEN).mask(told) is told


def test_a_word_that_a_policy_may_well_use_is_not_taken_out_of_it() -> None:
    """Or a live policy would never be as git says, and every run would write it again."""
    assert Secret("authentication").mask("Enforce authentication") == "Enforce authentication"
    assert Secret("authentication").redact("Enforce authentication") == "Enforce ***"


def test_deep_and_wide_data_is_masked() -> None:
    value: Any = TOKEN
    for _ in range(60):
        value = [value, {TOKEN: value}] if isinstance(value, str) else {"deeper": value}

    assert TOKEN not in json.dumps(Secret(TOKEN).mask(value))


def test_a_signature_is_the_hmac_of_rfc_4231() -> None:
    """Test case 2 of the RFC."""
    digest = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"

    assert Secret("Jefe").sign(b"what do ya want for nothing?") == digest
