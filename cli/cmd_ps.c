/*
 * cmd_ps: aictl ps, lists services by one of the writers (writer.h). `status` is the same with an
 * exit code that says whether the named services are ready.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/js.h"
#include "cli/writer.h"
#include "lib/mem.h"

/* `status NAME` answers as systemctl does. */
static int status_code(const struct args *args, const struct reply *r)
{
	const cJSON *s;

	if (strcmp(args->verb, "status") != 0 || args->n_operands == 0)
		return CODE_OK;
	cJSON_ArrayForEach (s, js_get(r->json, "services")) {
		if (strcmp(js_str(s, "state", ""), "ready") != 0)
			return CODE_NOT_READY;
	}
	return CODE_OK;
}

static int run(struct cli *cli, const struct args *args)
{
	const struct writer *writer = writer_find(args_value(args, "output", "table"));
	_cleanup_client_ struct client *client = client_open(cli);
	_cleanup_free_ char *path =
		client_path_services("/v1/services", args->operands, args->n_operands);
	_cleanup_reply_ struct reply reply = {0};

	client_get(client, path, &reply);
	writer->services(cli, &reply);
	return status_code(args, &reply);
}

static const struct option_spec options[] = {
	{'o', "output", "FORMAT", "table, wide, json or name (default table)", WRITER_CHOICE},
	{0},
};

const struct command cmd_ps_command = {
	.name = "ps",
	.aliases = {"ls", "status"},
	.group = GROUP_LOOK,
	.synopsis = "[OPTIONS] [SERVICE...]",
	.summary = "List services and their replicas",
	.details = "A row for each replica; a service that runs none has a row of its own.\n"
		   "AGE counts from the start of the process, RESTARTS what we restarted.\n\n"
		   "`aictl ps NAME` exits 0 when the service exists. `aictl status NAME` exits 3\n"
		   "when a named service is not ready, as systemctl does. Both exit 4 when there\n"
		   "is no such service.",
	.examples = "aictl ps\n"
		    "aictl ps -o wide sentiment\n"
		    "aictl ps -o json | jq '.services[].state'\n"
		    "aictl status sentiment || echo not ready",
	.options = options,
	.args_max = ARGS_MANY,
	.run = run,
};
