"""The section `generate`: how a trained model writes.

generate: {length: 300, temperature: 0.7}
"""

from __future__ import annotations

from pydantic import Field, model_validator

from unfold.settings.model import MAX_SEED, Settings
from unfold.settings.read import read
from unfold.spec.file.model import Section


class GenerateSettings(Settings):
    """How a trained model writes; docs/generation.md says what each is for.

    Attributes:
        length: the largest number of steps; default: what stop says, 300 for a text, or the extent
            of the axis.
        temperature: divides the scores before a symbol is drawn; below 1 the sample is more
            careful, above 1 wilder, 0 is greedy. Default: 1, or the spec's own feedback.
        top_k: only so many symbols with the largest scores are drawn.
        top_p: only the fewest symbols with this share of the probability are drawn.
        beam: how many sequences a beam search follows; default: none.
        length_penalty: of a beam search, which judges by log-probability / length ** penalty.
        prompt: text that is read first; empty starts at the beginning of a line.
        number: how many sequences are written.
        seed: of the draws.
        feed: where the spec has no feedback: by input, the node that it reads a step later.
    """

    length: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    top_k: int | None = Field(default=None, ge=1)
    top_p: float | None = Field(default=None, gt=0, le=1)
    beam: int | None = Field(default=None, ge=1)
    length_penalty: float = Field(default=0.0, allow_inf_nan=False)
    prompt: str = ""
    number: int = Field(default=1, ge=1)
    seed: int = Field(default=0, ge=0, le=MAX_SEED)
    feed: dict[str, str] = Field(default={}, max_length=1)

    @model_validator(mode="after")
    def _beam_draws_nothing(self) -> GenerateSettings:
        drawn = ("temperature", "top_k", "top_p")
        wanted = next((n for n in drawn if getattr(self, n)), None)
        if self.beam is not None and wanted is not None:
            raise ValueError(f"a beam search does not draw: remove {wanted}, or remove beam")
        return self


def read_generate(section: Section) -> GenerateSettings:
    """Check the section; raises `SpecError` with a diagnostic for every mistake."""
    return read(GenerateSettings, "generate", section)
