"""Instructions around a problem: roles, labels, chat-template markers, and how to answer.

An instruction is recognised by its vocabulary: it speaks of problems, answers and steps, but not of numbers, variables or
things. So any wording built from these words is recognised, without a list of phrases.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from os.path import commonprefix

from acemath.curate.words import words_of

MIN_TEXTS = 5  # different texts from which on a common beginning or end is no coincidence
WORDS_PER_OTHER = 7  # one word in so many may be outside the vocabulary: a name, a profession
_WORDS = """
a abilities ability about above accompanied according accordingly accuracy accurate accurately add additional advanced
after again agent ahead ai aim aime algebra alibaba all alone along aloud also always am amc an analyse analysis
analyze and another answer answered answering answers anthropic any anything applicable applicant applicants
appreciate appreciated approach appropriate appropriately are arithmetic around arrive arrived as ask asked asking
asks assessment assigned assignment assist assistance assistant assistants at attempt attempted attempts attention
audience avoid aware back background based be because been before begin beginner beginning behind being believe below
beneath beside best better between blank block bold bos bot both bottom box boxed brace braces bracket brackets break
breaking brief briefly brilliant bullet but by bye calculate calculation calculations calculator calculators callable
can candidate capable careful carefully carry chain challenge challenging chat chatgpt check child chinese choose
clarity classroom claude clear clearly clever closing coach code collaborate college colon combine come comes command
comment comments competition complete completely completeness completes complex comprehensive computation compute
concept concepts concise concisely conclude concludes conclusion confident confirm confused confusing consider
consistent consult context conversation converse correct correctly correctness could created critic curiosity curious
curly curriculum dear decide decimal decimals deep deeply deepseek deliver demonstrate demonstrating derivation derive
derived describe describes design designed detail detailed details detect determine developed dialogue difficult
diligent directly discuss discussion display distinct do does dollar don done double down each easily easy edu
educational efficient efficiently either elaborate elementary else enclose enclosed enclosing encouraged encouraging
end ending endoftext ends engine engineer english ensure enter entire entirely eos eot error errors essential evaluate
evening every everything evidence exact exactly exam examine examiner example exceptional exclusively execute executed
executes exercise expected expects experienced expert expertise explain explaining explains explanation explanations
explicit explicitly explore explored exploring express expression extra extract fashion fellow field figure fill final
finally find fine finish first fluent focus follow followed following follows footer for form formal format formatted
formatting formula formulas fraction free french from full fully further gemini genius gently genuine german get
gifted give given gives go good google gpt grade grader gradually graduate grateful gre great guess guessing guide
guided guidelines hand handle happy hard have he head header heading hello help helpful helpfully her here hers hi
high him hint hints his hmmt homework honest honestly how however human hundredth i id idea ideas identify if im
immediately imo important impossible in include included includes including independently indicate informal inner
input inside insight insights inst instruct instructed instruction instructions instructor integer interaction
intermediate intermediately internal interview interviewer into invoke involve involves involving irrelevant is
isolate it its itself japanese javascript job jobs json just justification justify keen keep key keys kind kindly know
knowledge knowledgeable knowledgeably korean label labeled labelled language large last latex layout lead leading
learn learner learning leave lecture lecturer lesson let letter level libraries library like line lines listed ll
llama logic logical logically look m machine made maintain make manner mark markdown marker marks markup matches math
mathematical mathematically mathematician mathematics mathrm maths may me mention message method methodical
methodically meticulous meticulously middle mind mistake mistakes mode model monologue more most must my name natural
nearest neatly necessary need never new newline next nicely no none not notation note notes nothing now number numeric
numerical object obtain of off offer ok okay olympiad omit on one ones only open openai opening options or order
ordinary original other others otherwise our out outline outlined output outside outstanding overview own page paper
paragraph parse parsed parser part parts patient pay pen people percent percentage perfect perform person phd phrase
pick place placeholder places plain plainly plan please point points policy polite possible pre precise precisely
precision preface prefix present presented previous previously primary principle print prior private pro problem
problems proceed process produce professional professor proficient program programming prompt proof proper properly
prose provide provided provides providing public pupil put puzzle python q query question questions quick quickly quiz
quotation quote quoted quotes qwen radical rather rationale re reach read reader readers ready real reason reasoned
reasoning reasonings recall reflect reflection relevant reliable remain remarks remember reminder render repeat
rephrase reply report represent request requested require required respond response responses restate result results
return review reviewer right rigor rigorous rigorously robot role roleplay rough round rounded rule rules runnable
russian s sake same sample sat satisfactory say scholar school scientific scientist score scored scratch scratchpad
script secondary section sections see seek send senior sentence separate separated sequence serious session set short
shortest shortly should show showcase showing shown shows sign similar simple simplest simplified simply simulate
single sketch skilled skillful skip skipping slowly smart so solution solutions solvable solve solved solver solves
solving some something sorry sound spanish speak special specific specified split stage stages start starting starts
state stated statement step steps stepwise stick still stop story straightforward strategy strict strictly string
strong structure structured struggle struggling stuck student style subject submission submit submitted submitting
succinct succinctly such suitable summarise summarize summary supply sure symbol symbols sympy sys system systematic
systematically t tackle tag tags take talented target task tasks teach teacher teaching technique tell template tenth
terms terse test text textbf textbook than thank thanks that the their them then theorem theorems there therefore
these they thing things think thinker thinking this thorough thoroughly those thought thoughtful thoughtfully thoughts
threefold through thus time times title to together tokens tone tool tools top topic trailing train trained
transparent trick tricky tried trouble truth try trying turn tutor two type typed uncertain unclear under underline
understand understandable understanding understood unit units university unless unneeded unsure usamo use used useful
user uses using valid value ve verbal verbatim verbose verdict verification verified verifies verify verifying very
via visible walk walkthrough want warm was way ways we well what whatever when whenever where whether which while who
whole will wise wish with within without wizard wonder wondering work worked working worksheet world would wrap
wrapped write writing written wrong xml yaml yes yet you your yours yourself 0 000 999
"""
Wrapper = tuple[str, str]  # the beginning and the end that surround a text
_INSTRUCTION = frozenset(_WORDS.split())
_END = re.compile(r"[.!?:>\]]\s+|\n\s*")  # of a sentence, a label, a marker or a line
_LABELS = frozenset(
    (
        "problem",
        "question",
        "exercise",
        "example",
        "task",
        "q",
        "p",
        "no",
        "number",
        "part",
        "step",
        "amc",
        "aime",
        "imo",
    )
)
_COUNTED = frozenset(("points", "point", "marks", "mark"))  # after a number: what a problem is worth
_STANDS = frozenset(("answer", "boxed", "is"))  # before a letter that stands for the answer ("the answer is X")
_MARKS = frozenset(("<", ">", "/", "-", "*", "="))


def is_instruction(words: Sequence[str]) -> bool:
    """Whether folded words (`words.fold`) are only an instruction; true for no words at all.

    A number must be a label ("Question 12", "10 points") and a letter must stand for the answer ("the answer is X").
    An instruction has no operators.
    """
    others = 0
    names: set[str] = set()  # letters that stand for the answer
    for before, word, after in zip(["", *words], words, [*words[1:], ""], strict=False):
        if len(word) == 1 and before in _STANDS:
            names.add(word)
        known = word in _INSTRUCTION or word in _MARKS or word in names
        if known or word.isdigit() and (before in _LABELS or after in _COUNTED):
            continue
        if not word.isalpha() or len(word) <= 2:
            return False
        others += 1
    return others * WORDS_PER_OTHER <= len(words)


def unwrapped(text: str, wrappers: Iterable[Wrapper]) -> str:
    """The text without the first wrapper (beginning and end) that surrounds it."""
    for head, tail in wrappers:
        if text.startswith(head) and text.endswith(tail) and len(text) > len(head) + len(tail):
            return text[len(head) : len(text) - len(tail)]
    return text


@dataclass
class _Shared:
    """The characters with which all texts of a source begin and end, and some different texts among them."""

    head: str
    tail: str
    texts: set[str] = field(default_factory=set)

    def add(self, text: str) -> None:
        self.head = commonprefix((self.head, text))
        self.tail = commonprefix((self.tail[::-1], text[::-1]))[::-1]
        if len(self.texts) < MIN_TEXTS:
            self.texts.add(text)

    @property
    def wrapper(self) -> Wrapper:
        """The instruction with which all texts begin, and the one with which all end; "" for none."""
        if len(self.texts) < MIN_TEXTS:
            return "", ""
        heads = [self.head[: found.end()] for found in _END.finditer(self.head)]
        tails = [self.tail[found.end() :] for found in _END.finditer(self.tail)]
        return (
            next((text for text in reversed(heads) if is_instruction(words_of(text))), ""),
            next((text for text in tails if is_instruction(words_of(text))), ""),
        )


def shared_wrapper(texts: Iterable[str]) -> Wrapper:
    """The instructions that surround all texts; "" for none, and for fewer than five different texts."""
    return next(iter(wrappers_of(("", text) for text in texts)), ("", ""))


def wrappers_of(texts: Iterable[tuple[str, str]]) -> list[Wrapper]:
    """The wrappers of (source, text) pairs: for each source, the instructions that surround all its texts.

    The texts are read once and not kept.
    """
    by_source: dict[str, _Shared] = {}
    for source, text in texts:
        by_source.setdefault(source, _Shared(text, text)).add(text)
    return sorted({shared.wrapper for shared in by_source.values()} - {("", "")})
