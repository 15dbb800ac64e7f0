/*
 * cgroup_tool: what aictld does to a cgroup through a child of its own, because it may take long:
 *
 *   aictld --cgroup-write DIR FILE=VALUE...   writes limits; a memory limit below what is in use
 *                                             makes the writer reclaim, and wait for it
 *   aictld --cgroup-kill DIR                  kills all that is in it, where the kernel has no
 *                                             cgroup.kill (before 5.14)
 *
 * A directory as stdin is meant in the place of DIR. The parent has a deadline. Exit code: 0 done, 1 not all of it (the log says what), 2 usage.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_CGROUP_TOOL_H
#define AICTL_SUPERVISOR_CGROUP_TOOL_H

#include <stdbool.h>

/* argv: "--cgroup-write" or "--cgroup-kill", and what follows. */
int cgroup_tool_main(int argc, char **argv);
/* One write into a file of the cgroup: 0 or -errno. */
int cgroup_tool_write(int dir_fd, const char *file, const char *value);
/* Removes the cgroup and those below it. 0 or -errno (-EBUSY: something runs in it). */
int cgroup_tool_remove(int parent_fd, const char *name);
/* Is the process in this cgroup, or in one below it? */
bool cgroup_tool_holds(int dir_fd, int pid);

#endif
