"""The scaler's part of the plot: for each load that was played a panel with the load (in replicas that
it needs), the replicas that are ready and those that are wanted; a tick below where it was decided.

SPDX-License-Identifier: MIT
"""
import html
import json
import os

LEFT, RIGHT, HEIGHT, HEAD, FOOT = 60, 20, 110, 34, 26
LOAD, WANTED, READY, PANIC = "#c9d3dd", "#0b6e4f", "#4a6fa5", "#c0392b"


def draw(directory, top, width):
    """(SVG, height) of autoscale.json's traces; nothing without it."""
    path = os.path.join(directory, "autoscale.json")
    if not os.path.exists(path):
        return "", 0
    with open(path, encoding="utf-8") as f:
        traces = json.load(f)["traces"]
    parts, y = [], top
    for trace in traces:
        parts.append(panel(trace, y, width))
        y += HEAD + HEIGHT + FOOT
    return "".join(parts), y - top


def panel(trace, top, width):
    points = trace["points"]
    end = points[-1]["at_ms"]
    most = 1.1 * max(max(p["number"], min(p["load"] / trace["target"], trace["max"])) for p in points)
    bottom = top + HEAD + HEIGHT

    def x(at_ms):
        return LEFT + (width - LEFT - RIGHT) * at_ms / end

    def y(n):
        return bottom - HEIGHT * min(n, most) / most

    title = f"scaler, {trace['trace']}: {trace['what']} ({trace['metric']}, {trace['target']:g} each)"
    load = " ".join(f"{x(p['at_ms']):.1f},{y(p['load'] / trace['target']):.1f}" for p in points)
    out = [text(10, top + 18, title, ' font-weight="bold"'),
           f'<polygon points="{x(points[0]["at_ms"]):.1f},{bottom} {load} {x(end):.1f},{bottom}" fill="{LOAD}"/>\n',
           steps(points, "ready", x, y, READY), steps(points, "number", x, y, WANTED)]
    out += [f'<rect x="{x(p["at_ms"]) - 0.7:.1f}" y="{bottom + 2}" width="1.4" height="6" '
            f'fill="{PANIC if p["panicking"] else WANTED}"/>\n' for p in points if p["number"] != p["before"]]
    for n in (0, round(most / 2), int(most)):
        out.append(text(LEFT - 6, y(n) + 4, str(n), ' text-anchor="end"'))
    out += [text(x(m * 60000), bottom + 20, f"{m} min", ' text-anchor="middle"')
            for m in range(0, end // 60000 + 1, 2)]
    return "".join(out)


def steps(points, key, x, y, colour):
    path = f"M{x(points[0]['at_ms']):.1f},{y(points[0]['before' if key == 'number' else key]):.1f}"
    for p in points:
        path += f"H{x(p['at_ms']):.1f}V{y(p[key]):.1f}"
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>\n'


def text(x, y, words, more):
    return f'<text x="{x:.1f}" y="{y:.1f}"{more}>{html.escape(words)}</text>\n'
