"""Loop optimization: a kernel of plain loops -> one with vectors, tiles and a parallel loop."""
