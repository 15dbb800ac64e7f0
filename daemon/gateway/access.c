/* access: see access.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/gateway/access.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/gateway/client.h"
#include "daemon/gateway/exchange.h"
#include "daemon/gateway/gateway.h"
#include "daemon/gateway/head.h"
#include "daemon/gateway/routes.h"
#include "lib/clock.h"
#include "lib/jsonw.h"
#include "lib/log.h"
#include "lib/mem.h"

#define NAME "access.log"
#define GATHER_MS 100
#define AT_ONCE 65536u /* so much is not gathered */
#define CLOSE_MS 2000
#define TARGET_MAX 2048u
#define METHOD_SIZE 24

struct access_record {
	int64_t began_wall_ms;
	char service[WIRE_SERVICE_SIZE], port[WIRE_ROUTES_NAME_SIZE];
	bool is_tcp, at_replica, whole, ours;
	uint32_t replica;
	uint64_t revision;
	unsigned status; /* 0: none */
	char method[METHOD_SIZE];
	size_t target_len;
	char target[];
};

/* ---- the worker ---- */

static void rotate(struct access *a)
{
	char from[32], to[32];

	for (int i = ACCESS_FILES; i > 0; i--) {
		snprintf(to, sizeof(to), NAME ".%d", i);
		if (i > 1)
			snprintf(from, sizeof(from), NAME ".%d", i - 1);
		else
			snprintf(from, sizeof(from), NAME);
		renameat(a->dir_fd, from, a->dir_fd, to);
	}
}

/* Somebody has moved it away: another gateway, or logrotate. */
static bool is_moved(struct access *a)
{
	struct stat ours, named;

	if (fstat(a->fd, &ours) < 0)
		return true;
	a->size = ours.st_size; /* others write there, too */
	return fstatat(a->dir_fd, NAME, &named, AT_SYMLINK_NOFOLLOW) < 0 ||
	       ours.st_ino != named.st_ino || ours.st_dev != named.st_dev;
}

static int open_file(struct access *a)
{
	struct stat st;

	a->fd = openat(a->dir_fd, NAME, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
		       0640);
	if (a->fd < 0)
		return -errno;
	fchmod(a->fd, 0640); /* whatever our umask is */
	a->size = fstat(a->fd, &st) == 0 ? st.st_size : 0;
	return 0;
}

static int open_present(struct access *a)
{
	if (a->fd >= 0 && is_moved(a))
		mem_closep(&a->fd);
	return a->fd < 0 ? open_file(a) : 0;
}

static bool has_room(const struct access *a)
{
	return a->size == 0 || a->size + (off_t)a->writing.len <= a->size_max;
}

/* Of several that find it full one moves it, while it has the lock on what it moves; the others wait
 * for that, and see. */
static int prepare(struct access *a)
{
	int r = open_present(a);

	if (r < 0 || has_room(a))
		return r;
	flock(a->fd, LOCK_EX);
	if (!is_moved(a))
		rotate(a);
	mem_closep(&a->fd); /* and the lock with it */
	return open_file(a);
}

static int write_all(struct access *a)
{
	size_t done = 0;

	while (done < a->writing.len) {
		ssize_t n = write(a->fd, a->writing.data + done, a->writing.len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

static void on_work(uv_work_t *work)
{
	struct access *a = work->data;

	a->err = prepare(a);
	if (a->err == 0)
		a->err = write_all(a);
}

/* ---- handing over ---- */

static void flush(struct access *a);

static void on_done(uv_work_t *work, int status)
{
	struct access *a = work->data;

	(void)status;
	a->busy = false;
	buf_clear(&a->writing);
	if (a->err < 0 && a->err != a->err_told)
		log_error("error=\"%s\" cannot write the access log", strerror(-a->err));
	a->err_told = a->err;
	if (a->waiting.len > 0)
		flush(a);
}

static void add_dropped(struct access *a)
{
	struct jsonw w = {.out = &a->writing};

	jsonw_object_begin(&w, NULL);
	jsonw_time(&w, "time", clock_wall_ms());
	jsonw_int(&w, "dropped", (int64_t)a->dropped);
	jsonw_object_end(&w);
	buf_char(&a->writing, '\n');
	a->dropped = 0;
}

static void flush(struct access *a)
{
	struct buf empty = a->writing;

	if (a->busy || a->dir_fd < 0)
		return;
	uv_timer_stop(&a->timer);
	a->writing = a->waiting;
	a->waiting = empty;
	if (a->dropped)
		add_dropped(a);
	if (a->writing.failed || a->writing.len == 0 ||
	    uv_queue_work(a->uv, &a->work, on_work, on_done) < 0) {
		buf_clear(&a->writing);
		return;
	}
	a->busy = true;
}

static void on_timer(uv_timer_t *timer)
{
	flush(timer->data);
}

void access_init(struct access *a, uv_loop_t *uv)
{
	*a = (struct access){.uv = uv, .dir_fd = -1, .fd = -1, .size_max = ACCESS_SIZE};
	uv_timer_init(uv, &a->timer);
	a->timer.data = a->work.data = a;
}

void access_open(struct access *a, int dir_fd)
{
	if (a->busy || a->dir_fd >= 0) { /* it is the same one */
		close(dir_fd);
		return;
	}
	a->dir_fd = dir_fd;
}

bool access_close(struct access *a)
{
	int64_t until = clock_mono_ms() + CLOSE_MS;

	if (a->waiting.len > 0)
		flush(a);
	while (a->busy && clock_mono_ms() < until) {
		uv_run(a->uv, UV_RUN_NOWAIT);
		if (a->busy)
			poll(NULL, 0, 5);
	}
	uv_close((uv_handle_t *)&a->timer, NULL);
	if (a->busy)
		return false;
	mem_closep(&a->fd);
	mem_closep(&a->dir_fd);
	buf_done(&a->waiting);
	buf_done(&a->writing);
	return true;
}

/* ---- a request ---- */

static size_t at_most(size_t n, size_t max)
{
	return n < max ? n : max;
}

void access_begin(struct exchange *x, struct route *r, const struct head *h)
{
	size_t n = h ? at_most(h->target.n, TARGET_MAX) : 0;
	struct access_record *e;

	if (!r || r->rules.access_permille == 0)
		return;
	r->access_due += r->rules.access_permille;
	if (r->access_due < 1000)
		return;
	r->access_due -= 1000;
	e = mem_alloc(sizeof(*e) + n);
	if (!e)
		return;
	e->began_wall_ms = clock_wall_ms();
	memcpy(e->service, r->service, sizeof(e->service));
	memcpy(e->port, r->name, sizeof(e->port));
	e->is_tcp = !h;
	if (h) {
		memcpy(e->method, h->method.at, at_most(h->method.n, sizeof(e->method) - 1));
		memcpy(e->target, h->target.at, n);
		e->target_len = n;
	}
	x->access = e;
}

void access_leave(struct exchange *x, const struct backend *b, bool failed)
{
	struct access_record *e = x->access;

	if (!e)
		return;
	e->at_replica = true;
	e->replica = b->key.index;
	e->revision = b->revision;
	e->status = x->m.first_us && !x->is_tcp ? x->m.status : 0;
	e->whole = x->m.first_us && !failed && (x->answer.done || x->spliced);
}

void access_answer(struct exchange *x, unsigned status)
{
	if (!x->access)
		return;
	x->access->status = status;
	x->access->whole = x->access->ours = true;
}

static double ms_of(uint64_t us)
{
	return (double)us / 1000;
}

static void write_record(const struct exchange *x, const struct access_record *e, uint64_t now_us,
			 struct buf *b)
{
	struct jsonw w = {.out = b};

	jsonw_object_begin(&w, NULL);
	jsonw_time(&w, "time", e->began_wall_ms);
	jsonw_string(&w, "service", e->service);
	jsonw_string(&w, "port", e->port);
	jsonw_string(&w, "client", x->c->address);
	if (!e->is_tcp) {
		jsonw_string(&w, "method", e->method);
		jsonw_string_n(&w, "target", e->target, e->target_len);
		if (e->status)
			jsonw_int(&w, "status", e->status);
		else
			jsonw_null(&w, "status");
	}
	jsonw_bool(&w, "whole", e->whole);
	jsonw_string(&w, "answered_by", e->ours ? "gateway" : e->at_replica ? "replica" : NULL);
	if (e->at_replica) {
		jsonw_int(&w, "replica", e->replica);
		jsonw_int(&w, "revision", (int64_t)e->revision);
	}
	jsonw_double(&w, "ms", x->m.arrived_us ? ms_of(now_us - x->m.arrived_us) : 0);
	if (x->m.first_us)
		jsonw_double(&w, "first_byte_ms", ms_of(x->m.first_us - x->m.arrived_us));
	jsonw_int(&w, "bytes_in", (int64_t)x->m.bytes_in);
	jsonw_int(&w, "bytes_out", (int64_t)x->m.bytes_out);
	if (!e->is_tcp)
		jsonw_string(&w, "request_id", x->id);
	jsonw_object_end(&w);
	buf_char(b, '\n');
}

void access_end(struct exchange *x)
{
	struct access_record *e = x->access;
	struct gateway *g = x->c->g;
	struct access *a = &g->access;

	if (!e)
		return;
	x->access = NULL;
	if (a->dir_fd < 0 || a->waiting.len >= ACCESS_WAITING) {
		a->dropped++;
	} else {
		write_record(x, e, measure_now_us(&g->measure), &a->waiting);
		if (a->waiting.failed) {
			buf_done(&a->waiting);
			a->dropped++;
		}
	}
	mem_free(e);
	if (a->waiting.len >= AT_ONCE)
		flush(a);
	else if (!a->busy && !uv_is_active((uv_handle_t *)&a->timer))
		uv_timer_start(&a->timer, on_timer, GATHER_MS, 0);
}
