"""How a notebook shows warnings: in a line for its reader, and the same words once."""

import sys
import warnings

from IPython.core.getipython import get_ipython


class _Shown:
    """Shows warnings; the same words again only where their cell runs again."""

    def __init__(self) -> None:
        self.cell, self.run = "", 1  # of the cell that imports this
        self.last: dict[str, tuple[str, int]] = {}

    def begin(self, info) -> None:
        """A cell is about to run."""
        self.cell, self.run = info.cell_id or info.raw_cell, self.run + 1

    def show(self, message, category, filename, lineno, file=None, line=None) -> None:
        text = warnings.formatwarning(message, category, filename, lineno, line)
        cell, run = self.last.get(text, (self.cell, 0))
        if cell == self.cell and run < self.run:
            self.last[text] = (cell, self.run)
            print(text, end="", file=file or sys.stderr)


def in_notebooks() -> None:
    """Show warnings so from now on: each vote of a page would say the same again."""
    shown = _Shown()
    warnings.formatwarning, warnings.showwarning = _in_a_line, shown.show
    shell = get_ipython()
    if shell is not None:
        shell.events.register("pre_run_cell", shown.begin)


def _in_a_line(message, category, filename, lineno, line=None) -> str:
    """A warning as a line for readers, and where it comes from if it is for who develops."""
    if category is UserWarning:
        return f"warning: {message}\n"
    return f"{filename}:{lineno}: {category.__name__}: {message}\n"
