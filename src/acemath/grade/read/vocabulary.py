"""The words and commands that the answer parser knows, beside units."""

from __future__ import annotations

FUNCTIONS = frozenset(
    "sin cos tan cot sec csc arcsin arccos arctan arccot sinh cosh tanh coth sech csch asin acos "
    "atan log ln lg exp sqrt cbrt gcd lcm max min det abs floor ceil ceiling sgn arsinh arcosh "
    "artanh re im arg cis deg dim".split()
)
GREEK = frozenset(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi "
    "rho sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi "
    "Omega ell partial nabla hbar".split()
)
RELATIONS = {
    "=": "=", "<": "<", ">": ">", "<=": "<=", ">=": ">=", "!=": "!=", "==": "=", "=<": "<=", "=>": ">=", ":=": "=",
    "≈": "~", "le": "<=", "leq": "<=", "leqslant": "<=", "ge": ">=", "geq": ">=", "geqslant": ">=", "lt": "<",
    "gt": ">", "ne": "!=", "neq": "!=", "approx": "~", "simeq": "~", "sim": "~", "cong": "cong",
    "equiv": "equiv", "in": "in", "notin": "notin", "subset": "sub", "subseteq": "sub", "mid": "|", "to": "to",
    "rightarrow": "to", "mapsto": "to", "perp": "perp", "parallel": "parallel", "colon": ":", "doteq": "~",
}  # fmt: skip
UNEQUAL = frozenset(("!=", "ne", "neq"))
COMPARED = frozenset(sign for sign, meant in RELATIONS.items() if meant in ("<", ">", "<=", ">=", "!=", "in"))
# Commands that wrap a group and say nothing about its value.
WRAPPERS = frozenset(
    "boxed fbox mathbf mathit mathsf mathtt mathcal mathscr mathfrak bm boldsymbol overline "
    "underline widehat hat bar vec overrightarrow overleftarrow tilde widetilde overarc overbrace "
    "underbrace ensuremath color pmb operatorname mathop mathord displaystyle cancel text mathrm "
    "textrm rm".split()
)
DOTS = frozenset("ldots dots cdots dotsc dotsb vdots ddots dotso".split())
SETS = frozenset("RZNQC")
MATRICES = frozenset(
    "matrix pmatrix bmatrix Bmatrix vmatrix Vmatrix smallmatrix array cases aligned align gathered".split()
)

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
NUMBER_WORDS = {word: value for value, word in enumerate(_ONES.split())}
NUMBER_WORDS |= {word: 10 * tens for tens, word in enumerate(_TENS.split(), 2)}
SCALE_WORDS = {
    "hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12, "googol": 10**100,
}  # fmt: skip
_MONTHS = "january february march april may june july august september october november december"
MONTHS = {word: n for n, name in enumerate(_MONTHS.split(), 1) for word in (name, name[:3])}
# Different words for one outcome; the first of each row stands for all.
SYNONYMS: dict[str, str] = {
    word: row.split("|")[0]
    for row in (
        "no solution|none|empty set|no answer|impossible|not possible",
        "undefined|not defined|does not exist|dne|doesnt exist|no limit|indeterminate",
        "yes|true|correct",
        "no|false|incorrect",
        "infinite|infinitely many|infinitely many solutions|infinity|infinite number|an infinite number|unbounded",
        "zero function|constant zero function|constant function zero",
        "noon|midday|12 noon",
        "midnight|12 midnight",
        "neither|neither even nor odd",
        "converges|convergent|converge",
        "absolutely convergent|converges absolutely|absolutely converges|absolute convergence",
        "conditionally convergent|converges conditionally|conditionally converges|conditional convergence",
        "diverges|divergent|diverge",
    )
    for word in row.split("|")
}
# Words in front of a value that do not change it.
LEADS = frozenset(
    "the answer is are of a an approximately approx about only exactly just roughly equals equal "
    "to value values solution solutions set so therefore thus we have get for all when where at "
    "by with it its that there".split()
)
