"""What a user did wrong, in one line."""

from __future__ import annotations


class UserError(Exception):
    """A user's mistake: one line with the value, the rule and the fix. The commands exit with code 2."""

    exit_code = 2


class MissingExtra(UserError):
    """A part of acemath that needs packages which are not installed; says the command that installs them."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra {extra!r}: pip install 'acemath[{extra}]'")
