"""Expansion planning (补盲扩面): where the next cameras help most, and how good that answer is.

optics.py    what can be mounted: lenses and azimuths, and how far each sees at each level
options.py   what each candidate site could see: cover sets, cut by buildings and prohibited areas
problem.py   the choice as numbers: weights, cover sets, limits
chosen.py    what a set of choices is worth
greedy.py    a good choice, quickly
swap.py      a better choice, by exchanging one for another
bound.py     what no choice can exceed
solve.py     the three together: a plan with a proven gap
reaim.py     standing cameras that would see more if they were turned
what_if.py   what one change by hand would gain and lose
"""
