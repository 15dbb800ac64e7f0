/* text: see text.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/text.h"

#include <string.h>

#include "cli/js.h"
#include "cli/x.h"
#include "lib/clock.h"

char *text_age(const cJSON *o, const char *member, int64_t now_ms)
{
	int64_t at = js_time(o, member);
	char human[32];

	if (!at)
		return x_strdup("-");
	if (now_ms - at < 1000)
		return x_strdup("0s");
	return x_strdup(clock_human(now_ms - at, human, sizeof(human)));
}

char *text_exit(const cJSON *e)
{
	const char *signal = js_str(e, "signal", NULL), *cause = js_str(e, "cause", "");
	int64_t code = js_int(e, "code", -1);

	if (signal)
		return strcmp(cause, "signal") == 0 || !*cause
			       ? x_printf("signal %s", signal)
			       : x_printf("signal %s (%s)", signal, cause);
	if (code >= 0)
		return strcmp(cause, "exit") == 0 || !*cause
			       ? x_printf("exit code %lld", (long long)code)
			       : x_printf("exit code %lld (%s)", (long long)code, cause);
	return !*cause || strcmp(cause, "unknown") == 0
		       ? x_strdup("exit status unknown")
		       : x_printf("exit status unknown (%s)", cause);
}

char *text_replica_message(const cJSON *replica, int64_t now_ms)
{
	const char *message = js_str(replica, "message", "");
	int64_t next = js_time(replica, "next_attempt_at");
	char human[32];

	if (!next)
		return x_strdup(message);
	clock_human(next - now_ms, human, sizeof(human));
	return x_printf("%s%snext attempt %s%s%s", message, *message ? "; " : "",
			next - now_ms >= 1000 ? "in " : "now", next - now_ms >= 1000 ? human : "",
			js_bool(replica, "slow_mode") ? " (slow mode)" : "");
}

char *text_number(const cJSON *o, const char *member)
{
	int64_t n = js_int(o, member, 0);

	return n ? x_printf("%lld", (long long)n) : x_strdup("-");
}

char *text_count(int64_t n, const char *noun)
{
	return x_printf("%lld %s%s", (long long)n, noun, n == 1 ? "" : "s");
}
