/* adopt_rig: see adopt_rig.h. */
/* SPDX-License-Identifier: MIT */
#include "tests/unit/adopt_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"

/* The former aictld's table, to be damaged; munmap is left to the end of the process. */
struct table_header *adopt_rig_table(const struct rig *r)
{
	char path[256];
	struct stat st;
	void *p;
	int fd;

	snprintf(path, sizeof(path), "%s/run/sup", r->dir);
	assert_int_equal(stat(path, &st), 0);
	snprintf(path, sizeof(path), "%s/run/sup/table", r->dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		snprintf(path, sizeof(path), "/dev/shm/aictl-%u-%llx-%llx/table", geteuid(),
			 (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
		fd = open(path, O_RDWR | O_CLOEXEC);
	}
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	p = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	close(fd);
	return p;
}

static uint32_t number_of(const struct table *table, const struct wire_key *k)
{
	for (uint32_t i = 0; i < table->header->n_slots; i++) {
		const struct table_slot *t = table_slot(table, i);

		if (t->used && strcmp(t->service, k->service) == 0 && t->index == k->index)
			return i;
	}
	fail_msg("%s is not in the table", k->service);
	return 0;
}

struct table_slot *adopt_rig_slot(struct table_header *h, const struct wire_key *k)
{
	const struct table table = {.header = h};

	return table_slot(&table, number_of(&table, k));
}

struct table_cold *adopt_rig_cold(struct table_header *h, const struct wire_key *k)
{
	const struct table table = {.header = h};

	return table_cold(&table, number_of(&table, k));
}

/* False: not for us (a container). */
bool adopt_rig_set_oom_score(pid_t pid, const char *score)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(score, f);
	return fclose(f) == 0;
}

int adopt_rig_oom_score(pid_t pid)
{
	char path[64];
	int score = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &score), 1);
	fclose(f);
	return score;
}

int adopt_rig_join(struct rig *r, const struct rig_helper *logger)
{
	return adopt_rig_join_as(r, logger, WIRE_ROLE_LOGGER);
}

int adopt_rig_join_as(struct rig *r, const struct rig_helper *logger, uint32_t role)
{
	struct wire_join m = {.version = "another", .role = role, .pid = logger->pid};
	int64_t until = clock_mono_ms() + RIG_TIMEOUT_MS;
	struct buf b = {0};
	char path[256];
	int fd = -1;

	snprintf(path, sizeof(path), "%s/run/sup/sup.sock", r->dir);
	while (fd < 0 && clock_mono_ms() < until) {
		fd = rig_connect_as(logger, path);
		if (fd < 0)
			usleep(2000);
	}
	assert_true(fd >= 0);
	wire_giveback_encode_join(&b, &m);
	assert_int_equal(wire_send(fd, &b, NULL, 0), 0);
	buf_done(&b);
	return fd;
}

void adopt_rig_give(int fd, const struct rig_stream *s, uint32_t which)
{
	struct wire_give_back m = {.stream = s->m, .fds = which};
	struct buf b = {0};
	int fds[3];
	unsigned n = 0;

	if (which & WIRE_GIVE_STDOUT)
		fds[n++] = s->fds[0];
	if (which & WIRE_GIVE_STDERR)
		fds[n++] = s->fds[1];
	if (which & WIRE_GIVE_PIDFD)
		fds[n++] = s->pidfd;
	for (unsigned i = 0; i < n; i++)
		assert_true(fds[i] >= 0);
	wire_giveback_encode(&b, &m);
	assert_int_equal(wire_send(fd, &b, fds, n), 0);
	buf_done(&b);
}

void adopt_rig_give_listener(int fd, const struct rig_listener *l)
{
	struct buf b = {0};

	wire_giveback_encode_listener(&b, &l->at);
	assert_int_equal(wire_send(fd, &b, &l->fd, 1), 0);
	buf_done(&b);
}

void adopt_rig_give_end(int fd)
{
	struct buf b = {0};

	wire_encode_empty(&b, WIRE_GIVE_BACK_END);
	assert_int_equal(wire_send(fd, &b, NULL, 0), 0);
	buf_done(&b);
}
