"""The atoms of the expression parser: numbers, symbols, brackets, and what is written behind them."""

from __future__ import annotations

from fractions import Fraction

from acemath.grade.base.nodes import Node
from acemath.grade.read.cursor import Unreadable
from acemath.grade.read.latex import Commands

_ANY_CLOSE = frozenset(")]")
_ALWAYS_FUNCTION = frozenset("fghFGW")


class Atoms(Commands):
    """Atoms and postfix operators."""

    def starts_atom(self) -> bool:
        """Whether the next token can begin a factor of a product."""
        token = self.peek()
        if token.kind in ("num", "letter", "begin"):
            return True
        if token.kind == "op":
            return token.text in "([{" or (token.text == "|" and self.bars == 0)
        if token.kind == "cmd":
            return token.text not in _NOT_ATOMS
        return False

    def postfixed(self) -> Node:
        """An atom with its factorials, powers, primes, degrees and percent signs."""
        base = self.atom()
        while True:
            if self.accept("!"):
                if self.peek().text == "=":
                    self.at -= 1
                    return base
                base = Node("fact", (base,))
            elif self.peek().text == "^" or self.peek().text == "**":
                base = self._power(base)
            elif self.accept("'"):
                base = self._primed(base)
            elif self.accept("%"):
                base = Node("pct", (base,))
            elif self.accept("circ", "degree", "textdegree"):
                base = Node("deg", (base,))
            elif self.peek().text == "_" and self.peek().kind == "op":
                base = self._subscript(base)
            else:
                return base

    def _primed(self, base: Node) -> Node:
        if base.kind != "sym":
            return Node("apply", (base,), "'")
        name = f"{base.value}'"
        if name[0] in _ALWAYS_FUNCTION and self.accept("("):
            return Node("apply", self.until(")"), name)
        return Node("sym", (), name)

    def _power(self, base: Node) -> Node:
        self.take()
        if self.accept("circ"):
            return Node("deg", (base,))
        if self.accept("prime"):
            return Node("sym", (), str(base.value) + "'") if base.kind == "sym" else base
        if self.peek().text == "{" and self.peek(1).text in ("circ", "prime") and self.peek(2).text == "}":
            mark = self.peek(1).text
            self.at += 3
            return Node("deg", (base,)) if mark == "circ" else Node("sym", (), str(base.value) + "'")
        return Node("pow", (base, self.exponent()))

    def exponent(self) -> Node:
        """What stands after `^`: a group, one signed atom, or a power again (right to left)."""
        self.deeper()
        if self.accept("-"):
            node = Node("neg", (self.exponent(),))
        elif self.accept("+"):
            node = self.exponent()
        else:
            node = self.atom()
            if self.peek().text in ("^", "**"):
                node = self._power(node)
            while self.accept("!"):
                node = Node("fact", (node,))
        self.depth -= 1
        return node

    def _subscript(self, base: Node) -> Node:
        self.take()
        text = self.subscript_text()
        if base.kind == "num":
            return Node("based", (), (_base_value(text), base.value[2]))
        if base.kind == "sym":
            return Node("sym", (), f"{base.value}_{text}")
        return Node("apply", (base,), f"_{text}")

    def atom(self) -> Node:
        """A number, a symbol, a function, a bracket, or what a command says."""
        token = self.take()
        if token.kind == "num":
            return _number(token.text)
        if token.kind == "letter":
            return self._letter(token.text)
        if token.kind == "begin":
            return self._matrix(token.text)
        if token.kind == "word" and self.depth and token.text.isascii():
            return Node("sym", (), token.text)
        if token.kind == "op":
            return self._bracketed(token.text)
        if token.kind == "cmd":
            return self.command(token.text)
        raise Unreadable(f"unexpected {token.text!r}")

    def _letter(self, name: str) -> Node:
        if name in ("e", "i") and self.peek().text not in ("_", "'"):
            return Node("const", (), name)
        if name in _ALWAYS_FUNCTION and self._inverse():
            self.at += 6
            return Node("apply", self.until(")"), f"{name}^-1")
        if self.peek().text == "(" and name in _ALWAYS_FUNCTION:
            self.take()
            return Node("apply", self.until(")"), name)
        if self.peek().text == "(" and self._heads_equation(name):
            self.take()
            return Node("apply", self.until(")"), name)
        if name == "C" and self.peek().text == "(":
            self.take()
            arguments = self.until(")")
            if len(arguments) == 2:
                return Node("func", arguments, "binom")
            return Node("mul", (Node("sym", (), name), arguments[0]))
        return Node("sym", (), name)

    def _heads_equation(self, name: str) -> bool:
        """Whether a letter begins `p(x) = …` or `P(3) = …`: the name of a function, not a factor."""
        before, argument = self.peek(-2), self.peek(1)
        first = self.at == 1 or before.text in (",", ";") or before.kind == "word"
        ends = self.peek(2).text == ")" and self.peek(3).text in ("=", ":=", "equiv")
        return first and ends and (argument.kind == "num" or name.islower() and argument.kind == "letter")

    def _inverse(self) -> bool:
        """Whether `^{-1}(` follows: the inverse of a named function."""
        return [self.peek(k).text for k in range(6)] == ["^", "{", "-", "1", "}", "("]

    def _bracketed(self, opening: str) -> Node:
        if opening == "|":
            self.bars += 1
            inner = self.expression()
            self.expect("|")
            self.bars -= 1
            return Node("abs", (inner,))
        if opening == "{":
            return self.group("}")
        if opening in "([":
            return self.bracket(opening)
        raise Unreadable(f"unexpected {opening!r}")

    def bracket(self, opening: str) -> Node:
        """Round or square brackets: a group, a tuple, or an interval."""
        self.deeper()
        bars, self.bars = self.bars, 0
        if self.accept(")", "]"):
            raise Unreadable("empty brackets")
        node = self.sequence()
        closing = self.take().text
        if closing not in _ANY_CLOSE:
            raise Unreadable(f"expected a closing bracket before {closing!r}")
        self.bars = bars
        self.depth -= 1
        if node.kind == "list" and node.value in (",", ";"):
            return Node("tuple", node.args, opening + closing)
        return node


_NEVER_FIRST = (
    r"times cdot div pm mp cup cap setminus bmod pmod mod in to le ge leq geq lt gt ne neq approx equiv "
    r"rangle rfloor rceil } \ Rightarrow implies mid rvert rVert | leqslant geqslant notin subset subseteq "
    r"rightarrow mapsto sim simeq cong circ prime degree textdegree vert land lor quad perp parallel colon "
    r"wedge vee iff hline backslash choose"
)
_NOT_ATOMS = frozenset(_NEVER_FIRST.split())


def _number(text: str) -> Node:
    plain = text.rstrip(".") if text.endswith(".") else text
    whole, point, fraction = plain.partition(".")
    if "e" in plain.lower():
        point = ""  # 1.2e-5 is as exact as 1.2 · 10^-5
    return Node("num", (), (Fraction(plain), len(fraction) if point else -1, text))


def _base_value(text: str) -> int:
    words = {
        "two": 2,
        "three": 3,
        "four": 4,
        "five": 5,
        "six": 6,
        "seven": 7,
        "eight": 8,
        "nine": 9,
        "ten": 10,
    }
    plain = text.lower().strip("()")
    if plain.isascii() and plain.isdigit() and 2 <= int(plain[:3]) <= 36:
        return int(plain)
    if plain in words:
        return words[plain]
    raise Unreadable(f"{text} is not a base")
