/* evidence: see evidence.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/evidence.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/supervisor/run.h"
#include "daemon/supervisor/slot.h"
#include "daemon/supervisor/supervisor.h"
#include "lib/buf.h"
#include "lib/fs.h"
#include "lib/mem.h"

#define PROCESSES_MAX 64 /* of one slot that are looked at */
#define LIST_MAX 1024	 /* bytes of a list of pids */
#define IO_STAT_MAX 8192 /* some sixty devices */

/* The start of a small file of /proc or a cgroup; "" = it is not there. */
static void read_text(int dir_fd, const char *path, char *text, size_t size)
{
	_cleanup_close_ int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : fs_read_some(fd, text, size - 1);

	text[n > 0 ? n : 0] = '\0';
}

static uint64_t number_at(const char *p)
{
	uint64_t n = 0;

	for (; *p >= '0' && *p <= '9'; p++)
		n = n * 10 + (uint64_t)(*p - '0');
	return n;
}

/* What follows "key: ", 0 = nothing. */
static uint64_t keyed(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? number_at(at + strlen(key)) : 0;
}

static void add(struct wire_evidence *m, int pid)
{
	char path[64], text[512];
	const char *resident;

	snprintf(path, sizeof(path), "/proc/%d/io", pid);
	read_text(AT_FDCWD, path, text, sizeof(text));
	/* The first two are of all calls, also from memory; the others of page faults, too. */
	m->io_bytes += keyed(text, "rchar: ") + keyed(text, "wchar: ") +
		       keyed(text, "\nread_bytes: ") + keyed(text, "\nwrite_bytes: ");
	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	read_text(AT_FDCWD, path, text, sizeof(text));
	resident = strchr(text, ' ');
	if (resident)
		m->memory_bytes += number_at(resident + 1) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Those of an exec probe, or of `aictl exec`, say nothing about the service. */
static bool is_of_run(const struct supervisor *sup, int pid)
{
	int session = getsid(pid);

	for (int i = 0; i < WIRE_RUNS_MAX; i++)
		if (session > 0 && sup->table.header->runs[i].cell.pid == session)
			return true;
	return false;
}

/* The pids of a list, the main one excepted. */
static void add_list(const struct slot *s, const char *list, struct wire_evidence *m)
{
	int n = 0;

	for (const char *p = list; *p && n < PROCESSES_MAX; p += strcspn(p, " \n")) {
		int pid;

		p += strspn(p, " \n");
		if (!*p)
			break;
		pid = (int)number_at(p);
		if (pid <= 1 || pid == s->t->cell.pid || is_of_run(s->sup, pid))
			continue;
		add(m, pid);
		n++;
	}
}

/* "8:0 rbytes=1 wbytes=2 rios=3 ...", a line for each device; one that is cut off counts as far as it
 * goes. */
uint64_t evidence_block_bytes(int cgroup_fd)
{
	static const char *const keys[] = {" rbytes=", " wbytes="};
	char text[IO_STAT_MAX];
	uint64_t sum = 0;

	read_text(cgroup_fd, "io.stat", text, sizeof(text));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		for (const char *p = text; (p = strstr(p, keys[i]));) {
			p += strlen(keys[i]);
			sum += number_at(p);
		}
	return sum;
}

/* All in the cgroup; without one the main process and its children. */
static void collect(const struct slot *s, struct wire_evidence *m)
{
	char list[LIST_MAX], path[64];

	add(m, s->t->cell.pid);
	if (s->cgroup.dir_fd > 0) {
		m->block_bytes = evidence_block_bytes(s->cgroup.dir_fd);
		read_text(s->cgroup.dir_fd, "cgroup.procs", list, sizeof(list));
	} else {
		snprintf(path, sizeof(path), "/proc/%d/task/%d/children", s->t->cell.pid,
			 s->t->cell.pid);
		read_text(AT_FDCWD, path, list, sizeof(list));
	}
	add_list(s, list, m);
}

void evidence_answer(struct slot *s)
{
	struct link *l = &s->sup->controller.link;
	struct wire_evidence m = {0};

	supervisor_fill_key(&m.key, s, s->t->incarnation);
	if (child_has_execed(&s->child))
		collect(s, &m);
	buf_clear(&l->out);
	wire_push_encode_evidence(&l->out, &m);
	link_send(l, NULL, 0); /* not taken: it is asked again */
}
