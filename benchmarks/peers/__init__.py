"""The contenders: a module for each engine, a function `setup(case, **options) -> Work` for each kind of row."""
