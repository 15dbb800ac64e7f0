/*
 * adopt_rig: what a test of adoption needs besides aictld_rig.h: the former aictld's table, to be
 * damaged; a logger that gives back; oom scores.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_TESTS_ADOPT_RIG_H
#define AICTL_TESTS_ADOPT_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/supervisor/table.h"
#include "tests/unit/aictld_rig.h"

struct table_header *adopt_rig_table(const struct rig *r);
struct table_slot *adopt_rig_slot(struct table_header *h, const struct wire_key *k);
struct table_cold *adopt_rig_cold(struct table_header *h, const struct wire_key *k);
/* False: not for us (a container). */
bool adopt_rig_set_oom_score(pid_t pid, const char *score);
int adopt_rig_oom_score(pid_t pid);
/* The logger's process connects to the new aictld; the socket. */
int adopt_rig_join(struct rig *r, const struct rig_helper *logger);
void adopt_rig_give(int fd, const struct rig_stream *s, uint32_t which);
void adopt_rig_give_end(int fd);
int adopt_rig_join_as(struct rig *r, const struct rig_helper *helper, uint32_t role);
void adopt_rig_give_listener(int fd, const struct rig_listener *l);

#endif
