/* push_message: see push_message.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/push_message.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "daemon/supervisor/cgroup.h"
#include "daemon/supervisor/push.h"
#include "daemon/supervisor/slot.h"
#include "daemon/supervisor/table.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define US_PER_MS 1000

/* ---- who ---- */

static bool is_of_slot(const struct slot *s, int pid)
{
	const struct table_slot *t = s->t;
	int leader = s->cold->push.leader > 0 ? s->cold->push.leader : t->cell.pid;
	int session;

	if (pid == t->cell.pid)
		return true;
	session = getsid(pid);
	if (session < 0)
		return errno == ESRCH; /* it has said its word and ended */
	return session == leader || cgroup_has_pid(s, pid);
}

bool push_message_is_ours(const struct slot *s, const struct ucred *from)
{
	uint32_t uid = s->t->uid == (uint32_t)-1 ? geteuid() : s->t->uid;

	if (!from || from->pid <= 0 || (from->uid != uid && from->uid != 0))
		return false;
	return is_of_slot(s, from->pid);
}

/* ---- what ---- */

/* Length of the UTF-8 sequence at p that may be shown, 0 = none. Beyond ASCII: no C1 controls,
 * no surrogates, nothing written longer than needed. */
static size_t sequence(const unsigned char *p)
{
	size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	uint32_t code = n == 1 ? p[0] : p[0] & (0xffu >> (n + 1));
	static const uint32_t least[] = {0, 0x20, 0xa0, 0x800, 0x10000};

	if ((p[0] >= 0x80 && p[0] < 0xc2) || p[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80) /* the end of the text, too */
			return 0;
		code = code << 6 | (p[i] & 0x3fu);
	}
	if (code < least[n] || code == 0x7f || code > 0x10ffff ||
	    (code >= 0xd800 && code < 0xe000) || code == 0x2028 || code == 0x2029 ||
	    (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069))
		return 0;
	return n;
}

void push_message_clean(char *out, size_t size, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t len = 0;

	while (*p) {
		size_t n = sequence(p);

		if (len + (n ? n : 1) >= size)
			break;
		if (n == 0)
			out[len++] = ' ';
		for (size_t i = 0; i < n; i++)
			out[len++] = (char)p[i];
		p += n ? n : 1;
	}
	memset(out + len, 0, size - len);
}

/* -1: no number of microseconds. */
static int64_t to_ms(const char *text)
{
	int64_t us;

	if (parse_i64(text, 0, INT64_MAX, &us, NULL) < 0)
		return -1;
	return us / US_PER_MS + (us % US_PER_MS != 0);
}

static void take_watchdog(struct table_push *p, const char *value, struct push_message_out *out)
{
	(void)p;
	if (strcmp(value, "1") == 0)
		out->ping = true;
	else if (strcmp(value, "trigger") == 0)
		out->trigger = true;
}

static void take_watchdog_usec(struct table_push *p, const char *value,
			       struct push_message_out *out)
{
	int64_t ms = to_ms(value);

	if (ms < 0)
		return;
	p->watchdog_ms = ms;
	out->rewatch = true;
}

static void take_extend(struct table_push *p, const char *value, int64_t now_mono_ms,
			struct push_message_out *out)
{
	int64_t ms = to_ms(value);

	if (ms < 0)
		return;
	p->extend_until_mono_ms =
		clock_add(now_mono_ms, ms < PUSH_EXTEND_MAX_MS ? ms : PUSH_EXTEND_MAX_MS);
	out->extend = true;
}

/* The last word of READY, RELOADING and STOPPING holds; one that reloads is still ready. */
static bool take_state(struct table_push *p, const char *key, const char *value)
{
	const uint32_t words = WIRE_PUSH_RELOADING | WIRE_PUSH_STOPPING;
	uint32_t set;

	if (strcmp(key, "READY") == 0)
		set = WIRE_PUSH_READY;
	else if (strcmp(key, "RELOADING") == 0)
		set = WIRE_PUSH_RELOADING;
	else if (strcmp(key, "STOPPING") == 0)
		set = WIRE_PUSH_STOPPING;
	else
		return false;
	if (strcmp(value, "1") == 0)
		p->flags = (p->flags & ~words) | set;
	return true;
}

static void take_line(struct table_push *p, const char *key, const char *value, int64_t now_mono_ms,
		      struct push_message_out *out)
{
	int64_t n;

	if (take_state(p, key, value))
		return;
	if (strcmp(key, "STATUS") == 0)
		push_message_clean(p->status, sizeof(p->status), value);
	else if (strcmp(key, "ERRNO") == 0 && parse_i64(value, 0, 4095, &n, NULL) == 0)
		p->err = (int32_t)n;
	else if (strcmp(key, "MAINPID") == 0 && parse_i64(value, 2, INT32_MAX, &n, NULL) == 0)
		out->main_pid = (int)n;
	else if (strcmp(key, "WATCHDOG") == 0)
		take_watchdog(p, value, out);
	else if (strcmp(key, "WATCHDOG_USEC") == 0)
		take_watchdog_usec(p, value, out);
	else if (strcmp(key, "EXTEND_TIMEOUT_USEC") == 0)
		take_extend(p, value, now_mono_ms, out);
}

void push_message_take(struct table_push *p, char *text, size_t len, int64_t now_mono_ms,
		       struct push_message_out *out)
{
	*out = (struct push_message_out){0};
	while (len > 0 && text[len - 1] == '\0') /* some send the terminator, too */
		len--;
	text[len] = '\0';
	if (memchr(text, '\0', len)) {
		out->malformed = true;
		return;
	}
	for (char *next = text, *line; next && (line = strsep(&next, "\n"));) {
		char *value = strchr(line, '=');

		if (!value)
			continue;
		*value++ = '\0';
		take_line(p, line, value, now_mono_ms, out);
	}
}
