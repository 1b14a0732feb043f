"""Snippets of eight topics of Python's own help, for the classification of texts.

Every topic is cut into pieces of 20 words, in lower case; words that are not among the 1,000
commonest share the class `?`. A piece belongs to one topic, and pieces do not overlap.

    topics().columns  →  words: "a class definition is an executable statement ? ? ..."
                         topic: "compound"
"""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from unfold.training.data.columns import Column, Examples

# The longest ones that are not parts of one another.
TOPICS = (
    "compound",
    "debugger",
    "formatstrings",
    "specialnames",
    "string-methods",
    "types",
    "typesmapping",
    "typesseq",
)
WORDS, COMMON, OTHER = 20, 1000, "?"


def topics() -> Examples:
    """Return the pieces, [N, 20] words, and the topic of each, [N]."""
    from pydoc_data import topics as help_pages

    texts = [re.findall("[a-z_]+", help_pages.topics[name].lower()) for name in TOPICS]
    counts = Counter(word for words in texts for word in words)
    # Equally common words stand in the order of the alphabet, so that numbers are always the same.
    common = sorted(counts, key=lambda word: (-counts[word], word))[:COMMON]
    known = {word: i for i, word in enumerate(common, start=1)}
    pieces = [
        [known.get(word, 0) for word in words[start : start + WORDS]]
        for words in texts
        for start in range(0, len(words) - WORDS + 1, WORDS)
    ]
    labels = [i for i, words in enumerate(texts) for _ in range(len(words) // WORDS)]
    symbols = (OTHER, *common)
    return Examples(
        {
            "words": Column(np.array(pieces), classes=len(symbols), symbols=symbols, where="words"),
            "topic": Column(np.array(labels), classes=len(TOPICS), symbols=TOPICS, where="topic"),
        }
    )
