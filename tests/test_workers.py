"""Threads of a run: how many, in which order, what an error does, and that they end."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from functools import partial

import pytest

from reconciler.workers import in_threads


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(6_000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never came true")


def workers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "worker"}


def test_all_jobs_are_done_in_no_more_threads_than_there_are_places() -> None:
    used: list[int] = []
    spread = in_threads(3)

    for _ in range(20):
        spread([lambda: used.append(threading.get_ident())] * 5)

    assert len(used) == 100
    assert 1 <= len(set(used)) <= 3


def test_as_many_as_there_are_places_are_under_way_at_once() -> None:
    together = threading.Barrier(4)

    def meet() -> None:
        together.wait(60)

    in_threads(4)([meet] * 8)

    assert not together.broken


def test_a_single_job_goes_before_all_that_wait() -> None:
    order: list[str] = []
    begun, go = threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        assert go.wait(60)
        order.append("first")

    spread = in_threads(1)
    many = threading.Thread(target=spread, args=([first, lambda: order.append("second")],))
    many.start()
    assert begun.wait(60)
    single = threading.Thread(target=spread, args=([lambda: order.append("single")],))
    single.start()
    wait_for(lambda: len(spread.__self__._places.waiting) == 2)  # type: ignore[attr-defined]
    go.set()
    many.join()
    single.join()

    assert order == ["first", "single", "second"]


def test_a_job_that_asks_needs_no_second_place() -> None:
    done: list[str] = []
    spread = in_threads(1)

    spread([lambda: spread([lambda: done.append("inner"), lambda: done.append("other")])])

    assert done == ["inner", "other"]


def test_an_error_is_raised_when_all_have_ended() -> None:
    done: list[int] = []

    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        in_threads(2)([fail, *(partial(done.append, number) for number in range(9))])

    assert sorted(done) == list(range(9))


def test_the_threads_end_when_nobody_can_ask_them_any_more() -> None:
    before = workers()
    spread = in_threads(4)
    spread([lambda: None] * 8)
    mine = workers() - before

    del spread
    gc.collect()
    for thread in mine:
        thread.join(60)

    assert mine
    assert not any(thread.is_alive() for thread in mine)


def test_nothing_to_do_starts_no_thread() -> None:
    before = workers()

    in_threads(4)([])

    assert workers() <= before
