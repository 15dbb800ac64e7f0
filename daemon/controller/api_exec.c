/*
 * api_exec: POST /v1/exec: a command in a replica's context. The request is checked as any other;
 * then the connection leaves HTTP (exec.h).
 *
 * SPDX-License-Identifier: MIT
 */
#include <cjson/cJSON.h>
#include <ctype.h>
#include <string.h>

#include "daemon/controller/api.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/exec.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_unit.h"
#include "daemon/controller/service.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/exec_frame.h"
#include "lib/http_server.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define TEXT_MAX (1u << 20) /* of command and environment together */

/* What was asked for; strings are borrowed from the body, env is owned. */
struct request {
	const char *replica;
	const char **command;
	char **env;
	const char *dir;
	bool tty;
	unsigned rows, columns;
	size_t text;
};

static void request_done(struct request *rq)
{
	mem_free(rq->command);
	mem_strv_free(rq->env);
}

static int take_command(const cJSON *body, struct request *rq, struct err **reterr)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(body, "command"), *item;
	size_t n = cJSON_IsArray(list) ? (size_t)cJSON_GetArraySize(list) : 0, i = 0;

	if (n == 0)
		return err_set(reterr, ERR_INVALID, "command: expected a list of texts");
	rq->command = mem_array(n + 1, sizeof(*rq->command));
	if (!rq->command)
		return err_nomem(reterr);
	cJSON_ArrayForEach (item, list) {
		if (!cJSON_IsString(item))
			return err_set(reterr, ERR_INVALID, "command: expected a list of texts");
		rq->text += strlen(item->valuestring) + 1;
		rq->command[i++] = item->valuestring;
	}
	if (!rq->command[0][0])
		return err_set(reterr, ERR_INVALID, "command: the program's name is empty");
	return 0;
}

static bool is_env_name(const char *name)
{
	if (!isalpha((unsigned char)*name) && *name != '_')
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && *name != '_')
			return false;
	return true;
}

static int take_env(const cJSON *body, struct request *rq, struct err **reterr)
{
	const cJSON *map = cJSON_GetObjectItemCaseSensitive(body, "env"), *item;
	size_t i = 0;

	if (!map || cJSON_IsNull(map))
		return 0;
	if (!cJSON_IsObject(map))
		return err_set(reterr, ERR_INVALID, "env: expected an object of texts");
	rq->env = mem_array((size_t)cJSON_GetArraySize(map) + 1, sizeof(*rq->env));
	if (!rq->env)
		return err_nomem(reterr);
	cJSON_ArrayForEach (item, map) {
		if (!cJSON_IsString(item))
			return err_set(reterr, ERR_INVALID, "env.%s: expected a text",
				       item->string);
		if (!is_env_name(item->string))
			return err_set(reterr, ERR_INVALID, "env: \"%s\" is no variable's name",
				       item->string);
		if (strncmp(item->string, "AICTL_", 6) == 0) /* processes are found by them */
			return err_set(reterr, ERR_INVALID, "env.%s: is the daemon's own",
				       item->string);
		rq->env[i] = mem_printf("%s=%s", item->string, item->valuestring);
		if (!rq->env[i])
			return err_nomem(reterr);
		rq->text += strlen(rq->env[i++]) + 1;
	}
	return 0;
}

static unsigned take_size(const cJSON *body, const char *name)
{
	const cJSON *n = cJSON_GetObjectItemCaseSensitive(body, name);

	return cJSON_IsNumber(n) && n->valuedouble >= 1 && n->valuedouble <= 65535
		       ? (unsigned)n->valuedouble
		       : 0;
}

static int take_dir(const cJSON *body, struct request *rq, struct err **reterr)
{
	const cJSON *dir = cJSON_GetObjectItemCaseSensitive(body, "working_dir");

	if (!dir || cJSON_IsNull(dir))
		return 0;
	if (!cJSON_IsString(dir) || dir->valuestring[0] != '/')
		return err_set(reterr, ERR_INVALID, "working_dir: expected an absolute path");
	rq->dir = dir->valuestring;
	rq->text += strlen(rq->dir);
	return 0;
}

static int take_request(const cJSON *body, struct request *rq, struct err **reterr)
{
	const cJSON *replica = cJSON_GetObjectItemCaseSensitive(body, "replica");
	int r;

	if (!cJSON_IsString(replica))
		return err_set(reterr, ERR_INVALID,
			       "replica: expected \"SERVICE\" or \"SERVICE/N\"");
	rq->replica = replica->valuestring;
	rq->tty = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(body, "tty"));
	rq->rows = take_size(body, "rows");
	rq->columns = take_size(body, "cols");
	r = take_command(body, rq, reterr);
	if (r == 0)
		r = take_env(body, rq, reterr);
	if (r == 0)
		r = take_dir(body, rq, reterr);
	if (r == 0 && rq->text > TEXT_MAX)
		r = err_set(reterr, ERR_INVALID, "command and env are larger than 1 MiB");
	return r;
}

/* ---- where ---- */

/* Its lowest ready replica, else the lowest that runs at all. */
static const struct replica *any_replica(const struct service *s)
{
	const struct replica *running = NULL;

	for (size_t i = 0; i < s->n_replicas; i++) {
		const struct replica *r = s->replicas[i];

		if (!r->pid || r->state == REPLICA_STOPPING)
			continue;
		if (r->state == REPLICA_READY && !r->frozen)
			return r;
		running = running ? running : r;
	}
	return running;
}

/* "chat" or "chat/0"; NULL and an answer when there is none. */
static const struct replica *find_replica(struct api_call *call, const char *id)
{
	const char *slash = strchr(id, '/');
	_cleanup_free_ char *name = mem_strndup(id, slash ? (size_t)(slash - id) : strlen(id));
	const struct service *s = name ? controller_find(call->c, name) : NULL;
	const struct replica *r;
	int64_t index;

	if (!s) {
		api_reply_error(call->r, 404, "not_found", "no service \"%s\"", name ? name : "");
		return NULL;
	}
	if (!slash) {
		r = any_replica(s);
	} else {
		r = parse_i64(slash + 1, 0, INT32_MAX, &index, NULL) == 0
			    ? service_replica(s, (unsigned)index)
			    : NULL;
		if (!r) {
			api_reply_error(call->r, 404, "not_found", "no replica \"%s\"", id);
			return NULL;
		}
	}
	if (r && replica_unit_is_lost(r)) {
		api_reply_error(call->r, 409, "not_ready", "%s \"%s\": %s",
				slash ? "replica" : "service", id, replica_unit_why_lost(r));
		return NULL;
	}
	if (r && r->pid && r->identity && r->state != REPLICA_STOPPING && !r->frozen)
		return r;
	if (r && r->frozen) /* so would the command be */
		api_reply_error(call->r, 409, "not_ready", "%s \"%s\" is frozen: aictl thaw %s",
				slash ? "replica" : "service", id, id);
	else
		api_reply_error(call->r, 409, "not_ready", "%s \"%s\" is not running",
				slash ? "replica" : "service", id);
	return NULL;
}

static void serve(struct api_call *call, const struct replica *r, const struct request *rq)
{
	const struct exec_opts o = {.what = {.command = (char *const *)rq->command,
					     .verbatim = true,
					     .environment = rq->env},
				    .cwd = rq->dir,
				    .tty = rq->tty,
				    .rows = rq->rows,
				    .columns = rq->columns};
	_cleanup_buf_ struct buf early = {0};
	_cleanup_err_ struct err *err = NULL;
	struct exec *x;
	int fd = -1;

	if (exec_start(call->c, r, &o, &x, &err) < 0)
		api_reply_err(call->r, err);
	else if (http_upgrade(call->r, EXEC_FRAME_PROTOCOL, &early, &fd) < 0)
		exec_abandon(x);
	else
		exec_attach(x, fd, &early);
}

void api_exec_post(struct api_call *call)
{
	__attribute__((cleanup(request_done))) struct request rq = {0};
	_cleanup_err_ struct err *err = NULL;
	const struct replica *r;
	cJSON *body;

	if (!http_upgrade_wanted(call->r, EXEC_FRAME_PROTOCOL)) {
		http_upgrade_required(call->r, EXEC_FRAME_PROTOCOL);
		return;
	}
	if (!api_ready(call))
		return;
	body = api_body_object(call);
	if (!body)
		return;
	if (take_request(body, &rq, &err) < 0)
		api_reply_err(call->r, err);
	else if ((r = find_replica(call, rq.replica)))
		serve(call, r, &rq);
	cJSON_Delete(body);
}
