"""`python -m dsi_core`: reproduce | status."""

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


if __name__ == "__main__":
    app()
