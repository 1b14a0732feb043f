"""One case, all peers: the same numbers first, then turns of timing.

Several seats of one peer (1 and 2 threads) first play among themselves; the quicker one goes on, as
its users would choose it. Whoever does not agree with the first seat on loss and gradients, fails,
or does not answer is not timed, and the report says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Generic

import numpy as np

from benchmarks.peers.peer import Numbers, Work
from benchmarks.peers.team import Failed, Player, Seat
from unfold.speed.timing import MOST_ROUNDS, TURN, Times, interleave

TOLERANCE = 2e-4
CLEAR = 1.5  # times slower at first sight is not tried again
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Result(Generic[Work]):
    """What came of one peer in one case.

    Attributes:
        case: what it computed.
        peer: its name.
        threads: how many; None: the peer decided.
        times: of a run; None where it was not timed.
        difference: largest relative difference of loss and gradients from the first peer's.
        memory: MB, the largest of its process during the timed runs; None if not known.
        note: why it was not timed.
    """

    case: Work
    peer: str
    threads: int | None
    times: Times | None = None
    difference: float | None = None
    memory: float | None = None
    note: str = ""


def compare(
    case: Work,
    team: Mapping[Seat, Player],
    *,
    seconds: float,
    tell: Tell,
    rounds: int = MOST_ROUNDS,
) -> list[Result[Work]]:
    """Return one result per peer.

    Args:
        case: what to compute.
        team: the processes of peers that take the case; those that fail are closed.
        seconds: how long to time each.
        tell: gets a line whenever there is something to say.
        rounds: the number of turns of each, at most.
    """
    results: dict[str, Result[Work]] = {}
    ready = _agreeing(case, team, results, tell)
    try:
        chosen = {seat.peer: seat for seat in _quickest(ready, team)}
        turns = {peer: _turn(team[seat]) for peer, seat in chosen.items()}
        counted = {peer for peer, seat in chosen.items() if team[seat].ask("forget_peak")}
        durations = interleave(turns, seconds, rounds)
        memory = {peer: team[chosen[peer]].ask("memory") for peer in counted}
    except Failed as failure:
        tell(f"{case.name}: nobody timed: {failure}")
        return [replace(r, note=r.note or f"a peer failed: {failure}") for r in results.values()]
    for peer, seat in chosen.items():
        times = Times.of(durations[peer])
        found = {"threads": seat.threads, "times": times, "memory": memory.get(peer)}
        results[peer] = replace(results[peer], **found, note="")
        tell(f"{case.name}: {seat} {1e3 * times.minimum:.3f} ms ({times.runs} runs)")
    return list(results.values())


def _agreeing(
    case: Work, team: Mapping[Seat, Player], results: dict[str, Result[Work]], tell: Tell
) -> dict[Seat, float]:
    """Return who computes what the first one computes, with the seconds of a run.

    Fills `results`: how far everybody is from the first, and why somebody does not go on.
    """
    ready: dict[Seat, float] = {}
    first: Numbers | None = None
    for seat, player in team.items():
        result = Result(case, seat.peer, seat.threads)
        try:
            _, seconds = player.ask("prepare", case)
            numbers: Numbers = player.ask("numbers")
        except Failed as failure:
            results.setdefault(seat.peer, replace(result, note=str(failure)))
            tell(f"{case.name}: {seat} failed: {failure}")
            continue
        if first is None:
            first = numbers
        worst, name = difference(numbers, first)
        result = replace(result, difference=worst)
        if worst <= TOLERANCE:
            ready[seat] = seconds
        else:
            result = replace(result, note=f"{name} differs by {worst:.1e}")
            tell(f"{case.name}: {seat} disagrees: {result.note}")
        results[seat.peer] = result
    return ready


def difference(found: Numbers, expected: Numbers) -> tuple[float, str]:
    """Return the largest relative difference and whose it is; arrays count by their largest entry.

    Something missing or not finite differs infinitely.
    """
    (loss, gradients), (expected_loss, expected_gradients) = found, expected
    worst, name = abs(loss - expected_loss) / abs(expected_loss), "loss"
    if not np.isfinite(worst):
        return float("inf"), "loss"
    for key, right in expected_gradients.items():
        left = gradients.get(key)
        if left is None or left.shape != right.shape or not np.isfinite(left).all():
            return float("inf"), key
        scale = float(np.abs(right).max()) or 1.0
        error = float(np.abs(left - right).max()) / scale
        if error > worst:
            worst, name = error, key
    return worst, name


def _quickest(runs: Mapping[Seat, float], players: Mapping[Seat, Player]) -> list[Seat]:
    """Return the quickest seat of every peer; close ones play a few turns."""
    found: list[Seat] = []
    for peer in dict.fromkeys(seat.peer for seat in runs):
        mine = {seat: seconds for seat, seconds in runs.items() if seat.peer == peer}
        close = [seat for seat in mine if mine[seat] <= CLEAR * min(mine.values())]
        if len(close) > 1:
            turns = {str(seat): _turn(players[seat]) for seat in close}
            tried = interleave(turns, 0.0)
            close.sort(key=lambda seat: min(tried[str(seat)]))
        found.append(close[0])
    return found


def _turn(player: Player) -> Callable[[], list[float]]:
    return lambda: player.ask("turn", TURN)
