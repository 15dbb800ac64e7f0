/* table: see table.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/table.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/mem.h"
#include "lib/version.h"

#define MAGIC "aictltb1"
#define NEW_NAME "table.new" /* a conversion's; with room for all of it before a re-exec */
#define HEADER_SIZE 8192
#define PAGE 4096
#define OLD_PART_MAX 65536

_Static_assert(sizeof(struct table_header) <= HEADER_SIZE, "header page");
_Static_assert(sizeof(struct table_slot) % 8 == 0 && sizeof(struct table_cold) % 8 == 0,
	       "both parts are aligned");
_Static_assert(offsetof(struct table_header, born) == 72, "of any layout: whose table it is");
_Static_assert(WIRE_INCARNATION_SIZE <= 40 && WIRE_SERVICE_SIZE <= 64, "keys fit");

/* Sizes of header and parts, in our build or in another one. */
struct geometry {
	size_t header, slot, cold;
};

static const struct geometry ours = {.header = HEADER_SIZE,
				     .slot = sizeof(struct table_slot),
				     .cold = sizeof(struct table_cold)};

static size_t pages(size_t n)
{
	return (n + PAGE - 1) / PAGE * PAGE;
}

/* Where this slot's step begins. */
static size_t step_at(const struct geometry *g, uint32_t number)
{
	size_t size = pages(TABLE_STEP * g->slot) + pages(TABLE_STEP * g->cold);

	return g->header + number / TABLE_STEP * size;
}

static size_t slot_at(const struct geometry *g, uint32_t number)
{
	return step_at(g, number) + number % TABLE_STEP * g->slot;
}

static size_t cold_at(const struct geometry *g, uint32_t number)
{
	return step_at(g, number) + pages(TABLE_STEP * g->slot) + number % TABLE_STEP * g->cold;
}

/* Whole steps of ours. */
static size_t file_size(uint32_t n_slots)
{
	return step_at(&ours, n_slots + TABLE_STEP - 1);
}

static size_t reserved(void)
{
	return file_size(TABLE_SLOTS_MAX);
}

/* Opens the directory for the table: sup/ itself, or one of our own in /dev/shm. */
static int open_dir(struct table *t, const char *runtime_dir, int sup_fd, struct err **reterr)
{
	struct stat st;

	if (fstat(sup_fd, &st) < 0)
		return err_sys(reterr, errno, "cannot look at %s/sup", runtime_dir);
	if (fs_is_tmpfs(sup_fd)) {
		t->dir = mem_printf("%s/sup", runtime_dir);
		t->dir_fd = fcntl(sup_fd, F_DUPFD_CLOEXEC, SPAWN_LOW_FDS);
	} else {
		t->dir = mem_printf("/dev/shm/aictl-%u-%llx-%llx", geteuid(),
				    (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
		if (t->dir && mkdir(t->dir, 0700) < 0 && errno != EEXIST)
			return err_sys(reterr, errno, "cannot create %s", t->dir);
		t->dir_fd =
			t->dir ? open(t->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
		t->own_dir = true;
	}
	if (!t->dir)
		return err_nomem(reterr);
	if (t->dir_fd < 0 || fstat(t->dir_fd, &st) < 0)
		return err_sys(reterr, errno, "cannot open %s", t->dir);
	if (!fs_is_tmpfs(t->dir_fd))
		return err_set(reterr, ERR_INVALID, "%s is not on tmpfs: the table needs one",
			       t->dir);
	if (st.st_uid != geteuid() || st.st_mode & 022)
		return err_set(reterr, ERR_PERM, "%s belongs to somebody else, or others may write",
			       t->dir);
	return 0;
}

static int open_file(int dir_fd, const char *name, struct err **reterr)
{
	int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct stat st;

	if (fd < 0)
		return err_sys(reterr, errno, "cannot open the file %s", name);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    st.st_nlink != 1) {
		close(fd);
		return err_set(reterr, ERR_PERM, "the file %s is not ours", name);
	}
	return fd;
}

static uint64_t pid_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) < 0 ? 0 : (uint64_t)st.st_ino;
}

/* 0 where the file system keeps no time of birth. */
static uint64_t birth(int fd)
{
	struct statx sx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &sx) < 0 || !(sx.stx_mask & STATX_BTIME))
		return 0;
	return (uint64_t)sx.stx_btime.tv_sec * 1000000000u + sx.stx_btime.tv_nsec;
}

enum verdict { VERDICT_NONE, VERDICT_SAME, VERDICT_OLDER, VERDICT_NEWER, VERDICT_FOREIGN };

static bool is_size(uint32_t n, uint32_t unit)
{
	return n > 0 && n <= OLD_PART_MAX && n % unit == 0;
}

static struct geometry geometry_of(const struct table_header *h)
{
	return (struct geometry){
		.header = h->header_size, .slot = h->slot_size, .cold = h->cold_size};
}

/* A header of our layout, and its file. */
static enum verdict judge_sizes(const struct table_header *h, off_t size)
{
	struct geometry g = geometry_of(h);

	if (h->n_slots == 0 || h->n_slots > TABLE_SLOTS_MAX || !is_size(h->slot_size, 8) ||
	    !is_size(h->cold_size, 8) || !is_size(h->header_size, PAGE) ||
	    size < (off_t)(cold_at(&g, h->n_slots - 1) + g.cold))
		return VERDICT_NONE;
	if (g.header > ours.header || g.slot > ours.slot || g.cold > ours.cold)
		return VERDICT_NEWER;
	return g.header == ours.header && g.slot == ours.slot && g.cold == ours.cold
		       ? VERDICT_SAME
		       : VERDICT_OLDER;
}

/* Looks at a former header without mapping it; ERR text is the caller's. */
static enum verdict judge(int fd, const char *boot_id, uint64_t born, struct table_header *h)
{
	struct stat st;
	ssize_t n = pread(fd, h, sizeof(*h), 0);

	if (n < (ssize_t)sizeof(*h) || fstat(fd, &st) < 0)
		return VERDICT_NONE;
	h->build[sizeof(h->build) - 1] = '\0';
	if (memcmp(h->magic, MAGIC, sizeof(h->magic)) != 0 ||
	    strncmp(h->boot_id, boot_id, sizeof(h->boot_id)) != 0 || h->pid_ns != pid_namespace() ||
	    h->born != born)
		return VERDICT_NONE;
	return h->version == TABLE_LAYOUT ? judge_sizes(h, st.st_size) : VERDICT_FOREIGN;
}

static int refuse(const struct table *t, const struct table_header *h, struct err **reterr)
{
	bool older = h->version < TABLE_LAYOUT;

	err_set(reterr, ERR_CONFLICT,
		"the state in %s was written by aictld %.31s, %s (%s): its services are left alone",
		t->dir, h->build,
		older ? "an older build, whose table is not read by this"
		      : "a newer build than this",
		version_text);
	err_hint(reterr, "start that build again; to change to this one, let it stop everything "
			 "first (aictl daemon stop)");
	return -ERR_CONFLICT;
}

static int map_to(struct table *t, uint32_t n_slots)
{
	size_t from = t->n_slots ? file_size(t->n_slots) : 0, to = file_size(n_slots);
	int r = posix_fallocate(t->fd, 0, (off_t)to);

	if (r != 0)
		return -r;
	if (mmap((char *)t->header + from, to - from, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, t->fd, (off_t)from) == MAP_FAILED)
		return -errno;
	t->n_slots = n_slots;
	return 0;
}

static void write_header(struct table *t, const char *boot_id, uint64_t born)
{
	struct table_header *h = t->header;

	if (!t->former)
		memset(h->magic, 0, sizeof(h->magic));
	h->version = TABLE_LAYOUT;
	h->header_size = HEADER_SIZE;
	h->slot_size = sizeof(struct table_slot);
	h->cold_size = sizeof(struct table_cold);
	h->n_slots = t->n_slots;
	snprintf(h->boot_id, sizeof(h->boot_id), "%s", boot_id);
	h->pid_ns = pid_namespace();
	h->born = born;
	if (!t->former)
		h->created_wall_ms = clock_wall_ms();
	h->aictld_pid = (int32_t)getpid();
	snprintf(h->build, sizeof(h->build), "%s", version_text);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	memcpy(h->magic, MAGIC, sizeof(h->magic)); /* last: a half-written header is none */
}

/* What fits of `from` bytes, the rest 0. */
static int read_part(int from_fd, size_t at, size_t from, void *to, size_t size)
{
	size_t n = from < size ? from : size;

	memset(to, 0, size);
	return pread(from_fd, to, n, (off_t)at) == (ssize_t)n ? 0 : -EIO;
}

/* Both parts of a slot of another table; of the cold one what counts. */
static int read_slot(int fd, const struct table_header *h, uint32_t number, struct table_slot *s,
		     struct table_cold *c)
{
	struct geometry g = geometry_of(h);
	int r = read_part(fd, slot_at(&g, number), g.slot, s, sizeof(*s));

	memset(c, 0, sizeof(*c));
	if (r == 0 && s->used && s->cold_used)
		r = read_part(fd, cold_at(&g, number), g.cold, c, sizeof(*c));
	return r;
}

static int write_part(int fd, const void *part, size_t size, size_t at)
{
	return pwrite(fd, part, size, (off_t)at) == (ssize_t)size ? 0 : -EIO;
}

/* The file of a conversion, allocated. */
static int open_new(int dir_fd, uint32_t n_slots, int *ret_fd, struct err **reterr)
{
	_cleanup_close_ int fd = open_file(dir_fd, NEW_NAME, reterr);
	int r;

	if (fd < 0)
		return fd;
	r = posix_fallocate(fd, 0, (off_t)file_size(n_slots));
	if (r != 0) {
		unlinkat(dir_fd, NEW_NAME, 0);
		return err_sys(reterr, r, "cannot allocate a longer table");
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int convert_header(int from_fd, const struct table_header *old, int fd)
{
	union {
		struct table_header h;
		uint8_t bytes[HEADER_SIZE];
	} u;
	int r = read_part(from_fd, 0, old->header_size, &u, sizeof(u));

	u.h.header_size = HEADER_SIZE;
	u.h.slot_size = sizeof(struct table_slot);
	u.h.cold_size = sizeof(struct table_cold);
	return r < 0 ? r : write_part(fd, &u, sizeof(u), 0);
}

/* Both files have room for it; what is never written there is 0. */
static int convert_slot(int from_fd, const struct table_header *old, uint32_t number, int fd)
{
	struct table_slot s;
	struct table_cold c;
	int r = read_slot(from_fd, old, number, &s, &c);

	if (r == 0)
		r = write_part(fd, &s, sizeof(s), slot_at(&ours, number));
	if (r == 0 && s.cold_used)
		r = write_part(fd, &c, sizeof(c), cold_at(&ours, number));
	return r;
}

/*
 * An older build's table becomes one of ours, which takes its name when it is complete: killed on
 * the way, we find the old one again.
 */
static int convert(struct table *t, const struct table_header *old, struct err **reterr)
{
	_cleanup_close_ int fd = -1;
	int r = open_new(t->dir_fd, old->n_slots, &fd, reterr);

	if (r < 0)
		return r;
	r = convert_header(t->fd, old, fd);
	for (uint32_t i = 0; r == 0 && i < old->n_slots; i++)
		r = convert_slot(t->fd, old, i, fd);
	if (r == 0 && renameat(t->dir_fd, NEW_NAME, t->dir_fd, "table") < 0)
		r = -errno;
	if (r < 0)
		return err_sys(reterr, -r, "cannot convert the table in %s", t->dir);
	close(t->fd);
	t->fd = TAKE_FD(fd);
	return 0;
}

/* The former one is of no use. A logger may still have its intent file mapped: it keeps that. */
static int drop_former(struct table *t, struct err **reterr)
{
	if (ftruncate(t->fd, 0) < 0)
		return err_sys(reterr, errno, "cannot empty %s/table", t->dir);
	if (unlinkat(t->dir_fd, "intent", 0) < 0)
		return err_sys(reterr, errno, "cannot remove %s/intent", t->dir);
	mem_closep(&t->intent_fd);
	t->intent_fd = open_file(t->dir_fd, "intent", reterr);
	return t->intent_fd < 0 ? t->intent_fd : 0;
}

/* Decides about what a former aictld left; *ret_slots: how many to map. */
static int take_over(struct table *t, const char *boot_id, uint64_t born, uint32_t *ret_slots,
		     struct err **reterr)
{
	struct table_header h = {0};
	enum verdict v = judge(t->fd, boot_id, born, &h);

	*ret_slots = TABLE_STEP;
	if (v == VERDICT_NEWER || v == VERDICT_FOREIGN)
		return refuse(t, &h, reterr);
	t->former = v != VERDICT_NONE;
	if (t->former)
		*ret_slots = h.n_slots;
	if (v == VERDICT_OLDER)
		return convert(t, &h, reterr);
	unlinkat(t->dir_fd, NEW_NAME, 0); /* nobody came for it */
	return t->former ? 0 : drop_former(t, reterr);
}

static int map_all(struct table *t, uint32_t n_slots)
{
	const size_t words = TABLE_INTENTS * sizeof(uint64_t);
	int r;

	t->header = mmap(NULL, reserved(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			 -1, 0);
	if (t->header == MAP_FAILED) {
		t->header = NULL;
		return -errno;
	}
	r = map_to(t, n_slots);
	if (r == 0)
		r = -posix_fallocate(t->intent_fd, 0, (off_t)words);
	if (r < 0)
		return r;
	t->intents = mmap(NULL, words, PROT_READ | PROT_WRITE, MAP_SHARED, t->intent_fd, 0);
	if (t->intents == MAP_FAILED) {
		t->intents = NULL;
		return -errno;
	}
	return 0;
}

int table_open(struct table *t, const char *runtime_dir, int sup_fd, const char *boot_id,
	       struct err **reterr)
{
	uint32_t n;
	int r;

	*t = (struct table){.fd = -1, .intent_fd = -1, .dir_fd = -1};
	r = open_dir(t, runtime_dir, sup_fd, reterr);
	if (r < 0)
		return r;
	t->fd = open_file(t->dir_fd, "table", reterr);
	if (t->fd < 0)
		return t->fd;
	t->intent_fd = open_file(t->dir_fd, "intent", reterr);
	if (t->intent_fd < 0)
		return t->intent_fd;
	r = take_over(t, boot_id, birth(sup_fd), &n, reterr);
	if (r < 0)
		return r;
	r = map_all(t, n);
	if (r < 0)
		return err_sys(reterr, -r, "cannot allocate the table in %s", t->dir);
	write_header(t, boot_id, birth(sup_fd));
	return 0;
}

/* Each slot in use must mean something to us. */
static int check_slots(int fd, const struct table_header *h, struct err **reterr)
{
	struct table_slot s;
	struct table_cold c;

	for (uint32_t i = 0; i < h->n_slots; i++) {
		int r = read_slot(fd, h, i, &s, &c);

		if (r < 0)
			return err_sys(reterr, -r, "cannot read the table");
		if (s.used != 0 && !table_slot_valid(&s, &c))
			return err_set(reterr, ERR_CONFLICT,
				       "it does not understand slot %u of the table", i);
	}
	return 0;
}

/* Room for the conversion, kept until it happens: afterwards nobody could refuse any more. */
static int reserve(const char *runtime_dir, int sup_fd, uint32_t n_slots, struct err **reterr)
{
	struct table t = {.fd = -1, .intent_fd = -1, .dir_fd = -1};
	_cleanup_close_ int fd = -1;
	int r = open_dir(&t, runtime_dir, sup_fd, reterr);

	if (r == 0)
		r = open_new(t.dir_fd, n_slots, &fd, reterr);
	table_close(&t, false);
	return r;
}

int table_check(int fd, const char *runtime_dir, int sup_fd, struct err **reterr)
{
	struct table_header h = {0};
	char boot_id[sizeof(h.boot_id)] = "";
	enum verdict v;
	int r;

	if (pread(fd, &h, sizeof(h), 0) > 0)
		memcpy(boot_id, h.boot_id, sizeof(boot_id) - 1);
	v = judge(fd, boot_id, birth(sup_fd), &h);
	if (v == VERDICT_NONE || (v == VERDICT_FOREIGN && h.version < TABLE_LAYOUT))
		return err_set(reterr, ERR_CONFLICT, "it does not understand the table");
	if (v == VERDICT_NEWER || v == VERDICT_FOREIGN)
		return err_set(reterr, ERR_CONFLICT,
			       "it is older than aictld %.31s, which wrote the table", h.build);
	r = check_slots(fd, &h, reterr);
	if (r == 0 && v == VERDICT_OLDER)
		r = reserve(runtime_dir, sup_fd, h.n_slots, reterr);
	return r;
}

void table_drop_room(const struct table *t)
{
	unlinkat(t->dir_fd, NEW_NAME, 0);
}

static bool is_in_use(const struct table *t)
{
	for (uint32_t i = 0; i < t->n_slots; i++)
		if (table_slot(t, i)->used)
			return true;
	return false;
}

bool table_note_state(const struct table *t, uint64_t dev, uint64_t ino)
{
	struct table_header *h = t->header;
	bool differs = h->state_dev != dev || h->state_ino != ino;

	if (!t->former || h->state_ino == 0 || !is_in_use(t)) {
		h->state_dev = dev;
		h->state_ino = ino;
		return false;
	}
	if (differs && ino != 0)
		h->state_dev = h->state_ino = TABLE_SEVERAL;
	return h->state_ino == TABLE_SEVERAL;
}

void table_set_owner(const struct table *t, int pid)
{
	__atomic_store_n(&t->intents[TABLE_OWNER_WORD], (uint64_t)pid, __ATOMIC_SEQ_CST);
}

int table_owner(const struct table *t)
{
	return (int)__atomic_load_n(&t->intents[TABLE_OWNER_WORD], __ATOMIC_SEQ_CST);
}

struct table_slot *table_slot(const struct table *t, uint32_t number)
{
	return (struct table_slot *)(void *)((char *)t->header + slot_at(&ours, number));
}

struct table_cold *table_cold(const struct table *t, uint32_t number)
{
	return (struct table_cold *)(void *)((char *)t->header + cold_at(&ours, number));
}

int table_grow(struct table *t)
{
	int r;

	if (t->n_slots > TABLE_SLOTS_MAX - TABLE_STEP)
		return -ENOSPC;
	r = map_to(t, t->n_slots + TABLE_STEP);
	if (r == 0)
		t->header->n_slots = t->n_slots;
	return r;
}

static const char hex[] = "0123456789abcdef";

struct table_id table_id(const char *incarnation)
{
	struct table_id id = {{0}};

	for (size_t i = 0; i < 2 * sizeof(id.bytes); i++) {
		const char *digit = incarnation[i] ? strchr(hex, incarnation[i]) : NULL;

		if (!digit)
			return (struct table_id){{0}};
		id.bytes[i / 2] = (uint8_t)(id.bytes[i / 2] << 4 | (digit - hex));
	}
	return id;
}

void table_id_text(const struct table_id *id, char text[WIRE_INCARNATION_SIZE])
{
	static const struct table_id none;

	memset(text, 0, WIRE_INCARNATION_SIZE);
	for (size_t i = 0; memcmp(id, &none, sizeof(none)) != 0 && i < sizeof(id->bytes); i++) {
		text[2 * i] = hex[id->bytes[i] >> 4];
		text[2 * i + 1] = hex[id->bytes[i] & 15];
	}
}

bool table_id_is(const struct table_id *id, const char *incarnation)
{
	char text[WIRE_INCARNATION_SIZE];

	table_id_text(id, text);
	return strcmp(text, incarnation) == 0;
}

/* As the wire wants it: what fails here would end every controller that is told of it. */
static bool is_service(const char *s)
{
	size_t n = strnlen(s, WIRE_SERVICE_SIZE);

	return n > 0 && n < WIRE_SERVICE_SIZE && s[0] != '-' &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

static bool is_incarnation(const char *s)
{
	size_t n = strnlen(s, WIRE_INCARNATION_SIZE);

	return (n == 0 || n == WIRE_INCARNATION_SIZE - 1) && strspn(s, hex) == n;
}

static bool is_cell(const struct spawn_cell *c)
{
	return c->stage >= 0 && c->stage < WIRE_STAGE_MAX_ && c->what >= 0 &&
	       c->what < WIRE_WHAT_MAX_ && c->pid >= 0 && c->pid != 1;
}

static bool is_exit(const struct table_exit *x)
{
	return x->what < WIRE_WHAT_MAX_ && x->stage < WIRE_STAGE_MAX_;
}

static bool is_cold(const struct table_slot *s, const struct table_cold *c)
{
	for (uint32_t i = 0; i < s->n_exits; i++)
		if (!is_exit(&c->exits[i]))
			return false;
	for (uint32_t i = 0; i < s->n_cookies; i++)
		if (table_id_is(&c->cookies[i], ""))
			return false;
	if (c->n_units > TABLE_UNITS_MAX)
		return false;
	for (uint32_t i = 0; i < c->n_units; i++)
		if (table_id_is(&c->units[i], "") || c->unit_runtimes[i] == 0 ||
		    c->unit_runtimes[i] > TABLE_RUNTIMES)
			return false;
	return true;
}

bool table_slot_valid(const struct table_slot *s, const struct table_cold *c)
{
	if (s->used != 1 || !is_service(s->service) || !is_incarnation(s->incarnation) ||
	    s->state >= WIRE_SLOT_STATE_MAX_ || !is_cell(&s->cell))
		return false;
	if (s->n_exits > WIRE_EXITS_MAX || s->n_cookies > TABLE_COOKIES_MAX ||
	    s->note_len > WIRE_NOTE_MAX || s->cold_used > 1 || s->unit > TABLE_RUNTIMES)
		return false;
	if (s->cold_used)
		return is_cold(s, c);
	return s->n_exits == 0 && s->n_cookies == 0 && s->note_len <= TABLE_NOTE_SHORT;
}

bool table_is_valid(const struct table *t, uint32_t number)
{
	return table_slot_valid(table_slot(t, number), table_cold(t, number));
}

void table_use_cold(struct table_slot *s, struct table_cold *c)
{
	if (s->cold_used)
		return;
	memset(c, 0, sizeof(*c));
	__atomic_store_n(&s->cold_used, 1, __ATOMIC_RELEASE); /* killed before: garbage still */
}

struct table_exit *table_push_exit(struct table_slot *s, struct table_cold *c)
{
	struct table_exit *x;

	table_use_cold(s, c);
	if (s->n_exits == WIRE_EXITS_MAX) {
		memmove(&c->exits[0], &c->exits[1], sizeof(c->exits[0]) * (WIRE_EXITS_MAX - 1));
		s->n_exits--;
		if (s->exits_lost != UINT32_MAX)
			s->exits_lost++;
	}
	x = &c->exits[s->n_exits];
	*x = (struct table_exit){.seq = ++s->exit_seq};
	s->n_exits++;
	return x;
}

bool table_ack_exits(struct table_slot *s, struct table_cold *c, uint64_t seq)
{
	uint32_t n = 0;

	while (n < s->n_exits && c->exits[n].seq <= seq)
		n++;
	if (n == 0)
		return false;
	memmove(&c->exits[0], &c->exits[n], sizeof(c->exits[0]) * (s->n_exits - n));
	s->n_exits -= n;
	s->exits_lost = 0;
	return true;
}

static void remove_cookie(struct table_slot *s, struct table_cold *c, uint32_t i)
{
	s->n_cookies--;
	memmove(&c->cookies[i], &c->cookies[i + 1], sizeof(c->cookies[0]) * (s->n_cookies - i));
}

void table_add_cookie(struct table_slot *s, struct table_cold *c, const char *cookie)
{
	table_use_cold(s, c);
	if (s->n_cookies == TABLE_COOKIES_MAX)
		remove_cookie(s, c, 0);
	c->cookies[s->n_cookies] = table_id(cookie);
	s->n_cookies++;
}

void table_drop_cookie(struct table_slot *s, struct table_cold *c, const char *cookie)
{
	for (uint32_t i = 0; i < s->n_cookies; i++) {
		if (!table_id_is(&c->cookies[i], cookie))
			continue;
		remove_cookie(s, c, i);
		return;
	}
}

bool table_add_unit(struct table_slot *s, struct table_cold *c, const char *incarnation)
{
	table_use_cold(s, c);
	if (c->n_units == TABLE_UNITS_MAX)
		return false;
	c->units[c->n_units] = table_id(incarnation);
	c->unit_runtimes[c->n_units] = (uint8_t)s->unit;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	c->n_units++;
	return true;
}

void table_drop_unit(struct table_slot *s, struct table_cold *c, const char *incarnation)
{
	uint32_t n = s->cold_used ? c->n_units : 0;

	for (uint32_t i = 0; i < n; i++) {
		if (!table_id_is(&c->units[i], incarnation))
			continue;
		memmove(&c->units[i], &c->units[i + 1], sizeof(c->units[0]) * (n - i - 1));
		memmove(&c->unit_runtimes[i], &c->unit_runtimes[i + 1], n - i - 1);
		c->n_units = n - 1;
		return;
	}
}

/* Killed between the copy and the length, a note is torn only when both are of the same part. */
void table_set_note(struct table_slot *s, struct table_cold *c, const uint8_t *note, uint32_t len)
{
	if (len > TABLE_NOTE_SHORT) {
		table_use_cold(s, c);
		memcpy(c->note, note, len);
	} else if (len > 0) {
		memcpy(s->note, note, len);
	}
	s->note_len = len;
}

const uint8_t *table_note(const struct table_slot *s, const struct table_cold *c)
{
	return s->note_len > TABLE_NOTE_SHORT ? c->note : s->note;
}

void table_close(struct table *t, bool remove)
{
	if (t->header)
		munmap(t->header, reserved());
	t->header = NULL;
	if (t->intents)
		munmap(t->intents, TABLE_INTENTS * sizeof(uint64_t));
	t->intents = NULL;
	if (remove && t->dir_fd >= 0) {
		unlinkat(t->dir_fd, "table", 0);
		unlinkat(t->dir_fd, "intent", 0);
		if (t->own_dir)
			unlinkat(AT_FDCWD, t->dir, AT_REMOVEDIR);
	}
	mem_closep(&t->fd);
	mem_closep(&t->intent_fd);
	mem_closep(&t->dir_fd);
	mem_free(t->dir);
	t->dir = NULL;
}
