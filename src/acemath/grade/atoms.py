"""The atoms of the expression parser: numbers, symbols, functions, brackets, fractions, matrices."""

from __future__ import annotations

from fractions import Fraction

from acemath.grade.guards import MAX_DEPTH, TooHard
from acemath.grade.nodes import Node, number
from acemath.grade.tokens import Token
from acemath.grade.vocabulary import DOTS, FUNCTIONS, GREEK, MATRICES, SETS, TEXT_COMMANDS, WRAPPERS


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
_ANY_CLOSE = frozenset(")]")
_ALWAYS_FUNCTION = frozenset("fghFGW")
_ALIASES = {
    "ln": "log", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "ceiling": "ceil", "sgn": "sign",
    "arsinh": "asinh", "arcosh": "acosh", "artanh": "atanh",
}  # fmt: skip
_INVERSES = {
    "sin": "arcsin",
    "cos": "arccos",
    "tan": "arctan",
    "cot": "arccot",
    "sec": "arcsec",
    "csc": "arccsc",
}


class Cursor:
    """A position in a list of tokens, with what brackets stand open."""

    def __init__(self, tokens: list[Token], depth: int = 0) -> None:
        self.tokens = tokens
        self.at = 0
        self.depth = depth
        self.bars = 0

    def peek(self, offset: int = 0) -> Token:
        index = self.at + offset
        return self.tokens[index] if index < len(self.tokens) else Token("end", "")

    def take(self) -> Token:
        token = self.peek()
        self.at += 1
        return token

    def accept(self, *texts: str) -> bool:
        token = self.peek()
        if token.kind in ("op", "cmd") and token.text in texts:
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.accept(text):
            raise Unreadable(f"expected {text} before {self.peek().text!r}")

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TooHard(f"brackets nested deeper than {MAX_DEPTH}")


class Atoms(Cursor):
    """Atoms and postfix operators. `expression` and `sequence` come from the parser built on this."""

    def expression(self) -> Node:
        raise NotImplementedError

    def sequence(self) -> Node:
        raise NotImplementedError

    def product(self, implicit_only: bool = False) -> Node:
        raise NotImplementedError

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
                base = (
                    Node("sym", (), base.value + "'") if base.kind == "sym" else Node("apply", (base,), "'")
                )
            elif self.accept("%"):
                base = Node("pct", (base,))
            elif self.accept("circ", "degree", "textdegree"):
                base = Node("deg", (base,))
            elif self.peek().text == "_" and self.peek().kind == "op":
                base = self._subscript(base)
            else:
                return base

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

    def atom(self) -> Node:
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
            return self._command(token.text)
        raise Unreadable(f"unexpected {token.text!r}")

    def _letter(self, name: str) -> Node:
        if name in ("e", "i") and self.peek().text not in ("_", "'"):
            return Node("const", (), name)
        if self.peek().text == "(" and name in _ALWAYS_FUNCTION:
            self.take()
            return Node("apply", self._until(")"), name)
        return Node("sym", (), name)

    def _bracketed(self, opening: str) -> Node:
        if opening == "|":
            self.bars += 1
            inner = self.expression()
            self.expect("|")
            self.bars -= 1
            return Node("abs", (inner,))
        if opening == "{":
            return self._group("}")
        if opening in "([":
            return self.bracket(opening)
        raise Unreadable(f"unexpected {opening!r}")

    def _until(self, closing: str) -> tuple[Node, ...]:
        self.deeper()
        bars, self.bars = self.bars, 0
        node = self.sequence()
        self.expect(closing)
        self.bars = bars
        self.depth -= 1
        return node.args if node.kind == "list" else (node,)

    def _group(self, closing: str) -> Node:
        self.deeper()
        bars, self.bars = self.bars, 0
        node = self.sequence()
        self.expect(closing)
        self.bars = bars
        self.depth -= 1
        return node

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

    def argument(self) -> Node:
        r"""One argument of `\frac` or `\sqrt`: a group, one digit, or one token."""
        token = self.peek()
        if token.kind == "num" and len(token.text) > 1 and "." not in token.text:
            self.tokens[self.at] = Token("num", token.text[1:])
            return number(int(token.text[0]))
        if token.kind == "op" and token.text == "-":
            self.take()
            return Node("neg", (self.argument(),))
        return self.atom()

    def _command(self, name: str) -> Node:
        if name == "frac":
            return Node("div", (self.argument(), self.argument()))
        if name in ("binom", "dbinom", "tbinom"):
            return Node("func", (self.argument(), self.argument()), "binom")
        if name in FUNCTIONS:
            return self._function(name)
        if name in ("pi", "infty", "inf"):
            return Node("const", (), "pi" if name == "pi" else "inf")
        if name in GREEK or name == "Pi":
            return Node("sym", (), name.removeprefix("var"))
        if name in ("emptyset", "varnothing"):
            return Node("set")
        if name in ("mathbb", "mathbf", "Bbb") and self.peek().text == "{" and self.peek(1).text in SETS:
            return self._number_set()
        if name in WRAPPERS or name in TEXT_COMMANDS:
            return self.atom()
        if name in CLOSERS:
            return self._delimited(name)
        if name in ("sum", "prod", "int", "lim"):
            return self._big(name)
        if name in ("lvert", "vert", "|", "lVert"):
            return self._norm(name)
        if name in DOTS:
            return Node("sym", (), "...")
        if name == "angle" or name == "triangle":
            return Node("sym", (), name + self.take().text)
        raise Unreadable(f"unknown command \\{name}")

    def _number_set(self) -> Node:
        name = self.peek(1).text
        if self.peek(2).text != "}":
            return self.atom()
        self.at += 3
        if self.accept("^") or self.accept("_"):
            sign = self.subscript_text()
            return Node("named", (), name + sign)
        return Node("named", (), name)

    def _norm(self, name: str) -> Node:
        closing = {"lvert": "rvert", "lVert": "rVert"}.get(name, name)
        self.bars += 1
        inner = self.expression()
        self.expect(closing)
        self.bars -= 1
        return Node("abs", (inner,))

    def _delimited(self, name: str) -> Node:
        closing = CLOSERS[name]
        if name == "{":
            return self.braces()
        if name == "langle":
            return Node("tuple", self._until(closing), "()")
        inner = self._group(closing)
        return Node("func", (inner,), "floor" if name == "lfloor" else "ceil")

    def braces(self) -> Node:
        raise NotImplementedError

    def _function(self, name: str) -> Node:
        if name == "sqrt":
            return self._root()
        base = self._log_base() if self.peek().text == "_" else None
        power = None
        if self.accept("^"):
            power = self.exponent()
        inverse = (
            power is not None
            and power.kind == "neg"
            and power.args[0] == number(1)._replace(value=power.args[0].value)
        )
        if inverse and power is not None and power.args[0].value[0] == 1 and name in _INVERSES:
            name, power = _INVERSES[name], None
        arguments = self._arguments(name)
        name = "lg" if name == "log" and base is None else name
        node = Node("func", arguments, _ALIASES.get(name, name))
        if base is not None:
            node = Node("div", (Node("func", arguments, "log"), Node("func", (base,), "log")))
        return node if power is None else Node("pow", (node, power))

    def _log_base(self) -> Node:
        self.take()
        return self.argument() if self.peek().kind != "num" else self.atom()

    def _arguments(self, name: str) -> tuple[Node, ...]:
        if self.accept("("):
            return self._until(")")
        if self.accept("["):
            return self._until("]")
        if self.peek().text == "{":
            return (self.atom(),)
        if self.accept("-"):
            return (Node("neg", (self.product(implicit_only=True),)),)
        return (self.product(implicit_only=True),)

    def _root(self) -> Node:
        index: Node | None = None
        if self.accept("["):
            (index,) = self._until("]")
        elif self.accept("("):
            (inner,) = self._until(")")
            return Node("func", (inner,), "sqrt")
        inner = self.atom()
        return Node("func", (inner,), "sqrt") if index is None else Node("func", (inner, index), "root")

    def _big(self, name: str) -> Node:
        low: Node | None = None
        high: Node | None = None
        for _ in range(2):
            if self.accept("_"):
                low = self._limit()
            elif self.accept("^"):
                high = self.exponent()
        body = self.product()
        return Node("big", tuple(n for n in (body, low, high) if n is not None), name)

    def _limit(self) -> Node:
        if self.peek().text != "{":
            return self.argument()
        return self.atom()

    def _matrix(self, name: str) -> Node:
        if name not in MATRICES:
            raise Unreadable(f"unknown environment {name}")
        rows: list[list[Node]] = [[]]
        self.deeper()
        while self.peek().kind != "end" or self.peek().text == "":
            token = self.peek()
            if token.kind == "end":
                raise Unreadable(f"no end of {name}")
            if self.accept("&"):
                continue
            if self.accept("\\"):
                rows.append([])
            elif self.accept("hline"):
                continue
            else:
                rows[-1].append(self.expression())
        self.take()
        self.depth -= 1
        rows = [row for row in rows if row]
        if not rows or len({len(row) for row in rows}) != 1:
            raise Unreadable("rows of different lengths")
        matrix = Node("matrix", tuple(cell for row in rows for cell in row), len(rows[0]))
        return Node("func", (matrix,), "det") if name == "vmatrix" else matrix


_NOT_ATOMS = frozenset(
    [
        "times",
        "cdot",
        "div",
        "pm",
        "mp",
        "cup",
        "cap",
        "setminus",
        "bmod",
        "pmod",
        "mod",
        "in",
        "to",
        "le",
        "ge",
        "leq",
        "geq",
        "lt",
        "gt",
        "ne",
        "neq",
        "approx",
        "equiv",
        "rangle",
        "rfloor",
        "rceil",
        "}",
        "\\",
        "Rightarrow",
        "implies",
        "mid",
        "rvert",
        "rVert",
        "|",
        "leqslant",
        "geqslant",
        "notin",
        "subset",
        "subseteq",
        "rightarrow",
        "mapsto",
        "sim",
        "simeq",
        "cong",
        "circ",
        "prime",
        "degree",
        "textdegree",
        "vert",
        "land",
        "lor",
        "quad",
        "perp",
        "parallel",
        "colon",
        "wedge",
        "vee",
        "iff",
        "hline",
        "backslash",
    ]
)


def _number(text: str) -> Node:
    plain = text.rstrip(".") if text.endswith(".") else text
    whole, point, fraction = plain.partition(".")
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
