/* test_table: layout, growth, the ring of exits, and that nothing read from it is believed. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/supervisor/table.h"
#include "lib/err.h"

#define BOOT "01234567-89ab-cdef-0123-456789abcdef"

struct fixture {
	char dir[64];
	int fd;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	snprintf(f->dir, sizeof(f->dir), "/dev/shm/test-table.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(f->fd >= 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	unlinkat(f->fd, "table", 0);
	unlinkat(f->fd, "intent", 0);
	close(f->fd);
	rmdir(f->dir);
	free(f);
	return 0;
}

static void open_ok(struct fixture *f, struct table *t, const char *boot)
{
	_cleanup_err_ struct err *e = NULL;

	if (table_open(t, f->dir, f->fd, boot, &e) < 0)
		fail_msg("%s", err_msg(e));
}

static void fill(struct table_slot *s, const char *service)
{
	memset(s, 0, sizeof(*s));
	s->used = 1;
	snprintf(s->service, sizeof(s->service), "%s", service);
	snprintf(s->incarnation, sizeof(s->incarnation), "0123456789abcdef0123456789abcdef");
}

static void slots_survive_and_never_move(void **state)
{
	struct fixture *f = *state;
	struct table_slot *first;
	struct table t;
	struct stat st;

	open_ok(f, &t, BOOT);
	assert_false(t.former);
	assert_int_equal(t.n_slots, TABLE_STEP);
	first = table_slot(&t, 0);
	fill(first, "web");
	assert_int_equal(table_grow(&t), 0);
	assert_int_equal(t.n_slots, 2 * TABLE_STEP);
	assert_ptr_equal(table_slot(&t, 0), first);
	fill(table_slot(&t, 2 * TABLE_STEP - 1), "last");
	assert_int_equal(fstat(t.fd, &st), 0);
	assert_true((size_t)st.st_blocks * 512 >= (size_t)st.st_size); /* not sparse */
	assert_int_equal(fstat(t.intent_fd, &st), 0);
	assert_int_equal(st.st_size, TABLE_INTENTS * 8);
	table_close(&t, false);
	open_ok(f, &t, BOOT);
	assert_true(t.former);
	assert_int_equal(t.n_slots, 2 * TABLE_STEP);
	assert_string_equal(table_slot(&t, 0)->service, "web");
	assert_string_equal(table_slot(&t, 2 * TABLE_STEP - 1)->service, "last");
	table_close(&t, true);
	assert_int_equal(faccessat(f->fd, "table", F_OK, 0), -1);
}

static void a_table_of_another_boot_or_layout_is_dropped(void **state)
{
	struct fixture *f = *state;
	struct table t;
	uint32_t n = UINT32_MAX;
	int fd;

	open_ok(f, &t, BOOT);
	fill(table_slot(&t, 0), "web");
	table_close(&t, false);
	open_ok(f, &t, "another boot");
	assert_false(t.former);
	assert_int_equal(table_slot(&t, 0)->used, 0);
	table_close(&t, false);
	fd = openat(f->fd, "table", O_RDWR | O_CLOEXEC); /* more slots than the file has */
	assert_int_equal(pwrite(fd, &n, sizeof(n), (off_t)offsetof(struct table_header, n_slots)),
			 sizeof(n));
	close(fd);
	open_ok(f, &t, "another boot");
	assert_false(t.former);
	table_close(&t, false);
	assert_int_equal(unlinkat(f->fd, "table", 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", f->fd, "table"), 0);
	assert_true(table_open(&t, f->dir, f->fd, BOOT, NULL) < 0);
	table_close(&t, false);
}

/* Rewrites the file as a build would have whose slots have other sizes: shorter ones end before the
 * newest member. */
static void rewrite_with_slot_size(struct fixture *f, uint32_t slot_size, uint32_t n)
{
	int fd = openat(f->fd, "table", O_RDWR | O_CLOEXEC);
	struct table_header h;
	char *rows;

	assert_int_equal(pread(fd, &h, sizeof(h), 0), sizeof(h));
	rows = calloc(n, h.slot_size > slot_size ? h.slot_size : slot_size);
	assert_non_null(rows);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(pread(fd, rows + (size_t)i * slot_size,
				       h.slot_size < slot_size ? h.slot_size : slot_size,
				       (off_t)(h.header_size + (size_t)i * h.slot_size)),
				 h.slot_size < slot_size ? h.slot_size : slot_size);
	h.slot_size = slot_size;
	h.n_slots = n;
	snprintf(h.build, sizeof(h.build), "9.9.9");
	assert_int_equal(pwrite(fd, rows, (size_t)n * slot_size, (off_t)h.header_size),
			 (size_t)n * slot_size);
	assert_int_equal(pwrite(fd, &h, sizeof(h), 0), sizeof(h));
	free(rows);
	close(fd);
}

static void an_older_layout_is_copied_and_a_newer_one_refused(void **state)
{
	const uint32_t size = sizeof(struct table_slot), n = 3;
	struct fixture *f = *state;
	struct err *e = NULL;
	struct table t;
	struct stat before, after;

	open_ok(f, &t, BOOT);
	for (uint32_t i = 0; i < n; i++) {
		fill(table_slot(&t, i), "web");
		table_slot(&t, i)->index = i;
		memset(table_slot(&t, i)->note, 'x', 5);
		table_slot(&t, i)->pipes[1] = 77;
	}
	table_close(&t, false);
	rewrite_with_slot_size(f, size - 64, n);
	open_ok(f, &t, BOOT);
	assert_true(t.former);
	assert_int_equal(t.n_slots, n);
	for (uint32_t i = 0; i < n; i++) {
		const struct table_slot *s = table_slot(&t, i);
		const uint8_t *tail = (const uint8_t *)s + size - 64;

		assert_int_equal(s->index, i);
		assert_string_equal(s->service, "web");
		for (int k = 0; k < 64; k++)
			assert_int_equal(tail[k], 0);
	}
	assert_int_equal(t.header->slot_size, size);
	assert_int_equal(table_grow(&t), 0);
	table_close(&t, false);
	open_ok(f, &t, BOOT); /* once and for all */
	assert_true(t.former);
	table_close(&t, false);
	rewrite_with_slot_size(f, size + 64, n);
	assert_int_equal(fstatat(f->fd, "table", &before, 0), 0);
	assert_int_equal(table_open(&t, f->dir, f->fd, BOOT, &e), -ERR_CONFLICT);
	assert_non_null(strstr(err_msg(e), "9.9.9"));
	err_free(e);
	table_close(&t, false);
	assert_int_equal(fstatat(f->fd, "table", &after, 0), 0);
	assert_int_equal(before.st_size, after.st_size);
	open_ok(f, &t, "another boot"); /* then it is nobody's any more */
	assert_false(t.former);
	table_close(&t, false);
}

static void nonsense_in_a_slot_is_seen(void **state)
{
	struct table_slot s;

	(void)state;
	fill(&s, "web");
	assert_true(table_slot_valid(&s));
	fill(&s, "");
	assert_false(table_slot_valid(&s));
	fill(&s, "../../etc");
	assert_false(table_slot_valid(&s));
	fill(&s, "web");
	s.incarnation[3] = '/';
	assert_false(table_slot_valid(&s));
	fill(&s, "web");
	table_push_exit(&s)->stage = WIRE_STAGE_MAX_;
	assert_false(table_slot_valid(&s));
	fill(&s, "web");
	memset(s.service, 'x', sizeof(s.service));
	assert_false(table_slot_valid(&s));
	fill(&s, "web");
	s.cell.pid = 1;
	assert_false(table_slot_valid(&s));
	fill(&s, "web");
	s.n_exits = WIRE_EXITS_MAX + 1;
	assert_false(table_slot_valid(&s));
	fill(&s, "web");
	s.note_len = WIRE_NOTE_MAX + 1;
	assert_false(table_slot_valid(&s));
	fill(&s, "web");
	s.state = WIRE_SLOT_STATE_MAX_;
	assert_false(table_slot_valid(&s));
	fill(&s, "web");
	s.n_cookies = 1;
	s.cookies[0] = table_id("short");
	assert_false(table_slot_valid(&s));
}

static void the_ring_keeps_the_last_exits_and_counts_the_rest(void **state)
{
	struct table_slot s;

	(void)state;
	fill(&s, "web");
	for (int i = 1; i <= 11; i++)
		table_push_exit(&s)->pid = 100 + i;
	assert_int_equal(s.n_exits, WIRE_EXITS_MAX);
	assert_int_equal(s.exits_lost, 3);
	assert_int_equal(s.exits[0].seq, 4);
	assert_int_equal(s.exits[7].pid, 111);
	assert_false(table_ack_exits(&s, 3));
	assert_true(table_ack_exits(&s, 10));
	assert_int_equal(s.n_exits, 1);
	assert_int_equal(s.exits[0].seq, 11);
	assert_int_equal(s.exits_lost, 0);
	assert_true(table_ack_exits(&s, UINT64_MAX));
	assert_int_equal(s.n_exits, 0);
	assert_int_equal(table_push_exit(&s)->seq, 12);
}

static void cookies_give_way_oldest_first(void **state)
{
	struct table_slot s;
	char cookie[33];

	(void)state;
	fill(&s, "web");
	for (int i = 0; i < TABLE_COOKIES_MAX + 2; i++) {
		snprintf(cookie, sizeof(cookie), "%032x", (unsigned)i);
		table_add_cookie(&s, cookie);
	}
	assert_int_equal(s.n_cookies, TABLE_COOKIES_MAX);
	assert_true(table_slot_valid(&s));
	assert_true(table_id_is(&s.cookies[0], "00000000000000000000000000000002"));
	table_drop_cookie(&s, "00000000000000000000000000000003");
	assert_int_equal(s.n_cookies, TABLE_COOKIES_MAX - 1);
	assert_true(table_id_is(&s.cookies[1], "00000000000000000000000000000004"));
	table_drop_cookie(&s, "unknown");
	assert_int_equal(s.n_cookies, TABLE_COOKIES_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(slots_survive_and_never_move, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_table_of_another_boot_or_layout_is_dropped,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_older_layout_is_copied_and_a_newer_one_refused,
						set_up, tear_down),
		cmocka_unit_test(nonsense_in_a_slot_is_seen),
		cmocka_unit_test(the_ring_keeps_the_last_exits_and_counts_the_rest),
		cmocka_unit_test(cookies_give_way_oldest_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
