/* writer_name: -o name, one service a line, for xargs and completion. */
/* SPDX-License-Identifier: MIT */
#include "cli/writer.h"

#include <stdio.h>

#include "cli/client.h"
#include "cli/js.h"

static void services(const struct cli *cli, const struct reply *reply)
{
	const cJSON *s;

	(void)cli;
	cJSON_ArrayForEach (s, js_get(reply->json, "services"))
		puts(js_str(s, "name", ""));
}

const struct writer writer_name_writer = {"name", services};
