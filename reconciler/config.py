"""Settings: `reconciler.yaml`, the environment, the user's own file; and the tokens, which stand in none of the first.

Precedence: flag, environment, `reconciler.yaml`, user file, default. Reads the user file and token files; the
repository's files come in as bytes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.core.documents import Document, make_problem, read_documents
from reconciler.core.model import Body, Ignore, Json, Problem, Receiver, TargetSettings
from reconciler.core.problems import FilesError, has_errors
from reconciler.core.schema import Schemas
from reconciler.core.secret import Secret
from reconciler.errors import ConfigError, Place

FILE_NAME = "reconciler.yaml"
OVERRIDES_NAME = "overrides.yaml"
SETTINGS_NAME = "settings.yaml"
TOKEN_COMMAND_SECONDS = 10.0
NOTICES = ("drift", "failure")
#: `off`: nothing is kept between runs.
CACHE = "RECONCILER_CACHE"
NOTIFY_SECRET = "RECONCILER_NOTIFY_SECRET"  # noqa: S105 - the name of a variable
ALERT_SECRET = "RECONCILER_ALERT_SECRET"  # noqa: S105 - the name of a variable


@dataclass(frozen=True, slots=True)
class Config:
    """`reconciler.yaml`, checked. `remote` is the configured name, or None for the default rule."""

    path: str
    remote: str | None
    targets: Mapping[str, TargetSettings]


@dataclass(frozen=True, slots=True)
class UserConfig:
    """The user's own file: never read from a repository, so it may name commands."""

    path: str
    token_command: tuple[str, ...] | None = None
    ca_file: str | None = None
    proxy: str | None = None


def parse_config(data: bytes, path: str, schemas: Schemas) -> Config:
    """Return the settings in *data*; raise `FilesError` with every problem of the file."""
    documents, problems = read_documents(data, path)
    found = list(problems)
    if not has_errors(found):
        if len(documents) != 1:
            raise ConfigError(
                f"holds {len(documents)} documents, wanted one",
                where=path,
                fix="write one YAML document with `version: 1` and `targets:`",
            )
        found += schemas.check_config(documents[0])
    if has_errors(found):
        raise FilesError(found, files=1)
    return _config_from(documents[0])


def _config_from(document: Document) -> Config:
    value = document.value
    targets = value["targets"]
    assert isinstance(targets, dict)  # noqa: S101 - the schema said so; this tells mypy
    remote = value.get("remote")
    return Config(
        path=document.path,
        remote=remote if isinstance(remote, str) else None,
        targets={name: _target_from(name, settings, document) for name, settings in sorted(targets.items())},
    )


def _target_from(name: str, value: Json, document: Document) -> TargetSettings:
    fields = dict(value) if isinstance(value, dict) else {}
    ignore = fields.pop("ignore", None)
    receivers = _receivers_from(document.value.get("notify")) + _receivers_from(fields.pop("notify", None))
    fields.pop("overlays", None)
    folder = fields.get("policies")
    pointer = f"/targets/{name}/policies"
    if isinstance(folder, str) and (folder.startswith("/") or ".." in folder.split("/")):
        raise FilesError(
            (
                make_problem(
                    document,
                    "policies-folder",
                    "the policies folder must lie inside the repository",
                    pointer,
                    fix="write a path relative to reconciler.yaml, without `..`",
                ),
            ),
            files=1,
        )
    overlays = _overlays_of(value)
    return TargetSettings(
        name=name,
        overlays=overlays,
        notify=tuple(dict.fromkeys(receivers)),
        ignore=tuple(_ignore_from(entry) for entry in ignore if isinstance(entry, dict))
        if isinstance(ignore, list)
        else (),
        **{key: entry for key, entry in fields.items() if entry is not None},  # type: ignore[arg-type]
    )


def _overlays_of(value: Json) -> tuple[Mapping[str, Body], ...]:
    overlays = value.get("overlays") if isinstance(value, dict) else None
    if not isinstance(overlays, list):
        return ()
    return tuple(
        {key: patch for key, patch in overlay.items() if isinstance(patch, dict)}
        for overlay in overlays
        if isinstance(overlay, dict)
    )


def _receivers_from(value: Json) -> tuple[Receiver, ...]:
    entries = [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
    return tuple(Receiver(str(entry["url"]), _events_from(entry.get("events"))) for entry in entries)


def _events_from(value: Json) -> tuple[str, ...]:
    return tuple(str(event) for event in value) if isinstance(value, list) else NOTICES


def _ignore_from(entry: Mapping[str, Json]) -> Ignore:
    return Ignore(key=str(entry["key"]), pointer=str(entry["pointer"]), reason=str(entry["reason"]))


# ------------------------------------------------------------------------------------- user file, environment


def user_config_path(environ: Mapping[str, str]) -> Path:
    """Where the user's own file is looked for: the platform's configuration folder."""
    if environ.get("XDG_CONFIG_HOME"):
        return Path(environ["XDG_CONFIG_HOME"]) / "reconciler" / "config.yaml"
    import platformdirs

    return platformdirs.user_config_path("reconciler") / "config.yaml"


def cache_folder(environ: Mapping[str, str]) -> Path | None:
    """Where documents of valid files may be kept between runs; None in CI and with `RECONCILER_CACHE=off`."""
    if environ.get("CI", "").lower() not in ("", "0", "false"):
        return None
    if environ.get(CACHE, "").lower() in ("off", "0", "false", "no"):
        return None
    if environ.get("XDG_CACHE_HOME"):
        return Path(environ["XDG_CACHE_HOME"]) / "reconciler"
    import platformdirs

    return platformdirs.user_cache_path("reconciler")


def read_user_config(environ: Mapping[str, str]) -> UserConfig:
    """Return the user's own settings; an absent file is all defaults. Unknown keys and wrong types are errors."""
    path = user_config_path(environ)
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, PermissionError, RuntimeError):
        return UserConfig(path=str(path))
    documents, problems = read_documents(data, str(path))
    found: list[Problem] = list(problems)
    for document in documents[:1]:
        found += _user_problems(document)
    if has_errors(found):
        raise FilesError(found, files=1)
    value = documents[0].value if documents else {}
    command = value.get("token_command")
    return UserConfig(
        path=str(path),
        token_command=tuple(str(word) for word in command) if isinstance(command, list) else None,
        ca_file=_text(value.get("ca_file")),
        proxy=_text(value.get("proxy")),
    )


def _user_problems(document: Document) -> list[Problem]:
    found = []
    for key, value in document.value.items():
        if key == "token_command":
            good = isinstance(value, list) and bool(value) and all(isinstance(word, str) for word in value)
            wanted = "a list of words, such as [pass, show, policy-api]"
        else:
            good = isinstance(value, str)
            wanted = "text"
        if key not in ("token_command", "ca_file", "proxy"):
            found.append(
                make_problem(
                    document,
                    "unknown-key",
                    f'the user file has no setting "{key}"',
                    f"/{key}",
                    key=True,
                    fix="use token_command, ca_file or proxy",
                )
            )
        elif not good:
            found.append(make_problem(document, "wrong-type", f'"{key}" must be {wanted}', f"/{key}"))
    return found


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def allowed_hosts(environ: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the hosts of `RECONCILER_ALLOWED_HOSTS`, or None when it is not set (then any host may be used)."""
    text = environ.get("RECONCILER_ALLOWED_HOSTS")
    if text is None:
        return None
    return tuple(host.strip().lower() for host in text.split(",") if host.strip())


def ca_file(environ: Mapping[str, str], user: UserConfig) -> str | None:
    """The certificate authority file for TLS: environment first, then the user file."""
    return environ.get("RECONCILER_CA_FILE") or user.ca_file


def proxy(environ: Mapping[str, str], user: UserConfig) -> str | None:
    """The explicit proxy: environment first, then the user file. `HTTP_PROXY` and friends are never looked at."""
    return environ.get("RECONCILER_PROXY") or user.proxy


def token_variable(target: str) -> str:
    """Name of the environment variable with a target's token.

    >>> token_variable("neosc-prod")
    'RECONCILER_TOKEN_NEOSC_PROD'
    """
    return "RECONCILER_TOKEN_" + target.upper().replace("-", "_")


def read_token(target: str, environ: Mapping[str, str], user: UserConfig) -> Secret:
    """Return the token for *target* from the environment, a file it names, or the user's command.

    The target's own variable wins over the common one. A variable and its `_FILE` form together are an error: nobody
    could say which one was meant.
    """
    for name in (token_variable(target), "RECONCILER_TOKEN"):
        found = _secret_from(environ, name, f"environment, target {target}")
        if found is not None:
            return found
    if user.token_command is not None:
        return _checked_token(_run_token_command(user), "token_command")
    raise ConfigError(
        f"no token for target {target}",
        where="environment",
        fix=f"set {token_variable(target)} or RECONCILER_TOKEN (or with _FILE), or token_command in {user.path}",
        code="missing-token",
    )


def read_notify_secret(environ: Mapping[str, str]) -> Secret | None:
    """Return what notices are signed with, from `RECONCILER_NOTIFY_SECRET` or the file its `_FILE` form names."""
    return _secret_from(environ, NOTIFY_SECRET, "environment")


def read_alert_secret(environ: Mapping[str, str]) -> Secret | None:
    """Return what the server's notices of alerts are signed with, found as the one of `read_notify_secret`."""
    return _secret_from(environ, ALERT_SECRET, "environment")


def _secret_from(environ: Mapping[str, str], name: str, where: str) -> Secret | None:
    value, file = environ.get(name), environ.get(f"{name}_FILE")
    if value is not None and file is not None:
        raise ConfigError(f"{name} and {name}_FILE are both set", where=where, fix="unset one of them")
    if value is not None:
        return _checked_token(value, name)
    if file is not None:
        return _checked_token(_read_token_file(file, f"{name}_FILE"), f"{name}_FILE")
    return None


def _checked_token(text: str, where: str) -> Secret:
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            "the token is empty or holds characters that no token has",
            where=where,
            fix="give one line of printable ASCII without blanks",
            code="bad-token",
        )
    return Secret(token)


def _read_token_file(path: str, where: str) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(65_536)
        return data.decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the token file cannot be read ({type(error).__name__})",
            where=where,
            fix=f"make {path} a readable file with the token on one line",
            code="bad-token",
        ) from error


def _run_token_command(user: UserConfig) -> str:
    import subprocess

    command = user.token_command or ()
    try:
        done = subprocess.run(command, capture_output=True, timeout=TOKEN_COMMAND_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(
            f"token_command did not run ({type(error).__name__})",
            where=user.path,
            fix="run the command by hand and correct it",
            code="bad-token",
        ) from error
    if done.returncode != 0:
        raise ConfigError(
            f"token_command ended with exit code {done.returncode}",
            where=user.path,
            fix="run the command by hand and correct it",
            code="bad-token",
        )
    return done.stdout.decode("ascii", errors="replace")


def holder_name(environ: Mapping[str, str]) -> str:
    """Who holds a lock, for people: the CI run's URL, else `<user>@<host>`."""
    server, repository, run = (environ.get(f"GITHUB_{name}") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID"))
    if server and repository and run:
        return f"{server}/{repository}/actions/runs/{run}"
    if environ.get("CI_JOB_URL"):
        return environ["CI_JOB_URL"]
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def find_root(start: Path) -> Path:
    """Return the folder with `reconciler.yaml`: *start* or the nearest above it, not beyond a git work tree's top."""
    folder = start.resolve()
    if not folder.is_dir():
        raise ConfigError("there is no such folder", where=str(start), fix="name a policies repository with -C")
    for candidate in (folder, *folder.parents):
        if (candidate / FILE_NAME).exists():
            return candidate
        if (candidate / ".git").exists():
            break
    raise ConfigError(
        f"there is no {FILE_NAME} here or above",
        where=str(start),
        fix=f"run it in a policies repository, or name one with -C DIR; {FILE_NAME} stands at its root",
        code="missing-config",
    )


def choose_targets(config: Config, names: tuple[str, ...]) -> tuple[TargetSettings, ...]:
    """Return the named targets, all of them when none is named; a name that is not there names its nearest."""
    if not names:
        return tuple(config.targets.values())
    chosen = []
    for name in dict.fromkeys(names):
        if name not in config.targets:
            import difflib

            near = difflib.get_close_matches(name, config.targets, n=1)
            known = ", ".join(config.targets)
            raise ConfigError(
                f'there is no target "{name}"' + (f'; did you mean "{near[0]}"?' if near else ""),
                where=Place(config.path),
                fix=f"use one of: {known}",
                code="unknown-target",
            )
        chosen.append(config.targets[name])
    return tuple(chosen)
