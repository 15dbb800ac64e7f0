/* text: see text.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/text.h"

#include <string.h>
#include <unistd.h>

#include "cli/js.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"

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

	if (strcmp(cause, "start") == 0)
		return x_strdup("never ran");
	if (signal)
		return strcmp(cause, "signal") == 0 || !*cause
			       ? x_printf("signal %s", signal)
			       : x_printf("signal %s (%s)", signal, cause);
	if (code >= 0)
		return strcmp(cause, "exit") == 0 || !*cause
			       ? x_printf("exit code %lld", (long long)code)
			       : x_printf("exit code %lld (%s)", (long long)code, cause);
	return !*cause || strcmp(cause, "lost") == 0 || strcmp(cause, "unknown") == 0
		       ? x_strdup("exit status unknown")
		       : x_printf("exit status unknown (%s)", cause);
}

const char *text_replica_state(const cJSON *replica)
{
	return js_bool(replica, "frozen") ? "frozen" : js_str(replica, "state", "unknown");
}

char *text_next_run(int64_t next_ms, int64_t now_ms)
{
	char human[32], when[CLOCK_RFC3339_SIZE];

	clock_human(next_ms - now_ms, human, sizeof(human));
	return x_printf("next run %s%s (%s)", next_ms - now_ms >= 1000 ? "in " : "now",
			next_ms - now_ms >= 1000 ? human : "", clock_rfc3339(next_ms, when));
}

static char *next_run(const char *message, int64_t next_ms, int64_t now_ms)
{
	_cleanup_free_ char *run = text_next_run(next_ms, now_ms);

	return x_printf("%s%s%s", message, *message ? "; " : "", run);
}

char *text_replica_message(const cJSON *replica, int64_t now_ms)
{
	const char *message = js_str(replica, "message", "");
	int64_t next = js_time(replica, "next_attempt_at");
	char human[32];

	if (!next && js_time(replica, "next_run_at"))
		return next_run(message, js_time(replica, "next_run_at"), now_ms);
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

char *text_bytes(int64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1000 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	return x_printf(unit > 0 && value < 9.95 ? "%.1f%s" : "%.0f%s", value, units[unit]);
}

char *text_count(int64_t n, const char *noun)
{
	return x_printf("%lld %s%s", (long long)n, noun, n == 1 ? "" : "s");
}

char *text_duration(int64_t ms)
{
	char human[32];

	if (ms >= 1000 && ms < 10000 && ms % 1000 >= 100)
		return x_printf("%d.%ds", (int)(ms / 1000), (int)(ms % 1000 / 100));
	return x_strdup(clock_human(ms, human, sizeof(human)));
}

char *text_place(const cJSON *place)
{
	_cleanup_free_ char *cwd = getcwd(NULL, 0);
	const char *path = js_str(place, "file", "");
	long long line = js_int(place, "line", 0);
	size_t n = cwd ? strlen(cwd) : 0;

	if (n > 1 && strncmp(path, cwd, n) == 0 && path[n] == '/')
		path += n + 1;
	if (strcmp(path, "-") == 0)
		path = "<stdin>";
	return *path && line ? x_printf("%s:%lld", path, line) : x_strdup(path);
}

/* A value of any type, short. */
static void put_value(struct buf *out, const cJSON *v)
{
	char *text;

	if (!v || cJSON_IsString(v)) {
		buf_str(out, v ? v->valuestring : "nothing");
		return;
	}
	text = x_check(cJSON_PrintUnformatted(v));
	buf_str(out, text);
	cJSON_free(text);
}

static void put_left(struct buf *out, int64_t left_ms)
{
	char human[32];

	if (left_ms > 0)
		buf_printf(out, " for %s", clock_human(left_ms, human, sizeof(human)));
}

char *text_drift(const cJSON *drift)
{
	struct buf out = {0};
	const cJSON *d;

	cJSON_ArrayForEach (d, drift) {
		const char *key = js_str(d, "key", "?");

		buf_str(&out, out.len ? "; " : "");
		if (strcmp(key, "stopped") == 0 && js_bool(d, "actual")) {
			buf_str(&out, "stopped by the user");
			continue;
		}
		if (strcmp(key, "replicas") == 0)
			buf_str(&out, "scaled to ");
		else
			buf_printf(&out, "%s is ", key);
		put_value(&out, js_get(d, "actual"));
		put_left(&out, js_time(d, "until") - clock_wall_ms());
		buf_printf(&out, " (%s: ", js_get(d, "scaler") ? "scaler" : "manifest");
		put_value(&out, js_get(d, js_get(d, "scaler") ? "scaler" : "manifest"));
		buf_char(&out, ')');
	}
	return out.data ? x_check(buf_take(&out)) : x_strdup("");
}

char *text_ms(const cJSON *o, const char *member)
{
	double ms = js_double(o, member, -1);

	if (ms < 0)
		return x_strdup("-");
	if (ms < 10)
		return x_printf("%.1fms", ms);
	return ms < 1000 ? x_printf("%.0fms", ms) : x_printf("%.1fs", ms / 1000);
}

char *text_scaler(const cJSON *scaler)
{
	const char *message = js_str(scaler, "message", "");

	return x_printf("%lld of %lld..%lld%s%s", (long long)js_int(scaler, "replicas", 0),
			(long long)js_int(scaler, "min", 0), (long long)js_int(scaler, "max", 0),
			*message ? ": " : "", message);
}
