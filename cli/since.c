/* since: see since.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/since.h"

#include <stddef.h>

#include "cli/args.h"
#include "cli/report.h"
#include "lib/err.h"
#include "lib/when.h"

int64_t since_option_named(const struct args *args, const char *name, int64_t now_ms)
{
	const char *value = args_value(args, name, NULL);
	_cleanup_err_ struct err *e = NULL;
	int64_t at = 0;

	if (value && when_parse(value, now_ms, true, &at, &e) < 0)
		report_usage(args->command, "--%s %s", name, err_msg(e));
	return at;
}

int64_t since_option(const struct args *args, int64_t now_ms)
{
	return since_option_named(args, "since", now_ms);
}
