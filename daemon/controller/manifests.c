/* manifests: see manifests.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/manifests.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "daemon/controller/apply.h"
#include "daemon/controller/change.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/events.h"
#include "daemon/controller/sources.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/log.h"
#include "lib/manifest.h"
#include "lib/mem.h"

#define NAME_MAX_ 4096
#define DEADLINE_MS 10000 /* for one file to arrive */

struct reload {
	uv_work_t work;
	struct controller *c;
	int fd;
	struct sources sources;
	char *packet; /* NAME_MAX_ bytes to receive into */
	bool unasked; /* at our start */
	bool failed;  /* nothing is applied: */
	char *error;  /* why, or NULL: no memory to say it */
	struct manifest_errors errors;
};

static void reload_free(struct reload *r)
{
	sources_done(&r->sources);
	if (r->fd >= 0)
		close(r->fd);
	mem_free(r->packet);
	mem_free(r->error);
	manifest_errors_done(&r->errors);
	mem_free(r);
}

/* reason is taken. What is not all there must not be applied: what it lacks would be pruned. */
static void give_up(struct reload *r, char *reason)
{
	r->failed = true;
	mem_free(r->error);
	r->error = reason;
}

/* One packet: 1 = got a file or an error, 0 = that was all, -1 = broken. */
static int receive(struct reload *r, char *name, int *file)
{
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {.iov_base = name, .iov_len = NAME_MAX_ - 2};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct pollfd p = {.fd = r->fd, .events = POLLIN};
	struct cmsghdr *c;
	ssize_t n;

	*file = -1;
	if (poll(&p, 1, DEADLINE_MS) <= 0)
		return -1;
	do
		n = recvmsg(r->fd, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return -1;
	name[n] = name[n + 1] = '\0';
	if (name[0] == '\0')
		return 0; /* the end of the set (daemon/supervisor/manifests.h) */
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(file, CMSG_DATA(c), sizeof(int));
	return m.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? -1 : 1;
}

static void read_one(struct reload *r, const char *name, int file)
{
	const char *refused = name + strlen(name) + 1;
	_cleanup_free_ char *path = fs_join(r->c->opts.manifests, name);
	_cleanup_err_ struct err *err = NULL;
	char *text = NULL;
	size_t len = 0;

	if (*refused || file < 0 || !path) {
		give_up(r, mem_printf("%s: %s", name, *refused ? refused : "cannot be read"));
		return;
	}
	if (fs_read_fd(file, path, MANIFEST_BYTES_MAX, &text, &len, &err) < 0) {
		give_up(r, mem_strdup(err_msg(err)));
		return;
	}
	if (sources_add_text(&r->sources, path, text, len, 0) < 0) {
		give_up(r, mem_printf("%s: more than %d files", name, SOURCES_MAX));
		mem_free(text);
		return;
	}
	path = NULL;
}

/* All of the directory. False with r->failed set, or nothing there. */
static bool read_all(struct reload *r)
{
	int got = 1;

	while (got > 0 && !r->failed) {
		_cleanup_close_ int file = -1;

		got = receive(r, r->packet, &file);
		if (got > 0)
			read_one(r, r->packet, file);
	}
	if (got < 0 && !r->failed)
		give_up(r, mem_strdup("the files did not arrive"));
	return !r->failed && r->sources.n > 0;
}

/* A descriptor of what a manifest names, by way of aictld's opener. */
static int request(struct reload *r, const char *path, int *ret_file, struct err **reterr)
{
	const char *refused;
	int got;

	if (strncmp(path, "env:", 4) == 0)
		return err_set(reterr, ERR_INVALID,
			       "the daemon has no variables of a user: name a file");
	if (path[0] != '/')
		return err_set(reterr, ERR_INVALID,
			       "the daemon has no home directory: name the file from / on");
	if (strlen(path) >= NAME_MAX_ / 2)
		return err_set(reterr, ERR_INVALID, "its path is too long");
	if (send(r->fd, path, strlen(path), MSG_NOSIGNAL) < 0)
		return err_set(reterr, ERR_SYS, "aictld does not answer");
	got = receive(r, r->packet, ret_file);
	refused = r->packet + strlen(r->packet) + 1;
	if (got <= 0 || strcmp(r->packet, path) != 0)
		return err_set(reterr, ERR_SYS, "aictld does not answer");
	if (*refused || *ret_file < 0)
		return err_set(reterr, ERR_PERM, "%s", *refused ? refused : "cannot be opened");
	return 0;
}

/* For manifest_parse; what was read is kept for the apply. */
static int read_named(void *user, const char *path, char **ret_data, size_t *ret_len,
		      struct err **reterr)
{
	struct reload *r = user;
	_cleanup_free_ char *copy = mem_strdup(path), *data = NULL;
	_cleanup_close_ int file = -1;
	char *kept;
	size_t len = 0;
	int rc = request(r, path, &file, reterr);

	if (rc < 0)
		return rc;
	rc = fs_read_fd(file, path, MANIFEST_BYTES_MAX, &data, &len, reterr);
	if (rc < 0)
		return rc;
	kept = mem_dup(data, len + 1);
	if (!kept || !copy || sources_add_file(&r->sources, copy, kept, len) < 0) {
		mem_free(kept);
		return err_nomem(reterr);
	}
	copy = NULL;
	*ret_data = TAKE_PTR(data);
	*ret_len = len;
	return 0;
}

static void work(uv_work_t *w)
{
	struct reload *r = w->data;
	struct manifest_input in = {.read = read_named, .user = r};
	struct manifest *m = NULL;

	r->packet = mem_alloc(NAME_MAX_);
	if (!r->packet) {
		give_up(r, NULL);
		return;
	}
	if (!read_all(r))
		return;
	in.sources = r->sources.v;
	in.n = r->sources.n;
	if (manifest_parse(&in, &m, &r->errors) == 0)
		manifest_free(m); /* apply parses again, with what was read */
}

static void say(struct controller *c, const char *reason, const char *message)
{
	const struct event_args a = {"", -1, "daemon", reason, message, NULL, NULL};

	events_add(c->events, &a);
}

static void log_each(const struct controller *c, enum log_level level,
		     const struct manifest_errors *errors)
{
	for (size_t i = 0; i < errors->n; i++) {
		const struct err *e = errors->errs[i];

		log_write(level, "manifests: %s:%u:%u: %s", e->file ? e->file : c->opts.manifests,
			  e->line, e->column, e->msg);
	}
}

static void applied(void *user, const struct apply_result *res)
{
	const struct manifest_errors *errors = res->errors;
	const struct err *err = res->err;
	struct controller *c = user;

	if (res->change) { /* apply has published it */
		log_each(c, LOG_LVL_WARN, &res->change->warnings);
		return;
	}
	if (errors)
		log_each(c, LOG_LVL_ERROR, errors);
	if (err)
		log_error("manifests: %s", err_msg(err));
	say(c, "reload_failed", errors && errors->n ? errors->errs[0]->msg : err_msg(err));
}

static void done(uv_work_t *w, int status)
{
	struct reload *r = w->data;
	struct controller *c = r->c;
	char id[WIRE_INCARNATION_SIZE];
	const struct apply_args args = {.change_id = id,
					.sources = &r->sources,
					.prune = true,
					.if_revision = APPLY_ANY_REVISION,
					.unasked = r->unasked,
					.uid = c->owner,
					.done = applied,
					.user = c};

	(void)status;
	controller_new_incarnation(c, "", id); /* as unique as a change's id must be */
	if (r->failed || !c->begun) {
		const char *why = r->error ? r->error : r->failed ? "out of memory" : "not ready";

		log_error("manifests: nothing applied: %s", why);
		say(c, "reload_failed", why);
	} else if (r->errors.n > 0) {
		applied(c, &(struct apply_result){.errors = &r->errors});
	} else if (r->sources.n == 0) {
		log_info("manifests: no file in %s", c->opts.manifests);
	} else if (apply_submit(c, &args) < 0) {
		say(c, "reload_failed", "busy");
	}
	reload_free(r);
}

void manifests_reload(struct controller *c, int fd, bool unasked)
{
	struct reload *r;

	if (!c->begun) { /* at start: aictld sends it before the store is read */
		if (c->pending_reload >= 0)
			close(c->pending_reload);
		c->pending_reload = fd;
		return;
	}
	r = mem_alloc(sizeof(*r));
	if (!r) {
		close(fd);
		return;
	}
	r->c = c;
	r->fd = fd;
	r->unasked = unasked;
	r->work.data = r;
	if (!c->opts.manifests || uv_queue_work(c->loop, &r->work, work, done) < 0) {
		log_error("manifests: cannot reload");
		reload_free(r);
	}
}
