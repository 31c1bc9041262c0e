r"""LaTeX commands in expressions: fractions, roots, functions, logarithms, sums, matrices."""

from __future__ import annotations

from acemath.grade.base.nodes import Node, number, replace_constant
from acemath.grade.read.cursor import CLOSERS, Cursor, Unreadable
from acemath.grade.read.tokens import Token
from acemath.grade.read.vocabulary import DOTS, FUNCTIONS, GREEK, MATRICES, SETS, TEXT_COMMANDS, WRAPPERS

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

_SIGNS = {
    ">0": "+", "<0": "-", "geq0": "0+", "ge0": "0+", ">=0": "0+", "geqslant0": "0+", "leq0": "0-", "le0": "0-",
    "+0": "0+", "0+": "0+", "+*": "+", "*+": "+", "++": "+",
}  # fmt: skip
_IMAGINARY = Node("const", (), "i")


class Commands(Cursor):
    """What follows a backslash."""

    def argument(self) -> Node:
        r"""One argument of `\frac` or `\sqrt`: a group, one digit, or one token."""
        token = self.peek()
        if token.kind == "num" and len(token.text) > 1 and token.text.isdigit():
            self.tokens[self.at] = Token("num", token.text[1:])
            return number(int(token.text[0]))
        if token.kind == "op" and token.text == "-":
            self.take()
            return Node("neg", (self.argument(),))
        return self.atom()

    def command(self, name: str) -> Node:
        """What a command and its arguments mean. Raises `Unreadable` for an unknown one."""
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
        if name in ("bar", "overline"):
            return self._conjugate()
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

    def _conjugate(self) -> Node:
        r"""`\bar z` is not z; a bar over several letters names a segment."""
        inner = self.atom()
        plain = inner.kind == "sym" and len(str(inner.value)) == 1
        return Node("sym", (), f"{inner.value}-bar") if plain else inner

    def _number_set(self) -> Node:
        name = self.peek(1).text
        if self.peek(2).text != "}":
            return self.atom()
        self.at += 3
        if self.accept("^") or self.accept("_"):
            sign = self.subscript_text()
            if self.accept("^") or self.accept("_"):
                sign += self.subscript_text()
            return Node("named", (), name + _SIGNS.get(sign, sign))
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
            return Node("tuple", self.until(closing), "()")
        inner = self.group(closing)
        return Node("func", (inner,), "floor" if name == "lfloor" else "ceil")

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
            return self.until(")")
        if self.accept("["):
            return self.until("]")
        if self.peek().text == "{":
            return (self.atom(),)
        if self.accept("-"):
            return (Node("neg", (self.product(implicit_only=True),)),)
        return (self.product(implicit_only=True),)

    def _only(self, nodes: tuple[Node, ...]) -> Node:
        if len(nodes) != 1:
            raise Unreadable("a root of several things")
        return nodes[0]

    def _root(self) -> Node:
        index: Node | None = None
        if self.accept("["):
            index = self._only(self.until("]"))
        elif self.accept("("):
            inner = self._only(self.until(")"))
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
        if low is not None and low.kind == "rel" and low.args[0] == _IMAGINARY:
            index = Node("sym", (), "i")  # an index called i is not the imaginary unit
            body = replace_constant(body, _IMAGINARY, index)
            low = Node("rel", (index, *low.args[1:]), low.value)
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
