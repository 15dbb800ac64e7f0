/*
 * docker_units: what is known of our containers. The truth is what inspect says; an event only
 * makes us ask. A container without our instance's label is never told of and never touched.
 *
 * Answers may overtake each other: a phase never goes back, unless the engine says that the
 * container was started anew. What an event made us ask is asked again, with a back-off, until
 * there is an answer: nothing else would tell of an exit.
 *
 * docker_units_ask inspects by name, tells the host what came of it, and calls `done` with the
 * unit (borrowed, for the call), or NULL and a code: NOT_FOUND; CONFLICT: there is one, but not
 * ours; UNREACHABLE, TIMEOUT … The call can be canceled (docker_units_forget), and then does not
 * call back.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_PLUGINS_DOCKER_UNITS_H
#define AICTL_PLUGINS_DOCKER_UNITS_H

#include <aictl/plugin.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct docker;
struct docker_look_event;
struct docker_oom;
struct docker_units;
struct docker_units_asking;

struct docker_unit {
	char *name, *id;
	uint32_t phase;
	int64_t started_ms, finished_ms;
	bool tty;
	bool quiet;  /* it is being made */
	bool killed; /* the kernel killed in it for memory */
	struct docker_oom *oom;
	/* What was asked because of an event; again: there was one more since. */
	struct docker_units_asking *asking;
	bool again;
	bool owed;     /* it was asked in vain: once more, later */
	uint64_t seen; /* the last list that had it */
	struct docker_units *of;
	LIST_ENTRY(docker_unit) all;
};

typedef void docker_units_fn(void *user, struct docker_unit *u, int code, const char *error);

struct docker_units *docker_units_new(struct docker *d);
void docker_units_free(struct docker_units *us);

struct docker_unit *docker_units_find(struct docker_units *us, const char *name);
bool docker_units_name_ok(const char *name);
/* NULL: no memory, no call. */
struct docker_units_asking *docker_units_ask(struct docker_units *us, const char *name,
					     docker_units_fn *done, void *user);
void docker_units_forget(struct docker_units_asking *a); /* NULL does nothing */

void docker_units_event(struct docker_units *us, const struct docker_look_event *ev);
/* It is not there any more: tells, and forgets. */
void docker_units_gone(struct docker_units *us, const char *name);
/* A unit that is being made: its creation and start are no news. NULL: no memory. */
struct docker_unit *docker_units_expect(struct docker_units *us, const char *name);
void docker_units_expect_end(struct docker_units *us, const char *name);

/* The operation `list`. */
void docker_units_list(struct docker *d, uint64_t op);

#endif
