"""C: a program becomes C99 source that needs no library; beside `codegen/`, from the same IR."""
