/*
 * cmd_doctor: aictl doctor, what this machine allows and what each lack costs (doctor.h). Works
 * with and without a daemon.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/daemon_try.h"
#include "cli/doctor.h"
#include "cli/js.h"
#include "cli/output.h"
#include "lib/mem.h"

static int run(struct cli *cli, const struct args *args)
{
	static const struct output_view view = {
		.table = doctor_print, .list = "checks", .id = "name"};
	_cleanup_reply_ struct reply reply = {0};
	_cleanup_free_ char *socket = NULL, *why = NULL;
	struct doctor_machine m;
	struct output out;
	cJSON *document;
	int code;

	output_begin(&out, cli, args);
	socket = daemon_try_info(cli, &reply);
	if (strcmp(js_str(reply.json, "mode", ""), "starting") == 0)
		why = daemon_try_why(socket);
	doctor_machine_read(&m, reply.json, socket, why);
	document = doctor_document(&m);
	output_json(&out, &view, document);
	code = js_int(document, "problems", 0) ? CODE_FAILED : CODE_OK;
	cJSON_Delete(document);
	doctor_machine_done(&m);
	return code;
}

static const struct option_spec options[] = {
	OUTPUT_OPTION,
	{0},
};

const struct command cmd_doctor_command = {
	.name = "doctor",
	.group = GROUP_OTHER,
	.synopsis = "[OPTIONS]",
	.summary = "Say what this machine allows and what each lack costs",
	.details =
		"Looks at the kernel, limits, directories, users and ports that the daemon needs,\n"
		"and at the daemon itself where one answers. Changes nothing.\n\n"
		"Exits 1 when there is a problem, 0 with warnings.",
	.examples = "aictl doctor\n"
		    "aictl doctor -o json | jq '.checks[] | select(.level != \"ok\")'",
	.options = options,
	.run = run,
};
