"""`python -m dsi_core`: reproduce | prepare | audit | plan | bench | status."""

import json
from contextlib import contextmanager
from pathlib import Path

import typer

app = typer.Typer(
    help="Did this language model train on my dataset?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def reproduce(
    profile: str = "small",
    only: str = typer.Option(None, help='Begin of one notebook\'s name, e.g. "02".'),
    figures_dir: str = "figures",
    timeout: int = typer.Option(None, help="Seconds allowed for one cell."),
):
    """Run the notebooks headlessly and regenerate every table and figure of a profile."""
    from dsi_core.reproduce import reproduce as run

    with _clear_errors():
        passed = run(profile, only or None, figures_dir, timeout)
    raise typer.Exit(0 if passed else 1)


@app.command()
def status():
    """What the store holds: kind, name, complete or not, size, seconds it took, when."""
    from dsi_core.runtime import store

    table = store.status()
    typer.echo(table.to_string(index=False) if len(table) else "the store is empty")
    typer.echo(f"{len(table)} entries, {table['MB'].sum() / 1000:.2f} GB in {store.root()}")


COLUMNS = typer.Option(
    None, "--prompt", help="A prompt column; give it again for each further one."
)


@app.command()
def prepare(
    data: str = typer.Option(
        ..., help="Your dataset: a file, hub:owner/name, or a dataset of the profile."
    ),
    profile: str = typer.Option("small", help="Whose references, recipes and control models."),
    withheld: str = typer.Option(
        None, help="Your private twin: the part that a coin kept unpublished."
    ),
    iid: str = typer.Option(
        None,
        help="More data of the same kind, not under accusation, for the hardest control models.",
    ),
    out: Path = typer.Option(
        None, help="Folder of the preparation; default: audits/<name of the data>."
    ),
    prompt: list[str] = COLUMNS,
    output: str = typer.Option(None, help="The output column."),
    rows: int = typer.Option(None, help="A random sample of this many pairs."),
    responses: int = typer.Option(None, help="Answers to each prompt."),
    system_prompt: str = typer.Option(None, help="Asked of control models as of the suspect."),
    alpha: float = 0.05,
    seed: int = None,
):
    """Offline: tune references, find tainted samples, ask control models; all that an audit needs goes to one folder."""
    from dsi_core.audit import prepare
    from dsi_core.audit import prepared as preparation

    with _clear_errors():
        done = prepare.run(
            data,
            profile,
            withheld=withheld,
            iid=iid,
            out=out,
            prompt=tuple(prompt or ()),
            output=output,
            rows=rows,
            draws=responses,
            system=system_prompt,
            seed=seed,
        )
    typer.echo(preparation.describe(done, alpha))


@app.command()
def audit(
    prepared: Path = typer.Option(..., help="The folder that `prepare` wrote."),
    suspect: str = typer.Option(None, help="A model's folder or a hub id (instead of --base-url)."),
    base_url: str = typer.Option(None, help="An OpenAI-compatible API, e.g. https://host/v1."),
    model: str = typer.Option(None, help="The name by which the API knows the model."),
    key_env: str = typer.Option(None, help="The environment variable that holds the API key."),
    budget: str = typer.Option(None, help='Queries (150) or money ("2.50 USD"; needs the prices).'),
    price_in: float = typer.Option(None, help="Price of a million prompt tokens."),
    price_out: float = typer.Option(None, help="...of a million new tokens."),
    alpha: float = typer.Option(0.05, help="Chance that an innocent model is accused."),
    responses: int = typer.Option(None, help="Answers to each prompt."),
    system_prompt: str = None,
    temperature: float = None,
    concurrency: int = 4,
    timeout: float = 120.0,
    extra_body: str = typer.Option("{}", help="JSON object with more fields of each request."),
    ask_all: bool = typer.Option(
        None,
        "--ask-all/--stop-when-sure",
        help="Default: stop when sure for an API, ask all of a local model.",
    ),
    trust_remote_code: bool = typer.Option(False, help="Run code that a hub model brings."),
    dry_run: bool = typer.Option(
        False, help="Show what would be asked and what it may cost; ask nothing."
    ),
):
    """Online: ask a suspect, judge its answers, write the report. Interrupted, it goes on where it was."""
    from dsi_core.audit import (
        plan as audit_plan,
    )
    from dsi_core.audit import (
        prepared as preparation,
    )
    from dsi_core.audit import (
        record as report,
    )
    from dsi_core.audit import (
        run as audit,
    )
    from dsi_core.audit import suspect as suspects

    with _clear_errors():
        how = (
            {"concurrency": concurrency, "timeout": timeout, "extra": _object(extra_body)}
            if base_url
            else {}
        )
        name, where = suspects.model(
            suspect,
            base_url=base_url,
            name=model,
            key_env=key_env,
            trust_remote_code=trust_remote_code,
            **how,
        )
        plan = audit_plan.plan(
            preparation.read(prepared),
            name,
            where,
            alpha=alpha,
            draws=responses,
            system=system_prompt,
            temperature=temperature,
            budget=budget,
            price_in=price_in,
            price_out=price_out,
            stop=None if ask_all is None else not ask_all,
        )
        if dry_run:
            typer.echo(json.dumps(audit_plan.dry_run(plan), indent=1, ensure_ascii=False))
            raise typer.Exit()
        result = audit.run(plan)
        files = report.write(plan, result)
    typer.echo(report.headline(plan, result))
    typer.echo("\n".join(map(str, files)))


def _object(text: str) -> dict:
    try:
        read = json.loads(text)
    except ValueError as error:
        raise ValueError(f"--extra-body {text!r} is not JSON: {error}") from None
    if not isinstance(read, dict):
        raise ValueError(f"--extra-body {text!r} is not a JSON object")
    return read


@contextmanager
def _clear_errors():
    """A user's error in one line, exit code 2; an API that failed for good, exit code 3."""
    from dsi_core.models.endpoint import EndpointError

    try:
        yield
    except (ValueError, EndpointError) as error:
        typer.echo(f"error: {_words(error)}", err=True)
        raise typer.Exit(2 if isinstance(error, ValueError) else 3) from None


def _words(error: Exception) -> str:
    """An error's message; of settings that pydantic refuses, which and why."""
    found = error.errors() if hasattr(error, "errors") else []
    return "; ".join(
        f"{'.'.join(map(str, e['loc']))}: {e['msg'].removeprefix('Value error, ')}".removeprefix(
            ": "
        )
        for e in found
    ) or str(error)


@app.command()
def plan(
    profile: str = "paper",
    card: str = typer.Option("A100-80GB", help="A name in params/plan.yaml, or cpu-core."),
):
    """Every job of a study with its tokens, memory, hours and disk on a named card; nothing is run or fetched."""
    from dsi_core.planning import assumptions, plan

    with _clear_errors():
        jobs = plan.everything(profile, card)
    parts = {
        "assumptions": assumptions.table(),
        "jobs": jobs.drop(columns=["id", "card"]),
        "by dataset and phase": plan.totals(jobs),
        "beside the paper's Table 9": plan.beside_paper(jobs),
    }
    for title, table in parts.items():
        typer.echo(f"{title}\n{table.round(2).to_string(index=False)}\n")


@app.command()
def bench(
    profile: str = "small",
    out: str = typer.Option("figures", help="The table goes to <out>/<profile>/bench.csv."),
):
    """Our tuning, asking and comparing against the stock way on this machine, in one run, and as a share of its matrix-product peak."""
    from dsi_core.benchmarks import run as bench
    from dsi_core.method import study
    from dsi_core.plots import save as figures

    with _clear_errors():
        table = bench.run(profile)
    typer.echo(table.to_string(index=False))
    typer.echo(figures.save(study.plan_only(profile), "bench", None, table, out))
