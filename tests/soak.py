"""An audit under a service that fails at random, killed again and again: `python tests/soak.py`.

The service is honest in one thing only: what it says to a question depends on the question alone.
So an audit that was disturbed must come to the same verdict as one that was not, and no question
may be answered (and billed) twice but for those that were under way when the audit was killed.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import twins
from helpers import STRANGER
from servers import Server, cut_before, cut_within, error, page, reply

CONCURRENCY = 4
DRAWS = 3
PRELUDE = 3  # undisturbed requests: a service that is nonsense from the start ends an audit


@dataclass
class Soaked:
    """What became of an audit.

    answers: prompt -> how often it was answered whole. failures: kind -> how often.
    peaks: the largest memory of each run, MB, and of the last one by the minute (`memory`).
    """

    said: dict = field(default_factory=dict)
    answers: Counter = field(default_factory=Counter)
    failures: Counter = field(default_factory=Counter)
    kills: int = 0
    seconds: float = 0.0
    peaks: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    @property
    def twice(self) -> int:
        """Answers beyond those that were asked for."""
        return sum(max(0, count - DRAWS) for count in self.answers.values())


def failing(kit, soaked: Soaked, seed: int, rate: float, seconds: float):
    """Script a service that knows the kit's published wording, by halves, and fails at a rate."""
    dice = random.Random(seed)
    published = dict(zip(kit.rows["prompt"], kit.rows["text"], strict=True))
    guard = threading.Lock()

    def fails(asked: int) -> tuple[str, object] | None:
        if asked < PRELUDE or dice.random() >= rate:
            return None
        halves = json.dumps(
            {"choices": [{"message": {"content": "half"}, "finish_reason": "error"}]}
        )
        return dice.choice(
            [
                ("429", error(429)),
                ("429 with a date", error(429, **{"retry-after-ms": "200"})),
                ("500", error(500)),
                ("503", error(503, **{"Retry-After": "0.2"})),
                ("408", error(408)),
                ("connection cut", cut_before),
                ("reply cut", cut_within),
                ("error within a reply", error(200, "upstream is down")),
                ("half an answer", page(halves.encode())),
                ("no choices", page(b'{"choices": []}')),
            ]
        )

    def script(prompt, n):
        with guard:
            failed = fails(sum(soaked.answers.values()))
            pause = dice.uniform(0, 2 * seconds)
            learnt = random.Random(prompt).random() < 0.5
        time.sleep(pause)
        if failed is not None:
            with guard:
                soaked.failures[failed[0]] += 1
            return failed[1]
        with guard:
            soaked.answers[prompt] += 1
        return reply(published[prompt] if learnt else STRANGER)

    return script


def command(kit, url: str, out: Path) -> list[str]:
    """What a user would type."""
    return [
        *(sys.executable, "-m", "dsi_core", "audit", "--kit", str(kit.folder)),
        *("--base-url", url, "--model", "soaked", "--out", str(out), "--ask-all"),
        *("--same-model", "0"),
        *("--responses", str(DRAWS), "--temperature", "1", "--concurrency", str(CONCURRENCY)),
    ]


def run(
    folder: Path,
    *,
    samples: int,
    kills: int,
    rate: float,
    latency: float,
    seed: int = 0,
    audit_options: tuple[str, ...] = (),
) -> Soaked:
    """Audit a failing service, kill the audit so many times, and let it end.

    latency: mean seconds of a request.
    """
    (folder / "data").mkdir(parents=True)
    kit, soaked = twins.wording(folder / "data", samples), Soaked()
    dice, begun = random.Random(seed), time.monotonic()
    expected = samples * DRAWS * latency / CONCURRENCY * (1 + rate)
    with Server() as server:
        server.script = failing(kit, soaked, seed, rate, latency)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        words = [*command(kit, server.url, folder / "audits"), *audit_options]
        for remaining in range(kills, -1, -1):
            audit = subprocess.Popen(
                words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            answered = sum(soaked.answers.values())
            watch = _Memory(audit.pid)
            watch.start()
            if remaining:
                # in time to ask something first: a start takes some seconds by itself
                while audit.poll() is None and sum(soaked.answers.values()) < answered + 5:
                    time.sleep(0.05)
                time.sleep(dice.uniform(0, expected / (kills + 1)))
                audit.send_signal(signal.SIGKILL)
                soaked.kills += 1
            said, _ = audit.communicate()
            soaked.peaks.append(max(watch.seen, default=0.0))
            soaked.memory = watch.seen
        server.shutdown()
    if audit.returncode:
        raise RuntimeError(f"the audit ended with {audit.returncode}:\n{said}")
    (facts,) = (folder / "audits").glob("*/audit.json")
    soaked.said, soaked.seconds = json.loads(facts.read_text()), time.monotonic() - begun
    return soaked


class _Memory(threading.Thread):
    """Resident memory of a process in MB, now and then."""

    def __init__(self, pid: int, every: float = 1.0):
        super().__init__(daemon=True)
        self.pid, self.every, self.seen = pid, every, []

    def run(self):
        while True:
            try:
                status = Path(f"/proc/{self.pid}/status").read_text()
                self.seen.append(int(status.split("VmRSS:")[1].split()[0]) / 1024)
            except (OSError, IndexError):
                return
            time.sleep(self.every)


def verdict(soaked: Soaked) -> tuple:
    """What must not depend on disturbances."""
    said = soaked.said
    return said["answer"], said["p"], said["statuses"], said["queried"]["answers"]


def main() -> None:
    """Print a line about each of both audits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--rate", type=float, default=0.15, help="share of requests that fail")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    latency = given.minutes * 60 * CONCURRENCY / (given.samples * DRAWS * (1 + given.rate))
    with tempfile.TemporaryDirectory() as place:
        usual = run(Path(place, "usual"), samples=given.samples, kills=0, rate=0, latency=0.001)
        soaked = run(
            Path(place, "soaked"),
            samples=given.samples,
            kills=given.kills,
            rate=given.rate,
            latency=latency,
            seed=given.seed,
        )
    for name, one in {"undisturbed": usual, "disturbed": soaked}.items():
        half = len(one.memory) // 2
        print(
            f"{name}: {one.seconds / 60:.1f} min, {one.kills} kills, "
            f"{sum(one.failures.values())} failures {dict(one.failures)}, "
            f"{sum(one.answers.values())} answers, {one.twice} of them again; "
            f"p {one.said['p']:.6g}, {one.said['answer']}; peaks {max(one.peaks):.0f} MB, last run "
            f"{max(one.memory[:half], default=0):.0f} MB in its first half and "
            f"{max(one.memory[half:], default=0):.0f} MB in its second"
        )
    print("same verdict:", verdict(usual) == verdict(soaked))
    print(f"answered again: {soaked.twice}, at most {given.kills * CONCURRENCY} were under way")
    assert verdict(usual) == verdict(soaked) and soaked.twice <= given.kills * CONCURRENCY


if __name__ == "__main__":
    main()
