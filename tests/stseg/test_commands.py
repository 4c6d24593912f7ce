"""The command ``stseg``."""

import importlib.util
import os
import subprocess
import sys

import pytest

from mose import InputError
from stseg.__main__ import main
from stseg.cli import CommandParser
from stseg.commands import COMMANDS, GROUPS, find_command


def stseg(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "stseg", *arguments],
        capture_output=True, text=True, env={**os.environ, **environment},
    )  # fmt: skip


def test_the_overview_names_every_command_on_one_screen(capsys):
    assert main(["--help"]) == 0
    overview = capsys.readouterr().out
    assert main([]) == 0
    assert capsys.readouterr().out == overview
    lines = overview.splitlines()
    assert len(lines) <= 32
    assert max(map(len, lines)) <= 90
    assert [line.split()[0] for line in lines if line.startswith("  ")] == [*COMMANDS]
    assert all(f"{title}:" in lines for title in GROUPS)


def test_the_overview_imports_nothing_heavy():
    code = (
        "import sys; from stseg.__main__ import main; main(['--help'])\n"
        "print([m for m in ('numpy', 'cv2', 'torch', 'ray', 'yaml', 'tqdm') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_help_calls_a_command_as_it_was_started(command, capsys):
    assert importlib.util.find_spec(command.module) is not None
    with pytest.raises(SystemExit) as end:
        main([command.name, "--help"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: stseg {command.name} ")
    with pytest.raises(SystemExit):
        command.load()(["--help"])
    called = command.module.replace("adapters.finetune", "finetune")
    assert capsys.readouterr().out.startswith(f"usage: python -m {called} ")


def test_arguments_and_exit_codes_pass_through(tmp_path, capsys):
    assert main(["synthetic", "--stats", "1", "--frames", "3", "--size", "64x64"]) == 0
    assert "objects per clip" in capsys.readouterr().out
    with pytest.raises(InputError, match="--videos"):
        main(["synthetic", str(tmp_path)])


def test_an_unknown_command_gets_the_nearest():
    with pytest.raises(InputError, match="did you mean 'evaluate'"):
        find_command("evalute")
    answer = stseg("rnu")
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: unknown command 'rnu': did you mean 'run'?")
    assert answer.stderr.count("\n") == 1


def test_the_version_is_told(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("stseg ")


def completions(line, tmp_path):
    """What the shell's own hook would be told: argcomplete writes to descriptor 8."""
    told = tmp_path / "told"
    subprocess.run(
        [sys.executable, "-m", "stseg"],
        env={
            **os.environ, "_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)),
            "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_STDOUT_FILENAME": str(told),
        },
        check=False,
    )  # fmt: skip
    return [word.strip() for word in told.read_text().splitlines()]


def test_the_shell_completes_commands_and_options(tmp_path):
    assert completions("stseg st", tmp_path) == ["status", "study"]
    assert "--split" in completions("stseg run --sp", tmp_path)
    assert {"fetch", "list"} <= set(completions("stseg weights ", tmp_path))


def test_a_parser_without_a_caller_is_python_m():
    assert CommandParser("mose.check", "What a server rejects.").prog == "python -m mose.check"


def test_a_reader_that_has_seen_enough_is_no_fault():
    reading, writing = os.pipe()
    os.close(reading)
    answer = subprocess.run(
        [sys.executable, "-m", "stseg"], stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert (answer.returncode, answer.stderr) == (1, "")
