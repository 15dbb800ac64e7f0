/* probe_progress: see probe_progress.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/probe_progress.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/parse.h"

/* The value behind "name" or "name{labels}"; false: the line is about something else. */
static bool read_sample(const char *line, const char *name, double *ret)
{
	size_t n = strlen(name);
	const char *p = line + n;
	char value[64];

	if (strncmp(line, name, n) != 0 || (*p != '{' && *p != ' ' && *p != '\t'))
		return false;
	if (*p == '{') {
		bool quoted = false;

		for (p++; *p && (quoted || *p != '}'); p++) {
			if (*p == '\\' && p[1])
				p++;
			else if (*p == '"')
				quoted = !quoted;
		}
		if (*p != '}')
			return false;
		p++;
	}
	p += strspn(p, " \t");
	n = strcspn(p, " \t\r"); /* a time may follow */
	if (n == 0 || n >= sizeof(value))
		return false;
	memcpy(value, p, n);
	value[n] = '\0';
	return parse_double(value, -DBL_MAX, DBL_MAX, ret, NULL) == 0; /* no NaN, no Inf */
}

static void take_line(struct probe_page *p)
{
	double value;

	p->line[p->len] = '\0';
	if (!p->too_long && read_sample(p->line, p->metric, &value)) {
		p->metric_sum += value;
		p->has_metric = true;
	}
	if (!p->too_long && read_sample(p->line, p->pending, &value)) {
		p->pending_sum += value;
		p->has_pending = true;
	}
	p->len = 0;
	p->too_long = false;
}

void probe_progress_add(struct probe_page *p, const char *data, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (data[i] == '\n')
			take_line(p);
		else if (p->len + 1 < sizeof(p->line) && data[i])
			p->line[p->len++] = data[i];
		else
			p->too_long = true;
	}
}

void probe_progress_end(struct probe_page *p)
{
	if (p->len > 0 || p->too_long)
		take_line(p);
}

bool probe_progress_judge(struct probe_progress *p, const struct probe_page *page, int64_t stall_ms,
			  int64_t now_mono_ms, char *message, size_t n)
{
	bool moved = p->moved_mono_ms == 0 || page->metric_sum < p->counter ||
		     page->metric_sum > p->counter;
	char still[32];

	if (!page->has_pending) {
		snprintf(message, n, "the page has no metric %.100s", page->pending);
		return false;
	}
	/* A counter with labels may not be there before it counts. */
	p->counter = page->metric_sum;
	if (moved || !(page->pending_sum > 0))
		p->moved_mono_ms = now_mono_ms > 0 ? now_mono_ms : 1;
	clock_human(now_mono_ms - p->moved_mono_ms, still, sizeof(still));
	if (!(page->pending_sum > 0))
		snprintf(message, n, "nothing waits, counter at %.15g", p->counter);
	else if (moved)
		snprintf(message, n, "%.15g waiting, counter at %.15g", page->pending_sum,
			 p->counter);
	else
		snprintf(message, n, "%.15g waiting, counter stands at %.15g for %s",
			 page->pending_sum, p->counter, still);
	return !(page->pending_sum > 0) || now_mono_ms - p->moved_mono_ms < stall_ms;
}
