/*
 * unit_rig: plays aictl-runtime, and an engine of some lines behind it, to the aictld of aictld_rig. By
 * itself it starts what it is told to, ends it when it gets a signal, and removes it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_TESTS_UNIT_RIG_H
#define AICTL_TESTS_UNIT_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/wire/wire_unit.h"
#include "tests/unit/aictld_rig.h"

#define UNIT_RIG_MAX 16
#define UNIT_RIG_SPEC "{\"image\":\"busybox\"}"

struct fake_unit { /* that the runtime has been told of */
	struct wire_key key;
	int fds[3];
	unsigned n_start, n_keep, n_remove;
	unsigned n_bare; /* n_keep without pipes */
	int signals[8];
	unsigned n_signals;
	char spec[64];
};

struct unit_rig {
	struct fake_unit units[UNIT_RIG_MAX];
	unsigned n_units;
	unsigned n_hello, n_synced, n_look, n_quit;
	bool silent;		     /* no answers by itself */
	bool deaf;		     /* to SIGTERM */
	struct wire_unit_state told; /* to the controller, the last one */
	struct wire_runtime runtime;
	struct wire_unit_stats stats;
	uint64_t run_id, killed_id;
	struct wire_key run_key;
	char run_arg[64];
	int run_fds[3];
	int kill_signal;
};

/* Arguments of an aictld that has the runtime "fake". */
extern const char *const unit_rig_enabled[];

struct unit_rig *unit_rig(void); /* the one there is */
void unit_rig_begin(struct rig *r);
void unit_rig_begin_with(struct rig *r, const char *const *args);
void unit_rig_end(struct rig *r);
/* As the controller. */
void unit_rig_start(struct rig *r, const struct wire_key *key, const char *runtime,
		    int64_t grace_ms);
struct fake_unit *unit_rig_start_running(struct rig *r, const struct wire_key *key);
/* As the runtime. */
void unit_rig_say(struct rig *r, const struct wire_unit_state *m);
void unit_rig_say_state(struct rig *r, const struct wire_key *key, enum wire_unit state);
void unit_rig_say_exited(struct rig *r, const struct wire_key *key, int code);
void unit_rig_write(const struct fake_unit *u, const char *text);
/* That was told of, or NULL. */
struct fake_unit *unit_rig_find(const struct wire_key *key);
struct fake_unit *unit_rig_of(const struct wire_key *key); /* or one of which nothing is known */
void unit_rig_close(struct fake_unit *u);
/* Is anything left of it beside the table? */
/* Makes the file in which its place in the log is noted one that cannot be opened. */
void unit_rig_spoil_cell(const struct rig *r, const struct wire_key *key);
bool unit_rig_has_files(const struct rig *r, const struct wire_key *key);

#endif
