/* writer_json: -o json, the daemon's reply, indented. */
/* SPDX-License-Identifier: MIT */
#include "cli/writer.h"

#include <stdio.h>

#include "cli/client.h"
#include "cli/pretty.h"
#include "cli/x.h"
#include "lib/buf.h"

void writer_json_print(const char *text, unsigned long len)
{
	_cleanup_buf_ struct buf out = {0};

	pretty_json(text, len, &out);
	if (out.failed)
		x_check(NULL);
	fwrite(out.data, 1, out.len, stdout);
}

static void services(const struct cli *cli, const struct reply *reply)
{
	(void)cli;
	writer_json_print(reply->text, reply->len);
}

const struct writer writer_json_writer = {"json", services};
