"""The player's tests share one shop: storm_model.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
