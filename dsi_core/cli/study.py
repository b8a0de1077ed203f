"""The paper's study: run it, plan it, pack its answers, check them, write its results."""

import json
import shutil
import textwrap
from pathlib import Path
from typing import Annotated, Any

import typer

from dsi_core.cli.options import (
    READING,
    AsJson,
    Config,
    Conversations,
    Drop,
    Encoding,
    Number,
    Quotes,
    Revision,
    Separator,
    Split,
    Text,
    as_json,
    reading,
    typed,
)

app = typer.Typer()

STUDY = "The paper's study"
DEFAULT_CARD = "A100-80GB"
WIDTH = 100  # columns of text where nobody knows how wide the terminal is, as in a pipe
OF_DATA = "Plan the preparation of this dataset (`dsi prepare`) instead of a study."
RELEASED = "Read what the store lacks from the released answers, or make all of it here."
PROFILE = "The profile: smoke, small, paper, or the name of a file of yours in params/."
ONLY = "Run only the notebook whose name begins so, e.g. 02. Default: all."
CARD = "The card to plan for, as in params/plan.yaml, or cpu-core."
LOOK = "Only say what is done, what it has cost and what is left."
LIMIT = "The page's largest size in MB; beyond it the texts of some samples are left out."
WHOLE = "Pack all complete entries of the store, whoever made them. Look at them first."
MODELS = "How many models to tune anew, drawn at random: a reference, then suspects."
STORED = "Tune nothing; compare all that `make reproduce` left in the store."
ANEW = "Also write the table to <out>/<profile>/made_anew.csv."


@app.command(rich_help_panel=STUDY, epilog="Example: dsi reproduce --profile smoke --only 02")
def reproduce(
    profile: Annotated[str, typer.Option(help=PROFILE)] = "small",
    only: Annotated[Text, typer.Option(help=ONLY)] = None,
    figures_dir: Annotated[str, typer.Option(help="The folder of tables and figures.")] = "figures",
    timeout: Annotated[
        Number, typer.Option(help="Seconds for one cell. Default: no limit.")
    ] = None,
    released: Annotated[bool, typer.Option("--released/--from-nothing", help=RELEASED)] = False,
) -> None:
    """Run the notebooks headlessly and regenerate every table and figure of a profile.

    Notebooks and cells that need a section which the profile lacks are left out; this is said
    before any work.
    """
    from dsi_core.reproduce.run import reproduce as run

    passed = run(profile, only or None, figures_dir, timeout, from_released=released)
    raise typer.Exit(0 if passed else 1)


@app.command(rich_help_panel=STUDY, epilog="Example: dsi book --out site")
def book(
    profile: Annotated[str, typer.Option(help="The profile of the notebooks.")] = "small",
    out: Annotated[Path, typer.Option(help="The folder of the site.")] = Path("site"),
    as_is: Annotated[bool, typer.Option("--as-is", help="Run no notebook before.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only proof-read the site that is there.")
    ] = False,
) -> None:
    """Build a static site of the executed notebooks and the pages, and proof-read it.

    Notebooks without an executed copy as new as its sources run first, from the released answers.
    Exit code 1 = there are faults.
    """
    from dsi_core.reproduce import book, looks, proof

    if not check:
        typer.echo(book.build(profile, out, as_is=as_is))
    found = proof.faults(out)
    if looks.chromium():
        found += looks.faults(out)
    else:
        typer.echo("no Chromium with playwright here: how the pages look was not checked")
    for fault in found:
        typer.echo(fault)
    typer.echo(f"{len(found)} faults" if found else "no faults")
    raise typer.Exit(1 if found else 0)


@app.command(rich_help_panel=STUDY, epilog="Example: dsi run --profile paper --only dolly")
def run(
    profile: Annotated[str, typer.Option(help="The study's profile: smoke, small, paper.")],
    only: Annotated[Text, typer.Option(help='Victims, e.g. "dolly,alpaca". Default: all.')] = None,
    card: Annotated[
        str, typer.Option(help="The card to estimate for, as for `dsi plan`.")
    ] = DEFAULT_CARD,
    look: Annotated[bool, typer.Option("--look", help=LOOK)] = False,
) -> None:
    """Compute a study's verdicts, dataset by dataset; an interrupted run goes on where it was."""
    from dsi_core.paper import tables
    from dsi_core.planning import course
    from dsi_core.planning.machine import machine_of

    chosen = [name.strip() for name in (only or "").split(",") if name.strip()]
    machine = machine_of(card, counts=True)
    obstacles = course.obstacles(profile)
    if len(obstacles):
        typer.echo(f"before the start\n{obstacles.to_string(index=False)}\n")
    parts = course.parts(profile, chosen)
    typer.echo(_of_run("to do", course.state(parts, machine)))
    if look:
        return
    verdicts = tables.votes(course.run(parts))
    typer.echo(f"verdicts\n{verdicts.to_string(index=False, na_rep='-')}\n")
    typer.echo(_of_run("done", course.state(parts, machine)))


def _of_run(title: str, state: Any) -> str:
    left, spent = state["left_hours"].sum(), state["spent_hours"].sum()
    shown = state.drop(columns="released").round(3).to_string(index=False)
    released = int(state["released"].sum())
    read = f"answers of {released} models are released ones, which DSI_RELEASED=0 leaves out\n"
    besides = "; the workers' start and comparing answers come on top" if left else ""
    hours = f"{spent:.2f} hours of one worker spent, about {left:.2f} left{besides}"
    return f"{title}\n{shown}\n{hours}\n{read if released else ''}"


@app.command(rich_help_panel=STUDY, epilog="Example: dsi plan --profile paper --card A100-80GB")
def plan(
    context: typer.Context,
    profile: Annotated[str, typer.Option(help="The profile of the study.")] = "paper",
    card: Annotated[str, typer.Option(help=CARD)] = DEFAULT_CARD,
    data: Annotated[Text, typer.Option(help=OF_DATA)] = None,
    prompt: Annotated[list[str] | None, typer.Option(help="With --data: a prompt column.")] = None,
    output: Annotated[Text, typer.Option(help="With --data: the output column.")] = None,
    rows: Annotated[
        Number, typer.Option(help="With --data: use this many rows, drawn at random.")
    ] = None,
    iid: Annotated[
        Text, typer.Option(help="With --data: more data of its kind, not accused.")
    ] = None,
    conversations: Conversations = None,
    drop: Drop = None,
    encoding: Encoding = None,
    separator: Separator = None,
    quotes: Quotes = None,
    config: Config = None,
    split: Split = None,
    revision: Revision = None,
    jobs: Annotated[bool, typer.Option("--jobs", help="List each job, and the assumptions.")] = (
        False
    ),
    json_: AsJson = False,
) -> None:
    """Estimate tokens, memory, hours and disk of a study's jobs on a card; nothing is run."""
    from dsi_core.planning import assumptions, plan

    if data is not None:
        if jobs:
            raise ValueError("--jobs lists those of a study: it does not go with --data")
        how = {"prompt": tuple(prompt or ()), "output": output, "rows": rows, "iid": iid}
        _plan_preparation(data, profile, card, json_, reading=reading(context), **how)
        return
    if wrong := typed(context, "prompt", "output", "rows", "iid", *READING):
        raise ValueError(f"{', '.join(wrong)} goes with --data: a dataset to prepare")
    everything = plan.everything(profile, card)
    each = everything.drop(columns=["id", "card"])
    parts = {
        "by dataset and phase": plan.totals(everything),
        "beside the paper's Table 9": plan.beside_paper(everything),
    }
    if json_:
        parts = {"assumptions": assumptions.table(), "jobs": each, **parts}
        tables = {title: as_json(table) for title, table in parts.items()}
        typer.echo(json.dumps({"profile": profile, "card": card, **tables}, indent=1))
        return
    width = shutil.get_terminal_size((WIDTH, 0)).columns
    if jobs:
        typer.echo(f"assumptions\n{assumptions.text(width)}\n")
    for title, table in {**({"jobs": each} if jobs else {}), **parts}.items():
        typer.echo(f"{title}\n{table.round(2).to_string(index=False, na_rep='-')}\n")
    typer.echo(textwrap.fill(plan.sentence(everything), width))


def _plan_preparation(data: str, profile: str, card: str, json_: bool, **how: Any) -> None:
    """Say what `dsi prepare` would take on a card, where nothing has been done yet."""
    from dsi_core.audit.preparation import draft as drafting
    from dsi_core.planning import preparation
    from dsi_core.planning.machine import machine_of

    machine = machine_of(card, counts=True)
    draft = drafting.draft(data, profile, fetch=False, **how)
    outlook = preparation.outlook(draft, machine, done=False)
    typer.echo(json.dumps(outlook.json(), indent=1) if json_ else outlook.text(0.05))


@app.command(
    rich_help_panel=STUDY, epilog="Example: dsi explore --profile small --html explore.html"
)
def explore(
    context: typer.Context,
    profile: Annotated[
        str, typer.Option(help="The profile to show, with the suspects of all suites.")
    ] = ("small"),
    prepared: Annotated[
        Path | None,
        typer.Option(help="Show this folder that `dsi prepare` wrote, instead of a study."),
    ] = None,
    html: Annotated[Path, typer.Option(help="The file to write.")] = Path("explore.html"),
    limit_mb: Annotated[float, typer.Option(help=LIMIT, min=0)] = 30.0,
) -> None:
    """Write the explorer of samples, votes and texts as one page, which needs no kernel or network.

    Answers that neither the store nor the release has are made first: models are tuned and asked.
    """
    from dsi_core.audit.preparation.prepared import read
    from dsi_core.plots.explorer import explore, explored
    from dsi_core.runtime import disk

    if prepared is not None and typed(context, "profile"):
        raise ValueError("--profile goes with a study: with --prepared a preparation is shown")
    shown = (
        explored.of_profile(profile) if prepared is None else explored.of_prepared(read(prepared))
    )
    page, told = explore.page(shown, limit_mb)
    html.parent.mkdir(parents=True, exist_ok=True)
    disk.write_text(html, page)
    typer.echo(f"{html}: {len(page.encode()) / 1e6:.2f} MB. {told}")


@app.command(rich_help_panel=STUDY, epilog="Example: dsi release --profile small")
def release(
    profile: Annotated[str, typer.Option(help="The profile of the study.")] = "small",
    out: Annotated[
        Path | None,
        typer.Option(help="The folder. Default: figures/<profile>/answers.", show_default=False),
    ] = None,
    whole_store: Annotated[
        bool,
        typer.Option("--whole-store", help=WHOLE),
    ] = False,
) -> None:
    """Pack a study's answers and scores, without weights, for machines whose store lacks them.

    It packs what the profile's notebooks read when `dsi reproduce` last ran them from nothing, each
    to its end.
    """
    from dsi_core.runtime import packing, released
    from dsi_core.settings.profile import load_profile

    load_profile(profile)  # or else a wrong name would be told to run notebooks first
    made = packing.pack(profile, out, whole_store=whole_store)
    for name, file in made.files.items():
        typer.echo(f"{name:20} {file.entries:5} entries {file.bytes / 1e6:8.2f} MB")
    total = sum(file.bytes for file in made.files.values())
    typer.echo(f"{total / 1e6:.2f} MB in {out or released.folder_of(profile)}")


@app.command(rich_help_panel=STUDY, epilog="Example: dsi verify --models 3")
def verify(
    context: typer.Context,
    profile: Annotated[
        str, typer.Option(help="The profile whose released answers are checked.")
    ] = "small",
    models: Annotated[int, typer.Option(help=MODELS, min=1)] = 3,
    seed: Annotated[int, typer.Option(help="The seed that chooses dataset and models.", min=0)] = 0,
    stored: Annotated[bool, typer.Option("--stored", help=STORED)] = False,
    out: Annotated[str | None, typer.Option(help=ANEW)] = None,
) -> None:
    """Tune a few models anew and compare their answers and verdicts with the released ones.

    Exit code 1 = a verdict changed.
    """
    from dsi_core.method import study
    from dsi_core.paper.verify import verify as run
    from dsi_core.paper.verify import verify_stored
    from dsi_core.plots import save as figures
    from dsi_core.settings.profile import load_profile

    load_profile(profile)  # before its release is looked for
    if stored and (wrong := typed(context, "models", "seed")):
        raise ValueError(
            f"{', '.join(wrong)} goes without --stored, which takes all and tunes none"
        )
    found = verify_stored(profile) if stored else run(profile, models, seed)
    typer.echo(found.models.round(3).replace("", "-").to_string(index=False, na_rep="-"))
    if out is not None:
        table = found.models.round(4)
        typer.echo(figures.save(study.plan_only(profile), "made_anew", None, table, out))
    typer.echo(f"\n{found.sentence}")
    raise typer.Exit(1 if len(found.changed) else 0)


@app.command(rich_help_panel=STUDY, epilog="Example: dsi results --check")
def results(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if a text is out of date.")
    ] = False,
) -> None:
    """Write notebooks/pages/results.md and the README's results again, from figures/small."""
    from dsi_core.paper.results import page

    if not check:
        typer.echo("\n".join(map(str, page.write())))
    elif stale := page.stale():
        raise ValueError(f"not as `dsi results` writes it: {', '.join(map(str, stale))}")
