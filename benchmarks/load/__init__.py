"""The load generator: a process of its own, one thread, bare sockets.

The servers under test share the processors with it, so it does as little per request as Python allows: requests are
bytes made beforehand, an answer that is whole and equal to the expected one is told by three comparisons, and only
others are parsed. It reads orders from its standard input, one JSON object a line, and writes one result a line.
"""
