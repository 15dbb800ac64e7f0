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
#define OLDEST_LAYOUT 4
#define HEADER_SIZE 8192
#define OLD_SLOT_MAX 65536
#define RESERVED (HEADER_SIZE + (size_t)TABLE_SLOTS_MAX * sizeof(struct table_slot))

_Static_assert(sizeof(struct table_header) <= HEADER_SIZE, "header page");
_Static_assert(sizeof(struct table_slot) % 8 == 0, "slots are aligned");
_Static_assert(WIRE_INCARNATION_SIZE <= 40 && WIRE_SERVICE_SIZE <= 64, "keys fit");

static size_t file_size(uint32_t n_slots)
{
	size_t page = 4096, n = HEADER_SIZE + (size_t)n_slots * sizeof(struct table_slot);

	return (n + page - 1) / page * page;
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

enum verdict { VERDICT_NONE, VERDICT_SAME, VERDICT_OLDER, VERDICT_NEWER };

/* Looks at a former header without mapping it; ERR text is the caller's. */
static enum verdict judge(int fd, const char *boot_id, uint64_t born, struct table_header *h)
{
	struct stat st;
	ssize_t n = pread(fd, h, sizeof(*h), 0);

	if (n < (ssize_t)offsetof(struct table_header, build) || fstat(fd, &st) < 0)
		return VERDICT_NONE;
	h->build[sizeof(h->build) - 1] = '\0';
	if (memcmp(h->magic, MAGIC, sizeof(h->magic)) != 0 || h->version < OLDEST_LAYOUT)
		return VERDICT_NONE;
	if (strncmp(h->boot_id, boot_id, sizeof(h->boot_id)) != 0 || h->pid_ns != pid_namespace() ||
	    h->born != born)
		return VERDICT_NONE;
	if (h->n_slots == 0 || h->n_slots > TABLE_SLOTS_MAX || h->slot_size == 0 ||
	    h->slot_size > OLD_SLOT_MAX || h->slot_size % 8 != 0 || h->header_size == 0 ||
	    h->header_size > OLD_SLOT_MAX || h->header_size % 4096 != 0 ||
	    st.st_size < (off_t)(h->header_size + (uint64_t)h->n_slots * h->slot_size))
		return VERDICT_NONE;
	if (h->version > TABLE_LAYOUT || h->header_size > HEADER_SIZE ||
	    h->slot_size > sizeof(struct table_slot))
		return VERDICT_NEWER;
	return h->slot_size == sizeof(struct table_slot) && h->header_size == HEADER_SIZE
		       ? VERDICT_SAME
		       : VERDICT_OLDER;
}

static int refuse_newer(const struct table *t, const struct table_header *h, struct err **reterr)
{
	err_set(reterr, ERR_CONFLICT,
		"the state in %s was written by aictld %.31s, a newer build than this (%s"
		"): its services are left alone",
		t->dir, h->build, version_text);
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

/* What fits of a row of `from` bytes, the rest 0. */
static int copy_row(int from_fd, off_t at, size_t from, void *to, size_t size)
{
	size_t n = from < size ? from : size;

	memset(to, 0, size);
	return pread(from_fd, to, n, at) == (ssize_t)n ? 0 : -EIO;
}

/*
 * An older build's table becomes one of ours, which takes its name when it is complete: killed on
 * the way, we find the old one again.
 */
static int convert(struct table *t, const struct table_header *old, struct err **reterr)
{
	_cleanup_free_ char *row = mem_alloc(HEADER_SIZE + sizeof(struct table_slot));
	_cleanup_close_ int fd = -1;
	int r = 0;

	if (!row)
		return err_nomem(reterr);
	unlinkat(t->dir_fd, "table.new", 0);
	fd = open_file(t->dir_fd, "table.new", reterr);
	if (fd < 0)
		return fd;
	r = -posix_fallocate(fd, 0, (off_t)file_size(old->n_slots));
	if (r == 0)
		r = copy_row(t->fd, 0, old->header_size, row, HEADER_SIZE);
	((struct table_header *)(void *)row)->header_size = HEADER_SIZE;
	((struct table_header *)(void *)row)->slot_size = sizeof(struct table_slot);
	if (r == 0 && pwrite(fd, row, HEADER_SIZE, 0) != HEADER_SIZE)
		r = -EIO;
	for (uint32_t i = 0; r == 0 && i < old->n_slots; i++) {
		r = copy_row(t->fd, (off_t)(old->header_size + (uint64_t)i * old->slot_size),
			     old->slot_size, row, sizeof(struct table_slot));
		if (r == 0 && pwrite(fd, row, sizeof(struct table_slot),
				     (off_t)(HEADER_SIZE + i * sizeof(struct table_slot))) !=
				      (ssize_t)sizeof(struct table_slot))
			r = -EIO;
	}
	if (r == 0 && renameat(t->dir_fd, "table.new", t->dir_fd, "table") < 0)
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
	if (v == VERDICT_NEWER)
		return refuse_newer(t, &h, reterr);
	t->former = v != VERDICT_NONE;
	if (t->former)
		*ret_slots = h.n_slots;
	if (v == VERDICT_OLDER)
		return convert(t, &h, reterr);
	return t->former ? 0 : drop_former(t, reterr);
}

static int map_all(struct table *t, uint32_t n_slots)
{
	const size_t words = TABLE_INTENTS * sizeof(uint64_t);
	int r;

	t->header =
		mmap(NULL, RESERVED, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
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
	_cleanup_free_ struct table_slot *s = mem_alloc(sizeof(*s));
	int r = s ? 0 : err_nomem(reterr);

	for (uint32_t i = 0; r == 0 && i < h->n_slots; i++) {
		r = copy_row(fd, (off_t)(h->header_size + (uint64_t)i * h->slot_size), h->slot_size,
			     s, sizeof(*s));
		if (r < 0)
			return err_sys(reterr, -r, "cannot read the table");
		if (s->used != 0 && !table_slot_valid(s))
			return err_set(reterr, ERR_CONFLICT,
				       "it does not understand slot %u of the table", i);
	}
	return r;
}

int table_check(int fd, int sup_fd, struct err **reterr)
{
	struct table_header h = {0};
	char boot_id[sizeof(h.boot_id)] = "";

	if (pread(fd, &h, sizeof(h), 0) > 0)
		memcpy(boot_id, h.boot_id, sizeof(boot_id) - 1);
	switch (judge(fd, boot_id, birth(sup_fd), &h)) {
	case VERDICT_NONE:
		return err_set(reterr, ERR_CONFLICT, "it does not understand the table");
	case VERDICT_NEWER:
		return err_set(reterr, ERR_CONFLICT,
			       "it is older than aictld %.31s, which wrote the table", h.build);
	default:
		return check_slots(fd, &h, reterr);
	}
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
	return (struct table_slot *)(void *)((char *)t->header + HEADER_SIZE +
					     (size_t)number * sizeof(struct table_slot));
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

bool table_slot_valid(const struct table_slot *s)
{
	if (s->used != 1 || !is_service(s->service) || !is_incarnation(s->incarnation) ||
	    s->state >= WIRE_SLOT_STATE_MAX_ || !is_cell(&s->cell))
		return false;
	if (s->n_exits > WIRE_EXITS_MAX || s->n_cookies > TABLE_COOKIES_MAX ||
	    s->note_len > WIRE_NOTE_MAX)
		return false;
	for (uint32_t i = 0; i < s->n_exits; i++)
		if (!is_exit(&s->exits[i]))
			return false;
	for (uint32_t i = 0; i < s->n_cookies; i++)
		if (table_id_is(&s->cookies[i], ""))
			return false;
	return true;
}

struct table_exit *table_push_exit(struct table_slot *s)
{
	struct table_exit *x;

	if (s->n_exits == WIRE_EXITS_MAX) {
		memmove(&s->exits[0], &s->exits[1], sizeof(s->exits[0]) * (WIRE_EXITS_MAX - 1));
		s->n_exits--;
		if (s->exits_lost != UINT32_MAX)
			s->exits_lost++;
	}
	x = &s->exits[s->n_exits];
	*x = (struct table_exit){.seq = ++s->exit_seq};
	s->n_exits++;
	return x;
}

bool table_ack_exits(struct table_slot *s, uint64_t seq)
{
	uint32_t n = 0;

	while (n < s->n_exits && s->exits[n].seq <= seq)
		n++;
	if (n == 0)
		return false;
	memmove(&s->exits[0], &s->exits[n], sizeof(s->exits[0]) * (s->n_exits - n));
	s->n_exits -= n;
	s->exits_lost = 0;
	return true;
}

static void remove_cookie(struct table_slot *s, uint32_t i)
{
	s->n_cookies--;
	memmove(&s->cookies[i], &s->cookies[i + 1], sizeof(s->cookies[0]) * (s->n_cookies - i));
}

void table_add_cookie(struct table_slot *s, const char *cookie)
{
	if (s->n_cookies == TABLE_COOKIES_MAX)
		remove_cookie(s, 0);
	s->cookies[s->n_cookies++] = table_id(cookie);
}

void table_drop_cookie(struct table_slot *s, const char *cookie)
{
	for (uint32_t i = 0; i < s->n_cookies; i++) {
		if (!table_id_is(&s->cookies[i], cookie))
			continue;
		remove_cookie(s, i);
		return;
	}
}

void table_close(struct table *t, bool remove)
{
	if (t->header)
		munmap(t->header, RESERVED);
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
