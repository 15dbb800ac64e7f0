/* proc: see proc.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

#include "lib/mem.h"
#include "lib/parse.h"

#define CLOSE_MS 1000 /* clone3 and the clock before it lie at most so far apart */

struct stat_fields {
	char state;
	uint64_t start_ticks; /* field 22 */
	uint64_t exit_status; /* field 52; 0 also when we may not know */
};

bool proc_read(const char *path, char *text, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

	if (n <= 0)
		return false;
	text[n] = '\0';
	return true;
}

static bool read_stat(int pid, struct stat_fields *f)
{
	char path[32], line[1024];
	const char *p;

	*f = (struct stat_fields){0};
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (!proc_read(path, line, sizeof(line)))
		return false;
	p = strrchr(line, ')'); /* the name before may hold anything */
	for (int field = 3; p && (p = strchr(p, ' ')); field++) {
		uint64_t *to = field == 22 ? &f->start_ticks : field == 52 ? &f->exit_status : NULL;

		p++;
		if (field == 3)
			f->state = *p;
		for (const char *q = p; to && *q >= '0' && *q <= '9'; q++)
			*to = *to * 10 + (uint64_t)(*q - '0');
	}
	return f->state != '\0';
}

uint64_t proc_start_ticks(int pid)
{
	struct stat_fields f;

	return read_stat(pid, &f) ? f.start_ticks : 0;
}

bool proc_is_dead(int pid)
{
	struct stat_fields f;

	return !read_stat(pid, &f) || f.state == 'Z' || f.state == 'X';
}

bool proc_is_ending(int pid)
{
	char path[32], text[4096], *at;
	uint64_t pending = 0;

	if (proc_is_dead(pid))
		return true;
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	at = proc_read(path, text, sizeof(text)) ? strstr(text, "\nShdPnd:\t") : NULL;
	if (at)
		at += strlen("\nShdPnd:\t");
	for (; at && *at != '\n' && *at; at++) /* in hexadecimal digits */
		pending = pending << 4 | (uint64_t)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
	return pending >> (SIGKILL - 1) & 1;
}

/* The clock of start times goes on while the machine sleeps, ours does not. */
static int64_t slept_ms(void)
{
	struct timespec boot, mono;

	clock_gettime(CLOCK_BOOTTIME, &boot);
	clock_gettime(CLOCK_MONOTONIC, &mono);
	return (boot.tv_sec - mono.tv_sec) * 1000 + (boot.tv_nsec - mono.tv_nsec) / 1000000;
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
	apart = (int64_t)(now * 1000 / (uint64_t)(hz > 0 ? hz : 100)) -
		(started_mono_ms + slept_ms());
	return apart > -CLOSE_MS && apart < CLOSE_MS;
}

int64_t proc_started_mono_ms(int pid)
{
	uint64_t ticks = proc_start_ticks(pid);
	long hz = sysconf(_SC_CLK_TCK);

	return ticks ? (int64_t)(ticks * 1000 / (uint64_t)(hz > 0 ? hz : 100)) - slept_ms() : 0;
}

bool proc_is_apart(int pid)
{
	char path[32], its[48], ours[48];
	ssize_t n, m;

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
	n = readlink(path, its, sizeof(its));
	m = readlink("/proc/self/ns/pid", ours, sizeof(ours));
	return n > 0 && m > 0 && (n != m || memcmp(its, ours, (size_t)n) != 0);
}

int proc_open(int pid, uint64_t ticks, int64_t started_mono_ms)
{
	int fd = pid > 1 ? pidfd_open(pid, 0) : -1;

	if (fd >= 0 && !proc_is(pid, ticks, started_mono_ms))
		mem_closep(&fd);
	return fd;
}

static bool read_oom_score(int pid, int *score)
{
	char path[40], text[16];
	int64_t value;

	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", pid);
	if (!proc_read(path, text, sizeof(text)))
		return false;
	text[strcspn(text, "\n")] = '\0';
	if (parse_i64(text, -1000, 1000, &value, NULL) < 0)
		return false;
	*score = (int)value;
	return true;
}

bool proc_has_our_oom_score(int pid)
{
	int its, ours;

	return read_oom_score(pid, &its) && read_oom_score((int)getpid(), &ours) && its == ours;
}

/* ---- the end of a process that is not our child ---- */

/* Linux 6.13; the exit status from 6.15 on. Our headers are older. */
struct pidfd_info_v0 {
	uint64_t mask, cgroupid;
	uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
	int32_t exit_code;
};
#define GET_INFO _IOC(_IOC_READ | _IOC_WRITE, 0xff, 11, sizeof(struct pidfd_info_v0))
#define INFO_EXIT 8

static bool ask_kernel(int pidfd, int *status)
{
	struct pidfd_info_v0 info = {.mask = INFO_EXIT};

	if (ioctl(pidfd, GET_INFO, &info) < 0 || !(info.mask & INFO_EXIT))
		return false;
	*status = info.exit_code;
	return true;
}

/* 0 in its stat is a status only for one who may look: its other files tell us who may. */
static bool may_look(int pid)
{
	char path[32], junk[8];

	snprintf(path, sizeof(path), "/proc/%d/cwd", pid);
	return readlink(path, junk, sizeof(junk)) < 0 && errno == ENOENT;
}

bool proc_lives(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	return poll(&p, 1, 0) == 0;
}

enum proc_end proc_end(int pidfd, int pid, int *status)
{
	struct stat_fields f;
	bool known;

	if (proc_lives(pidfd))
		return PROC_LIVES;
	if (ask_kernel(pidfd, status))
		return PROC_STATUS;
	known = read_stat(pid, &f) && f.state == 'Z' && (f.exit_status != 0 || may_look(pid));
	if (pidfd_send_signal(pidfd, 0, NULL, 0) == 0 || errno == EPERM) { /* so it was this one */
		*status = (int)f.exit_status;
		return known ? PROC_STATUS : PROC_ZOMBIE;
	}
	return ask_kernel(pidfd, status) ? PROC_STATUS : PROC_UNKNOWN; /* reaped meanwhile */
}

void proc_kill(int pid, uint64_t ticks, int64_t started_mono_ms)
{
	_cleanup_close_ int pidfd = proc_open(pid, ticks, started_mono_ms);

	if (pidfd < 0)
		return;
	if (getpgid(pid) == pid)
		kill(-pid, SIGKILL);
	pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
}

void proc_signal(int pid, int64_t started_mono_ms, int signal)
{
	_cleanup_close_ int pidfd = proc_open(pid, 0, started_mono_ms);

	if (pidfd < 0)
		return;
	if (getpgid(pid) != pid || kill(-pid, signal) < 0)
		pidfd_send_signal(pidfd, signal, NULL, 0);
}
