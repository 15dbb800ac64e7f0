/* stream: see stream.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "daemon/supervisor/slot.h"
#include "daemon/supervisor/supervisor.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"

#define GONE_DELAY_MS 50
#define REFILL_DELAY_MS 10

static void on_timer(void *user)
{
	struct supervisor *sup = user;

	link_flush(&sup->logger.link);
}

/* Makes sure that freeing the word cannot fail. */
static int take_intent(struct streams *all, uint32_t *ret)
{
	if (all->n_free > 0) {
		*ret = all->free_intents[--all->n_free];
		return 0;
	}
	if (all->n_used == TABLE_INTENTS)
		return -EBUSY;
	if (mem_grow(&all->free_intents, &all->cap, all->n_used + 1, sizeof(uint32_t)) < 0)
		return -ENOMEM;
	*ret = all->n_used++;
	return 0;
}

/* A pipe whose read end never blocks us. */
static int make_pipe(int p[2])
{
	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	return fcntl(p[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static void on_refill(void *user)
{
	struct streams *all = &((struct supervisor *)user)->streams;

	while (all->n_spares < STREAM_SPARES && make_pipe(all->spares[all->n_spares]) == 0)
		all->n_spares++;
}

void stream_init(struct supervisor *sup)
{
	sup->streams.timer = (struct loop_timer){.fn = on_timer, .user = sup};
	sup->streams.refill = (struct loop_timer){.fn = on_refill, .user = sup};
}

void stream_done(struct supervisor *sup)
{
	loop_timer_disarm(&sup->loop, &sup->streams.timer);
	loop_timer_disarm(&sup->loop, &sup->streams.refill);
	while (sup->streams.n_spares > 0) {
		int *p = sup->streams.spares[--sup->streams.n_spares];

		mem_closep(&p[0]);
		mem_closep(&p[1]);
	}
	mem_free(sup->streams.free_intents);
	sup->streams.free_intents = NULL;
}

/* A spare one, or a new one; the service's user may open its write end. */
static int take_pipe(struct supervisor *sup, const struct wire_spawn *m, int *read_end,
		     int *write_end)
{
	struct streams *all = &sup->streams;
	int p[2] = {-1, -1}, r = 0;

	if (all->n_spares > 0)
		memcpy(p, all->spares[--all->n_spares], sizeof(p));
	else
		r = make_pipe(p);
	*read_end = p[0];
	*write_end = p[1];
	if (r == 0 && m->child.set_user && sup->spawner.root && m->child.uid != 0 &&
	    fchown(p[1], m->child.uid, m->child.gid) < 0)
		r = -errno;
	if (!all->refill.armed)
		loop_timer_arm(&sup->loop, &all->refill, clock_mono_ms() + REFILL_DELAY_MS);
	return r;
}

int stream_new(struct slot *s, const struct wire_spawn *m, struct stream **ret, int write_ends[2])
{
	struct streams *all = &s->sup->streams;
	struct stream *t = mem_alloc(sizeof(*t));
	int r = 0;

	write_ends[0] = write_ends[1] = -1;
	if (!t)
		return -ENOMEM;
	r = take_intent(all, &t->intent);
	if (r < 0) {
		mem_free(t);
		return r;
	}
	t->slot = s;
	t->fds[0] = t->fds[1] = -1;
	t->max_size = m->log_max_size;
	t->max_files = m->log_max_files;
	memcpy(t->incarnation, m->key.incarnation, sizeof(t->incarnation));
	t->next_of_slot = s->streams;
	s->streams = t;
	s->n_streams++;
	for (int i = 0; i < 2 && r == 0; i++)
		r = take_pipe(s->sup, m, &t->fds[i], &write_ends[i]);
	if (r < 0) {
		stream_free(t);
		mem_closep(&write_ends[0]);
		mem_closep(&write_ends[1]);
		return r;
	}
	*ret = t;
	return 0;
}

static void mark(struct stream *t)
{
	struct streams *all = &t->slot->sup->streams;

	if (t->dirty)
		return;
	t->dirty = true;
	t->next_dirty = NULL;
	t->prev_dirty = all->last;
	if (all->last)
		all->last->next_dirty = t;
	else
		all->first = t;
	all->last = t;
}

static void unmark(struct stream *t)
{
	struct streams *all = &t->slot->sup->streams;

	if (!t->dirty)
		return;
	t->dirty = false;
	if (t->prev_dirty)
		t->prev_dirty->next_dirty = t->next_dirty;
	else
		all->first = t->next_dirty;
	if (t->next_dirty)
		t->next_dirty->prev_dirty = t->prev_dirty;
	else
		all->last = t->prev_dirty;
}

void stream_submit(struct stream *t)
{
	t->submitted = t->send_due = true;
	mark(t);
}

/* Not at once: the logger sees the end of file by itself, and mostly says DRAINED before this is
 * due. On the restart path it would only take a processor from those who work there. */
void stream_gone(struct stream *t)
{
	struct supervisor *sup = t->slot->sup;

	t->gone = true;
	if (!sup->streams.timer.armed)
		loop_timer_arm(&sup->loop, &sup->streams.timer, clock_mono_ms() + GONE_DELAY_MS);
	if (!t->send_due) { /* else the STREAM message will say it */
		t->gone_due = true;
		mark(t);
	}
}

void stream_free(struct stream *t)
{
	struct slot *s = t->slot;
	struct streams *all = &s->sup->streams;
	struct stream **at = &s->streams;

	while (*at && *at != t)
		at = &(*at)->next_of_slot;
	if (*at) {
		*at = t->next_of_slot;
		s->n_streams--;
	}
	unmark(t);
	mem_closep(&t->fds[0]);
	mem_closep(&t->fds[1]);
	all->free_intents[all->n_free++] = t->intent;
	mem_free(t);
}

void stream_connected(struct supervisor *sup)
{
	sup->streams.hello_due = true;
	for (uint32_t i = 0; i < sup->n_slots; i++) {
		if (!sup->slots[i])
			continue;
		for (struct stream *t = sup->slots[i]->streams; t; t = t->next_of_slot) {
			if (!t->submitted)
				continue;
			t->send_due = true;
			t->gone_due = false;
			mark(t);
		}
	}
}

static bool send_hello(struct supervisor *sup)
{
	struct link *l = &sup->logger.link;
	int fds[2] = {sup->table.intent_fd, sup->own_log_read_fd};
	struct wire_hello m;

	supervisor_fill_hello(sup, &m);
	buf_clear(&l->out);
	wire_encode_hello(&l->out, &m);
	return link_send(l, fds, 2);
}

static bool send_level(struct link *l)
{
	buf_clear(&l->out);
	wire_encode_u32(&l->out, WIRE_LOG_LEVEL, (uint32_t)log_level_get());
	return link_send(l, NULL, 0);
}

void stream_log_level(struct supervisor *sup)
{
	sup->streams.level_due = true;
	link_flush(&sup->logger.link);
}

static bool send_stream(struct link *l, struct stream *t)
{
	struct wire_stream m = {.intent_index = t->intent,
				.max_size = t->max_size,
				.max_files = t->max_files,
				.gone = t->gone};

	supervisor_fill_key(&m.key, t->slot, t->incarnation);
	buf_clear(&l->out);
	if (t->send_due) {
		wire_encode_stream(&l->out, &m);
		if (!link_send(l, t->fds, 2))
			return false;
		t->send_due = t->gone_due = false;
	} else if (t->gone_due) {
		wire_encode_key(&l->out, WIRE_GONE, &m.key);
		if (!link_send(l, NULL, 0))
			return false;
		t->gone_due = false;
	}
	return true;
}

void stream_flush(void *user)
{
	struct helper *h = user;
	struct streams *all = &h->sup->streams;

	if (all->hello_due) {
		if (!send_hello(h->sup))
			return;
		all->hello_due = all->level_due = false;
	}
	if (all->level_due) {
		if (!send_level(&h->link))
			return;
		all->level_due = false;
	}
	while (all->first) {
		struct stream *t = all->first;

		if (!send_stream(&h->link, t))
			return;
		unmark(t);
	}
}

static void drained(struct supervisor *sup, const struct wire_key *key)
{
	struct slot *s = slot_find(sup, key);

	for (struct stream *t = s ? s->streams : NULL; t; t = t->next_of_slot) {
		if (strcmp(t->incarnation, key->incarnation) != 0)
			continue;
		stream_free(t);
		slot_drained(s);
		return;
	}
}

void stream_packet(void *user, struct wire_packet *p)
{
	struct helper *h = user;
	struct wire_key key;

	if (p->type == WIRE_DRAINED && wire_decode_key(p->body, p->len, &key) == 0)
		drained(h->sup, &key);
	else
		log_warn("helper=%s sent an unexpected %s, ignoring", h->name,
			 wire_type_name(p->type));
}
