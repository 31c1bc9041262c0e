r"""LaTeX commands in expressions: fractions, roots, functions, logarithms, sums, matrices."""

from __future__ import annotations

from acemath.grade.base.nodes import Node, function, number, substitute, symbol
from acemath.grade.read.cursor import Cursor, Unreadable
from acemath.grade.read.tokens import Token
from acemath.grade.read.vocabulary import DOTS, FUNCTIONS, GREEK, MATRICES, SETS, WRAPPERS

_ALIASES = {
    "ln": "log", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "ceiling": "ceil", "sgn": "sign",
    "arsinh": "asinh", "arcosh": "acosh", "artanh": "atanh",
}  # fmt: skip
# Commands without arguments.
_ALONE = {name: symbol(name.removeprefix("var")) for name in GREEK} | dict.fromkeys(DOTS, symbol("..."))
_ALONE |= dict.fromkeys(("emptyset", "varnothing", "oslash"), Node("set"))
_ALONE |= {"pi": Node("const", (), "pi"), "infty": Node("const", (), "inf"), "inf": Node("const", (), "inf")}
_INVERTED = frozenset("sin cos tan cot sec csc".split())
# Which numbers of a set: `\mathbb{R}_{>0}`, `\mathbb{Z}^+`.
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
        return self.atom()

    def command(self, name: str) -> Node:
        """What a command and its arguments mean. Raises `Unreadable` for an unknown one."""
        if name == "frac":
            return Node("div", (self.argument(), self.argument()))
        if name in ("binom", "dbinom", "tbinom"):
            return function("binom", self.argument(), self.argument())
        if name in FUNCTIONS:
            return self._root() if name == "sqrt" else self._function(name)
        if name == "Gamma" and self.accept("("):
            return Node("fact", (Node("add", (_only(self.items(")")), number(-1))),))
        if name in ("dot", "ddot"):  # derivatives
            return symbol(_letter(self.atom()) + "'" * (len(name) - 2))
        if name in _ALONE:
            return _ALONE[name]
        if name in ("mathbb", "mathbf", "Bbb") and self.peek().text == "{" and self.peek(1).text in SETS:
            return self._number_set()
        if name in ("bar", "overline"):
            return self._conjugate()
        if name in WRAPPERS:
            return self.atom()
        if name == "{":
            return self.braces()
        if name == "langle":
            return Node("tuple", self.items("rangle"), "()")
        if name in ("lfloor", "lceil"):
            return function("floor" if name == "lfloor" else "ceil", self.group(f"r{name[1:]}"))
        if name in ("sum", "prod", "int", "lim"):
            return self._big(name)
        if name in ("angle", "triangle"):
            return symbol(name + self.take().text)
        raise Unreadable(f"unknown command \\{name}")

    def _conjugate(self) -> Node:
        r"""`\bar z` is not z; a bar over several letters names a segment."""
        inner = self.atom()
        return symbol(f"{inner.value}-bar") if inner.kind == "sym" and len(inner.value) == 1 else inner

    def _number_set(self) -> Node:
        name = self.peek(1).text
        if self.peek(2).text != "}":
            return self.atom()
        self.at += 3
        sign = ""
        for _ in range(2):
            if self.accept("^", "_"):
                sign += self.subscript_text()
        return Node("named", (), name + _SIGNS.get(sign, sign))

    def _function(self, name: str) -> Node:
        base = None
        if name in ("max", "min") and (self.accept(":") or self.peek().text not in ("(", "[", "{", "_", "=")):
            return Node("rel", (Node("text", (), name), self.expression()), ("=",))  # `max 5, min -2`
        if self.accept("_"):
            base = self.argument() if self.peek().kind != "num" else self.atom()
        power = self.exponent() if self.accept("^") else None
        if name in _INVERTED and power is not None and power.kind == "neg" and _is_one(power.args[0]):
            name, power = f"arc{name}", None
        arguments = self._arguments()
        if base is not None:
            node = Node("div", (function("log", *arguments), function("log", base)))
        else:
            node = function("lg" if name == "log" else _ALIASES.get(name, name), *arguments)
        return node if power is None else Node("pow", (node, power))

    def _arguments(self) -> tuple[Node, ...]:
        for opening, closing in ("()", "[]", "{}"):
            if self.accept(opening):
                return self.items(closing)
        if self.peek().text == "|":
            return (self.postfixed(),)  # bars hold the whole argument, as brackets do: `ln |x| / 4`
        if self.accept("-"):
            return (Node("neg", (self.product(implicit_only=True),)),)
        return (self.product(implicit_only=True),)

    def _root(self) -> Node:
        if self.accept("("):
            return function("sqrt", _only(self.items(")")))
        if self.accept("["):
            index = _only(self.items("]"))
            return function("root", self.atom(), index)
        return function("sqrt", self.group("}") if self.accept("{") else self.atom())

    def _big(self, name: str) -> Node:
        low: Node | None = None
        high: Node | None = None
        for _ in range(2):
            if self.accept("_"):
                low = self.atom() if self.peek().text == "{" else self.argument()
            elif self.accept("^"):
                high = self.exponent()
        body = self.product()
        if low is not None and low.kind == "rel" and low.args[0] == _IMAGINARY:
            index = symbol("i")  # an index called i is not the imaginary unit
            body = substitute(body, {_IMAGINARY: index})
            low = Node("rel", (index, *low.args[1:]), low.value)
        return Node("big", tuple(n for n in (body, low, high) if n is not None), name)

    def matrix(self, name: str) -> Node:
        """The cells of an environment that was begun, up to its end."""
        if name not in MATRICES:
            raise Unreadable(f"unknown environment {name}")
        rows: list[list[Node]] = [[]]
        self.deeper()
        while self.peek().kind != "end":
            if self.accept("\\"):
                rows.append([])
            elif not self.accept("&", "hline"):
                rows[-1].append(self.expression())
        if not self.take().text:
            raise Unreadable(f"no end of {name}")
        self.depth -= 1
        rows = [row for row in rows if row]
        if not rows or len({len(row) for row in rows}) != 1:
            raise Unreadable("rows of different lengths")
        matrix = Node("matrix", tuple(cell for row in rows for cell in row), len(rows[0]))
        return function("det", matrix) if name == "vmatrix" else matrix


def _letter(node: Node) -> str:
    if node.kind != "sym":
        raise Unreadable("a dot over no letter")
    return str(node.value)


def _is_one(node: Node) -> bool:
    return node.kind == "num" and node.value[0] == 1


def _only(nodes: tuple[Node, ...]) -> Node:
    if len(nodes) != 1:
        raise Unreadable("one argument is wanted")
    return nodes[0]
