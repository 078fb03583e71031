"""Keep security policies in git; make the live policy API match, with a reason for every change."""

__version__ = "0.1.0"
