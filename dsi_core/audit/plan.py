"""The online phase, before it begins (§5.4): what a suspect will be asked, and what that may cost.

Answers lie in `audits/<dataset>/<suspect>-<key>/responses.jsonl`, one line each.
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from dsi_core.audit import answers_file, plan_file, same_model, subject, unanswered
from dsi_core.audit.budget import Budget, Tokens, read_budget
from dsi_core.audit.plan_file import PlanFile
from dsi_core.audit.prepared import Prepared
from dsi_core.audit.subject import Kind, Subject
from dsi_core.audit.suspect import AnswerFacts
from dsi_core.evidence import looks as group_sequential
from dsi_core.evidence.looks import Looks
from dsi_core.method import closeness
from dsi_core.models import responses
from dsi_core.models.load import Base
from dsi_core.models.sampling import Sampling
from dsi_core.models.tuning import Training
from dsi_core.protect.kit import Kit
from dsi_core.runtime import store
from dsi_core.runtime.precision import detect
from dsi_core.runtime.released import sha256_of
from dsi_core.services import client, endpoint, request, thoughts
from dsi_core.settings.profile import load_profile
from dsi_core.settings.schema import Endpoint, Model, Responses

AUDITS = Path("audits")  # in the working directory
MODEL_ID = "suspect"  # a local suspect's; its random numbers depend on it
BYTES_PER_TOKEN = 4  # about, of a text
CHAT_TOKENS = 16  # about, that a chat format adds to a prompt...
MOST_CHAT_TOKENS = 32  # ...and at most
COLUMNS = [*responses.COLUMNS, *(field.name for field in fields(AnswerFacts))]
NEUTRAL_SHARE = 0.25  # of a budget, for neutral questions at most
MOST_NEUTRAL_BYTES = max(len(prompt.encode()) for prompt in same_model.PROMPTS.values())
LOOKS = 12  # of an exact test that may stop early
UNKNOWN_TEMPERATURE = 1.0  # of a file of answers: each counts, however they were made
EVIDENCE = "evidence of Eq. 2"  # the statistic of an audit after the fact


@dataclass(frozen=True)
class Plan:
    """An audit that has not begun, or one to go on with.

    Attributes
    ----------
    subject
        What it is about.
    kit, prepared
        The same in full: one of them, the other is None.
    suspect, model
        The suspect's name, and where it is; None = `answers_file` holds what it said.
    answers_file
        A file of answers that stands for the suspect.
    responses
        How it is prompted: as the subject says, but for what was chosen for this audit.
    samples
        Those to ask about at most, in order.
    alpha
        The chance of accusing an innocent model.
    looks
        When an exact test looks; None = no coin was thrown, there is none.
    controls
        Answers of models that cannot have seen the data: control, sample_id, draw, response.
    control_files
        Where these were read.
    stops_early
        Ask no more once the p-value is at most alpha.
    budget
        What it may cost.
    out
        The folder in which the audit's own is made.
    neutral
        How many neutral questions (`same_model`) are asked at its start and at its end; 0 = none.
    """

    subject: Subject
    kit: Kit | None
    prepared: Prepared | None
    suspect: str
    model: Model | None
    answers_file: Path | None
    responses: Responses
    samples: pd.DataFrame
    alpha: float
    looks: Looks | None
    controls: pd.DataFrame
    control_files: tuple[Path, ...]
    stops_early: bool
    budget: Budget
    out: Path
    neutral: int = 0

    @property
    def remote(self) -> Endpoint | None:
        """The suspect's API; None = it has none."""
        return None if self.model is None else self.model.endpoint

    @property
    def base(self) -> Base:
        """What is prompted."""
        assert self.model is not None, "a file of answers is not prompted"
        return Base(MODEL_ID, self.model, self.subject.chat_template)

    @property
    def training(self) -> Training:
        """The same as a local model that is loaded as it is."""
        return Training(self.base, detect(self.subject.precision), self.subject.seed)

    @property
    def sampling(self) -> Sampling:
        """How it is prompted."""
        return Sampling.of(self.responses, self.subject.seed)

    @property
    def draws(self) -> int:
        """Answers to each prompt."""
        return self.sampling.draws

    @cached_property
    def suspect_key(self) -> str:
        """Name what the suspect is, whatever it is called and however it is asked."""
        if self.answers_file is not None:
            return store.key({"answers": sha256_of(self.answers_file)})
        if self.remote is not None:
            place = client.place(self.remote)
            return store.key({"api": place, "model": self.remote.model})
        return store.key(self.base.spec)

    @cached_property
    def name(self) -> str:
        """The name of the audit's folder.

        Its key is of the subject's content and the suspect. What else decides the answers and the
        test is fixed by plan.json in the folder.
        """
        spec = {"subject": dict(self.subject.hashes), "suspect": self.suspect_key}
        return f"{_file_name(self.suspect)}-{store.key(spec)}"

    @property
    def folder(self) -> Path:
        """Where the audit lies."""
        return self.out / self.name

    @property
    def fixed(self) -> PlanFile:
        """What plan.json fixes before the first question."""
        return PlanFile(
            kind=self.subject.kind,
            suspect=self.suspect,
            alpha=self.alpha,
            samples=len(self.samples),
            stops_early=self.stops_early,
            looks=() if self.looks is None else self.looks.after,
            exponent=None if self.looks is None else self.looks.exponent,
            answers_to_a_prompt=self.draws,
            temperature=self.responses.temperature,
            system_prompt=self.responses.system,
            max_new_tokens=self.responses.max_new_tokens,
            statistic=EVIDENCE if self.looks is None else str(closeness.DEFAULT),
            reasoning_tokens=0 if self.remote is None else self.remote.reasoning_tokens,
            extra={} if self.remote is None else self.remote.extra,
            omit=() if self.remote is None else self.remote.omit,
            controls=tuple(sha256_of(path) for path in self.control_files),
            seed=self.subject.seed,
        )

    @property
    def queries(self) -> int:
        """Answers to get at most."""
        return len(self.samples) * self.draws

    @property
    def most_new_tokens(self) -> int:
        """New tokens of one query at most: of the answer and of a thought before it."""
        most = self.responses.max_new_tokens
        if self.remote is None:
            return most
        return request.most_new_tokens(self.remote, most) or most + self.remote.reasoning_tokens

    @property
    def affordable(self) -> int:
        """Samples that a budget in queries suffices for, at most those planned."""
        if self.budget.queries is None:
            return len(self.samples)
        left = self.budget.queries - 2 * self.round
        return min(len(self.samples), left // self.draws)

    @property
    def round(self) -> int:
        """Queries of one round of neutral questions; 0 = they would take too much of the budget."""
        if self.remote is None:
            return 0
        count = self.neutral * same_model.DRAWS
        share = 2 * count / NEUTRAL_SHARE
        if self.budget.queries is not None and share > self.budget.queries:
            return 0
        most = worst_neutral(self)
        if self.budget.money is not None and share * self.budget.cost(most) > self.budget.money:
            return 0
        return count


def plan(
    about: Kit | Prepared,
    suspect: str,
    model: Model | None,
    *,
    answers: str | Path | None = None,
    profile: str | None = None,
    control_answers: Sequence[str | Path] = (),
    out: str | Path | None = None,
    alpha: float = 0.05,
    samples: int | None = None,
    draws: int | None = None,
    system: str | None = None,
    temperature: float | None = None,
    max_new_tokens: int | None = None,
    budget: str | None = None,
    price_in: float | None = None,
    price_out: float | None = None,
    stop_early: bool | None = None,
    neutral: int | None = None,
) -> Plan:
    """Plan what an audit will ask.

    Parameters
    ----------
    about
        A kit or a preparation.
    suspect, model, answers
        Its name, and where it is: a model as `suspect.model` gives it, or a file of its answers.
    profile
        With a kit: the name of that whose way of asking is taken; None = `settings.defaults`.
    control_answers
        With a kit: files of answers of models that cannot have seen the data.
    out
        The folder in which the audit's own is made; None = audits/<dataset> in the working
        directory. An audit goes on only where it began.
    alpha
        The chance of accusing an innocent model.
    samples
        How many to ask about at most; None = all there are.
    draws
        Answers to each prompt; of a preparation at most those of the known models. None = as the
        subject says.
    system, temperature, max_new_tokens
        None = as the subject says.
    budget
        As `budget.limits` reads it; money needs both prices. It limits the asking, not the plan.
    price_in, price_out
        Money per million tokens read and written.
    stop_early
        Stop once the evidence suffices; None = for an API.
    neutral
        Neutral questions at the start and the end of an audit of an API, each asked
        `same_model.DRAWS` times; None = `same_model.DEFAULT`, 0 = none.

    Raises
    ------
    ValueError
        For a setting or folder that is not allowed, where there is nothing to ask about, and where
        the audit has begun under another plan.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}, needs a number between 0 and 1")
    kit, prepared = (None, about) if isinstance(about, Prepared) else (about, None)
    if prepared is not None:
        _refuse(prepared, draws, max_new_tokens, control_answers)
        if profile is not None:
            raise ValueError(f"--profile {profile} goes with --kit; a preparation has its own")
        whole = subject.of_prepared(prepared)
    else:
        assert kit is not None
        whole = subject.of_kit(kit, None if profile is None else load_profile(profile))
    if answers is not None and temperature is None:
        temperature = UNKNOWN_TEMPERATURE
    greedy = not (whole.responses.temperature if temperature is None else temperature)
    if greedy and draws is not None and draws > 1:
        raise ValueError(
            f"responses is {draws}, but at temperature 0 every answer to a prompt is the same: "
            "--responses 1, or --temperature 1.0"
        )
    chosen = {
        "draws": draws or _given_draws(answers, whole),
        "system": system,
        "temperature": temperature,
        "max_new_tokens": max_new_tokens,
    }
    asked = whole.samples.head(_how_many(samples, len(whole.samples)))
    # of an API; a batch takes up to a day, so all is asked in one
    stops_early = model is not None and model.endpoint is not None and not model.endpoint.batch
    stops_early = stops_early if stop_early is None else stop_early
    looks = None
    if kit is not None:
        # who asks everything in any case looks once: no alpha is spent before
        count = LOOKS if stops_early else 1
        looks = group_sequential.planned(len(asked), alpha, count)
    planned = Plan(
        subject=whole,
        kit=kit,
        prepared=prepared,
        suspect=suspect,
        model=model,
        answers_file=None if answers is None else Path(answers),
        responses=whole.responses.changed(**{k: v for k, v in chosen.items() if v is not None}),
        samples=asked,
        alpha=alpha,
        looks=looks,
        controls=_controls(control_answers, whole.samples),
        control_files=tuple(Path(path) for path in control_answers),
        stops_early=stops_early,
        budget=read_budget(budget, price_in, price_out),
        out=_place(whole, out),
        neutral=_neutral(neutral, model),
    )
    if not planned.affordable:
        raise ValueError(
            f"a budget of {planned.budget.queries} queries is less than one sample, "
            f"which takes {planned.draws}"
        )
    _check_fields(planned)
    plan_file.check(planned.folder, planned.fixed)
    if kit is not None:
        _warn_of_long_texts(planned)
    elif planned.samples["output"].map(lambda text: bool(thoughts.apart(text).thought)).any():
        warnings.warn(
            "outputs of the dataset begin with a thought, which the references learnt; a suspect's "
            "answers are compared without theirs, so that a member may go unnoticed",
            stacklevel=2,
        )
    return planned


def _check_fields(plan: Plan) -> None:
    """What fields that are set or left out do to budget, draws and comparison."""
    if plan.remote is None:
        return
    limit = request.most_new_tokens(plan.remote, plan.responses.max_new_tokens)
    if limit is None and plan.budget.money is not None:
        raise ValueError(
            "a budget in money needs a limit of new tokens in each request, and none is sent: set "
            """--extra-body '{"max_completion_tokens": N}' instead of --omit, or a budget in """
            "queries"
        )
    if plan.remote.extra.get("seed") is not None and plan.draws > 1:
        warnings.warn(
            f"--extra-body sets one seed for all {plan.draws} answers to a prompt: they may be the "
            "same (--omit seed sends none)",
            stacklevel=3,
        )


def _warn_of_long_texts(plan: Plan) -> None:
    about = plan.samples["output"].map(lambda text: len(text.encode())).median() / BYTES_PER_TOKEN
    if about > 1.5 * plan.responses.max_new_tokens:
        warnings.warn(
            f"half of the kit's texts are longer than about {about:.0f} tokens, and answers are "
            f"cut at {plan.responses.max_new_tokens}: only their beginnings can be compared "
            "(--max-new-tokens)",
            stacklevel=3,
        )


def _refuse(
    prepared: Prepared,
    draws: int | None,
    max_new_tokens: int | None,
    control_answers: Sequence[str | Path],
) -> None:
    """What an audit of a preparation cannot be asked for."""
    if prepared.tainted.empty:
        raise ValueError(f"{prepared.folder} has no tainted sample: no suspect can be judged by it")
    most = prepared.study.profile.responses.draws
    if draws is not None and draws not in range(1, most + 1):
        raise ValueError(
            f"responses is {draws}; allowed: 1 to {most}, as the known models answered {most} times"
        )
    if max_new_tokens is not None:
        raise ValueError(
            f"max_new_tokens is {max_new_tokens}; with --prepared it is the preparation's "
            f"({prepared.study.profile.responses.max_new_tokens}), as the known models were asked"
        )
    if control_answers:
        raise ValueError(
            "--control-answers go with --kit; a preparation has controls of its own, and "
            "`dsi prepare --control-answers` adds others"
        )


def _given_draws(answers: str | Path | None, about: Subject) -> int | None:
    """How often a file answers a sample; of a preparation at most as often as the known models."""
    if answers is None:
        return None
    most = int(answers_file.read(answers, about.samples)["draw"].max()) + 1
    return min(most, about.responses.draws) if about.kind is Kind.AFTER else most


def _neutral(given: int | None, model: Model | None) -> int:
    if given is not None and given not in range(len(same_model.PROMPTS) + 1):
        raise ValueError(f"same_model is {given}; allowed: 0 to {len(same_model.PROMPTS)}")
    remote = model is not None and model.endpoint is not None
    return (same_model.DEFAULT if given is None else given) if remote else 0


def _how_many(samples: int | None, most: int) -> int:
    if not most:
        raise ValueError("there is no sample to ask about")
    if samples is not None and samples not in range(1, most + 1):
        raise ValueError(f"samples is {samples}; allowed: 1 to {most}, as many as there are")
    return most if samples is None else samples


def _controls(files: Sequence[str | Path], samples: pd.DataFrame) -> pd.DataFrame:
    """The answers of all controls, each a file, in one table."""
    tables = [
        answers_file.without_thoughts(answers_file.read(path, samples)).assign(
            control=f"{number}. {Path(path).stem}"
        )
        for number, path in enumerate(files, start=1)
    ]
    nobody = pd.DataFrame(columns=["control", *answers_file.COLUMNS])
    return pd.concat([nobody, *tables], ignore_index=True) if tables else nobody


def _place(about: Subject, out: str | Path | None) -> Path:
    """Where the audit's folder is made: never in what it is about."""
    name = _file_name(about.name)
    place = AUDITS / name if out is None else Path(out)
    if not place.resolve().is_relative_to(about.folder.resolve()):
        return place
    if out is not None:
        what = "preparation" if about.kind is Kind.AFTER else "kit"
        raise ValueError(f"--out {out} lies in the {what}; an audit needs another folder")
    return AUDITS / f"{name}-audits"


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+_]+", "-", name)


def answers(plan: Plan) -> pd.DataFrame:
    """Read the stored answers: sample_id, draw, response, and the fields of `AnswerFacts`."""
    return answers_in(plan.folder)


def beside(plan: Plan) -> pd.DataFrame:
    """Read the answers to neutral questions (`same_model`), with the same columns."""
    return answers_in(plan.folder / same_model.FOLDER)


def answers_in(folder: Path) -> pd.DataFrame:
    """Read the answers that lie in a folder, as `answers`."""
    rows = responses.read(folder, columns=COLUMNS).to_dict("records")
    unsaid = asdict(AnswerFacts())
    filled = [{**unsaid, **{k: v for k, v in row.items() if pd.notna(v)}} for row in rows]
    return pd.DataFrame(filled, columns=COLUMNS)


def complete(plan: Plan, answers: pd.DataFrame) -> pd.DataFrame:
    """Give the samples, in order, before the first that lacks an answer.

    A file of answers is all there is: what it lacks was not answered.
    """
    if plan.answers_file is not None:
        return plan.samples
    counts = answers.groupby("sample_id")["draw"].nunique()
    enough = counts.reindex(plan.samples["sample_id"], fill_value=0) >= plan.draws
    return plan.samples[enough.to_numpy().cumprod().astype(bool)]


def worst(plan: Plan, prompt: str) -> Tokens:
    """Give the most tokens that one query can read and write.

    No tokenizer makes more tokens than bytes, and a chat format adds a few.
    """
    size = len(f"{plan.responses.system or ''}{prompt}".encode())
    return Tokens(size + MOST_CHAT_TOKENS, plan.most_new_tokens)


def worst_neutral(plan: Plan) -> Tokens:
    """Give the same of a neutral question."""
    assert plan.remote is not None
    most = request.most_new_tokens(plan.remote, same_model.NEW_TOKENS) or same_model.NEW_TOKENS
    return Tokens(MOST_NEUTRAL_BYTES + MOST_CHAT_TOKENS, most)


def used(plan: Plan, answered: pd.DataFrame) -> int:
    """Count the requests so far that were or may have been billed, whatever came of them."""
    tables = answered, beside(plan)
    paid = sum(table["billed"].sum() + table["lost_requests"].sum() for table in tables)
    return int(paid + unanswered.read(plan.folder)["requests"].sum())


def spent(plan: Plan, answered: pd.DataFrame) -> float:
    """Give the money for all requests so far, those without an answer too.

    By the service's own count of tokens, or the most it can be where it kept none.
    """
    prompts = {**same_model.PROMPTS, **plan.samples.set_index("sample_id")["prompt"]}
    money = 0.0
    for answer in [*answered.to_dict("records"), *beside(plan).to_dict("records")]:
        most = worst(plan, prompts.get(answer["sample_id"], ""))
        lost = Tokens(answer["lost_prompt_tokens"], answer["lost_tokens"])
        money += _cost(plan, lost, answer["lost_uncounted"], most)
        if answer["billed"]:
            read, written = answer["prompt_tokens"], answer["tokens"]
            money += plan.budget.cost(Tokens(read or most.read, written or most.written))
    for one in unanswered.read(plan.folder).to_dict("records"):
        most = worst(plan, prompts.get(one["sample_id"], ""))
        money += _cost(plan, Tokens(one["read"], one["written"]), one["uncounted"], most)
    return money


def _cost(plan: Plan, counted: Tokens, uncounted: int, most: Tokens) -> float:
    """What requests without an answer cost: those that were counted, and at most the others."""
    return plan.budget.cost(counted) + uncounted * plan.budget.cost(most)


def first_request(plan: Plan) -> dict[str, Any] | None:
    """Give the body of the first request that an API would get; None without one."""
    sampling, first = plan.sampling, plan.samples.iloc[0]
    if plan.remote is None:
        return None
    seed = request.draw_seed(sampling.seed, first["sample_id"], 0)
    taken = endpoint.remembered(plan.folder)
    return request.body(plan.remote, first["prompt"], sampling, seed, taken)
