"""From a response to its final answer, and the rule that found it.

`responses` tries the rules in their order: a tag, a record or a box (`boxes`), then what the end of the text states. `sentences` finds the
value of one sentence, `values` knows what a value looks like, `doubts` which words make a value no answer. `choices` comes first where
the reference is a letter, and last where it is words.
"""
