"""The section `train`: how a spec is trained.

train:
  steps: 2000
  optimizer: {adam: {rate: 0.002}}
  schedule: [{warmup: 100}, cosine]
  clip: {norm: 5}
  validation: {every: 200, patience: 5}
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from unfold.settings.model import MAX_SEED, Expected, Forms, Named, Settings, Short, show
from unfold.settings.read import read
from unfold.spec.file.model import Section
from unfold.training.rules.clip import ClipNorm, ClipValue
from unfold.training.rules.optimizers import OPTIMIZERS, Adam
from unfold.training.rules.schedules import PIECES, Piece, Schedule
from unfold.training.rules.teaching import SHARES, Mode, Scheduled, Share

CHUNKS = "{t: 25} or {t: {every: 25, back: 100}}"
Optimizer = Annotated[Any, Named(OPTIMIZERS, "{adam: {rate: 0.01}}")]
Clip = Annotated[ClipNorm | ClipValue, Forms("{norm: 5} or {value: 5}")]
PIECE = Named(PIECES, "{cosine: {to: 0.1}}", short=True)
OnePiece = Annotated[Any, PIECE]


def _schedule(pieces: Piece | list[Piece]) -> Schedule:
    return Schedule(tuple(pieces) if isinstance(pieces, list) else (pieces,))


TeacherShare = Annotated[
    Annotated[float, Field(ge=0, le=1)]
    | Annotated[Any, Named(SHARES, "{linear: {to: 0.2}}", short=True)],
    Forms("a probability from 0 to 1, or {linear: {to: 0.2}}"),
]


class ByTeacher(Settings):
    """With this probability, the teacher's output is read instead of the model's own.

    Attributes:
        scheduled: the probability, or how it changes from step to step.
    """

    scheduled: TeacherShare


def _mapping(mode: object) -> object:
    """Read a mode as Python has it, `("scheduled", 0.5)`."""
    return {mode[0]: mode[1]} if isinstance(mode, tuple) and len(mode) == 2 else mode


def _mode(mode: str | ByTeacher) -> Mode | Scheduled:
    if isinstance(mode, str):
        return mode
    share = mode.scheduled
    return Scheduled(share) if isinstance(share, Share) else ("scheduled", share)


Steps = Annotated[int, Field(ge=1), Expected(f"a number of steps, as in {CHUNKS}")]


class Chunks(Settings):
    """How sequences are cut along an axis.

    Attributes:
        every: steps from one update to the next.
        back: steps that gradients flow back, at least `every`; default: as many.
    """

    every: Steps
    back: Steps | None = None

    @model_validator(mode="after")
    def _learns_from_all(self) -> Chunks:
        if self.back is not None and self.back < self.every:
            raise ValueError(
                f"gradients flow back {self.back} steps, fewer than the {self.every} between"
                " updates, so some steps would not be learned from: set every:"
                f" {self.back}, or a larger back"
            )
        return self


class Truncate(Settings):
    """One axis and how sequences are cut along it: `{t: 25, carry: true}`.

    Attributes:
        carry: whether the state goes on from chunk to chunk; default: what `train.carry` says.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[  # pyright: ignore[reportIncompatibleVariableOverride]
        str, Annotated[Chunks, Short("a number of steps, or {every: 25, back: 100}")]
    ]

    carry: bool | None = None

    @model_validator(mode="after")
    def _one_axis(self) -> Truncate:
        if len(self.__pydantic_extra__) != 1:
            given = show(self.model_dump(exclude_unset=True))
            raise ValueError(f"expected one axis and its steps, as in {CHUNKS}, got {given}")
        if self.overlap and self.carry is False:
            raise ValueError("back reaches into the previous chunk, so the state must be carried")
        return self

    @property
    def axis(self) -> str:
        """Along which sequences are cut."""
        return next(iter(self.__pydantic_extra__))

    @property
    def every(self) -> int:
        """Steps from one update to the next."""
        return self.__pydantic_extra__[self.axis].every

    @property
    def back(self) -> int:
        """Steps that gradients flow back."""
        return self.__pydantic_extra__[self.axis].back or self.every

    @property
    def overlap(self) -> int:
        """The number of steps before a chunk that are run again."""
        return self.back - self.every


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
    optimizer: Optimizer = Adam()
    schedule: Annotated[
        Schedule, Forms(PIECE.expected, list[OnePiece] | OnePiece), AfterValidator(_schedule)
    ] = Schedule()
    clip: Clip | None = None
    weight_decay: Annotated[WeightDecay, Short("a number, or {rate: 0.1, biases: true}")] | None = (
        None
    )
    noise: GradientNoise | None = None
    validation: Validation | None = None
    carry: bool = True
    seed: int = Field(default=0, ge=0, le=MAX_SEED)
    save: int | None = Field(default=None, ge=1)
    log: int = Field(default=1, ge=1)
    tensorboard: bool = False
    mode: Annotated[
        Mode | Scheduled,
        Forms("teacher, free or {scheduled: 0.5}", Literal["teacher", "free"] | ByTeacher),
        BeforeValidator(_mapping),
        AfterValidator(_mode),
    ] = "teacher"
    truncate: Annotated[Truncate, Forms(f"one axis and its steps, as in {CHUNKS}")] | None = None

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


def read_train(section: Section) -> TrainSettings:
    """Check the section; raises `SpecError` with a diagnostic for every mistake."""
    return read(TrainSettings, "train", section)
