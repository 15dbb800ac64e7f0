/* daemon_try: see daemon_try.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/daemon_try.h"

#include <stddef.h>

#include "cli/client.h"
#include "cli/client_find.h"
#include "lib/err.h"

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
