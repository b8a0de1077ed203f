"""An audit that is planned (§5.4): what a suspect will be asked, how it is judged, and where."""

import re
import unicodedata
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from dsi_core.audit.budget import Budget
from dsi_core.audit.plan_file import PlanFile
from dsi_core.audit.preparation.prepared import Prepared
from dsi_core.audit.subject import Subject
from dsi_core.evidence.looks import Looks
from dsi_core.method import closeness
from dsi_core.models.load import Base
from dsi_core.models.sampling import Sampling
from dsi_core.models.tuning import Training
from dsi_core.protect.kit import Kit
from dsi_core.runtime import store
from dsi_core.runtime.disk import sha256_of
from dsi_core.runtime.precision import detect
from dsi_core.services import address, request
from dsi_core.settings.schema import Endpoint, Model, Responses

AUDITS = Path("audits")  # in the working directory
LONGEST = 100  # bytes of a name in a folder's; a disk takes 255 at most, some encrypted ones 143
MODEL_ID = "suspect"  # a local suspect's; its random numbers depend on it
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
        How it is prompted: as the subject says, except what was chosen for this audit.
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
    def local(self) -> bool:
        """Whether the suspect is loaded here: neither an API nor a file of its answers."""
        return self.model is not None and self.remote is None

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
    def asking(self) -> Sampling:
        """How an API is asked: with seeds that tell it nothing about a sample."""
        return replace(self.sampling, seed=int(self.subject.secret, 16))

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
            place = address.place(self.remote)
            return store.key({"api": place, "model": self.remote.model})
        return store.key(self.base.spec)

    @cached_property
    def name(self) -> str:
        """The name of the audit's folder.

        Its key is of the subject's content and the suspect. What else decides the answers and the
        test is fixed by plan.json in the folder.
        """
        spec = {"subject": dict(self.subject.hashes), "suspect": self.suspect_key}
        return f"{plain_name(self.suspect)}-{store.key(spec)}"

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
            mu=self.subject.mu,
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


def folder_name(name: str) -> str:
    """Write a name as a folder's that no other name has: what is altered ends with its own key."""
    plain = plain_name(name)
    whole = unicodedata.normalize("NFC", name)
    return plain if plain == whole else f"{plain}-{store.key(whole)}"


def plain_name(name: str) -> str:
    """Write a name so that any disk takes it as a folder's, and no shell tool for an option.

    Letters and digits of any script stay (NFC), with the marks that are written with them.
    """
    kept = (
        c if unicodedata.category(c)[0] in "LMN" or c in ".+_" else "-"
        for c in unicodedata.normalize("NFC", name)
    )
    plain = re.sub("-+", "-", "".join(kept))
    plain = re.sub(r"^[-.]|\.$", "_", plain).rstrip("-")
    return plain.encode()[:LONGEST].decode(errors="ignore")
