"""Shared helpers: one thread, a store of the session's own, the smoke profile and small tables."""

import json
import os
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")  # before torch is imported
os.environ.update(HF_HUB_OFFLINE="1", DSI_WORKERS="2", CUDA_VISIBLE_DEVICES="")  # no hub, and the same numbers everywhere

import pandas as pd
import pytest

from dsi_core.params import ROOT, load_profile

SHARED = ROOT.parent / "shared" / "data"


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

    from dsi_core import work

    torch.set_num_threads(1)
    work.quiet()


@pytest.fixture(scope="session")
def toy(smoke, one_thread):
    """toy(family) = (model, tokenizer) of the smoke profile, each made and loaded once."""
    from functools import cache

    from dsi_core import models

    return cache(lambda family: models.load(smoke, family))


def change(model, **updates):
    """A copy of a settings object with some fields replaced; a dict changes the fields of the part below it."""
    new = {k: change(getattr(model, k), **v) if isinstance(v, dict) and hasattr(getattr(model, k), "model_copy") else v
           for k, v in updates.items()}
    return model.model_copy(update=new)


def write_jsonl(path: Path, rows: list) -> Path:
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    return path


def says(error, *parts: str) -> None:
    """The message of a caught error contains every part."""
    missing = [p for p in parts if p not in str(error.value)]
    assert not missing, f"{missing} not in: {error.value}"


def table(columns: str, *rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns.split())
