"""The online phase, before it begins (§5.4): what a suspect that one can only query will be asked, and what that may cost.

Answers lie in `<prepared>/<suspect>-<key>/responses.jsonl`, one line each.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dsi_core.audit.prepared import Prepared
from dsi_core.models import endpoint, responses
from dsi_core.models import load as models
from dsi_core.runtime import store
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Model

FACTS = {
    "finish": "",
    "refused": False,
    "tokens": 0,
    "prompt_tokens": 0,
    "model": "",
    "requests": 1,
    "at": "",
}  # beside each answer
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
        spec = {
            "prepared": self.prepared.facts["sha256"],
            "suspect": models.base_spec(self.profile, SUSPECT),
            "seed": self.profile.seed,
            "responses": self.profile.responses.model_dump(
                include={"temperature", "draws", "max_new_tokens", "system"}
            ),
        }
        return (
            self.prepared.folder
            / f"{re.sub(r'[^A-Za-z0-9.+_]+', '-', self.name)}-{store.key(spec)}"
        )

    @property
    def draws(self) -> int:
        return self.profile.responses.draws if self.profile.responses.temperature else 1


def plan(
    prepared: Prepared,
    name: str,
    model: Model,
    *,
    alpha: float = 0.05,
    draws: int | None = None,
    system: str | None = None,
    temperature: float | None = None,
    budget: str | None = None,
    price_in: float | None = None,
    price_out: float | None = None,
    stop: bool | None = None,
) -> Plan:
    """What an audit will ask. name, model: as `suspect.model` gives them; budget: as `limits` reads it; stop: None = for an API.

    draws: answers to each prompt, at most those of the known models; prices: per million tokens read and written.
    Raises `ValueError` for a setting that is not allowed, and where there is no tainted sample to ask.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}, needs a number between 0 and 1")
    if prepared.tainted.empty:
        raise ValueError(f"{prepared.folder} has no tainted sample: no suspect can be judged by it")
    settings = prepared.study.profile
    changes = {
        k: v
        for k, v in (("draws", draws), ("system", system), ("temperature", temperature))
        if v is not None
    }
    most = settings.responses.draws
    if changes.get("draws", 1) not in range(1, most + 1):
        raise ValueError(
            f"responses is {draws}; allowed: 1 to {most}, as the known models answered {most} times"
        )
    asked = settings.responses.model_validate({**settings.responses.model_dump(), **changes})
    profile = settings.model_copy(
        update={"responses": asked, "models": {**settings.models, SUSPECT: model}, "suspects": []}
    )
    if not all(0 <= p < np.inf for p in (price_in or 0.0, price_out or 0.0)):
        raise ValueError(f"prices are {price_in} and {price_out}, need numbers from 0 on")
    queries, money = limits(budget)
    if money is not None and (price_in is None or price_out is None):
        raise ValueError(
            f"a budget of {budget} needs --price-in and --price-out, in the same money per million tokens"
        )
    early = model.endpoint is not None if stop is None else stop
    done = Plan(
        prepared,
        name,
        profile,
        prepared.tainted,
        alpha,
        early,
        queries,
        money,
        (price_in or 0.0, price_out or 0.0),
    )
    affordable = len(done.samples) if queries is None else queries // done.draws
    if not affordable:
        raise ValueError(
            f"a budget of {queries} queries is less than one sample, which takes {done.draws}"
        )
    return Plan(**{**done.__dict__, "samples": done.samples.head(affordable)})


def limits(budget: str | None) -> tuple[int | None, float | None]:
    """(queries, money) that a budget allows: "150" or "150 queries" = queries; "2.50 USD", "EUR 3" = money. Raises `ValueError` for anything else."""
    if budget is None:
        return None, None
    budget = re.sub(r"\s*(query|queries)$", "", budget.strip())
    found = re.fullmatch(r"([A-Za-z$€£]*)\s*(\d+(?:\.\d+)?)\s*([A-Za-z$€£]*)", budget)
    if not found or (found[1] and found[3]) or float(found[2]) <= 0:
        raise ValueError(
            f"budget {budget!r}: needs a number of queries (150), or an amount with its money (2.50 USD)"
        )
    if found[1] or found[3]:
        return None, float(found[2])
    if not float(found[2]).is_integer():
        raise ValueError(f"budget {budget!r}: queries are whole; for money name it (2.50 USD)")
    return int(found[2]), None


def dry_run(plan: Plan, shown: int = 5) -> dict:
    """What would be asked and what it may cost: queries, answers that are there already, tokens and cost (about, by four bytes a token and
    answers as long as the references'; and at most), some prompts, and the body of the first request.
    """
    samples, model, settings = plan.samples, plan.profile.models[SUSPECT], plan.profile.responses
    mean = plan.prepared.scores[["response_before", "response_after"]].stack().str.len().mean() / 4
    most = np.sum([worst(plan, p) for p in samples["prompt"]], axis=0) * plan.draws
    about = (
        np.array([samples["prompt"].str.len().sum() / 4 + 16 * len(samples), mean * len(samples)])
        * plan.draws
    )
    first = samples.iloc[0]
    body = (
        endpoint.request(
            model.endpoint,
            first["prompt"],
            settings.temperature,
            settings.max_new_tokens,
            endpoint.draw_seed(plan.profile.seed, first["sample_id"], 0),
            settings.system,
        )
        if model.endpoint
        else None
    )
    told = {
        name: {
            "tokens read": int(read),
            "tokens written": int(new),
            "cost": round(float(np.dot((read, new), plan.prices)) / 1e6, 6),
        }
        for name, (read, new) in (("about", about), ("at most", most))
    }
    return {
        "suspect": plan.name,
        "samples": len(samples),
        "queries": len(samples) * plan.draws,
        "already answered": len(answers(plan)),
        **told,
        "prompts": samples["prompt"].head(shown).tolist(),
        "first request": body,
    }


def worst(plan: Plan, prompt: str) -> tuple[int, int]:
    """The most tokens one query can read and write: no tokenizer makes more tokens than bytes, and a chat format adds a few."""
    return len(
        f"{plan.profile.responses.system or ''}{prompt}".encode()
    ) + 32, plan.profile.responses.max_new_tokens


def answers(plan: Plan) -> pd.DataFrame:
    """The stored answers: sample_id, draw, response, and what the service said of each (`FACTS`)."""
    columns = ["sample_id", "draw", "response", *FACTS]
    rows = responses.read(plan.folder, columns).to_dict("records")
    return pd.DataFrame(
        [{**FACTS, **{k: v for k, v in row.items() if pd.notna(v)}} for row in rows],
        columns=columns,
    )


def spent(plan: Plan, told: pd.DataFrame) -> float:
    """Money for the answers so far, by the service's own count of tokens, or the most it can be where it kept none."""
    prompts = plan.samples.set_index("sample_id")["prompt"]
    most = [worst(plan, prompts.get(s, "")) for s in told["sample_id"]]
    tokens = [
        (r or m[0], n or m[1]) for r, n, m in zip(told["prompt_tokens"], told["tokens"], most)
    ]
    return float(sum(r * plan.prices[0] + n * plan.prices[1] for r, n in tokens)) / 1e6
