/*
 * logwork: LOG_WORK of the controller on its way to the logger, and LOG_DONE on its way back. One of
 * each is kept, so a later one takes the place of one that has not been sent: the controller asks
 * for one thing at a time, and does not wait for ever.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_LOGWORK_H
#define AICTL_SUPERVISOR_LOGWORK_H

#include <stdbool.h>

#include "daemon/wire/wire.h"

struct link;
struct supervisor;

struct logwork {
	struct wire_log_work *work; /* NULL: nothing was ever asked for */
	struct wire_log_done done;
	bool work_due, done_due;
};

void logwork_done(struct supervisor *sup);
/* From the controller, and from the logger. 0 or -ERR_INVALID. */
int logwork_ask(struct supervisor *sup, const struct wire_packet *p);
int logwork_answer(struct supervisor *sup, const struct wire_packet *p);
/* To the logger, and to the controller. False: later. */
bool logwork_send_work(struct link *l);
bool logwork_send_done(struct link *l);

#endif
