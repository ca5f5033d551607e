"""The `harness` command: sub-commands load only when called, and every failure ends in one line and an exit code."""

import importlib
import os
import sys
from typing import Any

import click

from harness import __version__
from harness.errors import EXIT_COULD_NOT_RUN, EXIT_INTERRUPTED, EXIT_OK, HarnessError
from harness.spec import did_you_mean

COMMANDS: dict[str, tuple[str, str]] = {
    "eval": ("harness.cli.eval", "Evaluate a checkpoint on tasks and suites; resumes where it stopped."),
    "elicit": ("harness.cli.elicit", "Run a base in every prompt style and choose without bias: a fair baseline."),
    "compare": ("harness.cli.compare", "Compare candidates with a base: differences, transfer, what they are made of."),
    "study": ("harness.cli.study", "A whole study from one file: evaluate what is missing, then report."),
    "report": ("harness.cli.report", "Tables, figures and a page of finished runs, without a study file."),
    "diff": ("harness.cli.diff", "Say which fields two runs differ in, and whether they may be compared."),
    "judge": ("harness.cli.judge", "Ask a judge which of two runs' answers to the same prompts are better."),
    "noise": ("harness.cli.noise", "Say how far scores move when nothing but the sampling seed changes."),
    "plan": ("harness.cli.plan", "Say how many examples and generations it takes to see a difference."),
    "score": ("harness.cli.score", "Grade a run again, or grade generations made elsewhere."),
    "tasks": ("harness.cli.tasks", "List, show and check tasks."),
    "train": ("harness.cli.train", "Train a checkpoint by a recipe: PPO, GRPO or RLOO; resumes where it stopped."),
    "watch": ("harness.cli.watch", "Evaluate every new checkpoint of a training run as it appears."),
    "audit": ("harness.cli.audit", "Search training prompts for evaluation examples, and check their labels."),
    "gate": ("harness.cli.gate", "Judge a run against a baseline: pass, regression or inconclusive, for CI."),
    "import": ("harness.cli.imports", "Make runs out of lm-eval's, EvalPlus's, inspect's or AlpacaEval's results."),
    "export": ("harness.cli.export", "Write results in other places' formats: the hub's model card, lm-eval's files."),
    "fetch": ("harness.cli.fetch", "Download benchmark data and checkpoints ahead, for offline use."),
    "doctor": ("harness.cli.doctor", "Say what this machine can run, and what to do about the rest."),
    "completion": (
        "harness.cli.completion",
        "Print the script with which bash, zsh or fish completes commands.",
    ),
}
EPILOG = (
    "Exit codes: 0 done; 1 the verdict is negative (a check failed, a regression, runs that differ); 2 the gate is "
    "inconclusive; 3 could not run (bad usage or input); 4 stored, but some requests ended in error (run again to "
    "retry them); 130 interrupted (run again to resume)."
)


OUT_OF_MEMORY = "out of memory; what was stored stays: end what else holds memory, and run the same command again"


class LazyGroup(click.Group):
    """A group whose sub-commands are imported when they are used, so that --help needs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command's module."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or suggest a near one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"no command {args[0]}{did_you_mean(args[0], COMMANDS)}; see harness --help")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(
    cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="harness")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def cli(debug: bool) -> None:
    """Did training in one domain transfer to the others, by how much, at what cost, and is it real?

    \b
    harness eval --ckpt lab/base --suite lab                 the shipped miniature, offline, on a CPU
    harness eval --ckpt Qwen/Qwen3-4B-Base --suite math,code a hub checkpoint on real suites
    harness compare runs/base runs/grlo --trained-on chat    is the difference real, and did it transfer
    harness gate --baseline runs/main --candidate runs/new   a CI job: pass, regression or inconclusive
    harness tasks list                                       what can be measured
    """  # noqa: D301 - click reads \b as a backspace character


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments or bool(os.environ.get("HARNESS_DEBUG"))
    # --debug may stand anywhere, as users expect of a switch for bug reports
    arguments = [argument for argument in arguments if argument != "--debug"]
    if "_HARNESS_COMPLETE" in os.environ:  # a shell asks how the command line may go on
        importlib.import_module("harness.cli.completion").install()
    try:
        return _exit_code(cli.main(args=arguments, prog_name="harness", standalone_mode=False))
    except HarnessError as error:
        if debug:
            raise
        print(f"harness: {error}", file=sys.stderr)  # noqa: T201 - the one place that reports failure
        return error.exit_code
    except click.ClickException as error:
        if debug:
            raise
        print(f"harness: {error.format_message()}", file=sys.stderr)  # noqa: T201
        return EXIT_COULD_NOT_RUN
    except (MemoryError, ImportError, SystemError) as error:
        if debug or not _is_out_of_memory(error):
            raise
        print(f"harness: {OUT_OF_MEMORY}", file=sys.stderr)  # noqa: T201
        return EXIT_COULD_NOT_RUN
    except (KeyboardInterrupt, click.Abort):
        print("harness: interrupted; run the same command again to resume", file=sys.stderr)  # noqa: T201
        return EXIT_INTERRUPTED
    except SystemExit:  # what click makes of a closed pipe: `harness compare … | head` has read all it wants
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # keeps the interpreter's last flush quiet
        return EXIT_OK


def _is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory ran out; libraries that are loaded just then say so in words of their own."""
    words = ("failed to map segment", "annot allocate memory", "error return without exception set")
    return isinstance(error, MemoryError) or any(phrase in str(error) for phrase in words)


def entry() -> int:
    """Run the console script. After an interrupt, leave at once: scores under way are made again on resume."""
    code = main()
    if code == EXIT_INTERRUPTED:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _exit_code(result: Any) -> int:
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    sys.exit(entry())
