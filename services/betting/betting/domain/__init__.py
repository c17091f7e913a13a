"""The rules of betting on match races, pure: no I/O, no clock, no randomness, no framework.

Read `ratios`, `offers`, `book`, `matching`, `markets`, `events`, `races`, `results`, `settlement` in that order. Amounts
in here are whole **minor units** of the market's currency (`Minor`): matching and settling count lots and centavos, so
nothing is ever rounded but commission, withholding and the half of an odd pot, and that is said where it happens. Money
becomes `Money` at the edges.
"""
