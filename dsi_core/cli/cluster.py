"""Many machines: whether they are ready."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from dsi_core.cli.options import AsJson, Text

app = typer.Typer()

EXAMPLE = "Example: dsi cluster check --profile paper"

MODELS = "Also check that the hub models of this study are here, or can be fetched."
MACHINES = 'Wait for this many machines, or for those named: "node1 node2".'


@app.callback(epilog=EXAMPLE)
def cluster() -> None:
    """Check many machines: `check` says what is wrong with each before hours are spent."""


@app.command(epilog=EXAMPLE)
def check(
    profile: Annotated[Text, typer.Option(help=MODELS)] = None,
    machines: Annotated[str, typer.Option(help=MACHINES)] = "1",
    json_: AsJson = False,
) -> None:
    """Check every machine: versions, store and its locks, GPUs, disk, hub, clock.

    Exit code 1 = something is wrong; a sentence for each fault says what to do.
    """
    from dsi_core.planning import course
    from dsi_core.runtime.engines import nodes

    models = course.models_of_the_hub(profile) if profile else {}
    found = nodes.check(models, nodes.Awaited.read(machines))
    if json_:
        said = {"machines": [asdict(n) for n in found.nodes], "wrong": found.wrong}
        typer.echo(json.dumps({**said, "known": found.known}, indent=1))
    else:
        typer.echo(nodes.table(found.nodes).to_string(index=False))
        typer.echo("".join(f"\nwrong: {what}" for what in found.wrong))
        typer.echo("".join(f"note: {what}\n" for what in found.known), nl=False)
        typer.echo("something is wrong" if found.wrong else "all is well")
    raise typer.Exit(1 if found.wrong else 0)
