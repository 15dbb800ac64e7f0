/*
 * api_logfiles: POST /v1/logs/rotate and /v1/logs/prune: the log files of one service, by hand.
 *
 * The logger does it, and is asked for one thing at a time: requests wait in a line, of a bounded
 * length and each for a bounded time. What is asked of a logger that dies meanwhile gets no answer;
 * to ask again is harmless.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_API_LOGFILES_H
#define AICTL_CONTROLLER_API_LOGFILES_H

#include <sys/queue.h>

struct controller;
struct wire_log_done;

TAILQ_HEAD(api_logfiles_list, logfiles);

/* LOG_DONE */
void api_logfiles_told(struct controller *c, const struct wire_log_done *m);
void api_logfiles_close(struct controller *c);

#endif
