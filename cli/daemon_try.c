/* daemon_try: see daemon_try.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/daemon_try.h"

#include <stddef.h>

#include "cli/client.h"
#include "cli/client_find.h"
#include "cli/js.h"
#include "cli/x.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/http_client.h"
#include "lib/mem.h"

#define PATIENCE_MS 3000

char *daemon_try_info(const struct cli *cli, struct reply *ret)
{
	const struct client_request rq = {.method = "GET", .path = "/v1/daemon"};
	char *socket = client_find_try(cli);
	_cleanup_client_ struct client *client = socket ? client_new(socket) : NULL;
	_cleanup_err_ struct err *err = NULL;

	if (!client)
		return NULL;
	client_set_patience(client, PATIENCE_MS);
	if (client_call(client, &rq, ret, &err) < 0 || ret->status != 200)
		client_reply_done(ret);
	return socket;
}

/* Asked once: it would be asked again for as long as it is starting. */
char *daemon_try_why(const char *socket)
{
	const struct http_client_request rq = {.method = "GET",
					       .target = "/v1/services",
					       .deadline_mono_ms =
						       clock_add(clock_mono_ms(), PATIENCE_MS)};
	struct http_client_answer answer = {0};
	_cleanup_js_ cJSON *json = NULL;
	struct http_client *http = NULL;
	const char *message = NULL;
	char *why;

	if (http_client_new(socket, &http, NULL) < 0)
		return NULL;
	if (http_client_call(http, &rq, &answer, NULL) == 0 && answer.status == 503) {
		json = js_parse(answer.body, answer.len);
		message = js_str(js_get(json, "error"), "message", NULL);
	}
	why = message ? x_strdup(message) : NULL;
	mem_free(answer.body);
	http_client_free(http);
	return why;
}
