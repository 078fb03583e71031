"""A token that the server forgets in the middle of a run, and the one that replaced it (reliability.md F18)."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from reconciler.core.model import Fate, Mutation, TargetSettings
from reconciler.core.secret import Secret
from reconciler.errors import ConfigError, LiveError
from reconciler.providers.base import Provider
from reconciler.providers.http import Transport
from reconciler.providers.keyring import Keyring
from reconciler.providers.registry import make_provider
from tests.fake_api import DEFAULTS, TOKEN, FakeApi
from tests.support.clocks import CountingRandom, FakeClock

NEXT = "the-next-token-9f8e7d6c5b4a3210"
FLIP = Mutation("toggle", "pol-mfa-required", None, False, "a" * 40, {"User-Agent": "reconciler/test"})


def no_token() -> Secret:
    raise ConfigError("the token file cannot be read", where="here", fix="mend it")


def provider(api: FakeApi, renew: Callable[[], Secret | None] | None) -> Provider:
    transport = Transport(api.url, Secret(TOKEN), deadline=5.0, clock=FakeClock(), random=CountingRandom(), renew=renew)
    return make_provider(TargetSettings("t", "neosc", api.url, "p"), transport)


def test_another_token_is_taken_and_its_source_asked_once() -> None:
    asked: list[int] = []
    first = Secret(TOKEN)
    keyring = Keyring(first, lambda: asked.append(1) or Secret(NEXT))

    assert keyring.has_another(first)
    second = keyring.token

    assert second is not None
    assert second.reveal() == NEXT
    assert keyring.has_another(first), "a request that left before is to be decided anew, too"
    assert not keyring.has_another(second)
    assert asked == [1]


@pytest.mark.parametrize("renew", [None, lambda: Secret(TOKEN), lambda: None, no_token])
def test_without_another_token_the_refusal_stands(renew: Callable[[], Secret | None] | None) -> None:
    first = Secret(TOKEN)
    keyring = Keyring(first, renew)

    assert not keyring.has_another(first)
    assert keyring.token is first


def test_who_has_no_token_has_no_other() -> None:
    assert not Keyring(None, lambda: Secret(NEXT)).has_another(None)


def test_neither_token_is_shown() -> None:
    first = Secret(TOKEN)
    keyring = Keyring(first, lambda: Secret(NEXT))
    keyring.has_another(first)

    assert keyring.redact(f"{TOKEN} and {NEXT}") == "*** and ***"
    assert keyring.mask([TOKEN, {NEXT: 1}]) == ["***", {"***": 1}]


def test_several_threads_that_are_refused_at_once_ask_once() -> None:
    asked: list[int] = []
    first = Secret(TOKEN)
    keyring = Keyring(first, lambda: asked.append(1) or Secret(NEXT))
    answers: list[bool] = []
    threads = [threading.Thread(target=lambda: answers.append(keyring.has_another(first))) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [True] * 8
    assert asked == [1]


def test_a_read_that_is_refused_is_made_again_with_the_new_token() -> None:
    with FakeApi("neosc", policies=DEFAULTS) as api:
        api.token = NEXT

        listing = provider(api, lambda: Secret(NEXT)).fetch_listing()

        assert len(listing.policies) == 3
        sent = [request.headers["authorization"] for request in api.requests]
        assert sent == [f"Bearer {TOKEN}", f"Bearer {NEXT}"]


def test_a_read_with_a_token_that_nobody_replaced_is_refused_at_once() -> None:
    with FakeApi("neosc", policies=DEFAULTS) as api:
        api.token = NEXT

        with pytest.raises(LiveError, match="does not take the token"):
            provider(api, lambda: Secret(TOKEN)).fetch_listing()

        assert len(api.requests) == 1


def test_a_refused_change_is_not_sent_again_but_handed_back_to_be_decided_anew() -> None:
    with FakeApi("neosc", policies=DEFAULTS) as api:
        api.token = NEXT
        speaking = provider(api, lambda: Secret(NEXT))

        first, second = speaking.send(FLIP), speaking.send(FLIP)

        assert (first.fate, first.status, first.renewed) == (Fate.REJECTED, 401, True)
        assert (second.fate, second.renewed) == (Fate.APPLIED, False)
        assert len(api.mutations) == 2
