"""What an audit is about, a kit or a preparation: what a plan needs to know of either."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

import pandas as pd

from dsi_core.audit.preparation import prepared_json
from dsi_core.audit.preparation.prepared import FILES, Prepared
from dsi_core.protect.kit import Kit
from dsi_core.protect.kit_files import COMMITMENT, PRIVATE, PUBLISHED, Hashed, rows_of
from dsi_core.runtime.disk import sha256_of
from dsi_core.settings import defaults
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Responses

FILES_OF_KIT = (COMMITMENT, PRIVATE, PUBLISHED)


class Kind(StrEnum):
    """The kind of evidence; kinds are never mixed in one audit."""

    PRIVATE = "private twin"  # A: a coin kept a part of D unpublished
    WORDING = "wording twin"  # B: a coin chose which of two wordings was published
    AFTER = "after the fact"  # C: D alone, and models chosen as controls

    @property
    def letter(self) -> str:
        """A, B or C."""
        return {Kind.PRIVATE: "A", Kind.WORDING: "B", Kind.AFTER: "C"}[self]


@dataclass(frozen=True)
class Subject:
    """What an audit is about.

    Attributes
    ----------
    kind
        Of the evidence that it allows.
    name
        Of the dataset.
    folder
        Where it lies.
    hashes
        SHA-256 of its files, by name.
    secret
        A secret of its owner, in hex digits: seeds made with it tell nothing of a sample's texts,
        and so nothing of a coin, unlike an id, which is a hash of the texts.
    samples
        Those that may be asked about, in the order of asking: random, the same for every suspect,
        and blind to every coin. Columns sample_id, prompt, output; of a kit also group and, by its
        kind, published (A) or first_published, first and second (B).
    responses
        How the suspect is asked unless the audit says otherwise.
    chat_template
        For a local suspect whose tokenizer has none.
    precision
        Of a local suspect's weights, as in a profile.
    seed
        Of the answers of a local suspect and the re-dealt coins.
    mu
        Shorter answers, in UTF-8 bytes, are no evidence.
    """

    kind: Kind
    name: str
    folder: Path
    hashes: Mapping[str, str]
    secret: str
    samples: pd.DataFrame
    responses: Responses
    chat_template: str
    precision: Literal["auto", "fp32", "bf16"]
    seed: int
    mu: int


def of_prepared(prepared: Prepared) -> Subject:
    """Say what an audit needs of a preparation: its tainted samples, in the order of asking."""
    profile = prepared.study.profile
    # not a hash that a report shows, and of whose content one would have to know every text
    texts = (prepared.folder / FILES[0]).read_bytes()
    return Subject(
        kind=Kind.AFTER,
        name=prepared.facts.name,
        folder=prepared.folder,
        hashes={
            prepared_json.NAME: sha256_of(prepared.folder / prepared_json.NAME),
            **prepared.facts.sha256,
        },
        secret=hashlib.sha256(b"requests" + texts).hexdigest(),
        samples=prepared.tainted[["sample_id", "prompt", "output"]],
        responses=profile.responses,
        chat_template=profile.chat_template,
        precision=profile.precision,
        seed=profile.seed,
        mu=profile.decision.mu,
    )


def of_kit(kit: Kit, profile: Profile | None = None) -> Subject:
    """Say what an audit needs of a kit.

    profile: says how to ask; None = `settings.defaults`.
    """
    return Subject(
        kind=Kind(kit.kind.value),
        name=kit.name,
        folder=kit.folder,
        hashes={name: sha256_of(kit.folder / name) for name in FILES_OF_KIT},
        secret=_secret(kit),
        samples=_of_kit(kit),
        responses=defaults.RESPONSES if profile is None else profile.responses,
        chat_template=defaults.CHAT_TEMPLATE if profile is None else profile.chat_template,
        precision="auto" if profile is None else profile.precision,
        seed=defaults.SEED if profile is None else profile.seed,
        mu=defaults.MU if profile is None else profile.decision.mu,
    )


def _secret(kit: Kit) -> str:
    """Derive it from the salt, which the commitment hides and nobody can guess."""
    path = kit.folder / PRIVATE
    salt = rows_of(iter(Hashed(path)), path)[0].salt
    return hmac.digest(bytes.fromhex(salt), b"requests", hashlib.sha256).hex()


def _of_kit(kit: Kit) -> pd.DataFrame:
    """The rows of a kit, both wordings by their order of writing and not of publication."""
    rows = kit.rows.rename(columns={"text": "output"})
    columns = ["sample_id", "group", "prompt", "output"]
    if Kind(kit.kind.value) is Kind.PRIVATE:
        chosen = rows[[*columns, "published"]].astype({"published": bool})
        return _in_blind_order(chosen, ["output"])
    rows = rows.assign(**kit.wordings[["first", "second"]])
    chosen = rows[[*columns, "first_published", "first", "second"]]
    return _in_blind_order(chosen.astype({"first_published": bool}), ["first", "second"])


def _in_blind_order(rows: pd.DataFrame, texts: list[str]) -> pd.DataFrame:
    """Put rows into an order by all their texts at once: no coin decides it, and it tells nothing.

    A sample's id is a hash of its texts, so that an order by ids alone would tell of a text whether
    it is the row's.
    """
    whole = hashlib.sha256()
    for row in sorted(rows[["sample_id", *texts]].itertuples(index=False, name=None)):
        whole.update(json.dumps(row).encode())
    key = whole.digest()
    return rows.sort_values(
        "sample_id",
        key=lambda ids: ids.map(lambda one: hmac.digest(key, one.encode(), hashlib.sha256)),
        ignore_index=True,
    )
