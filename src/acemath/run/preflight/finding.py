"""What a check found, in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from acemath.errors import MissingExtra, UserError

State = Literal["good", "note", "not checked", "fault"]
STATES: tuple[State, ...] = ("fault", "not checked", "note", "good")  # in the order in which they are shown


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table: the key of the recipe, what was found, and what that means for a run.

    A "fault" stops a run. A "note" is something to know: rows that will be dropped, an estimate. "not checked" says why.
    """

    place: str
    state: State
    says: str


@dataclass
class Findings:
    """The lines of a preflight."""

    rows: list[Finding] = field(default_factory=list)

    def add(self, place: str, state: State, says: str) -> None:
        """Add a line, once."""
        if (one := Finding(place, state, says)) not in self.rows:
            self.rows.append(one)

    @contextmanager
    def faults(self, place: str) -> Iterator[None]:
        """Turn an error of a user's, or a file that cannot be read, into a fault of this place, and a missing package into "not checked"."""
        try:
            yield
        except MissingExtra as error:
            self.add(place, "not checked", str(error))
        except UserError as error:
            self.add(place, "fault", str(error))
        except OSError as error:
            if error.filename is None:
                raise
            self.add(place, "fault", f"{error.filename} cannot be read ({error.strerror}); check the path and its permissions")

    def having(self, state: State) -> list[Finding]:
        """The lines of a state."""
        return [row for row in self.rows if row.state == state]

    def table(self) -> list[tuple[str, str, str]]:
        """All lines as (places, state, what was found), faults first. Places of which the same was found share a line."""
        places: dict[tuple[State, str], list[str]] = {}
        for row in sorted(self.rows, key=lambda row: STATES.index(row.state)):
            places.setdefault((row.state, row.says), []).append(row.place)
        return [(", ".join(where), state, says) for (state, says), where in places.items()]
