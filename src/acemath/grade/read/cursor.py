"""A position in a list of tokens, and what every part of the expression parser needs from it."""

from __future__ import annotations

from acemath.grade.base.guards import MAX_DEPTH, TooHard
from acemath.grade.base.nodes import Node
from acemath.grade.read.tokens import Token


class Unreadable(Exception):
    """The text is not an expression that this parser knows."""


CLOSERS = {
    "(": ")",
    "[": "]",
    "{": "}",
    "\\{": "\\}",
    "langle": "rangle",
    "lfloor": "rfloor",
    "lceil": "rceil",
}


class Cursor:
    """A position in a list of tokens, with what brackets stand open."""

    def __init__(self, tokens: list[Token], depth: int = 0) -> None:
        self.tokens = tokens
        self.at = 0
        self.depth = depth
        self.bars = 0

    def peek(self, offset: int = 0) -> Token:
        """The token at the position, or some places behind it, without taking it."""
        index = self.at + offset
        return self.tokens[index] if index < len(self.tokens) else Token("end", "")

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

    def expect(self, text: str) -> None:
        """Take this sign. Raises `Unreadable` where something else stands."""
        if not self.accept(text):
            raise Unreadable(f"expected {text} before {self.peek().text!r}")

    def deeper(self) -> None:
        """Count an opened bracket. Raises `TooHard` beyond the limit."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TooHard(f"brackets nested deeper than {MAX_DEPTH}")

    def expression(self) -> Node:
        """One expression; from the parser built on this."""
        raise NotImplementedError

    def sequence(self) -> Node:
        """Expressions with commas between; from the parser built on this."""
        raise NotImplementedError

    def product(self, implicit_only: bool = False) -> Node:
        """Factors; from the parser built on this."""
        raise NotImplementedError

    def braces(self) -> Node:
        r"""What stands in `\{ … \}`; from the parser built on this."""
        raise NotImplementedError

    def atom(self) -> Node:
        """One atom; from the class built on this."""
        raise NotImplementedError

    def exponent(self) -> Node:
        """What stands after `^`; from the class built on this."""
        raise NotImplementedError

    def postfixed(self) -> Node:
        """An atom with what follows it; from the class built on this."""
        raise NotImplementedError

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

    def until(self, closing: str) -> tuple[Node, ...]:
        """The expressions up to a closing bracket."""
        self.deeper()
        bars, self.bars = self.bars, 0
        node = self.sequence()
        self.expect(closing)
        self.bars = bars
        self.depth -= 1
        return node.args if node.kind == "list" else (node,)

    def group(self, closing: str) -> Node:
        """What a bracket holds, as one tree."""
        self.deeper()
        bars, self.bars = self.bars, 0
        node = self.sequence()
        self.expect(closing)
        self.bars = bars
        self.depth -= 1
        return node
