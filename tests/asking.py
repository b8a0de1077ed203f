"""What tests of audits share: scripts of a served model, plans, what lies in an audit's folder."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from helpers import STRANGER
from servers import reply

from dsi_core.audit import plan as planning
from dsi_core.audit import run, suspect
from dsi_core.audit.prepared_json import Part
from dsi_core.audit.run import Outcome
from dsi_core.models import endpoint, responses

AT = "2026-01-01T00:00:00+00:00"
TABLES = ("table", "evidence", "control_statistics", "curve")


def knows(prepared, *parts):
    """A model that answers as D does for samples of these parts (default: all), else not."""
    samples = prepared.samples[prepared.samples["part"].isin(parts or list(Part))]
    known = dict(zip(samples["prompt"], samples["output"], strict=True))
    return lambda prompt, n: reply(known.get(prompt, STRANGER))


def stranger(prompt, n):
    return reply(STRANGER)


def plan(prepared, server, *, attempts=2, timeout=60, name="m-1", key_env="TEST_KEY", **how):
    """A plan for the server's model, in the folder that a command in tmp_path would take."""
    where = suspect.model(
        None, base_url=server.url, name=name, key_env=key_env, attempts=attempts, timeout=timeout
    )
    return planning.plan(prepared, *where, out=audits_of(prepared.folder), **how)


def audits_of(folder: Path) -> Path:
    return folder.parent / "audits" / "boxes"


def numbers(outcome: Outcome) -> str:
    """All that an audit concludes, as comparable text."""
    judged = {k: v for k, v in vars(outcome.judgement).items() if k not in TABLES}
    return str([judged, outcome.cost, outcome.ended])


def facts(folder) -> dict:
    """audit.json of the only audit of a prepared folder."""
    (found,) = audits_of(folder).glob("*/audit.json")
    return json.loads(found.read_text())


def stored(folder) -> list[dict]:
    """The answers in the only audit of a prepared folder."""
    (found,) = audits_of(folder).glob("*/responses.jsonl")
    return [json.loads(line) for line in found.read_text().splitlines()]


def seeds(lines, seed=0) -> set[int]:
    """The seeds with which these stored answers were asked for: each names one question."""
    return {endpoint.draw_seed(seed, line["sample_id"], line["draw"]) for line in lines}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def vote(outcome: Outcome) -> dict:
    return asdict(outcome.judgement.vote)


def given(statuses) -> dict:
    """The kinds of answers that there were."""
    return {str(kind): count for kind, count in statuses.items() if count}


def answered(prepared, answer, *, name="some-model", **how):
    """(plan, outcome) of an audit whose suspect gave answer(sample, draw) to each question."""
    where = suspect.model(f"owner/{name}")
    out = audits_of(prepared.folder)
    made = planning.plan(prepared, *where, out=out, **{"alpha": 0.3, **how})
    run.begin(made)
    with responses.appending(made.folder) as write:
        for sample in made.samples.itertuples():
            for draw in range(made.draws):
                text = answer(sample, draw)
                line = {"sample_id": sample.sample_id, "draw": draw, "response": text, "at": AT}
                write([line])
    return made, run.run(made)


def knows_published(sample, draw):
    """The answers of a model that knows the published samples."""
    return sample.output if sample.part == "published" else STRANGER
