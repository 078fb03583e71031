"""Text of contributors and of live systems in every rendering of a plan: harmless in each (ux.md 2.2, T1, T5)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt

from reconciler.cli.output import to_json
from reconciler.core.model import Origin, Plan
from reconciler.core.safe import is_hidden
from reconciler.reports.comment import make_comment, marker
from reconciler.reports.github import render_github
from reconciler.reports.gitlab import render_gitlab
from reconciler.reports.html import render_html
from reconciler.reports.issue import make_issue
from reconciler.reports.junit import render_junit
from reconciler.reports.markdown_parts import Setting
from reconciler.reports.plan_json import plan_to_json
from reconciler.reports.plan_text import render_plan
from reconciler.reports.sarif import render_sarif
from tests.support.plans import hostile_plan

CHART = frozenset(("x", "y", "width", "height"))
NOW = datetime(2026, 11, 20, 9, 14, 7, tzinfo=UTC)
HOSTILE = {
    "escape": "\x1b[2J\x1b]0;title\x07\x9b31m\x08",
    "bidi": "\u202egnp.exe\u2066 \u200b\u2060\ufeff\U000e0041",
    "backticks": "`````\n````` ` `` ```",
    "details": "</code></summary></details></td></table>\n\n# owned",
    "mention": "@team @org/security #1 GH-1 !5",
    "command": "::stop-commands::x",
    "command on a line of its own": "x\n::stop-commands::x\r\n::add-mask::y\r::error::z",
    "old command": "##[error]x ##vso[task.complete]x",
    "encoded command": "%0A::error::x%0D%0A::set-output name=a::b",
    "our marker": "<!-- reconciler:plan target=prod -->\n<!-- reconciler:data v=1 plan=0 head=0 weaken= -->",
    "our history": "<!-- reconciler:plans v=1 abc,abc,2026-11-20T09:14:07Z,1,1 -->",
    "script": "<script>alert(1)</script><svg/onload=alert(1)><img src=https://example.com/x onerror=alert(1)>",
    "markdown": "![x](https://example.com/x.png) [y](https://example.com) <https://example.com> | a | b |\n|---|",
    "quotes": "\"' onmouseover=alert(1) x='\" ]]> &lt;b&gt; &#60;",
    "template": "{{ 7 * 7 }} {% raw %} ${{ github.token }} {0}",
    "surrogate": "\ud800 \ufffe \x00",
}
ALL = "\n".join(HOSTILE.values())


class Page(HTMLParser):
    """What a browser would find: elements with their attributes, and text with the elements around it."""

    VOID = frozenset({"meta", "br", "hr", "img", "link", "input"})

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self.comments: list[str] = []
        self.misnested: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        self.misnested += self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == tag:
            self._open.pop()
        else:
            self.misnested.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        self.texts.append((tuple(self._open), data))

    def handle_comment(self, data: str) -> None:
        self.comments.append(data.strip())


def strings(value: object) -> Iterator[str]:
    """Every text in a JSON value, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def hidden(text: str) -> list[str]:
    return sorted({char for char in text if char != "\n" and is_hidden(char)})


def check_text(plan: Plan) -> None:
    for style in ("default", "full", "oneline", "quiet"):
        text = render_plan(plan, style=style)

        assert hidden(text) == []
        assert not [line for line in text.split("\n") if line.lstrip().startswith("::")]
        assert not re.search(r"##\w*\[", text)


def check_json(plan: Plan) -> None:
    text = to_json(plan_to_json(plan))

    assert text.isascii()
    assert hidden(text) == []
    assert not [line for line in text.split("\n") if line.lstrip().startswith("::")]


def check_markdown(plan: Plan) -> None:
    setting = Setting(files="https://github.example/acme/policies/blob/main", report="https://github.example/run/1")
    for fork in (False, True):
        text = make_comment(plan, setting=Setting(fork, None, setting.files, setting.report)).text

        assert hidden(text) == []
        assert text.count("<!--") == 3
        assert text.startswith(f"{marker(plan)}\n<!-- reconciler:data v=1 ")
        assert "</details>\n\n# owned" not in text
        page = Page(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))
        known = "h3 h4 p code pre table thead tbody tr th td details summary b strong sub ul li blockquote br a em"
        assert {tag for tag, _ in page.elements} <= set(known.split())
        assert page.misnested == []
        assert len(page.comments) == 3
        attributes = {(tag, name) for tag, given in page.elements for name in given}
        assert attributes <= {("a", "href"), ("details", "open"), ("code", "class")}
        links = [given["href"] or "" for tag, given in page.elements if tag == "a"]
        assert all(link.startswith(("https://github.example/acme/", "https://github.example/run/")) for link in links)
        outside = "".join(data for around, data in page.texts if not {"code", "pre"} & set(around))
        assert "@" not in outside
        assert "#1" not in outside
        assert "owned" not in outside


def check_html(plan: Plan) -> None:
    text = render_html(plan)

    assert hidden(text) == []
    page = Page(text)
    assert not {tag for tag, _ in page.elements} & {"script", "img", "a", "link", "iframe", "base", "form"}
    drawn = [given for tag, given in page.elements if tag in ("svg", "rect")]
    assert {name for given in drawn for name in given} <= {*CHART, "class", "role", "aria-label", "viewbox"}
    assert all(re.fullmatch("[0-9]+", given[name] or "") for given in drawn for name in given if name in CHART)
    names = {name for tag, given in page.elements for name in given if tag not in ("svg", "rect")}
    assert names <= {"lang", "charset", "http-equiv", "content", "name", "class", "scope", "aria-labelledby", "id"}
    assert page.misnested == []
    assert page.comments == []
    assert "default-src 'none'" in text


def check_github(plan: Plan) -> None:
    lines = render_github(plan).splitlines()

    assert lines
    assert len(lines) <= 10
    for line in lines:
        assert re.fullmatch(r"::(error|warning|notice) [a-z]+=[^:,]*(,[a-z]+=[^:,]*)*::.*", line)
        assert hidden(line) == []
        assert not re.search(r"##\w*\[", line)
        assert not re.search(r"%(?!25|3A|2C)", line)


def check_gitlab(plan: Plan) -> None:
    text = render_gitlab(plan)

    issues = json.loads(text)
    assert text.isascii()
    assert hidden("".join(strings(issues))) == []
    assert len({issue["fingerprint"] for issue in issues}) == len(issues) > 0


def check_sarif(plan: Plan) -> None:
    text = render_sarif(plan)

    log = json.loads(text)
    assert text.isascii()
    assert hidden("".join(strings(log))) == []
    for result in log["runs"][0]["results"]:
        assert not re.search(r"(?<!\\)(\\\\)*[\[\]]", result["message"]["text"])
        assert re.fullmatch(
            r"[A-Za-z0-9._~/%-]+", result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        )


def check_junit(plan: Plan) -> None:
    text = render_junit(plan)

    root = ElementTree.fromstring(text)
    shown = "".join([*root.itertext(), *(value for element in root.iter() for value in element.attrib.values())])
    assert hidden(text) == []
    assert hidden(shown) == []
    assert {element.tag for element in root.iter()} == {
        *("testsuites", "testsuite", "testcase", "failure", "skipped", "system-out")
    }


def check_issue(plan: Plan) -> None:
    drifted = [each for each in plan.changes if each.origin is not Origin.GIT]
    text = make_issue([(plan, drifted)], targets=["prod"], unread=["staging"], now=NOW, report="https://ci.example/1")

    assert drifted
    assert hidden(text.title + text.body) == []
    assert "\n" not in text.title
    assert "@" not in text.title
    assert text.body.count("<!--") == 1
    page = Page(MarkdownIt("commonmark", {"html": True}).enable("table").render(text.body))
    known = "p code table thead tbody tr th td strong sub br a"
    assert {tag for tag, _ in page.elements} <= set(known.split())
    assert page.misnested == []
    assert [given["href"] for tag, given in page.elements if tag == "a"] == ["https://ci.example/1"]
    outside = "".join(data for around, data in page.texts if "code" not in around)
    assert not re.search("@|#1|owned", outside)


CHECKS: dict[str, Callable[[Plan], None]] = {
    "issue": check_issue,
    "text": check_text,
    "json": check_json,
    "markdown": check_markdown,
    "html": check_html,
    "github": check_github,
    "gitlab": check_gitlab,
    "sarif": check_sarif,
    "junit": check_junit,
}


@pytest.mark.parametrize("rendering", CHECKS)
@pytest.mark.parametrize("text", [*HOSTILE.values(), ALL], ids=[*HOSTILE, "all at once"])
def test_hostile_text_comes_out_harmless(rendering: str, text: str) -> None:
    plan = hostile_plan(text)

    CHECKS[rendering](plan)
