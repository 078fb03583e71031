"""The pictures are what the program prints today, and load nothing from anywhere."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from docs.pictures import IMAGES, PICTURES, SCENARIO, SCREENSHOTS
from tests.conftest import Golden

#: What a picture is made of: shapes and words, nothing that could refer to anything.
DRAWS = {"svg", "style", "defs", "clipPath", "rect", "g", "text", "circle"}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_what_the_program_prints_today(name: str, golden: Golden) -> None:
    golden(IMAGES / name, PICTURES[name]())


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_loads_nothing(name: str) -> None:
    elements = list(ElementTree.parse(IMAGES / name).iter())

    assert {element.tag.partition("}")[2] for element in elements} <= DRAWS
    for element in elements:
        css = element.text or "" if element.tag.endswith("}style") else ""
        for text in (css, *element.attrib.values()):
            assert not re.search(r"//|@|url\((?!#)|data:", text), text
        assert not [key for key in element.attrib if "href" in key or key.startswith("on")]


def test_the_plan_in_the_picture_is_the_one_in_text() -> None:
    drawn = ElementTree.parse(IMAGES / "plan.svg").getroot().itertext()  # our own file

    words = " ".join(" ".join(drawn).replace("\xa0", " ").split())

    for line in (Path(SCENARIO) / "plan.txt").read_text().splitlines()[2:]:
        for word in line.split():
            assert word in words, word


def test_there_is_no_picture_that_nothing_makes() -> None:
    assert {path.name for path in IMAGES.iterdir()} == {*PICTURES, *SCREENSHOTS}
