"""The command line: the only layer that prints or exits."""

from __future__ import annotations

import sys

import typer

from semcom.cli import inspecting, results, running, training
from semcom.errors import SemcomError

HELP = """Compare bit recovery with semantic generation over simulated radio channels.

A scenario file says which images, which channel, which systems, at how many channel uses. For example:

  semcom run scenarios/quickstart.yaml                              the whole comparison, into results/quickstart
  semcom run scenarios/quickstart.yaml --set channel.kind=rayleigh  the same over another channel
  semcom show rayleigh                                              what a component does, and its YAML

Exit status: 0 done, 1 some units failed, 2 wrong input.
"""

app = typer.Typer(
    help=HELP, no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)  # fmt: skip
for module in (running, results, inspecting, training):
    module.register(app)


def main() -> None:
    """Run a command; a fault of the user's is a sentence on stderr and exit status 2, never a traceback."""
    try:
        app()
    except SemcomError as error:
        print(f"semcom: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\nsemcom: stopped; what is finished is kept, and the same command goes on from there", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of a pipe (head, less) went away
        sys.stderr.close()
        sys.exit(141)


if __name__ == "__main__":
    main()
