"""The command line, `dsi` (or `python -m dsi_core`).

Nothing heavy is imported before a command runs: `dsi --help` must answer at once.
"""

from typing import Annotated

import typer

from dsi_core import __version__
from dsi_core.cli import audit, cluster, dataset, machine, study
from dsi_core.cli.errors import Commands

app = typer.Typer(
    name="dsi",
    cls=Commands,
    help="Did this language model train on my dataset?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for part in (study, dataset, audit, machine):
    app.add_typer(part.app)  # without a name: its commands are commands of `dsi`
app.add_typer(cluster.app, name="cluster", rich_help_panel=machine.MACHINE)


ENGINE = "Where jobs run: local or ray. Default: ray if $RAY_ADDRESS names a cluster, else local."
PART = 'This process\'s part of the jobs: "3/16" = the 3rd of 16 that share a store.'


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dsi_core {__version__}")
        raise typer.Exit()


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="DSI_DEBUG", help="Show errors with tracebacks.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
    engine: Annotated[str | None, typer.Option(help=ENGINE)] = None,
    part: Annotated[str | None, typer.Option(help=PART)] = None,
) -> None:
    """Take the options of every command, before its name or after it."""
