/*
 * api_exits: how processes ended, in answers.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_API_EXITS_H
#define AICTL_CONTROLLER_API_EXITS_H

struct exits_entry;
struct jsonw;

/* The member "signal": "SIGKILL", or null. */
void api_exits_write_signal(struct jsonw *w, int signal);
/* The members of one exit. */
void api_exits_write(struct jsonw *w, const struct exits_entry *x);

#endif
