"""Turn a section that other layers read into plain Python values with places.

In: the YAML node of `data`, `train`, `generate`, `memory` or `draw`. Out: a `Section`. This
module checks only that the section is a mapping. `unfold.settings` checks the values, and asks for
the place of one that is wrong.

    train: {optimizer: {adam: {rate: 0.01}}}
    is   Section({"optimizer": {"adam": {"rate": 0.01}}}); locate(("optimizer", "adam", "rate"))
"""

from __future__ import annotations

from dataclasses import dataclass

from unfold.errors import Location
from unfold.spec.file.expect import expect_map
from unfold.spec.file.model import KeyPath, Section, Tree
from unfold.spec.text.reader import ListNode, MapNode, Node, scalar_value
from unfold.spec.text.text import Text


@dataclass(frozen=True)
class _Places:
    """Finds the places of settings: `root_key` is the section's own key."""

    root_key: Text
    root: Node

    def value(self, path: KeyPath) -> Location:
        """Return the place of the value at `path`, or that of its longest existing part."""
        node, key = self._follow(path)
        nothing = isinstance(node, Text) and not node.value
        return key.location if nothing else node.location

    def key(self, path: KeyPath) -> Location:
        """Return the place of the key at `path`, or that of its longest existing part."""
        return self._follow(path)[1].location

    def _follow(self, path: KeyPath) -> tuple[Node, Node]:
        node, key = self.root, self.root_key
        for step in path:
            entry = _entry(node, step)
            if entry is None:
                break
            key, node = entry
        return node, key


def _entry(node: Node, step: str | int) -> tuple[Text, Node] | tuple[Node, Node] | None:
    """Return key and value of one step; the key of a list's item is the item itself."""
    if isinstance(node, MapNode):
        return next((entry for entry in node.entries if entry[0].value == str(step)), None)
    if isinstance(node, ListNode) and isinstance(step, int) and 0 <= step < len(node.items):
        return node.items[step], node.items[step]
    return None


def parse_settings(key: Text, node: Node) -> Section:
    """Parse a section of settings; an empty value is an empty section."""
    section = expect_map(node, key.value, "seed: 0")
    places = _Places(key, section)
    tree = {name.value: _tree(value) for name, value in section.entries}
    return Section(tree, places.value, places.key)


def _tree(node: Node) -> Tree:
    if isinstance(node, MapNode):
        return {key.value: _tree(value) for key, value in node.entries}
    if isinstance(node, ListNode):
        return [_tree(item) for item in node.items]
    return scalar_value(node)
