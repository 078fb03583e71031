"""Problems and errors as people read them (code, sentence, place, excerpt with carets, way out) and as JSON.

Everything that came from a file or an API passes `safe()` here and nowhere before, so that a caret still stands under
the text it means.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence

from reconciler.core.model import Json, Problem, Severity
from reconciler.core.safe import for_log, safe
from reconciler.errors import Place, ReconcilerError

PROBLEMS_FORMAT = "reconciler.problems/1"
ERROR_FORMAT = "reconciler.error/1"

_LONGEST = 1000
_WINDOW = 100  # characters of a line shown before a mark; what is further left is cut
_GUTTER = 3
_FEW_FILES = 3
_MOST_PLACES = 20

Style = Callable[[str, str], str]


def render_problems(problems: Sequence[Problem], *, files: int, color: bool = False) -> str:
    """Return every problem in file order and, last, how many there are in how many of *files* (no final newline).

    The same mistake in more than three files is one block: the first place whole, then a list of the others. Where to
    read more stands once for each code.
    """
    style = _style(color)
    ordered = sorted(problems, key=lambda problem: problem.sort_key)
    told: set[str] = set()
    blocks = []
    for problem, others in _grouped(ordered):
        blocks.append("\n".join(_block(problem, others, style, more=problem.code not in told)))
        told.add(problem.code)
    blocks.append(_summary(ordered, files))
    return for_log("\n\n".join(blocks), prefix="")


def render_error(error: ReconcilerError, color: bool = False) -> str:
    """Return the error as a block of the same shape: code and sentence, place, way out (no final newline)."""
    style = _style(color)
    rows = [_headline(Severity.ERROR, error.code, error.what, style)]
    where = _safe_where(error.where)
    if where:
        rows.append(f"{' ' * _GUTTER}{style('-->', 'gutter')} {where}")
    rows += _notes((("fix", error.fix), ("more", f"reconciler explain {error.code}")), _GUTTER, style)
    return for_log("\n".join(rows), prefix="")


def problems_to_json(problems: Sequence[Problem]) -> dict[str, Json]:
    """Return `reconciler.problems/1`, in the order of the text."""
    ordered = sorted(problems, key=lambda problem: problem.sort_key)
    return {"format": PROBLEMS_FORMAT, "problems": [_problem_to_json(problem) for problem in ordered]}


def error_to_json(error: ReconcilerError) -> dict[str, Json]:
    """Return `reconciler.error/1`; `where` is null when the error belongs to no place."""
    where = error.where
    place = where if isinstance(where, Place) else Place(where)
    return {
        "format": ERROR_FORMAT,
        "error": {
            "code": error.code,
            "message": error.what,
            "where": {"path": place.path, "line": place.line, "column": place.column} if place.path else None,
            "fix": error.fix,
            "exit": int(error.exit),
        },
    }


def _problem_to_json(problem: Problem) -> dict[str, Json]:
    return {
        "code": problem.code,
        "severity": problem.severity.value,
        "message": problem.message,
        "path": problem.path,
        "line": problem.line,
        "column": problem.column,
        "pointer": problem.pointer,
        "fix": problem.fix,
    }


# --------------------------------------------------------------------------------------------------- blocks


def _grouped(ordered: Sequence[Problem]) -> Iterator[tuple[Problem, Sequence[Problem]]]:
    """Yield each problem to show as a block, in order, with those that are the same mistake elsewhere."""
    same: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in ordered:
        same.setdefault((problem.severity, problem.code, problem.message), []).append(problem)
    for problem in ordered:
        group = same[(problem.severity, problem.code, problem.message)]
        if len({each.path for each in group}) <= _FEW_FILES:
            yield problem, ()
        elif problem is group[0]:
            yield problem, group[1:]


def _block(problem: Problem, others: Sequence[Problem], style: Style, *, more: bool) -> Iterator[str]:
    last = max((number for number, _ in problem.excerpt), default=0)
    width = max(_GUTTER, len(str(last)))
    yield _headline(problem.severity, problem.code, problem.message, style)
    yield f"{' ' * width}{style('-->', 'gutter')} {_place(problem)}"
    if problem.excerpt:
        yield from _excerpt(problem, width, style)
        yield _bar(" " * width, style)
    notes = [("allowed", ", ".join(problem.allowed)), ("fix", problem.fix), ("why", problem.why)]
    notes += [("also", _place(each)) for each in others[:_MOST_PLACES]]
    if len(others) > _MOST_PLACES:
        notes.append(("also", f"{len(others) - _MOST_PLACES:,} more places; --json lists all of them"))
    if more:
        notes.append(("more", f"reconciler explain {problem.code}"))
    yield from _notes(notes, width, style)


def _place(problem: Problem) -> str:
    return str(Place(safe(problem.path, _LONGEST), problem.line, problem.column))


def _headline(severity: Severity, code: str, message: str, style: Style) -> str:
    return f"{style(f'{severity.value}[{code}]', severity.value)}: {safe(message, _LONGEST)}"


def _excerpt(problem: Problem, width: int, style: Style) -> Iterator[str]:
    """The numbered lines, each with its marks below; a dot stands where lines are left out."""
    marks: dict[int, list[tuple[int, int, str, str, str]]] = {}
    for line, column, span, label in problem.related:
        marks.setdefault(line, []).append((column, span, "-", label, "related"))
    if problem.line is not None and problem.column is not None:
        own = (problem.column, problem.span, "^", problem.label, problem.severity.value)
        marks.setdefault(problem.line, []).append(own)
    yield _bar(" " * width, style)
    previous: int | None = None
    for number, text in sorted(problem.excerpt):
        if previous is not None and number > previous + 1:
            yield _bar(".".rjust(width), style)
        previous = number
        here = sorted(marks.get(number, ()))
        start = _start_of(text, here[0][0] if here else 1)
        yield f"{_bar(str(number).rjust(width), style)} {_shown(text, start)}".rstrip()
        for column, span, sign, label, kind in here:
            offset = _width_of(text, start, column - 1)
            length = max(1, _width_of(text, max(start, column - 1), column - 1 + max(span, 1), lead=False))
            row = " " * offset + style(sign * min(length, _WINDOW), kind)
            yield f"{_bar(' ' * width, style)} {row}{' ' + safe(label) if label else ''}"


def _bar(text: str, style: Style) -> str:
    return style(f"{text} |", "gutter")


def _notes(notes: Sequence[tuple[str, str | None]], width: int, style: Style) -> Iterator[str]:
    given = [(name, text) for name, text in notes if text]
    room = max((len(name) + 2 for name, _ in given), default=0)
    previous = ""
    for name, text in given:
        repeated = name == previous
        label = style(("" if repeated else f"{name}:").ljust(max(room, 6)), "note")
        yield f"{' ' * (width + 1)}{' ' if repeated else style('=', 'gutter')} {label}{safe(text, _LONGEST)}"
        previous = name


def _summary(problems: Sequence[Problem], files: int) -> str:
    errors = sum(problem.severity is Severity.ERROR for problem in problems)
    warnings = len(problems) - errors
    counts = [_count(errors, "error")] if errors or not warnings else []
    counts += [_count(warnings, "warning")] if warnings else []
    touched = len({problem.path for problem in problems})
    return f"{', '.join(counts)} in {touched} of {_count(files, 'file')}. Nothing was sent to the API."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


# ---------------------------------------------------------------------------------------- columns and colour


def _start_of(text: str, column: int) -> int:
    return 0 if column <= _WINDOW else min(column - 1 - _WINDOW // 2, len(text))


def _shown(text: str, start: int) -> str:
    return (".." if start else "") + safe(text[start:])


def _width_of(text: str, start: int, end: int, *, lead: bool = True) -> int:
    """Columns a terminal uses for *text* from *start* to *end* as `_shown` shows it; *lead*: with the cut's dots."""
    shown = safe(text[start : max(start, end)], 4 * _LONGEST)
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in shown)
    narrow = sum(unicodedata.combining(char) != 0 for char in shown)
    return len(shown) + wide - narrow + (2 if lead and start else 0)


def _safe_where(where: Place | str) -> str:
    if isinstance(where, Place):
        return str(Place(safe(where.path, _LONGEST), where.line, where.column))
    return safe(where, _LONGEST)


_STYLES: dict[str, dict[str, str | bool]] = {
    "error": {"fg": "red", "bold": True},
    "warning": {"fg": "yellow", "bold": True},
    "related": {"fg": "blue"},
    "gutter": {"fg": "cyan"},
    "note": {"bold": True},
}


def _style(color: bool) -> Style:
    if not color:
        return lambda text, kind: text
    import click

    return lambda text, kind: click.style(text, **_STYLES[kind])  # type: ignore[arg-type]
