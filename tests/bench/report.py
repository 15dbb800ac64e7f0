"""A metric's result: rows for a person, JSON for the record.

SPDX-License-Identifier: MIT
"""
import json
import os


class Result:
    def __init__(self, name, title, columns, rows, data):
        self.name, self.title = name, title
        self.columns, self.rows = columns, rows  # of strings
        self.data = data  # what goes to NAME.json

    def print(self):
        table = [self.columns, *self.rows]
        widths = [max(len(row[i]) for row in table) for i in range(len(self.columns))]
        print(f"\n{self.title}")
        for row in table:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())

    def save(self, directory):
        os.makedirs(directory, exist_ok=True)
        path = os.path.join(directory, self.name + ".json")
        with open(path + ".new", "w", encoding="utf-8") as f:
            json.dump(self.data, f, indent=1, sort_keys=True)
            f.write("\n")
        os.replace(path + ".new", path)
        return path
