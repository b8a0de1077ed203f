"""`python -m dsi_core`: reproduce | plan | bench | status."""

import typer

app = typer.Typer(help="Did this language model train on my dataset?", no_args_is_help=True, add_completion=False,
                  pretty_exceptions_enable=False)


@app.command()
def reproduce(profile: str = "small", only: str = typer.Option(None, help='Begin of one notebook\'s name, e.g. "02".'),
              figures_dir: str = "figures", timeout: int = typer.Option(None, help="Seconds allowed for one cell.")):
    """Run the notebooks headlessly and regenerate every table and figure of a profile."""
    from dsi_core.reproduce import reproduce as run

    try:
        passed = run(profile, only or None, figures_dir, timeout)
    except ValueError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(0 if passed else 1)


@app.command()
def status():
    """What the store holds: kind, name, complete or not, size, seconds it took, when."""
    from dsi_core import store

    table = store.status()
    typer.echo(table.to_string(index=False) if len(table) else "the store is empty")
    typer.echo(f"{len(table)} entries, {table['MB'].sum() / 1000:.2f} GB in {store.root()}")


@app.command()
def plan(profile: str = "paper", card: str = typer.Option("A100-80GB", help="A name in params/plan.yaml, or cpu-core.")):
    """Every job of a study with its tokens, memory, hours and disk on a named card; nothing is run or fetched."""
    from dsi_core import assumptions, plan

    try:
        jobs = plan.everything(profile, card)
    except ValueError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    parts = {"assumptions": assumptions.table(), "jobs": jobs.drop(columns=["id", "card"]), "by dataset and phase": plan.totals(jobs),
             "beside the paper's Table 9": plan.beside_paper(jobs)}
    for title, table in parts.items():
        typer.echo(f"{title}\n{table.round(2).to_string(index=False)}\n")


@app.command()
def bench(profile: str = "small", out: str = typer.Option("figures", help="The table goes to <out>/<profile>/bench.csv.")):
    """Our tuning, asking and comparing against the stock way on this machine, in one run, and as a share of its matrix-product peak."""
    from dsi_core import bench, figures, study

    try:
        table = bench.run(profile)
    except ValueError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(table.to_string(index=False))
    typer.echo(figures.save(study.plan_only(profile), "bench", None, table, out))


if __name__ == "__main__":
    app()
