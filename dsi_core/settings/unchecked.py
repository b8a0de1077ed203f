"""What a profile holds: every setting of a study, each allowed by itself, not yet compared."""

from typing import Annotated, Any, Literal

from pydantic import Field

from dsi_core.settings.evasions import Robustness
from dsi_core.settings.extensions import Attribution, Calibration, GreyBox, Imitation
from dsi_core.settings.schema import (
    Data,
    Decision,
    Dpdllm,
    Model,
    Recipe,
    Reference,
    Responses,
    Similarity,
    Suspect,
    Wild,
)
from dsi_core.settings.strict import Name, Strict


class Unchecked(Strict):
    """Every setting of a study; `profile.Profile` says that none contradicts another."""

    name: str
    scale: str  # one sentence for captions: which models, how large, what it proves
    seed: int = Field(0, ge=0, lt=2**32)  # what libraries that draw take
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # of weights; auto = bf16 on a GPU
    victims: list[str] = Field(min_length=1)
    data: dict[Name, Data]
    models: dict[Name, Model]
    chat_template: str  # for a base model whose tokenizer has none
    recipes: dict[Name, Recipe]
    references: list[Reference] = Field(min_length=1)
    suspects: list[Suspect]
    # datasets: the member suspects, trained on one of these instead, are a victim's non-members
    non_members_from: list[str] = []
    # victims at which ablations that tune, evasions and notebooks 07-08 look; None = all
    in_depth: list[str] | None = None
    controls: list[Suspect] = []  # known not to have seen D; an audit compares with them
    # victim -> name of a control -> file of its answers to the victim's prompts
    control_answers: dict[str, dict[str, str]] = {}
    wild: dict[str, Wild] = {}
    responses: Responses
    similarity: Similarity
    decision: Decision = Decision()
    more_references: list[Reference] = []  # §6.3.2
    # Fig. 9-10: which references count together
    reference_sets: dict[str, Annotated[list[str], Field(min_length=1)]] = {}
    similarities: dict[str, Similarity] = {}  # other backbones to compare verdicts with
    dpdllm: Dpdllm | None = None
    robustness: Robustness | None = None
    imitation: Imitation | None = None
    attribution: Attribution | None = None
    grey_box: GreyBox | None = None
    calibration: Calibration | None = None
    suites: dict[
        str, dict[str, Any]
    ] = {}  # parts that one notebook replaces (`profile.SUITE_PARTS`)
