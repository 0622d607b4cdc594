"""smelt completion: commands and options completed by the shell."""

from __future__ import annotations

from typing import Literal

from smelt.cli.program import App

__all__ = ["completion"]


def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print a script for shell completion of commands and options.

    For bash, in the current shell: eval "$(smelt completion bash)"; for all future shells, write it
    to ~/.local/share/bash-completion/completions/smelt. For zsh write it to a file _smelt in a
    folder of $fpath, for fish to ~/.config/fish/completions/smelt.fish.

    Args:
        shell: which shell
    """
    from smelt.cli import program_of_all

    app: App = program_of_all()
    print(app.generate_completion(shell=shell))
    return 0
