/*
 * evidence: does a slot's process do anything? Answers LOOK with the bytes that its processes have
 * read and written and the memory they hold, read from /proc, and where its cgroup has the io
 * controller with what all of its processes have moved to and from devices, also those that have
 * ended or are too many to look at. There is no such file that waits for a disk. Only starting
 * replicas are asked about, now and then.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_EVIDENCE_H
#define AICTL_SUPERVISOR_EVIDENCE_H

#include <stdint.h>

struct slot;

void evidence_answer(struct slot *s);
/* Sum of a cgroup's io.stat; 0 without one. */
uint64_t evidence_block_bytes(int cgroup_fd);

#endif
