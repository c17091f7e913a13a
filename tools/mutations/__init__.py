"""The mutation gate: each guard around the money is taken away in turn, and a test must notice.

A guard in Python is taken out of a copy of the tree; a guard in the database is dropped from the copy of it that
tests are made from. A mutation that no test notices is a hole in the tests, and fails the gate.
"""
