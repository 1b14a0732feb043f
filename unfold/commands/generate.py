"""Generate text with a trained run, or continue a series of numbers.

    unfold generate runs/char-rnn-1 --prompt "The "
    unfold generate runs/captions-1 --number 5
    unfold generate runs/sunspots-1 -o forecast.svg

Contexts, and numbers to continue, come from the data of the run or from --inputs. The result goes
to stdout or to FILE, and everything else to stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unfold.errors import UnfoldError
from unfold.files import explain, write_whole
from unfold.terminal.loading import choose_backend
from unfold.terminal.options import BackendOption, JsonOption, output_option, seed_option
from unfold.terminal.progress import show_compiling
from unfold.terminal.report import print_json
from unfold.terminal.screen import echo

if TYPE_CHECKING:
    from unfold.generation.picture import Format
    from unfold.settings.generate import GenerateSettings
    from unfold.terminal.trained import Result, Trained

PICTURES: Mapping[str, Format] = {".svg": "svg", ".png": "png", ".pdf": "pdf"}
DRAWING = ("temperature", "top_k", "top_p")


def generate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The folder of a run.")],
    prompt: Annotated[
        str | None, typer.Option("--prompt", metavar="TEXT", help="Read TEXT first.")
    ] = None,
    length: Annotated[
        int | None,
        typer.Option("--length", min=1, metavar="N", help="Generate at most N steps."),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option("--temperature", min=0, metavar="T", help="Divide scores by T; 0 is greedy."),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option("--top-k", min=1, metavar="K", help="Draw from the K best symbols."),
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(
            "--top-p",
            min=0,
            max=1,
            metavar="P",
            help="Draw from the smallest set with probability P.",
        ),
    ] = None,
    beam: Annotated[
        int | None,
        typer.Option("--beam", min=1, metavar="W", help="Search with W beams instead of drawing."),
    ] = None,
    length_penalty: Annotated[
        float | None,
        typer.Option(
            "--length-penalty", metavar="A", help="Rank beams by log-probability / length ** A."
        ),
    ] = None,
    seed: Annotated[int | None, seed_option("the draws")] = None,
    number: Annotated[
        int | None, typer.Option("--number", min=1, metavar="N", help="Generate N sequences.")
    ] = None,
    inputs: Annotated[
        str | None,
        typer.Option(
            "--inputs", metavar="FILE", help="Read inputs from an npz or safetensors file."
        ),
    ] = None,
    output: Annotated[
        str | None, output_option("Write text, a table or a picture to FILE.")
    ] = None,
    backend: BackendOption = None,
    json: JsonOption = False,
) -> int:
    """Write with a trained run and return the exit code."""
    from unfold.terminal.forecast import forecast
    from unfold.terminal.symbols import from_contexts, from_prompt
    from unfold.terminal.trained import open_trained

    trained = open_trained(run)
    if backend is not None:
        trained = replace(trained, backend=choose_backend(backend))
    given = {
        "prompt": prompt,
        "length": length,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "beam": beam,
        "length_penalty": length_penalty,
        "seed": seed,
        "number": number,
    }
    settings = _settings(trained, {n: x for n, x in given.items() if x is not None})
    machine = trained.model.writer.machine()
    with show_compiling():
        if machine.symbols is None:
            result = forecast(trained, machine, settings, inputs)
        elif machine.context:
            result = from_contexts(trained, machine, settings, inputs)
        else:
            result = from_prompt(trained, machine, settings, live=_is_live(output, json))
    if output is not None:
        _write(output, result)
    elif not json and not result.shown:
        echo(result.text, nl=False)
    if json:
        print_json(_document(trained, settings, result))
    return 0


def _is_live(output: str | None, json: bool) -> bool:
    """Say whether somebody watches text coming."""
    return output is None and not json and sys.stdout.isatty()


def _settings(trained: Trained, mine: Mapping[str, Any]) -> GenerateSettings:
    """Return the section `generate` with what the command line says instead.

    A beam asked for drops what the section says of drawing, and the other way round.
    """
    from unfold.settings.generate import read_generate
    from unfold.spec.file.model import Section

    written = trained.model.spec.generate
    tree: dict[str, Any] = dict(written.tree) if written is not None else {}
    both = [n for n in DRAWING if mine.get(n)]
    if "beam" in mine and both:
        option = f"--{both[0].replace('_', '-')}"
        raise UnfoldError(f"--beam searches instead of drawing: remove {option} or --beam")
    drop = DRAWING if "beam" in mine else ("beam",) if set(mine) & set(DRAWING) else ()
    tree = {**{n: x for n, x in tree.items() if n not in drop}, **mine}
    place = trained.model.spec.locate("generate")
    return read_generate(replace(written, tree=tree) if written else Section.at(place, tree))


def _write(output: str, result: Result) -> None:
    """Write a file: the text, or a picture of numbers."""
    kind = PICTURES.get(Path(output).suffix)
    content: str | bytes = result.text
    if kind is not None:
        if result.draw is None:
            raise UnfoldError(
                f"--output {output}: only numbers can be plotted; use a name such as file.txt"
            )
        content = result.draw(kind)
    try:
        write_whole(Path(output), content)
    except OSError as error:
        raise UnfoldError(f"--output {output}: cannot be written: {explain(error)}") from None
    echo(f"wrote {output}", err=True)


def _document(trained: Trained, settings: GenerateSettings, result: Result) -> dict[str, Any]:
    """Return everything as JSON values."""
    outputs: list[dict[str, Any]] = []
    for line in result.lines:
        found: dict[str, Any] = {"length": len(line.values), "values": line.values.tolist()}
        if line.values.dtype.kind == "i":
            found = {**line.given, "text": line.text, **found}
        if line.log_probability is not None:
            found["log_probability"] = line.log_probability
        outputs.append(found)
    return {
        "ok": True,
        "name": trained.model.name,
        "run": str(trained.folder),
        "step": trained.step,
        "settings": settings.model_dump(),
        **({"columns": list(result.columns)} if result.columns else {}),
        "outputs": outputs,
    }
