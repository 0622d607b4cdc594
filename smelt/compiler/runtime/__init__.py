"""Runtime: object code -> a function that Python calls, its memory, its threads, its cache."""
