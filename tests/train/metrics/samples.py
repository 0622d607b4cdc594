"""Data of which scikit-learn 1.9 has given the figures that the tests record; rounded, so that
scores are equal now and then.
"""

from __future__ import annotations

import numpy as np

places = np.arange(40)
LOGITS = (2 * np.sin(places[:, None] * 7.3 + np.arange(4) * 2.1)).round(1).astype(np.float32)
LABELS = (places * places + places // 3) % 4
BINARY = (2 * np.sin(places * 1.7)).round(1).astype(np.float32)
YES = ((BINARY + np.cos(places * 5.0)) > 0.3).astype(np.int64)
SEVERAL = ((LOGITS + np.cos(places[:, None] * 3.0 + np.arange(4))) > 0.5).astype(np.int64)
NUMBERS = np.cos(places[:, None] + np.arange(2)).astype(np.float32)
TARGETS = (NUMBERS + np.sin(places[:, None] * 3.1 + np.arange(2)) / 3 + 0.1).astype(np.float32)
