"""`serve`: the reference server on this machine; its database, port and token. What it answers is `server/`."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import click

from reconciler.cli.command import command
from reconciler.cli.output import emit, note
from reconciler.errors import ConfigError

if TYPE_CHECKING:
    from reconciler.server.options import ServerOptions

QUIRKS = ("aim", "aim:a1", "aim:a2", "aim:a3", "neosc")


@command("serve")
@click.option("--db", metavar="URL", help="A file, :memory: (default), or a database URL.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8800, show_default=True, help="Port; 0 takes a free one."
)
@click.option("--neosc-crud", is_flag=True, help="Also NeoSC's announced create, update, delete.")
@click.option(
    "--quirks",
    type=click.Choice(QUIRKS),
    metavar="NAME",
    multiple=True,
    help="Behave like a published server: neosc, aim (under /api/v1), aim:a1, aim:a2, aim:a3.",
)
@click.option(
    "--sample",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="Share of evaluations to record; all that matter are, always.",
)
@click.option(
    "--rate-limit",
    type=click.IntRange(0, 1_000_000),
    default=60_000,
    show_default=True,
    help="Requests a minute for each token; 0: no limit.",
)
@click.option("--alert-webhook", metavar="URL", help="Post alerts there, signed with RECONCILER_ALERT_SECRET.")
@click.option(
    "--retain",
    metavar="KIND=DAYS",
    multiple=True,
    help="Days to keep audit, events or sessions, or `forever`; only sessions have an end by themselves: 30.",
)
def serve_command(
    db: str | None,
    port: int,
    neosc_crud: bool,
    quirks: tuple[str, ...],
    sample: float,
    rate_limit: int,
    alert_webhook: str | None,
    retain: tuple[str, ...],
) -> None:
    """Run the reference policy API: NeoSC under /api, OpenA2A under /v1.

    \b
    reconciler serve
    reconciler serve --db policies.db --neosc-crud

    The first start prints an admin token and a password for the page, or
    takes RECONCILER_SERVER_TOKEN and RECONCILER_SERVER_PASSWORD.
    Ctrl-C stops it.
    """
    from reconciler.server.options import ServerOptions

    options = ServerOptions(
        neosc_crud=neosc_crud,
        quirks=frozenset(quirks),
        sample=sample,
        rate_limit=rate_limit,
        alert_webhook=alert_webhook,
        retain=retain,
    )
    run_server(db=db, port=port, options=options)


def run_server(*, db: str | None, port: int, options: ServerOptions) -> None:
    """Serve until a signal says stop; SIGTERM ends as Ctrl-C does, with `KeyboardInterrupt`, once replies are out.

    URLs go to stdout, and the first secrets of a new database with them: it is the only time they are seen.
    """
    try:
        from reconciler.clock import SystemClock, SystemRandom
        from reconciler.server.accounts.first import OWNER, make_first_secrets
        from reconciler.server.app import create_app
        from reconciler.server.enforcement.delivering import delivering, read_receiver
        from reconciler.server.main import open_socket, run, url_of
        from reconciler.server.store import open_store
        from reconciler.server.trail.retention import describe_rules, keeping, parse_rules
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the server's libraries are not installed ({error.name})",
            where="reconciler serve",
            fix="install the extra: pip install 'reconciler[server]'",
        ) from error
    receiver = None if options.alert_webhook is None else read_receiver(options.alert_webhook, os.environ)
    rules = parse_rules(options.retain)
    with open_socket("127.0.0.1", port) as listener:
        store = open_store(db)
        try:
            url = url_of(listener)
            lines = [f"NeoSC    {url}/api", f"OpenA2A  {url}/v1"]
            if any(name.startswith("aim") for name in options.quirks):
                lines.append(f"AIM      {url}/api/v1")
            made = make_first_secrets(store, os.environ)
            if made.token is not None:
                lines.append(f"admin token: {made.token}")
            if made.password is not None:
                lines.append(f"password of {OWNER} for the page: {made.password}")
            lines.append(f"Page     {url}/")
            emit("\n".join(lines))
            if db in (None, ":memory:"):
                note("The database is in memory: it ends with the server. Ctrl-C stops it.")
            note(f"The trail is {describe_rules(rules)}.")
            if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
                signal.signal(signal.SIGTERM, signal.default_int_handler)
            app = create_app(store, options)
            with keeping(store, rules), delivering(store, receiver, SystemClock(), SystemRandom()):
                run(app, listener)
            raise KeyboardInterrupt  # only a signal ends `run`, and one that a parent made us ignore ends it too
        finally:
            store.close()
