"""Compare models side by side: depth, paths of the gradient, cost and measured time.

    found = unfold.compare([unfold.load("zhang-td"), unfold.load("zhang-st")])
    found["zhang-td"]["layers: recurrent depth along t"]        Fraction(2, 1)
    print(found)                                                 the tables of `unfold compare`

A `Comparison` is data: variants, and measures with one value for each of them. What differs and
what is equal follows from the values; the tables of the command, JSON, CSV and a page are views.
"""

from unfold.comparison.compare import compare
from unfold.comparison.comparison import Comparison, Measure

__all__ = ["Comparison", "Measure", "compare"]
