/* journal_line: see journal_line.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/journal_line.h"

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/logidx.h"
#include "lib/logjson.h"
#include "lib/loglevel.h"

static enum loglevel priority_of(const struct journal_line *l, size_t *skip)
{
	enum loglevel level = loglevel_of_prefix(l->text, l->len, skip);
	struct logjson j;

	if (level != LOGLEVEL_NONE)
		return level;
	if (l->stream == LOGIDX_NOTE)
		return LOGLEVEL_WARNING;
	if (l->len > 0 && l->text[0] == '{' && logjson_read(l->text, l->len, &j))
		level = j.priority;
	else
		level = loglevel_of_line(l->text, l->len);
	return level == LOGLEVEL_NONE ? LOGLEVEL_INFO : level;
}

void journal_line_encode(struct buf *out, const struct journal_line *l)
{
	char stamp[CLOCK_RFC3339_SIZE];
	size_t skip;
	enum loglevel priority = priority_of(l, &skip);

	clock_rfc3339(l->wall_ms, stamp);
	buf_str(out, "MESSAGE=");
	buf_append(out, l->text + skip, l->len - skip);
	buf_printf(out, "\nPRIORITY=%d\nSYSLOG_IDENTIFIER=%s\n", (int)priority, l->service);
	buf_printf(out, "AICTL_SERVICE=%s\nAICTL_REPLICA=%s/%u\n", l->service, l->service,
		   l->index);
	if (l->revision)
		buf_printf(out, "AICTL_REVISION=%llu\n", (unsigned long long)l->revision);
	buf_printf(out, "AICTL_INCARNATION=%s\nAICTL_STREAM=%s\n", l->incarnation,
		   logidx_stream_name(l->stream));
	buf_printf(out, "AICTL_TIME=%.19s.%03dZ\n", stamp, (int)(l->wall_ms % 1000));
}
