"""A position in a list of tokens, and what every part of the expression parser needs from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from acemath.grade.base.guards import MAX_DEPTH, TooHard
from acemath.grade.base.nodes import Node, function
from acemath.grade.read.tokens import Token

END = Token("end", "")
_ENDS = (END,) * 8  # so many places the parser may look ahead, or take where nothing is left


class Unreadable(Exception):
    """The text is not an expression that this parser knows."""


class Cursor:
    """A position in a list of tokens, with what brackets stand open.

    The parser is built on this in three steps: LaTeX commands (`latex.Commands`), atoms (`atoms.Atoms`), and what joins
    atoms (`parse.Parser`). Each step calls rules of the later ones.
    """

    if TYPE_CHECKING:  # rules of the later steps

        def expression(self) -> Node: ...
        def sequence(self) -> Node: ...
        def product(self, implicit_only: bool = False) -> Node: ...
        def braces(self) -> Node: ...
        def atom(self) -> Node: ...
        def postfixed(self) -> Node: ...
        def exponent(self) -> Node: ...

    def __init__(self, tokens: list[Token], depth: int = 0) -> None:
        self.tokens = [*tokens, *_ENDS]
        self.at = 0
        self.depth = depth
        self.bars, self.builder = 0, False  # open bars, and whether a bar or a colon begins the conditions of a set

    def peek(self, offset: int = 0) -> Token:
        """The token at the position, or some places behind it, without taking it."""
        return self.tokens[self.at + offset]

    def take(self) -> Token:
        """The token at the position; the position moves on."""
        token = self.peek()
        self.at += 1
        return token

    def accept(self, *texts: str) -> bool:
        """Take the next token if it is one of these signs or commands."""
        token = self.peek()
        if token.kind in ("op", "cmd") and token.text in texts:
            self.at += 1
            return True
        return False

    def expect(self, *texts: str) -> None:
        """Take one of these signs. Raises `Unreadable` where something else stands."""
        if not self.accept(*texts):
            raise Unreadable(f"expected {' or '.join(texts)} before {self.peek().text!r}")

    def deeper(self) -> None:
        """Count an opened bracket. Raises `TooHard` beyond the limit."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TooHard(f"brackets nested deeper than {MAX_DEPTH}")

    def group(self, *closings: str) -> Node:
        """What a bracket holds, up to one of these closing signs."""
        self.deeper()
        outer, self.bars, self.builder = (self.bars, self.builder), 0, False
        node = self.sequence()
        self.expect(*closings)
        self.bars, self.builder = outer
        self.depth -= 1
        return node

    def items(self, closing: str) -> tuple[Node, ...]:
        """The expressions between commas up to a closing bracket."""
        node = self.group(closing)
        return node.args if node.kind == "list" else (node,)

    def between_bars(self) -> Node:
        """The absolute value, or the determinant of a matrix, whose opening bar was taken."""
        self.bars += 1
        inner = self.expression()
        self.expect("|")
        self.bars -= 1
        return function("det", inner) if inner.kind == "matrix" else Node("abs", (inner,))

    def subscript_text(self) -> str:
        """The subscript as text without spaces: it names a symbol, it is not calculated."""
        if not self.accept("{"):
            return self.take().text
        parts, depth = [], 1
        while depth:
            token = self.take()
            if token.kind == "end":
                raise Unreadable("a subscript without an end")
            depth += (token.text == "{") - (token.text == "}")
            if depth:
                parts.append(token.text)
        return "".join(parts)
