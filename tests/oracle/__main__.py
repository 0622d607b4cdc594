import argparse, re, sys, warnings
from tests.oracle import operators
from tests.oracle.outcome import *
p = argparse.ArgumentParser(); p.add_argument("--names", default=""); p.add_argument("--checks", default="value"); p.add_argument("--limit", type=int, default=10**9)
a = p.parse_args(); t = Tally()
warnings.simplefilter("ignore")
import numpy as np
np.seterr(all="ignore")
operators.walk(t, lambda n: bool(re.search(a.names, n)), set(a.checks.split(",")), a.limit)
for l in t.lines((NEW, REFUSED, ARGUMENT, RAW)): print(l)
print(len(t.names), dict(t.counts))
