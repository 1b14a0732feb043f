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
        help="Override size.NAME, axis.NAME, or a key of data, train or generate.",
    ),
]
BackendOption = Annotated[
    str | None,
    typer.Option(
        "--backend",
        metavar="NAME",
        help="Compute with numba (compiled) or reference.",
        envvar="UNFOLD_BACKEND",
    ),
]
ModeOption = Annotated[
    str | None,
    typer.Option(
        "--mode",
        metavar="MODE",
        help="Set the mode of output feedback: teacher, free or scheduled:P.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
StepsOption = Annotated[
    int | None, typer.Option("--steps", min=1, metavar="N", help="Unfold N steps along each axis.")
]

WELCOME = """\
unfold: check, draw, unfold, differentiate and train recurrence equations from one YAML file.

  unfold run char-rnn                 train a character model, save pictures and weights in runs/
  unfold generate runs/char-rnn-1     generate text with the trained model
  unfold render char-rnn              draw its unfolded graph
  unfold check my-spec.yaml           report errors in a spec, and how to fix them
  unfold specs                        list the bundled specs
  unfold --help                       list all commands
"""


@app.callback(invoke_without_command=True)
def welcome(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Check, draw, unfold, differentiate and train recurrence equations from one YAML file."""
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
        typer.Option(
            "--dtype", metavar="TYPE", help="Compute in float64 (the default) or float32."
        ),
    ] = None,
    mode: ModeOption = None,
    resume: Annotated[
        str | None,
        typer.Option("--resume", metavar="RUN", help="Resume the run in this folder."),
    ] = None,
    folder: Annotated[
        str, typer.Option("--runs", metavar="FOLDER", help="Create run folders in FOLDER.")
    ] = "runs",
    profile: Annotated[
        bool, typer.Option("--profile", help="Show where the time goes; write profile.json.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Check, draw and train a spec, and leave a run folder.

    Run a spec without data once, forward and backward, on random inputs.
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
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, metavar="N", help="Set the seed of the draws.")
    ] = None,
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
        str | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Write text, a table or a picture to FILE."
        ),
    ] = None,
    backend: BackendOption = None,
    json: JsonOption = False,
) -> None:
    """Generate text with a trained run, or continue a series of numbers."""
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
    """Report errors in specs."""
    from unfold.commands import check as command

    raise typer.Exit(command.check(specs, changes or [], as_json=json))


@app.command()
def render(
    spec: SpecArgument,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Write to FILE; default NAME-VIEW.svg, - is stdout.",
        ),
    ] = None,
    view: Annotated[
        str,
        typer.Option(
            "--view",
            metavar="VIEW",
            help="Draw folded, unfolded, backward, gradients (norms) or compare (modes).",
        ),
    ] = "unfolded",
    steps: StepsOption = None,
    detail: Annotated[
        str, typer.Option("--detail", metavar="LEVEL", help="Draw one box per cell, node or op.")
    ] = "node",
    mode: ModeOption = None,
    format: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="FORMAT", help="Write svg, png, pdf or dot; default: that of FILE."
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            "--run", metavar="RUN", help="Compute gradients at the parameters of this run."
        ),
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
        typer.Argument(
            metavar="RUN", help="The folder of a run, or a spec with its initial parameters."
        ),
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="NAME=VALUE",
            help="Set an input of every step (repeatable); default 0.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="FILE", help="Draw to FILE: svg, png or pdf."),
    ] = None,
    axis: Annotated[
        str | None,
        typer.Option(
            "--axis", metavar="AXIS", help="Step along AXIS; default: the first with a state."
        ),
    ] = None,
    period: Annotated[
        int, typer.Option("--period", min=1, metavar="N", help="Find cycles of N steps.")
    ] = 1,
    starts: Annotated[
        int, typer.Option("--starts", min=1, metavar="N", help="Search from N states.")
    ] = 100,
    seed: Annotated[
        int, typer.Option("--seed", min=0, metavar="N", help="Set the seed of the starts.")
    ] = 0,
    mode: ModeOption = None,
    backend: BackendOption = None,
    changes: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Find the fixed points of a recurrence, and report and draw their stability."""
    from unfold.commands import analyze as command

    asked = command.Question(inputs or [], mode, axis, period, starts, seed, backend, output)
    raise typer.Exit(command.analyze(subject, changes or [], asked, as_json=json))


@app.command()
def grad(
    spec: SpecArgument,
    changes: SetOption = None,
    backend: BackendOption = None,
    mode: ModeOption = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Use this many sequences.")] = 2,
    tolerance: Annotated[
        float, typer.Option("--tolerance", help="Accept relative errors up to this.")
    ] = 1e-6,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Set the seed of parameters and inputs.")
    ] = 0,
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
        bool,
        typer.Option("--plan", help="Show how it is compiled: loops, products, kernels, cost."),
    ] = False,
    forward: Annotated[
        bool, typer.Option("--forward", help="With --plan: show a forward run only.")
    ] = False,
    batch: Annotated[
        int | None, typer.Option("--batch", min=1, help="With --plan: use this many sequences.")
    ] = None,
    mode: ModeOption = None,
    changes: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Print the Program of a spec and its adjoint, or show how they are compiled."""
    from unfold.commands import explain as command

    asked = command.Question(plan, forward, batch, mode)
    raise typer.Exit(command.explain(spec, changes or [], asked, as_json=json))


@app.command()
def bench(
    spec: Annotated[
        str | None,
        typer.Argument(
            metavar="SPEC", help="Spec to time; without it, compare unfold with its peers."
        ),
    ] = None,
    backends: Annotated[
        list[str] | None,
        typer.Option(
            "--backend", metavar="NAME", help="Time this backend (repeatable); default: all."
        ),
    ] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Use this many sequences.")] = 32,
    dtype: Annotated[
        str, typer.Option("--dtype", metavar="TYPE", help="Compute in float32 or float64.")
    ] = "float32",
    mode: ModeOption = None,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.0, metavar="S", help="Time each for S seconds.")
    ] = 1.0,
    cells: Annotated[
        str, typer.Option("--cells", metavar="NAMES", help="Without SPEC: compare these cells.")
    ] = "lstm",
    shapes: Annotated[
        str,
        typer.Option(
            "--shapes", metavar="NAMES", help="Without SPEC: use shapes S1 to S5, or TxBxH."
        ),
    ] = "S2",
    changes: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Time a spec, or compare unfold with PyTorch, JAX and NumPy."""
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
            help="Filter by a word, or family=depth, axis=i, 'd_r>=2', 's=inf', 'parameters<1000'.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the bundled specs, or those that meet conditions."""
    from unfold.commands import library as command

    raise typer.Exit(command.specs(words or [], as_json=json))


@app.command()
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove all compiled kernels.")] = False,
    json: JsonOption = False,
) -> None:
    """Show where compiled kernels are stored, or remove them."""
    from unfold.commands import cache as command

    raise typer.Exit(command.cache(clear=clear, as_json=json))


@app.command()
def schema(
    json: Annotated[
        bool, typer.Option("--json", help="Has no effect: the schema is always JSON.")
    ] = False,
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
    from unfold.terminal.screen import echo

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
        from unfold.terminal.report import report_failure

        return report_failure(error, as_json=as_json)


def _usage(message: str, as_json: bool) -> int:
    if as_json:
        from unfold.terminal.report import print_json

        print_json({"ok": False, "errors": [{"message": message}]})
    else:
        from unfold.terminal.screen import echo

        echo(f"{message}\nTry 'unfold --help'.", err=True)
    return USAGE


if __name__ == "__main__":
    main()
