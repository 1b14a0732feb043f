"""Captions in free mode: a network that stops by itself writes what its teacher would make it say.

The specs stop at the end of the caption, so their oracles know the teacher's branch alone. In free
mode every letter is the best one after those before it, which is what the same letters, given by
the teacher, must lead to; and the end comes once, last.
"""

from __future__ import annotations

import numpy as np
import pytest
from sample import BATCH, CASES, assert_close, sample

END, AT_MOST = 0, 12
# Seeds with which captions of the three images end at different steps.
BIASES = [("caption", "b_y", 6), ("caption-attention", "c", 7)]


@pytest.mark.parametrize(("name", "bias", "seed"), BIASES)
def test_free_runs_write_what_the_teacher_would_lead_to(name: str, bias: str, seed: int) -> None:
    drawn = sample(CASES[name], steps=5, seed=seed)
    drawn.params[bias][END] += 2.5  # or nearly all captions go on to the bound
    images = {"image": drawn.inputs["image"]}
    lengths = {axis: given for axis, given in drawn.lengths.items() if axis != "t"}
    free = drawn.model.forward(drawn.params, images, mode="free", lengths=lengths)
    ends = free.lengths["t"]
    assert len(set(ends)) > 1, "all stop at once: another seed would say more"
    told = {**images, "y": free["letter"]}
    again = drawn.model.forward(drawn.params, told, lengths={**lengths, "t": ends})
    for b in range(BATCH):
        n = ends[b]
        assert_close("scores", again["s"][b, :n], free["s"][b, :n], 1e-12)
        letters = free["letter"][b, :n]
        assert np.array_equal(again["s"][b, :n].argmax(-1), letters)
        assert END not in letters[: n - 1]
        assert letters[-1] == END or n == AT_MOST
