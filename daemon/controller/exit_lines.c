/* exit_lines: see exit_lines.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/exit_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/store.h"
#include "daemon/wire/wire.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/jsonw.h"
#include "lib/log.h"
#include "lib/logidx.h"
#include "lib/logview.h"
#include "lib/mem.h"
#include "lib/point.h"

#define FIRST_MS 300 /* the logger mostly has stored all by then */
#define AGAIN_MS 200
#define PAUSE_MS 10

struct item {
	TAILQ_ENTRY(item) next;
	struct wire_key key;
	int64_t due_mono_ms;
	int64_t until_mono_ms; /* it is read as it is then */
};

struct line {
	char *text; /* owned */
	size_t len;
	int64_t wall_ms;
	uint32_t stream;
	bool cut;
};

struct exit_lines {
	struct controller *c; /* NULL: closed */
	uv_timer_t timer;
	unsigned users; /* the timer and the worker */
	TAILQ_HEAD(item_list, item) waiting;
	size_t n;
	/* The worker's while it reads. */
	struct log_work work;
	struct item *busy;
	char *log_dir;
	struct line lines[EXIT_LINES_MAX]; /* a ring */
	size_t n_lines;			   /* ever */
	bool over;			   /* its end is marked */
};

/* ---- in a worker ---- */

/* Is the last entry of that index the end of the incarnation? */
static bool is_end(int dir_fd, const struct logidx_segment *s)
{
	uint8_t bytes[LOGIDX_ENTRY_SIZE];
	struct logidx_entry entry;
	char name[LOGIDX_NAME_SIZE];
	_cleanup_close_ int fd = -1;
	struct stat st;
	off_t n;

	fd = openat(dir_fd, logidx_name(name, s->incarnation, s->seq, LOGIDX_IDX),
		    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size < LOGIDX_HEADER_SIZE + LOGIDX_ENTRY_SIZE)
		return false;
	n = (st.st_size - LOGIDX_HEADER_SIZE) / LOGIDX_ENTRY_SIZE - 1;
	return pread(fd, bytes, sizeof(bytes), LOGIDX_HEADER_SIZE + n * LOGIDX_ENTRY_SIZE) ==
		       (ssize_t)sizeof(bytes) &&
	       logidx_decode_entry(bytes, &entry) == 0 && entry.stream == LOGIDX_END;
}

/* No links below the log directory. */
static int open_replica(const char *log_dir, const struct wire_key *key)
{
	_cleanup_close_ int log_fd = open(log_dir, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
	char index[16];

	if (log_fd >= 0)
		fd = openat(log_fd, key->service, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	snprintf(index, sizeof(index), "%u", key->index);
	return fd < 0 ? -1 : openat(fd, index, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool is_over(const struct exit_lines *e)
{
	const struct wire_key *key = &e->busy->key;
	_cleanup_close_ int fd = open_replica(e->log_dir, key);
	_cleanup_free_ struct logidx_segment *list = NULL;
	_cleanup_err_ struct err *err = NULL;
	size_t n = 0;

	if (fd < 0 || logidx_scan(fd, false, &list, &n, &err) < 0)
		return false;
	while (n-- > 0)
		if (strcmp(list[n].incarnation, key->incarnation) == 0 && list[n].has_idx)
			return is_end(fd, &list[n]);
	return false;
}

static void keep(struct exit_lines *e, const struct logview_line *line)
{
	struct line *at = &e->lines[e->n_lines++ % EXIT_LINES_MAX];

	mem_free(at->text);
	*at = (struct line){.wall_ms = line->wall_ms, .stream = line->stream, .cut = line->cut};
	at->len = line->len;
	if (at->len > EXIT_LINES_LINE_MAX) {
		at->len = EXIT_LINES_LINE_MAX;
		at->cut = true;
	}
	at->text = mem_alloc(at->len + 1);
	if (at->text)
		memcpy(at->text, line->text, at->len); /* it may have a NUL */
}

static void read_lines(struct exit_lines *e)
{
	const struct wire_key *key = &e->busy->key;
	const struct logview_opts opts = {.log_dir = e->log_dir,
					  .service = key->service,
					  .index = key->index,
					  .incarnation = key->incarnation,
					  .tail = EXIT_LINES_MAX,
					  .files_max = 1};
	_cleanup_err_ struct err *err = NULL;
	struct logview *view = NULL;
	struct logview_line line;

	if (logview_open(&opts, &view, &err) < 0)
		return;
	while (logview_next(view, &line, &err) == 1)
		keep(e, &line);
	logview_free(view);
}

static void work(struct log_work *w)
{
	struct exit_lines *e = w->user;

	e->n_lines = 0;
	e->over = is_over(e);
	if (e->over || clock_mono_ms() >= e->busy->until_mono_ms)
		read_lines(e);
}

/* ---- on the loop ---- */

static void release(struct exit_lines *e)
{
	if (--e->users > 0)
		return;
	for (size_t i = 0; i < EXIT_LINES_MAX; i++)
		mem_free(e->lines[i].text);
	mem_free(e->busy);
	mem_free(e->log_dir);
	mem_free(e);
}

static void write_line(struct jsonw *w, const struct line *l)
{
	jsonw_object_begin(w, NULL);
	jsonw_time(w, "at", l->wall_ms);
	jsonw_string(w, "stream", logidx_stream_name(l->stream));
	jsonw_string_n(w, "line", l->text, l->len);
	if (l->cut)
		jsonw_bool(w, "cut", true);
	jsonw_object_end(w);
}

/* As many of the last ones as may be kept. */
static void write_lines(const struct exit_lines *e, struct buf *out)
{
	size_t from = e->n_lines, oldest = e->n_lines > EXIT_LINES_MAX ? from - EXIT_LINES_MAX : 0;
	struct jsonw w = {.out = out};
	size_t bytes = 0;

	while (from > oldest && e->lines[(from - 1) % EXIT_LINES_MAX].text) {
		bytes += e->lines[(from - 1) % EXIT_LINES_MAX].len;
		if (bytes > EXIT_LINES_BYTES_MAX)
			break;
		from--;
	}
	jsonw_array_begin(&w, NULL);
	for (; from < e->n_lines; from++)
		write_line(&w, &e->lines[from % EXIT_LINES_MAX]);
	jsonw_array_end(&w);
}

static void store(const struct exit_lines *e)
{
	const struct wire_key *key = &e->busy->key;
	_cleanup_buf_ struct buf out = {0};
	struct store_exit x = {
		.service = key->service, .index = key->index, .incarnation = key->incarnation};

	write_lines(e, &out);
	x.lines = buf_cstr(&out);
	POINT("controller.exit_lines.store");
	if (!out.failed && store_put_exit_lines(e->c->store, &x) < 0)
		log_debug("replica=%s/%u the last lines of its end are not kept", key->service,
			  key->index);
}

static void on_timer(uv_timer_t *timer);

static void arm(struct exit_lines *e)
{
	const struct item *first = TAILQ_FIRST(&e->waiting);
	int64_t left;

	if (!first || e->busy || !e->c || uv_is_active((uv_handle_t *)&e->timer))
		return;
	left = first->due_mono_ms - clock_mono_ms();
	uv_timer_start(&e->timer, on_timer, left > PAUSE_MS ? (uint64_t)left : PAUSE_MS, 0);
}

static struct item *find(const struct exit_lines *e, const struct wire_key *key)
{
	struct item *i;

	TAILQ_FOREACH (i, &e->waiting, next)
		if (wire_key_same_slot(&i->key, key))
			return i;
	return NULL;
}

static void add(struct exit_lines *e, struct item *i)
{
	TAILQ_INSERT_TAIL(&e->waiting, i, next);
	e->n++;
}

static void on_read(struct log_work *w, bool was_read)
{
	struct exit_lines *e = w->user;
	struct item *i = e->busy;

	if (!e->c) {
		release(e);
		return;
	}
	if (was_read && (e->over || clock_mono_ms() >= i->until_mono_ms)) {
		store(e);
	} else if (was_read && !find(e, &i->key)) {
		i->due_mono_ms = clock_mono_ms() + AGAIN_MS;
		add(e, i);
		i = NULL;
	}
	mem_free(i);
	e->busy = NULL;
	e->users--;
	arm(e);
}

static void on_timer(uv_timer_t *timer)
{
	struct exit_lines *e = timer->data;
	struct item *first = TAILQ_FIRST(&e->waiting);

	TAILQ_REMOVE(&e->waiting, first, next);
	e->n--;
	e->busy = first;
	e->users++;
	log_work_start(e->c, &e->work);
}

void exit_lines_want(struct exit_lines *e, const struct wire_key *key)
{
	int64_t now = clock_mono_ms();
	struct item *i = find(e, key);

	if (i) { /* its turn stays */
		if (strcmp(key->incarnation, i->key.incarnation) > 0)
			i->key = *key;
		return;
	}
	if (e->n == EXIT_LINES_QUEUE_MAX) {
		i = TAILQ_FIRST(&e->waiting);
		TAILQ_REMOVE(&e->waiting, i, next);
		e->n--;
		mem_free(i);
	}
	i = mem_alloc(sizeof(*i));
	if (!i)
		return;
	*i = (struct item){.key = *key,
			   .due_mono_ms = now + FIRST_MS,
			   .until_mono_ms = now + EXIT_LINES_WAIT_MS};
	add(e, i);
	arm(e);
}

void exit_lines_recall(struct exit_lines *e, const struct store_snapshot *snap)
{
	int64_t from = clock_wall_ms() - EXIT_LINES_RECALL_MS;

	for (size_t i = 0; i < snap->n_exits; i++) {
		const struct store_exit *x = &snap->exits[i], *after = x + 1;
		struct wire_key key = {.index = x->index};

		if (i + 1 < snap->n_exits && after->index == x->index &&
		    strcmp(after->service, x->service) == 0)
			continue;
		if (x->has_lines || x->ended_wall_ms < from || strcmp(x->cause, "start") == 0)
			continue;
		snprintf(key.service, sizeof(key.service), "%s", x->service);
		snprintf(key.incarnation, sizeof(key.incarnation), "%s", x->incarnation);
		exit_lines_want(e, &key);
	}
}

struct exit_lines *exit_lines_new(struct controller *c)
{
	struct exit_lines *e = mem_alloc(sizeof(*e));

	if (!e)
		return NULL;
	e->log_dir = mem_strdup(c->opts.log_dir);
	if (!e->log_dir) {
		mem_free(e);
		return NULL;
	}
	e->c = c;
	e->users = 1; /* the timer */
	TAILQ_INIT(&e->waiting);
	e->work = (struct log_work){.read = work, .done = on_read, .user = e};
	uv_timer_init(c->loop, &e->timer);
	e->timer.data = e;
	return e;
}

static void on_closed(uv_handle_t *h)
{
	release(h->data);
}

void exit_lines_close(struct exit_lines *e)
{
	struct item *i;

	if (!e)
		return;
	if (e->busy && log_work_cancel(&e->work))
		e->users--;
	e->c = NULL;
	while ((i = TAILQ_FIRST(&e->waiting))) {
		TAILQ_REMOVE(&e->waiting, i, next);
		mem_free(i);
	}
	uv_close((uv_handle_t *)&e->timer, on_closed);
}
