"""The online phase for a suspect that one can only query (§5.4): ask, keep every answer as it comes, judge, stop when sure.

Answers lie in `<prepared>/<suspect>-<key>/responses.jsonl`, one line each, written when it arrives: an interrupted audit goes
on where it was, and neither asks nor pays for an answer twice.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from dsi_core import controls, endpoint, models, preparation, responses, store, study, suspect, twin, verdict, work
from dsi_core.params import Model, Profile, Trained
from dsi_core.preparation import Prepared

FACTS = {"finish": "", "refused": False, "tokens": 0, "prompt_tokens": 0, "model": "", "requests": 1, "at": ""}  # beside each answer
FIRST = "first_plan.json"
SUSPECT = "suspect"  # its name among the models of the audit's profile


@dataclass(frozen=True)
class Plan:
    """An audit that has not begun, or one to go on with.

    name: of the suspect. profile: the preparation's, with the suspect among its models. samples: those to ask at most, in order.
    stop: ask no more once the p-value is at most alpha. money, queries: limits, None = none; prices in money per million tokens.
    """

    prepared: Prepared
    name: str
    profile: Profile
    samples: pd.DataFrame
    alpha: float
    stop: bool
    queries: int | None
    money: float | None
    prices: tuple[float, float]

    @property
    def folder(self) -> Path:
        spec = {"prepared": self.prepared.facts["sha256"], "suspect": models.base_spec(self.profile, SUSPECT), "seed": self.profile.seed,
                "responses": self.profile.responses.model_dump(include={"temperature", "draws", "max_new_tokens", "system"})}
        return self.prepared.folder / f"{re.sub(r'[^A-Za-z0-9.+_]+', '-', self.name)}-{store.key(spec)}"

    @property
    def draws(self) -> int:
        return self.profile.responses.draws if self.profile.responses.temperature else 1


def plan(prepared: Prepared, name: str, model: Model, *, alpha: float = 0.05, draws: int | None = None, system: str | None = None, temperature: float | None = None,
         budget: str | None = None, price_in: float | None = None, price_out: float | None = None, stop: bool | None = None) -> Plan:
    """What an audit will ask. name, model: as `suspect.model` gives them; budget: as `limits` reads it; stop: None = for an API.

    draws: answers to each prompt, at most those of the known models; prices: per million tokens read and written.
    Raises `ValueError` for a setting that is not allowed, and where there is no tainted sample to ask.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}, needs a number between 0 and 1")
    if prepared.tainted.empty:
        raise ValueError(f"{prepared.folder} has no tainted sample: no suspect can be judged by it")
    settings = prepared.study.profile
    changes = {k: v for k, v in (("draws", draws), ("system", system), ("temperature", temperature)) if v is not None}
    most = settings.responses.draws
    if changes.get("draws", 1) not in range(1, most + 1):
        raise ValueError(f"responses is {draws}; allowed: 1 to {most}, as the known models answered {most} times")
    asked = settings.responses.model_validate({**settings.responses.model_dump(), **changes})
    profile = settings.model_copy(update={"responses": asked, "models": {**settings.models, SUSPECT: model}, "suspects": []})
    if not all(0 <= p < np.inf for p in (price_in or 0.0, price_out or 0.0)):
        raise ValueError(f"prices are {price_in} and {price_out}, need numbers from 0 on")
    queries, money = limits(budget)
    if money is not None and (price_in is None or price_out is None):
        raise ValueError(f"a budget of {budget} needs --price-in and --price-out, in the same money per million tokens")
    early = model.endpoint is not None if stop is None else stop
    done = Plan(prepared, name, profile, prepared.tainted, alpha, early, queries, money, (price_in or 0.0, price_out or 0.0))
    affordable = len(done.samples) if queries is None else queries // done.draws
    if not affordable:
        raise ValueError(f"a budget of {queries} queries is less than one sample, which takes {done.draws}")
    return Plan(**{**done.__dict__, "samples": done.samples.head(affordable)})


def limits(budget: str | None) -> tuple[int | None, float | None]:
    """(queries, money) that a budget allows: "150" or "150 queries" = queries; "2.50 USD", "EUR 3" = money. Raises `ValueError` for anything else."""
    if budget is None:
        return None, None
    budget = re.sub(r"\s*(query|queries)$", "", budget.strip())
    found = re.fullmatch(r"([A-Za-z$€£]*)\s*(\d+(?:\.\d+)?)\s*([A-Za-z$€£]*)", budget)
    if not found or (found[1] and found[3]) or float(found[2]) <= 0:
        raise ValueError(f"budget {budget!r}: needs a number of queries (150), or an amount with its money (2.50 USD)")
    if found[1] or found[3]:
        return None, float(found[2])
    if not float(found[2]).is_integer():
        raise ValueError(f"budget {budget!r}: queries are whole; for money name it (2.50 USD)")
    return int(found[2]), None


def dry_run(plan: Plan, shown: int = 5) -> dict:
    """What would be asked and what it may cost: queries, answers that are there already, tokens and cost (about, by four bytes a token and
    answers as long as the references'; and at most), some prompts, and the body of the first request."""
    samples, model, settings = plan.samples, plan.profile.models[SUSPECT], plan.profile.responses
    mean = plan.prepared.scores[["response_before", "response_after"]].stack().str.len().mean() / 4
    most = np.sum([_worst(plan, p) for p in samples["prompt"]], axis=0) * plan.draws
    about = np.array([samples["prompt"].str.len().sum() / 4 + 16 * len(samples), mean * len(samples)]) * plan.draws
    first = samples.iloc[0]
    body = endpoint.request(model.endpoint, first["prompt"], settings.temperature, settings.max_new_tokens,
                            endpoint.draw_seed(plan.profile.seed, first["sample_id"], 0), settings.system) if model.endpoint else None
    told = {name: {"tokens read": int(read), "tokens written": int(new), "cost": round(float(np.dot((read, new), plan.prices)) / 1e6, 6)}
            for name, (read, new) in (("about", about), ("at most", most))}
    return {"suspect": plan.name, "samples": len(samples), "queries": len(samples) * plan.draws, "already answered": len(answers(plan)), **told,
            "prompts": samples["prompt"].head(shown).tolist(), "first request": body}


def _worst(plan: Plan, prompt: str) -> tuple[int, int]:
    """The most tokens one query can read and write: no tokenizer makes more tokens than bytes, and a chat format adds a few."""
    return len(f"{plan.profile.responses.system or ''}{prompt}".encode()) + 32, plan.profile.responses.max_new_tokens


def answers(plan: Plan) -> pd.DataFrame:
    """The stored answers: sample_id, draw, response, and what the service said of each (`FACTS`)."""
    columns = ["sample_id", "draw", "response", *FACTS]
    rows = responses.read(plan.folder, columns).to_dict("records")
    return pd.DataFrame([{**FACTS, **{k: v for k, v in row.items() if pd.notna(v)}} for row in rows], columns=columns)


def spent(plan: Plan, told: pd.DataFrame) -> float:
    """Money for the answers so far, by the service's own count of tokens, or the most it can be where it kept none."""
    prompts = plan.samples.set_index("sample_id")["prompt"]
    worst = [_worst(plan, prompts.get(s, "")) for s in told["sample_id"]]
    tokens = [(r or w[0], n or w[1]) for r, n, w in zip(told["prompt_tokens"], told["tokens"], worst)]
    return float(sum(r * plan.prices[0] + n * plan.prices[1] for r, n in tokens)) / 1e6


def run(plan: Plan) -> dict:
    """Ask until sure, until all is asked, or until the money is spent; returns `judge`'s result and ended (sure | all asked | money spent).

    Raises `endpoint.EndpointError` when a question stays unanswered: what came before is stored, and a rerun goes on.
    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    if not (plan.folder / FIRST).exists():
        store.write_text(plan.folder / FIRST, json.dumps({"samples": len(plan.samples), "at": store.now()}))
    everything, told = len(plan.samples) * plan.draws, answers(plan)
    with store.lock(plan.folder), tqdm(total=everything, initial=min(len(told), everything), desc=plan.name, unit=" answers", disable=None) as bar:
        while True:
            told = answers(plan)
            result = judge(plan, told)
            if plan.stop and result["p"] is not None and result["p"] <= plan.alpha:
                return {**result, "ended": "sure"}
            questions = next_questions(plan, told)
            if questions.empty:
                ended = "all asked" if result["samples_asked"] == len(plan.samples) else "money spent"
                return {**result, "ended": ended}
            _ask(plan, questions, bar)


def next_questions(plan: Plan, told: pd.DataFrame) -> pd.DataFrame:
    """The next block of questions (sample_id, prompt, draw), as many samples as keep all connections busy; empty at the end, or
    when the next sample might cost more than is left."""
    remote = plan.profile.models[SUSPECT].endpoint
    wanted = responses.unanswered(told, plan.samples, plan.draws)
    block = max(controls.FIRST, -(-remote.concurrency // plan.draws)) if remote and plan.stop else len(plan.samples)
    chosen = wanted[wanted["sample_id"].isin(wanted["sample_id"].unique()[:block])]
    if plan.money is not None:
        cost = [np.dot(_worst(plan, p), plan.prices) / 1e6 for p in chosen["prompt"]]
        fits = spent(plan, told) + np.cumsum(cost) <= plan.money
        whole = pd.Series(fits, index=chosen["sample_id"]).groupby(level=0, sort=False).all()
        chosen = chosen[chosen["sample_id"].isin(whole.index[whole.cummin()])]
    return chosen


def _ask(plan: Plan, questions: pd.DataFrame, bar: tqdm) -> None:
    if remote := plan.profile.models[SUSPECT].endpoint:
        told = endpoint.answers(remote, questions, plan.profile.responses.temperature, plan.profile)
        keep(plan.folder, ((row, answer.text, vars(answer)) for row, answer in told), bar.update)
    else:
        work.run([work.Job(plan.name, ask_local, (plan.folder, plan.profile, questions))])
        bar.update(len(questions))


def ask_local(folder: Path, profile: Profile, questions: pd.DataFrame) -> None:
    """In a worker: load the suspect, let it answer, keep each answer."""
    told = responses.local_answers(profile, "", SUSPECT, Trained(base=SUSPECT), questions, profile.responses.temperature)
    keep(folder, ((row, text, {}) for rows, texts, _ in told for row, text in zip(rows, texts)))


def keep(folder: Path, told, kept=lambda: None) -> None:
    """Append each (row, text, facts) to the answers as it comes, and call `kept`."""
    with responses.appending(folder) as write:
        for row, text, facts in told:
            write([{"sample_id": row.sample_id, "draw": int(row.draw), "response": text, **{k: facts[k] for k in FACTS if k in facts}, "at": store.now()}])
            kept()


def first_planned(plan: Plan) -> int:
    """How many samples were planned when this audit began. The permutation test is over these: were it made again after each raise of
    the budget, its error would grow with every look."""
    path = plan.folder / FIRST
    return json.loads(path.read_text())["samples"] if path.exists() else len(plan.samples)


def judge(plan: Plan, told: pd.DataFrame) -> dict:
    """Everything that the answers so far say: vote, controls, twin (None where there is none), p (of the twin, else of the controls),
    decided_by, statuses (counts), evidence and curve (tables). Only samples in the order asked, up to the first that lacks an answer, count."""
    prepared, settings = plan.prepared, plan.profile
    asked = _asked(plan, told)
    table = _with_gaps(plan, told.merge(asked[["sample_id", "prompt", "output"]], on="sample_id"))
    evidence = asked.merge(verdict.evidence(table, prepared.study.delta_s, settings.decision.mu)[["sample_id", "evidence", "status"]], on="sample_id", how="left")
    counts = evidence["status"].value_counts().reindex(["positive", "negative", "filtered"], fill_value=0)
    vote = "inconclusive" if not counts["positive"] + counts["negative"] else study.MEMBER[bool(counts["positive"] > counts["negative"])]
    known = known_evidence(prepared, plan.samples, plan.draws)
    leans = controls.final_leans(known[~known["member"]])
    against = controls.test(evidence["evidence"].to_numpy(), leans, plan.alpha) if len(leans) else None
    parts = prepared.tainted["part"].value_counts().reindex(preparation.PARTS, fill_value=0).tolist()
    planned = first_planned(plan)
    labelled = evidence.assign(published=evidence["part"] == preparation.PARTS[0])
    told_apart = twin.test(labelled, tuple(parts), planned, settings.seed, may_stop=plan.stop or planned != len(plan.samples)) if parts[1] else None
    first = told_apart or against
    return {"samples_asked": len(asked), "answers": len(told), "vote": {"verdict": vote, **counts.to_dict()}, "controls": against, "twin": told_apart,
            "p": first and first["p"], "decided_by": "twin" if told_apart else "controls" if against else None,
            "statuses": table.drop_duplicates(["sample_id", "draw"])["status"].value_counts().reindex(list(suspect.STATUSES), fill_value=0).to_dict(),
            "cost": spent(plan, told) if any(plan.prices) else None, "answers_table": table, "evidence": evidence,
            "leans": leans, "curve": curve(plan, evidence, leans, parts)}


def _asked(plan: Plan, told: pd.DataFrame) -> pd.DataFrame:
    counts = told.groupby("sample_id")["draw"].nunique().reindex(plan.samples["sample_id"], fill_value=0)
    return plan.samples[(counts >= plan.draws).to_numpy().cumprod().astype(bool)]


def _with_gaps(plan: Plan, told: pd.DataFrame) -> pd.DataFrame:
    """Answers (columns sample_id, draw, response, output, FACTS) with status and their gap to each reference."""
    mu, limit = plan.profile.decision.mu, plan.profile.responses.max_new_tokens
    status = [suspect.status(r.response, r.output, mu, r.finish, r.refused, r.tokens, limit) for r in told.itertuples()]
    told = told.assign(dataset=plan.prepared.facts["name"], suspect=plan.name, status=pd.Series(status, index=told.index, dtype=object))
    return study.gaps_to(plan.prepared.study, plan.prepared.scores, told[[*preparation.TOLD, *FACTS]]) if len(told) else told.assign(reference=None, gap=np.nan)


def known_evidence(prepared: Prepared, samples: pd.DataFrame, draws: int) -> pd.DataFrame:
    """The known models' evidence on these samples, in their order, from so many answers each: columns model, member, group, sample_id, part,
    evidence, status."""
    known = prepared.known
    known = known[(known["draw"] < draws) & known["sample_id"].isin(samples["sample_id"])]
    if known.empty:
        return pd.DataFrame(columns=["model", "member", "group", "sample_id", "part", "evidence", "status"]).astype({"member": bool})
    found = verdict.evidence(known, prepared.study.delta_s, prepared.study.profile.decision.mu)
    people = known[["suspect", "member", "group"]].drop_duplicates()
    table = people.merge(samples[["sample_id", "part"]], how="cross").merge(found, on=["suspect", "sample_id"], how="left", validate="1:1")
    return table.rename(columns={"suspect": "model"}).astype({"member": bool})


def curve(plan: Plan, evidence: pd.DataFrame, leans: pd.Series, parts: list[int]) -> pd.DataFrame:
    """After each sample: sample (1, 2, ...), queries, positive, negative, p_controls and wealth (None where there is no such test)."""
    count = np.arange(1, len(evidence) + 1)
    table = pd.DataFrame({"sample": count, "queries": count * plan.draws, "positive": (evidence["status"] == "positive").cumsum().to_numpy(),
                          "negative": (evidence["status"] == "negative").cumsum().to_numpy()})
    values = evidence["evidence"].to_numpy()
    table["p_controls"] = controls.p_values(controls.lean(values), leans.to_numpy()) if len(leans) else np.nan
    table["wealth"] = twin.wealth(values, evidence["part"] == preparation.PARTS[0], tuple(parts)) if parts[1] else np.nan
    return table
