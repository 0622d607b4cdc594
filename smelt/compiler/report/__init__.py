"""Reports: a compiled step -> what `explain()` prints of it."""
