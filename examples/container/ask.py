"""Prints what stands at an address."""
import sys
import urllib.request

with urllib.request.urlopen(sys.argv[1], timeout=10) as reply:
    print(reply.read().decode().strip())
