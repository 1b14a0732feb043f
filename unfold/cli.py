"""The command `unfold`: options, and where each command is implemented.

Every command's body imports its implementation from `unfold.commands` when it runs, so that
`--help` loads neither NumPy nor the engine. Errors meet here: a user's mistake prints its
diagnostics and exits with 1, an unknown option or command exits with 2, and our own failure says
how to report it and exits with 70 (`UNFOLD_DEBUG=1` shows the traceback). With `--json`, stdout is
one JSON document, also when something is wrong.

    unfold run char-rnn --set size.hidden=256 --set train.steps=500
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from unfold import streams
from unfold.errors import INTERRUPTED, OK, USAGE
from unfold.version import VERSION

app = typer.Typer(
    name="unfold",
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

SpecArgument = Annotated[
    str, typer.Argument(metavar="SPEC", help="A YAML file, or a name that `unfold specs` lists.")
]
SpecsArgument = Annotated[
    list[str],
    typer.Argument(metavar="SPEC...", help="YAML files, or names that `unfold specs` lists."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change size.NAME, axis.NAME, or a key of data, train or generate.",
    ),
]
BackendOption = Annotated[
    str | None,
    typer.Option(
        "--backend",
        metavar="NAME",
        help="What computes: numba (compiled) or reference.",
        envvar="UNFOLD_BACKEND",
    ),
]
ModeOption = Annotated[
    str | None,
    typer.Option(
        "--mode",
        metavar="MODE",
        help="teacher, free or scheduled:P (the branch of output feedback).",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
StepsOption = Annotated[
    int | None, typer.Option("--steps", min=1, metavar="N", help="Steps to unfold along each axis.")
]

WELCOME = """\
unfold: recurrence equations in one YAML file, checked, drawn, unfolded, differentiated, trained.

  unfold run char-rnn      train a character model, leave pictures and weights in runs/
  unfold generate runs/char-rnn-1     write with what was trained
  unfold render char-rnn   draw its unfolded graph
  unfold check my-spec.yaml           say what is wrong with a spec, and how to fix it
  unfold specs                        list the specs that come with it
  unfold --help                       all commands
"""


@app.callback(invoke_without_command=True)
def welcome(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Recurrence equations in one YAML file: checked, drawn, unfolded, differentiated, trained."""
    if version:
        typer.echo(f"unfold {VERSION}")
    elif context.invoked_subcommand is None:
        typer.echo(WELCOME, nl=False)


@app.command()
def run(
    spec: Annotated[
        str | None,
        typer.Argument(metavar="SPEC", help="A YAML file, or a name that `unfold specs` lists."),
    ] = None,
    changes: SetOption = None,
    backend: BackendOption = None,
    dtype: Annotated[
        str | None,
        typer.Option("--dtype", metavar="TYPE", help="float64 (the default) or float32."),
    ] = None,
    mode: ModeOption = None,
    resume: Annotated[
        str | None,
        typer.Option("--resume", metavar="RUN", help="Go on with the run of this folder."),
    ] = None,
    folder: Annotated[
        str, typer.Option("--runs", metavar="FOLDER", help="Where run folders go.")
    ] = "runs",
    profile: Annotated[
        bool, typer.Option("--profile", help="Show where the time went; write profile.json.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Check, draw and train a spec; leave a run folder.

    A spec without data is run once forward and backward on random inputs.
    """
    from unfold.commands import run as command

    asked = command.Request(
        spec, changes or [], backend, dtype, mode, Path(folder), profile, resume
    )
    raise typer.Exit(command.run(asked, as_json=json))


@app.command()
def generate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The folder of a run.")],
    prompt: Annotated[
        str | None, typer.Option("--prompt", metavar="TEXT", help="What is read first.")
    ] = None,
    length: Annotated[
        int | None,
        typer.Option("--length", min=1, metavar="N", help="The most steps."),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option("--temperature", min=0, metavar="T", help="Below 1 careful, 0 greedy."),
    ] = None,
    top_k: Annotated[
        int | None, typer.Option("--top-k", min=1, metavar="K", help="Draw from the best K.")
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(
            "--top-p", min=0, max=1, metavar="P", help="Draw from the fewest of probability P."
        ),
    ] = None,
    beam: Annotated[
        int | None,
        typer.Option("--beam", min=1, metavar="W", help="Search with W beams in place of drawing."),
    ] = None,
    length_penalty: Annotated[
        float | None,
        typer.Option(
            "--length-penalty", metavar="A", help="Of a search: log-probability / length ** A."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, metavar="N", help="Of the draws.")
    ] = None,
    number: Annotated[
        int | None, typer.Option("--number", min=1, metavar="N", help="How many to write.")
    ] = None,
    inputs: Annotated[
        str | None,
        typer.Option("--inputs", metavar="FILE", help="Arrays to write from: npz or safetensors."),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="FILE", help="A text, a table, or a picture of it."),
    ] = None,
    backend: BackendOption = None,
    json: JsonOption = False,
) -> None:
    """Write with a trained run: text, or numbers that go on."""
    from unfold.commands import generate as command

    settings = {
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
    asked = command.Request(run, settings, inputs, output, backend)
    raise typer.Exit(command.generate(asked, as_json=json))


@app.command()
def check(specs: SpecsArgument, changes: SetOption = None, json: JsonOption = False) -> None:
    """Say what is wrong with specs, or that nothing is."""
    from unfold.commands import check as command

    raise typer.Exit(command.check(specs, changes or [], as_json=json))


@app.command()
def render(
    spec: SpecArgument,
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="FILE", help="Default NAME-VIEW.svg; - is stdout."),
    ] = None,
    view: Annotated[
        str,
        typer.Option(
            "--view",
            metavar="VIEW",
            help="folded, unfolded, backward, gradients (their norms) or compare (modes).",
        ),
    ] = "unfolded",
    steps: StepsOption = None,
    detail: Annotated[
        str, typer.Option("--detail", metavar="LEVEL", help="cell, node or op.")
    ] = "node",
    mode: ModeOption = None,
    format: Annotated[
        str | None,
        typer.Option("--format", metavar="FORMAT", help="svg, png, pdf or dot; default by FILE."),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="RUN", help="Run folder: gradients at its parameters."),
    ] = None,
    changes: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Draw a spec's graph."""
    from unfold.commands import render as command

    picture = command.Picture(view, steps, detail, mode or "teacher", format, run)
    raise typer.Exit(command.render(spec, changes or [], picture, output, as_json=json))


@app.command()
def analyze(
    subject: Annotated[
        str,
        typer.Argument(metavar="RUN", help="The folder of a run, or a spec as it begins."),
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input", metavar="NAME=VALUE", help="What every step reads (repeatable); default 0."
        ),
    ] = None,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="A picture: svg, png, pdf.")
    ] = None,
    axis: Annotated[
        str | None, typer.Option("--axis", metavar="AXIS", help="Default: the first with a state.")
    ] = None,
    period: Annotated[
        int, typer.Option("--period", min=1, metavar="N", help="Look for cycles of N steps.")
    ] = 1,
    starts: Annotated[
        int, typer.Option("--starts", min=1, metavar="N", help="States to search from.")
    ] = 100,
    seed: Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Of these.")] = 0,
    mode: ModeOption = None,
    backend: BackendOption = None,
    changes: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Find fixed points of a recurrence, and say and draw how stable they are."""
    from unfold.commands import analyze as command

    asked = command.Question(inputs or [], mode, axis, period, starts, seed, backend, output)
    raise typer.Exit(command.analyze(subject, changes or [], asked, as_json=json))


@app.command()
def grad(
    spec: SpecArgument,
    changes: SetOption = None,
    backend: BackendOption = None,
    mode: ModeOption = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Sequences in the batch.")] = 2,
    tolerance: Annotated[
        float, typer.Option("--tolerance", help="Largest relative error that passes.")
    ] = 1e-6,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of parameters and inputs.")] = 0,
    json: JsonOption = False,
) -> None:
    """Check gradients against central differences."""
    from unfold.commands import grad as command

    asked = command.Question(backend, mode or "teacher", batch, tolerance, seed)
    raise typer.Exit(command.grad(spec, changes or [], asked, as_json=json))


@app.command()
def explain(
    spec: SpecArgument,
    plan: Annotated[
        bool, typer.Option("--plan", help="How it is compiled: loops, products, kernels, cost.")
    ] = False,
    forward: Annotated[
        bool, typer.Option("--forward", help="With --plan: of a forward run alone.")
    ] = False,
    batch: Annotated[
        int | None, typer.Option("--batch", min=1, help="With --plan: sequences in the batch.")
    ] = None,
    mode: ModeOption = None,
    changes: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Print the Program of a spec, and its adjoint, or how they are compiled."""
    from unfold.commands import explain as command

    asked = command.Question(plan, forward, batch, mode)
    raise typer.Exit(command.explain(spec, changes or [], asked, as_json=json))


@app.command()
def bench(
    spec: Annotated[
        str | None,
        typer.Argument(metavar="SPEC", help="What to time; without one, unfold and its peers."),
    ] = None,
    backends: Annotated[
        list[str] | None,
        typer.Option("--backend", metavar="NAME", help="One to time (repeatable); default all."),
    ] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Sequences in the batch.")] = 32,
    dtype: Annotated[
        str, typer.Option("--dtype", metavar="TYPE", help="float32 or float64.")
    ] = "float32",
    mode: ModeOption = None,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.0, metavar="S", help="To time each.")
    ] = 1.0,
    cells: Annotated[
        str, typer.Option("--cells", metavar="NAMES", help="Without SPEC: cells to compare.")
    ] = "lstm",
    shapes: Annotated[
        str, typer.Option("--shapes", metavar="NAMES", help="Without SPEC: S1 to S5, or TxBxH.")
    ] = "S2",
    changes: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Time a spec, or compare with PyTorch, JAX and NumPy."""
    from unfold.commands import bench as command

    if spec is None:
        raise typer.Exit(command.compare(cells, shapes, seconds, as_json=json))
    asked = command.Question(backends or [], batch, dtype, mode or "teacher", seconds)
    raise typer.Exit(command.bench(spec, changes or [], asked, as_json=json))


@app.command()
def specs(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CONDITION]...",
            help="A word, or family=depth, axis=i, 'd_r>=2', 'd_f=3', 's=inf', 'parameters<1000'.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the specs that come with unfold, all or those that meet some conditions."""
    from unfold.commands import library as command

    raise typer.Exit(command.specs(words or [], as_json=json))


@app.command()
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove all compiled kernels.")] = False,
    json: JsonOption = False,
) -> None:
    """Show where compiled kernels are kept, or remove them."""
    from unfold.commands import cache as command

    raise typer.Exit(command.cache(clear=clear, as_json=json))


@app.command()
def schema(
    json: Annotated[bool, typer.Option("--json", help="The schema is JSON either way.")] = False,
) -> None:
    """Print the JSON Schema of spec files, for editors."""
    from unfold.commands import library as command

    raise typer.Exit(command.schema())


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit; the entry point of the package."""
    streams.install()
    warnings.showwarning = _show_warning
    code = invoke(sys.argv[1:] if arguments is None else arguments)
    sys.exit(streams.end(code))


def _show_warning(message: Warning | str, category: type[Warning], *place: Any) -> None:
    """Print a warning for people, who do not ask which line of ours gave it."""
    from unfold.commands.screen import echo

    known = category is UserWarning
    text = f"{message}\n" if known else warnings.formatwarning(message, category, *place[:2])
    echo(text, err=True, nl=False)


def invoke(arguments: list[str]) -> int:
    """Run the command line and return its exit code."""
    as_json = "--json" in arguments
    try:
        return int(app(arguments, prog_name="unfold", standalone_mode=False) or OK)
    except typer.TyperException as error:
        return _usage(error.format_message(), as_json)
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        return INTERRUPTED
    except streams.Lost:
        return OK  # but for what `streams.end` has to say
    except Exception as error:
        from unfold.commands.report import report_failure

        return report_failure(error, as_json=as_json)


def _usage(message: str, as_json: bool) -> int:
    if as_json:
        from unfold.commands.report import print_json

        print_json({"ok": False, "errors": [{"message": message}]})
    else:
        from unfold.commands.screen import echo

        echo(f"{message}\nTry 'unfold --help'.", err=True)
    return USAGE


if __name__ == "__main__":
    main()
