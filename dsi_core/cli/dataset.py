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
ANSWERS_OF = (
    "A file of answers by an innocent model (JSON Lines: prompt, response); may be given again."
)
NAME = "The dataset's name in reports. Default: its file's."
SAMPLE = "Use a random sample of this many rows; the others are not part of the kit. Default: all."
WORDINGS = (
    "The two wordings, of which a coin publishes one: two output columns (answer,answer2), "
    "or a file with the same prompts."
)
WITHHELD = "The part kept back, if you split the data yourself: --data is then the published part."
SHARE = (
    "The share of the coins that publish, in (0, 1). Default: 0.5; with --wordings every row "
    "is published."
)
GROUP = "A column: rows with an equal value share a coin, e.g. source."
NO_TOSS = "Say what an audit could find and what to look at; toss no coin and write nothing."
OUTLOOK = "Say what was read, what the work takes and how small p can be; write nothing."
IID = "More data of the same kind, not accused, to tune the hardest controls on."
WORDS = "The dataset's facts in other words, to tune controls on."
PROMPT = "A prompt column; may be given again. Default: recognised, if it has a usual name."
OUTPUT = "The output column. Default: recognised, if it has a usual name."
ACCUSED = "Accuse a random sample of this many pairs. Default: all, or a half (see --half)."
RESPONSES = "Answers to each prompt. Default: the profile's."
SYSTEM = "The system prompt for the control models and the suspect. Default: the profile's."

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
    withheld: Annotated[Path | None, _data(WITHHELD)] = None,
    group: Annotated[Text, _data(GROUP)] = None,
    prompt: Annotated[list[str] | None, _data(PROMPT)] = None,
    output: Annotated[Text, _data(OUTPUT)] = None,
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
    out: Annotated[
        Path | None, typer.Option(help="The kit's folder. Default: kits/<name>.")
    ] = None,
) -> None:
    """Let a coin choose what to publish, before you do, and commit to its choice.

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
    iid: Annotated[Text, _data(IID)] = None,
    half: Annotated[bool, _data(HALF, "--half/--whole")] = True,
    other_words: Annotated[Text, _data(WORDS)] = None,
    control_answers: Annotated[list[str] | None, _data(ANSWERS_OF)] = None,
    prompt: Annotated[list[str] | None, _data(PROMPT)] = None,
    output: Annotated[Text, _data(OUTPUT)] = None,
    rows: Annotated[Number, _data(ACCUSED)] = None,
    name: Annotated[Text, _data(NAME)] = None,
    conversations: Conversations = None,
    drop: Drop = None,
    encoding: Encoding = None,
    separator: Separator = None,
    quotes: Quotes = None,
    config: Config = None,
    split: Split = None,
    revision: Revision = None,
    responses: Annotated[Number, asking(RESPONSES)] = None,
    system_prompt: Annotated[Text, asking(SYSTEM)] = None,
    alpha: Annotated[
        float, asking("The alpha of the audit to come, to say what it can find.")
    ] = 0.05,
    profile: Annotated[
        str, _models("The profile whose references, recipes and controls are used.")
    ] = "small",
    seed: Annotated[Number, _models("The seed of all draws. Default: the profile's.")] = None,
    out: Annotated[Path | None, _models("The folder. Default: audits/<name>/prepared.")] = None,
    dry_run: Annotated[bool, _work(OUTLOOK, "--dry-run")] = False,
    yes: Annotated[
        bool, _work("Begin work of more than half an hour without asking.", "--yes")
    ] = False,
    json_: AsJson = False,
) -> None:
    """Tune references, find tainted samples and ask control models, for data that are out already.

    First it says what was read and left out, and what the work takes. One folder holds it all.
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
