"""People with SSH keys who sign commits, made by the real ssh-keygen."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.repos import Repo

needs_ssh_keygen = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="there is no ssh-keygen (Debian: apt install openssh-client)"
)


@dataclass(frozen=True)
class Signer:
    """A person: a principal of a signers file, and a key on disk."""

    name: str
    key: Path

    @property
    def line(self) -> str:
        """This person's line of a signers file."""
        return f"{self.name}@example.invalid {self.key.with_suffix('.pub').read_text()}"

    @property
    def env(self) -> dict[str, str]:
        """Git settings, by environment, with which every commit is signed by this person."""
        settings = {"gpg.format": "ssh", "user.signingKey": str(self.key), "commit.gpgSign": "true"}
        found = {"GIT_CONFIG_COUNT": str(len(settings))}
        for number, (name, value) in enumerate(settings.items()):
            found |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
        return found

    def sign_in(self, repo: Repo) -> Repo:
        """The same repository; whatever is committed or merged through it is signed."""
        return Repo(repo.path, repo.remote, {**repo.env, **self.env})


def make_signer(folder: Path, name: str) -> Signer:
    key = folder / name
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)]
    subprocess.run(command, check=True, capture_output=True)
    return Signer(name, key)


def signers_file(*signers: Signer) -> str:
    return "".join(signer.line for signer in signers)
