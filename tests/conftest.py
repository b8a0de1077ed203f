"""Shared fixtures: one thread, a store and notebooks of the session's own, the smoke profile."""

import gc
import os
import shutil
import sys
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path

# Before torch is imported: one thread, as workers have, and jobs in this process: a toy is tuned
# sooner than a worker starts. No GPU and no hub: the same numbers everywhere.
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
os.environ.update(DSI_WORKERS="0", CUDA_VISIBLE_DEVICES="", HF_HUB_OFFLINE="1")
os.environ["DSI_RELEASED"] = "0"  # what tests look at, they make

import pytest
from batching import batches  # noqa: F401 - a fixture
from filelock import FileLock
from helpers import files
from servers import pauses, server, vllm  # noqa: F401 - fixtures

import dsi_core.reproduce  # noqa: F401 - before nbformat: it starts sooner
from dsi_core.runtime.devices import cores
from dsi_core.runtime.paths import ROOT
from dsi_core.settings.profile import load_profile

gc.set_threshold(700, 10, 100)  # all objects are looked through ten times more rarely than usual

# Half a million objects, which every tuning would look through twice, for a third of a second each
LARGE = ("trl.trainer.sft_trainer", "bert_score", "seaborn", "nbclient")
LATE = 200  # modules imported since
_imported = 0

# Long, and what they tune others need: first, so that no process waits for another or at the end
FIRST = [
    "notebooks/test_observations.py",
    "runtime/test_jobs.py",  # mostly waits
    "notebooks/test_imitation.py",
    "notebooks/test_calibration.py",
    "notebooks/test_non_iid.py",
    "notebooks/test_grey_box.py",
    "notebooks/test_robustness.py",
    "notebooks/test_ablations.py",
    "notebooks/test_attribution.py",
    "notebooks/test_papermill.py",
    "audit/test_real_servers.py",
    "audit/asking/test_run.py",
    "models/test_tuning.py",
    "test_cli.py",  # which would be the last
]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """One process more than cores: while one waits for a server, a lock or a child, two work."""
    return cores() + 1


def pytest_collection_modifyitems(items):
    """Begin with `FIRST`."""
    order = {f"tests/{name}": place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: order.get(item.location[0], len(order)))


def pytest_collection_finish(session):
    """What was imported stays: no collection of garbage looks through it again."""
    if any(item.location[0].startswith("tests/notebooks") for item in session.items):
        for name in LARGE:
            import_module(name)
    _freeze()


def pytest_runtest_setup():
    """Nor through what was imported since."""
    if len(sys.modules) > _imported + LATE:
        _freeze()


def _freeze():
    global _imported
    gc.collect()
    gc.freeze()
    _imported = len(sys.modules)


@pytest.fixture(scope="session", autouse=True)
def checkout(pytestconfig):
    """The whole suite leaves no file in the checkout, and figures and notebooks as they were."""
    if pytestconfig.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        yield  # a part of it: by somebody who works here
        return
    before = _checkout()
    yield
    after = _checkout()
    written = [name for name, state in after.items() if before.get(name) != state]
    assert not written, f"written into the checkout meanwhile: {written}"


def _checkout() -> dict[str, int | None]:
    """Its files but for caches; of figures and notebooks also when each was last written."""
    kept = "figures", "notebooks", "params"
    return {
        name: time if name.split("/")[0] in kept else None
        for name, time in files(ROOT).items()
        if not any(part.startswith(".") or part == "__pycache__" for part in name.split("/"))
    }


@pytest.fixture(scope="session")
def together(tmp_path_factory) -> Path:
    """A folder of this session's own; the processes of pytest-xdist share it."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session", autouse=True)
def own_store(together):
    """A store for this session; wheels are shared with `$DSI_STORE`, if one was set."""
    theirs, ours = os.environ.get("DSI_STORE"), together / "store"
    ours.mkdir(exist_ok=True)
    if theirs:
        wheels = Path(theirs).resolve() / "wheels"
        wheels.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            (ours / "wheels").symlink_to(wheels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DSI_STORE", str(ours))
        yield ours


@pytest.fixture(scope="session", autouse=True)
def no_power_cut():
    """Files are not waited for until they are on the disk: no test pulls the plug."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda number: None)
        yield


@pytest.fixture(scope="session")
def ran(together, own_store, one_thread):
    """ran("02") = the folder with what notebook 02 saved on smoke; it runs once a session."""
    import cells

    failed = {}

    def run(number: str) -> Path:
        if number in failed:
            raise failed[number]
        folder = together / "notebooks" / number
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            if not (folder / "done").exists():
                try:
                    cells.run(number, folder, profile="smoke", figures_dir=str(folder))
                    _freeze()  # it imported what trains and draws
                except BaseException as error:
                    failed[number] = error
                    raise
                (folder / "done").touch()
        return folder / "smoke"

    return run


@pytest.fixture
def empty_store(tmp_path, monkeypatch):
    monkeypatch.setenv("DSI_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture
def two_workers(monkeypatch):
    """Jobs run in two processes of their own, as on a machine with two cores."""
    monkeypatch.setenv("DSI_WORKERS", "2")


@pytest.fixture(scope="session")
def smoke():
    """The smoke profile with the suspects that it lists; tests put others in their place."""
    return load_profile("smoke").changed(non_members_from=[])


@pytest.fixture(scope="session")
def one_thread():
    import torch

    from dsi_core.runtime.environment import quiet

    torch.set_num_threads(1)
    quiet()
    gc.freeze()  # what was imported stays: each training collects garbage once


@pytest.fixture(scope="session")
def toy(smoke, one_thread):
    """toy(family) = (model, tokenizer) of the smoke profile, each made and loaded once."""
    from dsi_core.models import load
    from dsi_core.runtime.precision import detect

    return cache(lambda family: load.load(load.base(smoke, family), detect("fp32")))


@pytest.fixture(scope="session")
def boxes_of(smoke, one_thread, own_store, tmp_path_factory):
    """boxes_of(count, controls) = a folder of `boxes.prepared`, made once a session."""
    import boxes

    def make(count: int, controls: int) -> Path:
        folder = tmp_path_factory.mktemp("boxes") / "boxes"  # as far from the store as its copies
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DSI_STORE", str(own_store))  # the toy BERT lies there
            return boxes.prepared(smoke, folder, count, controls).folder

    return cache(make)


@pytest.fixture
def prepared(boxes_of, tmp_path):
    """make(count, controls=3) = `boxes.prepared` in tmp_path/<name>, a copy of the test's own."""
    from dsi_core.audit.preparation import prepared as preparation

    def make(count: int, controls: int = 3, name: str = "boxes"):
        folder = tmp_path / name
        shutil.copytree(boxes_of(count, controls), folder, dirs_exist_ok=True)
        return preparation.read(folder)

    return make
