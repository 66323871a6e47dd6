"""Reads docs/wire-vectors.json on standard input, and prints the names of the vectors that datagram.py reads wrongly."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../../micropython"))
import datagram

vectors = json.load(sys.stdin)["vectors"]
for vector in vectors:
    bytes_ = bytes.fromhex(vector["hex"])
    expected = None
    if "frame" in vector:
        names = "kind flags channel attempt id index size length crc".split()
        expected = tuple(vector["frame"][name] for name in names) + (bytes_[20:-4],)
    if "report" in vector:
        report = vector["report"]
        runs = list(zip(report["missing"][::2], report["missing"][1::2]))
        body = tuple(report[name] for name in "upto credit echo delay".split()) + (runs, report["limit"])
        expected = expected[:-1] + (body,)
    if datagram.parse(bytes_) != expected:
        print(vector["name"])
print(len(vectors), "vectors")
