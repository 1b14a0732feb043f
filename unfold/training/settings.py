"""The sections `train` and `generate`: from plain YAML values to checked settings.

train: {steps: 2000, optimizer: {adam: {rate: 0.002}}, clip: {norm: 5}}
generate: {length: 300, temperature: 0.7}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from unfold.training.optimizers import OPTIMIZERS, Adam, Optimizer
from unfold.training.sections import MAX_SEED, Section, Settings, only_key, show, validate

Mode = str | tuple[str, float]


class ClipNorm(Settings):
    """Scale all gradients down together to this norm."""

    norm: float = Field(gt=0, allow_inf_nan=False)


class ClipValue(Settings):
    """Cut every gradient entry to this size."""

    value: float = Field(gt=0, allow_inf_nan=False)


def _read_mode(value: object) -> Mode:
    if isinstance(value, Mapping) and list(value) == ["scheduled"]:
        probability = value["scheduled"]
        if isinstance(probability, int | float) and 0 <= probability <= 1:
            return ("scheduled", float(probability))
        raise ValueError(f"expected a probability from 0 to 1, got {show(probability)}")
    if value not in ("teacher", "free"):
        raise ValueError(f"expected teacher, free or {{scheduled: 0.5}}, got {show(value)}")
    return str(value)


def _read_optimizer(value: object) -> Optimizer:
    """Read `adam` or `{adam: {rate: 0.01}}`."""
    name, constants = value, {}
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, constants),) = value.items()
    rule = OPTIMIZERS.get(name) if isinstance(name, str) else None
    if rule is None:
        known = ", ".join(OPTIMIZERS)
        raise ValueError(f"expected one of {known}, or {{adam: {{rate: 0.01}}}}, got {show(value)}")
    allowed = [f.name for f in fields(rule)]
    if not isinstance(constants, Mapping):
        raise ValueError(f"expected the constants of {name} as a mapping, got {show(constants)}")
    for key, number in constants.items():
        if key not in allowed:
            message = f"{name} has no constant {key!r}, only {', '.join(allowed)}"
            raise PydanticCustomError(
                "constant", "{message}", {"message": message, "path": (name, key)}
            )
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise ValueError(f"{key} must be a number, got {show(number)}")
    return rule(**constants)


Clip = Annotated[
    Annotated[ClipNorm, Tag("norm")] | Annotated[ClipValue, Tag("value")],
    Discriminator(only_key("norm", "value")),
]
ALTERNATIVES = {"clip": "{norm: 5} or {value: 5}"}


class TrainSettings(Settings):
    """How to train.

    Attributes:
        steps: number of updates.
        optimizer: its name, or `{name: {constant: value}}`.
        clip: how gradients are clipped, if at all.
        carry: whether the state goes on from one chunk of a text to the next.
        seed: of the initial parameters and of everything drawn while training.
        save: steps between checkpoints.
        mode: which branch of an output feedback is in force.
    """

    steps: int = Field(default=1000, ge=1)
    optimizer: Annotated[Any, BeforeValidator(_read_optimizer)] = Adam()
    clip: Clip | None = None
    carry: bool = True
    seed: int = Field(default=0, ge=0, le=MAX_SEED)
    save: int = Field(default=500, ge=1)
    mode: Annotated[Any, BeforeValidator(_read_mode)] = "teacher"


class GenerateSettings(Settings):
    """How a language model writes after training.

    Attributes:
        length: number of characters.
        temperature: divides the logits; below 1 the sample is more careful, above 1 wilder.
        prime: text that is read first; empty starts from the first character of the data.
        seed: of the draws.
    """

    length: int = Field(default=300, ge=1)
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    prime: str = ""
    seed: int = Field(default=0, ge=0, le=MAX_SEED)


def read_train(section: Section) -> TrainSettings:
    """Check the section `train`; raises `SpecError` with a diagnostic for every mistake."""
    return validate(TrainSettings, "train", section, alternatives=ALTERNATIVES)


def read_generate(section: Section) -> GenerateSettings:
    """Check the section `generate`; raises `SpecError` with a diagnostic for every mistake."""
    return validate(GenerateSettings, "generate", section, alternatives=ALTERNATIVES)
