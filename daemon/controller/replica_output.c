/* replica_output: see replica_output.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/replica_output.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <uv.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_push.h"
#include "daemon/controller/service.h"
#include "lib/mem.h"

struct output_look {
	struct output_look *next;
	struct wire_key key; /* the replica may be gone when the answer comes */
	char *dir;
	uint64_t bytes;
};

/* What one worker looks at, one after the other. */
struct output_batch {
	struct log_work work;
	struct controller *c;
	struct output_look *first;
};

static void free_looks(struct output_look *l)
{
	while (l) {
		struct output_look *next = l->next;

		mem_free(l->dir);
		mem_free(l);
		l = next;
	}
}

/* The segments of an incarnation: INCARNATION-SEQ.log. */
static void add_up(struct output_look *l)
{
	DIR *dir = opendir(l->dir);
	const struct dirent *e;
	struct stat st;

	while (dir && (e = readdir(dir)))
		if (strncmp(e->d_name, l->key.incarnation, WIRE_INCARNATION_SIZE - 1) == 0 &&
		    fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			l->bytes += (uint64_t)st.st_size;
	if (dir)
		closedir(dir);
}

static void work(struct log_work *w)
{
	struct output_batch *b = w->user;

	for (struct output_look *l = b->first; l; l = l->next)
		add_up(l);
}

static void begin(struct controller *c);

static void tell(const struct controller *c, const struct output_look *l)
{
	struct service *s = controller_find(c, l->key.service);
	struct replica *r = s ? service_replica(s, l->key.index) : NULL;

	if (r && strcmp(r->incarnation, l->key.incarnation) == 0)
		replica_push_wrote(r, l->bytes);
}

static void on_worked(struct log_work *w, bool was_read)
{
	struct output_batch *b = w->user;
	struct controller *c = b->c;

	c->output_busy = false;
	for (const struct output_look *l = c->closed || !was_read ? NULL : b->first; l; l = l->next)
		tell(c, l);
	free_looks(b->first);
	mem_free(b);
	if (c->closed) {
		free_looks(TAKE_PTR(c->output_due));
	} else if (c->output_due && !c->output_busy) {
		begin(c);
	}
}

/* All that is due goes to one worker. Who gets no answer knows nothing. */
static void begin(struct controller *c)
{
	struct output_batch *b = mem_alloc(sizeof(*b));
	struct output_look *due = TAKE_PTR(c->output_due);

	if (!b) {
		free_looks(due);
		return;
	}
	*b = (struct output_batch){.c = c, .first = due};
	b->work = (struct log_work){.read = work, .done = on_worked, .user = b};
	c->output_busy = true;
	log_work_start(c, &b->work);
}

static bool is_due(const struct controller *c, const struct wire_key *key)
{
	for (const struct output_look *l = c->output_due; l; l = l->next)
		if (wire_key_equal(&l->key, key))
			return true;
	return false;
}

bool replica_output_ask(struct replica *r)
{
	struct controller *c = r->service->controller;
	struct wire_key key = replica_key(r);
	struct output_look *l;

	if (is_due(c, &key)) /* the disk is slow */
		return true;
	l = mem_alloc(sizeof(*l));
	if (l)
		l->dir = mem_printf("%s/%s/%u", c->opts.log_dir, r->service->name, r->index);
	if (!l || !l->dir) {
		mem_free(l);
		return false;
	}
	l->key = key;
	l->next = c->output_due;
	c->output_due = l;
	if (!c->output_busy)
		begin(c);
	return true;
}
