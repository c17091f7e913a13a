"""Every SQL statement of betting, each beside its row mapping. One concrete store over one connection per subject.

Amounts are NUMERIC in the database and whole minor units in the domain; `rows` converts, exactly.
"""
