"""The atoms of the expression parser: numbers, symbols, brackets, and what is written behind them."""

from __future__ import annotations

from fractions import Fraction

from acemath.grade.base.nodes import Node, function, letter, symbol
from acemath.grade.read.cursor import Unreadable
from acemath.grade.read.latex import Commands
from acemath.grade.read.tokens import Token
from acemath.grade.read.vocabulary import GREEK, NUMBER_WORDS, RELATIONS

_ALWAYS_FUNCTION = frozenset("fghFGW")
_POSTFIX = frozenset("!= ! ^ ** ' % degree textdegree _".split())
# Commands that cannot begin a factor of a product.
_NOT_ATOMS = RELATIONS.keys() | frozenset(
    r"times cdot div pm mp cup cap setminus bmod pmod mod rangle rfloor rceil } \ Rightarrow implies circ prime degree textdegree "
    "land lor quad wedge vee iff hline backslash choose".split()
)


class Atoms(Commands):
    """Atoms and postfix operators."""

    def starts_atom(self) -> bool:
        """Whether the next token can begin a factor of a product."""
        token = self.peek()
        if token.kind == "op":
            return token.text in "([{" or (token.text == "|" and self.bars == 0)
        return (
            token.kind in ("num", "letter", "begin") or token.kind == "cmd" and token.text not in _NOT_ATOMS
        )

    def postfixed(self) -> Node:
        """An atom with what stands behind it."""
        return self.marked(self.atom())

    def marked(self, base: Node) -> Node:
        """An expression with its factorials, powers, primes, degrees and percent signs."""
        while self.peek().text in _POSTFIX:
            if self.peek().text == "!=" and base.kind == "num" and not self.peek().spaced:
                self.tokens[self.at] = Token("op", "=")  # `6!=720` states a factorial
                base = Node("fact", (base,))
            elif self.accept("!"):
                base = function("fact2", base) if self.accept("!") else Node("fact", (base,))
            elif self.accept("^", "**"):
                base = Node("pow", (base, self.exponent()))
            elif self.accept("'"):
                base = self._primed(base)
            elif self.accept("%"):
                base = Node("pct", (base,))
            elif self.accept("degree", "textdegree"):
                base = Node("deg", (base,))
            elif self.accept("_"):
                base = _with_subscript(base, self.subscript_text())
            else:
                break
        return base

    def _primed(self, base: Node) -> Node:
        if base.kind != "sym":
            return Node("apply", (base,), "'")
        name = f"{base.value}'"
        if name[0] in _ALWAYS_FUNCTION and self.accept("("):
            return Node("apply", self.items(")"), name)
        return symbol(name)

    def exponent(self) -> Node:
        """What stands after `^`: a group, one signed atom, or a power again (right to left)."""
        self.deeper()
        if self.accept("-"):
            node = Node("neg", (self.exponent(),))
        else:
            self.accept("+")
            node = self.atom()
            if self.accept("^", "**"):
                node = Node("pow", (node, self.exponent()))
        self.depth -= 1
        return node

    def atom(self) -> Node:
        """A number, a symbol, a function, a bracket, or what a command says."""
        token = self.take()
        if token.kind == "num":
            return _number(token.text)
        if token.kind == "letter":
            return self._letter(token.text)
        if token.kind == "begin":
            return self.matrix(token.text)
        if token.kind == "word" and self.depth and token.text.isascii():
            return symbol(token.text)
        if token.kind == "op":
            return self._bracketed(token.text)
        if token.kind == "cmd":
            if token.text in GREEK and self.peek().text == "(" and self._heads_equation(token.text.lower()):
                self.take()  # `\psi(x) = …`
                return Node("apply", self.items(")"), token.text)
            return self.command(token.text)
        raise Unreadable(f"unexpected {token.text!r}")

    def _letter(self, name: str) -> Node:
        if name in ("e", "i") and self.peek().text not in ("_", "'"):
            return letter(name)
        if name in _ALWAYS_FUNCTION and self._inverse():
            self.at += 6
            return Node("apply", self.items(")"), f"{name}^-1")
        if self.peek().text != "(":
            return symbol(name)
        if name in _ALWAYS_FUNCTION or self._heads_equation(name):
            self.take()
            return Node("apply", self.items(")"), name)
        if [self.peek(k).text for k in (1, 2)] == ["0", ")"]:  # a start value, not a product that is 0
            self.at += 3
            return symbol(f"{name}(0)")
        return symbol(name)

    def _heads_equation(self, name: str) -> bool:
        """Whether a letter begins `p(x) = …` or `P(3) = …`: the name of a function, not a factor."""
        before, argument = self.peek(-2), self.peek(1)
        first = self.at == 1 or before.text in (",", ";") or before.kind == "word"
        ends = self.peek(2).text == ")" and self.peek(3).text in ("=", ":=", "equiv")
        return first and ends and (argument.kind == "num" or name.islower() and argument.kind == "letter")

    def _inverse(self) -> bool:
        """Whether `^{-1}(` follows: the inverse of a named function."""
        return "".join(self.peek(k).text for k in range(6)) in ("^{-1}(", "^(-1)(")

    def _bracketed(self, opening: str) -> Node:
        if opening == "|":
            return self.between_bars()
        if opening == "{":
            return self.group("}")
        if opening not in "([":
            raise Unreadable(f"unexpected {opening!r}")
        node = self.group(")", "]")
        if node.kind == "list" and node.value in (",", ";"):
            return Node("tuple", node.args, opening + self.peek(-1).text)
        return node


def _with_subscript(base: Node, text: str) -> Node:
    if base.kind == "num":
        return Node("based", (), (_base_value(text), base.value[2]))
    if base.kind == "sym":
        return symbol(f"{base.value}_{text}")
    return Node("apply", (base,), f"_{text}")


def _number(text: str) -> Node:
    plain = text.rstrip(".")
    whole, point, fraction = plain.partition(".")
    if "e" in plain.lower():
        point = ""  # 1.2e-5 is as exact as 1.2 · 10^-5
    return Node("num", (), (Fraction(int(plain) if plain.isdigit() else plain), len(fraction) if point else -1, text))


def _base_value(text: str) -> int:
    plain = text.lower().strip("()")
    short = plain.isascii() and plain.isdigit() and len(plain) < 3
    value = int(plain) if short else NUMBER_WORDS.get(plain, 0)
    if not 2 <= value <= 36:
        raise Unreadable(f"{text} is not a base")
    return value
