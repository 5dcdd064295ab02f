"""What the tests compare with, made by the reference: one module a subject, run by scripts/goldens.py.

A module has `names()`, what can be asked of it, and `make(name)`, which yields the path and the bytes of each file.
"""
