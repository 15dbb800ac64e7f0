"""One module per metric: run(bench) -> report.Result. They know nothing of any peer.

SPDX-License-Identifier: MIT
"""
