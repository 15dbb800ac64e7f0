/*
 * exit_lines: the last lines of each process that ended, read from its segments into its exit record in
 * the store, so that they are there when the segments are gone.
 *
 * One is read at a time and with a pause after it, once the logger has marked its end, or after
 * EXIT_LINES_WAIT_MS as it is. Who ends again meanwhile is read instead: the newest exit of each
 * replica gets its lines, and a thousand crashes at once cost a second of a processor, spread over
 * many. At most EXIT_LINES_QUEUE_MAX replicas wait, then the oldest is left out. What a controller
 * did not come to do, the next one does (exit_lines_recall).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_EXIT_LINES_H
#define AICTL_CONTROLLER_EXIT_LINES_H

struct controller;
struct exit_lines;
struct store_snapshot;
struct wire_key;

#define EXIT_LINES_MAX 50	       /* lines */
#define EXIT_LINES_BYTES_MAX (8 << 10) /* of text, in all */
#define EXIT_LINES_LINE_MAX (2 << 10)  /* of one line */
#define EXIT_LINES_QUEUE_MAX 1024
#define EXIT_LINES_WAIT_MS 2000
#define EXIT_LINES_RECALL_MS (60 * 60 * 1000) /* not of what ended before that */

/* NULL: no memory. */
struct exit_lines *exit_lines_new(struct controller *c);
/* Before the store's memory goes; what is being read comes to nothing. NULL is a no-op. */
void exit_lines_close(struct exit_lines *e);
/* That incarnation has ended, and its record is on its way to the store. */
void exit_lines_want(struct exit_lines *e, const struct wire_key *key);
/* Of each replica's newest exit, when it has none. */
void exit_lines_recall(struct exit_lines *e, const struct store_snapshot *snap);

#endif
