/*
 * fuzz_table: a former aictld's table, damaged. The input is a byte of flags and patches of
 * {u16 where, u8 count, bytes} over a good table of three slots; or, with RAW, the file as it is.
 * Whatever it holds: it is opened, converted, refused or dropped; afterwards the header is ours, and
 * a slot that passes table_slot_valid can be used as aictld does, and told to a controller, which
 * understands it.
 */
/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/supervisor/supervisor.h"
#include "daemon/supervisor/table.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "tests/fuzz/fuzz.h"

#define BOOT "01234567-89ab-cdef-0123-456789abcdef"
#define COOKIE "0123456789abcdef0123456789abcdef"
#define SLOTS 3
#define FILE_MAX_ (1 << 20)

enum flags {
	RAW = 1, /* the rest is the file */
	IDENTITY =
		2,  /* magic, boot, pid namespace and birth are right, whatever the patches said */
	SLOT_0 = 4, /* the patches are of slot 0, not of the header */
	SLOT_1 = 8,
	LONG = 16, /* zeros behind it: room for whatever the header claims */
	COLD = 32, /* not the slot, but its cold part */
};

const char fuzz_name[] = "table";

const char *const fuzz_words[] = {"aictltb1",	      BOOT,   COOKIE, "web",	  "../../etc",
				  "(damaged)",	      "\x02", "\x04", "\x08",	  "\x16",
				  "\xff\xff\xff\xff", "\x7f", "/",    "\x01\x01", NULL};

/* One directory for all inputs, removed at the end; and a good table, made there. */
static struct {
	char dir[48];
	int fd;
	uint8_t *good;
	size_t good_len;
	size_t slots[SLOTS], colds[SLOTS]; /* where the parts are */
} place;

static void remove_place(void)
{
	unlinkat(place.fd, "table", 0);
	unlinkat(place.fd, "table.new", 0);
	unlinkat(place.fd, "intent", 0);
	rmdir(place.dir);
	free(place.good);
}

/* With all that can be in use of the cold part, or with none of it. */
static void fill(struct table *t, uint32_t number, const char *service, enum wire_slot_state state)
{
	struct table_slot *s = table_slot(t, number);
	struct table_cold *c = table_cold(t, number);
	static const uint8_t note[WIRE_NOTE_MAX];
	struct table_exit *x;

	s->used = 1;
	snprintf(s->service, sizeof(s->service), "%s", service);
	memcpy(s->incarnation, COOKIE, sizeof(COOKIE));
	s->state = state;
	s->cell = (struct spawn_cell){.pid = 4711, .stage = WIRE_STAGE_EXEC};
	table_set_note(s, c, note, 3);
	if (state == WIRE_SLOT_RUNNING)
		return;
	table_set_note(s, c, note, sizeof(note));
	table_add_cookie(s, c, COOKIE);
	for (int i = 0; i < 3; i++) {
		x = table_push_exit(s, c);
		x->incarnation = table_id(COOKIE);
		x->stage = WIRE_STAGE_EXEC;
	}
}

/* Writes the file and opens it as aictld does. */
static int open_table(struct table *t, const uint8_t *data, size_t n, bool is_long)
{
	struct err *e = NULL;
	int fd = openat(place.fd, "table", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), r;

	if (fd < 0 || fs_write_all(fd, data, n) < 0 || (is_long && ftruncate(fd, FILE_MAX_) < 0))
		abort();
	if (table_check(fd, place.dir, place.fd, &e) < 0)
		err_freep(&e);
	close(fd);
	r = table_open(t, place.dir, place.fd, BOOT, &e);
	if (r < 0 && r != -ERR_CONFLICT) {
		fprintf(stderr, "%s\n", err_msg(e));
		abort();
	}
	err_freep(&e);
	return r;
}

static void make_place(void)
{
	struct table t;

	snprintf(place.dir, sizeof(place.dir), "/dev/shm/aictl-fuzz-XXXXXX");
	if (!mkdtemp(place.dir))
		abort();
	place.fd = open(place.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	atexit(remove_place);
	if (place.fd < 0 || open_table(&t, NULL, 0, false) < 0 || t.former)
		abort();
	fill(&t, 0, "web", WIRE_SLOT_STOPPING);
	fill(&t, 1, "db", WIRE_SLOT_EMPTY);
	fill(&t, 2, "idle", WIRE_SLOT_RUNNING);
	t.header->n_slots = SLOTS;
	for (uint32_t i = 0; i < SLOTS; i++) {
		place.slots[i] = (size_t)((char *)table_slot(&t, i) - (char *)t.header);
		place.colds[i] = (size_t)((char *)table_cold(&t, i) - (char *)t.header);
	}
	place.good_len = place.colds[SLOTS - 1] + sizeof(struct table_cold);
	place.good = malloc(place.good_len);
	if (!place.good)
		abort();
	memcpy(place.good, t.header, place.good_len);
	table_close(&t, true);
}

static void patch(uint8_t *at, size_t size, const uint8_t *data, size_t n)
{
	while (n >= 4) {
		size_t where = (data[0] + 256u * data[1]) % size, len = data[2];

		data += 3;
		n -= 3;
		if (len > n)
			len = n;
		if (len > size - where)
			len = size - where;
		memcpy(at + where, data, len);
		data += len;
		n -= len;
	}
}

static void restore_identity(uint8_t *file)
{
	struct table_header *h = (struct table_header *)(void *)file;
	const struct table_header *good = (const struct table_header *)(const void *)place.good;

	memcpy(h->magic, good->magic, sizeof(h->magic));
	memcpy(h->boot_id, good->boot_id, sizeof(h->boot_id));
	h->pid_ns = good->pid_ns;
	h->born = good->born;
}

/* What the controller gets must be what it understands. */
static void tell(struct table_slot *t, struct table_cold *c)
{
	static struct wire_slot m, back; /* large */
	static struct supervisor none;	 /* no runtime is enabled */
	struct slot s = {.sup = &none, .t = t, .cold = c, .note_due = true};
	_cleanup_buf_ struct buf b = {0};

	m = (struct wire_slot){0};
	slot_fill(&s, &m);
	wire_encode_slot(&b, &m);
	if (wire_decode_slot((const uint8_t *)b.data + WIRE_HEADER_SIZE, b.len - WIRE_HEADER_SIZE,
			     &back) < 0 ||
	    strcmp(back.key.service, t->service) != 0 || back.n_exits != t->n_exits ||
	    back.note_len != t->note_len)
		abort();
}

static void use(struct table_slot *t, struct table_cold *c)
{
	char cookie[WIRE_INCARNATION_SIZE];

	if (strlen(t->service) >= WIRE_SERVICE_SIZE || strchr(t->service, '/') ||
	    t->service[0] == '.' || strlen(t->incarnation) >= WIRE_INCARNATION_SIZE)
		abort();
	tell(t, c);
	table_push_exit(t, c);
	table_add_cookie(t, c, COOKIE);
	table_id_text(&c->cookies[0], cookie);
	table_drop_cookie(t, c, cookie);
	table_ack_exits(t, c, c->exits[0].seq);
	if (!table_slot_valid(t, c))
		abort();
	tell(t, c);
}

static void look(struct table *t)
{
	const struct table_header *h = t->header;

	if (memcmp(h->magic, "aictltb1", 8) != 0 || h->version != TABLE_LAYOUT ||
	    h->slot_size != sizeof(struct table_slot) ||
	    h->cold_size != sizeof(struct table_cold) || h->n_slots != t->n_slots ||
	    t->n_slots == 0 || t->n_slots > TABLE_SLOTS_MAX || strcmp(h->boot_id, BOOT) != 0)
		abort();
	for (uint32_t i = 0; i < t->n_slots; i++)
		if (table_slot(t, i)->used && table_is_valid(t, i))
			use(table_slot(t, i), table_cold(t, i));
	if (t->n_slots <= 2 * TABLE_STEP && table_grow(t) < 0)
		abort();
}

/* Where what the flags name begins; both slots' flags: the third one. */
static size_t part(uint8_t flags, size_t *ret_size)
{
	unsigned i = flags & SLOT_1 ? 1 + (flags & SLOT_0 ? 1 : 0) : 0;

	*ret_size = flags & COLD ? sizeof(struct table_cold) : sizeof(struct table_slot);
	return flags & COLD ? place.colds[i] : place.slots[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t flags, *file;
	size_t at = 0, span = sizeof(struct table_header), len;
	struct table t;

	if (size < 1)
		return 0;
	if (!place.good)
		make_place();
	flags = *data++;
	size--;
	len = flags & RAW ? size : place.good_len;
	if (flags & (SLOT_0 | SLOT_1))
		at = part(flags, &span);
	file = calloc(1, len > sizeof(struct table_header) ? len : sizeof(struct table_header));
	if (!file)
		abort();
	memcpy(file, flags & RAW ? data : place.good, len);
	if (!(flags & RAW))
		patch(file + at, span, data, size);
	if (flags & IDENTITY)
		restore_identity(file);
	if (open_table(&t, file, len, flags & LONG) == 0)
		look(&t);
	table_close(&t, true);
	free(file);
	return 0;
}
