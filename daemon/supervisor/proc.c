/* proc: see proc.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "lib/mem.h"

#define CLOSE_MS 1000 /* clone3 and the clock before it lie at most so far apart */

uint64_t proc_start_ticks(int pid)
{
	_cleanup_close_ int fd = -1;
	char path[32], line[1024];
	uint64_t ticks = 0;
	const char *p;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
	if (n <= 0)
		return 0;
	line[n] = '\0';
	p = strrchr(line, ')'); /* the name before may hold anything */
	for (int field = 2; p && field < 22; field++) {
		p = strchr(p, ' ');
		if (p)
			p++;
	}
	for (; p && *p >= '0' && *p <= '9'; p++)
		ticks = ticks * 10 + (uint64_t)(*p - '0');
	return ticks;
}

bool proc_is(int pid, uint64_t ticks, int64_t started_mono_ms)
{
	uint64_t now = pid > 1 ? proc_start_ticks(pid) : 0;
	long hz = sysconf(_SC_CLK_TCK);
	int64_t apart;

	if (now == 0)
		return false;
	if (ticks != 0)
		return now == ticks;
	apart = (int64_t)(now * 1000 / (uint64_t)(hz > 0 ? hz : 100)) - started_mono_ms;
	return apart > -CLOSE_MS && apart < CLOSE_MS;
}

void proc_kill(int pid, uint64_t ticks, int64_t started_mono_ms)
{
	_cleanup_close_ int pidfd = pidfd_open(pid, 0);

	if (pidfd < 0 || !proc_is(pid, ticks, started_mono_ms))
		return;
	if (getpgid(pid) == pid)
		kill(-pid, SIGKILL);
	pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
}
