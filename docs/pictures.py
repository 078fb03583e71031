"""The pictures of README and docs, made by the program itself: `python docs/pictures.py` writes them.

`tests/docs/test_pictures.py` fails when a committed picture is not what the program prints today. A picture is one file
that loads nothing: Rich's own frame links a web font, ours names fonts that computers have.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "img"
#: A pull request with something of everything: `tests/test_scenarios.py` keeps its plan right.
SCENARIO = ROOT / "tests" / "scenarios" / "opena2a-a-pull-request"

#: Two mistakes a person makes: a typo in a value, and one in a key.
MISTAKES = """\
name: Rate Limit Enforcement
policy_type: rate_limit
severity: medum
conditions:
  max_request_per_hour: 1000
actions:
  on_violation: throttle
"""

FRAME = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
  <style>
    .{unique_id}-matrix {{
      font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
      font-size: {char_height}px;
      line-height: {line_height}px;
    }}
    .{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
    {styles}
  </style>
  <defs>
    <clipPath id="{unique_id}-clip-terminal">
      <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
    </clipPath>
    {lines}
  </defs>
  {chrome}
  <g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
    {backgrounds}
    <g class="{unique_id}-matrix">
    {matrix}
    </g>
  </g>
</svg>
"""


def picture(text: str, *, title: str, name: str) -> str:
    """Return coloured terminal text as a stand-alone SVG of 80 columns; the same text gives the same bytes."""
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=80, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(Text.from_ansi(text))
    svg = console.export_svg(title=title, code_format=FRAME, unique_id=name)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def plan_picture() -> str:
    """Return a pull request's plan: a guard that blocks, a loosened limit, a live edit with a name, a new policy."""
    from reconciler.reports.plan_json import plans_from_text
    from reconciler.reports.plan_text import render_plan

    [plan] = plans_from_text((SCENARIO / "plan.json").read_bytes(), where="plan.json")
    return picture(render_plan(plan, color=True), title="reconciler plan", name="plan")


def errors_picture() -> str:
    """Return what `validate` prints about a file with two mistakes."""
    from reconciler.core.documents import read_documents
    from reconciler.core.schema import load_schemas
    from reconciler.reports.problems import render_problems

    documents, problems = read_documents(MISTAKES.encode(), "policies/opena2a/rate-limit.yaml")
    found = [*problems, *(each for document in documents for each in load_schemas().check_policy("opena2a", document))]
    return picture(render_problems(found, files=5, color=True), title="reconciler validate", name="errors")


#: What a browser shows of the server's page: `./run heavy --screenshots tests/server/pages` writes them.
SCREENSHOTS = tuple(
    f"page-{name}-{look}.png" for name in ("overview", "policies", "trail") for look in ("light", "dark")
)

PICTURES: Mapping[str, Callable[[], str]] = {"plan.svg": plan_picture, "errors.svg": errors_picture}


def main() -> None:
    sys.path.insert(0, str(ROOT))
    for name, make in PICTURES.items():
        (IMAGES / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
