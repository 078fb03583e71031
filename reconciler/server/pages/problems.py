"""What can keep a page from being shown: a login that is missing, a request that is refused."""

from __future__ import annotations


class LoginNeeded(Exception):
    """Nobody is logged in, or no longer; *back* is where to go on afterwards."""

    def __init__(self, back: str, *, has_ended: bool = False) -> None:
        super().__init__("not logged in")
        self.back, self.has_ended = back, has_ended


class PageError(Exception):
    """A request that is refused, with a sentence for people. Nothing was changed."""

    def __init__(self, status: int, title: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.title, self.sentence = status, title, sentence
