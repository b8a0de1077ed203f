"""What the options of several commands share."""

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

Text = str | None
Number = int | None
AsJson = Annotated[bool, typer.Option("--json", help="Write the result to stdout as JSON.")]


def as_json(table: Any) -> Any:
    """Give a table as JSON has it: a list of rows; missing values are null."""
    return json.loads(table.to_json(orient="records"))


def typed(context: typer.Context, *names: str) -> list[str]:
    """Give the options of these parameters that stand on the command line."""
    sources = {name: context.get_parameter_source(name) for name in names}
    given = {name for name, source in sources.items() if source and source.name == "COMMANDLINE"}
    return [option.opts[0] for option in context.command.params if option.name in given]


def check_least(context: typer.Context, least: Mapping[str, float]) -> None:
    """Refuse numbers that are too small, by their options: settings have names of their own.

    least: the smallest that is allowed, by parameter.
    """
    for name, number in least.items():
        if (value := context.params[name]) is not None and value < number:
            option = next(one for one in context.command.params if one.name == name)
            raise ValueError(f"{option.opts[0]} is {value:g}; needs at least {number:g}")


def panel(title: str) -> Callable[..., Any]:
    """Options that `--help` shows under one title: called with an option's help and its names."""

    def option(text: str, *names: str) -> Any:
        return typer.Option(*names, help=text, rich_help_panel=title)

    return option


AUDIT = "An audit of one model"  # of the commands
asking = panel("What is asked")
_file = panel("How the data is read")
Conversations = Annotated[
    Text, _file("The column that holds lists of messages, instead of prompt and output columns.")
]
Drop = Annotated[
    Text,
    _file(
        "Kinds of rows to leave out, with commas: empty, duplicates, no-answer; for a preparation "
        "also too-long. They are counted."
    ),
]
Encoding = Annotated[
    Text, _file("The text file's encoding. Default: its byte-order mark's, or UTF-8.")
]
Separator = Annotated[
    Text,
    _file(
        "What separates a CSV's fields. Default: the one of , ; tab | with which every row fits "
        "the header."
    ),
]
Quotes = Annotated[
    Text,
    _file(
        "How quotes in a CSV are read: checked (default), trusted (they may enclose lines that "
        "look like rows) or text (like any character)."
    ),
]
Config = Annotated[Text, _file("The hub dataset's configuration, if it has several.")]
Split = Annotated[Text, _file("The hub dataset's split. Default: train.")]
Revision = Annotated[Text, _file("The hub dataset's commit, tag or branch.")]
READING = (
    "conversations",
    "drop",
    "encoding",
    "separator",
    "quotes",
    "config",
    "split",
    "revision",
)


def reading(context: typer.Context) -> dict[str, Any]:
    """Give the options of `READING` that a command got, as `data.columns.source` takes them.

    A command that reads data has a parameter for each of `READING`, and need not name them again.
    """
    from dsi_core.data.columns import to_drop

    given = {name: context.params[name] for name in READING}
    tab = given["separator"] in ("tab", "\\t")
    return given | {
        "drop": to_drop(given["drop"]),
        "separator": "\t" if tab else given["separator"],
    }
