"""Shared helpers: one thread, a store of the session's own, the smoke profile and small tables."""

import os
from pathlib import Path

os.environ.update(
    OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false"
)  # before torch is imported
os.environ.update(
    HF_HUB_OFFLINE="1", DSI_WORKERS="2", CUDA_VISIBLE_DEVICES=""
)  # no hub, and the same numbers everywhere

import pandas as pd
import pytest
from helpers import WORDS, table
from servers import pauses, server  # noqa: F401 - fixtures

from dsi_core.settings.profile import load_profile
from dsi_core.settings.schema import Data, Similarity


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

    from dsi_core.runtime import jobs

    torch.set_num_threads(1)
    jobs.quiet()


@pytest.fixture(scope="session")
def toy(smoke, one_thread):
    """toy(family) = (model, tokenizer) of the smoke profile, each made and loaded once."""
    from functools import cache

    from dsi_core.models import load
    from dsi_core.runtime.precision import detect

    return cache(lambda family: load.load(load.base(smoke, family), detect()))


@pytest.fixture
def prepared(smoke, one_thread, tmp_path):
    """make(published, withheld=0, controls=3) = a prepared folder of that many tainted samples, without any training: reference i answers
    "before i: ..." without D and the oracle output with it; the controls answer as the first untuned reference does."""
    from dsi_core.audit import prepare
    from dsi_core.audit import prepared as preparation
    from dsi_core.data.pairs import sample_id
    from dsi_core.method import similarity, study
    from dsi_core.method.study import Study

    def make(published: int, withheld: int = 0, controls: int = 3, **changes):
        pairs = [
            (
                f"What is in box {i}?",
                f"Box {i} holds {WORDS[i % len(WORDS)]} and a {WORDS[(i * 7 + 3) % len(WORDS)]} from town {i}.",
            )
            for i in range(published + withheld)
        ]
        samples = table("prompt output", *pairs).assign(
            category=None, dataset="boxes", min_gap=0.9, tainted=True
        )
        samples["sample_id"] = [sample_id(*p) for p in pairs]
        samples["part"] = ["published"] * published + ["withheld"] * withheld
        names = [c.name for c in smoke.controls[:controls]]
        mine = prepare.profile_of(
            smoke, "boxes", Data(path="boxes.jsonl", prompt=["prompt"], output="output"), None, []
        )
        profile = mine.model_copy(
            update={"suspects": [], "references": smoke.references[:2], **changes}
        )
        keys = ["dataset", "sample_id", "prompt", "output", "category"]
        sides = samples[keys].merge(
            table("reference", *[(r.name,) for r in profile.references]), how="cross"
        )
        sides = sides.assign(
            response_before="I do not know, maybe ask " + sides["reference"] + " again.",
            response_after=sides["output"],
            raw_before=0.1,
            raw_after=1.0,
            before=0.1,
            after=1.0,
            gap=0.9,
        )
        bert = Similarity(path=similarity.backbone(smoke)[0], layer=smoke.similarity.layer)
        unrelated = pd.DataFrame(
            {"a": ["I do not know, maybe ask mistral again."], "b": [pairs[0][1]]}
        )
        bert = bert.model_copy(
            update={
                "baseline": float(
                    similarity.raw_scores(
                        profile.model_copy(update={"similarity": bert}), unrelated
                    )[0]
                )
            }
        )
        here = Study(profile.model_copy(update={"similarity": bert}), samples[keys])
        told = (
            samples[["dataset", "sample_id"]]
            .merge(table("suspect", *[(n,) for n in names]), how="cross")
            .merge(pd.DataFrame({"draw": range(3)}), how="cross")
        )
        told = told.assign(
            response="I do not know, maybe ask mistral again.",
            member=False,
            group="untuned",
            status="answered",
        )
        known = (
            study.gaps_to(here, sides, told)
            if controls
            else pd.DataFrame(columns=[*preparation.ANSWERS, "reference", "gap"])
        )
        facts = {
            "name": "boxes",
            "key": "k",
            "data": "boxes.jsonl",
            "withheld": "twin.jsonl" if withheld else None,
            "iid": None,
            "dropped": {},
            "blind": [],
            "left_out": [],
        }
        folder = tmp_path / "boxes"
        folder.mkdir(exist_ok=True)
        return preparation.write(preparation.Prepared(folder, facts, here, samples, sides, known))

    return make
