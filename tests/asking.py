"""What tests of audits share: scripts of a served model, plans, what lies in an audit's folder."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from helpers import STRANGER
from servers import reply

from dsi_core.audit import choices, suspect
from dsi_core.audit.asking import run
from dsi_core.audit.asking.run import Outcome
from dsi_core.audit.preparation.prepared import FILES
from dsi_core.models import responses
from dsi_core.services import request

AT = "2026-01-01T00:00:00+00:00"
TABLES = ("table", "evidence", "curve")


def knows(prepared):
    """A model that answers as D does."""
    known = dict(zip(prepared.samples["prompt"], prepared.samples["output"], strict=True))
    return lambda prompt, n: reply(known.get(prompt, STRANGER))


def stranger(prompt, n):
    return reply(STRANGER)


def plan(
    about, server, *, attempts=2, timeout=60, patience=0.0, name="m-1", key_env="TEST_KEY", **how
):
    """A plan for the server's model, in the folder that a command in tmp_path would take.

    about: a preparation or a kit.
    """
    where = suspect.model(
        None,
        base_url=server.url,
        name=name,
        key_env=key_env,
        attempts=attempts,
        timeout=timeout,
        patience=patience,
    )
    return choices.plan(about, *where, **{"out": audits_of(about.folder), "neutral": 0, **how})


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


def seeds(lines, prepared: Path) -> set[int]:
    """The seeds with which these stored answers were asked for: each names one question."""
    texts = (prepared / FILES[0]).read_bytes()
    secret = int(hashlib.sha256(b"requests" + texts).hexdigest(), 16)
    return {request.draw_seed(secret, line["sample_id"], line["draw"]) for line in lines}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def vote(outcome: Outcome) -> dict:
    return asdict(outcome.judgement.vote)


def given(statuses) -> dict:
    """The kinds of answers that there were."""
    return {str(kind): count for kind, count in statuses.items() if count}


def answered(about, answer, *, name="some-model", **how):
    """(plan, outcome) of an audit whose suspect gave answer(sample, draw) to each question."""
    where = suspect.model(f"owner/{name}")
    out = audits_of(about.folder)
    made = choices.plan(about, *where, **{"out": out, "alpha": 0.5, **how})
    run.begin(made)
    with responses.appending(made.folder) as write:
        for sample in made.samples.itertuples():
            for draw in range(made.draws):
                text = answer(sample, draw)
                line = {"sample_id": sample.sample_id, "draw": draw, "response": text, "at": AT}
                write([line])
    return made, run.run(made)


def member(sample, draw):
    """The answers of a model that knows D."""
    return sample.output
