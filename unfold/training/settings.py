"""The sections `train` and `generate`: from plain YAML values to checked settings.

train:
  steps: 2000
  optimizer: {adam: {rate: 0.002}}
  schedule: [{warmup: 100}, cosine]
  clip: {norm: 5}
  validation: {every: 200, patience: 5}
generate: {length: 300, temperature: 0.7}
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from unfold.training.clip import ClipNorm, ClipValue
from unfold.training.optimizers import OPTIMIZERS, Adam, Optimizer
from unfold.training.rules import read_rule
from unfold.training.schedules import Schedule, read_schedule
from unfold.training.sections import MAX_SEED, Section, Settings, only_key, validate
from unfold.training.teaching import Mode, Scheduled, read_mode
from unfold.training.truncate import Truncate, read_truncate


def _read_optimizer(value: object) -> Optimizer:
    if isinstance(value, Optimizer):
        return value
    return read_rule(value, OPTIMIZERS, example="{adam: {rate: 0.01}}")


def _read_decay(value: object) -> object:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return {"rate": value} if number else value


def _which_clip(value: object) -> str | None:
    if isinstance(value, ClipNorm | ClipValue):
        return "norm" if isinstance(value, ClipNorm) else "value"
    return only_key("norm", "value")(value)


Clip = Annotated[
    Annotated[ClipNorm, Tag("norm")] | Annotated[ClipValue, Tag("value")],
    Discriminator(_which_clip),
]
ALTERNATIVES = {"clip": "{norm: 5} or {value: 5}"}


class WeightDecay(Settings):
    """Shrink weights a little at every step: p' = p' - learning rate · rate · p.

    Attributes:
        rate: how much, before the learning rate and its schedule.
        biases: whether parameters of rank 0 and 1 shrink too.
    """

    rate: float = Field(ge=0, lt=1)
    biases: bool = False


class GradientNoise(Settings):
    """Add normal numbers of variance scale / (1 + step)^decay (Neelakantan et al. 2015).

    Attributes:
        scale: variance at the first step.
        decay: how fast it falls.
    """

    scale: float = Field(gt=0, allow_inf_nan=False)
    decay: float = Field(default=0.55, ge=0, allow_inf_nan=False)


class Validation(Settings):
    """Measure the loss on data that is not trained on, and keep the best weights.

    Attributes:
        every: steps from one measurement to the next.
        batches: how many batches of the validation data to use; default: all of them.
        patience: stop when so many measurements in a row found nothing better.
        improvement: by how much a loss has to be lower to be better.
    """

    every: int = Field(default=100, ge=1)
    batches: int | None = Field(default=None, ge=1)
    patience: int | None = Field(default=None, ge=1)
    improvement: float = Field(default=0.0, ge=0, allow_inf_nan=False)


class TrainSettings(Settings):
    """How to train.

    Attributes:
        steps: number of updates.
        optimizer: its name, or `{name: {constant: value}}`.
        schedule: of the learning rate: a piece, or a list of pieces that are multiplied.
        clip: how gradients are clipped, if at all.
        weight_decay: how much weights shrink at every step.
        noise: what is added to gradients.
        validation: how often to measure the loss on data that is not trained on.
        carry: whether the state goes on from one chunk of a text to the next.
        seed: of the initial parameters and of everything drawn while training.
        save: steps between checkpoints; default: one every half minute.
        log: steps per record of metrics.jsonl, which holds their means.
        tensorboard: whether to write event files for TensorBoard too.
        mode: which branch of an output feedback is in force, or a schedule of that.
        truncate: into what chunks sequences are cut, and how far gradients flow back.
    """

    steps: int = Field(default=1000, ge=1)
    optimizer: Annotated[Any, BeforeValidator(_read_optimizer)] = Adam()
    schedule: Annotated[Any, BeforeValidator(read_schedule)] = Schedule()
    clip: Clip | None = None
    weight_decay: Annotated[WeightDecay | None, BeforeValidator(_read_decay)] = None
    noise: GradientNoise | None = None
    validation: Validation | None = None
    carry: bool = True
    seed: int = Field(default=0, ge=0, le=MAX_SEED)
    save: int | None = Field(default=None, ge=1)
    log: int = Field(default=1, ge=1)
    tensorboard: bool = False
    mode: Annotated[Any, BeforeValidator(read_mode)] = "teacher"
    truncate: Annotated[Truncate | None, BeforeValidator(read_truncate)] = None

    @model_validator(mode="after")
    def _one_decay(self) -> TrainSettings:
        if self.weight_decay is not None and self.optimizer.decay:
            name = self.optimizer.key
            raise ValueError(
                f"{name} has its own weight decay; set optimizer.{name}.weight_decay"
                " and omit weight_decay, or use adam"
            )
        return self

    @property
    def carries(self) -> bool:
        """Whether the state goes on from chunk to chunk."""
        own = self.truncate.carry if self.truncate else None
        return self.carry if own is None else own

    def mode_at(self, step: int) -> Mode:
        """Return the mode of a step, counted from 0."""
        mode = self.mode
        return mode.at(step, self.steps) if isinstance(mode, Scheduled) else mode

    @property
    def decay(self) -> float:
        """The rate of weight decay."""
        return self.weight_decay.rate if self.weight_decay else self.optimizer.decay


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


def read_train(section: Section) -> TrainSettings:
    """Check the section `train`; raises `SpecError` with a diagnostic for every mistake."""
    return validate(TrainSettings, "train", section, alternatives=ALTERNATIVES)


def read_generate(section: Section) -> GenerateSettings:
    """Check the section `generate`; raises `SpecError` with a diagnostic for every mistake."""
    return validate(GenerateSettings, "generate", section, alternatives=ALTERNATIVES)
