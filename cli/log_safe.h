/*
 * log_safe: a log line made safe for a terminal. What a service writes is often what its clients
 * sent: it must not move the cursor, clear the screen, set the title or the clipboard.
 *
 * Colours stay where they are wanted, and end with the line. Other control characters are shown as
 * ^X, those that UTF-8 has besides as \u009b; of a line that is drawn again and again behind a
 * carriage return (a progress bar) the last state is shown, as a terminal would.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_LOG_SAFE_H
#define AICTL_CLI_LOG_SAFE_H

#include <stdbool.h>
#include <stddef.h>

struct buf;

/* The line, of *n bytes then: a part of text, or what is in scratch. */
const char *log_safe(struct buf *scratch, const char *text, size_t *n, bool color);

#endif
