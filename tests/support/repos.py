"""Real git repositories for tests: a work tree with a bare remote beside it, cut off from this machine's git settings.

Nothing here imports GitPython or our own git module: a second pair of eyes on what they do.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

#: The only settings a test repository knows, beside its own.
ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
AUTHOR = "Policy Author <author@example.invalid>"


@dataclass(frozen=True)
class Repo:
    """A work tree at `path`, and the bare repository it pushes to (None without a remote).

    Commits are one minute apart from a fixed day on, so that the same commands give the same ids.
    """

    path: Path
    remote: Path | None
    env: Mapping[str, str]

    def git(self, *args: str, cwd: Path | None = None, given: bytes | None = None, env: Mapping[str, str] = {}) -> str:
        """Run git here and return its output without the last line break; a failure is an AssertionError."""
        done = subprocess.run(
            ["git", *args],
            cwd=cwd or self.path,
            env={**self.env, **env},
            input=given if given is not None else b"",
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, f"git {' '.join(args)}: {done.stderr.decode('utf-8', 'replace')}"
        return done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")

    def write(self, files: Mapping[str, str | bytes | None]) -> None:
        """Write files into the work tree; None removes one."""
        for name, content in files.items():
            file = self.path / name
            if content is None:
                file.unlink()
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))

    def commit(
        self, files: Mapping[str, str | bytes | None], message: str = "Change policies", author: str = AUTHOR
    ) -> str:
        """Write *files*, commit everything in the work tree, and return the full id."""
        self.write(files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--author={author}", "-m", message, env=self._date())
        return self.git("rev-parse", "HEAD")

    def push(self, ref: str = "HEAD:refs/heads/main") -> None:
        self.git("push", "--quiet", "origin", ref)

    def merge(self, branch: str, *options: str, message: str = "Merge") -> str:
        """Merge *branch* with a merge commit."""
        self.git("merge", "--quiet", "--no-ff", *options, "-m", message, branch, env=self._date())
        return self.git("rev-parse", "HEAD")

    def remote_refs(self, pattern: str = "refs/reconciler") -> dict[str, str]:
        """Refs of the bare remote, as the remote itself says."""
        assert self.remote is not None
        lines = self.git("for-each-ref", "--format=%(refname) %(objectname)", pattern, cwd=self.remote).splitlines()
        return dict(line.split(" ", 1) for line in lines)

    def _date(self) -> dict[str, str]:
        count = len(self.git("rev-list", "--all").splitlines())
        date = f"{1_767_225_600 + 60 * count} +0000"
        return {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}


def make_repo(
    tmp_path: Path,
    files: Mapping[str, str | bytes | None] | None = None,
    *,
    remote: bool = True,
    object_format: str = "sha1",
) -> Repo:
    """A repository at `tmp_path/work` with one commit of *files* on `main`, pushed to `tmp_path/remote.git`.

    Without *files* there is no commit.
    """
    tmp_path.mkdir(parents=True, exist_ok=True)
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "XDG_"))}
    env = {**kept, **ENVIRONMENT, "HOME": str(home)}
    work = tmp_path / "work"
    bare = tmp_path / "remote.git" if remote else None
    repo = Repo(work, bare, env)
    init = ["init", "--quiet", "--initial-branch=main", f"--object-format={object_format}"]
    repo.git(*init, str(work), cwd=tmp_path)
    repo.git("config", "user.name", "Policy Author")
    repo.git("config", "user.email", "author@example.invalid")
    if bare is not None:
        repo.git(*init, "--bare", str(bare), cwd=tmp_path)
        repo.git("remote", "add", "origin", str(bare))
    if files is not None:
        repo.commit(files, "Add policies")
        if bare is not None:
            repo.push()
    return repo


def clone(repo: Repo, path: Path, *options: str) -> Repo:
    """Another clone of the same remote; `--depth=1` makes a shallow one."""
    assert repo.remote is not None
    repo.git("clone", "--quiet", *options, f"file://{repo.remote}", str(path), cwd=repo.remote.parent)
    copy = Repo(path, repo.remote, repo.env)
    copy.git("config", "user.name", "Policy Author")
    copy.git("config", "user.email", "author@example.invalid")
    return copy
