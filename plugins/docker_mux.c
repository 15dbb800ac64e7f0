/*
 * docker_mux: see docker_mux.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "docker_mux.h"

#include <string.h>

#include "docker_json.h"

/* dockerd cuts longer lines; each part has a stamp, on a terminal in the middle of the line. */
#define CUT 16384
/* Stamps of the two streams are this much out of order at the most; a clock that is set back is more. */
#define SETTLED_NS 1000000000

void docker_mux_init(struct docker_mux *m, bool raw, bool stamps,
		     const struct aictl_log_position *from)
{
	*m = (struct docker_mux){.raw = raw, .stamps = stamps, .in_stamp = raw && stamps};
	if (from) {
		m->from = m->written = *from;
		m->stamp_ns = m->newest = from->stamp_ns;
	}
	m->passed = m->from.bytes == 0;
	if (raw)
		m->stream = DOCKER_MUX_STDOUT;
}

bool docker_mux_between(const struct docker_mux *m)
{
	return m->raw || (m->n_head == 0 && m->left == 0);
}

static ssize_t take_head(struct docker_mux *m, const char *data, size_t n)
{
	size_t k = sizeof(m->head) - m->n_head;
	const unsigned char *h = m->head;

	if (k > n)
		k = n;
	memcpy(m->head + m->n_head, data, k);
	m->n_head += k;
	if (m->n_head < sizeof(m->head))
		return (ssize_t)k;
	if (h[0] > DOCKER_MUX_ENGINE || h[1] || h[2] || h[3])
		return -1;
	m->n_head = 0;
	m->left = (uint32_t)h[4] << 24 | (uint32_t)h[5] << 16 | (uint32_t)h[6] << 8 | h[7];
	m->stream = h[0] ? h[0] : DOCKER_MUX_STDOUT;
	m->in_stamp = m->stamps && m->stream != DOCKER_MUX_ENGINE;
	m->n_stamp = 0;
	return (ssize_t)k;
}

/* How much of the piece is old news. */
static size_t old(struct docker_mux *m, const struct docker_mux_piece *p)
{
	uint64_t rest;

	if (m->passed || p->stream == DOCKER_MUX_ENGINE)
		return 0;
	if (p->stamp_ns < m->from.stamp_ns)
		return p->len;
	if (m->dropped == 0 && m->from.stamp_ns > 0 && p->stamp_ns > m->from.stamp_ns) {
		m->passed = true; /* the engine has dropped what we stood at: all of this is new */
		return 0;
	}
	if (p->stamp_ns > m->newest)
		m->newest = p->stamp_ns;
	rest = m->from.bytes - m->dropped;
	if (rest > p->len)
		rest = p->len;
	m->dropped += rest;
	m->passed = m->dropped == m->from.bytes;
	return (size_t)rest;
}

static void give(struct docker_mux *m, struct docker_mux_piece *p, const char *data, size_t len,
		 bool ends)
{
	size_t skip;

	p->stream = m->stream;
	p->stamp_ns = m->stamp_ns;
	p->data = data;
	p->len = len;
	p->ends = ends;
	p->held = data == m->stamp;
	skip = old(m, p);
	p->data += skip;
	p->len -= skip;
}

/* What looked like a stamp is none, or was cut: it is output. */
static void give_held(struct docker_mux *m, struct docker_mux_piece *p)
{
	size_t n = m->n_stamp;

	m->in_stamp = false;
	m->n_stamp = 0;
	m->line += n;
	give(m, p, m->stamp, n, !m->raw && m->left == 0);
}

/* One byte of the stamp; the blank behind it ends it. */
static ssize_t take_stamp(struct docker_mux *m, const char *data, struct docker_mux_piece *ret)
{
	char c = data[0];
	size_t len;

	if (c == ' ' && docker_json_stamp(m->stamp, m->n_stamp, &m->stamp_ns, &len) &&
	    len == m->n_stamp) {
		m->left -= m->raw ? 0 : 1;
		m->in_stamp = false;
		m->n_stamp = 0;
		return 1;
	}
	if (c == ' ' || c == '\n' || m->n_stamp == sizeof(m->stamp)) {
		if (m->n_stamp == 0) {
			m->in_stamp = false;
			return 0;
		}
		give_held(m, ret);
		return 0;
	}
	m->stamp[m->n_stamp++] = c;
	m->left -= m->raw ? 0 : 1;
	if (!m->raw && m->left == 0)
		give_held(m, ret);
	return 1;
}

static ssize_t take_frame(struct docker_mux *m, const char *data, size_t n,
			  struct docker_mux_piece *ret)
{
	size_t k = n < m->left ? n : m->left;

	m->left -= (uint32_t)k;
	give(m, ret, data, k, m->left == 0);
	return (ssize_t)k;
}

/* On a terminal lines are all there is. */
static ssize_t take_raw(struct docker_mux *m, const char *data, size_t n,
			struct docker_mux_piece *ret)
{
	const char *nl;
	size_t k = n;
	bool ends;

	if (!m->stamps) {
		give(m, ret, data, n, false);
		return (ssize_t)n;
	}
	if (k > CUT - m->line % CUT)
		k = CUT - m->line % CUT;
	nl = memchr(data, '\n', k);
	if (nl)
		k = (size_t)(nl - data) + 1;
	m->line += k;
	ends = nl || m->line % CUT == 0;
	if (nl)
		m->line = 0;
	give(m, ret, data, k, ends);
	m->in_stamp = ends;
	return (ssize_t)k;
}

ssize_t docker_mux_next(struct docker_mux *m, const char *data, size_t n,
			struct docker_mux_piece *ret)
{
	ret->len = 0;
	ret->held = false;
	if (n == 0)
		return 0;
	if (!m->raw && m->left == 0)
		return take_head(m, data, n);
	if (m->in_stamp)
		return take_stamp(m, data, ret);
	return m->raw ? take_raw(m, data, n, ret) : take_frame(m, data, n, ret);
}

/* Moves the stamp that is counted from: to one that was younger than all before it, once nothing older
 * can follow. */
static void settle(struct docker_mux *m, int64_t stamp_ns)
{
	const struct aictl_log_position here = {.stamp_ns = stamp_ns};

	if (stamp_ns < m->written.stamp_ns) { /* the clock was set back */
		m->written = here;
		m->next = (struct aictl_log_position){0};
		m->newest = stamp_ns;
	}
	if (stamp_ns <= m->newest)
		return;
	m->newest = stamp_ns;
	if (m->next.stamp_ns == 0) {
		m->next = here;
	} else if (stamp_ns - m->next.stamp_ns >= SETTLED_NS) {
		m->written = m->next;
		m->next = here;
	}
}

void docker_mux_wrote(struct docker_mux *m, const struct docker_mux_piece *piece, size_t n)
{
	struct aictl_log_position *counted[] = {&m->written, &m->next};
	bool ended = n == piece->len && piece->ends;

	if (!m->stamps || piece->stream == DOCKER_MUX_ENGINE)
		return;
	settle(m, piece->stamp_ns);
	for (size_t i = 0; i < 2; i++) {
		if (i > 0 && (m->next.stamp_ns == 0 || piece->stamp_ns < m->next.stamp_ns))
			continue;
		counted[i]->bytes += n;
		counted[i]->lines += ended;
	}
}
