"""What was chosen for an audit, checked against what the audit is about: a plan."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from dsi_core.audit import answers_file, control_files, plan_file, put_before, subject
from dsi_core.audit.asking import same_model
from dsi_core.audit.asking.cost import neutral_round, worst
from dsi_core.audit.asking.storage import is_fixed
from dsi_core.audit.budget import read_budget
from dsi_core.audit.plan import AUDITS, Plan, folder_name
from dsi_core.audit.preparation import innocents
from dsi_core.audit.preparation.prepared import Prepared
from dsi_core.audit.preparation.strength import draws_allowed
from dsi_core.audit.subject import Kind, Subject
from dsi_core.data.common_words import is_blank
from dsi_core.data.fields import text_of
from dsi_core.evidence import looks as group_sequential
from dsi_core.protect.kit import Kit
from dsi_core.runtime.disk import sha256_of
from dsi_core.services import address, network, request, thoughts
from dsi_core.services.reply import LIKELY_BYTES_PER_TOKEN
from dsi_core.services.troubles import LIMITS
from dsi_core.settings.profile import load_profile
from dsi_core.settings.schema import Model

UNKNOWN_TEMPERATURE = 1.0  # of a file of answers: each counts, however they were made


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
        With a kit: name of the profile that says how to ask; None = `settings.defaults`.
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
        Answers to each prompt; None = as the subject says. With a preparation at most, and by
        default, as many as the control with the fewest has (`strength.draws_allowed`).
    system, temperature, max_new_tokens
        None = as the subject says; not with answers.
    budget
        As `budget.limits` reads it; money needs both prices. It limits the asking, not the plan;
        not with answers.
    price_in, price_out
        Money per million tokens read and written; not with answers.
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
    check_alpha(alpha)
    text_of(system, "--system-prompt")
    kit, prepared = (None, about) if isinstance(about, Prepared) else (about, None)
    if prepared is not None:
        _refuse(prepared, draws, max_new_tokens, control_answers, profile)
    if draws is not None and draws < 1:
        raise ValueError(f"--responses is {draws}; needs at least 1")
    if answers is not None:
        _refuse_of_file(
            {
                "--system-prompt": system,
                "--temperature": temperature,
                "--max-new-tokens": max_new_tokens,
                "--budget": budget,
                "--price-in": price_in,
                "--price-out": price_out,
            }
        )
        temperature = UNKNOWN_TEMPERATURE
    whole = _subject(about, profile)
    given = None if answers is None else answers_file.without_thoughts(_of_file(answers, whole))
    if prepared is not None:
        _refuse_copies(prepared, answers)
    greedy = not (whole.responses.temperature if temperature is None else temperature)
    if greedy and draws is not None and draws > 1:
        raise ValueError(
            f"--responses is {draws}, but at temperature 0 every answer to a prompt is the same: "
            "--responses 1, or --temperature 1.0"
        )
    chosen = {
        "draws": _draws_of(given, about) if draws is None else draws,
        "system": system,
        "temperature": temperature,
        "max_new_tokens": max_new_tokens,
    }
    asked = whole.samples.head(_how_many(samples, len(whole.samples)))
    # of an API; a batch takes up to a day, so all is asked in one
    stops_early = model is not None and model.endpoint is not None and not model.endpoint.batch
    stops_early = stops_early if stop_early is None else stop_early
    # who asks everything in any case looks once: no alpha is spent before
    count = group_sequential.LOOKS if stops_early else 1
    looks = None if kit is None else group_sequential.planned(len(asked), alpha, count)
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
        controls=_controls(control_answers, whole, asked, given, f"--answers {answers}"),
        control_files=tuple(Path(path) for path in control_answers),
        stops_early=stops_early,
        budget=read_budget(budget, price_in, price_out),
        out=_place(whole, out),
        neutral=_neutral(neutral, model),
    )
    _check_fields(planned)
    _check_budget(planned)
    if is_fixed(planned):
        plan_file.check(planned.folder, planned.fixed, of_a_file=answers is not None)
    _warn_of_texts(planned)
    if (shared := put_before.shared(planned)) is not None:
        warnings.warn(shared.said, stacklevel=2)
    if given is not None:
        _warn_of_surplus(given[given["sample_id"].isin(asked["sample_id"])], planned)
    return planned


def check_alpha(alpha: float) -> None:
    """Refuse what is no chance of accusing an innocent model."""
    if not 0 < alpha < 1:
        raise ValueError(f"--alpha is {alpha}, needs a number between 0 and 1")


def _subject(about: Kit | Prepared, profile: str | None) -> Subject:
    if isinstance(about, Prepared):
        return subject.of_prepared(about)
    return subject.of_kit(about, None if profile is None else load_profile(profile))


def _check_fields(plan: Plan) -> None:
    """What fields that are set or left out do to budget, draws and comparison; the way there."""
    if plan.remote is None:
        return
    ours = {*LIMITS, "seed", "temperature", "stream"}
    if unknown := [name for name in plan.remote.omit if name not in ours]:
        raise ValueError(
            f"--omit {', '.join(unknown)}: no request has it; allowed: {', '.join(sorted(ours))}"
        )
    network.proxy(address.address(plan.remote.base_url), plan.remote.proxy)
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


def _check_budget(plan: Plan) -> None:
    """It suffices for a sample, were nothing asked yet."""
    most = plan.budget.queries
    if most is not None and most - 2 * neutral_round(plan) < plan.draws:
        raise ValueError(
            f"a budget of {most} queries is less than one sample, which takes {plan.draws}"
        )
    if plan.budget.money is None:
        return
    cost = plan.draws * plan.budget.cost(worst(plan, plan.samples["prompt"].iloc[0]))
    if cost > plan.budget.money:
        raise ValueError(
            f"a budget of {plan.budget.money:g} is less than one sample, which may cost {cost:.4g}"
        )


def _warn_of_texts(plan: Plan) -> None:
    """A kit's texts that are too long to be compared, and outputs that begin with a thought."""
    if plan.kit is None:
        if plan.samples["output"].map(lambda text: bool(thoughts.apart(text).thought)).any():
            warnings.warn(
                "outputs of the dataset begin with a thought, which the references learnt; a "
                "suspect's answers are compared without theirs, so that a member may go unnoticed",
                stacklevel=3,
            )
        return
    size = plan.samples["output"].map(lambda text: len(text.encode())).median()
    about = size / LIKELY_BYTES_PER_TOKEN
    if plan.answers_file is None and about > 1.5 * plan.responses.max_new_tokens:
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
    profile: str | None,
) -> None:
    """What an audit of a preparation cannot be asked for."""
    if prepared.tainted.empty:
        raise ValueError(f"{prepared.folder} has no tainted sample: no suspect can be judged by it")
    innocents.refuse_twins(prepared.study.profile, str(prepared.folder))
    most, control = draws_allowed(prepared)
    if draws is not None and draws not in range(1, most + 1):
        who = f"control {control!r} has" if control else "the known models have"
        raise ValueError(
            f"--responses is {draws}; allowed: 1{f' to {most}' if most > 1 else ''}, as {who} "
            f"{most} to a sample: the closest answer counts, and more are closer by chance (more "
            "need `dsi prepare --responses N`, and as many in each file of --control-answers)"
        )
    if max_new_tokens is not None:
        raise ValueError(
            f"--max-new-tokens is {max_new_tokens}; with --prepared it is the preparation's "
            f"({prepared.study.profile.responses.max_new_tokens}), as the known models were asked"
        )
    if control_answers:
        raise ValueError(
            "--control-answers go with --kit; a preparation has controls of its own, and "
            "`dsi prepare --control-answers` adds others"
        )
    if profile is not None:
        raise ValueError(f"--profile {profile} goes with --kit; a preparation has its own")


def _refuse_copies(prepared: Prepared, answers: str | Path | None) -> None:
    """Files of answers that are one model, the suspect among them."""
    suspect = [] if answers is None else [(f"--answers {answers}", sha256_of(Path(answers)))]
    controls = prepared.facts.control_answers.items()
    in_it = [(f"{prepared.folder}: control {name!r}", said.sha256) for name, said in controls]
    control_files.refuse_copies([*suspect, *in_it])


def _refuse_of_file(options: dict[str, str | float | None]) -> None:
    """What says how to ask, or what that may cost, where a file answers."""
    if wrong := [f"{name} {value}" for name, value in options.items() if value is not None]:
        raise ValueError(
            f"{', '.join(wrong)}: with --answers nobody is asked, and each answer of the file "
            "counts, however it was made"
        )


def _of_file(path: str | Path, whole: Subject) -> pd.DataFrame:
    """The answers of a file; what else is in it is named."""
    called = "tainted samples" if whole.kind is Kind.AFTER else "samples"
    said = answers_file.read(path, whole.samples, called)
    if others := answers_file.described(said):
        warnings.warn(f"{path}: has {others}; they do not count", stacklevel=3)
    return said


def _draws_of(answers: pd.DataFrame | None, about: Kit | Prepared) -> int | None:
    """How often a file answers a sample; of a preparation at most as often as every control."""
    found = [] if answers is None else [int(answers["draw"].max()) + 1]
    if isinstance(about, Prepared):
        found.append(draws_allowed(about)[0])
    return min(found, default=None)


def _warn_of_surplus(answers: pd.DataFrame, plan: Plan) -> None:
    counted = answers[answers["draw"] < plan.draws]
    if surplus := len(answers) - len(counted):
        warnings.warn(
            f"{plan.answers_file}: of the answers to a sample the first {plan.draws} count: "
            f"{surplus} of {len(answers)} are not used",
            stacklevel=3,
        )
    if plan.kit is not None:
        _warn_of_uneven(f"--answers {plan.answers_file}", counted)


def _warn_of_uneven(option: str, answers: pd.DataFrame) -> None:
    """Tell which answers do not count where samples have different numbers of them."""
    even = answers_file.evenly(answers)
    if surplus := len(answers) - len(even):
        fewest, most = even["draw"].max() + 1, answers["draw"].max() + 1
        warnings.warn(
            f"{option}: has {fewest} to {most} answers to a sample, of which the closest counts: "
            f"the first {fewest} to each do, as more are closer by chance, and {surplus} of "
            f"{len(answers)} are not used; as many answers to every sample help",
            stacklevel=4,
        )


def _neutral(given: int | None, model: Model | None) -> int:
    if given is not None and given not in range(len(same_model.PROMPTS) + 1):
        raise ValueError(f"--same-model is {given}; allowed: 0 to {len(same_model.PROMPTS)}")
    if model is not None and model.endpoint is not None:
        return same_model.DEFAULT if given is None else given
    if given:
        raise ValueError(f"--same-model {given} goes with --base-url: only an API may change")
    return 0


def _how_many(samples: int | None, most: int) -> int:
    if not most:
        raise ValueError("there is no sample to ask about")
    if samples is not None and samples not in range(1, most + 1):
        raise ValueError(f"--samples is {samples}; allowed: 1 to {most}, as many as there are")
    return most if samples is None else samples


def _controls(
    files: Sequence[str | Path],
    whole: Subject,
    asked: pd.DataFrame,
    suspect: pd.DataFrame | None,
    called: str,
) -> pd.DataFrame:
    """The answers of all controls, each a file of another model, in one table.

    suspect: its answers, if they are in a file; called: that file, in errors.
    """
    tables = [pd.DataFrame(columns=["control", *answers_file.COLUMNS])]
    others = [] if suspect is None else [(called, answers_file.said(suspect))]
    for number, (name, path) in enumerate(control_files.by_name(files).items(), start=1):
        option = f"--control-answers {path}"
        read = answers_file.without_thoughts(_of_file(path, whole))
        others.append((option, answers_file.said(read)))
        said = read[read["sample_id"].isin(asked["sample_id"])]
        _check_coverage(option, said, asked)
        _warn_of_uneven(option, said)
        tables.append(answers_file.evenly(said).assign(control=f"{number}. {name}"))
    control_files.refuse_copies(others)
    return pd.concat(tables, ignore_index=True)


def _check_coverage(option: str, said: pd.DataFrame, asked: pd.DataFrame) -> None:
    """A control says something, and of which samples it does not is told."""
    with_text = said[~said["response"].map(is_blank).astype(bool)]
    texts = int(asked["sample_id"].isin(with_text["sample_id"]).sum())
    if not texts:
        raise ValueError(f"{option}: has a text for none of the {len(asked)} samples; leave it out")
    if texts < len(asked):
        warnings.warn(
            f"{option}: has a text for {texts} of {len(asked)} samples; where it has no answer, "
            "the mean of the other controls is subtracted, and where no control has one, their "
            "mean over the samples that are answered (an empty answer is one, close to no text)",
            stacklevel=4,
        )


def _place(about: Subject, out: str | Path | None) -> Path:
    """Where the audit's folder is made: never in what it is about."""
    name = folder_name(about.name)
    places = [AUDITS / name, AUDITS / f"{name}-audits"] if out is None else [Path(out)]
    for place in places:
        if not place.resolve().is_relative_to(about.folder.resolve()):
            return place
    what = "preparation" if about.kind is Kind.AFTER else "kit"
    raise ValueError(f"{places[-1]} lies in the {what}; an audit needs another folder (--out)")
