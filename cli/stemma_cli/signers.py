"""The options that say who signs, and who dates the signature."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

HOME_KEY = "The signer: key:FILE, hsm:ID, ... (else the home's key)."


@dataclass(frozen=True)
class Choice:
    """What `--sign`, `--timestamp` and `--log` say."""

    uri: str | None = None
    timestamp: str | None = None
    log: str | None = None

    def __bool__(self) -> bool:
        return any((self.uri, self.timestamp, self.log))


def signing(help_text: str = HOME_KEY) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options; the command is called with `sign`, a `Choice`."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @click.option("--sign", metavar="URI", help=help_text)
        @click.option("--timestamp", metavar="URL", help="Have it dated by this RFC 3161 service.")
        @click.option("--log", metavar="URL", help="Put it into this Rekor: .../api/v1 or /api/v2.")
        @functools.wraps(command)
        def call(
            *arguments: Any, sign: str | None, timestamp: str | None, log: str | None, **others: Any
        ) -> Any:
            return command(*arguments, sign=Choice(sign, timestamp, log), **others)

        return call

    return decorate
