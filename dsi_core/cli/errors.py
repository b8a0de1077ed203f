"""How commands end: each error in a line with an exit code, and interrupts at once."""

import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from dsi_core.runtime.engines import choice
from dsi_core.runtime.environment import any_text, printable, variables
from dsi_core.runtime.errors import KEPT, Whose, said, whose

INTERRUPTED, UNREAD = 130, 141  # exit codes
CODES = {Whose.USER: 2, Whose.SERVICE: 3, Whose.FAULT: 70}
ANYWHERE = ("--debug", "--quiet")  # options of `dsi` that may stand behind a command, too
WITH_VALUE = {"--engine": choice.ENGINE, "--part": choice.PART}  # and those with a value


class Commands(TyperGroup):
    """The commands of `dsi`: what one of them raises is one line and an exit code."""

    def main(self, args: Any = None, *others: Any, **more: Any) -> Any:
        """Begin; no console is too poor for what is said. An interrupt ends at once."""
        any_text()
        try:
            return super().main(args, *others, **more)
        except SystemExit as end:
            if args is None and end.code == INTERRUPTED:  # a process of its own
                sys.stdout.flush()
                _end_children()
                os._exit(INTERRUPTED)  # what libraries would do first takes seconds
            raise

    def parse_args(self, context: Any, args: list[str]) -> list[str]:
        """Read the options of `dsi` wherever they stand: a hint says "again with --debug"."""
        first, rest, words = [], [], iter(args)
        for word in words:
            if word in WITH_VALUE:
                first += [word, *islice(words, 1)]
            elif word in ANYWHERE or word.partition("=")[0] in WITH_VALUE:
                first.append(word)
            else:
                rest.append(word)
        return super().parse_args(context, [*first, *rest])

    def invoke(self, context: Any) -> Any:
        """Run a command, with clear errors."""
        os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # its five tries end in one line
        given = {v: context.params.get(name.strip("-")) for name, v in WITH_VALUE.items()}
        said: dict[str, str | None] = {name: value for name, value in given.items() if value}
        if context.params.get("quiet"):
            said["DSI_PROGRESS"] = "none"
        with clear_errors(debug=context.params.get("debug", False)), variables(said):
            if said.keys() - {"DSI_PROGRESS"}:  # refused before anything else is done
                choice.engine(), choice.part()
            result = super().invoke(context)
            sys.stdout.flush()  # here, and not at the end of Python: a closed pipe is no fault
            return result


@contextmanager
def _ended_as_interrupted() -> Iterator[None]:
    """Let SIGTERM (of `kill`, `timeout`, a scheduler) do what Ctrl-C does: leave nothing behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def clear_errors(*, debug: bool = False) -> Iterator[None]:
    """One line for what a user can mend (exit code 2) and for a service that failed for good (3).

    And one for each warning of ours; what libraries warn of is for who develops. What nobody
    foresaw is one line as well (70). debug: with the traceback before it.
    """
    try:
        with warnings.catch_warnings(), _ended_as_interrupted():
            if not debug:
                warnings.filterwarnings("ignore")
            warnings.filterwarnings("default", module=r"dsi_core\b")
            warnings.showwarning = lambda message, *_: tell(f"warning: {message}", err=True)
            yield
    except KeyboardInterrupt as error:
        if debug:
            traceback.print_exception(error)
        _end(f"interrupted: {str(error) or KEPT}", INTERRUPTED)
    except BrokenPipeError:
        _end_unread()
    except Exception as error:
        if hasattr(error, "exit_code") or isinstance(error, typer.Abort):
            raise  # typer's own
        if debug:
            traceback.print_exception(error)
        _end(f"error: {said(error)}", CODES[whose(error)])


def tell(text: str, *, err: bool = False) -> None:
    """Print a text, in which names and sentences of others' files may stand."""
    typer.echo(printable(text), err=err)


def _end(line: str, code: int) -> NoReturn:
    tell(line, err=True)
    raise typer.Exit(code) from None


def _end_children() -> None:
    from dsi_core.runtime.processes import end_children

    end_children()


def _end_unread() -> NoReturn:
    """Whoever reads our output (`| head`) has enough: end without a word."""
    with suppress(OSError, ValueError):  # not a file of the system
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise typer.Exit(UNREAD) from None
