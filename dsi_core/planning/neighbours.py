"""The plan's jobs of notebooks 07 to 09: grey box, attribution and imitation, beyond what the paper's own study does.

Each function returns rows as `plan_jobs` makes them. Of work that depends on results an upper bound is counted: all rounds of the bootstrap.
Notebook 08's classifiers but the encoder take minutes, and are left out.
"""

from types import SimpleNamespace

import pandas as pd

from dsi_core.data.pairs import origin
from dsi_core.imitation import bootstrap, dataset
from dsi_core.imitation.dataset import NAME
from dsi_core.method import study
from dsi_core.planning import assumptions, jobs
from dsi_core.planning.jobs import Size
from dsi_core.settings.profile import Profile, dataset_of
from dsi_core.settings.schema import Data, Trained

TARGET = "an imitation's target"  # its answers, among the datasets of params/plan.yaml


def suspects(profile: Profile) -> pd.DataFrame:
    return study.members(study.Study(profile, pd.DataFrame())).query("role == 'suspect'")


def grey_box(profile: Profile, on: dict, speeds: dict) -> list[dict]:
    """Every suspect and reference reads D and the validation set, and suspects the changed versions, too; then the asking. The two suspects that
    saw the validation set are left out.
    """
    how, rows = profile.grey_box, []
    for victim, chosen in how.validation.items():
        if victim not in profile.victims:
            continue
        own, people = (
            jobs.size_of(profile, victim),
            list(suspects(profile).query("dataset == @victim").itertuples()),
        )
        texts = min(own.pairs, how.samples or own.pairs) + max(
            0, _validation(profile, chosen) - how.shots
        )
        compared, asked = (
            2 * min(own.pairs, some or own.pairs) for some in (how.compared, how.asked)
        )
        prompt = own.prompt + assumptions.rule("template_tokens")
        # Lowercase and neighbours share one reading of the prompt; ReCaLL reads prompt and answer after the prefix
        versions = compared * (2 * prompt + (how.neighbours + 2) * own.answer) + how.shots * (
            prompt + own.answer
        )
        rows += [
            jobs.read(
                profile, victim, m, texts + compared, texts * (prompt + own.answer) + versions, on
            )
            for m in people
        ]
        rows += [
            jobs.read(
                profile,
                victim,
                _untuned(victim, b, f"reference {b}"),
                texts,
                texts * (prompt + own.answer),
                on,
            )
            for b in how.references
        ]
        rows += [
            jobs.answer(
                _once(profile, **way),
                victim,
                m,
                on,
                speeds,
                own._replace(pairs=asked, tainted=asked),
            )
            for way in ({"draws": how.draws}, {"temperature": 0.0})
            for m in people
        ]
    return rows


def _validation(profile: Profile, chosen: Data) -> int:
    """Pairs of a validation set; without `rows` what the profile's datasets are expected to leave of its source: each is a random draw."""
    pairs = jobs.size_of(
        profile.model_copy(update={"data": {"validation": chosen}}), "validation"
    ).pairs
    left = 1.0
    for name, other in profile.data.items() if not chosen.rows else ():
        if origin(other) == origin(chosen):
            rest = pairs - (
                jobs.size_of(profile, other.apart_from).pairs if other.apart_from else 0
            )
            left *= 1 - jobs.size_of(profile, name).pairs / rest
    return round(pairs * left)


def attribution(profile: Profile, on: dict, speeds: dict) -> list[dict]:
    """Every tuned local suspect and its base answers each prompt once; every base reads all the answers; the encoder is tuned for each
    split (all its layers are counted).
    """
    how, rows, once = profile.attribution, [], _once(profile)
    tuned = [s for s in profile.suspects if s.data]
    bases = sorted({s.base for s in tuned})
    for victim in profile.victims if len(bases) > 1 else ():
        sets = [jobs.size_of(profile, dataset_of(profile, victim, name)) for name in how.prompts]
        sets = [s._replace(pairs=min(s.pairs, how.questions or s.pairs)) for s in sets]
        people = [
            m
            for m in suspects(profile).query("dataset == @victim").itertuples()
            if m.trained in tuned
        ]
        people += [_untuned(victim, b, f"{b}-untuned") for b in bases]
        answers = [jobs.answer(once, victim, m, on, speeds, s) for m in people for s in sets]
        prompts = sum(s.pairs for s in sets)
        heard = sum(a["tokens"] for a in answers) + len(people) * sum(
            s.pairs * (s.prompt + assumptions.rule("template_tokens")) for s in sets
        )
        rows += answers + [
            jobs.read(
                profile,
                victim,
                _untuned(victim, b, f"{b}-untuned"),
                len(people) * prompts,
                heard,
                on,
            )
            for b in bases
        ]
        # Learnt are the bases' replies: for each fold and for the tuned models; alone, and in pairs with one of the own and some of other bases
        fits, learnt = min(how.folds, len(sets)) + 1, len(bases) * prompts
        length = how.tokens * (1 + 2 * (1 + min(how.negatives, len(bases) - 1)))
        rows.append(
            _encoder(profile, victim, fits * learnt, fits * learnt * how.epochs * length, on)
        )
    return rows


def _encoder(profile: Profile, victim: str, pairs: int, tokens: float, on: dict) -> dict:
    source = jobs.backbone_of(profile, profile.attribution.backbone or profile.similarity)
    n = assumptions.billions(source) * assumptions.rule("encoder_share")
    return {
        "id": f"attribution {victim} by {source} [{tokens:.0f}]",
        "step": "tune",
        "phase": "offline",
        "dataset": victim,
        "model_id": "encoder",
        "base": source,
        "billions": n,
        "pairs": pairs,
        "tokens": tokens,
        "gpu_memory_gb": on["fixed_gb"] + n * assumptions.rule("trained_bytes"),
        "hours": tokens * jobs.seconds_per_token(assumptions.rule("full_flops"), n, on) / 3600,
    }


def imitation_data(profile: Profile, on: dict, speeds: dict) -> list[dict]:
    """The target writes instructions, in every round that the profile allows, and answers the used ones, the held-out ones twice; the imitators
    and their untuned base answer the held-out ones.
    """
    how, told = profile.imitation, assumptions.read()["datasets"][TARGET]
    queries = how.rounds * how.queries * len(bootstrap.categories(how.seeds))
    target, accused, rows = (
        _untuned(NAME, how.target.base, "target", how.target),
        imitation_profile(profile),
        [],
    )
    prompt, used = told["prompt_tokens"], 2 * (how.pairs + how.held_out)
    for pairs, length, tokens in (
        (queries, (how.examples + 1) * prompt, how.instruction_tokens),
        (used, prompt, how.answer_tokens),
    ):
        asked = Size(pairs, length, told["answer_tokens"], 0, pairs)
        rows.append(
            jobs.answer(_once(profile, max_new_tokens=tokens), NAME, target, on, speeds, asked)
        )
    people = [m for m in suspects(accused).itertuples() if m.group == dataset.GROUP] + [
        _untuned(NAME, how.imitator.base, dataset.UNTUNED)
    ]
    kept = Size(how.held_out, prompt, told["answer_tokens"], 0, how.held_out)
    return rows + [
        jobs.answer(_once(accused, temperature=0.0), NAME, m, on, speeds, kept) for m in people
    ]


def imitation_profile(profile: Profile) -> Profile:
    """The profile in which the imitation dataset is D; the pairs that an imitator of a small budget leaves out have made-up names."""
    how, most = (
        profile.imitation,
        int(profile.imitation.answer_tokens * assumptions.rule("chars_per_token")),
    )
    accused = dataset.accused(
        profile,
        Data(
            hub=TARGET,
            prompt=["instruction"],
            output="output",
            rows=how.pairs,
            max_output_chars=most,
        ),
    )
    imitators = dataset.imitators(how, [f"pair {i}" for i in range(2 * how.pairs)])
    return accused.model_copy(update={"suspects": imitators + accused.suspects})


def _once(profile: Profile, **how) -> Profile:
    return profile.model_copy(
        update={"responses": profile.responses.model_copy(update={"draws": 1, **how})}
    )


def _untuned(victim: str, base: str, name: str, trained: Trained | None = None) -> SimpleNamespace:
    """A model that is no suspect of the profile, as a row of `study.members`."""
    return SimpleNamespace(
        dataset=victim,
        model_id=name,
        role="suspect",
        base=base,
        trained=trained or Trained(base=base),
    )
