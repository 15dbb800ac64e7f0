/*
 * proc: the few things aictld asks /proc about a process. Never on the restart path.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_PROC_H
#define AICTL_SUPERVISOR_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The beginning of a small file below /proc, with a NUL behind it; false: it is not there. */
bool proc_read(const char *path, char *text, size_t size);
/* Field 22 of /proc/PID/stat: clock ticks since boot; 0 = no such process. */
uint64_t proc_start_ticks(int pid);
/* Has its first thread ended? Others of it may still be in the kernel. */
bool proc_is_dead(int pid);
/* Or is a SIGKILL on its way to it? */
bool proc_is_ending(int pid);
/* Is pid still the process that started then? ticks 0 = not known: started_mono_ms decides. */
bool proc_is(int pid, uint64_t ticks, int64_t started_mono_ms);
/* Is its oom score the same as ours? */
bool proc_has_our_oom_score(int pid);
/* SIGKILL to the process and the group it leads, if it is still that one. */
void proc_kill(int pid, uint64_t ticks, int64_t started_mono_ms);
/* Another signal: to its group, or to itself where it leads none. */
void proc_signal(int pid, int64_t started_mono_ms, int signal);

enum proc_end {
	PROC_LIVES,
	PROC_ZOMBIE, /* ended, not yet reaped, and its status cannot be read: later, perhaps */
	PROC_STATUS, /* ended, and *status says how, as wait does */
	PROC_UNKNOWN /* ended, and nobody can say how any more */
};
bool proc_lives(int pidfd);
/* How a process that need not be our child ended. */
enum proc_end proc_end(int pidfd, int pid, int *status);
/* 0: there is none. */
int64_t proc_started_mono_ms(int pid);
/* In another pid namespace than we are, as what runs in a container is. */
bool proc_is_apart(int pid);
/* A pidfd of pid when it is the process of proc_is (perhaps a zombie), else -1. */
int proc_open(int pid, uint64_t ticks, int64_t started_mono_ms);

#endif
