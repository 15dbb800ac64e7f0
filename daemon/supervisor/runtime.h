/*
 * runtime: the aictl-runtime of each --runtime, and what it says. The units themselves: unit.h.
 *
 * All of them are level-triggered as the other helpers are: a unit of which something is due stands
 * in its runtime's list, and a new process is told everything again, with SYNCED at its end.
 *
 * A name that units refer to, but that is not enabled any more, has a place here all the same: they
 * wait for it.
 *
 * The former aictld's runtime process ends when that does. Before the next one starts it must have,
 * for both would write the same logs: it has RUNTIME_FORMER_MS, then it is killed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_RUNTIME_H
#define AICTL_SUPERVISOR_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/supervisor/helper.h"
#include "daemon/supervisor/table.h"
#include "daemon/wire/wire_unit.h"

struct err;
struct slot;
struct unit;

#define RUNTIME_FORMER_MS 1000

struct runtime {
	struct helper helper; /* first: a helper is found by it */
	uint32_t place;	      /* in the table's header */
	char name[WIRE_RUNTIME_SIZE];
	char process_name[WIRE_RUNTIME_SIZE + 16]; /* "aictl-runtime docker" */
	const char *config;			   /* of the options, or NULL */
	bool enabled;
	bool hello_due, synced_due, level_due, quit_due;
	struct unit *first_due, *last_due; /* oldest first */
	struct wire_runtime said;
	bool said_due; /* to the controller */
	int64_t kill_former_mono_ms;
};

struct runtimes {
	struct runtime *list[TABLE_RUNTIMES]; /* by place; NULL = free */
	int binary_fd;			      /* -1 = not installed */
	char *plugin_dir;
	char instance[WIRE_UNIT_INSTANCE_SIZE];
	struct loop_timer former; /* waits for the ends of former processes */
	bool started;
};

/* The table is open. Whatever is missing is said later, by RUNTIME. 0 or -ERR_NOMEM. */
int runtime_init(struct supervisor *sup, struct err **reterr);
void runtime_done(struct supervisor *sup, bool remove);
/* Nothing is adopted any more: those that are enabled start. */
void runtime_start_all(struct supervisor *sup);
void runtime_quit_all(struct supervisor *sup);
bool runtime_all_gone(const struct supervisor *sup);
struct runtime *runtime_find(const struct supervisor *sup, const char *name); /* enabled or not */
/* Of a slot's last unit; "" = it is a process's. */
const char *runtime_name(const struct supervisor *sup, uint32_t unit);
/* The process, for the next aictld. */
void runtime_note(struct helper *h);
/* Some process may still do what it was told: the present one, or one of a former aictld. */
bool runtime_has_process(const struct runtime *r);
bool runtime_is(const struct supervisor *sup, const struct helper *h);

/* Something of it is due. */
void runtime_mark(struct unit *u);
void runtime_unmark(struct unit *u);
void runtime_log_level(struct supervisor *sup);
void runtime_controller_connected(struct supervisor *sup);
/* From control_flush: false = the socket is full. */
bool runtime_tell(struct supervisor *sup, struct link *l);

#endif
