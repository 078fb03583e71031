"""The commit on a request is found again in whatever keeps the request's text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.annotation import (
    REASONS,
    UserAgent,
    append_trailer,
    find_commit,
    make_headers,
    parse,
    render_user_agent,
    strip_trailer,
)

SHA = "3f9c2ab0" * 5
OTHER = "7d2e901f" * 5

shas = st.text("0123456789abcdef", min_size=40, max_size=40)
any_text = st.text(st.characters(exclude_categories=()))
agents = st.builds(
    UserAgent,
    version=st.from_regex(r"[0-9A-Za-z][0-9A-Za-z.+!_-]{0,20}", fullmatch=True),
    commit=shas,
    key=any_text,
    plan=st.text("0123456789abcdef", min_size=12, max_size=12),
    why=st.sampled_from([None, *REASONS]),
)


@given(agents)
def test_what_is_rendered_parses_to_the_same(agent: UserAgent) -> None:
    text = render_user_agent(agent)

    assert parse(text) == agent
    assert parse(f"proxy/1.0 {text} (via x)") == agent


@given(agents)
def test_a_header_is_printable_ascii_whatever_the_key_holds(agent: UserAgent) -> None:
    text = render_user_agent(agent)

    assert text.isascii()
    assert text.isprintable()


def test_headers_are_spelled_as_documented() -> None:
    headers = make_headers("0.1.0", SHA, "PII access", "sha256:" + "0123456789abcdef" * 4)

    assert headers == {
        "User-Agent": f"reconciler/0.1.0 (commit={SHA}; key=PII%20access; plan=0123456789ab)",
        "baggage": f"vcs.ref.head.revision={SHA}",
    }


def test_a_reason_stands_behind_the_plan() -> None:
    headers = make_headers("0.1.0", SHA, "a", "sha256:" + "0" * 64, why="exception-ended")

    assert headers["User-Agent"].endswith("; plan=000000000000; why=exception-ended)")


@pytest.mark.parametrize(
    "agent",
    [
        UserAgent("0.1.0\r\nX: y", SHA, "a", "0" * 12),
        UserAgent("0.1.0", SHA[:39], "a", "0" * 12),
        UserAgent("0.1.0", SHA.upper(), "a", "0" * 12),
        UserAgent("0.1.0", SHA, "a", "0" * 11),
        UserAgent("0.1.0", SHA, "a", "0" * 12, "because"),
    ],
)
def test_what_cannot_be_an_annotation_is_not_rendered(agent: UserAgent) -> None:
    with pytest.raises(ValueError):
        render_user_agent(agent)


@pytest.mark.parametrize(
    "text", ["", "curl/8", f"reconciler/0.1.0 (commit={SHA})", f"reconciler/1 (commit={SHA}; key=%FF; plan={'0' * 12})"]
)
def test_other_texts_are_no_annotation(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([f"by {SHA}."], SHA),
        ([f"vcs.ref.head.revision={SHA}"], SHA),
        ([SHA + "0"], None),
        (["sha256:" + SHA + "0" * 24], None),
        ([SHA.upper()], None),
        (["F" + SHA], None),
        ([SHA[:39]], None),
        ([], None),
    ],
)
def test_a_commit_is_forty_lower_case_digits_on_their_own(texts: list[str], expected: str | None) -> None:
    assert find_commit(texts) == expected


def test_our_own_user_agent_counts_before_a_commit_quoted_elsewhere() -> None:
    agent = render_user_agent(UserAgent("0.1.0", SHA, "a", "0" * 12))

    assert find_commit([f"description was: old [reconciler commit={OTHER}]", agent]) == SHA


@given(any_text, shas)
def test_a_trailer_comes_off_exactly_as_it_went_on(text: str, commit: str) -> None:
    assert strip_trailer(append_trailer(text, commit)) == (text, commit)


@given(st.text())
def test_a_text_without_a_trailer_stays_as_it_is(text: str) -> None:
    assert strip_trailer(text) == (text, None)


def test_a_trailer_in_the_middle_is_the_authors_own() -> None:
    text = f"see [reconciler commit={SHA}] for more"

    assert strip_trailer(text) == (text, None)
