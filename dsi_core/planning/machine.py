"""What a plan is for: a card, and what was measured on such devices."""

from dataclasses import dataclass
from enum import StrEnum

from dsi_core.method import rates
from dsi_core.method.rates import Kind
from dsi_core.models import means
from dsi_core.planning import assumptions
from dsi_core.planning.assumptions import Card, rule


class Basis(StrEnum):
    """What a rate comes from; values as in tables."""

    MEASURED = "measured"
    ASSUMED = "assumed"


@dataclass(frozen=True)
class Machine:
    """A card that is planned for.

    Parameters
    ----------
    name
        Of the card.
    card
        What it can do.
    speeds
        Tokens per second measured on such devices.
    counts
        Whether datasets of the hub whose size is not stated are read and counted.
    """

    name: str
    card: Card
    speeds: dict[Kind, float]
    counts: bool = False

    def basis(self, kind: Kind) -> Basis:
        """Tell what the rate of some work comes from."""
        return Basis.MEASURED if kind in self.speeds else Basis.ASSUMED


@dataclass(frozen=True)
class Cost:
    """What a piece of work takes.

    Parameters
    ----------
    seconds
        Of one worker, without loading the model.
    memory_gb
        On the card; on a CPU main memory.
    """

    seconds: float
    memory_gb: float


def machine_of(card: str, *, counts: bool = False) -> Machine:
    """Find a card, and what was measured on such. Raises `ValueError` for an unknown card."""
    known = assumptions.card(card)
    return Machine(card, known, rates.speeds(known.device), counts)


def weights_gb(billions: float, quantized: bool, card: Card) -> float:
    """Tell what weights take that are not trained."""
    packed = stays_packed(billions, quantized, card)
    return billions * (rule("nf4_bytes") if packed else card.bytes_per_parameter)


def stays_packed(billions: float, quantized: bool, card: Card) -> bool:
    """Tell whether weights are held in NF4: they are unpacked where they fit."""
    fits = billions * card.bytes_per_parameter < means.UNPACKED * card.memory_gb
    return quantized and not (card.unpacks and fits)


def loading_seconds(billions: float, card: Card) -> float:
    """Tell how long a worker that runs takes to load a model: in proportion to its file."""
    return billions * rule("file_bytes") * card.load_s_per_gb
