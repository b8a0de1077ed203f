"""What this machine has: the entries of its store, its speed."""

import json
from typing import Annotated

import typer

from dsi_core.cli.options import AsJson, as_json, typed

app = typer.Typer()

MACHINE = "This machine"


@app.command(rich_help_panel=MACHINE, epilog="Example: dsi status")
def status(
    entries: Annotated[bool, typer.Option("--entries", help="List every entry.")] = False,
    json_: AsJson = False,
) -> None:
    """Show what the store holds: entries by kind, complete or not, with size, hours and newest."""
    from dsi_core.runtime import entries as listed
    from dsi_core.runtime import store

    table = listed.status()
    kinds, place = listed.kinds(table), store.root()
    if json_:
        said = {"store": str(place), "kinds": as_json(kinds), "entries": as_json(table)}
        typer.echo(json.dumps(said, indent=1))
        return
    unfinished = table[~table["complete"].astype(bool)]
    shown = table if entries else unfinished
    if len(table):
        typer.echo(kinds.to_string(index=False, na_rep="-"))
    if len(shown):
        typer.echo("" if entries else "\nnot complete, a run goes on with them:")
        typer.echo(shown.to_string(index=False, na_rep="-"))
    count = "the store is empty" if table.empty else f"{len(table)} entries"
    typer.echo(f"{count}, {len(unfinished)} not complete, {kinds['GB'].sum():.2f} GB in {place}")


SERVED = (
    "Measure our own loop against vLLM instead, with the verdicts of both "
    "(notebooks/pages/engines.md)."
)
GROWTH = "Measure time and memory of reading and protecting 1,000 to 1,000,000 rows instead."
SCALE = "Measure time and memory of scheduling, store and similarity instead, on made-up answers."
ANEW = "nothing is kept: what is compared is measured in one run"
MOST = "With --growth or --scale: the most rows, or jobs and answers."


@app.command(rich_help_panel=MACHINE, epilog="Example: dsi bench --profile small")
def bench(
    context: typer.Context,
    profile: Annotated[
        str, typer.Option(help="The profile whose models and texts are used.")
    ] = "small",
    out: Annotated[str, typer.Option(help="The folder of <profile>/bench.csv.")] = "figures",
    growth: Annotated[bool, typer.Option("--growth", help=GROWTH)] = False,
    scale: Annotated[bool, typer.Option("--scale", help=SCALE)] = False,
    most: Annotated[int, typer.Option(help=MOST, min=1_000)] = 1_000_000,
    served: Annotated[bool, typer.Option("--served", help=SERVED)] = False,
) -> None:
    """Measure tuning, asking and comparing, against stock libraries and this machine's peak."""
    if len(wrong := typed(context, "growth", "scale", "served")) > 1:
        raise ValueError(f"{', '.join(wrong)}: each measures something else; give one of them")
    if not (growth or scale) and typed(context, "most"):
        raise ValueError("--most goes with --growth or --scale: how many they make up")
    try:
        _bench(profile, out, growth, scale, most, served)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("" if served else ANEW) from None


def _bench(profile: str, out: str, growth: bool, scale: bool, most: int, served: bool) -> None:
    from dsi_core.method import study
    from dsi_core.plots import save as figures

    figure = shown = None
    if growth:
        from dsi_core.benchmarks import growth as grows

        name, table = "bench_growth", grows.measure(tuple(n for n in grows.SIZES if n <= most))
    elif scale:
        from dsi_core.benchmarks import scale as scales
        from dsi_core.plots import style
        from dsi_core.plots.growth import plot_growth

        style.use()
        name, table = "bench_scale", scales.measure(most)
        figure, shown = plot_growth(table, limit_mb=scales.LIMIT_MB), scales.SHOWN
    elif served:
        from dsi_core.benchmarks import served as serves
        from dsi_core.benchmarks import votes

        voted = votes.measure(profile)
        typer.echo(voted.to_string(index=False))
        typer.echo(figures.save(study.plan_only(profile), "bench_served_votes", None, voted, out))
        name, table = "bench_served", serves.measure(profile)
    else:
        from dsi_core.benchmarks import run as bench

        name, table = "bench", bench.run(profile)
    typer.echo(table.to_string(index=False))
    typer.echo(figures.save(study.plan_only(profile), name, figure, table, out, scale=shown))
