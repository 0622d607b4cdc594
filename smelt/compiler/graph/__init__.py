"""Graph passes: a traced graph -> a simpler one, its nodes in groups, each value with a slot."""
