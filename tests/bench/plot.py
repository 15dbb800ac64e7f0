"""The plot: a panel per metric, a bar per peer with its 90 % interval on a logarithmic axis.

SVG, written by hand: no library is needed to look at a benchmark.

SPDX-License-Identifier: MIT
"""
import glob
import html
import json
import math
import os

import traces

# metric -> title
PANELS = {
    "start": "cold start, times limit-log",
    "mass": "mass crash, times limit-log",
    "footprint": "memory, MB PSS",
    "status": "state of all, times runit's sv status",
    "restart": "restart, times limit-clone3",
    "spawn": "start of one child, times vfork",
    "log-stream": "CPU time to store a gibibyte, times limit-splice",
    "log-small": "CPU time to store small writes, times limit-coalesce",
    "log-writers": "CPU time to store a hundred writers, times limit-coalesce",
    "http": "HTTP requests per second, 128 B, times haproxy",
    "http-large": "HTTP requests per second, 1 MiB, times haproxy",
    "tcp": "TCP, requests per second, times haproxy",
    "socket": "HTTP requests per second at a socket handed over, times direct",
}
WIDTH, LEFT, RIGHT, ROW, HEAD = 760, 170, 110, 18, 34
COLOURS = {"aictl": "#0b6e4f", "limit": "#9aa5b1", "": "#4a6fa5"}


def draw(directory):
    """Writes bench.svg from the directory's results; returns its path."""
    panels = [panel for name in PANELS if (panel := load(directory, name))]
    parts, y = [], 10
    for name, bar, rows in panels:
        parts.append(draw_panel(y, PANELS[name], bar, rows))
        y += HEAD + ROW * len(rows) + 14
    played, height = traces.draw(directory, y, WIDTH)
    parts.append(played)
    y += height
    path = os.path.join(directory, "bench.svg")
    with open(path, "w", encoding="utf-8") as f:
        f.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" '
                'font-family="sans-serif" font-size="12">\n'
                f'<rect width="{WIDTH}" height="{y}" fill="white"/>\n')
        f.write("".join(parts))
        f.write("</svg>\n")
    return path


def load(directory, name):
    """(name, bar, [(peer, median, low, high)]) or None."""
    for path in glob.glob(os.path.join(directory, name + ".json")):
        with open(path, encoding="utf-8") as f:
            data = json.load(f)
        rows, factor = [], 1e-6 if name == "footprint" else 1
        for peer, figures in data["peers"].items():
            s = figures["pss" if name == "footprint" else "ratio"]
            if s and s["low"] > 0:
                rows.append((peer, *(s[k] * factor for k in ("median", "low", "high"))))
        if rows:
            bar = data.get("bar_pss" if name == "footprint" else "bar")
            return name, bar and bar * factor, sorted(rows, key=lambda row: row[1])
    return None


def draw_panel(top, title, bar, rows):
    values = [v for row in rows for v in row[1:]] + ([bar] if bar else [])
    low, high = math.log10(min(values) / 1.3), math.log10(max(values) * 1.3)

    def x(value):
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(value) - low) / (high - low)

    bottom = top + HEAD + ROW * len(rows)
    out = [text(10, top + 18, title, ' font-weight="bold"')]
    for i, (peer, median, least, most) in enumerate(rows):
        middle = top + HEAD + ROW * i + ROW / 2
        out.append(text(LEFT - 8, middle + 4, peer, ' text-anchor="end"'))
        out.append(f'<rect x="{LEFT}" y="{middle - 6:.1f}" width="{x(median) - LEFT:.1f}" '
                   f'height="12" fill="{colour(peer)}"/>\n')
        out.append(line(x(least), middle, x(most), middle, "black", 1.5))
        out.append(text(x(most) + 6, middle + 4, f"{median:.3g}", ""))
    if bar:
        out.append(line(x(bar), top + HEAD - 6, x(bar), bottom, "#c0392b", 1.5))
        out.append(text(x(bar) + 4, top + HEAD - 8, f"bar {bar:g}", ' fill="#c0392b"'))
    return "".join(out)


def colour(peer):
    return next(c for prefix, c in COLOURS.items() if peer.startswith(prefix))


def text(x, y, words, more):
    return f'<text x="{x:.1f}" y="{y:.1f}"{more}>{html.escape(words)}</text>\n'


def line(x1, y1, x2, y2, stroke, width):
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
            f'stroke="{stroke}" stroke-width="{width}"/>\n')
