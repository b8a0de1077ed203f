"""The plan's jobs of notebooks 07 to 09, beyond what the paper's own study does.

Work that depends on results counts with an upper bound: all rounds of the bootstrap. Notebook 08's
classifiers other than the encoder take minutes, and are left out.
"""

from collections.abc import Sequence
from dataclasses import replace

from dsi_core.data.pairs import Dataset, dataset, origin
from dsi_core.grey_box import collect
from dsi_core.imitation import bootstrap
from dsi_core.imitation import dataset as imitation
from dsi_core.method.participants import Participant, Role, suspects
from dsi_core.method.rates import Step
from dsi_core.method.similarity import backbone
from dsi_core.models.sampling import Sampling
from dsi_core.models.tuning import training
from dsi_core.planning import assumptions, jobs
from dsi_core.planning.assumptions import rule
from dsi_core.planning.jobs import JobEstimate, Phase
from dsi_core.planning.machine import Machine
from dsi_core.planning.sizes import Prompts, Size, prompts_like, size_of
from dsi_core.settings.extensions import Attribution
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Data, Trained
from dsi_core.settings.suspects import suspects_of
from dsi_core.settings.words import dataset_of

TARGET = "an imitation's target"  # its answers, among the datasets of params/plan.yaml


def grey_box(profile: Profile, machine: Machine) -> list[JobEstimate]:
    """Estimate notebook 07.

    Every suspect and untuned base reads D and the validation set, suspects the changed versions
    too; then the asking. The two suspects that saw the validation set are left out.
    """
    how = profile.grey_box
    assert how is not None, "the profile has this section"
    estimates = []
    for victim, source in how.validation.items():
        if victim not in profile.victims:
            continue
        size = size_of(dataset(profile, victim))
        models = [m for m in suspects(profile) if m.dataset == victim]
        validation = Dataset("validation", source, profile.seed)
        others = [dataset(profile, name) for name in profile.data]
        left = max(0, validation_pairs(validation, others) - how.shots)
        texts = min(size.pairs, how.samples or size.pairs) + left
        compared = 2 * min(size.pairs, how.compared or size.pairs)
        asked = 2 * min(size.pairs, how.asked or size.pairs)
        prompt, whole = size.prompt_tokens, size.pair_tokens
        # Lowercase and neighbours share one reading of the prompt; ReCaLL reads prompt and answer
        # after the prefix
        each = 2 * prompt + (how.neighbours + 2) * size.answer_tokens
        versions = compared * each + how.shots * whole
        for model in models:
            tokens = texts * whole + versions
            estimates.append(jobs.read(model, texts + compared, tokens, machine))
        for base in collect.untuned(profile, victim):
            model = untuned(profile, victim, base, f"reference {base}")
            estimates.append(jobs.read(model, texts, texts * whole, machine))
        prompts = prompts_like(replace(size, pairs=asked, tainted=asked))
        usual = Sampling.of(profile.responses, profile.seed)
        for sampling in (usual.changed(draws=how.draws), usual.changed(temperature=0.0)):
            estimates += [jobs.answer(m, prompts, sampling, machine) for m in models]
            estimates += jobs.servers([(m, sampling) for m in models], machine)
    return estimates


def validation_pairs(validation: Dataset, others: Sequence[Dataset]) -> int:
    """Tell how many pairs a validation set holds.

    Without `rows`, as many as `others` are expected to leave of its source: each is a random draw.
    """
    pairs = size_of(validation).pairs
    if validation.source.rows:
        return round(pairs)
    left = 1.0
    for other in others:
        if origin(other.source) != origin(validation.source):
            continue
        taken = size_of(other.apart_from).pairs if other.apart_from else 0
        left *= 1 - size_of(other).pairs / (pairs - taken)
    return round(pairs * left)


def attribution(profile: Profile, machine: Machine) -> list[JobEstimate]:
    """Estimate notebook 08.

    Every tuned local suspect and its base answers each prompt once; every base reads all the
    answers; the encoder is tuned for each split (all its layers are counted).
    """
    how = profile.attribution
    assert how is not None, "the profile has this section"
    bases = sorted({s.base for s in profile.suspects if s.data})
    if len(bases) < 2:
        return []
    once = Sampling.of(profile.responses, profile.seed).changed(draws=1)
    estimates = []
    for victim in profile.victims:
        sizes = []
        for name in how.prompts:
            size = size_of(dataset(profile, dataset_of(profile.data, victim, name)))
            sizes.append(replace(size, pairs=min(size.pairs, how.questions or size.pairs)))
        tuned = [s for s in suspects_of(profile, victim) if s.data]
        models = [m for m in suspects(profile) if m.dataset == victim and m.trained in tuned]
        as_they_are = [untuned(profile, victim, base, f"{base}-untuned") for base in bases]
        models += as_they_are
        answers = [
            jobs.answer(model, prompts_like(size), once, machine)
            for model in models
            for size in sizes
        ]
        prompts = sum(s.pairs for s in sizes)
        prompt_tokens = sum(s.pairs * s.prompt_tokens for s in sizes)
        tokens = sum(a.tokens for a in answers) + len(models) * prompt_tokens
        readings = [jobs.read(m, len(models) * prompts, tokens, machine) for m in as_they_are]
        encoder = _encoder(profile, how, victim, len(bases), prompts, len(sizes), machine)
        servers = jobs.servers([(model, once) for model in models], machine)
        estimates += [*servers, *answers, *readings, encoder]
    return estimates


def _encoder(
    profile: Profile,
    how: Attribution,
    victim: str,
    bases: int,
    prompts: int,
    sets: int,
    machine: Machine,
) -> JobEstimate:
    """The tuning of the encoder, on replies of so many bases to so many prompts in so many sets.

    It learns the bases' replies, for each fold and for the tuned models: alone, and in pairs with a
    reply of the same base and some of other bases.
    """
    encoder, card = backbone(profile, how.backbone), machine.card
    source = jobs.encoder_of(encoder)
    billions = assumptions.billions(source) * rule("encoder_share")
    fits = min(how.folds, sets) + 1
    pairs = fits * (bases * prompts)
    length = how.tokens * (1 + 2 * (1 + min(how.negatives, bases - 1)))
    tokens = pairs * how.epochs * length
    return JobEstimate(
        id=f"attribution {victim} by {source} [{tokens:.0f}]",
        step=Step.TUNE,
        phase=Phase.OFFLINE,
        dataset=victim,
        model_id="encoder",
        base=source,
        billions=billions,
        hours=tokens * card.tuning_seconds(rule("full_flops"), billions) / 3600,
        pairs=pairs,
        tokens=tokens,
        memory_gb=card.fixed_gb + billions * rule("trained_bytes"),
    )


def imitation_data(profile: Profile, machine: Machine) -> list[JobEstimate]:
    """Estimate notebook 09 up to the accusation.

    The target writes instructions, in every round that the profile allows, and answers the used
    ones, the held-out ones twice; the imitators and their untuned base answer the held-out ones.
    """
    how = bootstrap.settings(profile)
    stated = assumptions.hub_dataset(TARGET, imitation.NAME)
    target = untuned(profile, imitation.NAME, how.target.base, "target", how.target)
    once = Sampling.of(profile.responses, profile.seed).changed(draws=1)

    def prompted(count: int, prompt_tokens: float) -> Prompts:
        read = prompt_tokens + rule("template_tokens")
        return prompts_like(Size(count, read, stated.answer_tokens, 0, count))

    queries = how.rounds * how.queries * len(bootstrap.categories(how.seeds))
    estimates = [
        jobs.answer(
            target,
            prompted(queries, (how.examples + 1) * stated.prompt_tokens),
            once.changed(max_new_tokens=how.instruction_tokens),
            machine,
        ),
        jobs.answer(
            target,
            prompted(2 * (how.pairs + how.held_out), stated.prompt_tokens),
            once.changed(max_new_tokens=how.answer_tokens),
            machine,
        ),
    ]
    accused = imitation_profile(profile)
    greedy = Sampling.of(accused.responses, accused.seed).changed(temperature=0.0)
    models = [m for m in suspects(accused) if m.group == imitation.GROUP]
    models.append(untuned(accused, imitation.NAME, how.imitator.base, imitation.UNTUNED))
    held_out = prompted(how.held_out, stated.prompt_tokens)
    estimates += [jobs.answer(m, held_out, greedy, machine) for m in models]
    return estimates + jobs.servers([(target, once), *((m, greedy) for m in models)], machine)


def imitation_profile(profile: Profile) -> Profile:
    """Give the profile in which the imitation dataset is D.

    The pairs that an imitator of a small budget leaves out have made-up names.
    """
    how = bootstrap.settings(profile)
    source = Data(
        hub=TARGET,
        prompt=["instruction"],
        output="output",
        rows=how.pairs,
        max_output_chars=int(how.answer_tokens * rule("chars_per_token")),
    )
    accused = imitation.accused_profile(profile, source)
    imitators = imitation.imitators(how, [f"pair {i}" for i in range(2 * how.pairs)])
    return accused.changed(suspects=[*imitators, *accused.suspects])


def untuned(
    profile: Profile, victim: str, base: str, name: str, trained: Trained | None = None
) -> Participant:
    """Give a model that is no suspect of the profile, as one; untuned unless `trained` says so."""
    trained = trained or Trained(base=base)
    return Participant(
        dataset=victim,
        model_id=name,
        role=Role.SUSPECT,
        reference="",
        group="",
        member=False,
        trained=trained,
        training=training(profile, victim, trained),
    )
