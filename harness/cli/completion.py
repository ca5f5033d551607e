"""`harness completion`: the script by which a shell completes commands, options and names; and what it is answered.

Commands and names are answered without loading a command, so that a press of the tab key costs a tenth of a second;
an option loads the command it belongs to, and nothing that measures.
"""

from collections.abc import Iterable
from importlib.resources import files

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

from harness.errors import EXIT_OK

FILES = ("--config", "--judge", "--chat-template", "--generations", "--policy")
FOLDERS = ("--out", "--data-dir", "--hub-dir", "--include-path")


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> int:
    """Print the script that completes commands, options, tasks, suites, checkpoints and recipes.

    \b
    eval "$(harness completion bash)"                                         in ~/.bashrc
    eval "$(harness completion zsh)"                                          in ~/.zshrc
    harness completion fish > ~/.config/fish/completions/harness.fish
    """  # noqa: D301 - click reads \b as a backspace character
    kind = {"bash": Bash, "zsh": Zsh, "fish": Fish}[shell]
    click.echo(kind(ctx.find_root().command, {}, "harness", "_HARNESS_COMPLETE").source())
    return EXIT_OK


def install() -> None:
    """Have click answer a shell by the classes below."""
    for kind in (Bash, Zsh, Fish):
        add_completion_class(kind)


class Quick(ShellComplete):
    """Answers what needs no command from lists; the rest is click's."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Return what the word that is being written may become."""
        args = args[:-1] if args and args[-1] == "=" else args  # bash makes three words of --task=gsm8k
        if "=" in incomplete and incomplete.startswith("--"):
            option, _, incomplete = incomplete.partition("=")
            return self._values(option, incomplete, f"{option}=") or super().get_completions(
                [*args, option], incomplete
            )
        if not incomplete.startswith("-"):
            if not [word for word in args if not word.startswith("-")]:
                return _commands(incomplete)
            option = args[-1] if args[-1].startswith("--") else " ".join(args)
            if found := self._values(option, incomplete, ""):
                return found
        return super().get_completions(args, incomplete)

    def _values(self, place: str, incomplete: str, before: str) -> list[CompletionItem]:
        """Return the names that fit at a place, an option or the words so far; of a list the last is completed."""
        earlier, comma, last = incomplete.rpartition(",")
        if place in ("--task", "--suite", "tasks show", "tasks check"):
            return _items(_task_names(place), last, before + earlier + comma)
        if place == "--ckpt":
            from trainers.lab import SHIPPED

            return [*_items(SHIPPED, incomplete, before), _path(incomplete, "dir")]
        if place == "train":
            names = sorted(file.name.removesuffix(".toml") for file in (files("trainers") / "recipes").iterdir())
            return [*_items(names, incomplete, before), _path(incomplete, "file")]
        if place in FILES or place in FOLDERS:
            return [_path(incomplete, "file" if place in FILES else "dir")]
        return []


class Bash(Quick, BashComplete):
    """For bash."""


class Zsh(Quick, ZshComplete):
    """For zsh."""


class Fish(Quick, FishComplete):
    """For fish."""


def _commands(incomplete: str) -> list[CompletionItem]:
    from harness.cli.main import COMMANDS

    return [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]


def _task_names(place: str) -> list[str]:
    from tasks.registry import SUITES, TASKS

    return {"--task": list(TASKS), "--suite": list(SUITES), "tasks show": list(TASKS)}.get(place, [*TASKS, *SUITES])


def _items(names: Iterable[str], incomplete: str, before: str) -> list[CompletionItem]:
    return [CompletionItem(before + name) for name in names if name.startswith(incomplete)]


def _path(incomplete: str, kind: str) -> CompletionItem:
    return CompletionItem(incomplete, type=kind)
