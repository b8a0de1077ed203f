"""What an audit needs of a dataset: a coin before publishing, or references and controls after."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from dsi_core.cli.errors import tell
from dsi_core.cli.options import (
    AUDIT,
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
    asking,
    panel,
    reading,
)

app = typer.Typer()

HALF = "Without --iid: accuse one random half of a large dataset, tune controls on the other."
ANSWERS_OF = "JSON Lines (prompt, response) by an innocent model; may be given again."
NAME = "What the dataset is called in reports. Default: as its file."
SAMPLE = "A random sample of so many rows; the kit neither publishes nor withholds the others."
WORDINGS = "Two output columns, first,second, or a file with the same prompts: a coin chooses."
SHARE = "Of the coins, how many publish. Default: 0.5; with --wordings everything is published."
NO_TOSS = "Say what it could find and what to look at; toss no coin and write nothing."
OUTLOOK = "Say what was read and what the work takes and can find; write nothing."

_data = panel("The data")
_models = panel("References and controls")
_work = panel("The work")


@app.command(
    rich_help_panel=AUDIT,
    epilog="Example: dsi protect --data my.jsonl --wordings answer,answer2",
)
def protect(
    context: typer.Context,
    data: Annotated[str, _data("A file (JSON, JSON Lines, CSV, TSV, Parquet), or hub:owner/name.")],
    wordings: Annotated[Text, _data(WORDINGS)] = None,
    withheld: Annotated[Path | None, _data("Of a split that exists: the part kept back.")] = None,
    group: Annotated[Text, _data("A column: rows with an equal value share a coin.")] = None,
    prompt: Annotated[list[str] | None, _data("A prompt column; may be given again.")] = None,
    output: Annotated[Text, _data("The output column.")] = None,
    share: Annotated[float | None, _data(SHARE)] = None,
    name: Annotated[Text, _data(NAME)] = None,
    rows: Annotated[Number, _data(SAMPLE)] = None,
    conversations: Conversations = None,
    drop: Drop = None,
    encoding: Encoding = None,
    separator: Separator = None,
    quotes: Quotes = None,
    config: Config = None,
    split: Split = None,
    revision: Revision = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help=NO_TOSS)] = False,
    out: Annotated[Path | None, typer.Option(help="Default: kits/<name of the data>.")] = None,
) -> None:
    """Before publishing: let a coin choose what is published, and commit to it.

    The kit holds what to publish and what to keep; `dsi audit --kit` needs it.
    """
    from dsi_core.protect import draft, kit, summary

    drafted = draft.draft(
        data,
        prompt=tuple(prompt or ()),
        output=output,
        wordings=wordings,
        withheld=withheld,
        group=group,
        share=share,
        name=name,
        sample=rows,
        **reading(context),
    )
    made = None if dry_run else kit.toss(drafted, out)
    tell(summary.of_draft(drafted))
    if made is not None:
        tell(summary.of_kit(made))


@app.command(
    rich_help_panel=AUDIT,
    epilog="Example: dsi prepare --data my.jsonl --control-answers assistant.jsonl",
)
def prepare(
    context: typer.Context,
    data: Annotated[str, _data("A file, hub:owner/name, or a dataset of the profile.")],
    iid: Annotated[Text, _data("More of its kind, not accused, for the hardest controls.")] = None,
    half: Annotated[bool, _data(HALF, "--half/--whole")] = True,
    other_words: Annotated[Text, _data("Its facts in other words, to tune controls on.")] = None,
    control_answers: Annotated[list[str] | None, _data(ANSWERS_OF)] = None,
    prompt: Annotated[list[str] | None, _data("A prompt column; may be given again.")] = None,
    output: Annotated[Text, _data("The output column.")] = None,
    rows: Annotated[Number, _data("A random sample of this many pairs.")] = None,
    name: Annotated[Text, _data(NAME)] = None,
    conversations: Conversations = None,
    drop: Drop = None,
    encoding: Encoding = None,
    separator: Separator = None,
    quotes: Quotes = None,
    config: Config = None,
    split: Split = None,
    revision: Revision = None,
    responses: Annotated[Number, asking("Answers to each prompt.")] = None,
    system_prompt: Annotated[Text, asking("For the control models as for the suspect.")] = None,
    alpha: Annotated[float, asking("The audit's alpha, to say what it can find.")] = 0.05,
    profile: Annotated[str, _models("Whose references, recipes and control models.")] = "small",
    seed: Annotated[Number, _models("Default: the profile's.")] = None,
    out: Annotated[Path | None, _models("Default: audits/<name of the data>/prepared.")] = None,
    dry_run: Annotated[bool, _work(OUTLOOK, "--dry-run")] = False,
    yes: Annotated[bool, _work("Begin work of more than half an hour unasked.", "--yes")] = False,
    json_: AsJson = False,
) -> None:
    """Offline: tune references, find tainted samples, ask control models; one folder holds all.

    First it says what was read and left out, and what the work takes.
    """
    from dsi_core.audit.choices import check_alpha
    from dsi_core.audit.preparation import draft as drafting
    from dsi_core.audit.preparation import prepare, strength
    from dsi_core.planning import here
    from dsi_core.planning import preparation as planned

    check_alpha(alpha)
    draft = drafting.draft(
        data,
        profile,
        iid=iid,
        half=half,
        other_words=other_words,
        control_answers=control_answers or (),
        out=out,
        prompt=tuple(prompt or ()),
        output=output,
        rows=rows,
        name=name,
        reading=reading(context),
        draws=responses,
        system=system_prompt,
        seed=seed,
        fetch=not dry_run,
    )
    outlook = planned.outlook(draft, here.machine(draft.settings), done=True)
    if dry_run and json_:
        typer.echo(json.dumps(outlook.json(), indent=1))
        raise typer.Exit()
    tell(outlook.text(alpha), err=json_)
    if dry_run:
        raise typer.Exit()
    if outlook.is_long and not yes:
        _ask_whether_to_begin()
    done = prepare.make(draft)
    for line in strength.cautions(done):
        tell(f"warning: {line}", err=True)
    if json_:
        carries = as_json(strength.table(done, alpha))
        typer.echo(json.dumps({**outlook.json(), "strength": carries}, indent=1))
        return
    tell(strength.describe(done, alpha))


def _ask_whether_to_begin() -> None:
    """Ask at a terminal; elsewhere nobody answers."""
    if not sys.stdin.isatty():
        raise ValueError(
            "this takes more than half an hour, or nobody knows how long: add --yes to begin it, "
            "or --rows for fewer pairs"
        )
    typer.confirm("Begin?", default=True, abort=True, err=True)
