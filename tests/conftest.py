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
from helpers import STRANGER, WORDS, table
from servers import pauses, server  # noqa: F401 - fixtures

from dsi_core.settings.profile import Profile, load_profile
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
    """make(published, withheld=0, controls=3) = a folder of so many tainted samples, untrained.

    Reference i says `STRANGER` with its own name without D and the oracle's output with it; the
    controls say `STRANGER`.
    """
    from dsi_core.audit import prepared as preparation
    from dsi_core.audit.facts import Facts
    from dsi_core.audit.prepared import Prepared
    from dsi_core.data.pairs import sample_id
    from dsi_core.method import accusation, similarity, study
    from dsi_core.method.study import PAIR, Study

    def pairs(count: int) -> pd.DataFrame:
        rows = []
        for i in range(count):
            first, second = WORDS[i % len(WORDS)], WORDS[(i * 7 + 3) % len(WORDS)]
            rows.append(
                (f"What is in box {i}?", f"Box {i} holds {first} and a {second} from town {i}.")
            )
        ids = [sample_id(*row) for row in rows]
        samples = table("prompt output", *rows)
        return samples.assign(dataset="boxes", sample_id=ids, category=None)

    def settings(oracle: str) -> Profile:
        """Two references, no suspects; similarity with a baseline of its own, for speed."""
        source = Data(path="boxes.jsonl", prompt=["prompt"], output="output")
        profile = accusation.profile_of(smoke, "boxes", source, None, [])
        bert = Similarity(
            path=similarity.model_type(similarity.backbone(smoke)), layer=smoke.similarity.layer
        )
        unrelated = pd.DataFrame({"a": [STRANGER], "b": [oracle]})
        raw = similarity.raw_scores(similarity.backbone(profile, bert), unrelated)
        return profile.changed(
            suspects=[],
            references=smoke.references[:2],
            similarity=bert.changed(baseline=float(raw[0])),
        )

    def answers_of_controls(run: Study, scores: pd.DataFrame, count: int) -> pd.DataFrame:
        if not count:
            return pd.DataFrame(columns=preparation.KNOWN)
        names = table("suspect", *[(c.name,) for c in smoke.controls[:count]])
        said = run.pairs[["dataset", "sample_id"]].merge(names, how="cross")
        said = said.merge(pd.DataFrame({"draw": range(3)}), how="cross")
        said = said.assign(response=STRANGER, member=False, group="untuned", status="answered")
        return study.gaps_to(run, scores, said)

    def make(published: int, withheld: int = 0, controls: int = 3, name: str = "boxes") -> Prepared:
        samples = pairs(published + withheld).assign(min_gap=0.9, tainted=True)
        samples["part"] = ["published"] * published + ["withheld"] * withheld
        run = Study(settings(samples["output"].iloc[0]), samples[PAIR])
        references = table("reference", *[(r.name,) for r in run.profile.references])
        scores = samples[PAIR].merge(references, how="cross")
        scores = scores.assign(
            response_before="I do not know, maybe ask " + scores["reference"] + " again.",
            response_after=scores["output"],
            raw_before=0.1,
            raw_after=1.0,
            before=0.1,
            after=1.0,
            gap=0.9,
        )
        facts = Facts(
            name="boxes",
            key="k",
            data="boxes.jsonl",
            withheld="twin.jsonl" if withheld else None,
        )
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        known = answers_of_controls(run, scores, controls)
        return preparation.write(Prepared(folder, facts, run, samples, scores, known))

    return make
