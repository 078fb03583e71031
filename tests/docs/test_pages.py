"""README and pages: links that lead somewhere, commands and options that exist, no place or person that does not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from click import Command, Context, Group
from markdown_it import MarkdownIt
from markdown_it.token import Token

from reconciler.cli.app import COMMANDS, State, program
from reconciler.core.guard import GUARDS
from reconciler.errors import ExitCode
from tests.support.checkout import ROOT, load_run

PAGES = sorted(
    [ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")],
    key=lambda path: path.relative_to(ROOT).as_posix(),
)
NAMES = [path.relative_to(ROOT).as_posix() for path in PAGES]
#: Pages that are made from the code: what they say needs no second look.
MADE = "docs/reference/"

_FENCES = {"", "sh", "console", "yaml"}
_CALL = re.compile(r"(?:^|[\s(`$])(?:reconciler|\./run)[ ]+(?P<words>[^`|&;>\n]*)")

#: What `./run` knows beside the program's own commands.
VERBS = frozenset(load_run().TOOLS)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def tokens(text: str) -> Iterator[Token]:
    """Every token of a page, those inside lines as well."""
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        yield token
        yield from token.children or ()


def links(text: str) -> Iterator[str]:
    for token in tokens(text):
        for name in ("href", "src"):
            if token.attrGet(name):
                yield str(token.attrGet(name))
    yield from re.findall(r"^```\{image\} (\S+)$", text, re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """Anchors of a page's headings, as forges make them."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def calls(text: str) -> Iterator[list[str]]:
    """The words behind `reconciler` in every code span and every block of commands or settings."""
    for token in tokens(text):
        shown = (
            token.type == "code_inline"
            or token.type == "code_block"
            or (token.type == "fence" and (token.info.split() or [""])[0] in _FENCES)
        )
        for line in token.content.replace("\\\n", " ").splitlines() if shown else ():
            for found in _CALL.finditer(re.sub(r"(^|\s)#.*", "", line)):
                yield found["words"].split()


def unknown_words(words: list[str], commands: Mapping[str, Command]) -> list[str]:
    """The command or the options of a call that the program does not know; a word in capitals stands for any."""
    if words[:1] == ["-C"]:
        words = words[2:]
    if not words or words[0].isupper() or words[0] in ("--help", "--version", *VERBS):
        return []
    if words[0] not in commands:
        return [words[0]]
    command = commands[words[0]]
    if isinstance(command, Group):
        inner = command.commands.get(words[1]) if len(words) > 1 else command
        if inner is None:
            return [words[1]]
        command = inner
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    return [word for word in words[1:] if word.startswith("-") and len(word) > 1 and word.split("=")[0] not in known]


@pytest.fixture(scope="module")
def commands() -> Mapping[str, Command]:
    context = Context(program, obj=State())
    found = {}
    for group in COMMANDS.values():
        for name in group:
            command = program.get_command(context, name)
            assert command is not None
            found[name] = command
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_relative_link_leads_to_a_page_and_a_heading(name: str) -> None:
    page = ROOT / name
    broken = []
    for link in links(read(name)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or not target.is_relative_to(ROOT) or (anchor and anchor not in anchors(target)):
            broken.append(link)

    assert broken == []


def test_every_page_stands_in_one_table_of_contents() -> None:
    listed = []
    for page in (ROOT / "docs").rglob("*.md"):
        for body in re.findall(
            r"^```\{toctree\}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        ):
            entries = [line for line in body.splitlines() if line and not line.startswith(":")]
            listed += [(page.parent / f"{entry}.md").resolve() for entry in entries]

    assert sorted(listed) == sorted(set((ROOT / "docs").rglob("*.md")) - {ROOT / "docs" / "index.md"})


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith(MADE)])
def test_every_command_and_option_a_page_names_exists(name: str, commands: Mapping[str, Command]) -> None:
    unknown = [(" ".join(words), bad) for words in calls(read(name)) if (bad := unknown_words(words, commands))]

    assert unknown == []


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("`reconciler plan --outt x`", ["--outt"]),
        ("    reconciler undo HEAD\n", ["undo"]),
        ("`reconciler events push`, `reconciler events ingest x --mappings y --out z`", ["push", "--mappings"]),
        ("```yaml\nscript:\n  - reconciler apply --force\n```\n", ["--force"]),
        ("```sh\nreconciler -C x plan \\\n  --nope    # --fine\n```\n", ["--nope"]),
        ("```text\nreconciler undo\n```\nreconciler undoes nothing\n", []),
        ("`reconciler COMMAND --help` `./run test -n0` `reconciler plan -q --target x --out=y`", []),
    ],
)
def test_a_command_that_does_not_exist_is_found(text: str, bad: list[str], commands: Mapping[str, Command]) -> None:
    assert [word for words in calls(text) for word in unknown_words(words, commands)] == bad


def test_the_readme_lists_every_command_by_its_group() -> None:
    rows = re.findall(r"^\| ([A-Z][a-z ]+) \| ((?:`[a-z]+` ?)+)\|$", read("README.md"), re.MULTILINE)

    assert {group: re.findall("`([a-z]+)`", names) for group, names in rows} == {
        group: list(names) for group, names in COMMANDS.items()
    }


def test_the_readme_names_every_exit_code() -> None:
    [sentence] = re.findall(r"^Exit codes: (.+?)\.$", read("README.md"), re.MULTILINE | re.DOTALL)

    assert [int(part.split()[0]) for part in sentence.split(",")] == [int(code) for code in ExitCode]


def test_the_readme_is_short_and_shows_a_plan_and_two_commands_first() -> None:
    text = read("README.md")

    assert len(text.splitlines()) < 150
    assert text.index("plan.svg") < text.index("./run demo") < text.index("./run test") < text.index("pip install")


def test_every_promise_of_the_readme_names_tests_that_exist() -> None:
    for name in ("README.md", "SECURITY.md", "docs/explanation/threats.md"):
        named = re.findall(r"`(tests/[\w/.-]+)`", read(name))

        assert len(named) > 9
        assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("docs/how-to/override")])
def test_the_guards_that_a_page_names_exist(name: str) -> None:
    named = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", read(name))) | set(re.findall(r"guard: (\S+)", read(name)))

    assert named
    assert named <= set(GUARDS)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith(MADE)])
def test_a_page_names_no_real_computer(name: str) -> None:
    known = r"127\.0\.0\.1|[\w.-]*example\.(?:com|org)\b|semver\.org"

    assert re.findall(rf"/work/|/root/|/tmp/|https?://(?!{known})[\w.]+", read(name)) == []
