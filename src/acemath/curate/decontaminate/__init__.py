"""Decontamination: keep benchmark problems out of the training prompts (paper, section 3.2.3).

A prompt has at most one hit, of the first kind that applies:

- "leak", the paper's rule. A math prompt leaks if it shares 13 words in a row with a benchmark problem and their longest
  common subsequence exceeds 60 % of the prompt's words; any other prompt leaks on the 13 words alone. A problem of fewer
  than 13 words must appear whole instead. Beyond the paper, a problem also leaks if nothing but instructions surrounds it.
- "contained": a whole benchmark problem in a math prompt so long that the 60 % rule lets it pass.
- "near-copy": the same words once numbers and variables are masked.
- "reworded": the same numbers, formulas and rare words in another wording.

Leaks are dropped. The other kinds are our additions: they are reported, and dropped if a setting names them.

Modules from the bottom up; each imports only from those before it (and `acemath.curate.words`, which defines a word):

1. `runs`, `features`, `instructions`: shared runs of words, what a text is about, and the instructions around a problem.
2. `reworded`: compares a prompt with all problems by what they are about.
3. `index`: compares one prompt with all problems, exactly, for all four kinds.
4. `arrays`, `screen`: clear most prompts of a batch without that comparison.
5. `scan`: screens many prompts, then compares the suspects; drops and reports.
6. `page`, `changes`, `selftest`: hits for people, and the test of how many altered copies are found.
"""
