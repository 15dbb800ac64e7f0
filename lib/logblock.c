/*
 * logblock: see logblock.h. Most lines neither are indented nor end in a colon, and are no part of
 * a traceback: for them it is a few comparisons.
 */
/* SPDX-License-Identifier: MIT */
#include "lib/logblock.h"

#include <string.h>

#include "lib/mem.h"

#define HEAD "Traceback (most recent call last):"
#define GROUP "+ Exception Group "

struct piece {
	const char *at;
	size_t len;
};

static bool begins(struct piece p, const char *with)
{
	size_t n = strlen(with);

	return p.len >= n && memcmp(p.at, with, n) == 0;
}

static bool ends(struct piece p, const char *with)
{
	size_t n = strlen(with);

	return p.len >= n && memcmp(p.at + p.len - n, with, n) == 0;
}

static bool is_indented(struct piece p)
{
	return p.len > 0 && (p.at[0] == ' ' || p.at[0] == '\t');
}

/* ---- a logger's prefix ---- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Takes it off; it has the same length in each line, but other digits. */
static bool strip(const struct logblock_stream *s, struct piece *p)
{
	if (p->len < s->prefix_len)
		return false;
	for (size_t i = 0; i < s->prefix_len; i++)
		if (p->at[i] != s->prefix[i] && !(is_digit(p->at[i]) && is_digit(s->prefix[i])))
			return false;
	p->at += s->prefix_len;
	p->len -= s->prefix_len;
	return true;
}

/* Is it a traceback's first line? Then what stands before that is the prefix. */
static bool take_head(struct logblock_stream *s, struct piece line)
{
	size_t n = strlen(HEAD);

	if (line.len < n || line.at[line.len - 1] != ':' || !ends(line, HEAD))
		return false;
	line.len -= n;
	s->state = LOGBLOCK_BODY;
	if (ends(line, GROUP)) {
		s->state = LOGBLOCK_OVER; /* all of its lines are indented */
		line.len -= strlen(GROUP);
		while (line.len > 0 && line.at[line.len - 1] == ' ')
			line.len--;
	}
	if (line.len > sizeof(s->prefix)) {
		s->state = LOGBLOCK_NONE;
		return false;
	}
	memcpy(s->prefix, line.at, line.len);
	s->prefix_len = line.len;
	return true;
}

/* ---- steps ---- */

static bool is_near(const struct logblock_stream *s, int64_t wall_ms, int64_t gap_ms)
{
	return s->lines > 0 && wall_ms >= s->last_ms && wall_ms - s->last_ms <= gap_ms &&
	       wall_ms - s->first_ms <= LOGBLOCK_MS && s->lines < LOGBLOCK_LINES;
}

static bool is_chained(struct piece rest)
{
	return rest.len == 0 || begins(rest, "During handling of the above exception") ||
	       begins(rest, "The above exception was the direct cause") || is_indented(rest);
}

/* Within a traceback, or behind one. */
static bool goes_on(struct logblock_stream *s, struct piece line)
{
	struct piece rest = line;

	if (!strip(s, &rest)) /* a frame's line that has none */
		return is_indented(line);
	if (s->state == LOGBLOCK_BODY) {
		if (rest.len > 0 && !is_indented(rest))
			s->state = LOGBLOCK_OVER; /* "ValueError: ..." is its last line */
		return true;
	}
	return is_chained(rest) || take_head(s, line);
}

static bool belongs(struct logblock_stream *s, struct piece line, int64_t wall_ms)
{
	if (s->state == LOGBLOCK_NONE)
		return is_indented(line) && is_near(s, wall_ms, LOGBLOCK_NEAR_MS);
	if (is_near(s, wall_ms, s->state == LOGBLOCK_BODY ? LOGBLOCK_GAP_MS : LOGBLOCK_NEAR_MS) &&
	    goes_on(s, line))
		return true;
	s->state = LOGBLOCK_NONE;
	return false;
}

/* A line of one stream within a traceback of the other: moved away from it it would be. */
static bool is_amid(const struct logblock *b, uint32_t stream, int64_t wall_ms)
{
	for (uint32_t i = 0; i < LOGBLOCK_STREAMS; i++)
		if (i + 1 != stream && b->streams[i].state == LOGBLOCK_BODY &&
		    is_near(&b->streams[i], wall_ms, LOGBLOCK_GAP_MS))
			return true;
	return false;
}

bool logblock_next(struct logblock *b, uint32_t stream, const char *text, size_t n, int64_t wall_ms)
{
	struct logblock_stream *s;
	bool joined;

	if (stream < 1 || stream > LOGBLOCK_STREAMS)
		return is_amid(b, stream, wall_ms);
	s = &b->streams[stream - 1];
	joined = belongs(s, (struct piece){text, n}, wall_ms);
	if (!joined) {
		s->lines = 0;
		s->first_ms = wall_ms;
		take_head(s, (struct piece){text, n});
	}
	s->lines++;
	s->last_ms = wall_ms;
	return joined || is_amid(b, stream, wall_ms);
}

bool logblock_expects(const struct logblock *b, int64_t *last_ms)
{
	for (size_t i = 0; i < LOGBLOCK_STREAMS; i++)
		if (b->streams[i].state == LOGBLOCK_BODY) {
			*last_ms = b->streams[i].last_ms;
			return true;
		}
	return false;
}
