"""What this machine has: the entries of its store, its speed."""

from typing import Annotated

import typer

app = typer.Typer()

MACHINE = "This machine"


@app.command(rich_help_panel=MACHINE, epilog="Example: dsi status")
def status() -> None:
    """What the store holds: kind, name, complete or not, size, seconds it took, when."""
    from dsi_core.runtime import store

    table = store.status()
    typer.echo(table.to_string(index=False) if len(table) else "the store is empty")
    typer.echo(f"{len(table)} entries, {table['MB'].sum() / 1000:.2f} GB in {store.root()}")


@app.command(rich_help_panel=MACHINE, epilog="Example: dsi bench --profile small")
def bench(
    profile: Annotated[str, typer.Option(help="Whose models and texts.")] = "small",
    out: Annotated[str, typer.Option(help="For <out>/<profile>/bench.csv.")] = "figures",
) -> None:
    """Tuning, asking and comparing against the stock way, and as a share of this machine's peak."""
    from dsi_core.benchmarks import run as bench
    from dsi_core.method import study
    from dsi_core.plots import save as figures

    table = bench.run(profile)
    typer.echo(table.to_string(index=False))
    typer.echo(figures.save(study.plan_only(profile), "bench", None, table, out))
