/* event: see event.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/event.h"

#include <string.h>
#include <time.h>

#include "cli/js.h"
#include "cli/x.h"

char *event_object(const cJSON *event)
{
	const char *service = js_str(event, "service", NULL);
	int64_t replica = js_int(event, "replica", -1);

	if (!service || !*service)
		return x_strdup("aictld");
	return replica < 0 ? x_strdup(service) : x_printf("%s/%lld", service, (long long)replica);
}

char *event_what(const cJSON *event)
{
	const char *to = js_str(event, "to", NULL), *message = js_str(event, "message", "");

	if (!*message)
		message = js_str(event, "reason", "");
	if (!to)
		return x_strdup(message);
	return *message && strcmp(message, to) != 0 ? x_printf("%s: %s", to, message)
						    : x_strdup(to);
}

char *event_time(const cJSON *event)
{
	time_t at = (time_t)(js_time(event, "at") / 1000);
	char text[32];
	struct tm tm;

	if (!at || !localtime_r(&at, &tm) ||
	    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) == 0)
		return x_strdup("-");
	return x_strdup(text);
}
