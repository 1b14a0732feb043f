"""Commands of tones: synthetic spectrograms whose parts differ only in the movement of the pitch.

A command is two sounds (or more) with pauses between them; a sound is a tone that stays level,
rises or falls. A frame has the energy of some bands: a bump at the pitch, and noise.

    band 3  . . # # . . # . . . .
    band 2  . . . . . . . # . . .
    band 1  . . . . . . . . # # .
            silence, level, pause, fall, silence: the command `level fall`

One frame does not distinguish a rising tone from a falling one, so a network that labels frames
needs their neighbours on both sides. These are not recordings: there are no speakers, vowels or
rooms.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from unfold.settings.tasks import Tones
from unfold.training.data.columns import Column

Array = np.ndarray
Generator = np.random.Generator
SOUNDS = ("silence", "level", "rise", "fall")
# Frames of a sound, of a pause inside of a command, and of the silence before and after it.
SOUND, PAUSE, SILENCE = (4, 7), (1, 3), (0, 6)
SLOPES = {"level": 0.0, "rise": 1.0, "fall": -1.0}


def draw_tones(task: Tones, generator: Generator, count: int) -> dict[str, Column]:
    """Make the columns `frame`, `sound` and `command` of `count` commands."""
    commands = list(product(SOUNDS[1:], repeat=task.sounds))
    chosen = generator.integers(len(commands), size=count)
    pairs = [_say(commands[c], task, generator) for c in chosen]
    longest = task.sounds * SOUND[1] + (task.sounds - 1) * PAUSE[1] + 2 * SILENCE[1]
    return {
        "frame": Column.ragged([f for f, _ in pairs], longest=longest, where="frame"),
        "sound": Column.ragged(
            [s for _, s in pairs],
            classes=len(SOUNDS),
            symbols=SOUNDS,
            longest=longest,
            where="sound",
        ),
        "command": Column(
            chosen,
            classes=len(commands),
            symbols=tuple(" ".join(c) for c in commands),
            where="command",
        ),
    }


def _say(command: tuple[str, ...], task: Tones, generator: Generator) -> tuple[Array, Array]:
    """Return the frames [T, bands] of one command, and the sound of each, [T]."""
    pitches, sounds = [], []
    for place, sound in enumerate(command):
        low, high = PAUSE if place else SILENCE
        quiet = int(generator.integers(low, high + 1))
        moving = _pitch(SLOPES[sound], task.bands, generator)
        pitches += [np.full(quiet, np.nan), moving]
        sounds += [np.zeros(quiet, dtype=np.int64), np.full(len(moving), SOUNDS.index(sound))]
    quiet = int(generator.integers(SILENCE[0], SILENCE[1] + 1))
    pitch = np.concatenate([*pitches, np.full(quiet, np.nan)])
    loud = generator.uniform(0.7, 1.3) * np.exp(
        -0.5 * (np.arange(task.bands) - pitch[:, None]) ** 2
    )
    noise = task.noise * generator.standard_normal((len(pitch), task.bands))
    return np.nan_to_num(loud) + noise, np.concatenate([*sounds, np.zeros(quiet, dtype=np.int64)])


def _pitch(slope: float, bands: int, generator: Generator) -> Array:
    """Return the pitch of a sound at each of its frames, in bands, never beyond the last one."""
    frames = int(generator.integers(SOUND[0], SOUND[1] + 1))
    way = slope * generator.uniform(0.4, 0.8) * np.arange(frames)
    lowest, highest = -min(way[-1], 0.0), bands - 1 - max(way[-1], 0.0)
    return way + generator.uniform(lowest, highest)
