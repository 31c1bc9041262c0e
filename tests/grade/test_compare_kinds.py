"""Kinds of answers and near misses: chains, families with a parameter, signs in unread text, tolerances."""

from __future__ import annotations

import pytest

from acemath.grade import equal

CHAINS_SAME = [
    ("u=v=7", "7"),
    (r"4\diamond3=25+6=31", "31"),
    (r"4 \diamond 3 = 31", "31"),
    ("48 / 2 = 24; 24 / 2 = 12", "12"),
    ("48 / 2 = 24, 24 / 2 = 12", "12"),
    (r"2 \oplus 3 = 13", "13"),
    (r"a \star b = a+2b", "a + 2b"),
    ("x=y=z=1", "1"),
    (r"A = \pi r^2 = 25\pi", r"25\pi"),
    ("f(2)=2^2+1=5", "5"),
    (r"100\% - 30\% = 70\%", r"70\%"),
    (r"\frac12 \cdot 6 = 3 \text{ cm}", "3"),
    (r"3 \# 4 = 7", "7"),
    ("5 @ 6 = 11", "11"),
    (r"\angle ABC = \angle ACB = 50^\circ", r"50^\circ"),
    ("AB=BC=5", "5"),
    ("x+y=3+4=7", "7"),
    (r"\{2, 1\} = \{1, 2\}", r"\{1, 2\}"),
    ("y=(x-1)(x+1)=x^2-1", "y=x^2-1"),
    (r"\sin 30 = \frac12", r"\frac12"),
    (r"\sqrt{16} = \pm 4", r"\pm 4"),
    ("100*1.06^5 = 134", "134"),
    ("x=y=90", "90"),
    ("x=90, y=90", "y=90, x=90"),
    (r"A^{-1}=\begin{pmatrix}1&-2\\0&1\end{pmatrix}", r"\begin{pmatrix}1&-2\\0&1\end{pmatrix}"),
]
CHAINS_DIFFERENT = [
    ("y=z=5", "x=5"),
    ("x=5, y=5", "z=5"),
    ("1=1; 2=2", "2"),
    ("1+1=2; 1+2=4", "4"),
    ("1+1=2; 5-1=4", "4"),
    (r"4 \diamond 3 < 31", "31"),
    (r"4 \diamond 3 = 31 or 32", "31"),
    ("x=5, y=6", "6"),
    ("48 / 2 = 24; 24 / 2 = 12", "24"),
    ("1+1=2; 1+2=3", "2"),
    ("1+1=2; 1+2=3", "2, 5"),
    (r"2 \oplus 3 = 13", r"2 \oplus 3 = 14"),
    ("x=y=7", "8"),
    (r"\{1, 3\} = \{1, 2\}", r"\{1, 2\}"),
    ("(2, 1) = (1, 2)", "(1, 2)"),
    ("y=x+2=x+1", "x+1"),
    (r"\sqrt3 = \sqrt2", r"\sqrt2"),
    (r"2\pi = \pi", r"\pi"),
    (r"a=3\approx 4", "4"),
    (r"\ln(e^{-5})=5", "5"),
    ("12,345", "12.345"),
    (r"\sin 30^\circ = \frac13", r"\frac13"),
    (r"\cos(\pi)=-1, \cos(\pi)=0", r"\cos(\pi)=-1, \sin(\pi)=0"),
    (r"k=\frac{\ln(1/2)}{5.27}\approx 0.1315", r"k=\frac{\ln(1/2)}{5.27}\approx -0.1315"),
    ("x=90, y=90", "90"),
    ("x=90, y=90", "y=90"),
    ("B = C", "C"),
    ("y=c; y=3x", "y=d; y=3x"),
    ("5>3", "2>1"),
]

FAMILIES_SAME = [
    (r"\{\frac{\pi}{4}+k\pi : k \in \mathbb{Z}\}", r"\{\frac{\pi}{4}+n\pi : n \in \mathbb{Z}\}"),
    (r"\{2k+1 \mid k \in \mathbb{Z}\}", r"\{2n-1 : n \in \mathbb{Z}\}"),
    (r"x = 2k+1, k \in \mathbb{Z}", r"x=2n+1, n \in \mathbb{Z}"),
    (r"\{2k+1 \mid k \in \mathbb{Z}\}", r"x=2n+1, n \in \mathbb{Z}"),
    (r"x = \frac{\pi}{6} + 2k\pi \text{ or } x=\frac{5\pi}{6}+2k\pi", r"x = (-1)^n\frac{\pi}{6}+n\pi"),
    (r"\{(t, 2t) : t \in \mathbb{R}\}", r"\{(s,2s) : s\in \mathbb{R}\}"),
    (r"\{(x,y) : x^2+y^2=1\}", r"\{(a,b) : a^2+b^2=1\}"),
    (r"\{x \mid x = 2k, k \in \mathbb{Z}\}", r"\{2n \mid n \in \mathbb{Z}\}"),
    (r"n = 6k + 1, k \in \mathbb{Z}", r"6m+1, \text{ where } m \text{ is an integer}"),
    (r"(2k, 3k), k \in \mathbb{Z}", r"(2n, 3n), n \in \mathbb{Z}"),
    (r"(3m+1, 2m), m\in\mathbb{Z}", r"(3n-2, 2n-2), n \in \mathbb{Z}"),
    (r"\{ x \in \mathbb{R} : x > 3\}", r"\{ t \in \mathbb{R} : t > 3\}"),
    (r"x = \frac{k\pi}{2}", r"x= n\pi \text{ or } x = \frac{\pi}{2}+n\pi"),
    (
        r"\left\{ \frac{1}{n} : n \in \mathbb{N} \right\}",
        r"\left\{ \frac{1}{m} \mid m \in \mathbb{N} \right\}",
    ),
    (r"x = 3k+1, k \in \mathbb{Z}", r"x = 3m-2, m \in \mathbb{Z}"),
    (r"n = 4k+1, k \text{ is a positive integer}", r"n = 4m+1, m \in \mathbb{Z}^+"),
    (
        r"\{x \in \mathbb{R} \mid x \neq k\pi, k \in \mathbb{Z}\}",
        r"\{x \in \mathbb{R} \mid x \neq n\pi, n \in \mathbb{Z}\}",
    ),
    (r"\left[2k\pi, 2k\pi+\pi\right], k \in \mathbb{Z}", r"\left[2n\pi, 2n\pi+\pi\right], n \in \mathbb{Z}"),
    (
        r"(k\pi - \frac{\pi}{12}, k\pi + \frac{5\pi}{12}) (k \in \mathbb{Z})",
        r"(n\pi - \frac{\pi}{12}, n\pi + \frac{5\pi}{12}), n \in \mathbb{Z}",
    ),
    (r"x = k\pi + \frac{\pi}{4}, k \in Z", r"x=\frac{\pi}{4}+n\pi"),
    (r"30^\circ + 360^\circ k", r"30^\circ + 360^\circ n"),
    (r"45^\circ + 180^\circ k", r"x = 45^\circ + 180^\circ n, n \in \mathbb{Z}"),
    (r"\{3n+1, n \in \mathbb{Z}\}", r"\{3k+1 : k \in \mathbb{Z}\}"),
    (
        r"\left\{\frac{k\pi}{2} \mid k \in \mathbb{Z}\right\}",
        r"\{n\pi : n \in \mathbb{Z}\} \cup \{\frac{\pi}{2} + n\pi : n \in \mathbb{Z}\}",
    ),
    (r"\{(x,y) : x<y\}", r"\{(s,t): s < t\}"),
    ("all integers of the form 3k+1", r"3k+1, k \in \mathbb{Z}"),
    (r"(a, b) = (2k, 3k) \text{ for any integer } k", r"(2m, 3m), m \in \mathbb{Z}"),
    (r"f(x) = cx \text{ for all real } c", "f(x) = kx"),
    ("(2n, n^2-1, n^2+1)", "(2m, m^2-1, m^2+1)"),
    (r"\{ (2a, a) \mid a \in \mathbb{R} \}", "(2t, t)"),
    (r"e^{2\pi i k/5}, k = 0,1,2,3,4", r"e^{2\pi i n/5}, n=0,1,2,3,4"),
    (r"2^k \text{ where } k \text{ is a nonnegative integer}", r"2^n, n \ge 0"),
    (
        r"x=2k\pi \pm \frac{\pi}{3}, k \in \mathbb{Z}",
        r"x = \frac{\pi}{3}+2n\pi \text{ or } x = -\frac{\pi}{3}+2n\pi",
    ),
    (r"\{a+bi : a,b \in \mathbb{Z}\}", r"\{m+ni : m,n \in \mathbb{Z}\}"),
    (r"m = 6k, n = 3k, k \in \mathbb{Z}", r"m = 6t, n = 3t, t \in \mathbb{Z}"),
    (r"x \equiv 3 \pmod 7", r"x = 7k - 4, k \in \mathbb{Z}"),
    (r"x \equiv 1 \pmod 6 \text{ or } x \equiv 5 \pmod 6", r"x = 6k \pm 1, k \in \mathbb{Z}"),
    (r"2k\pi < x < 2k\pi + \pi, k \in \mathbb{Z}", r"(2n\pi, 2n\pi + \pi), n \in \mathbb{Z}"),
    ("x = 2k", "x = 2n"),
    (r"4n+1, n \ge 0", r"4n-3, n \ge 1"),
    (r"x = \pm k\pi, k \ge 0", r"x = k\pi, k \in \mathbb{Z}"),
    (r"3k+1, k \in \mathbb{Z}", "3k+1"),
]
FAMILIES_DIFFERENT = [
    (r"x = k\pi, k \in \mathbb{Z}", r"y = k\pi, k \in \mathbb{Z}"),
    (r"x = k\pi, y = 2k\pi", r"x = n\pi"),
    (r"\{2k+1 \mid k \in \mathbb{Z}\}", r"\{2n : n \in \mathbb{Z}\}"),
    ("2k", "2n"),
    (r"x = \frac{k\pi}{2}", r"x= n\pi"),
    (r"\{ 2k : k \in \mathbb{Z}\}", r"\{ 2k : k \in \mathbb{N}\}"),
    (r"x = 2k+1, k \in \mathbb{Z}", r"x = 2n, n \in \mathbb{Z}"),
    (r"x = 3k+1, k \in \mathbb{Z}", r"x = 3k+2, k \in \mathbb{Z}"),
    (r"2k, k \in \mathbb{N}", r"2n, n \in \mathbb{Z}"),
    (
        r"(k\pi - \frac{\pi}{12}, k\pi + \frac{5\pi}{12}) (k \in \mathbb{Z})",
        r"(n\pi - \frac{\pi}{12}, n\pi + \frac{7\pi}{12}), n \in \mathbb{Z}",
    ),
    (r"\{x : x > 3\}", r"\{y : y > 4\}"),
    (r"\{(x,y) : x<y\}", r"\{(x,y): y < x\}"),
    (r"\{(x,y) : x<y\}", r"\{(s,t): t < s\}"),
    ("(2n, n^2-1, n^2+1)", "(2m, m^2-1, m^2+2)"),
    (r"k\pi", "t"),
    (r"\frac{\pi}{k}", r"\frac{\pi}{n+1}"),
    (r"\{a+bi : a,b \in \mathbb{Z}\}", r"\{m+2ni : m,n \in \mathbb{Z}\}"),
    (r"(2k\pi, 2k\pi+\pi)", r"[2k\pi, 2k\pi+\pi]"),
    (r"(2k\pi, 2k\pi+\pi), k \in \mathbb{Z}", r"[2n\pi, 2n\pi+\pi], n \in \mathbb{Z}"),
    ("x = 2a", "x = 2b"),
    (r"2x \equiv 1 \pmod 7", r"2x \equiv 1 \pmod 5"),
    (r"x \equiv 3 \pmod 7", r"x = 7k + 4, k \in \mathbb{Z}"),
    (r"3k+1, k \in \mathbb{Z}", r"3k+1, k \in \mathbb{N}"),
    (r"n^2, n \in \mathbb{Z}", r"n^2, n \in \mathbb{N}"),
    (r"4n+1, n \ge 0", r"4n+1, n \in \mathbb{Z}"),
    (r"4n+1, n \ge 0", r"n \ge 1"),
    ("3k+1 with k an integer", "3k+1 with k a natural number"),
    (r"f(x)=x+1, x \ge 0", r"f(x)=x+1, x \ge 3"),
]

REGIONS_SAME = [
    (r"x > \sqrt2", "x > 1.4142136"),
    (r"(\sqrt2, \infty)", "x > 1.4142136"),
    ("a < x < b", "(a, b)"),
    (r"x \ge 2a", r"[2a, \infty)"),
    (r"\{x \in \mathbb{Z} : 1 \le x \le 4\}", r"\{1, 2, 3, 4\}"),
    (r"\{n \in \mathbb{Z} : n^2 < 5\}", "-2, -1, 0, 1, 2"),
    (r"\{x : x^2 < 4\}", "(-2, 2)"),
    (r"x < 1 \text{ or } x > 3", r"(x-1)(x-3) > 0"),
    (r"x < -\sqrt2 \text{ or } x > \sqrt2", r"x > 1.4142136 \text{ or } x < -1.4142136"),
    (r"[0, 2]", r"[0, 1] \text{ or } [1, 2]"),
    (r"k \ge 2", r"\text{all integers } k \ge 2"),
]
REGIONS_DIFFERENT = [
    (r"x > \sqrt2", "x > 1.42"),
    (r"x > \sqrt2", r"x \ge 1.4142136"),
    ("a < x < b", "[a, b]"),
    ("a < x < b", "(b, a)"),
    (r"\{x \in \mathbb{Z} : 1 \le x \le 4\}", r"\{1, 2, 3\}"),
    (r"\{x \in \mathbb{Z} : 1 \le x \le 4\}", "[1, 4]"),
    ("x^2 < 10^6", "x^2 < 2 * 10^6"),
    (r"x^2 < 3.999", "(-2, 2)"),
    (r"A \setminus B", r"B \setminus A"),
    (r"x > 1 \text{ and } x < 3", r"x > 1 \text{ or } x < 3"),
    (r"\{n \in \mathbb{Z} : n(n-1)(n-50) \le 0, n \ge 0\}", r"\{0, 1\}"),
    (r"\text{no solution}", r"\foo(x) > 3"),
    ("[0, 1]", r"[0, 1] \text{ or } (0, 1)"),
    ("x > 3", "x > 3 or x > 5"),
]

VALUES_SAME = [
    (r"d=\frac{1+\sqrt5}{2}", r"\frac{1+\sqrt5}{2}\approx 1.618"),
    ("y(0)=5", "5"),
    ("x(0)e^{kt}", "e^{kt}x(0)"),
    (r"\frac13", "0.333333"),
    (r"\frac23", "0.666667"),
    (r"\frac23", "0.666666"),
    (r"\sqrt2", "1.414214"),
    (r"\sqrt2", "1.414213"),
    (r"\log 100", "2"),
    (r"\log 2", r"\ln 2"),
    (r"\log_{10} 2", r"\log 2"),
    ("2:00", "2:00"),
]
VALUES_DIFFERENT = [
    (r"d=\frac{1+\sqrt5}{2}", r"\frac{1+\sqrt3}{2}\approx 1.618"),
    (r"I(0)e^{-\frac{t}{RC}}", r"I(0)e^{-\frac{tR}{C}}"),
    ("y(0)+1", "1"),
    ("P(0)e^{kt}", "0"),
    (r"\frac13", "0.333334"),
    (r"\sqrt4", "2.000001"),
    (r"\frac23", "0.666668"),
    (r"\frac23", "0.666665"),
    (r"\sqrt2", "1.414215"),
    (r"\phi", r"\text{no solution}"),
    (r"\phi", r"\emptyset"),
    (r"\log 100", "4.60517"),
    (r"\text{about 3.5 ish}", r"\text{35 ish}"),
    (r"x \foo -5", r"x \foo 5"),
    ("a ?? b + c", "a ?? b - c"),
    (r"\weird{3}{4}", r"\weird{34}"),
    ("5", r"\infty"),
    ("5", "2:00"),
    ("infinity", "7"),
]

WORDS_SAME = [
    (r"\text{the first quadrant}", "I"),
    (r"\text{quadrant II}", r"\text{second quadrant}"),
    (r"\text{Alice}", r"\text{Alice wins}"),
    (r"\text{Alice}", r"\text{Alice has a winning strategy}"),
    (r"\text{Lisa}", r"\text{Lisa is the tallest}"),
    (r"\text{A, D, F, G, H}", "ADFGH"),
    ("AC", "A, C"),
    ("ABC", "A, B, C"),
    ("non-negative", "nonnegative"),
]
WORDS_DIFFERENT = [
    (r"\text{quadrant II}", r"\text{third quadrant}"),
    (r"\text{Alice}", r"\text{Alice loses}"),
    (r"\text{Alice}", r"\text{Alice or Bob}"),
    (r"\text{Alice}", r"\text{Alice is not the winner}"),
    (r"\text{Alice}", r"\text{Bob wins}"),
    ("AC", "A, B"),
    ("ADFGH", "A, D, F, G"),
    (r"\text{day 5}", r"\text{day 6}"),
    (r"\text{0.5 ish}", r"\text{5 ish}"),
    ("x ?? y", "x ?? -y"),
]

DOTS_SAME = [
    (r"1+2+3+\dots+n", r"n+\dots+3+2+1"),
    (r"x^n+x^{n-1}+\dots+x+1", r"1+x+\dots+x^n"),
    (r"1+2+\dots+10", "55"),
    (r"1\cdot 2 \cdots n", r"n(n-1)\cdots 1"),
    (r"(x-1)(x-2)\cdots(x-n)", r"(x-n)\cdots(x-2)(x-1)"),
    ("1+2+...+10", "10+...+2+1"),
    (r"1 \cdot 3 \cdot 5 \cdots (2n-1)", r"(2n-1)\cdots 5 \cdot 3 \cdot 1"),
    (r"x_1+x_2+\dots+x_n", r"x_n+\dots+x_2+x_1"),
    (r"2^{100}+2^{99}+\dots+1", "2^{101}-1"),
    (r"1+2+\dots+n", r"\frac{n(n+1)}{2}"),
    ("1+2+...+n", r"\frac{n^2+n}{2}"),
    (r"1+2+4+\dots+1024", "2047"),
    (r"1+3+5+\dots+(2n-1)", "n^2"),
    (r"1\cdot2\cdot3\cdots n", "n!"),
    (r"n(n-1)(n-2)\cdots 1", "n!"),
    (r"1+x+x^2+\dots+x^n", r"\frac{x^{n+1}-1}{x-1}"),
    (r"a^{n-1}+a^{n-2}b+\dots+b^{n-1}", r"b^{n-1}+\dots+a^{n-2}b+a^{n-1}"),
    (r"1, 2, \dots, 10", "1,2,3,4,5,6,7,8,9,10"),
    ("1,2,...,10", "1,2,3,4,5,6,7,8,9,10"),
    ("1,2,...,n", r"1, 2, \ldots, n"),
    ("0.333...", r"\frac13"),
    (r"n+(n-1)+\dots+1", r"1+2+\dots+n"),
    (r"\sin x + \sin 2x + \dots + \sin nx", r"\sin nx + \dots + \sin 2x + \sin x"),
    (r"1^2+2^2+\dots+n^2", r"\frac{n(n+1)(2n+1)}{6}"),
    (r"\frac{1}{1\cdot2}+\frac{1}{2\cdot3}+\dots+\frac{1}{n(n+1)}", r"\frac{n}{n+1}"),
    (r"1+\frac12+\dots+\frac1n", r"\sum_{k=1}^{n} \frac1k"),
    (r"1+2+\dots+2n", "n(2n+1)"),
    (r"1, 2, 4, \dots, 64", "1, 2, 4, 8, 16, 32, 64"),
]
DOTS_DIFFERENT = [
    (r"1+2+\dots+10", r"1+2+\dots+11"),
    (r"1+2+\dots+n", r"\frac{n(n-1)}{2}"),
    (r"1+2+4+\dots+1000", "1023"),
    (r"n(n-1)(n-2)\cdots 1", "(n-1)!"),
    (r"x_1+x_2+\dots+x_n", r"x_1+x_2+\dots+x_{n+1}"),
    ("1,2,...,n", "1,3,...,n"),
    (r"1+2+\dots+10", r"1+3+\dots+10"),
    (r"1\cdot 2 \cdots 10", r"10+9+\dots+1"),
    (r"1^2+2^2+\dots+n^2", r"\frac{n(n+1)}{2}"),
    (r"1, 2, 4, \dots, 64", "1, 2, 4, 8, 16, 32"),
    (r"1, 2, \dots, 5", r"(5, 4, 3, 2, 1)"),
    # the terms have no rational values
    (r"\{\sqrt1, \sqrt2, \dots, \sqrt9\}", r"\{\log 1, \log 2, \dots, \log 9\}"),
    (r"\{\pi, 2\pi, \dots, 9\pi\}", r"\{\pi, 2\pi, \dots, 8\pi\}"),
    (r"\{x, 2x, \dots, 9x\}", r"\emptyset"),
]
BESIDE_SAME = [
    (r"y=x \quad y=-x", "y=x, y=-x"),
    (r"y = x^2 \quad y = -x", r"y=-x \text{ or } y=x^2"),
    (r"x=1 \quad y=2", "(1,2)"),
    (r"x = 1, \quad y = 2", "x=1, y=2"),
    (r"x=1 \quad \text{or} \quad x=2", "1, 2"),
    (r"x = k\pi \quad (k \in \mathbb{Z})", r"k\pi"),
    (r"f(x)=2x \quad \text{for all } x", "2x"),
    (r"x = 3 \qquad x=4", "3, 4"),
    (r"y=Ce^{x} \text{ where } C \text{ is a constant}", "y = Ae^x"),
    (r"a_n = 2n+1 \text{ where } n \geq 1", "2n+1"),
    (r"n=4k+1 \text{ where } k \text{ is a nonnegative integer}", "n = 4k+1"),
    (r"3\pi, \text{ where } \pi \approx 3.14", r"3\pi"),
]
LENIENT_SAME = [
    ("0.5", "50"),
    ("5", "5.001"),
    (r"\frac13", "0.333"),
    (r"\frac12", "50"),
    ("0.333334", r"\frac13"),
    ("0.5", r"50\%"),
    (r"50\%", "50"),
    ("12.5", "0.125"),
    ("3.14", r"\pi"),
]
LENIENT_DIFFERENT = [
    (r"\frac{64}{121}", r"\frac{64}{1.21}"),
    (r"\frac{1}{10}", r"\frac{10}{1}"),
    ("1e-3", "1e-5"),
    ("2007", "2006"),
    ("5,15", "515"),
    ("10", "1000"),
    ("1", "100"),
    (r"\frac{22}{7}", r"\pi"),
    ("1000", "1001"),
    (r"\sqrt{2}", r"\frac{1414}{1000}"),
    ("1,000", "10"),
]


@pytest.mark.parametrize(
    ("a", "b"), CHAINS_SAME + FAMILIES_SAME + REGIONS_SAME + VALUES_SAME + WORDS_SAME + DOTS_SAME + BESIDE_SAME
)
def test_equal_both_ways(a: str, b: str) -> None:
    assert equal(a, b).status == equal(b, a).status == "correct"


@pytest.mark.parametrize(
    ("a", "b"),
    CHAINS_DIFFERENT
    + FAMILIES_DIFFERENT
    + REGIONS_DIFFERENT
    + VALUES_DIFFERENT
    + WORDS_DIFFERENT
    + DOTS_DIFFERENT
)
def test_different_both_ways_and_without_a_worker(a: str, b: str) -> None:
    one, other = equal(a, b), equal(b, a)
    assert one.status == other.status == "wrong"
    assert one.tier != "symbolic"


@pytest.mark.parametrize(("a", "b"), LENIENT_SAME)
def test_lenient_takes_rounded_values_and_percentages(a: str, b: str) -> None:
    assert equal(a, b, "lenient").correct and equal(b, a, "lenient").correct


@pytest.mark.parametrize(("a", "b"), LENIENT_DIFFERENT)
def test_lenient_tells_exact_values_apart(a: str, b: str) -> None:
    assert equal(a, b, "lenient").status == equal(b, a, "lenient").status == "wrong"
