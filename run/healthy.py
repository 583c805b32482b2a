"""Exits with 0 if what listens at a port of this machine says that it is ready.

For health checks every few seconds, hence a script that imports nothing of ours: `python run/healthy.py 8101`.
"""

import sys
from urllib.request import urlopen

urlopen(f"http://127.0.0.1:{int(sys.argv[1])}/health/ready", timeout=2)
