"""How a notebook shows what its reader can mend: in a line with what helps, without the code."""

import sys
import traceback
from pathlib import Path
from types import TracebackType

from IPython.core.getipython import get_ipython

from dsi_core.runtime.environment import printable
from dsi_core.runtime.errors import KEPT, Whose, said, whose

OURS = str(Path(__file__).parents[1])
RED, PLAIN = "\x1b[31m", "\x1b[0m"


def in_line(error: BaseException) -> str | None:
    """Say what went wrong in our code and what helps.

    None: it was raised in the reader's own code, or nobody foresaw it, and the traceback says more.
    """
    frames = traceback.extract_tb(error.__traceback__)
    if not any(frame.filename.startswith(OURS) for frame in frames):
        return None
    if isinstance(error, KeyboardInterrupt):
        return KEPT
    return None if whose(error) is Whose.FAULT else printable(said(error))


def in_notebooks() -> None:
    """Let the notebook that runs this, if any, show errors as `in_line` says them."""
    shell = get_ipython()
    if shell is not None and hasattr(shell, "kernel"):
        shell.set_custom_exc((Exception, KeyboardInterrupt), _show)


def _show(shell, kind: type, error: BaseException, trace: TracebackType, tb_offset=None) -> None:
    line = in_line(error)
    if line is None:
        shell.showtraceback((kind, error, trace), running_compiled_code=True)
        return
    sys.last_type, sys.last_value, sys.last_traceback = kind, error, trace  # what %tb shows
    shown = f"{RED}{kind.__name__}{PLAIN}: {line} (where in the code: %tb)"
    shell._showtraceback(kind, line, [shown])
