"""The second factor: what it takes to turn it on, which codes are taken, and that each is taken once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pyotp
import pytest
import sqlalchemy as sa

from reconciler.clock import SystemRandom
from reconciler.server.accounts.factors import (
    RECOVERY_CODES,
    confirm_enrolment,
    count_recovery_codes,
    is_enrolled,
    remove_factor,
    start_enrolment,
    take_code,
)
from reconciler.server.accounts.sessions import find_session, open_session
from reconciler.server.replies import ApiError
from reconciler.server.store import Store, open_store
from tests.support.clocks import FakeClock

EMAIL = "person@example.com"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> Iterator[Store]:
    store = open_store(clock=clock, random=SystemRandom())
    yield store
    store.close()


@pytest.fixture
def person(store: Store) -> str:
    return store.add_user(EMAIL, "admin")


def start(store: Store, person: str) -> pyotp.TOTP:
    with store.write() as connection:
        return pyotp.TOTP(start_enrolment(connection, store, person, EMAIL).secret)


def confirm(store: Store, person: str, code: str) -> tuple[str, ...] | None:
    with store.write() as connection:
        return confirm_enrolment(connection, store, person, code)


def take(store: Store, person: str, code: str) -> bool:
    with store.write() as connection:
        return take_code(connection, store, person, code)


def enrol(store: Store, person: str, clock: FakeClock) -> tuple[pyotp.TOTP, tuple[str, ...]]:
    """An account with a factor, at a time at which no code was used."""
    totp = start(store, person)
    codes = confirm(store, person, code_at(totp, clock))
    assert codes is not None
    clock.sleep(90)
    return totp, codes


def code_at(totp: pyotp.TOTP, clock: FakeClock, seconds: int = 0) -> str:
    return totp.at(clock.now() + timedelta(seconds=seconds))


def enrolled(store: Store, person: str) -> bool:
    with store.read() as connection:
        return is_enrolled(connection, person)


def test_an_enrolment_shows_a_secret_that_an_authenticator_understands(store: Store, person: str) -> None:
    with store.write() as connection:
        enrolment = start_enrolment(connection, store, person, EMAIL)

    read = pyotp.parse_uri(enrolment.uri)

    assert isinstance(read, pyotp.TOTP)
    assert (read.secret, read.name, read.issuer) == (enrolment.secret, EMAIL, "reconciler")
    assert len(enrolment.secret) == 32


def test_a_factor_counts_from_its_first_right_code_on(store: Store, person: str, clock: FakeClock) -> None:
    totp = start(store, person)

    before = enrolled(store, person)
    wrong = confirm(store, person, "000000" if code_at(totp, clock) != "000000" else "000001")
    between = enrolled(store, person)
    codes = confirm(store, person, code_at(totp, clock))

    assert (before, wrong, between) == (False, None, False)
    assert codes is not None
    assert enrolled(store, person)


def test_a_factor_that_was_never_confirmed_opens_nothing(store: Store, person: str, clock: FakeClock) -> None:
    totp = start(store, person)

    assert not take(store, person, code_at(totp, clock))


def test_starting_again_makes_another_secret_and_only_the_last_one_counts(
    store: Store, person: str, clock: FakeClock
) -> None:
    first, second = start(store, person), start(store, person)

    assert first.secret != second.secret
    assert confirm(store, person, first.at(clock.now())) is None
    assert confirm(store, person, second.at(clock.now())) is not None


def test_a_confirmed_factor_is_not_replaced_by_starting_again(store: Store, person: str, clock: FakeClock) -> None:
    totp, _ = enrol(store, person, clock)

    with pytest.raises(ApiError, match="already") as caught:
        start(store, person)

    assert caught.value.status == 409
    assert take(store, person, code_at(totp, clock))


@pytest.mark.parametrize(("seconds", "taken"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)])
def test_a_clock_may_be_half_a_minute_wrong(
    store: Store, person: str, clock: FakeClock, seconds: int, taken: bool
) -> None:
    totp, _ = enrol(store, person, clock)

    assert take(store, person, code_at(totp, clock, seconds)) is taken


def test_a_code_is_taken_once(store: Store, person: str, clock: FakeClock) -> None:
    totp, _ = enrol(store, person, clock)
    code = code_at(totp, clock)

    assert take(store, person, code)
    assert not take(store, person, code)
    clock.sleep(29)
    assert not take(store, person, code)


def test_no_earlier_code_is_taken_after_a_later_one(store: Store, person: str, clock: FakeClock) -> None:
    totp, _ = enrol(store, person, clock)

    later, earlier = code_at(totp, clock, 30), code_at(totp, clock)

    assert take(store, person, later)
    assert not take(store, person, earlier)


def test_the_code_that_confirmed_logs_nobody_in(store: Store, person: str, clock: FakeClock) -> None:
    totp = start(store, person)
    code = code_at(totp, clock)
    confirm(store, person, code)

    assert not take(store, person, code)


@pytest.mark.parametrize("shape", ["{0}{1}", "{0} {1}", " {0}-{1} "])
def test_blanks_in_a_code_do_not_count(store: Store, person: str, clock: FakeClock, shape: str) -> None:
    totp, _ = enrol(store, person, clock)
    code = code_at(totp, clock)

    assert take(store, person, shape.format(code[:3], code[3:]))


@pytest.mark.parametrize("code", ["", "0", "12345", "1234567", "١٢٣٤٥٦", "abcdef", "\0", "\udc80", "' OR 1=1 --"])
def test_what_is_no_code_is_not_taken(store: Store, person: str, clock: FakeClock, code: str) -> None:
    enrol(store, person, clock)

    assert not take(store, person, code)


def test_each_recovery_code_is_taken_once(store: Store, person: str, clock: FakeClock) -> None:
    _, codes = enrol(store, person, clock)

    taken = [take(store, person, each) for each in codes]
    again = [take(store, person, each) for each in codes]

    assert len(set(codes)) == RECOVERY_CODES
    assert all(re.fullmatch("[a-km-np-z2-9]{4}(-[a-km-np-z2-9]{4}){3}", each) for each in codes)
    assert taken == [True] * RECOVERY_CODES
    assert again == [False] * RECOVERY_CODES
    with store.read() as connection:
        assert count_recovery_codes(connection, person) == 0


def test_a_recovery_code_may_be_typed_without_hyphens_and_in_capitals(
    store: Store, person: str, clock: FakeClock
) -> None:
    _, codes = enrol(store, person, clock)

    assert take(store, person, codes[0].replace("-", "").upper())


def test_codes_are_of_one_account(store: Store, person: str, clock: FakeClock) -> None:
    other = store.add_user("other@example.com", "admin")
    totp, codes = enrol(store, person, clock)
    enrol(store, other, clock)

    assert not take(store, other, codes[0])
    assert not take(store, other, code_at(totp, clock))


def test_turning_the_factor_on_ends_other_sessions(store: Store, person: str, clock: FakeClock) -> None:
    mine, other = open_session(store, person), open_session(store, person)
    session = find_session(store, mine)
    assert session is not None
    totp = start(store, person)

    with store.write() as connection:
        confirm_enrolment(connection, store, person, code_at(totp, clock), session_id=session.id)

    assert find_session(store, mine) is not None
    assert find_session(store, other) is None


def test_a_removed_factor_is_gone_with_its_codes(store: Store, person: str, clock: FakeClock) -> None:
    totp, codes = enrol(store, person, clock)

    with store.write() as connection:
        removed = remove_factor(connection, person)
        again = remove_factor(connection, person)

    assert (removed, again) == (True, False)
    assert not enrolled(store, person)
    assert not take(store, person, code_at(totp, clock))
    assert not take(store, person, codes[0])


def test_no_recovery_code_stands_in_the_database(store: Store, person: str, clock: FakeClock) -> None:
    _, codes = enrol(store, person, clock)

    with store.read() as connection:
        stored = str(connection.execute(sa.text("SELECT * FROM recovery_codes")).all())

    assert person in stored
    assert not any(each in stored or each.replace("-", "") in stored for each in codes)
