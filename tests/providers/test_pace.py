"""The token bucket: slow down by the server's own words, and only by them."""

from __future__ import annotations

from reconciler.providers.pace import Pace
from tests.support.clocks import FakeClock


def told(left: int, seconds: int, **more: str) -> dict[str, str]:
    return {"x-ratelimit-remaining": str(left), "x-ratelimit-reset": str(seconds), **more}


def run(pace: Pace, headers: dict[str, str], *, is_write: bool = True) -> None:
    pace.enter(is_write=is_write)
    pace.leave(headers)


def test_without_the_headers_nothing_ever_waits() -> None:
    clock = FakeClock()
    pace = Pace(clock)

    for _ in range(1000):
        run(pace, {})

    assert clock.slept == []


def test_an_empty_window_is_waited_out_before_the_next_request() -> None:
    clock = FakeClock()
    pace = Pace(clock)
    run(pace, told(0, 20))

    pace.enter(is_write=True)

    assert clock.slept == [21.0]  # a whole second more: the server rounds down


def test_reads_leave_some_requests_to_the_writes_decided_from_them() -> None:
    clock = FakeClock()
    pace = Pace(clock)
    run(pace, told(99, 60))
    run(pace, told(8, 50))

    run(pace, told(7, 50))
    assert clock.slept == []

    run(pace, {}, is_write=False)
    assert clock.slept == [51.0]


def test_a_small_window_is_not_kept_back_from_reads() -> None:
    clock = FakeClock()
    pace = Pace(clock)
    run(pace, told(4, 60), is_write=False)

    for _ in range(4):
        run(pace, {}, is_write=False)

    assert clock.slept == []


def test_requests_under_way_count_although_no_reply_told_of_them() -> None:
    clock = FakeClock()
    pace = Pace(clock)
    run(pace, told(3, 60))
    for _ in range(3):
        pace.enter(is_write=True)

    pace.enter(is_write=True)

    assert clock.slept == [61.0]


def test_replies_out_of_order_do_not_fill_the_bucket_again() -> None:
    clock = FakeClock()
    pace = Pace(clock)
    pace.enter(is_write=True)
    pace.enter(is_write=True)
    pace.leave(told(0, 30))
    pace.leave(told(1, 30))

    pace.enter(is_write=True)

    assert clock.slept == [31.0]


def test_a_reset_told_as_a_time_counts_by_the_servers_clock() -> None:
    clock = FakeClock()
    clock.skew = 86_400.0
    pace = Pace(clock)

    run(pace, told(0, 1_795_165_230, date="Fri, 20 Nov 2026 09:00:00 GMT"))
    pace.enter(is_write=True)

    assert clock.slept == [31.0]


def test_nobody_makes_us_wait_longer_than_two_minutes() -> None:
    clock = FakeClock()
    pace = Pace(clock)
    run(pace, told(0, 999_999))

    pace.enter(is_write=True)

    assert clock.slept == [121.0]


def test_garbage_is_as_no_header() -> None:
    clock = FakeClock()
    pace = Pace(clock)

    for left, reset in (("-1", "60"), ("0", "soon"), ("0.5", "60"), ("", ""), ("0", "1e9"), ("0", "1795165230")):
        run(pace, {"x-ratelimit-remaining": left, "x-ratelimit-reset": reset})
    pace.enter(is_write=True)

    assert clock.slept == []
