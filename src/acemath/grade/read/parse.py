"""The expression parser: sequences, relations, set operations, sums, products.

A recursive descent over tokens. It accepts LaTeX, calculator notation and what lies between, and never
evaluates anything.
"""

from __future__ import annotations

from acemath.grade.base.nodes import Node
from acemath.grade.read.atoms import Atoms
from acemath.grade.read.cursor import Unreadable
from acemath.grade.read.tokens import Token, tokenize
from acemath.grade.read.vocabulary import FUNCTIONS, RELATIONS

_SET_OPERATORS = {"cup": "union", "cap": "inter", "setminus": "minus", "backslash": "minus"}
_TIMES = ("times", "cdot", "*", "ast")
_OVER = ("/", "div")
_LOGIC = {"land": "land", "wedge": "land", "lor": "lor", "vee": "lor"}
_MODULI = ("pmod", "bmod", "mod")


class Parser(Atoms):
    """Everything above atoms."""

    def whole(self) -> Node:
        """The tree of all tokens. Raises `Unreadable` where one is left over."""
        node = self.sequence()
        if self.at < len(self.tokens):
            raise Unreadable(f"unexpected {self.peek().text!r}")
        return node

    def sequence(self) -> Node:
        """Expressions separated by semicolons, commas, "and", "or"."""
        groups, separators = [self._commas()], set()
        while self.accept(";"):
            if self.at >= len(self.tokens):
                break
            groups.append(self._commas())
            separators.add(";")
        return groups[0] if len(groups) == 1 else Node("list", tuple(groups), ";")

    def _commas(self) -> Node:
        items, words = [self.expression()], set()
        while True:
            token = self.peek()
            if token.kind == "word" and token.text.lower() in ("and", "or") or token.text in _LOGIC:
                words.add(_LOGIC.get(token.text) or token.text.lower())
                self.take()
                continue_list = True
            else:
                continue_list = self.accept(",")
            if not continue_list:
                break
            follower = self.peek()
            if follower.kind == "word" and follower.text.lower() in ("and", "or") or follower.text == ",":
                continue
            if follower.kind == "end":
                break
            items.append(self.expression())
        if len(items) == 1:
            return items[0]
        if words <= {"land", "lor"} and len(words) == 1 and all(i.kind in ("sym", "apply") for i in items):
            return Node(
                "apply", tuple(sorted(items, key=repr)), words.pop()
            )  # a formula of logic, not a list
        joined = {"land": "and", "lor": "or"}
        words = {joined.get(word, word) for word in words}
        return Node("list", tuple(items), "or" if "or" in words else "and" if words else ",")

    def expression(self) -> Node:
        """A chain of relations, or one side alone."""
        sides, operators = [Node("sym", (), "?") if self._bare_relation() else self._ratio()], []
        while True:
            operator = self._relation()
            if operator is None:
                break
            operators.append(operator)
            sides.append(self._ratio())
        return sides[0] if not operators else Node("rel", tuple(sides), tuple(operators))

    def _bare_relation(self) -> bool:
        """Whether a relation has nothing on its left, as in `>= 100`; a bare ≈ is passed over."""
        if self.at == 0 and RELATIONS.get(self.peek().text) in ("~", "="):
            self.take()
            return False
        return self.at == 0 and RELATIONS.get(self.peek().text) in ("<", ">", "<=", ">=", "!=")

    def _relation(self) -> str | None:
        token = self.peek()
        if token.kind not in ("op", "cmd") or token.text == "|":
            return None
        if token.text == "not" and self.peek(1).text in ("=", "in"):
            self.at += 2
            return "!=" if self.peek(-1).text == "=" else "notin"
        if token.text == "!" and self.peek(1).text == "=":
            self.at += 2
            return "!="
        if token.text in ("colon", "mid") or token.text not in RELATIONS:
            return None
        self.take()
        if token.text == "equiv" and not any(t.text in _MODULI for t in self.tokens):
            return "="  # `f(x) \\equiv 0`: equal everywhere
        if RELATIONS[token.text] in ("<", ">") and self.peek().text == "=":
            self.take()
            return RELATIONS[token.text] + "="
        return RELATIONS[token.text]

    def _ratio(self) -> Node:
        parts = [self._sets()]
        while self.peek().text in (":", "colon") and self.peek().kind in ("op", "cmd"):
            self.take()
            parts.append(self._sets())
        if len(parts) == 1 and self.peek().kind == "cmd" and self.accept("choose"):
            return Node("func", (parts[0], self._sets()), "binom")
        return parts[0] if len(parts) == 1 else Node("ratio", tuple(parts))

    def _sets(self) -> Node:
        node = self.sum()
        while self.peek().kind == "cmd" and self.peek().text in _SET_OPERATORS:
            kind = _SET_OPERATORS[self.take().text]
            node = Node(kind, (node, self.sum()))
        return self._modulus(node)

    def _modulus(self, node: Node) -> Node:
        if self.peek().kind != "cmd" or self.peek().text not in _MODULI:
            return node
        self.take()
        if self.peek().text == "{" or self.peek().text == "(":
            return Node("mod", (node, self.atom()))
        return Node("mod", (node, self.product()))

    def sum(self) -> Node:
        """Terms with +, -, ±."""
        terms: list[Node] = []
        token = self.peek()
        if self.accept("pm", "mp"):
            sign = 1 if token.text == "pm" else -1
            terms.append(Node("pm", (self.product(),), sign))
        elif self.accept("-"):
            terms.append(Node("neg", (self.product(),)))
        else:
            self.accept("+")
            if (
                self.peek().text in ("-", "+")
                or self.peek().text == "infty"
                and self.at
                and self.peek(-1).text == "+"
            ):
                terms.append(self.signed())
            else:
                terms.append(self.product())
        while self.peek().text in ("+", "-", "pm", "mp") and self.peek().kind in ("op", "cmd"):
            sign_text = self.take().text
            term = self.signed()
            if sign_text == "-":
                term = Node("neg", (term,))
            elif sign_text in ("pm", "mp"):
                term = Node("pm", (term,), 1 if sign_text == "pm" else -1)
            terms.append(term)
        return terms[0] if len(terms) == 1 else Node("add", tuple(terms))

    def signed(self) -> Node:
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
            if not implicit_only and self.accept(*_TIMES):
                node = Node("mul", (node, self._factor()))
            elif self.accept(*_OVER) if not implicit_only else self._slash_number():
                node = Node("div", (node, self._factor(tight=True)))
            elif self.starts_atom() and not (implicit_only and self._stops_argument()):
                if self.peek().kind == "num" and self.peek(-1).kind == "num":
                    raise Unreadable("two numbers side by side")
                node = Node("mul", (node, self.postfixed()))
            else:
                return node

    def _factor(self, tight: bool = False) -> Node:
        if self.accept("-"):
            return Node("neg", (self._factor(tight),))
        self.accept("+")
        return self.postfixed()
        # 1/2x is (1/2)x, but 1/(2x) is meant where letters alone follow: a/bc stays (a/b)c as in calculators

    def _slash_number(self) -> bool:
        if self.peek().text == "/" and self.peek(1).kind == "num":
            self.take()
            return True
        return False

    def _stops_argument(self) -> bool:
        token = self.peek()
        if token.kind == "cmd":
            return token.text in FUNCTIONS and token.text != "sqrt"
        return (
            token.text in ("(", "[") and self.peek(-1).kind != "op" and not token.spaced or token.text == "|"
        )

    def _mixed(self, node: Node) -> Node:
        r"""`3\frac{1}{2}` and `3 1/2` are mixed numbers, not products."""
        if node.kind != "num" or node.value[1] >= 0:
            return node
        token = self.peek()
        if token.kind == "cmd" and token.text == "frac":
            start, saved = self.at, list(self.tokens)
            fraction = self.postfixed()
            if fraction.kind in ("pct", "deg") and fraction.args[0].kind == "div":
                return Node(fraction.kind, (Node("add", (node, fraction.args[0])),))
            if fraction.kind == "div" and all(a.kind == "num" and a.value[1] < 0 for a in fraction.args):
                return Node("add", (node, fraction))
            self.at, self.tokens = start, saved
            return node
        if token.kind == "num" and self.peek(1).text == "/" and self.peek(2).kind == "num":
            top = self.atom()
            self.take()
            return Node("add", (node, Node("div", (top, self.atom()))))
        return node

    def braces(self) -> Node:
        r"""What stands in `\{ … \}`: a set, or a set-builder."""
        self.deeper()
        if self.accept("}"):
            self.depth -= 1
            return Node("set")
        bar = self._builder_bar()
        if bar is not None:
            inner = Parser(self.tokens[self.at : bar], self.depth).whole()
            self.at = bar + 1
            conditions = self.sequence()
            self.expect("}")
            self.depth -= 1
            joined = conditions.kind == "list" and conditions.value != "or"
            parts = conditions.args if joined else (conditions,)
            return Node("builder", (inner, *parts))
        node = self.sequence()
        self.expect("}")
        self.depth -= 1
        return Node("set", node.args if node.kind == "list" else (node,))

    def _builder_bar(self) -> int | None:
        depth = 0
        for index in range(self.at, len(self.tokens)):
            token = self.tokens[index]
            if token.kind not in ("op", "cmd"):
                continue
            if token.text in ("(", "[", "{") and token.kind != "cmd":
                depth += 1
            elif token.text in (")", "]") or token.text == "}" and token.kind == "op":
                depth -= 1
            elif depth == 0 and token.text == "}":
                return None
            elif depth == 0 and token.text in ("|", ":", "mid", "colon", "vert") and index > self.at:
                return index
        return None


def parse_tokens(tokens: list[Token]) -> Node:
    """The tree of some tokens. Raises `Unreadable` or `TooHard`."""
    return Parser(list(tokens)).whole()


def parse(text: str) -> Node:
    """The tree of a cleaned expression. Raises `Unreadable` or `TooHard`."""
    return parse_tokens(tokenize(text))
