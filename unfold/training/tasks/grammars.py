"""Formal languages as automata: membership, legal next symbols, and draws of strings.

* Tomita's seven regular languages over 0 and 1 (Tomita 1982): 1*, (10)*, no odd run of 0s right
  after an odd run of 1s, no 000, even numbers of 0s and 1s, #1 - #0 divisible by 3, 0*1*0*1*.
* Reber's grammar (Reber 1967) and its embedding between two equal symbols, as in figure 4 of
  Hochreiter & Schmidhuber (1997):

      B → 1    1: T → 2, P → 4    2: S → 2, X → 3    3: S → 6, X → 4
               4: T → 4, V → 5    5: V → 6, P → 3    6: E → end

* counting languages aⁿbⁿ and aⁿbⁿcⁿ, which no finite automaton has.

    REBER.legal("BT")  →  after B: T or P; after BT: S or X
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

Array = np.ndarray
REBER_SYMBOLS = "BTSXPVE"
BOUNDARY = "$"
MAX_STRING = 500
AT_ONCE = 32

Moves = tuple[Mapping[str, int], ...]


@dataclass(frozen=True, eq=False)
class Automaton:
    """A deterministic automaton that begins in state 0.

    Attributes:
        symbols: the alphabet, in the order of the classes.
        moves: per state, the next state by symbol; a missing symbol is not legal.
        accepting: the states in which a string may end.
    """

    symbols: str
    moves: Moves
    accepting: frozenset[int]

    def run(self, string: str) -> int | None:
        """Return the state after a string, or None if it leaves the language for good."""
        state: int | None = 0
        for symbol in string:
            state = None if state is None else self.moves[state].get(symbol)
        return state

    def accepts(self, string: str) -> bool:
        """Tell whether a string belongs to the language."""
        return self.run(string) in self.accepting

    def prefixes(self, string: str) -> list[bool]:
        """Tell for each prefix of a string whether it is in the language."""
        state, found = 0, list[bool]()
        for symbol in string:
            state = self.moves[state][symbol]
            found.append(state in self.accepting)
        return found

    def legal(self, string: str) -> Array:
        """Return the legal successors of each symbol of a string, [length, symbols] of 0 and 1."""
        states, state = list[int](), 0
        for symbol in string:
            state = self.moves[state][symbol]
            states.append(state)
        return self._legal[states]

    @cached_property
    def _legal(self) -> Array:
        """The legal next symbols of every state, [states, symbols] of 0 and 1."""
        rows = [[float(s in row) for s in self.symbols] for row in self.moves]
        return np.array(rows)

    def walk(self, generator: np.random.Generator) -> str:
        """Draw a string: every legal symbol is equally likely, until there is none."""
        state, string = 0, ""
        draws = list[float]()
        while moves := self.moves[state]:
            if not draws:
                draws = generator.random(AT_ONCE).tolist()
            symbol = list(moves)[int(draws.pop() * len(moves))]
            string, state = string + symbol, moves[symbol]
        return string


def _reber(first: int) -> list[dict[str, int]]:
    """Return the moves of Reber's grammar in states numbered from `first`, entered before its B."""
    moves = [
        {"B": 1},
        {"T": 2, "P": 4},
        {"S": 2, "X": 3},
        {"S": 6, "X": 4},
        {"T": 4, "V": 5},
        {"V": 6, "P": 3},
        {"E": 7},
    ]
    return [{symbol: first + state for symbol, state in row.items()} for row in moves]


def _embedded() -> Moves:
    """Return B, T or P, a Reber string, the same T or P, E."""
    inner = len(_reber(0))
    upper, lower = 2, 2 + inner + 1
    last = lower + inner + 1
    moves = [{"B": 1}, {"T": upper, "P": lower}]
    moves += [*_reber(upper), {"T": last}]
    moves += [*_reber(lower), {"P": last}]
    return (*moves, {"E": last + 1}, {})


REBER = Automaton(REBER_SYMBOLS, (*_reber(0), {}), frozenset({7}))
EMBEDDED_REBER = Automaton(REBER_SYMBOLS, _embedded(), frozenset({len(_embedded()) - 1}))


def _binary(zeros: Sequence[int], ones: Sequence[int], *accepting: int) -> Automaton:
    """Make an automaton over 0 and 1 from the next states after a 0, and after a 1."""
    moves = tuple({"0": z, "1": o} for z, o in zip(zeros, ones, strict=True))
    return Automaton("01", moves, frozenset(accepting))


TOMITA: Mapping[int, Automaton] = {
    1: _binary([1, 1], [0, 1], 0),
    2: _binary([2, 0, 2], [1, 2, 2], 0),
    3: _binary([0, 2, 3, 2, 4], [1, 0, 4, 1, 4], 0, 1, 3),
    4: _binary([1, 2, 3, 3], [0, 0, 0, 3], 0, 1, 2),
    5: _binary([1, 0, 3, 2], [2, 3, 0, 1], 0),
    6: _binary([2, 0, 1], [1, 2, 0], 0),
    7: _binary([0, 2, 2, 4, 4], [1, 1, 3, 3, 4], 0, 1, 2, 3),
}


@lru_cache(maxsize=256)
def counts(automaton: Automaton, length: int, member: bool) -> tuple[tuple[int, ...], ...]:
    """Count strings: entry [n][state] is the number with n symbols that end rightly from a state.

    Arguments:
        length: the largest n.
        member: whether a right end is an accepting state, or one that does not accept.
    """
    table = [tuple(int((s in automaton.accepting) == member) for s in range(len(automaton.moves)))]
    for _ in range(length):
        last = table[-1]
        table.append(tuple(sum(last[n] for n in row.values()) for row in automaton.moves))
    return tuple(table)


def draw_string(
    automaton: Automaton, generator: np.random.Generator, length: int, member: bool
) -> str:
    """Draw one of all strings of a length that are members, or that are not, uniformly.

    The automaton must have a move for every symbol in every state, and a string must exist.
    """
    table = counts(automaton, length, member)
    state, string = 0, ""
    draws = generator.random(length).tolist()
    for left in range(length - 1, -1, -1):
        ways = [table[left][automaton.moves[state][s]] for s in automaton.symbols]
        # Counts may exceed any machine integer; their ratio is an ordinary number.
        chance = ways[0] / sum(ways)
        symbol = automaton.symbols[int(draws[left] >= chance)]
        string, state = string + symbol, automaton.moves[state][symbol]
    return string


def counting_string(letters: str, n: int) -> str:
    """Return each letter n times between two boundaries."""
    return BOUNDARY + "".join(letter * n for letter in letters) + BOUNDARY


def counting_legal(letters: str, n: int, smallest: int = 1) -> Array:
    """Return the legal successors of `counting_string`'s symbols but the last, [letters*n + 1, …].

    The alphabet is the boundary and then the letters. After a first letter, both the first and the
    second letter may follow, because n is unbounded; from then on everything is determined.

    Arguments:
        smallest: the smallest n of the language.
    """
    string, symbols = counting_string(letters, n), BOUNDARY + letters
    found = np.zeros((len(string) - 1, len(symbols)))
    for step, following in enumerate(string[1:]):
        found[step, symbols.index(following)] = 1
    found[1 : n + 1, symbols.index(letters[0])] = 1
    found[smallest : n + 1, symbols.index(letters[1])] = 1
    return found
