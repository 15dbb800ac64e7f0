/*
 * push_rig: services that speak to their notify sockets, for tests of those. A test's main calls
 * push_rig_say_main for its argument "say"; scripts find that as $SAY.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_PUSH_RIG_H
#define TESTS_PUSH_RIG_H

#include <stdbool.h>
#include <sys/types.h>

#include "tests/unit/aictld_rig.h"

/* Sends text; with barrier a pipe's write end comes along, and we wait for its end. 0 or -errno. */
int push_rig_say(const char *path, const char *text, size_t len, bool barrier);
/* Says each word; BARRIER=1 waits, "flood" is as many as go within two seconds. */
int push_rig_say_main(int n, char **words);
const char *push_rig_self(void); /* this program's path */
void push_rig_spawn(struct rig *r, const struct wire_key *key, struct wire_spawn m,
		    const char *script);
/* What is known of it; all 0 = nothing. */
const struct wire_push *push_rig_levels(struct rig *r, const struct wire_key *k);
pid_t push_rig_pid(struct rig *r, const struct wire_key *k);
bool push_rig_has(struct rig *r, const struct wire_key *k, uint8_t flags);
/* An empty file in the rig's directory. */
void push_rig_touch(const struct rig *r, const char *name);

#endif
