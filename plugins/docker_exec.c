/*
 * docker_exec: see docker_exec.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "docker_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "docker.h"
#include "docker_engine.h"
#include "docker_json.h"
#include "docker_look.h"
#include "docker_mem.h"
#include "docker_mux.h"
#include "docker_out.h"
#include "docker_stream.h"
#include "docker_units.h"

#define CREATE_MS 15000
#define LOOK_MS 3000
#define HEAD_MS 20000 /* from the start to the head of the answer */
#define LONG_MS 1000
#define CODE_EVERY_MS 50
#define CODE_TRIES 100
#define INPUT 16384
#define ERROR_MAX 4096

struct executing {
	struct docker_op op;
	char *unit, *body, *id;
	bool tty;
	uint32_t rows, columns;
	int stdin_fd; /* ours: the host's may be that of the output as well, and be watched */
	bool started, canceled, told_pid;
	struct docker_units_asking *asking;
	struct docker_http_call *call;
	struct docker_stream *stream;
	struct aictl_timer *timer;
	struct docker_mux mux;
	struct docker_out out;
	int status;
	int tries;
	bool ended; /* the stream */
	struct docker_buf refusal;
	char *input; /* what came from stdin_fd and is to be sent */
	size_t n_input, sent;
	bool stdin_watched, stdin_ready; /* ready: a file, which is always */
};

static void stop_input(struct executing *x)
{
	if (x->stdin_watched)
		x->op.d->host->watch(x->op.d->host, x->stdin_fd, 0, NULL, NULL);
	x->stdin_watched = false;
}

static void close_input(struct executing *x)
{
	stop_input(x);
	if (x->stdin_fd >= 0)
		close(x->stdin_fd);
	x->stdin_fd = -1;
}

static void executing_free(struct executing *x)
{
	const struct aictl_host *host = x->op.d->host;

	close_input(x);
	docker_units_forget(x->asking);
	docker_http_cancel(x->call);
	docker_stream_free(x->stream);
	docker_out_done(&x->out);
	host->timer_free(host, x->timer);
	docker_mem_done(&x->refusal);
	docker_mem_free(x->unit);
	docker_mem_free(x->body);
	docker_mem_free(x->id);
	docker_mem_free(x->input);
	docker_mem_free(x);
}

static void end(struct executing *x, int code, const char *text)
{
	docker_end(&x->op, code, "%s", text);
	executing_free(x);
}

static void no_memory(struct executing *x)
{
	end(x, AICTL_NO_MEMORY, "out of memory");
}

/* ---- what the engine knows of it ---- */

static void look(struct executing *x);

static void set_timer(struct executing *x, int64_t ms)
{
	x->op.d->host->timer_set(x->op.d->host, x->timer, ms);
}

static void told(struct executing *x, const cJSON *root)
{
	const struct aictl_host *host = x->op.d->host;
	int64_t pid;

	if (!x->told_pid && docker_json_true(root, "Running") &&
	    docker_json_number(root, "Pid", &pid) && pid > 0) {
		x->told_pid = true;
		if (AICTL_HAS(host, exec_started) && host->exec_started)
			host->exec_started(host, x->op.op, pid);
	}
}

static void finish(struct executing *x, const cJSON *root)
{
	struct aictl_result r = {.struct_size = sizeof(r)};
	int64_t code;

	if (docker_json_true(root, "Running") || !docker_json_number(root, "ExitCode", &code)) {
		if (++x->tries > CODE_TRIES)
			end(x, AICTL_FAILED, "the engine does not say how the command ended");
		else
			set_timer(x, CODE_EVERY_MS);
		return;
	}
	r.exit_status = (int32_t)(code & 255);
	docker_end_with(&x->op, &r);
	executing_free(x);
}

static void on_look(void *user, const struct docker_http_answer *a)
{
	struct executing *x = user;
	cJSON *root;

	x->call = NULL;
	if (x->canceled || (x->ended && a->code != AICTL_OK)) {
		root = a->code == AICTL_OK ? docker_json_parse(a->body, a->len) : NULL;
		told(x, root);
		cJSON_Delete(root);
		end(x, x->canceled ? AICTL_CANCELED : a->code, x->canceled ? "canceled" : a->error);
		return;
	}
	if (a->code != AICTL_OK)
		return; /* its output will end */
	root = docker_json_parse(a->body, a->len);
	if (!x->ended)
		told(x, root);
	else if (a->status != 200 || !root)
		end(x, AICTL_FAILED, "the engine does not know the command any more");
	else
		finish(x, root);
	cJSON_Delete(root);
}

static void look(struct executing *x)
{
	const struct docker_http_ask ask = {.timeout_ms = LOOK_MS, .done = on_look, .user = x};

	if (x->call)
		return;
	x->call = docker_engine_send(x->op.d->engine, &ask, "/exec/%s/json", x->id);
	if (!x->call)
		no_memory(x);
}

static void cancel(struct docker_op *op)
{
	struct executing *x = (struct executing *)op;

	x->canceled = true;
	if (!x->started || x->told_pid || op->d->closing || !docker_engine_up(op->d->engine)) {
		end(x, AICTL_CANCELED, "canceled");
		return;
	}
	stop_input(x);
	docker_stream_free(x->stream);
	x->stream = NULL;
	look(x);
}

static void on_timer(void *user)
{
	struct executing *x = user;

	if (x->ended || (x->status && !x->told_pid))
		look(x);
	else if (!x->status)
		end(x, AICTL_TIMEOUT, "the engine did not begin to execute in time");
}

/* ---- input ---- */

static void on_stdin(void *user, int fd, uint32_t events);

static void want_input(struct executing *x)
{
	const struct aictl_host *host = x->op.d->host;

	if (x->stdin_fd < 0 || x->stdin_watched || x->stdin_ready)
		return;
	if (host->watch(host, x->stdin_fd, AICTL_READ, on_stdin, x) == 0)
		x->stdin_watched = true;
	else
		x->stdin_ready = true;
}

static void end_input(struct executing *x)
{
	close_input(x);
	docker_stream_want_write(x->stream, false);
	docker_stream_shut(x->stream);
}

/* Sends what there is; true: all of it. */
static bool send_input(struct executing *x)
{
	while (x->sent < x->n_input) {
		long k = docker_stream_send(x->stream, x->input + x->sent, x->n_input - x->sent);

		if (k < 0) {
			/* It does not read any more; its output may go on. */
			close_input(x);
			x->sent = x->n_input;
			docker_stream_want_write(x->stream, false);
			return false;
		}
		if (k == 0) {
			stop_input(x);
			docker_stream_want_write(x->stream, true);
			return false;
		}
		x->sent += (size_t)k;
	}
	docker_stream_want_write(x->stream, x->stdin_ready);
	return true;
}

static void read_input(struct executing *x)
{
	ssize_t n = read(x->stdin_fd, x->input, INPUT);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		end_input(x);
		return;
	}
	x->n_input = (size_t)n;
	x->sent = 0;
	send_input(x);
}

static void on_stdin(void *user, int fd, uint32_t events)
{
	struct executing *x = user;

	(void)fd;
	(void)events;
	if (x->sent == x->n_input)
		read_input(x);
}

static void on_writable(void *user)
{
	struct executing *x = user;

	if (!send_input(x) || x->stdin_fd < 0)
		return;
	if (x->stdin_ready)
		read_input(x);
	else
		want_input(x);
}

static void begin_input(struct executing *x)
{
	if (x->stdin_fd < 0)
		return;
	want_input(x);
	if (x->stdin_ready)
		docker_stream_want_write(x->stream, true);
}

/* ---- output ---- */

static void broken(struct executing *x)
{
	end(x, AICTL_FAILED, strerror(x->out.error));
}

static void on_room(void *user)
{
	struct executing *x = user;

	if (x->out.error)
		broken(x);
	else if (x->stream)
		docker_stream_resume(x->stream);
	else if (x->ended)
		look(x);
}

static bool on_head(void *user, const struct docker_head *head)
{
	struct executing *x = user;

	x->status = head->status;
	if (x->status != 101 && x->status != 200)
		return true;
	set_timer(x, LONG_MS);
	if (x->tty && x->rows && x->columns)
		docker_exec_resize(x->op.d, x->op.op, x->rows, x->columns);
	begin_input(x);
	return true;
}

static void said(void *user, const char *text, size_t len)
{
	struct executing *x = user;

	docker_log(x->op.d, AICTL_WARNING, "the engine says of a command in %s: %.*s", x->unit,
		   (int)(len < 300 ? len : 300), text);
}

static size_t on_body(void *user, const char *data, size_t n)
{
	struct executing *x = user;
	long k;

	if (x->status != 101 && x->status != 200) {
		docker_mem_add(&x->refusal, data, n);
		return n;
	}
	k = docker_out_body(&x->out, data, n, said);
	if (k < 0)
		end(x, AICTL_UNREACHABLE, "the output is garbled");
	else if (x->out.error)
		broken(x);
	return k < 0 ? 0 : (size_t)k;
}

static void on_ended(void *user, bool clean, const char *error)
{
	struct executing *x = user;
	char text[300];

	x->stream = NULL;
	stop_input(x);
	if (x->status && x->status != 101 && x->status != 200) {
		docker_look_error(x->refusal.data, x->refusal.len, text, sizeof(text));
		end(x,
		    x->status == 404   ? AICTL_NOT_FOUND
		    : x->status == 409 ? AICTL_CONFLICT
				       : AICTL_FAILED,
		    text);
		return;
	}
	if (!clean) {
		docker_engine_doubt(x->op.d->engine);
		end(x, AICTL_UNREACHABLE, error);
		return;
	}
	x->ended = true;
	if (!docker_out_blocked(&x->out))
		look(x);
}

/* ---- begin ---- */

static void attach(struct executing *x)
{
	const struct docker_stream_events ev = {.user = x,
						.head = on_head,
						.body = on_body,
						.writable = on_writable,
						.ended = on_ended};
	struct docker *d = x->op.d;
	char body[64];
	_docker_free_ char *request = NULL;
	int n = snprintf(body, sizeof(body), "{\"Detach\":false,\"Tty\":%s}",
			 x->tty ? "true" : "false");

	request = docker_mem_printf("POST /v%s/exec/%s/start HTTP/1.1\r\nHost: engine\r\n"
				    "Content-Type: application/json\r\nConnection: Upgrade\r\n"
				    "Upgrade: tcp\r\nContent-Length: %d\r\n\r\n%s",
				    docker_engine_api(d->engine), x->id, n, body);
	if (!request) {
		no_memory(x);
		return;
	}
	x->started = true;
	x->stream = docker_stream_new(d, request, &ev);
	if (x->stream) {
		set_timer(x, HEAD_MS);
		return;
	}
	docker_engine_doubt(d->engine);
	end(x, AICTL_UNREACHABLE, strerror(errno));
}

static void on_created(void *user, const struct docker_http_answer *a)
{
	struct executing *x = user;
	const char *id;
	cJSON *root;
	char text[300];

	x->call = NULL;
	if (a->code != AICTL_OK) {
		docker_engine_doubt(x->op.d->engine);
		end(x, a->code, a->error);
		return;
	}
	if (a->status != 201) {
		docker_look_error(a->body, a->len, text, sizeof(text));
		end(x,
		    a->status == 404   ? AICTL_NOT_FOUND
		    : a->status == 409 ? AICTL_CONFLICT
				       : AICTL_FAILED,
		    text);
		return;
	}
	root = docker_json_parse(a->body, a->len);
	id = docker_json_text(root, "Id");
	if (id && docker_units_name_ok(id))
		x->id = docker_mem_dup(id);
	cJSON_Delete(root);
	if (x->id)
		attach(x);
	else
		end(x, AICTL_UNREACHABLE, "the engine's answer is not understood");
}

static void create(struct executing *x)
{
	const struct docker_http_ask ask = {.method = "POST",
					    .body = x->body,
					    .timeout_ms = CREATE_MS,
					    .done = on_created,
					    .user = x};

	x->call = docker_engine_send(x->op.d->engine, &ask, "/containers/%s/exec", x->unit);
	if (!x->call)
		no_memory(x);
}

static void found(void *user, struct docker_unit *u, int code, const char *error)
{
	struct executing *x = user;

	(void)u;
	x->asking = NULL;
	if (code == AICTL_OK)
		create(x);
	else
		end(x, code, error);
}

static bool put_all(cJSON *object, const char *key, const char *const *texts)
{
	cJSON *array;

	if (!texts)
		return true;
	array = docker_json_array(object, key);
	for (; array && *texts; texts++) {
		if (!docker_json_add(array, cJSON_CreateString(*texts)))
			return false;
	}
	return array != NULL;
}

static bool put_text(cJSON *object, const char *key, const char *text)
{
	return !text || docker_json_put(object, key, cJSON_CreateString(text));
}

static char *make_body(const struct aictl_exec *what)
{
	cJSON *o = cJSON_CreateObject();
	char *text = NULL;

	if (docker_json_put(o, "AttachStdin", cJSON_CreateBool(what->stdin_fd >= 0)) &&
	    docker_json_put(o, "AttachStdout", cJSON_CreateTrue()) &&
	    docker_json_put(o, "AttachStderr", cJSON_CreateTrue()) &&
	    docker_json_put(o, "Tty", cJSON_CreateBool(what->tty != 0)) &&
	    put_all(o, "Cmd", what->argv) && put_all(o, "Env", what->environment) &&
	    put_text(o, "User", what->user) && put_text(o, "WorkingDir", what->working_dir))
		text = docker_json_print(o);
	cJSON_Delete(o);
	return text;
}

void docker_exec_begin(struct docker *d, uint64_t op, const struct aictl_exec *what)
{
	struct executing *x = docker_mem_zalloc(sizeof(*x));
	struct docker_unit *u = docker_units_find(d->units, what->unit);

	if (!x) {
		docker_refuse(d, op, AICTL_NO_MEMORY, "out of memory");
		return;
	}
	docker_begin(d, &x->op, op, cancel);
	x->tty = what->tty;
	x->rows = what->rows;
	x->columns = what->columns;
	x->stdin_fd = what->stdin_fd < 0 ? -1 : fcntl(what->stdin_fd, F_DUPFD_CLOEXEC, 3);
	x->refusal.limit = ERROR_MAX;
	docker_mux_init(&x->mux, x->tty, false, NULL);
	docker_out_init(&x->out, d->host, &x->mux, what->stdout_fd, what->stderr_fd);
	x->out.room = on_room;
	x->out.user = x;
	x->unit = docker_mem_dup(what->unit);
	x->body = make_body(what);
	x->timer = d->host->timer_new(d->host, on_timer, x);
	x->input = x->stdin_fd >= 0 ? docker_mem_zalloc(INPUT) : NULL;
	if (!x->unit || !x->body || !x->timer || (what->stdin_fd >= 0 && !x->input)) {
		no_memory(x);
		return;
	}
	if (u && u->id) {
		create(x);
		return;
	}
	x->asking = docker_units_ask(d->units, x->unit, found, x);
	if (!x->asking)
		no_memory(x);
}

/* ---- the terminal's size ---- */

static void on_resized(void *user, const struct docker_http_answer *a)
{
	(void)user;
	(void)a;
}

void docker_exec_resize(struct docker *d, uint64_t number, uint32_t rows, uint32_t columns)
{
	const struct docker_http_ask ask = {
		.method = "POST", .timeout_ms = LOOK_MS, .done = on_resized};
	struct docker_op *op;
	struct executing *x;

	LIST_FOREACH (op, &d->ops, all) {
		if (op->op == number && op->cancel == cancel)
			break;
	}
	if (!op)
		return;
	x = (struct executing *)op;
	x->rows = rows;
	x->columns = columns;
	if (x->status)
		docker_engine_send(d->engine, &ask, "/exec/%s/resize?h=%u&w=%u", x->id, rows,
				   columns);
}
