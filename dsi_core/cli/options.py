"""What the options of several commands share."""

from collections.abc import Callable
from typing import Any

import typer

Text = str | None
Number = int | None


def panel(title: str) -> Callable[..., Any]:
    """Options that `--help` shows under one title: called with an option's help and its names."""

    def option(text: str, *names: str) -> Any:
        return typer.Option(*names, help=text, rich_help_panel=title)

    return option
