"""Problems and errors as text and JSON: anatomy, carets, counts, and nothing harmful."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.core.documents import read_documents
from reconciler.core.model import Problem, Severity
from reconciler.core.schema import load_schemas
from reconciler.errors import ConfigError, ExitCode, Place, ReconcilerError, UnreachableError
from reconciler.reports.problems import error_to_json, problems_to_json, render_error, render_problems

SCHEMAS = load_schemas()


def problem(**changes: object) -> Problem:
    given: dict[str, object] = {
        "code": "unknown-value",
        "severity": Severity.ERROR,
        "message": 'severity cannot be "medum"',
        "path": "policies/a.yaml",
        "line": 4,
        "column": 11,
        "span": 5,
        "label": 'did you mean "medium"?',
        "excerpt": ((4, "severity: medum"),),
    }
    return Problem(**{**given, **changes})  # type: ignore[arg-type]


def test_a_problem_has_code_sentence_place_excerpt_caret_and_notes() -> None:
    text = render_problems(
        [problem(allowed=("critical", "high"), why="severity decides which guards must approve a change")], files=12
    )

    assert text == (
        'error[unknown-value]: severity cannot be "medum"\n'
        "   --> policies/a.yaml:4:11\n"
        "    |\n"
        "  4 | severity: medum\n"
        '    |           ^^^^^ did you mean "medium"?\n'
        "    |\n"
        "    = allowed: critical, high\n"
        "    = why:     severity decides which guards must approve a change\n"
        "    = more:    reconciler explain unknown-value\n"
        "\n"
        "1 error in 1 of 12 files. Nothing was sent to the API."
    )


def test_a_related_place_is_marked_above_and_left_out_lines_are_a_dot() -> None:
    text = render_problems(
        [
            problem(
                code="duplicate-key",
                message='"enabled" is set twice',
                line=9,
                column=1,
                span=7,
                label="set again here",
                fix="delete line 6 or line 9",
                related=((6, 1, 13, "set here first"),),
                excerpt=((6, "enabled: true"), (9, "enabled: false")),
            )
        ],
        files=1,
    )

    assert text.split("\n\n")[0] == (
        'error[duplicate-key]: "enabled" is set twice\n'
        "   --> policies/a.yaml:9:1\n"
        "    |\n"
        "  6 | enabled: true\n"
        "    | ------------- set here first\n"
        "  . |\n"
        "  9 | enabled: false\n"
        "    | ^^^^^^^ set again here\n"
        "    |\n"
        "    = fix:  delete line 6 or line 9\n"
        "    = more: reconciler explain duplicate-key"
    )


def test_the_gutter_is_as_wide_as_the_last_line_number() -> None:
    text = render_problems([problem(line=12345, excerpt=((12344, "a: 1"), (12345, "severity: medum")))], files=1)

    assert (
        "\n     --> policies/a.yaml:12345:11\n      |\n12344 | a: 1\n12345 | severity: medum\n      |           ^^^^^"
        in text
    )


def test_problems_are_sorted_by_file_and_line_and_counted_last() -> None:
    problems = [
        problem(path="b.yaml"),
        problem(path="a.yaml", line=9, severity=Severity.WARNING),
        problem(path="a.yaml", line=2),
    ]

    text = render_problems(problems, files=12)

    places = [line.split("--> ")[1] for line in text.splitlines() if "-->" in line]
    assert places == ["a.yaml:2:11", "a.yaml:9:11", "b.yaml:4:11"]
    assert text.endswith("\n\n2 errors, 1 warning in 2 of 12 files. Nothing was sent to the API.")


def test_the_same_mistake_in_more_than_three_files_is_one_block_with_all_places() -> None:
    problems = [problem(path=f"policies/{name}.yaml") for name in "abcd"]
    problems.append(problem(path="policies/b.yaml", line=9, message='severity cannot be "hihg"'))

    text = render_problems(problems, files=12)

    assert text == (
        'error[unknown-value]: severity cannot be "medum"\n'
        "   --> policies/a.yaml:4:11\n"
        "    |\n"
        "  4 | severity: medum\n"
        '    |           ^^^^^ did you mean "medium"?\n'
        "    |\n"
        "    = also: policies/b.yaml:4:11\n"
        "            policies/c.yaml:4:11\n"
        "            policies/d.yaml:4:11\n"
        "    = more: reconciler explain unknown-value\n"
        "\n"
        'error[unknown-value]: severity cannot be "hihg"\n'
        "   --> policies/b.yaml:9:11\n"
        "    |\n"
        "  4 | severity: medum\n"
        "    |\n"
        "\n"
        "5 errors in 4 of 12 files. Nothing was sent to the API."
    )


def test_the_same_mistake_in_three_files_is_three_blocks() -> None:
    text = render_problems([problem(path=f"policies/{name}.yaml") for name in "abc"], files=12)

    assert text.count("error[unknown-value]") == 3
    assert "also:" not in text


def test_an_error_and_a_warning_of_one_code_are_not_one_block() -> None:
    problems = [problem(path=f"{name}.yaml") for name in "abcd"]
    problems += [problem(path=f"{name}.yaml", severity=Severity.WARNING) for name in "efgh"]

    text = render_problems(problems, files=12)

    assert (text.count("error["), text.count("warning[")) == (1, 1)


def test_a_long_list_of_places_says_how_many_are_left_out() -> None:
    text = render_problems([problem(path=f"{number:04}.yaml") for number in range(1500)], files=1500)

    assert text.count(".yaml:4:11") == 21
    assert "            1,479 more places; --json lists all of them\n" in text
    assert text.endswith("1500 errors in 1500 of 1500 files. Nothing was sent to the API.")


def test_where_to_read_more_stands_once_for_each_code() -> None:
    problems = [problem(line=1), problem(line=2), problem(line=3, code="unknown-key")]

    text = render_problems(problems, files=1)

    assert [line.split()[-1] for line in text.splitlines() if "more:" in line] == ["unknown-value", "unknown-key"]


def test_warnings_alone_are_not_called_errors() -> None:
    text = render_problems([problem(severity=Severity.WARNING)], files=1)

    assert text.startswith("warning[unknown-value]: ")
    assert text.endswith("\n1 warning in 1 of 1 file. Nothing was sent to the API.")


def test_a_problem_of_a_whole_file_has_no_excerpt() -> None:
    text = render_problems([problem(line=None, column=None, excerpt=(), label="", fix="make it smaller")], files=1)

    assert text.split("\n\n")[0].splitlines()[1:] == [
        "   --> policies/a.yaml",
        "    = fix:  make it smaller",
        "    = more: reconciler explain unknown-value",
    ]


def test_the_caret_stands_under_the_text_it_means_after_escapes_and_wide_letters() -> None:
    line = "\u6f22\u5b57\u202e: medum"

    text = render_problems([problem(column=6, excerpt=((4, line),), label="")], files=1)

    rows = text.splitlines()
    assert rows[3] == "  4 | \u6f22\u5b57\\u202e: medum"
    assert rows[4] == "    | " + " " * (4 + 6 + 2) + "^^^^^"


def test_a_mark_far_to_the_right_is_still_shown() -> None:
    line = "x" * 5000 + "medum"

    text = render_problems([problem(column=5001, excerpt=((4, line),))], files=1)

    rows = text.splitlines()
    assert max(map(len, rows)) < 250
    assert rows[3][rows[4].index("^") :].startswith("medum")


def test_a_span_over_the_end_of_the_line_is_cut() -> None:
    text = render_problems([problem(span=100_000)], files=1)

    assert max(map(len, text.splitlines())) < 250


@pytest.mark.parametrize("hostile", ["\x1b[2J", "a\nb::stop-commands::x", "\u202egnp.exe", "\u200b", "##[error]x"])
def test_untrusted_text_is_harmless_wherever_it_stands(hostile: str) -> None:
    text = render_problems(
        [
            problem(
                message=hostile,
                path=hostile,
                label=hostile,
                fix=hostile,
                why=hostile,
                allowed=(hostile,),
                excerpt=((4, "severity: " + hostile.replace("\n", "")),),
            )
        ],
        files=1,
    )

    assert hostile not in text
    assert all(line.startswith(("error[", " ", "1 error")) or not line for line in text.splitlines())


def test_colour_says_nothing_that_words_do_not() -> None:
    import click

    problems = [problem(related=((4, 1, 8, "here"),), fix="write medium"), problem(severity=Severity.WARNING)]

    colored = render_problems(problems, files=2, color=True)

    assert "\x1b[" in colored
    assert click.unstyle(colored) == render_problems(problems, files=2)


def test_an_error_has_the_same_anatomy() -> None:
    error = UnreachableError("no answer", where="GET http://127.0.0.1:8800/api/policies", fix="start the server")

    assert render_error(error) == (
        "error[unreachable]: no answer\n"
        "   --> GET http://127.0.0.1:8800/api/policies\n"
        "    = fix:  start the server\n"
        "    = more: reconciler explain unreachable"
    )


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (Place("reconciler.yaml", 3, 5), {"path": "reconciler.yaml", "line": 3, "column": 5}),
        (Place("reconciler.yaml"), {"path": "reconciler.yaml", "line": None, "column": None}),
        ("reconciler.yaml", {"path": "reconciler.yaml", "line": None, "column": None}),
        ("", None),
    ],
)
def test_an_error_as_json_fits_its_schema(where: Place | str, expected: object) -> None:
    value = error_to_json(ConfigError("bad", where=where, fix="mend it", exit=ExitCode.USAGE))

    assert SCHEMAS.check("error", value) == ()
    assert value["error"] == {"code": "config", "message": "bad", "where": expected, "fix": "mend it", "exit": 64}


#: The others are made from something else than a sentence.
PLAIN = [kind for kind in ReconcilerError.__subclasses__() if kind.__init__ is ReconcilerError.__init__]


@pytest.mark.parametrize("kind", PLAIN)
def test_every_error_renders_and_fits_its_schema(kind: type[ReconcilerError]) -> None:
    error = kind("what", where="somewhere", fix="do this")

    assert SCHEMAS.check("error", error_to_json(error)) == ()
    assert render_error(error).startswith(f"error[{error.code}]: what\n")


def test_problems_as_json_fit_their_schema() -> None:
    value = problems_to_json(
        [problem(pointer="/severity", fix="write medium"), problem(path="a.yaml", line=None, column=None)]
    )

    assert SCHEMAS.check("problems", value) == ()
    assert value["problems"] == [
        {
            "code": "unknown-value",
            "severity": "error",
            "message": 'severity cannot be "medum"',
            "path": path,
            "line": line,
            "column": column,
            "pointer": pointer,
            "fix": fix,
        }
        for path, line, column, pointer, fix in (
            ("a.yaml", None, None, None, None),
            ("policies/a.yaml", 4, 11, "/severity", "write medium"),
        )
    ]


def test_a_file_with_many_mistakes_reads_as_on_the_page(golden: Callable[[Path, str], None]) -> None:
    data = b"""\
name: Rate Limit Enforcement
policy_type: rate_limit
severity: medum
enabled: "yes"
conditions:
  max_requests_per_hour: 1000
  window_size: 2h
  burst_limt: 5
actions:
  on_violation: throtle
metadata:
  review_by: 2027-02-30
---
name: Maximum Trust Score Required
policy_type: trust_score
conditions:
  min_trust_score: 0.7
---
name: IP Allowlist Policy
policy_type: ip_allowlist
conditions:
  allowed_ips: [10.1.2.3/8, "192.168.1*"]
  resources: ["*"]
"""
    documents, problems = read_documents(data, "policies/opena2a/all.yaml")
    found = [*problems, *(each for document in documents for each in SCHEMAS.check_policy("opena2a", document))]

    golden(Path(__file__).with_name("problems.txt"), render_problems(found, files=1) + "\n")
