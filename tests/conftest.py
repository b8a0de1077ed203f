"""Shared helpers: one thread, a store of the session's own, the smoke profile and small tables."""

import os
from pathlib import Path

os.environ.update(
    OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false"
)  # before torch is imported
os.environ.update(
    HF_HUB_OFFLINE="1", DSI_WORKERS="2", CUDA_VISIBLE_DEVICES=""
)  # no hub, and the same numbers everywhere

import pytest
from servers import pauses, server  # noqa: F401 - fixtures

from dsi_core.settings.profile import load_profile


@pytest.fixture(scope="session", autouse=True)
def own_store(tmp_path_factory):
    """A store for this session; wheels are shared with `$DSI_STORE`, if one was set."""
    theirs, ours = os.environ.get("DSI_STORE"), tmp_path_factory.mktemp("store")
    if theirs:
        wheels = Path(theirs).resolve() / "wheels"
        wheels.mkdir(parents=True, exist_ok=True)
        (ours / "wheels").symlink_to(wheels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DSI_STORE", str(ours))
        yield ours


@pytest.fixture
def empty_store(tmp_path, monkeypatch):
    monkeypatch.setenv("DSI_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture(scope="session")
def smoke():
    return load_profile("smoke")


@pytest.fixture(scope="session")
def one_thread():
    import torch

    from dsi_core.runtime.environment import quiet

    torch.set_num_threads(1)
    quiet()


@pytest.fixture(scope="session")
def toy(smoke, one_thread):
    """toy(family) = (model, tokenizer) of the smoke profile, each made and loaded once."""
    from functools import cache

    from dsi_core.models import load
    from dsi_core.runtime.precision import detect

    return cache(lambda family: load.load(load.base(smoke, family), detect()))


@pytest.fixture
def prepared(smoke, one_thread, tmp_path):
    """make(published, withheld=0, controls=3) = `boxes.prepared` in tmp_path/<name>."""
    import boxes

    def make(published: int, withheld: int = 0, controls: int = 3, name: str = "boxes"):
        return boxes.prepared(smoke, tmp_path / name, published, withheld, controls)

    return make
