"""The steps in which the nodes of an unfolded picture light up: forward, then backward.

In: a `Picture` whose edges form no cycle. Out: a number for every node.

    x[0] ─▶ h[0] ─▶ h[1] ─▶ L          forward   x[0] 0, h[0] 1, x[1] 1, h[1] 2, L 3
            x[1] ───┘                  backward  L 0, h[1] 1, h[0] 2, x[1] 2, x[0] 3

Forward it is the length of the longest path that ends at the node; what reads nothing, such as an
input, waits until it is read. Backward it is the length of the longest path from the node to the
loss.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from unfold.drawing.picture import Picture

Arc = tuple[str, str, int]


def forward_steps(picture: Picture) -> dict[str, int]:
    """Return the step in which each node is computed, by its id; frames have none."""
    names, arcs = _arcs(picture)
    found = longest(names, arcs)
    read = {target for _, target, _ in arcs}
    late: dict[str, int] = {}
    for source, target, length in arcs:
        if source not in read:
            late[source] = min(late.get(source, found[target]), found[target] - length)
    steps = {n.id: late.get(n.id, found[n.id]) for n in picture.nodes if not n.frames}
    return {name: max(0, step) for name, step in steps.items()}


def backward_steps(
    picture: Picture, losses: Collection[str], excluded: Collection[str]
) -> dict[str, int]:
    """Return the step in which each node receives its gradient, by its id.

    Args:
        picture: of the forward pass.
        losses: ids of nodes of the loss.
        excluded: ids of nodes that receive no gradient, such as classes.
    """
    names, arcs = _arcs(picture)
    reached, turned = set(losses), [(b, a, n) for a, b, n in arcs]
    following: dict[str, list[str]] = {}
    for a, b, _ in turned:
        following.setdefault(a, []).append(b)
    open_ = list(reached)
    while open_:
        for other in following.get(open_.pop(), ()):
            if other not in reached:
                reached.add(other)
                open_.append(other)
    inside = [a for a in turned if a[0] in reached and a[1] in reached]
    found = longest([n for n in names if n in reached], inside)
    return {n.id: found[n.id] for n in picture.nodes if n.id in found and n.id not in excluded}


def _arcs(picture: Picture) -> tuple[list[str], list[Arc]]:
    """Return names and arcs with lengths; a frame is entered and left through names of its own."""
    frames = {n.id: n.frames for n in picture.nodes if n.frames}
    names = [n.id for n in picture.nodes if n.id not in frames]
    known = set(names)
    arcs: list[Arc] = []
    for frame, inside in frames.items():
        names += [_into(frame), _out_of(frame)]
        arcs += [(_into(frame), n, 1) for n in inside] + [(n, _out_of(frame), 0) for n in inside]
    for edge in picture.edges:
        source = _out_of(edge.source) if edge.source in frames else edge.source
        target = _into(edge.target) if edge.target in frames else edge.target
        if edge.kind != "legend" and (source in known or edge.source in frames):
            arcs.append((source, target, 0 if edge.target in frames else 1))
    return names, arcs


def _into(frame: str) -> str:
    return f"into {frame}"


def _out_of(frame: str) -> str:
    return f"out of {frame}"


def longest(names: Sequence[str], arcs: Iterable[Arc]) -> dict[str, int]:
    """Return the length of the longest path that ends at each name.

    A picture that contracts points may have cycles; they are entered where paths reach them first.
    """
    readers: dict[str, list[tuple[str, int]]] = {n: [] for n in names}
    waiting = dict.fromkeys(names, 0)
    for source, target, length in arcs:
        readers[source].append((target, length))
        waiting[target] += 1
    found = dict.fromkeys(names, 0)
    ready = [n for n in names if not waiting[n]]
    left = dict.fromkeys(n for n in names if waiting[n])
    while ready or left:
        name = ready.pop() if ready else min(left, key=lambda n: (not found[n], found[n]))
        left.pop(name, None)
        for target, length in readers[name]:
            if target in left:
                found[target] = max(found[target], found[name] + length)
                waiting[target] -= 1
                if not waiting[target]:
                    ready.append(target)
    return found
