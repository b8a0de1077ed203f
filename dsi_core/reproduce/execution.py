"""Execute one notebook headlessly through papermill, and say how it went."""

import logging
import sys
from pathlib import Path
from typing import Any

import nbformat
import papermill
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbconvert.preprocessors.coalescestreams import CoalesceStreamsPreprocessor

from dsi_core.reproduce import needs
from dsi_core.runtime import disk
from dsi_core.runtime.paths import ROOT
from dsi_core.settings import profile as profiles

RANDOM_MODELS = (
    "> **Random models: the results on this page mean nothing.** It shows that the code runs."
)
SKIPPED = "> **Some cells were skipped**, which need what {}."
LONGEST_REASON = 300  # characters of an error that the summary repeats
# Loggers that tell of tasks and sockets which nobody waits for once a run is interrupted, and of a
# kernel's death, which is said here
QUIET = ("asyncio", "tornado", "papermill")
# What a library or a worker process writes to stderr, beside Python's own, goes to the terminal as
# progress does, and not into cells; and a kernel says nothing of its sockets or of Ctrl-C.
KERNEL_OPTIONS = (
    "--IPKernelApp.capture_fd_output=False",
    f"--log-level={logging.CRITICAL}",
    *(
        f"--IPKernelApp.exec_lines=__import__('logging').getLogger({name!r}).setLevel('CRITICAL')"
        for name in QUIET
    ),
)


def check(notebook: Path, values: dict[str, Any]) -> None:
    """Refuse what papermill only warns about.

    Raises
    ------
    ValueError
        A parameter that the notebook lacks, or not exactly one cell tagged `parameters`.
    """
    cells = nbformat.read(notebook, as_version=4).cells
    tagged = sum("parameters" in cell.metadata.get("tags", []) for cell in cells)
    if tagged != 1:
        raise ValueError(
            f"{notebook.name}: {tagged} cells are tagged 'parameters', needs exactly one"
        )
    known = papermill.inspect_notebook(_literal(notebook))
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(
            f"{notebook.name}: unknown parameter {', '.join(unknown)}; known: {', '.join(known)}"
        )


class ThisPython(AsyncKernelManager):
    """Starts kernels of this Python, whatever "python3" is among the kernels that are installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        """What starts a kernel."""
        return KernelSpec(**get_kernel_dict(list(KERNEL_OPTIONS)))


def _literal(path: Path) -> str:
    """A path as papermill takes it, which reads a format string."""
    return str(path).replace("{", "{{").replace("}", "}}")


def execute(
    notebook: Path,
    out: Path,
    values: dict[str, Any],
    timeout: int | None = None,
    banner: str | None = None,
    profile: profiles.Profile | None = None,
) -> str | None:
    """Run one notebook with the kernel of this Python; progress appears on this terminal alone.

    Parameters
    ----------
    out
        Folder of the executed copy, which stays there however the run ended.
    values
        The notebook's parameters.
    timeout
        Seconds allowed for one cell.
    banner
        What the executed copy says below its title before all else.
    profile
        Cells that need a section which it lacks are skipped; None = all cells run.

    Returns
    -------
    str or None
        None if every cell ended, else why not.
    """
    out.mkdir(parents=True, exist_ok=True)
    copy = out / notebook.name
    taken = notebook
    if profile is not None:
        whole = nbformat.read(notebook, as_version=4)
        if lacking := needs.skip_cells(profile, whole):
            _put_below_the_title(whole, SKIPPED.format(needs.said(profile, lacking)))
            disk.write_text(copy, nbformat.writes(whole) + "\n")
            taken = copy
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        papermill.execute_notebook(
            _literal(taken),
            _literal(copy),
            values,
            kernel_name="python3",
            kernel_manager_class=ThisPython,
            cwd=str(ROOT),
            progress_bar=False,
            execution_timeout=timeout,
            stderr_file=sys.stderr,
        )
    except papermill.PapermillExecutionError as error:
        reason = _last_line(error.evalue)[:LONGEST_REASON]
        return f"cell {error.exec_count}: {error.ename}: {reason} (see {copy})"
    except DeadKernelError:
        return f"the kernel died, as where no memory is left: set DSI_WORKERS=1 (see {copy})"
    except CellTimeoutError as error:
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0]} (see {copy})"
    executed = nbformat.read(copy, as_version=4)
    # of what a cell overwrites with "\r" the last state, not each one
    executed, _ = CoalesceStreamsPreprocessor(enabled=True)(executed, {})
    _off_the_slides(executed)
    undone = next((n for n, cell in enumerate(executed.cells) if _never_ran(cell)), None)
    # papermill's own words do not tell a dead kernel or an interrupt from an end
    executed.metadata.papermill["passed"] = undone is None
    if banner:
        _put_below_the_title(executed, banner)
    disk.write_text(copy, nbformat.writes(executed) + "\n")
    return None if undone is None else f"cell {undone} never ran (see {copy})"


def _off_the_slides(notebook: nbformat.NotebookNode) -> None:
    """The cell that papermill wrote is skipped in slides, like the one with the parameters."""
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata["slideshow"] = {"slide_type": "skip"}


def banner_of(profile: str) -> str | None:
    """What every executed copy of a profile must say first: nothing, unless its models are toys."""
    models = profiles.load_profile(profile).models.values()
    return RANDOM_MODELS if all(model.toy for model in models) else None


def _put_below_the_title(notebook: nbformat.NotebookNode, banner: str) -> None:
    first = notebook.cells[0]
    if first.cell_type == "markdown" and first.source.startswith("# "):
        title, _, rest = first.source.partition("\n")
        first.source = f"{title}\n\n{banner}\n{rest}"
    else:
        notebook.cells.insert(0, nbformat.v4.new_markdown_cell(banner))


def _never_ran(cell: nbformat.NotebookNode) -> bool:
    """A code cell without an end, as after `sys.exit()` in an earlier one."""
    if cell.cell_type != "code" or "skip-execution" in cell.metadata.get("tags", []):
        return False
    return cell.metadata.get("papermill", {}).get("status") != "completed"


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""
