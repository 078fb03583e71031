"""Logins over the wire: the second factor, how often one may be wrong, and what the trail says of it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pyotp
import pytest
import sqlalchemy as sa

from reconciler.clock import SystemRandom
from reconciler.server.accounts import throttle
from reconciler.server.accounts.factors import confirm_enrolment, start_enrolment
from reconciler.server.app import create_app
from reconciler.server.main import running
from reconciler.server.store import Store, open_store
from reconciler.server.trail.tables import audit_entries
from tests.support.clocks import FakeClock
from tests.support.servers import CHEAP

EMAIL, PASSWORD = "person@example.com", "correct horse battery"


class Site:
    """A server whose clock stands still, and a person with a password."""

    def __init__(self, url: str, store: Store, clock: FakeClock) -> None:
        self.store, self.clock = store, clock
        self.user_id = store.add_user(EMAIL, "admin", password=PASSWORD)
        self.web = httpx.Client(base_url=url, trust_env=False, verify=False)

    def log_in(self, password: str = PASSWORD, email: str = EMAIL, **more: Any) -> httpx.Response:
        return self.web.post("/api/auth/login", json={"email": email, "password": password, **more})

    def enrol(self) -> tuple[pyotp.TOTP, tuple[str, ...]]:
        with self.store.write() as connection:
            totp = pyotp.TOTP(start_enrolment(connection, self.store, self.user_id, EMAIL).secret)
            codes = confirm_enrolment(connection, self.store, self.user_id, totp.at(self.clock.now()))
        assert codes is not None
        self.clock.sleep(90)
        return totp, codes

    def entries(self) -> list[tuple[str, str, bool]]:
        shown = (audit_entries.c.action, audit_entries.c.user_email, audit_entries.c.details, audit_entries.c.success)
        with self.store.read() as connection:
            rows = connection.execute(sa.select(*shown).order_by(audit_entries.c.seq)).all()
        return [(f"{row.action} {row.user_email}", row.details, row.success) for row in rows]


@pytest.fixture
def site(db: str) -> Iterator[Site]:
    clock = FakeClock()
    store = open_store(db, clock=clock, random=SystemRandom(), password_cost=CHEAP)
    with running(create_app(store)) as url:
        site = Site(url, store, clock)
        yield site
        site.web.close()
    store.close()


def test_without_a_second_factor_nothing_asks_for_a_code(site: Site) -> None:
    reply = site.log_in()

    assert reply.status_code == 200
    assert reply.json()["user"]["mfa_enabled"] is False


def test_with_a_second_factor_the_password_alone_is_not_enough(site: Site) -> None:
    totp, _ = site.enrol()

    without = site.log_in()
    wrong = site.log_in(mfa_code="000000" if totp.at(site.clock.now()) != "000000" else "000001")
    right = site.log_in(mfa_code=totp.at(site.clock.now()))

    assert (without.status_code, without.json()) == (401, {"detail": "MFA code required"})
    assert (wrong.status_code, wrong.json()) == (401, {"detail": "Invalid MFA code"})
    assert right.status_code == 200
    assert right.json()["user"]["mfa_enabled"] is True
    assert site.entries() == [
        (f"login_failed {EMAIL}", "Login failed: wrong MFA code", False),
        (f"login {EMAIL}", "User logged in", True),
    ]


def test_a_code_logs_in_once(site: Site) -> None:
    totp, recovery = site.enrol()
    code = totp.at(site.clock.now())

    codes = [site.log_in(mfa_code=each).status_code for each in (code, code, recovery[0], recovery[0])]

    assert codes == [200, 401, 200, 401]


def test_one_code_sent_at_once_logs_in_once(site: Site) -> None:
    totp, _ = site.enrol()
    code = totp.at(site.clock.now())

    with ThreadPoolExecutor(4) as pool:
        codes = sorted(reply.status_code for reply in pool.map(lambda _: site.log_in(mfa_code=code), range(4)))

    assert codes == [200, 401, 401, 401]


def test_a_wrong_password_with_a_right_code_says_nothing_of_the_code(site: Site) -> None:
    totp, _ = site.enrol()
    code = totp.at(site.clock.now())

    wrong = site.log_in("not the password", mfa_code=code)

    assert (wrong.status_code, wrong.json()) == (401, {"detail": "Invalid credentials"})
    assert site.log_in(mfa_code=code).status_code == 200


@pytest.mark.parametrize("code", [1, True, ["000000"], "0" * 65])
def test_a_code_of_a_wrong_type_is_422(site: Site, code: object) -> None:
    reply = site.log_in(mfa_code=code)

    assert (reply.status_code, reply.json()) == (422, {"detail": "mfa_code must be a string of 0 to 64 characters"})


def test_a_failed_login_is_in_the_trail_without_what_was_typed(site: Site) -> None:
    site.log_in("wrong")
    site.log_in(email="my-secret-password", password="x")

    assert site.entries() == [
        (f"login_failed {EMAIL}", "Login failed: wrong email or password", False),
        ("login_failed unknown", "Login failed: wrong email or password", False),
    ]


def test_five_wrong_attempts_are_enough_for_five_minutes(site: Site) -> None:
    wrong = [site.log_in("wrong").status_code for _ in range(5)]

    refused = site.log_in()
    site.clock.sleep(int(refused.headers["retry-after"]) - 1)
    still = site.log_in()
    site.clock.sleep(1)
    free = site.log_in()

    assert wrong == [401] * 5
    assert (refused.status_code, refused.json()) == (429, {"detail": "Too many attempts. Please try again later."})
    assert refused.headers["retry-after"] == "300"
    assert (still.status_code, free.status_code) == (429, 200)
    assert len(site.entries()) == 6  # a refused attempt was not judged


def test_attempts_at_once_are_no_way_around_the_limit(site: Site) -> None:
    with ThreadPoolExecutor(12) as pool:
        codes = sorted(reply.status_code for reply in pool.map(lambda _: site.log_in("wrong"), range(12)))

    assert codes == [401] * 5 + [429] * 7


def test_wrong_codes_count_like_wrong_passwords(site: Site) -> None:
    totp, _ = site.enrol()

    codes = [site.log_in(mfa_code="x").status_code for _ in range(5)]

    assert codes == [401] * 5
    assert site.log_in(mfa_code=totp.at(site.clock.now())).status_code == 429


def test_asking_whether_a_code_is_needed_costs_no_attempt(site: Site) -> None:
    totp, _ = site.enrol()

    codes = [site.log_in().status_code for _ in range(6)]

    assert codes == [401] * 6
    assert site.log_in(mfa_code=totp.at(site.clock.now())).status_code == 200


def test_a_right_login_forgives_the_wrong_ones(site: Site) -> None:
    codes = [site.log_in(password).status_code for password in ("wrong", "wrong", "wrong", "wrong", PASSWORD) * 2]

    assert codes == [401, 401, 401, 401, 200] * 2


def test_one_account_does_not_lock_another(site: Site) -> None:
    site.store.add_user("other@example.com", "user", password=PASSWORD)
    for _ in range(6):
        site.log_in("wrong")

    assert site.log_in(email="other@example.com").status_code == 200


def test_an_account_that_is_not_there_locks_like_one_that_is(site: Site) -> None:
    codes = [site.log_in(email=email).status_code for email in ("no@example.com",) * 6]

    assert codes == [401] * 5 + [429]


def test_an_address_that_tries_many_accounts_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "PER_ADDRESS", 4)

    codes = [site.log_in(email=f"{number}@example.com").status_code for number in range(5)]

    assert codes == [401] * 4 + [429]
    assert site.log_in().status_code == 429
