"""What the shell blocks of the docs say, taken apart: programs, their options, and the addresses they ask for."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import PurePath
from urllib.parse import urlsplit

import click

from gatelodge.cli import cli

KEYWORDS = {"do", "then", "else", "done", "fi"}
ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=")
PREFIXES = {"sudo", "exec", "env", "if", "while", "until", "!", "time"}
OUR_HOSTS = {"127.0.0.1", "localhost", "gate.example.com", "green.example.com", "blue.example.com"}
ADDRESS = re.compile(r"https?://[^\s\"'|<>)`,]+")


def commands(code: str) -> Iterator[list[str]]:
    """Each simple command with its arguments, without assignments in front of it and redirections behind."""
    lines = re.sub(r"\\\n", " ", re.sub(r"<<-?\s*'?(\w+)'?.*?\n\1\n", "\n", code, flags=re.DOTALL))
    for line in lines.splitlines():
        for inner in [*re.findall(r"\$\(([^()]*)\)", line), re.sub(r"\$\([^()]*\)", "SUBSTITUTED", line)]:
            yield from _simple(inner)


def _simple(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    skip = False
    for token in [*lexer, ";"]:
        if skip:
            skip = False
        elif token in (">", ">>", "<", ">&", "&>"):
            skip = True
            if words and words[-1] in ("1", "2"):
                words.pop()
        elif (token in KEYWORDS and not words) or set(token) <= set(";&|()"):
            if command := _stripped(words):
                yield command
            words = []
        else:
            words.append(token)


def _stripped(words: list[str]) -> list[str]:
    while words and (words[0] in PREFIXES or ASSIGNMENT.match(words[0])):
        words = words[1:]
    return words


def is_ours(command: list[str]) -> bool:
    return PurePath(command[0]).name == "gatelodge"


def check(command: list[str]) -> None:
    """Raises `click.UsageError` for a subcommand, option or argument that `gatelodge` does not have."""
    found: click.Command = cli
    context = click.Context(cli, info_name="gatelodge")
    words = command[1:]
    while isinstance(found, click.Group) and words and not words[0].startswith("-"):
        inner = found.get_command(context, words[0])
        if inner is None:
            raise click.UsageError(f"no command {words[0]}")
        found, words = inner, words[1:]
        context = click.Context(found, info_name=found.name, parent=context)
    values, left, _ = found.make_parser(context).parse_args(list(words))
    if left:
        raise click.UsageError(f"too many arguments: {left}")
    missing = [p.name for p in found.params if p.required and p.name and values.get(p.name) in (None, ())]
    if missing and "--help" not in words:
        raise click.UsageError(f"missing: {missing}")


def paths(code: str) -> Iterator[str]:
    """The paths asked of our own server."""
    for address in ADDRESS.findall(code):
        parts = urlsplit(address)
        if parts.hostname in OUR_HOSTS:
            yield parts.path or "/"
