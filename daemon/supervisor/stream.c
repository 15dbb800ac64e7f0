/* stream: see stream.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/supervisor/slot.h"
#include "daemon/supervisor/stream_fault.h"
#include "daemon/supervisor/supervisor.h"
#include "daemon/supervisor/unit.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/point.h"

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
	if (all->n_used == TABLE_STREAM_WORDS)
		return -EBUSY;
	if (mem_grow(&all->free_intents, &all->cap, all->n_used + 1, sizeof(uint32_t)) < 0)
		return -ENOMEM;
	*ret = all->n_used++;
	return 0;
}

/* The word that a former stream has already, or another one when that is taken. */
static int claim_intent(struct streams *all, uint32_t word, uint32_t *ret)
{
	if (word >= TABLE_STREAM_WORDS)
		return take_intent(all, ret);
	if (word >= all->n_used) {
		if (mem_grow(&all->free_intents, &all->cap, word + 1, sizeof(uint32_t)) < 0)
			return -ENOMEM;
		while (all->n_used < word)
			all->free_intents[all->n_free++] = all->n_used++;
		all->n_used++;
		*ret = word;
		return 0;
	}
	for (uint32_t i = 0; i < all->n_free; i++) {
		if (all->free_intents[i] != word)
			continue;
		all->free_intents[i] = all->free_intents[--all->n_free];
		*ret = word;
		return 0;
	}
	return take_intent(all, ret);
}

/* A pipe whose read end never blocks us. */
static int make_pipe(struct stream_pipe *p)
{
	struct stat st;

	if (pipe2(p->fds, O_CLOEXEC) < 0)
		return -errno;
	if (fcntl(p->fds[0], F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	p->inode = fstat(p->fds[0], &st) < 0 ? 0 : (uint64_t)st.st_ino;
	return 0;
}

static void on_refill(void *user)
{
	struct streams *all = &((struct supervisor *)user)->streams;

	while (all->n_spares < STREAM_SPARES && make_pipe(&all->spares[all->n_spares]) == 0)
		all->n_spares++;
}

void stream_init(struct supervisor *sup)
{
	sup->streams.timer = (struct loop_timer){.fn = on_timer, .user = sup};
	sup->streams.refill = (struct loop_timer){.fn = on_refill, .user = sup};
	vault_init(&sup->streams.vault);
	stream_fault_init(sup);
	steps_init(&sup->streams.steps);
	steps_map(&sup->streams.steps, &sup->table.intents[TABLE_STREAM_WORDS]);
	dying_init(sup);
}

void stream_done(struct supervisor *sup)
{
	loop_timer_disarm(&sup->loop, &sup->streams.timer);
	loop_timer_disarm(&sup->loop, &sup->streams.refill);
	stream_fault_done(sup);
	while (sup->streams.n_spares > 0) {
		int *p = sup->streams.spares[--sup->streams.n_spares].fds;

		mem_closep(&p[0]);
		mem_closep(&p[1]);
	}
	vault_done(&sup->streams.vault);
	dying_done(sup);
	steps_done(&sup->streams.steps);
	mem_free(sup->streams.free_intents);
	sup->streams.free_intents = NULL;
	logwork_done(sup);
}

/* A spare one, or a new one; the service's user may open its write end. */
static int take_pipe(struct supervisor *sup, const struct wire_child *child,
		     struct stream_pipe *ret)
{
	struct streams *all = &sup->streams;
	int r = 0;

	*ret = (struct stream_pipe){.fds = {-1, -1}};
	if (all->n_spares > 0)
		*ret = all->spares[--all->n_spares];
	else
		r = make_pipe(ret);
	if (r == 0 && child->set_user && sup->spawner.root && child->uid != 0 &&
	    fchown(ret->fds[1], child->uid, child->gid) < 0)
		r = -errno;
	if (!all->refill.armed)
		loop_timer_arm(&sup->loop, &all->refill, clock_mono_ms() + REFILL_DELAY_MS);
	return r;
}

/* Newest first: incarnations sort by time. */
static void add_to_slot(struct stream *t)
{
	struct stream **at = &t->slot->streams;

	while (*at && strcmp((*at)->incarnation, t->incarnation) > 0)
		at = &(*at)->next_of_slot;
	t->next_of_slot = *at;
	*at = t;
	t->slot->n_streams++;
}

int stream_new(struct slot *s, const struct stream_opts *o, struct stream **ret, int write_ends[2])
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
	t->logs = *o->logs;
	memcpy(t->incarnation, o->incarnation, sizeof(t->incarnation));
	t->next_of_slot = s->streams;
	s->streams = t;
	s->n_streams++;
	for (int i = 0; i < 2 && r == 0; i++) {
		struct stream_pipe p;

		r = take_pipe(s->sup, o->child, &p);
		t->fds[i] = p.fds[0];
		write_ends[i] = p.fds[1];
		if (!o->beside)
			s->t->pipes[i] = p.inode;
	}
	if (r < 0) {
		stream_free(t);
		mem_closep(&write_ends[0]);
		mem_closep(&write_ends[1]);
		return r;
	}
	*ret = t;
	return 0;
}

static struct stream *find(const struct slot *s, const char *incarnation)
{
	struct stream *t = s->streams;

	while (t && strcmp(t->incarnation, incarnation) != 0)
		t = t->next_of_slot;
	return t;
}

/* Read ends that say end of file, in the place of those that are not there. */
static int fill_with_ends(int fds[2])
{
	for (int i = 0; i < 2; i++) {
		struct stream_pipe p = {.fds = {-1, -1}};
		int r = fds[i] >= 0 ? 0 : make_pipe(&p);

		mem_closep(&p.fds[1]);
		if (fds[i] < 0)
			fds[i] = p.fds[0];
		if (r < 0)
			return r;
	}
	return 0;
}

int stream_adopt(struct slot *s, const struct wire_stream *m, int fds[2], bool instead)
{
	struct stream *t = find(s, m->key.incarnation);
	int r = 0;

	if (t && !instead) {
		mem_closep(&fds[0]);
		mem_closep(&fds[1]);
		return 0;
	}
	if (t)
		stream_free(t);
	t = mem_alloc(sizeof(*t));
	r = t ? claim_intent(&s->sup->streams, m->intent_index, &t->intent) : -ENOMEM;
	if (r < 0) {
		mem_closep(&fds[0]);
		mem_closep(&fds[1]);
		mem_free(t);
		return r;
	}
	t->slot = s;
	memcpy(t->incarnation, m->key.incarnation, sizeof(t->incarnation));
	t->logs = m->logs;
	t->begun = true;
	t->gone = !slot_is_living(s) || strcmp(s->t->incarnation, t->incarnation) != 0;
	r = fill_with_ends(fds);
	t->fds[0] = TAKE_FD(fds[0]);
	t->fds[1] = TAKE_FD(fds[1]);
	add_to_slot(t);
	if (r < 0) { /* no descriptors: the logger gets two ends or nothing */
		stream_free(t);
		return r;
	}
	unit_stream_adopted(s, t);
	stream_submit(t);
	if (strcmp(s->t->incarnation, t->incarnation) == 0)
		s->stream_due = false;
	return r;
}

/* Is fd that pipe? Its name is asked for and not its status: it may be a file on a mount that hangs. */
static bool is_our_pipe(const char *path, uint64_t inode)
{
	char want[32], name[32];
	ssize_t n = readlink(path, name, sizeof(name) - 1);

	name[n > 0 ? n : 0] = '\0';
	snprintf(want, sizeof(want), "pipe:[%llu]", (unsigned long long)inode);
	return strcmp(name, want) == 0;
}

/* O_PATH opens nothing yet: what is looked at is what is opened. */
int stream_reopen(int pid, int n, uint64_t inode)
{
	_cleanup_close_ int at = -1;
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, n);
	at = open(path, O_PATH | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", at);
	if (at < 0 || !is_our_pipe(path, inode)) /* it must not be touched */
		return -1;
	return open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

/* Another read end of the pipe with this inode, when the process has it as stdout or stderr. */
static int reopen(int pid, uint64_t inode)
{
	int fd = -1;

	for (int n = 1; n <= 2 && inode != 0 && fd < 0; n++)
		fd = stream_reopen(pid, n, inode);
	return fd;
}

/* A thread of a logger may have the pipe locked as long as a disk does not answer: to open it would be to wait. */
bool stream_is_stuck(struct slot *s)
{
	return steps_is_other(&s->sup->streams.steps, STEPS_NO_MOUNT, steps_id(s->t->incarnation));
}

/* Into fds, -1 = it has none; s->held says which. */
static void reopen_both(struct slot *s, int fds[2])
{
	s->held = 0;
	for (int i = 0; i < 2; i++) {
		fds[i] = reopen(s->child.pid, s->t->pipes[i]);
		s->held |= (uint8_t)(fds[i] >= 0 ? 1 << i : 0);
	}
}

static void adopt_own(struct slot *s, int fds[2])
{
	struct wire_stream m = {.intent_index = s->t->intent, .logs = slot_logs(s)};
	int r;

	s->stream_due = false;
	supervisor_fill_key(&m.key, s, s->t->incarnation);
	r = stream_adopt(s, &m, fds, false);
	if (r < 0)
		log_error("replica=%s/%u errno=%d its output cannot be stored", s->t->service,
			  s->t->index, -r);
}

bool stream_hold(struct slot *s)
{
	int fds[2];

	if (stream_is_stuck(s)) /* who has it still has it */
		return false;
	reopen_both(s, fds);
	if (s->held == 0)
		return false;
	adopt_own(s, fds);
	return true;
}

void stream_drop_held(struct slot *s)
{
	struct stream *t = s->held ? find(s, s->t->incarnation) : NULL;

	s->held = 0;
	if (t)
		stream_free(t);
}

void stream_say_gap(const struct slot *s)
{
	log_warn("replica=%s/%u pid=%d stdout=%s stderr=%s nobody gave its log pipes back: "
		 "a write in the gap may have met SIGPIPE",
		 s->t->service, s->t->index, s->child.pid, s->held & 1 ? "again" : "lost",
		 s->held & 2 ? "again" : "lost");
}

void stream_remake(struct slot *s, bool say)
{
	int fds[2] = {-1, -1};

	if (child_is_alive(&s->child)) {
		reopen_both(s, fds);
		if (say)
			stream_say_gap(s);
		s->held = 0; /* for good */
	}
	adopt_own(s, fds);
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
void stream_set_logs(struct slot *s, const struct wire_logs *m)
{
	for (struct stream *t = s->streams; t; t = t->next_of_slot) {
		if (memcmp(&t->logs, m, sizeof(*m)) == 0)
			continue;
		t->logs = *m;
		if (t->submitted)
			stream_submit(t);
	}
	link_flush(&s->sup->logger.link);
}

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

/* It is told properly, or over. */
static void leave_vault(struct stream *t)
{
	for (; t->in_vault > 0; t->in_vault--)
		vault_drop(&t->slot->sup->streams.vault);
}

/* Of its living process, or -1. */
static int pidfd_of(const struct stream *t)
{
	const struct slot *s = t->slot;

	return !t->gone && child_is_alive(&s->child) &&
			       strcmp(s->t->incarnation, t->incarnation) == 0
		       ? s->child.pidfd
		       : -1;
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
	leave_vault(t);
	stream_fault_end(t);
	mem_closep(&t->fds[0]);
	mem_closep(&t->fds[1]);
	all->free_intents[all->n_free++] = t->intent;
	mem_free(t);
}

static void put_into_vault(struct stream *t)
{
	struct wire_stream m = {.intent_index = t->intent, .logs = t->logs};
	struct supervisor *sup = t->slot->sup;
	const int fds[3] = {t->fds[0], t->fds[1], pidfd_of(t)};
	struct buf *out = &sup->logger.link.out;

	supervisor_fill_key(&m.key, t->slot, t->incarnation);
	buf_clear(out);
	wire_encode_stream(out, &m);
	t->in_vault += vault_put(&sup->streams.vault, out, fds, fds[2] < 0 ? 2 : 3);
}

static void refill_vault(struct supervisor *sup)
{
	vault_empty(&sup->streams.vault);
	for (uint32_t i = 0; i < sup->n_slots; i++)
		for (struct stream *t = sup->slots[i] ? sup->slots[i]->streams : NULL; t;
		     t = t->next_of_slot)
			if (t->in_vault > 0) {
				t->in_vault = 0;
				put_into_vault(t);
			}
}

void stream_announce(struct slot *s, const char *incarnation)
{
	struct stream *t = find(s, incarnation);

	if (!t)
		return;
	if (vault_is_stale(&s->sup->streams.vault))
		refill_vault(s->sup);
	put_into_vault(t);
	if (t->in_vault == 0) {
		stream_submit(t);
		link_flush(&s->sup->logger.link);
	}
	POINT("aictld.spawn.announced");
}

void stream_cloned(struct slot *s, const char *incarnation)
{
	struct stream *t = find(s, incarnation);

	if (t && t->in_vault > 0)
		put_into_vault(t);
}

void stream_begin(struct slot *s, const char *incarnation)
{
	struct stream *t = find(s, incarnation);

	if (!t)
		return;
	t->begun = true;
	stream_submit(t);
}

void stream_end(struct slot *s, const char *incarnation)
{
	struct stream *t = find(s, incarnation);

	if (!t)
		return;
	if (t->submitted && (t->begun || !t->send_due))
		stream_gone(t);
	else
		stream_free(t); /* it never ran, so it wrote nothing */
}

void stream_connected(struct supervisor *sup)
{
	sup->streams.hello_due = true;
	vault_renew(&sup->streams.vault);
	dying_renew(sup);
	stream_fault_connected(sup);
	for (uint32_t i = 0; i < sup->n_slots; i++) {
		if (!sup->slots[i])
			continue;
		for (struct stream *t = sup->slots[i]->streams; t; t = t->next_of_slot) {
			t->submitted |= t->in_vault > 0;
			t->in_vault = 0; /* it is another one */
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
	int vault = sup->streams.vault.fds[1], witness = dying_fd(sup);
	const int fds[4] = {sup->table.intent_fd, sup->own_log_read_fd, vault, witness};
	struct wire_hello m;

	supervisor_fill_hello(sup, &m);
	buf_clear(&l->out);
	wire_encode_hello(&l->out, &m);
	if (!link_send(l, fds, vault < 0 ? 2 : witness < 0 ? 3 : 4))
		return false;
	dying_sent(sup);
	return true;
}

static bool send_level(struct link *l)
{
	buf_clear(&l->out);
	wire_encode_u32(&l->out, WIRE_LOG_LEVEL, (uint32_t)log_level_get());
	return link_send(l, NULL, 0);
}

/* The end of file alone would tell it that we died. */
static bool send_quit(struct link *l)
{
	buf_clear(&l->out);
	wire_encode_empty(&l->out, WIRE_QUIT);
	if (!link_send(l, NULL, 0))
		return false;
	shutdown(l->fd, SHUT_WR); /* what it still says can be read */
	return true;
}

void stream_log_level(struct supervisor *sup)
{
	sup->table.header->log_level = 1 + (uint32_t)log_level_get();
	sup->streams.level_due = true;
	link_flush(&sup->logger.link);
}

static bool send_stream(struct link *l, struct stream *t)
{
	struct wire_stream m = {.intent_index = t->intent, .logs = t->logs, .gone = t->gone};
	const int fds[3] = {t->fds[0], t->fds[1], pidfd_of(t)};

	supervisor_fill_key(&m.key, t->slot, t->incarnation);
	buf_clear(&l->out);
	if (t->send_due) {
		wire_encode_stream(&l->out, &m);
		if (!link_send(l, fds, fds[2] < 0 ? 2 : 3))
			return false;
		POINT("aictld.drain.stream_sent");
		leave_vault(t);
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
	if (!logwork_send_work(&h->link))
		return;
	giveback_quit(h->sup);
	if (all->quit_due && send_quit(&h->link))
		all->quit_due = false;
}

void stream_quit(struct supervisor *sup)
{
	sup->streams.quit_due = true;
	link_flush(&sup->logger.link);
}

static void drained(struct supervisor *sup, const struct wire_key *key)
{
	struct slot *s = slot_find(sup, key);

	for (struct stream *t = s ? s->streams : NULL; t; t = t->next_of_slot) {
		if (strcmp(t->incarnation, key->incarnation) != 0)
			continue;
		POINT("aictld.drain.told");
		stream_free(t);
		slot_drained(s);
		POINT("aictld.drain.dropped");
		return;
	}
}

void stream_packet(void *user, struct wire_packet *p)
{
	struct helper *h = user;
	struct wire_log_fault fault;
	struct wire_key key;

	if (p->type == WIRE_DRAINED && wire_decode_key(p->body, p->len, &key) == 0)
		drained(h->sup, &key);
	else if (p->type == WIRE_LOG_FAULT &&
		 wire_logs_decode_fault(p->body, p->len, &key, &fault) == 0)
		stream_fault_take(h->sup, &key, &fault);
	else if (p->type == WIRE_LOG_DONE && logwork_answer(h->sup, p) == 0)
		return;
	else
		log_warn("helper=%s sent an unexpected %s, ignoring", h->name,
			 wire_type_name(p->type));
}
