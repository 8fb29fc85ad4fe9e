"""`python -m api serve`: the HTTP door."""

import sys
from typing import Annotated

import typer
import uvicorn

from api.app import create_app
from infra.garbage import spare_what_is_held
from infra.logging import configure
from infra.settings import SettingsError, load_settings

cli = typer.Typer(no_args_is_help=True, help="The HTTP door: people, apps, and systems without a broker.")


@cli.callback()
def described() -> None:
    """The HTTP door."""


@cli.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    graceful_seconds: Annotated[int, typer.Option(help="How long running requests may finish at the end.")] = 5,
) -> None:
    """Listen on PORT until stopped."""
    try:
        settings = load_settings()
    except SettingsError as error:
        sys.exit(str(error))
    configure("api", settings.log_level)
    app = create_app(settings)
    spare_what_is_held()
    uvicorn.run(
        app, host=host, port=settings.port, loop="uvloop", http="httptools", access_log=False,
        log_config=None, server_header=False, timeout_graceful_shutdown=graceful_seconds, lifespan="on",
    )  # fmt: skip


if __name__ == "__main__":
    cli()
