"""Run the notebooks headlessly through papermill, in their order, and say how each went."""

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

import nbformat

from dsi_core.method.participants import references
from dsi_core.models import responses
from dsi_core.models.sampling import Sampling
from dsi_core.reproduce import needs, summary
from dsi_core.reproduce.execution import banner_of, check, execute
from dsi_core.reproduce.summary import End
from dsi_core.runtime import jobs, packing, processes, progress, provenance, released, store
from dsi_core.runtime.devices import cores
from dsi_core.runtime.engines import choice
from dsi_core.runtime.environment import HEAP, ONE_THREAD, variables
from dsi_core.runtime.paths import ROOT
from dsi_core.settings import profile as profiles
from dsi_core.settings import suspects

END_SECONDS = 5.0  # how long a process has that is at nothing, before it is killed
SIDE_BY_SIDE = 4  # notebooks at most, whatever the number of cores: each needs a GB of memory


def notebooks(only: str | None = None) -> list[Path]:
    """The numbered notebooks in their order.

    Parameters
    ----------
    only
        The beginning of one's name ("02").

    Raises
    ------
    ValueError
        No notebook begins so, or `dsi_core` was installed without them.
    """
    numbered = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    if not numbered:
        raise ValueError(
            "dsi_core was installed without its notebooks: in a clone of the repository run "
            "`make figures`, or `pip install -e` it"
        )
    chosen = [path for path in numbered if only is None or path.name.startswith(only)]
    if not chosen:
        names = ", ".join(path.name for path in numbered)
        raise ValueError(f"no notebook begins with {only!r}; there are: {names}")
    return chosen


def copy_of(profile: str, notebook: Path) -> Path:
    """Where a notebook's executed copy lies."""
    return (_aside() or ROOT / "executed") / profile / notebook.name


def _aside() -> Path | None:
    """Where one of several processes (`$DSI_PART`) puts copies and figures; None = it leads."""
    part = choice.part()
    return None if part.leads else store.root().resolve() / "parts" / str(part.number)


def reproduce(
    profile: str,
    only: str | None = None,
    figures_dir: str = "figures",
    timeout: int | None = None,
    *,
    from_released: bool = False,
) -> bool:
    """Run the notebooks with `profile`; print a line for each and a summary.

    Parameters
    ----------
    profile
        A profile's name: a file in `params/`. A bad one is refused before any work starts. What
        it lacks a section for is left out, which is said before (`needs`).
    only
        The beginning of one notebook's name ("02").
    figures_dir
        Tables and figures go to `<figures_dir>/<profile>`.
    timeout
        Seconds allowed for one cell.
    from_released
        What the store lacks is read from the released answers, where these have it, and notebooks
        run side by side, a core for each; else they run one after another and make what is missing.

    Returns
    -------
    bool
        True if all passed. A notebook that failed does not keep the next from running.

    Raises
    ------
    ValueError
        An unknown profile or notebook, no released answer of this profile, or no notebook for
        which it has the sections.
    """
    settings = profiles.load_profile(profile)
    needs.check_files(settings)
    for suite in settings.suites:  # its notebook reads it, which may be hours later
        profiles.load_profile(profile, suite)
    if settings.robustness:  # as are these
        suspects.evading(settings, settings.robustness.suspects)
    if from_released:
        check_released(settings)
    return run(notebooks(only), profile, figures_dir, timeout, from_released=from_released)


def check_released(profile: profiles.Profile) -> None:
    """Refuse a profile without released answers, be it of references in another's study.

    Raises
    ------
    ValueError
        Says where answers were looked for.
    """
    sampling = Sampling.of(profile.responses, profile.seed).for_references()
    if released.of(profile.name) is None and not any(
        responses.folders(model.model_id, model.training, sampling)[1:]
        for model in references(profile)
    ):
        released.check(profile.name)


def run(
    chosen: list[Path],
    profile: str,
    figures_dir: str = "figures",
    timeout: int | None = None,
    *,
    from_released: bool = False,
) -> bool:
    """Run these notebooks, as `reproduce` does; True if all passed."""
    left_out, chosen = _left_out(chosen, profiles.load_profile(profile))
    if not chosen:
        raise ValueError("\n".join(left_out))
    print("\n".join(left_out), end="\n" if left_out else "", flush=True)
    aside = _aside()
    figures_dir = figures_dir if aside is None else str(aside / "figures")
    values = {"profile": profile, "figures_dir": figures_dir}
    for notebook in chosen:
        check(notebook, values)
    figures, started = ROOT / figures_dir / profile, time.time()
    figures.mkdir(parents=True, exist_ok=True)  # before any work, should it be refused
    together = min(cores(), SIDE_BY_SIDE, len(chosen)) if from_released else 1
    # Kernels have no terminal of their own, and draw as notebooks do, wherever they are run
    shown = {progress.VARIABLE: str(progress.how()), "MPLBACKEND": None}
    work = partial(_run, profile=profile, values=values, timeout=timeout, listed=not from_released)
    here = {**ONE_THREAD, **HEAP} if from_released else {released.SWITCH: released.OFF}
    before = summary.scored_here()
    with variables({**shown, **here}):
        ends = (
            _one_by_one(chosen, work, profile)
            if together == 1
            else _side_by_side(chosen, work, together)
        )
    scored = summary.scored_here() - before if from_released else 0
    print("\n".join(summary.lines(ends, left_out, figures, started, scored)))
    print(f"notebooks with their outputs: {copy_of(profile, chosen[0]).parent}", flush=True)
    return all(end.why_not is None for end in ends)


def _left_out(chosen: list[Path], profile: profiles.Profile) -> tuple[list[str], list[Path]]:
    """A line for each notebook, or part of one, that the profile leaves out; what can be run."""
    lines, whole = [], []
    for notebook in chosen:
        if lacking := needs.lacks(profile, notebook):
            lines.append(f"left out  {notebook.name}: {needs.said(profile, lacking)}")
            continue
        whole.append(notebook)
        if some := needs.skip_cells(profile, nbformat.read(notebook, as_version=4)):
            lines.append(f"in part   {notebook.name}: {needs.said(profile, some)}")
    return lines, whole


def _one_by_one(chosen: list[Path], work: Callable[[Path], End], profile: str) -> list[End]:
    ends = []
    with progress.phases({path.stem: _seconds_last_time(path, profile) for path in chosen}):
        for notebook in chosen:
            progress.begin(notebook.stem)
            ends.append(work(notebook))
    return ends


def _side_by_side(chosen: list[Path], work: Callable[[Path], End], together: int) -> list[End]:
    ends: dict[Path, End] = {}
    pool = ProcessPoolExecutor(together, get_context("spawn"))
    try:
        with progress.Progress(len(chosen), text="notebooks") as bar:
            # The last ones take longest (10: the null): begun last, one would run alone at the end
            for future in as_completed([pool.submit(work, n) for n in reversed(chosen)]):
                end = future.result()
                ends[end.notebook] = end
                bar.show(len(ends), f"{len(ends)}/{len(chosen)} notebooks, {end.notebook.stem}")
    except BrokenProcessPool:
        undone = ", ".join(path.name for path in chosen if path not in ends)
        raise jobs.WorkerDied(
            f"the process of a notebook was killed, as by a machine without memory: {undone} did "
            "not end. Run them one at a time (--only), or without --released"
        ) from None
    finally:  # at an error or an interrupt, too, where some still run
        running = active_children()
        pool.shutdown(wait=False, cancel_futures=True)
        for process in running if len(ends) == len(chosen) else []:
            process.join(END_SECONDS)
        processes.end(process.pid for process in running)
    return [ends[path] for path in chosen]


def _seconds_last_time(notebook: Path, profile: str) -> float | None:
    """How long a notebook took when it was last run on this profile."""
    copy = copy_of(profile, notebook)
    try:
        told = nbformat.read(copy, as_version=4).metadata.papermill.duration
    except (OSError, ValueError, AttributeError):  # never run, or not to its end
        return None
    return float(told) if told else None


def _run(
    notebook: Path, profile: str, values: dict[str, Any], timeout: int | None, *, listed: bool
) -> End:
    """Run one notebook. listed: whether the entries of the store that it looks at are listed."""
    progress.say(f"{provenance.now()}  {notebook.name} on {profile}")
    started = time.time()
    looked_at = _list_anew(profile, notebook) if listed else None
    with variables({store.USED: None if looked_at is None else str(looked_at)}):
        out = copy_of(profile, notebook).parent
        settings = profiles.load_profile(profile)
        why_not = execute(notebook, out, values, timeout, banner_of(profile), settings)
    if looked_at is not None and why_not is None:
        looked_at.replace(_list_of(profile, notebook))
    return End(notebook, why_not, time.time() - started)


def _list_of(profile: str, notebook: Path) -> Path:
    """Where a notebook's list lies that has run to its end."""
    listed, aside = packing.use_list(profile, notebook.stem), _aside()
    return listed if aside is None else aside / listed.name


def _list_anew(profile: str, notebook: Path) -> Path:
    """An empty list of what a notebook looks at; the one of its last run is gone."""
    listed = _list_of(profile, notebook)
    unfinished = listed.with_suffix(packing.UNFINISHED)
    store.make_root()
    listed.parent.mkdir(parents=True, exist_ok=True)
    unfinished.write_text("")
    listed.unlink(missing_ok=True)
    return unfinished
