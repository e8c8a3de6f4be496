"""What analyses are put together from, by topic: trials, labelled vectors, pictures, cards.

A file beside this folder is a question and knows no other question; what several of them need, or
what one of them has outgrown, lies in here. Nothing in here is registered, and nothing in here
knows a question. What needs no context, no condition and no page lies in `auscult.measures`.
"""
