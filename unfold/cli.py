"""The command `unfold`: how a command is found and run, and what it exits with.

Every file of `unfold.commands` is a command. `unfold --help` reads the first line of each file, and
a command's own file is imported when it is run, so neither loads NumPy or the engine. Errors meet
here: a user's mistake prints its diagnostics and exits with 1, an unknown option or command exits
with 2, and our own failure says how to report it and exits with 70 (`UNFOLD_DEBUG=1` shows the
traceback). With `--json`, stdout is one JSON document, also when something is wrong.

    unfold run char-rnn --set size.hidden=256 --set train.steps=500
"""

from __future__ import annotations

import re
import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from unfold import commands, streams
from unfold.errors import INTERRUPTED, OK, USAGE
from unfold.terminal.screen import echo
from unfold.version import VERSION

EXAMPLES = re.compile(r"\n\n(?= *unfold )")

WELCOME = """\
unfold: check, draw, unfold, differentiate and train recurrence equations from one YAML file.

  unfold run char-rnn                 train a character model, save pictures and weights in runs/
  unfold generate runs/char-rnn-1     generate text with the trained model
  unfold render char-rnn              draw its unfolded graph
  unfold check my-spec.yaml           report errors in a spec, and how to fix them
  unfold specs                        list the bundled specs
  unfold --help                       list all commands
"""


class Commands(TyperGroup):
    """A group with a command for every file of `unfold.commands`.

    Attributes:
        files: by the name of a command.
        commands: by name; None: not imported.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        found = (f for folder in commands.__path__ for f in Path(folder).glob("[!_]*.py"))
        self.files = {f.stem: f for f in sorted(found, key=lambda f: f.stem)}
        self.commands: dict[str, Any] = dict.fromkeys(self.files)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands."""
        return list(self.files)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command."""
        if cmd_name in self.files and self.commands[cmd_name] is None:
            self.commands[cmd_name] = load(cmd_name)
        return self.commands.get(cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write what each command does, without importing it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, first_line(file)) for name, file in self.files.items()])


def first_line(file: Path) -> str:
    """Return the first line of the docstring that a file begins with."""
    with file.open(encoding="utf-8") as text:
        return text.readline().strip().strip('"')


def load(name: str) -> Any:
    """Return a command: the function of the same name, with the docstring of its file as help.

    Paragraphs that begin with `unfold` are examples: `\\b` keeps their lines as they are.
    """
    module = import_module(f"{commands.__name__}.{name}")
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    help = EXAMPLES.sub("\n\n\b\n", module.__doc__ or "")
    single.command(name, help=help)(getattr(module, name))
    return get_command(single)


app = typer.Typer(
    name="unfold",
    cls=Commands,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback(invoke_without_command=True)
def welcome(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Check, draw, unfold, differentiate and train recurrence equations from one YAML file."""
    if version:
        echo(f"unfold {VERSION}")
    elif context.invoked_subcommand is None:
        echo(WELCOME, nl=False)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit; the entry point of the package."""
    streams.install()
    warnings.showwarning = _show_warning
    code = invoke(sys.argv[1:] if arguments is None else arguments)
    sys.exit(streams.end(code))


def _show_warning(message: Warning | str, category: type[Warning], *place: Any) -> None:
    """Print a warning for people, who do not ask which line of ours gave it."""
    known = category is UserWarning
    text = f"{message}\n" if known else warnings.formatwarning(message, category, *place[:2])
    echo(text, err=True, nl=False)


def invoke(arguments: list[str]) -> int:
    """Run the command line and return its exit code."""
    as_json = "--json" in arguments
    try:
        with get_command(app).make_context("unfold", [*arguments]) as context:
            return int(context.command.invoke(context) or OK)
    except typer.Exit as error:
        return error.exit_code
    except typer.TyperException as error:
        return _usage(error.format_message(), as_json)
    except KeyboardInterrupt:
        echo("interrupted", err=True)
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
        echo(f"{message}\nTry 'unfold --help'.", err=True)
    return USAGE


if __name__ == "__main__":
    main()
