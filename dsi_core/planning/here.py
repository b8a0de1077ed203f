"""The machine at hand, as a plan needs it: what it can do and what was measured on it."""

import re

import psutil

from dsi_core.method import rates
from dsi_core.method.pending import SHARE_OF_PEAK
from dsi_core.planning import assumptions
from dsi_core.planning.machine import Machine
from dsi_core.runtime import provenance
from dsi_core.runtime.devices import CPU, devices
from dsi_core.runtime.precision import detect, device_name, product_flops
from dsi_core.settings.profile import Profile

GB = 1e9


def machine(profile: Profile) -> Machine | None:
    """Say what this machine is, with a worker for each of its devices.

    A CPU's speed is that measured on such work, or else a share of a matrix product's speed here. A
    GPU is looked up by its name among the cards of params/plan.yaml.

    Returns
    -------
    Machine or None
        None for a GPU that is none of these cards: its speed is not known.
    """
    device, workers = device_name(), max(1, len(devices()))
    known = assumptions.read().cards
    if device != CPU:
        fitting = (card for card in known.values() if re.search(card.device, device))
        card = next(fitting, None)
        if card is None:
            return None
        return Machine(
            device, card.changed(workers=workers), rates.speeds(card.device), counts=True
        )
    precision = detect(profile.precision)
    card = next(card for card in known.values() if re.search(card.device, CPU))
    card = card.changed(
        memory_gb=psutil.virtual_memory().total / GB / workers,
        tflops=product_flops(precision.dtype) / 1e12,
        compute_fraction=SHARE_OF_PEAK,
        forward_fraction=SHARE_OF_PEAK,
        bytes_per_parameter=2 if precision.dtype == "bf16" else 4,
        workers=workers,
    )
    speeds = rates.speeds(card.device, cpu=provenance.cpu(), precision=precision.label())
    return Machine(f"{provenance.cpu()}, {precision.label()}", card, speeds, counts=True)
