/* forward: see forward.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/forward.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "daemon/logger/journal.h"
#include "daemon/logger/journal_line.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/logview.h"
#include "lib/mem.h"

#define STACK_SIZE (256 << 10)
#define FILES_MAX 32	     /* replicas of a service with open files */
#define FAIR_LINES 512	     /* of one service, then it is the next one's turn */
#define SAVE_MS 1000	     /* FORWARD_FILE is so late */
#define FIRST_BACKOFF_MS 100 /* journald takes nothing */
#define MAX_BACKOFF_MS 30000
#define FORMER_MS 30000 /* an incarnation of the file that nobody names is over then */
#define REOPEN_MS 5000	/* a view that failed */
#define YOUNG_MS 10000	/* of an older incarnation only what comes from now on is wanted */
#define TELL_MS 10000	/* what was lost is told so often */
#define FULL_MS 5000	/* a socket that is full for so long is one that nobody reads */
#define LAST_MS 500	/* at the end */
#define BATCH_MS 10	/* lines that come one by one are sent together */
#define DATAGRAM_MAX (LOGVIEW_LINE_MAX + 4096)

/* ---- the main thread's side ---- */

static void wake(struct forward *f)
{
	const uint64_t one = 1;

	if (write(f->wake_fd, &one, sizeof(one)) < 0)
		log_debug("error=\"%s\" cannot wake the journal's thread", strerror(errno));
}

void forward_init(struct forward *f, const char *log_dir, const char *socket)
{
	*f = (struct forward){
		.log_dir = log_dir, .socket = socket, .wake_fd = -1, .dir_fd = -1, .fd = -1};
}

static void *run(void *user);

static int start(struct forward *f)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int r;

	f->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (f->wake_fd < 0)
		return -errno;
	pthread_mutex_init(&f->lock, NULL);
	r = pthread_attr_init(&attr);
	if (r == 0) {
		pthread_attr_setstacksize(&attr, STACK_SIZE);
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		r = pthread_create(&f->thread, &attr, run, f);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		pthread_attr_destroy(&attr);
	}
	if (r != 0)
		mem_closep(&f->wake_fd);
	f->started = r == 0;
	return -r;
}

static void order(struct forward *f, const struct wire_key *key, uint64_t revision,
		  enum forward_what what)
{
	int r;

	pthread_mutex_lock(&f->lock);
	r = mem_grow(&f->orders, &f->cap_orders, f->n_orders + 1, sizeof(*f->orders));
	if (r == 0)
		f->orders[f->n_orders++] = (struct forward_order){*key, revision, what};
	pthread_mutex_unlock(&f->lock);
	if (r < 0)
		log_error("service=%s/%u out of memory: its lines do not reach the journal",
			  key->service, key->index);
	wake(f);
}

void forward_stream(struct forward *f, const struct wire_stream *m)
{
	bool wanted = m->logs.flags & WIRE_LOGS_JOURNALD;
	int r = wanted && !f->started ? start(f) : 0;

	if (r < 0)
		log_error("error=\"%s\" no lines of %s reach the journal", strerror(-r),
			  m->key.service);
	if (f->started)
		order(f, &m->key, m->logs.revision, wanted ? FORWARD_WANTED : FORWARD_UNWANTED);
}

void forward_over(struct forward *f, const struct wire_key *key)
{
	if (f->started)
		order(f, key, 0, FORWARD_OVER);
}

bool forward_done(struct forward *f, int64_t max_ms)
{
	struct timespec until;

	if (!f->started)
		return true;
	pthread_mutex_lock(&f->lock);
	f->stop = true;
	pthread_mutex_unlock(&f->lock);
	wake(f);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += max_ms / 1000;
	if (pthread_clockjoin_np(f->thread, NULL, CLOCK_MONOTONIC, &until) != 0)
		return false;
	pthread_mutex_destroy(&f->lock);
	forward_state_done(&f->state);
	buf_done(&f->datagram);
	mem_closep(&f->fd);
	mem_closep(&f->dir_fd);
	mem_closep(&f->wake_fd);
	mem_free(f->orders);
	f->started = false;
	return true;
}

/* ---- orders ---- */

static void close_view(struct forward_service *s)
{
	s->view = logview_free(s->view);
	s->dry = false;
	s->retry_mono_ms = 0;
}

static void want(struct forward *f, const struct forward_order *o)
{
	struct forward_service *s = forward_state_add(&f->state, o->key.service);
	struct forward_replica *r;
	struct forward_replica fresh = {.index = o->key.index, .revision = o->revision};
	int64_t now = clock_wall_ms();

	if (!s)
		return;
	f->dirty = true;
	r = forward_state_replica(s, o->key.index, o->key.incarnation);
	if (r) {
		r->revision = o->revision;
		r->former = false;
		return;
	}
	snprintf(fresh.incarnation, sizeof(fresh.incarnation), "%s", o->key.incarnation);
	if (forward_state_add_replica(s, &fresh) < 0)
		log_warn("service=%s/%u too many incarnations wait for the journal", s->name,
			 fresh.index);
	if (s->view && strcmp(fresh.incarnation, s->first) < 0)
		close_view(s);
	if (!s->view && s->sent_ms == 0 &&
	    now - logidx_incarnation_ms(fresh.incarnation) > YOUNG_MS)
		s->sent_ms = now;
}

static void follow_order(struct forward *f, const struct forward_order *o)
{
	struct forward_service *s;
	struct forward_replica *r;

	if (o->what == FORWARD_WANTED) {
		want(f, o);
		return;
	}
	s = forward_state_find(&f->state, o->key.service);
	r = s ? forward_state_replica(s, o->key.index, o->key.incarnation) : NULL;
	if (!r)
		return;
	f->dirty = true;
	r->over = true;
	if (o->what == FORWARD_UNWANTED)
		*r = s->v[--s->n];
}

/* True: the end is near. */
static bool take_orders(struct forward *f)
{
	struct forward_order *orders;
	size_t n;
	bool stop;

	pthread_mutex_lock(&f->lock);
	orders = f->orders;
	n = f->n_orders;
	stop = f->stop;
	f->orders = NULL;
	f->n_orders = f->cap_orders = 0;
	pthread_mutex_unlock(&f->lock);
	for (size_t i = 0; i < n; i++)
		follow_order(f, &orders[i]);
	mem_free(orders);
	return stop;
}

/* ---- waiting ---- */

/* For fd (-1 = none), an order, or the time. */
static void pause_for(struct forward *f, int fd, short events, int64_t ms)
{
	struct pollfd p[2] = {{.fd = f->wake_fd, .events = POLLIN}, {.fd = fd, .events = events}};
	uint64_t n;

	poll(p, 2, (int)ms);
	if (p[0].revents & POLLIN && read(f->wake_fd, &n, sizeof(n)) < 0)
		log_debug("error=\"%s\" eventfd", strerror(errno));
}

/* Is it over with sending? With the end near there is a little time left. */
static bool must_end(struct forward *f)
{
	if (!take_orders(f))
		return false;
	if (f->last_mono_ms == 0)
		f->last_mono_ms = clock_mono_ms() + LAST_MS;
	return clock_mono_ms() >= f->last_mono_ms;
}

static void back_off(struct forward *f)
{
	int64_t ms = f->backoff_ms ? f->backoff_ms : FIRST_BACKOFF_MS;

	if (f->last_mono_ms && ms > LAST_MS / 2)
		ms = LAST_MS / 2;
	f->backoff_ms = ms * 2 > MAX_BACKOFF_MS ? MAX_BACKOFF_MS : ms * 2;
	pause_for(f, -1, 0, ms);
}

/* ---- sending ---- */

static void say_unreachable(struct forward *f, int e)
{
	if (!f->told_unreachable)
		log_warn("error=\"%s\" %s takes no lines; they wait in their files", strerror(e),
			 f->socket);
	f->told_unreachable = true;
}

static void say_reached(struct forward *f)
{
	if (f->told_unreachable)
		log_info("%s takes lines again", f->socket);
	f->told_unreachable = false;
	f->backoff_ms = 0;
	f->full_mono_ms = 0;
}

/* Waits until it can take something. */
static void wait_for_room(struct forward *f)
{
	int64_t now = clock_mono_ms(), told = f->full_mono_ms + FULL_MS;

	if (f->full_mono_ms == 0) {
		f->full_mono_ms = now;
		told = now + FULL_MS;
	} else if (now >= told) {
		say_unreachable(f, EAGAIN);
	}
	pause_for(f, f->fd, POLLOUT, now < told ? told - now : MAX_BACKOFF_MS);
}

/* A try. 1 = sent; 0 = again; -1 = journald does not want this line. */
static int try_to_send(struct forward *f)
{
	if (f->fd < 0) {
		f->fd = journal_connect(f->socket);
		if (f->fd < 0) {
			say_unreachable(f, -f->fd);
			f->fd = -1;
			back_off(f);
			return 0;
		}
	}
	if (send(f->fd, f->datagram.data, f->datagram.len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 1;
	switch (errno) {
	case EINTR:
		return 0;
	case EAGAIN:
		wait_for_room(f);
		return 0;
	case ENOBUFS:
	case ENOMEM:
		back_off(f);
		return 0;
	case EMSGSIZE:
		return -1;
	default:
		say_unreachable(f, errno);
		mem_closep(&f->fd);
		back_off(f);
		return 0;
	}
}

/* False: the end comes first. */
static bool send_line(struct forward *f, const struct forward_service *s,
		      const struct forward_replica *r, const struct logview_line *l)
{
	int sent;

	buf_clear(&f->datagram);
	f->datagram.limit = DATAGRAM_MAX;
	journal_line_encode(&f->datagram, &(struct journal_line){.service = s->name,
								 .incarnation = r->incarnation,
								 .index = r->index,
								 .stream = l->stream,
								 .revision = r->revision,
								 .wall_ms = l->wall_ms,
								 .text = l->text,
								 .len = l->len});
	if (f->datagram.failed) {
		f->refused++;
		return true;
	}
	while ((sent = try_to_send(f)) == 0)
		if (must_end(f))
			return false;
	f->refused += sent < 0;
	say_reached(f);
	return true;
}

static void tell_losses(struct forward *f)
{
	int64_t now = clock_mono_ms();

	if ((!f->refused && !f->lost) || now - f->told_mono_ms < TELL_MS)
		return;
	log_warn("lines=%llu files=%llu journald did not take these lines; these log files were "
		 "rotated away before it had taken theirs",
		 (unsigned long long)f->refused, (unsigned long long)f->lost);
	f->told_mono_ms = now;
	f->refused = f->lost = 0;
}

/* ---- a service ---- */

static void open_view(struct forward *f, struct forward_service *s)
{
	_cleanup_err_ struct err *e = NULL;
	struct logview_opts o = {.log_dir = f->log_dir,
				 .service = s->name,
				 .index = -1,
				 .tail = -1,
				 .follow = true,
				 .since_ms = s->sent_ms,
				 .first_incarnation = s->first,
				 .files_max = FILES_MAX};

	if (s->n == 0 || clock_mono_ms() < s->retry_mono_ms)
		return;
	memcpy(s->first, s->v[0].incarnation, sizeof(s->first));
	for (size_t i = 1; i < s->n; i++)
		if (strcmp(s->v[i].incarnation, s->first) < 0)
			memcpy(s->first, s->v[i].incarnation, sizeof(s->first));
	s->lost_told = 0;
	if (logview_open(&o, &s->view, &e) < 0) {
		log_warn("service=%s error=\"%s\" cannot be read for the journal", s->name,
			 err_msg(e));
		s->view = NULL;
		s->retry_mono_ms = clock_mono_ms() + REOPEN_MS;
	}
}

/* All there is was sent. */
static void forget_what_is_over(struct forward *f, struct forward_service *s)
{
	bool late = clock_mono_ms() - f->began_mono_ms > FORMER_MS;

	for (size_t i = s->n; i-- > 0;) {
		if (!s->v[i].over && !(s->v[i].former && late))
			continue;
		s->v[i] = s->v[--s->n];
		f->dirty = true;
	}
}

static void count_losses(struct forward *f, struct forward_service *s)
{
	uint64_t lost = logview_lost(s->view);

	f->lost += lost - s->lost_told;
	s->lost_told = lost;
}

/* True: there may be more of it. */
static bool send_some(struct forward *f, struct forward_service *s)
{
	_cleanup_err_ struct err *e = NULL;
	struct logview_line l;
	bool was_dry = s->dry;
	int r = 0, n = 0;

	for (; n < FAIR_LINES && (r = logview_next(s->view, &l, &e)) == 1; n++) {
		struct forward_replica *of = forward_state_replica(s, l.index, l.incarnation);

		if (!of && !must_end(f)) /* its order may have come meanwhile */
			of = s->view ? forward_state_replica(s, l.index, l.incarnation) : NULL;
		if (!s->view)
			return true; /* the order was about an older one */
		if (!of)
			continue;
		if (!send_line(f, s, of, &l))
			return false;
		if (l.wall_ms > s->sent_ms)
			s->sent_ms = l.wall_ms;
		f->dirty = true;
		if (!s->view) /* an order closed it */
			return true;
	}
	count_losses(f, s);
	if (r < 0) {
		log_warn("service=%s error=\"%s\" cannot be read for the journal", s->name,
			 err_msg(e));
		close_view(s);
		s->retry_mono_ms = clock_mono_ms() + REOPEN_MS;
		return false;
	}
	s->dry = r == 0;
	if (r == 1 || !was_dry || n > 0)
		return true;
	if (logview_holds_ms(s->view) == 0)
		forget_what_is_over(f, s);
	return false;
}

/* True: there may be more. */
static bool send_all(struct forward *f)
{
	bool more = false;

	for (size_t i = f->state.n; i-- > 0;) {
		struct forward_service *s = f->state.v[i];

		if (!s->view)
			open_view(f, s);
		if (s->view)
			more |= send_some(f, s);
		if (s->n == 0)
			forward_state_remove(&f->state, i);
		if (f->last_mono_ms && clock_mono_ms() >= f->last_mono_ms)
			return false;
	}
	return more;
}

/* ---- the thread ---- */

static void save(struct forward *f)
{
	int r = forward_state_save(&f->state, f->dir_fd);

	if (r < 0)
		log_debug("error=\"%s\" cannot remember what the journal has", strerror(-r));
	f->saved_mono_ms = clock_mono_ms();
	f->dirty = r < 0;
}

static int64_t sooner(int64_t a, int64_t b)
{
	b = b < 0 ? 0 : b;
	return a < 0 || b < a ? b : a;
}

/* Until there is more, or something is due; -1 = nothing is. */
static int64_t idle_ms(const struct forward *f)
{
	int64_t ms = -1, now = clock_mono_ms();

	if (f->dirty)
		ms = sooner(ms, f->saved_mono_ms + SAVE_MS - now);
	if (f->refused || f->lost)
		ms = sooner(ms, f->told_mono_ms + TELL_MS - now);
	for (size_t i = 0; i < f->state.n; i++) {
		const struct forward_service *s = f->state.v[i];

		if (!s->view)
			ms = sooner(ms, s->retry_mono_ms - now);
		else if (logview_holds_ms(s->view) > 0)
			ms = sooner(ms, logview_holds_ms(s->view));
		else if (logview_fd(s->view) < 0)
			ms = sooner(ms, SAVE_MS);
		for (size_t k = 0; k < s->n; k++)
			if (s->v[k].former)
				ms = sooner(ms, f->began_mono_ms + FORMER_MS + 1 - now);
	}
	return ms;
}

static void wait_for_more(struct forward *f)
{
	struct pollfd *p = mem_array(f->state.n + 1, sizeof(*p));
	int64_t ms = idle_ms(f);
	nfds_t n = 0;
	uint64_t woken;

	if (!p) {
		pause_for(f, -1, 0, SAVE_MS);
		return;
	}
	p[n++] = (struct pollfd){.fd = f->wake_fd, .events = POLLIN};
	for (size_t i = 0; i < f->state.n; i++)
		if (f->state.v[i]->view)
			p[n++] = (struct pollfd){.fd = logview_fd(f->state.v[i]->view),
						 .events = POLLIN};
	if (poll(p, n, (int)ms) > 0 && p[0].revents == 0)
		pause_for(f, -1, 0, BATCH_MS);
	if (p[0].revents && read(f->wake_fd, &woken, sizeof(woken)) < 0)
		log_debug("error=\"%s\" eventfd", strerror(errno));
	mem_free(p);
}

/* Opens the directory, and waits for a logger before this one. False: the end comes first. */
static bool begin(struct forward *f)
{
	for (;;) {
		f->dir_fd = open(f->log_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (f->dir_fd >= 0 && flock(f->dir_fd, LOCK_EX | LOCK_NB) == 0)
			break;
		mem_closep(&f->dir_fd);
		if (must_end(f))
			return false;
		pause_for(f, -1, 0, SAVE_MS);
	}
	if (forward_state_load(&f->state, f->dir_fd) < 0)
		log_warn("cannot read what the journal has");
	return true;
}

static void *run(void *user)
{
	struct forward *f = user;

	f->began_mono_ms = clock_mono_ms();
	f->saved_mono_ms = f->told_mono_ms = f->began_mono_ms - TELL_MS;
	if (!begin(f))
		return NULL;
	while (!must_end(f)) {
		bool more;

		if (f->dirty && clock_mono_ms() - f->saved_mono_ms >= SAVE_MS)
			save(f);
		more = send_all(f);
		tell_losses(f);
		if (f->last_mono_ms && !more)
			break;
		if (!more)
			wait_for_more(f);
	}
	save(f);
	return NULL;
}
