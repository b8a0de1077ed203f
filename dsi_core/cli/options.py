"""What the options of several commands share."""

import json
from collections.abc import Callable
from typing import Annotated, Any

import typer

Text = str | None
Number = int | None
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs, to stdout.")]


def as_json(table: Any) -> Any:
    """Give a table as JSON has it: a list of rows; what there is none of is null."""
    return json.loads(table.to_json(orient="records"))


def panel(title: str) -> Callable[..., Any]:
    """Options that `--help` shows under one title: called with an option's help and its names."""

    def option(text: str, *names: str) -> Any:
        return typer.Option(*names, help=text, rich_help_panel=title)

    return option


def reading(**given: Any) -> dict[str, Any]:
    """Settings of how data is read, as `data.columns.source` takes them."""
    from dsi_core.data.columns import to_drop

    tab = given["separator"] in ("tab", "\\t")
    return given | {
        "drop": to_drop(given["drop"]),
        "separator": "\t" if tab else given["separator"],
    }
