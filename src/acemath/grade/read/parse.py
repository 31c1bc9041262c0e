"""The expression parser: sequences, relations, set operations, sums, products.

A recursive descent over tokens. It accepts LaTeX, calculator notation and what lies between, and never
evaluates anything.
"""

from __future__ import annotations

from acemath.grade.base.nodes import Node, function, symbol
from acemath.grade.read.atoms import Atoms
from acemath.grade.read.cursor import END, Unreadable
from acemath.grade.read.tokens import Token
from acemath.grade.read.vocabulary import FUNCTIONS, RELATIONS

_SET_OPERATORS = {"cup": "union", "cap": "inter", "setminus": "minus", "backslash": "minus"}
_CONJUNCTIONS = {"land": "land", "wedge": "land", "lor": "lor", "vee": "lor", "and": "and", "or": "or"}
_MODULI = ("pmod", "bmod", "mod")


class Parser(Atoms):
    """Everything above atoms."""

    def whole(self) -> Node:
        """The tree of all tokens. Raises `Unreadable` where one is left over."""
        node = self.sequence()
        if self.peek() is not END:
            raise Unreadable(f"unexpected {self.peek().text!r}")
        return node

    def sequence(self) -> Node:
        """Expressions separated by semicolons, commas, "and", "or"."""
        groups = [self._commas()]
        while self.accept(";") and self.peek() is not END:
            groups.append(self._commas())
        return groups[0] if len(groups) == 1 else Node("list", tuple(groups), ";")

    def _commas(self) -> Node:
        items, words = [self.expression()], set()
        while True:
            word = self._conjunction()
            if word is not None:
                words.add(_CONJUNCTIONS[word])
                self.take()
            elif not self.accept(","):
                break
            if self._conjunction() in ("and", "or"):
                continue  # `1, 2, and 3`
            items.append(self.expression())
        if len(items) == 1:
            return items[0]
        if words in ({"land"}, {"lor"}) and all(i.kind in ("sym", "apply") for i in items):
            # a formula of logic, not a list
            return Node("apply", tuple(sorted(items, key=repr)), words.pop())
        return Node("list", tuple(items), "or" if words & {"or", "lor"} else "and" if words else ",")

    def _conjunction(self) -> str | None:
        """The next token if it is "and", "or" or a sign of logic."""
        token = self.peek()
        text = token.text.lower() if token.kind == "word" else token.text
        known = text in _CONJUNCTIONS and (token.kind == "word" or text not in ("and", "or"))
        return text if known else None

    def expression(self) -> Node:
        """A chain of relations, or one side alone."""
        sides, operators = [symbol("?") if self._bare_relation() else self._ratio()], []
        while (operator := self._relation()) is not None:
            operators.append(operator)
            sides.append(self._ratio())
        return Node("rel", tuple(sides), tuple(operators)) if operators else sides[0]

    def _bare_relation(self) -> bool:
        """Whether a relation has nothing on its left, as in `>= 100`; a bare ≈ is passed over."""
        operator = RELATIONS.get(self.peek().text) if self.at == 0 else None
        if operator in ("~", "="):
            self.take()
        return operator in ("<", ">", "<=", ">=", "!=")

    def _relation(self) -> str | None:
        token = self.peek()
        if token.kind not in ("op", "cmd"):
            return None
        if token.text in ("colon", "mid") or token.text not in RELATIONS:
            return None
        self.take()
        if token.text == "equiv" and not any(t.text in _MODULI for t in self.tokens):
            return "="  # `f(x) \\equiv 0`: equal everywhere
        operator = RELATIONS[token.text]
        return operator + "=" if operator in ("<", ">") and self.accept("=") else operator

    def _ratio(self) -> Node:
        parts = [self._sets()]
        while not self.builder and self.accept(":", "colon"):
            parts.append(self._sets())
        if len(parts) == 1 and self.peek().kind == "cmd" and self.accept("choose"):
            return function("binom", parts[0], self._sets())
        return parts[0] if len(parts) == 1 else Node("ratio", tuple(parts))

    def _sets(self) -> Node:
        node = self.sum()
        while self.peek().kind == "cmd" and self.peek().text in _SET_OPERATORS:
            node = Node(_SET_OPERATORS[self.take().text], (node, self.sum()))
        if self.peek().kind == "cmd" and self.accept(*_MODULI):
            return Node("mod", (node, self.product()))
        return node

    def sum(self) -> Node:
        """Terms with +, -, ±."""
        terms = [_with_sign(self._sign(), self._signed())]
        while sign := self._sign():
            terms.append(_with_sign(sign, self._signed()))
        return terms[0] if len(terms) == 1 else Node("add", tuple(terms))

    def _sign(self) -> str:
        sign = self.peek().text
        return sign if self.accept("+", "-", "pm", "mp") else ""

    def _signed(self) -> Node:
        """A product with any number of signs before it."""
        negative = False
        while self.peek().text in ("-", "+") and self.peek().kind == "op":
            negative ^= self.take().text == "-"
        node = self.product()
        return Node("neg", (node,)) if negative else node

    def product(self, implicit_only: bool = False) -> Node:
        """Factors, written with or without a sign. With `implicit_only` the argument of a function."""
        node = self._mixed(self.postfixed())
        while True:
            if not implicit_only and self.accept("times", "cdot", "*", "ast"):
                node = Node("mul", (node, self._factor()))
            elif self._slash_number() if implicit_only else self.accept("/", "div"):
                node = Node("div", (node, self._factor()))
            elif self.starts_atom() and not (implicit_only and self._stops_argument()):
                power = node.kind == "pow" or node.kind == "mul" and node.args[-1].kind == "pow"
                if self.peek().kind == "num" and self.peek(-1).kind == "num" and not power:
                    raise Unreadable("two numbers side by side")
                node = Node("mul", (node, self.postfixed()))
            else:
                return node

    def _factor(self) -> Node:
        if self.accept("-"):
            return Node("neg", (self._factor(),))
        self.accept("+")
        return self.postfixed()

    def _slash_number(self) -> bool:
        return self.peek(1).kind == "num" and self.accept("/")

    def _stops_argument(self) -> bool:
        token = self.peek()
        if token.kind == "cmd":
            return token.text in FUNCTIONS and token.text != "sqrt"
        bracket = token.text in ("(", "[") and self.peek(-1).kind != "op" and not token.spaced
        return bracket or token.text == "|"

    def _mixed(self, node: Node) -> Node:
        r"""`3\frac{1}{2}` is a mixed number, not a product."""
        token = self.peek()
        if node.kind == "num" and node.value[1] < 0 and token.kind == "cmd" and token.text == "frac":
            start, saved = self.at, list(self.tokens)
            fraction = self.atom()
            if fraction.kind == "div" and all(a.kind == "num" and a.value[1] < 0 for a in fraction.args):
                return self.marked(Node("add", (node, fraction)))
            self.at, self.tokens = start, saved
        return node

    def braces(self) -> Node:
        r"""What stands in `\{ … \}`: a set, or a set-builder."""
        if self.accept("}"):
            return Node("set")
        self.deeper()
        outer, self.bars, self.builder = (self.bars, self.builder), 1, True
        inner = self.sequence()
        self.bars, self.builder = outer
        self.depth -= 1
        if not self.accept("|", ":", "mid", "colon"):
            self.expect("}")
            return Node("set", inner.args if inner.kind == "list" else (inner,))
        conditions = self.group("}")
        joined = conditions.kind == "list" and conditions.value != "or"
        return Node("builder", (inner, *(conditions.args if joined else (conditions,))))


def _with_sign(sign: str, term: Node) -> Node:
    if sign in ("pm", "mp"):
        return Node("pm", (term,), 1 if sign == "pm" else -1)
    return Node("neg", (term,)) if sign == "-" else term


def parse_tokens(tokens: list[Token]) -> Node:
    """The tree of some tokens. Raises `Unreadable` or `TooHard`."""
    return Parser(tokens).whole()
