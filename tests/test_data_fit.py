"""The data of every spec of the library fit it: names, shapes, kinds, classes and lengths."""

from __future__ import annotations

import pytest

import unfold
from unfold.core.paths import read_inputs
from unfold.runs.feeds import check_inputs, check_parameters, domain_of
from unfold.terminal.task import prepare
from unfold.training.data import Source

LIBRARY = [path.stem for path in unfold.library()]


@pytest.mark.parametrize("spec", LIBRARY)
def test_the_first_batches_fit(spec: str) -> None:
    """Sizes and extents that data decide are set, and a batch of every part can be run."""
    task = prepare(spec, None, "reference", "float64", None)
    if task.data is None:
        assert task.model.spec.train is None
        return
    for source in filter(None, (task.data.train, task.data.validation)):
        assert_fits(task.model, source)


def assert_fits(model: unfold.Model, source: Source) -> None:
    """Check a batch as a run would."""
    program, batch = model.program, source.batch(0)
    arrays = check_inputs(program, batch.inputs, read_inputs(program))
    domain = domain_of(program, arrays, batch.lengths)
    check_parameters(program, domain, model.init())
    assert 1 <= domain.batch <= source.batch_size
