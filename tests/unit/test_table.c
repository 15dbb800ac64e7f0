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

/* Pages of [from, to) that this process has mapped. */
static unsigned mapped(const void *from, const void *to)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	unsigned n = 0;
	uint64_t entry;

	assert_true(fd >= 0);
	for (uintptr_t p = (uintptr_t)from / 4096; p < (uintptr_t)to / 4096; p++) {
		assert_int_equal(pread(fd, &entry, sizeof(entry), (off_t)(p * sizeof(entry))),
				 sizeof(entry));
		n += (unsigned)(entry >> 63);
	}
	close(fd);
	return n;
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
	table_push_exit(table_slot(&t, 2 * TABLE_STEP - 1), table_cold(&t, 2 * TABLE_STEP - 1));
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
	assert_int_equal(table_cold(&t, 2 * TABLE_STEP - 1)->exits[0].seq, 1);
	table_close(&t, true);
	assert_int_equal(faccessat(f->fd, "table", F_OK, 0), -1);
}

/* No two parts of two full steps share a byte, and the file holds all of them. */
static void parts_do_not_overlap(void **state)
{
	const uint32_t n = 2 * TABLE_STEP;
	struct fixture *f = *state;
	struct table t;

	open_ok(f, &t, BOOT);
	assert_int_equal(table_grow(&t), 0);
	for (uint32_t i = 0; i < n; i++) {
		memset(table_slot(&t, i), (int)i + 1, sizeof(struct table_slot));
		memset(table_cold(&t, i), (int)i + 1, sizeof(struct table_cold));
	}
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *s = (const uint8_t *)table_slot(&t, i);
		const uint8_t *c = (const uint8_t *)table_cold(&t, i);

		for (size_t k = 0; k < sizeof(struct table_slot); k++)
			assert_int_equal(s[k], (uint8_t)(i + 1));
		for (size_t k = 0; k < sizeof(struct table_cold); k++)
			assert_int_equal(c[k], (uint8_t)(i + 1));
	}
	assert_int_equal(t.header->n_slots, n);
	table_close(&t, false);
}

static void quiet_slots_map_no_cold_page(void **state)
{
	static const uint8_t note[TABLE_NOTE_SHORT] = "2 5";
	struct fixture *f = *state;
	char *from, *to;
	struct table t;

	open_ok(f, &t, BOOT);
	from = (char *)(uintptr_t)((uintptr_t)table_cold(&t, 0) & ~UINT64_C(4095));
	to = from + TABLE_STEP * sizeof(struct table_cold);
	assert_true(from >= (char *)table_slot(&t, TABLE_STEP - 1) + sizeof(struct table_slot));
	for (uint32_t i = 0; i < TABLE_STEP; i++) {
		fill(table_slot(&t, i), "web");
		table_set_note(table_slot(&t, i), table_cold(&t, i), note, sizeof(note));
		table_drop_cookie(table_slot(&t, i), table_cold(&t, i), "none");
		assert_false(table_ack_exits(table_slot(&t, i), table_cold(&t, i), 1));
		assert_true(table_is_valid(&t, i));
		assert_memory_equal(table_note(table_slot(&t, i), table_cold(&t, i)), note,
				    sizeof(note));
	}
	assert_int_equal(mapped(from, to), 0);
	table_push_exit(table_slot(&t, 5), table_cold(&t, 5));
	assert_in_range(mapped(from, to), 1, 2);
	table_close(&t, false);
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

static size_t up(size_t n)
{
	return (n + 4095) / 4096 * 4096;
}

/* A part as a build has it whose parts have other sizes. */
static void copy_part(uint8_t *to, size_t to_size, const void *from, size_t size)
{
	memcpy(to, from, size < to_size ? size : to_size);
}

/* Rewrites the file as a build would have whose parts have other sizes: shorter ones end before the
 * newest member. */
static void rewrite_with_sizes(struct fixture *f, uint32_t slot_size, uint32_t cold_size,
			       uint32_t n)
{
	size_t step = up(TABLE_STEP * (size_t)slot_size) + up(TABLE_STEP * (size_t)cold_size);
	size_t header, size;
	struct table_header *h;
	struct table t;
	uint8_t *file;
	int fd;

	open_ok(f, &t, BOOT);
	header = t.header->header_size;
	size = header + (n + TABLE_STEP - 1) / TABLE_STEP * step;
	file = calloc(1, size);
	assert_non_null(file);
	memcpy(file, t.header, header);
	h = (struct table_header *)(void *)file;
	h->slot_size = slot_size;
	h->cold_size = cold_size;
	h->n_slots = n;
	snprintf(h->build, sizeof(h->build), "9.9.9");
	for (uint32_t i = 0; i < n; i++) {
		uint8_t *at = file + header + i / TABLE_STEP * step;

		copy_part(at + i % TABLE_STEP * slot_size, slot_size, table_slot(&t, i),
			  sizeof(struct table_slot));
		copy_part(at + up(TABLE_STEP * (size_t)slot_size) + i % TABLE_STEP * cold_size,
			  cold_size, table_cold(&t, i), sizeof(struct table_cold));
	}
	table_close(&t, false);
	fd = openat(f->fd, "table", O_RDWR | O_TRUNC | O_CLOEXEC);
	assert_int_equal(pwrite(fd, file, size, 0), size);
	free(file);
	close(fd);
}

static void assert_zeros(const void *part, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		assert_int_equal(((const uint8_t *)part)[i], 0);
}

/* Each second one has a cold part in use. */
static void fill_many(struct table *t, uint32_t n)
{
	while (t->n_slots < n)
		assert_int_equal(table_grow(t), 0);
	for (uint32_t i = 0; i < n; i++) {
		struct table_slot *s = table_slot(t, i);
		struct table_cold *c = table_cold(t, i);

		fill(s, "web");
		s->index = i;
		memset(s->note, 'x', sizeof(s->note));
		s->note_len = sizeof(s->note);
		memset(c, 0xff, sizeof(*c)); /* of a slot before it */
		if (i % 2 == 0)
			continue;
		table_push_exit(s, c)->pid = 1000 + (int)i;
		c->push.watchdog_ms = 7;
		memset(c->push.status, 'y', sizeof(c->push.status));
	}
}

static void check_many(const struct table *t, uint32_t n, size_t slot_size, size_t cold_size)
{
	assert_int_equal(t->n_slots, n);
	for (uint32_t i = 0; i < n; i++) {
		const struct table_slot *s = table_slot(t, i);
		const struct table_cold *c = table_cold(t, i);

		assert_int_equal(s->index, i);
		assert_string_equal(s->service, "web");
		assert_zeros(s, slot_size, sizeof(*s));
		assert_int_equal(s->cold_used, i % 2);
		assert_int_equal(s->n_exits, i % 2);
		assert_true(table_slot_valid(s, c));
		if (!s->cold_used)
			continue;
		assert_int_equal(c->exits[0].pid, 1000 + (int)i);
		assert_int_equal(c->push.watchdog_ms, 7);
		assert_zeros(c, cold_size, sizeof(*c));
	}
}

static void shorter_parts_are_copied(void **state)
{
	const uint32_t slot = sizeof(struct table_slot), cold = sizeof(struct table_cold);
	const uint32_t n = TABLE_STEP + 3; /* the second step is not full */
	const uint32_t sizes[][2] = {{slot - 64, cold}, {slot, cold - 64}, {slot - 8, cold - 96}};
	struct fixture *f = *state;
	struct table t;
	int fd;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		open_ok(f, &t, BOOT);
		fill_many(&t, n);
		table_close(&t, false);
		rewrite_with_sizes(f, sizes[i][0], sizes[i][1], n);
		fd = openat(f->fd, "table", O_RDWR | O_CLOEXEC);
		assert_int_equal(table_check(fd, f->dir, f->fd, NULL), 0);
		close(fd);
		open_ok(f, &t, BOOT);
		assert_true(t.former);
		check_many(&t, n, sizes[i][0], sizes[i][1]);
		assert_int_equal(t.header->slot_size, slot);
		assert_int_equal(t.header->cold_size, cold);
		assert_int_equal(table_grow(&t), 0);
		assert_int_equal(table_slot(&t, t.n_slots - 1)->used, 0);
		table_close(&t, false);
		open_ok(f, &t, BOOT); /* once and for all */
		assert_true(t.former);
		assert_int_equal(table_slot(&t, n - 1)->index, n - 1);
		table_close(&t, true);
	}
}

/* The file stays as it is, until another boot comes: then it is nobody's any more. */
static void assert_refused(struct fixture *f, const char *words)
{
	_cleanup_err_ struct err *e = NULL, *e2 = NULL;
	struct stat before, after;
	struct table t;
	int fd;

	assert_int_equal(fstatat(f->fd, "table", &before, 0), 0);
	assert_int_equal(table_open(&t, f->dir, f->fd, BOOT, &e), -ERR_CONFLICT);
	assert_non_null(strstr(err_msg(e), "9.9.9"));
	assert_non_null(strstr(err_msg(e), words));
	table_close(&t, false);
	fd = openat(f->fd, "table", O_RDWR | O_CLOEXEC);
	assert_int_equal(table_check(fd, f->dir, f->fd, &e2), -ERR_CONFLICT);
	close(fd);
	assert_int_equal(fstatat(f->fd, "table", &after, 0), 0);
	assert_int_equal(before.st_size, after.st_size);
	open_ok(f, &t, "another boot");
	assert_false(t.former);
	table_close(&t, true);
}

static void longer_parts_are_refused(void **state)
{
	const uint32_t slot = sizeof(struct table_slot), cold = sizeof(struct table_cold);
	const uint32_t sizes[][2] = {{slot + 64, cold}, {slot, cold + 64}, {slot - 64, cold + 8}};
	struct fixture *f = *state;
	struct table t;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		open_ok(f, &t, BOOT);
		fill_many(&t, 3);
		table_close(&t, false);
		rewrite_with_sizes(f, sizes[i][0], sizes[i][1], 3);
		assert_refused(f, "a newer build");
	}
}

static void other_layouts_are_refused(void **state)
{
	const struct {
		uint32_t version;
		const char *words;
	} others[] = {{TABLE_LAYOUT - 1, "an older build"}, {TABLE_LAYOUT + 1, "a newer build"}};
	struct fixture *f = *state;
	struct table t;

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		open_ok(f, &t, BOOT);
		fill(table_slot(&t, 0), "web");
		t.header->version = others[i].version;
		t.header->cold_size = 0; /* who knows what stands there */
		snprintf(t.header->build, sizeof(t.header->build), "9.9.9");
		table_close(&t, false);
		assert_refused(f, others[i].words);
	}
}

static void nonsense_in_a_slot_is_seen(void **state)
{
	static struct table_cold c;
	struct table_slot s;

	(void)state;
	fill(&s, "web");
	assert_true(table_slot_valid(&s, &c));
	fill(&s, "");
	assert_false(table_slot_valid(&s, &c));
	fill(&s, "../../etc");
	assert_false(table_slot_valid(&s, &c));
	fill(&s, "web");
	s.incarnation[3] = '/';
	assert_false(table_slot_valid(&s, &c));
	fill(&s, "web");
	table_push_exit(&s, &c)->stage = WIRE_STAGE_MAX_;
	assert_false(table_slot_valid(&s, &c));
	fill(&s, "web");
	memset(s.service, 'x', sizeof(s.service));
	assert_false(table_slot_valid(&s, &c));
	fill(&s, "web");
	s.cell.pid = 1;
	assert_false(table_slot_valid(&s, &c));
	fill(&s, "web");
	s.n_exits = WIRE_EXITS_MAX + 1;
	assert_false(table_slot_valid(&s, &c));
	fill(&s, "web");
	s.note_len = WIRE_NOTE_MAX + 1;
	assert_false(table_slot_valid(&s, &c));
	fill(&s, "web");
	s.state = WIRE_SLOT_STATE_MAX_;
	assert_false(table_slot_valid(&s, &c));
	fill(&s, "web");
	table_add_cookie(&s, &c, "short");
	assert_false(table_slot_valid(&s, &c));
	fill(&s, "web");
	s.cold_used = 2;
	assert_false(table_slot_valid(&s, &c));
}

static void the_ring_keeps_the_last_exits_and_counts_the_rest(void **state)
{
	static struct table_cold c;
	struct table_slot s;

	(void)state;
	fill(&s, "web");
	for (int i = 1; i <= 11; i++)
		table_push_exit(&s, &c)->pid = 100 + i;
	assert_int_equal(s.n_exits, WIRE_EXITS_MAX);
	assert_int_equal(s.exits_lost, 3);
	assert_int_equal(c.exits[0].seq, 4);
	assert_int_equal(c.exits[7].pid, 111);
	assert_false(table_ack_exits(&s, &c, 3));
	assert_true(table_ack_exits(&s, &c, 10));
	assert_int_equal(s.n_exits, 1);
	assert_int_equal(c.exits[0].seq, 11);
	assert_int_equal(s.exits_lost, 0);
	assert_true(table_ack_exits(&s, &c, UINT64_MAX));
	assert_int_equal(s.n_exits, 0);
	assert_int_equal(table_push_exit(&s, &c)->seq, 12);
}

/* What the slot before it left there, or a death in the middle, means nothing. */
static void an_unused_cold_part_counts_as_0(void **state)
{
	static const struct table_push none;
	static struct table_cold c;
	struct table_slot s;

	(void)state;
	memset(&c, 0xff, sizeof(c));
	fill(&s, "web");
	assert_true(table_slot_valid(&s, &c));
	s.n_exits = 1;
	assert_false(table_slot_valid(&s, &c));
	fill(&s, "web");
	s.n_cookies = 1;
	assert_false(table_slot_valid(&s, &c));
	fill(&s, "web");
	s.note_len = TABLE_NOTE_SHORT + 1;
	assert_false(table_slot_valid(&s, &c));
	fill(&s, "web");
	table_add_cookie(&s, &c, "0123456789abcdef0123456789abcdef");
	assert_int_equal(s.cold_used, 1);
	assert_true(table_slot_valid(&s, &c));
	assert_memory_equal(&c.push, &none, sizeof(none));
	c.push.wanted = 1;
	table_push_exit(&s, &c); /* once is enough */
	assert_int_equal(c.push.wanted, 1);
	assert_int_equal(s.n_cookies, 1);
}

static void a_note_of_any_length_is_kept(void **state)
{
	const uint32_t lengths[] = {0, 1, TABLE_NOTE_SHORT, TABLE_NOTE_SHORT + 1, WIRE_NOTE_MAX};
	const size_t n = sizeof(lengths) / sizeof(lengths[0]);
	static struct table_cold c;
	uint8_t note[WIRE_NOTE_MAX];
	struct table_slot s;

	(void)state;
	fill(&s, "web");
	for (size_t i = 0; i < 2 * n * n; i++) { /* each one after each other one */
		uint32_t len = lengths[i % 2 == 0 ? i / 2 / n : i / 2 % n];

		memset(note, 'A' + (int)i, sizeof(note));
		table_set_note(&s, &c, note, len);
		assert_int_equal(s.note_len, len);
		assert_memory_equal(table_note(&s, &c), note, len);
		assert_true(table_slot_valid(&s, &c));
	}
}

static void cookies_give_way_oldest_first(void **state)
{
	static struct table_cold c;
	struct table_slot s;
	char cookie[33];

	(void)state;
	fill(&s, "web");
	for (int i = 0; i < TABLE_COOKIES_MAX + 2; i++) {
		snprintf(cookie, sizeof(cookie), "%032x", (unsigned)i);
		table_add_cookie(&s, &c, cookie);
	}
	assert_int_equal(s.n_cookies, TABLE_COOKIES_MAX);
	assert_true(table_slot_valid(&s, &c));
	assert_true(table_id_is(&c.cookies[0], "00000000000000000000000000000002"));
	table_drop_cookie(&s, &c, "00000000000000000000000000000003");
	assert_int_equal(s.n_cookies, TABLE_COOKIES_MAX - 1);
	assert_true(table_id_is(&c.cookies[1], "00000000000000000000000000000004"));
	table_drop_cookie(&s, &c, "unknown");
	assert_int_equal(s.n_cookies, TABLE_COOKIES_MAX - 1);
}

static void units_to_be_removed_are_kept(void **state)
{
	static struct table_cold c;
	struct table_slot s;
	char id[WIRE_INCARNATION_SIZE];

	(void)state;
	fill(&s, "web");
	s.unit = 2;
	for (unsigned i = 0; i < TABLE_UNITS_MAX; i++) {
		snprintf(id, sizeof(id), "%032x", i + 1);
		assert_true(table_add_unit(&s, &c, id));
	}
	assert_false(table_add_unit(&s, &c, "0123456789abcdef0123456789abcdef"));
	assert_true(table_slot_valid(&s, &c));
	table_drop_unit(&s, &c, "00000000000000000000000000000002");
	table_drop_unit(&s, &c, "unknown");
	assert_int_equal(c.n_units, TABLE_UNITS_MAX - 1);
	assert_true(table_id_is(&c.units[1], "00000000000000000000000000000003"));
	assert_int_equal(c.unit_runtimes[1], 2);
	c.unit_runtimes[0] = 0;
	assert_false(table_slot_valid(&s, &c));
	c.unit_runtimes[0] = TABLE_RUNTIMES;
	assert_true(table_slot_valid(&s, &c));
	s.unit = TABLE_RUNTIMES + 1;
	assert_false(table_slot_valid(&s, &c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(slots_survive_and_never_move, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_table_of_another_boot_or_layout_is_dropped,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(parts_do_not_overlap, set_up, tear_down),
		cmocka_unit_test_setup_teardown(quiet_slots_map_no_cold_page, set_up, tear_down),
		cmocka_unit_test_setup_teardown(shorter_parts_are_copied, set_up, tear_down),
		cmocka_unit_test_setup_teardown(longer_parts_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(other_layouts_are_refused, set_up, tear_down),
		cmocka_unit_test(nonsense_in_a_slot_is_seen),
		cmocka_unit_test(the_ring_keeps_the_last_exits_and_counts_the_rest),
		cmocka_unit_test(an_unused_cold_part_counts_as_0),
		cmocka_unit_test(a_note_of_any_length_is_kept),
		cmocka_unit_test(cookies_give_way_oldest_first),
		cmocka_unit_test(units_to_be_removed_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
