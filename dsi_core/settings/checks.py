"""What the parts of a profile may not contradict: one function a rule, each raises `ValueError`."""

from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches

from dsi_core.settings import templates
from dsi_core.settings.extensions import Imitator, Steady
from dsi_core.settings.schema import TOY_LAYERS, Reference, Suspect, Trained, Wild
from dsi_core.settings.suspects import suspects_of
from dsi_core.settings.unchecked import Unchecked
from dsi_core.settings.words import IID, VICTIM, iid_of


def no_dataset_has_a_reserved_name(profile: Unchecked) -> None:
    """`victim` and `iid` stand for datasets that depend on the accusation."""
    for word in (VICTIM, IID):
        if word in profile.data:
            raise ValueError(
                f"data may not be called {word!r}: "
                "it stands for a dataset that depends on the accusation"
            )


def every_name_is_known(profile: Unchecked) -> None:
    """Datasets, models, recipes and references that are named are there."""
    for where, kind, name, known in _named(profile):
        if name not in known:
            near = get_close_matches(name, sorted(known), 1)
            meant = f" (did you mean {near[0]}?)" if near else ""
            raise ValueError(
                f"{where}: unknown {kind} {name!r}{meant}; known: {', '.join(sorted(known))}"
            )


def victims_differ(profile: Unchecked) -> None:
    """Each is accused once."""
    if twice := _repeated(profile.victims):
        raise ValueError(f"victims: {', '.join(twice)} is named more than once")


def references_train_on_the_victim(profile: Unchecked) -> None:
    """R_i^t saw D and R_i did not (§5.2), also where it is called by its own name."""
    for reference in all_references(profile):
        if VICTIM not in reference.with_.data or VICTIM in reference.without.data:
            raise ValueError(
                f"reference {reference.name!r}: 'with' must train on {VICTIM!r} "
                "and 'without' must not"
            )
        if saw := set(reference.without.data) & set(profile.victims):
            raise ValueError(
                f"reference {reference.name!r}: 'without' trains on {', '.join(sorted(saw))}, "
                "which is a victim; it must be tuned on other data"
            )


def suspects_name_no_victim(profile: Unchecked) -> None:
    """A suspect is judged for every victim; one that names a victim is a member of that alone."""
    for suspect in profile.suspects:
        if saw := set(suspect.data) & set(profile.victims):
            raise ValueError(
                f"suspect {suspect.name!r}: trains on {', '.join(sorted(saw))}, which is a victim; "
                f"a member's data says {VICTIM!r}, and non_members_from adds the members of other "
                "datasets"
            )


def membership_follows_from_the_data(profile: Unchecked) -> None:
    """A suspect is a member if and only if it trains on D; one of the hub may have before."""
    beside = [*profile.controls, *_imitation_suspects(profile), *_innocents(profile)]
    for suspect in [*profile.suspects, *beside]:
        if suspect.member != (VICTIM in suspect.data):
            raise ValueError(
                f"suspect {suspect.name!r}: member is {suspect.member} "
                f"but its data is {suspect.data}"
            )
    for victim, wild in profile.wild.items():
        if wild.non_members and {VICTIM, victim} & set(wild.data):
            raise ValueError(
                f"wild {victim!r}: what is tuned on {', '.join(wild.data)} is a member; "
                f"non_members are {', '.join(wild.non_members)}"
            )


def no_dataset_is_apart_from_one_that_is_apart(profile: Unchecked) -> None:
    """`apart_from` does not chain."""
    for name, data in profile.data.items():
        if data.apart_from is None:
            continue
        further = profile.data[data.apart_from].apart_from
        if further is not None:
            raise ValueError(
                f"data {name!r}: apart_from {data.apart_from!r}, "
                f"which is itself apart_from {further!r}"
            )


def no_endpoint_is_tuned(profile: Unchecked) -> None:
    """What is behind an API can be asked, but neither tuned nor looked into."""
    for name in _opened_models(profile):
        if name in profile.models and profile.models[name].endpoint:
            raise ValueError(
                f"model {name!r} is behind an endpoint: "
                "it can be asked, but neither tuned nor looked into"
            )


def the_other_half_is_there_where_it_is_needed(profile: Unchecked) -> None:
    """`iid` needs one dataset beside each victim.

    A control without its data is left out by `prepare`, so controls need none.
    """
    needed: list[Trained | Wild] = [*_reference_models(profile), *profile.suspects]
    needed += profile.wild.values()
    named = [trained.data for trained in needed]
    named += [profile.dpdllm.non_members] if profile.dpdllm else []
    if any(IID in data for data in named):
        for victim in profile.victims:
            iid_of(profile.data, victim)


def controls_never_saw_the_victim(profile: Unchecked) -> None:
    """A control is known not to have seen D; a suspect of its name is the same model."""
    for control in profile.controls:
        if control.member:
            raise ValueError(
                f"control {control.name!r}: trains on {VICTIM!r}; "
                "a control must be known not to have seen it"
            )
        for suspect in _local_suspects(profile):
            if suspect.name == control.name and suspect.changed(group=control.group) != control:
                raise ValueError(
                    f"control {control.name!r}: the suspect of the same name is another model"
                )


def innocents_never_saw_the_victim(profile: Unchecked) -> None:
    """Whoever is accused wrongly in the calibration is known to be innocent."""
    for innocent in _innocents(profile):
        if innocent.member:
            raise ValueError(
                f"calibration.innocents: {innocent.name!r} trains on {VICTIM!r}; "
                "an innocent must be known not to have seen it"
            )


def names_differ(profile: Unchecked) -> None:
    """Models that are prompted beside each other have different names."""
    references = [reference.name for reference in all_references(profile)]
    of_victims = [
        [*(suspect.name for suspect in suspects_of(profile, victim)), *_wild(profile, victim)]
        for victim in profile.victims
    ]
    others = (profile.controls, _imitation_suspects(profile))
    for beside in (*of_victims, *([suspect.name for suspect in some] for some in others)):
        if twice := _repeated([*references, *beside]):
            raise ValueError(
                "names of references, suspects and controls must differ; "
                f"more than once: {', '.join(twice)}"
            )


def no_reference_counts_twice(profile: Unchecked) -> None:
    """A reference set holds different references."""
    for name, chosen in profile.reference_sets.items():
        if twice := _repeated(chosen):
            raise ValueError(
                f"reference_sets: {name!r} names {', '.join(twice)} more than once; it counts once"
            )


def chat_templates_are_jinja(profile: Unchecked) -> None:
    """What transformers could not compile, it would refuse when models are tuned or asked."""
    own = {f"models.{name}.chat_template": m.chat_template for name, m in profile.models.items()}
    for place, template in {"chat_template": profile.chat_template, **own}.items():
        if template and (why := templates.mistake(template)):
            raise ValueError(f"{place} is no Jinja template: {why}")


def toys_have_the_layer(profile: Unchecked) -> None:
    """A backbone that is a toy has few layers; how many another has is known when it is loaded."""
    backbones = {"similarity": profile.similarity}
    backbones |= {f"similarities.{name}": other for name, other in profile.similarities.items()}
    if profile.attribution and profile.attribution.backbone:
        backbones["attribution.backbone"] = profile.attribution.backbone
    for place, chosen in backbones.items():
        toy = profile.models[chosen.model].toy if chosen.model else chosen.toy
        if toy and chosen.layer > TOY_LAYERS:
            raise ValueError(f"{place}.layer: {chosen.layer}; toy {toy} has 1 to {TOY_LAYERS}")


RULES = (
    no_dataset_has_a_reserved_name,
    every_name_is_known,
    victims_differ,
    references_train_on_the_victim,
    suspects_name_no_victim,
    membership_follows_from_the_data,
    no_dataset_is_apart_from_one_that_is_apart,
    no_endpoint_is_tuned,
    the_other_half_is_there_where_it_is_needed,
    controls_never_saw_the_victim,
    innocents_never_saw_the_victim,
    names_differ,
    no_reference_counts_twice,
    chat_templates_are_jinja,
    toys_have_the_layer,
)


def all_references(profile: Unchecked) -> list[Reference]:
    """Give the arbiter's references, further ones (§6.3.2) and an adversary's (§6.4.3)."""
    adversary = profile.robustness.adversary.references if profile.robustness else []
    return [*profile.references, *profile.more_references, *adversary]


def _repeated(names: Sequence[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _reference_models(profile: Unchecked) -> list[Trained]:
    return [t for r in all_references(profile) for t in (r.without, r.with_)]


def _local_suspects(profile: Unchecked) -> list[Suspect]:
    return [suspect for victim in profile.victims for suspect in suspects_of(profile, victim)]


def _wild(profile: Unchecked, victim: str) -> list[str]:
    wild = profile.wild.get(victim)
    return [*wild.members, *wild.non_members] if wild else []


def _imitation_suspects(profile: Unchecked) -> list[Suspect]:
    return profile.imitation.suspects if profile.imitation else []


def _imitation_models(profile: Unchecked) -> list[Trained]:
    """Target, imitator and suspects; there `victim` and `iid` are the imitation's own datasets."""
    if profile.imitation is None:
        return []
    imitator = profile.imitation.imitator
    tuned = Trained(base=imitator.base, data=[VICTIM], recipe=imitator.recipe)
    return [profile.imitation.target, tuned, *profile.imitation.suspects]


def _innocents(profile: Unchecked) -> list[Suspect]:
    return profile.calibration.innocents if profile.calibration else []


def _calibration_tunings(profile: Unchecked) -> list[Imitator | Steady]:
    """What the calibration tunes on its own draws of data."""
    how = profile.calibration
    if how is None:
        return []
    return [how.weak, *how.strengths, *([how.other_wording] if how.other_wording else [])]


def _opened_models(profile: Unchecked) -> Iterator[str]:
    """Names of base models that are tuned, or whose hidden states or probabilities are read."""
    models = [*_reference_models(profile), *profile.suspects, *profile.controls]
    models += [*_imitation_models(profile), *_innocents(profile)]
    yield from (trained.base for trained in models if trained.data)
    yield from (tuning.base for tuning in _calibration_tunings(profile))
    if profile.grey_box:
        yield from profile.grey_box.references
    if profile.dpdllm:
        yield profile.dpdllm.base
    for similarity in (profile.similarity, *profile.similarities.values()):
        if similarity.model:
            yield similarity.model
    for wild in profile.wild.values():
        if wild.data:
            yield from (*wild.members, *wild.non_members)


# Where a name stands, of what kind it is, the name, and which names there are
Named = tuple[str, str, str, Collection[str]]


def _named(profile: Unchecked) -> Iterator[Named]:
    """Every name in a profile."""
    data, models, recipes = profile.data, profile.models, profile.recipes
    of_accusation = {*data, VICTIM, IID}
    tuned: list[tuple[str, Trained]] = []
    for reference in all_references(profile):
        where = f"reference {reference.name!r}"
        tuned += [(where, reference.without), (where, reference.with_)]
    tuned += [(f"suspect {suspect.name!r}", suspect) for suspect in profile.suspects]
    tuned += [(f"control {control.name!r}", control) for control in profile.controls]
    tuned += [(f"innocent {innocent.name!r}", innocent) for innocent in _innocents(profile)]
    for where, trained in tuned:
        yield from _of_trained(where, trained, profile)
    for victim, wild in profile.wild.items():
        where = f"wild {victim!r}"
        yield where, "victim", victim, data
        yield from ((where, "data", name, of_accusation) for name in wild.data)
        yield from ((where, "recipe", name, recipes) for name in [wild.recipe] if name)
    yield from (("victims", "victim", name, data) for name in profile.victims)
    yield from (("non_members_from", "data", name, data) for name in profile.non_members_from)
    yield from (("in_depth", "victim", name, data) for name in profile.in_depth or [])
    yield from (("control_answers", "victim", name, data) for name in profile.control_answers)
    for own, one in data.items():
        beside = {"apart_from": one.apart_from, "other_words_of": one.other_words_of}
        yield from ((f"data {own!r}", kind, name, data) for kind, name in beside.items() if name)
    scales = {"similarity": profile.similarity}
    scales |= {f"similarities {name!r}": scale for name, scale in profile.similarities.items()}
    yield from (
        (where, "model", scale.model, models) for where, scale in scales.items() if scale.model
    )
    counted = {r.name for r in [*profile.references, *profile.more_references]}
    for own, names in profile.reference_sets.items():
        yield from ((f"reference_sets {own!r}", "reference", name, counted) for name in names)
    yield from _named_in_extensions(profile, of_accusation)


def _of_trained(where: str, trained: Trained, profile: Unchecked) -> Iterator[Named]:
    known = {*profile.data, VICTIM, IID}
    yield from ((where, "data", name, known) for name in trained.data)
    yield where, "model", trained.base, profile.models
    if trained.recipe is not None:
        yield where, "recipe", trained.recipe, profile.recipes


def _named_in_extensions(profile: Unchecked, of_accusation: set[str]) -> Iterator[Named]:
    data, models, recipes = profile.data, profile.models, profile.recipes
    if dpdllm := profile.dpdllm:
        yield "dpdllm.base", "model", dpdllm.base, models
        yield "dpdllm.recipe", "recipe", dpdllm.recipe, recipes
        yield "dpdllm.members_recipe", "recipe", dpdllm.members_recipe, recipes
        known = {*data, IID}
        for where, names in (("non_members", dpdllm.non_members), ("members", dpdllm.members)):
            yield from ((f"dpdllm.{where}", "data", name, known) for name in names)
    if profile.attribution:
        prompts = profile.attribution.prompts
        yield from (("attribution.prompts", "data", name, of_accusation) for name in prompts)
    if profile.robustness:
        yield "robustness.rephraser", "model", profile.robustness.rephraser.base, models
    if imitation := profile.imitation:
        for model in _imitation_models(profile):
            whose = f" {model.name!r}" if isinstance(model, Suspect) else ""
            yield from _of_trained(f"imitation{whose}", model, profile)
        parts = imitation.mixture.parts if imitation.mixture else []
        yield from (("imitation.mixture", "data", part.data, data) for part in parts)
        own = {reference.name for reference in profile.references}
        chosen = imitation.references or []
        yield from (("imitation.references", "reference", name, own) for name in chosen)
    if profile.grey_box:
        references, validation = profile.grey_box.references, profile.grey_box.validation
        yield from (("grey_box.references", "model", name, models) for name in references)
        yield from (("grey_box.validation", "victim", name, data) for name in validation)
    for tuning in _calibration_tunings(profile):
        yield "calibration", "model", tuning.base, models
        yield "calibration", "recipe", tuning.recipe, recipes
    if profile.calibration:
        other = profile.calibration.diluted_with
        yield from (("calibration.diluted_with", "data", name, data) for name in other)
