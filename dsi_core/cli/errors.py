"""The one place that turns exceptions into lines and exit codes."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import requires
from typing import Any

import typer
from typer.core import TyperGroup


class Commands(TyperGroup):
    """The commands of `dsi`, whatever one of them raises."""

    def invoke(self, context: typer.Context) -> Any:
        """Run a command, with clear errors."""
        with clear_errors():
            return super().invoke(context)


@contextmanager
def clear_errors() -> Iterator[None]:
    """One line for a user's error (exit code 2) and for an API that failed for good (3).

    And one for each warning of ours; what libraries warn of is for who develops.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore")
            warnings.filterwarnings("default", module=r"dsi_core\b")
            warnings.showwarning = lambda message, *_: typer.echo(f"warning: {message}", err=True)
            yield
    except ModuleNotFoundError as error:
        group = group_of(error.name or "")
        if group is None:
            raise
        typer.echo(f"error: {error.name} is missing: pip install 'dsi_core[{group}]'", err=True)
        raise typer.Exit(2) from None
    except ValueError as error:
        typer.echo(f"error: {_message(error)}", err=True)
        raise typer.Exit(2) from None
    except Exception as error:
        from dsi_core.services.endpoint import EndpointError

        if not isinstance(error, EndpointError):
            raise
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(3) from None


def group_of(module: str) -> str | None:
    """The dependency group that brings a module ("trl" -> "tune"), read from this package."""
    for line in requires("dsi_core") or []:
        name, _, group = line.partition("; extra == ")
        if group and name.replace("-", "_").lower() == module.partition(".")[0].lower():
            return group.strip("\"'")
    return None


def _message(error: ValueError) -> str:
    """An error's message; of settings that pydantic refuses, which and why."""
    refused = error.errors() if hasattr(error, "errors") else []
    lines = []
    for entry in refused:
        place = ".".join(map(str, entry["loc"]))
        why = entry["msg"].removeprefix("Value error, ")
        lines.append(f"{place}: {why}" if place else why)
    return "; ".join(lines) or str(error)
