/*
 * aictl-gateway by the rules of a route: slots and who waits for them, a canary's share, backends
 * that are left out, holds, time-outs.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/mem.h"
#include "tests/unit/gate_rig.h"

#define GET "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
#define POST "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define BAD "HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno"

static void has(const struct gate_rig *h, const char *part)
{
	if (!strstr(h->text, part))
		fail_msg("no \"%s\" in: %s", part, h->text);
}

/* Which backend has a request: of its listener, or on the connection in b. */
static int who(struct gate_rig *h, int b[GATE_RIG_BACKENDS])
{
	int64_t deadline = clock_mono_ms() + GATE_RIG_DEADLINE_MS;

	for (;;) {
		assert_true(clock_mono_ms() < deadline);
		for (int i = 0; i < GATE_RIG_BACKENDS; i++) {
			if (b[i] >= 0 && gate_rig_is_readable(b[i], 0)) {
				gate_rig_read(h, b[i], "\r\n\r\n");
				return i;
			}
			if (h->backends[i] >= 0 && gate_rig_is_readable(h->backends[i], 1)) {
				mem_closep(&b[i]);
				b[i] = gate_rig_take(h, i, "\r\n\r\n");
				return i;
			}
		}
	}
}

static void close_all(int b[GATE_RIG_BACKENDS])
{
	for (int i = 0; i < GATE_RIG_BACKENDS; i++)
		mem_closep(&b[i]);
}

static void a_slot_is_one_requests(void **state)
{
	struct gate_rig *h = *state;
	int c[5], b = -1;

	h->rules.concurrency = 1;
	gate_rig_route(h, 1);
	for (int i = 0; i < 5; i++) {
		c[i] = gate_rig_connect(h);
		gate_rig_send(c[i], i % 2 ? POST : GET);
		if (i == 0)
			b = gate_rig_take(h, 0, "\r\n\r\n");
		gate_rig_expect_active(h, 0, 1);
	}
	for (int i = 0; i < 5; i++) {
		assert_false(gate_rig_is_readable(h->backends[0], 20));
		assert_false(gate_rig_is_readable(b, 20));
		gate_rig_send(b, OK);
		gate_rig_read(h, c[i], "ok");
		if (i < 4) /* the next one, at once */
			gate_rig_read(h, b, i % 2 ? "\r\n\r\n" : "\r\n\r\nx");
	}
	for (int i = 0; i < 5; i++)
		close(c[i]);
	close(b);
}

/* One that is pipelined waits behind those of others. */
static void the_line_is_one_for_all(void **state)
{
	struct gate_rig *h = *state;
	int first, other, b;

	h->rules.concurrency = 1;
	gate_rig_route(h, 1);
	first = gate_rig_connect(h);
	gate_rig_send(first,
		      "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
	b = gate_rig_take(h, 0, "\r\n\r\n");
	has(h, "GET /1 ");
	other = gate_rig_connect(h);
	gate_rig_send(other, GET);
	assert_false(gate_rig_is_readable(b, 50));
	gate_rig_send(b, OK);
	gate_rig_read(h, b, "\r\n\r\n");
	has(h, "GET / ");
	gate_rig_send(b, OK);
	gate_rig_read(h, b, "\r\n\r\n");
	has(h, "GET /2 ");
	gate_rig_send(b, OK);
	gate_rig_read(h, other, "ok");
	close(first);
	close(other);
	close(b);
}

static void a_cancelled_one_gives_its_slot_away(void **state)
{
	struct gate_rig *h = *state;
	int first, waits, gone, b;

	h->rules.concurrency = 1;
	gate_rig_route(h, 1);
	first = gate_rig_connect(h);
	gate_rig_send(first, GET);
	b = gate_rig_take(h, 0, "\r\n\r\n");
	gone = gate_rig_connect(h);
	gate_rig_send(gone, GET);
	assert_false(gate_rig_is_readable(b, 20));
	waits = gate_rig_connect(h);
	gate_rig_send(waits, GET);
	assert_false(gate_rig_is_readable(b, 20));
	close(gone);
	close(first);
	assert_true(gate_rig_read_end(h, b));
	close(b);
	b = gate_rig_take(h, 0, "\r\n\r\n");
	gate_rig_send(b, OK);
	gate_rig_read(h, waits, "ok");
	assert_false(gate_rig_is_readable(h->backends[0], 20)); /* the one that left was not sent */
	close(waits);
	close(b);
}

static void a_canary_gets_its_share(void **state)
{
	struct gate_rig *h = *state;
	int c, b[GATE_RIG_BACKENDS] = {-1, -1, -1}, got[GATE_RIG_BACKENDS] = {0};

	h->rules.canary_permille = 250;
	h->canary[2] = true;
	gate_rig_route(h, 3);
	c = gate_rig_connect(h);
	for (int i = 0; i < 80; i++) {
		int at;

		gate_rig_send(c, GET);
		at = who(h, b);
		got[at]++;
		gate_rig_send(b[at], OK);
		gate_rig_read(h, c, "ok");
	}
	assert_int_equal(got[2], 20);
	assert_int_equal(got[0], 30);
	close(c);
	close_all(b);
}

static void who_cannot_be_reached_is_left_out(void **state)
{
	struct gate_rig *h = *state;
	int c, b[GATE_RIG_BACKENDS] = {-1, -1, -1};

	mem_closep(&h->backends[1]);
	gate_rig_route(h, 2);
	c = gate_rig_connect(h);
	for (int i = 0; i < 20; i++) {
		gate_rig_send(c, POST); /* nothing was sent: any method may go elsewhere */
		assert_int_equal(who(h, b), 0);
		gate_rig_send(b[0], OK);
		gate_rig_read(h, c, "ok");
	}
	gate_rig_expect_failures(h, 1, 3);
	gate_rig_expect_active(h, 0, 0);
	assert_int_equal(h->load[1].failures, 3);
	close(c);
	close_all(b);
}

static void who_fails_is_left_out(void **state)
{
	struct gate_rig *h = *state;
	int c, b[GATE_RIG_BACKENDS] = {-1, -1, -1}, bad = 0;

	gate_rig_route(h, 2);
	c = gate_rig_connect(h);
	for (int i = 0; i < 30; i++) {
		int at;

		gate_rig_send(c, GET);
		at = who(h, b);
		bad += at == 1;
		gate_rig_send(b[at], at == 1 ? BAD : OK);
		gate_rig_read(h, c, at == 1 ? "no" : "ok");
	}
	assert_int_equal(bad, 5);
	mem_closep(&b[0]);
	h->draining[0] = true; /* it is the last one now: better than nobody */
	gate_rig_route(h, 2);
	gate_rig_send(c, GET);
	assert_int_equal(who(h, b), 1);
	gate_rig_send(b[1], OK);
	gate_rig_read(h, c, "ok");
	close(c);
	close_all(b);
}

static void a_value_has_its_backend(void **state)
{
	struct gate_rig *h = *state;
	int c, b[GATE_RIG_BACKENDS] = {-1, -1, -1}, of[6];
	bool seen[GATE_RIG_BACKENDS] = {false};

	snprintf(h->rules.affinity, sizeof(h->rules.affinity), "X-User");
	gate_rig_route(h, 3);
	c = gate_rig_connect(h);
	for (int i = 0; i < 18; i++) {
		char text[100];
		int at;

		snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\nx-user: u%d\r\n\r\n",
			 i % 6);
		gate_rig_send(c, text);
		at = who(h, b);
		assert_true(i < 6 || of[i % 6] == at);
		of[i % 6] = at;
		seen[at] = true;
		gate_rig_send(b[at], OK);
		gate_rig_read(h, c, "ok");
	}
	assert_true(seen[0] + seen[1] + seen[2] >= 2);
	close(c);
	close_all(b);
}

static void retry_is_what_the_route_says(void **state)
{
	static const struct {
		uint8_t retry;
		const char *request;
		bool again;
	} cases[] = {{0, GET, true}, {0, POST, false}, {1, POST, true}, {2, GET, false}};
	struct gate_rig *h = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int c, b;

		h->rules.retry = cases[i].retry;
		gate_rig_route(h, 1);
		gate_rig_route(h, 2);
		c = gate_rig_connect(h);
		gate_rig_send(c, cases[i].request);
		for (int k = 0; k < 2; k++) {
			bool first = gate_rig_is_readable(h->backends[0], 10);

			if (!first && !gate_rig_is_readable(h->backends[1], 10)) {
				k--;
				continue;
			}
			b = gate_rig_take(h, first ? 0 : 1,
					  cases[i].request[0] == 'G' ? "\r\n\r\n" : "x");
			if (k == 0) {
				close(b);
				if (!cases[i].again)
					break;
			} else {
				gate_rig_send(b, "HTTP/1.1 200 OK\r\nConnection: close\r\n"
						 "Content-Length: 2\r\n\r\nok");
				close(b);
			}
		}
		gate_rig_read(h, c, cases[i].again ? "ok" : "}\n");
		assert_memory_equal(h->text, cases[i].again ? "HTTP/1.1 200" : "HTTP/1.1 502", 12);
		close(c);
	}
}

/* Who has waited already is not one too many when its turn was in vain. */
static void who_comes_back_finds_its_place(void **state)
{
	struct gate_rig *h = *state;
	int first = gate_rig_connect(h), other = gate_rig_connect(h), b;

	h->rules.concurrency = 1;
	h->rules.queue_max = 1;
	gate_rig_route(h, 1);
	gate_rig_send(first, GET GET);
	b = gate_rig_take(h, 0, "\r\n\r\n");
	gate_rig_send(other, GET);
	while (h->demand.waiting == 0)
		gate_rig_next_report(h);
	mem_closep(&h->backends[0]);
	gate_rig_send(b, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
	close(b);
	gate_rig_read(h, first, "ok");
	gate_rig_expect_failures(h, 0, 2);
	h->backends[0] = gate_rig_listen_at(h->ports[0]);
	b = gate_rig_take(h, 0, "\r\n\r\n");
	gate_rig_send(b, OK);
	gate_rig_read(h, b, "\r\n\r\n");
	gate_rig_send(b, OK);
	gate_rig_read(h, first, "\r\n\r\nok");
	has(h, "200 OK");
	gate_rig_read(h, other, "\r\n\r\nok");
	close(first);
	close(other);
	close(b);
}

/* One that went well ends a probation: who waits does not wait for its end. */
static void who_is_in_again_gets_its_share(void **state)
{
	struct gate_rig *h = *state;
	int c[4], b[4], at = -1;

	mem_closep(&h->backends[1]);
	h->rules.concurrency = 2;
	gate_rig_route(h, 2);
	for (int i = 0; i < 2;
	     i++) { /* both slots of the other one are taken; this one is ejected */
		c[i] = gate_rig_connect(h);
		gate_rig_send(c[i], GET);
		b[i] = gate_rig_take(h, 0, "\r\n\r\n");
	}
	for (int i = 2; i < 4; i++) {
		c[i] = gate_rig_connect(h);
		gate_rig_send(c[i], GET);
	}
	gate_rig_expect_failures(h, 1, 3);
	h->backends[1] = gate_rig_listen_at(h->ports[1]);
	b[2] = gate_rig_take(h, 1, "\r\n\r\n");
	assert_false(gate_rig_is_readable(h->backends[1], 50));
	gate_rig_send(b[2], "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
	b[3] = gate_rig_take(h, 1, "\r\n\r\n");
	gate_rig_send(b[3], OK);
	at = gate_rig_is_readable(c[2], 0) ? 2 : 3;
	gate_rig_read(h, c[at], "\r\n\r\no");
	gate_rig_read(h, c[5 - at], "ok");
	for (int i = 0; i < 4; i++) {
		close(c[i]);
		close(b[i]);
	}
}

static int listen_on_path(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 0), 0);
	return fd;
}

/* One connection fills its queue. */
static void who_is_slow_to_accept_is_not_left_out(void **state)
{
	struct gate_rig *h = *state;
	int c, b[GATE_RIG_BACKENDS] = {-1, -1, -1}, fill, served = 0;
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	snprintf(h->paths[0], sizeof(h->paths[0]), "%s/replica", h->sup);
	mem_closep(&h->backends[0]);
	h->backends[0] = listen_on_path(h->paths[0]);
	fill = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	memcpy(to.sun_path, h->paths[0], sizeof(h->paths[0]));
	assert_int_equal(connect(fill, (struct sockaddr *)&to, sizeof(to)), 0);
	gate_rig_route(h, 2);
	c = gate_rig_connect(h);
	for (int i = 0; i < 10; i++) {
		gate_rig_send(c, GET);
		if (b[1] < 0)
			b[1] = gate_rig_take(h, 1, "\r\n\r\n");
		else
			gate_rig_read(h, b[1], "\r\n\r\n");
		gate_rig_send(b[1], OK);
		gate_rig_read(h, c, "ok");
	}
	close(gate_rig_accept(h, 0));
	close(fill);
	for (int i = 0; i < 4; i++) {
		int at;

		gate_rig_send(c, GET);
		at = who(h, b);
		served += at == 0;
		gate_rig_send(b[at], OK);
		gate_rig_read(h, c, "ok");
	}
	assert_int_equal(served, 2);
	unlink(h->paths[0]);
	close(c);
	close_all(b);
}

/* ---- many that come and go ---- */

#define CLIENTS 50
#define STEPS 3000
#define SLOTS 2

struct crowd {
	struct gate_rig *h;
	int clients[CLIENTS];	 /* -1 = none; it has asked and has no answer */
	int ups[2 * CLIENTS];	 /* connections of the backends; -1 */
	int at[2 * CLIENTS];	 /* whose */
	bool asked[2 * CLIENTS]; /* there is a request that was not answered */
	unsigned answered, left;
};

/* What has come: connections, requests, ends. */
static void look(struct crowd *w)
{
	struct gate_rig *h = w->h;

	for (int i = 0; i < 2; i++) {
		while (gate_rig_is_readable(h->backends[i], 0)) {
			int k = 0;

			while (w->ups[k] >= 0)
				k++;
			assert_true(k < 2 * CLIENTS);
			w->ups[k] = gate_rig_accept(h, i);
			w->at[k] = i;
			w->asked[k] = false;
		}
	}
	for (int k = 0; k < 2 * CLIENTS; k++) {
		char c;

		if (w->ups[k] < 0 || !gate_rig_is_readable(w->ups[k], 0))
			continue;
		if (recv(w->ups[k], &c, 1, MSG_PEEK) <= 0) {
			mem_closep(&w->ups[k]);
			continue;
		}
		assert_false(w->asked[k]);
		gate_rig_read(h, w->ups[k], "\r\n\r\n");
		w->asked[k] = true;
	}
	for (int i = 0; i < CLIENTS; i++) {
		if (w->clients[i] < 0 || !gate_rig_is_readable(w->clients[i], 0))
			continue;
		gate_rig_read(h, w->clients[i], "ok");
		mem_closep(&w->clients[i]);
		w->answered++;
	}
}

/* Those whose client has left may have ended without our having seen it: looked at again. */
static void check_slots(struct crowd *w)
{
	int64_t deadline = clock_mono_ms() + GATE_RIG_DEADLINE_MS;
	unsigned n[2];

	do {
		assert_true(clock_mono_ms() < deadline);
		n[0] = n[1] = 0;
		for (int k = 0; k < 2 * CLIENTS; k++)
			n[w->at[k]] += w->ups[k] >= 0 && w->asked[k];
		if (n[0] > SLOTS || n[1] > SLOTS)
			look(w);
	} while (n[0] > SLOTS || n[1] > SLOTS);
}

static void answer_one(struct crowd *w, unsigned from)
{
	for (unsigned i = 0; i < 2 * CLIENTS; i++) {
		unsigned k = (from + i) % (2 * CLIENTS);

		if (w->ups[k] < 0 || !w->asked[k])
			continue;
		w->asked[k] = false;
		send(w->ups[k], OK, sizeof(OK) - 1, MSG_NOSIGNAL);
		return;
	}
}

static void step(struct crowd *w, unsigned random)
{
	unsigned i = (random >> 8) % CLIENTS;

	if (random % 8 < 4 && w->clients[i] < 0) {
		w->clients[i] = gate_rig_connect(w->h);
		gate_rig_send(w->clients[i], GET);
	} else if (random % 8 == 4 && w->clients[i] >= 0) {
		mem_closep(&w->clients[i]);
		w->left++;
	} else {
		answer_one(w, random >> 16);
	}
	look(w);
	check_slots(w);
}

static void nobody_is_forgotten(void **state)
{
	struct crowd w = {.h = *state};
	unsigned seed = 7, waiting = 1;
	int64_t deadline;

	for (int i = 0; i < CLIENTS; i++)
		w.clients[i] = -1;
	for (int k = 0; k < 2 * CLIENTS; k++)
		w.ups[k] = -1;
	w.h->rules.concurrency = SLOTS;
	gate_rig_route(w.h, 2);
	for (int i = 0; i < STEPS; i++) {
		step(&w, (unsigned)rand_r(&seed));
		if (i % 500 == 499) { /* the same, in another list of backends */
			w.h->draining[i / 500 % 2] = !w.h->draining[i / 500 % 2];
			gate_rig_route(w.h, 2);
		}
	}
	w.h->draining[0] = w.h->draining[1] = false;
	gate_rig_route(w.h, 2);
	for (deadline = clock_mono_ms() + GATE_RIG_DEADLINE_MS; waiting > 0;) {
		assert_true(clock_mono_ms() < deadline);
		look(&w);
		answer_one(&w, 0);
		waiting = 0;
		for (int i = 0; i < CLIENTS; i++)
			waiting += w.clients[i] >= 0;
	}
	print_message("%u answered, %u left\n", w.answered, w.left);
	assert_true(w.answered > 100 && w.left > 100);
	for (int k = 0; k < 2 * CLIENTS; k++)
		mem_closep(&w.ups[k]);
}

/* ---- holds ---- */

static void a_hold_is_ended(void **state)
{
	struct gate_rig *h = *state;
	int c[2], b;

	h->rules.queue_timeout_ms = 100; /* does not count meanwhile */
	h->rules.held_until = (uint64_t)clock_mono_ms() + 3600000;
	h->rules.concurrency = 1;
	gate_rig_route(h, 1);
	for (int i = 0; i < 2; i++) {
		c[i] = gate_rig_connect(h);
		gate_rig_send(c[i], GET);
	}
	assert_false(gate_rig_is_readable(c[0], 400));
	assert_false(gate_rig_is_readable(c[1], 0));
	assert_false(gate_rig_is_readable(h->backends[0], 0));
	h->rules.held_until = 0;
	h->rules.queue_timeout_ms = 600;
	gate_rig_route(h, 1);
	b = gate_rig_take(h, 0, "\r\n\r\n");
	if (!gate_rig_is_readable(c[1], 5000)) { /* and then it does */
		int swap = c[0];

		c[0] = c[1];
		c[1] = swap;
	}
	gate_rig_read(h, c[1], "}\n");
	has(h, "every replica is busy");
	gate_rig_send(b, OK);
	gate_rig_read(h, c[0], "ok");
	close(c[0]);
	close(c[1]);
	close(b);
}

/* Also who waits for its next try. */
static void a_hold_holds_all(void **state)
{
	struct gate_rig *h = *state;
	int c = gate_rig_connect(h), b;

	mem_closep(&h->backends[0]);
	gate_rig_route(h, 1);
	gate_rig_send(c, GET);
	while (h->load[0].failures == 0 || h->load[0].active == UINT32_MAX)
		gate_rig_next_report(h);
	h->rules.held_until = (uint64_t)clock_mono_ms() + 3600000;
	gate_rig_route(h, 1);
	h->backends[0] = gate_rig_listen_at(h->ports[0]);
	assert_false(gate_rig_is_readable(h->backends[0], 400));
	h->rules.held_until = 0;
	gate_rig_route(h, 1);
	b = gate_rig_take(h, 0, "\r\n\r\n");
	gate_rig_send(b, OK);
	gate_rig_read(h, c, "ok");
	close(c);
	close(b);
}

static void a_hold_ends_by_itself(void **state)
{
	struct gate_rig *h = *state;
	int64_t until = clock_mono_ms() + 600;
	int c, b;

	h->rules.held_until = (uint64_t)until;
	gate_rig_route(h, 1);
	c = gate_rig_connect(h);
	gate_rig_send(c, GET);
	b = gate_rig_take(h, 0, "\r\n\r\n");
	assert_true(clock_mono_ms() >= until - 5);
	gate_rig_send(b, OK);
	gate_rig_read(h, c, "ok");
	close(c);
	close(b);
}

/* ---- time-outs ---- */

static void expect_503(struct gate_rig *h, const char *why, int64_t least)
{
	int64_t began = clock_mono_ms();
	int c = gate_rig_connect(h);

	gate_rig_send(c, GET);
	gate_rig_read(h, c, "}\n");
	assert_memory_equal(h->text, "HTTP/1.1 503 ", 13);
	has(h, "\r\nRetry-After: ");
	has(h, why);
	assert_in_range(clock_mono_ms() - began, least, least + 8000);
	close(c);
}

static void a_start_has_a_time_of_its_own(void **state)
{
	struct gate_rig *h = *state;

	h->rules.queue_timeout_ms = 20;
	h->rules.hold_ms = 500;
	h->rules.from_zero = true;
	gate_rig_route(h, 0);
	expect_503(h, "no replica is ready", 495);
	h->rules.from_zero = false;
	h->rules.queue_timeout_ms = 300;
	gate_rig_route(h, 0);
	expect_503(h, "no replica is ready", 295);
}

static void a_port_of_ours_is_no_backend(void **state)
{
	struct gate_rig *h = *state;

	h->rules.queue_timeout_ms = 300;
	h->ports[0] = h->at.port;
	gate_rig_route(h, 1);
	expect_503(h, "every replica is busy", 295);
}

/* Its queue is full: the kernel drops what comes. */
static void who_does_not_accept_is_skipped(void **state)
{
	struct gate_rig *h = *state;
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(h->ports[0]),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fill[8], c, b;
	int64_t began;

	assert_int_equal(listen(h->backends[0], 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(fill); i++) {
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		assert_true(fill[i] >= 0);
		connect(fill[i], (struct sockaddr *)&to, sizeof(to));
	}
	h->rules.connect_ms = 400;
	h->draining[1] = true;
	gate_rig_route(h, 2);
	c = gate_rig_connect(h);
	began = clock_mono_ms();
	gate_rig_send(c, GET);
	assert_false(gate_rig_is_readable(h->backends[1], 100));
	h->draining[1] = false;
	gate_rig_route(h, 2);
	b = gate_rig_take(h, 1, "\r\n\r\n");
	assert_in_range(clock_mono_ms() - began, 395, 8000);
	gate_rig_send(b, OK);
	gate_rig_read(h, c, "ok");
	for (size_t i = 0; i < ARRAY_SIZE(fill); i++)
		close(fill[i]);
	close(c);
	close(b);
}

/* timeouts.response is that of the 101. */
static void a_tunnel_outlives_the_time_for_an_answer(void **state)
{
	struct gate_rig *h = *state;
	int c, b;

	h->rules.response_ms = 300;
	gate_rig_route(h, 1);
	c = gate_rig_connect(h);
	gate_rig_send(c, "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
	b = gate_rig_take(h, 0, "\r\n\r\n");
	gate_rig_send(b, "HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
	gate_rig_read(h, c, "\r\n\r\n");
	assert_false(gate_rig_is_readable(c, 800));
	gate_rig_send(b, "b");
	gate_rig_read(h, c, "b");
	gate_rig_send(c, "c");
	gate_rig_read(h, b, "c");
	close(c);
	close(b);
}

static void a_tunnel_without_a_byte_is_ended(void **state)
{
	struct gate_rig *h = *state;
	int64_t began = clock_mono_ms();
	int c, b;

	h->rules.tunnel_ms = 700;
	gate_rig_route(h, 1);
	c = gate_rig_connect(h);
	gate_rig_send(c, "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
	b = gate_rig_take(h, 0, "\r\n\r\n");
	gate_rig_send(b, "HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
	gate_rig_read(h, c, "\r\n\r\n");
	while (clock_mono_ms() - began < 1500) { /* each way counts */
		assert_false(gate_rig_is_readable(c, 200));
		gate_rig_send(b, "b");
		gate_rig_read(h, c, "b");
		assert_false(gate_rig_is_readable(b, 200));
		gate_rig_send(c, "c");
		gate_rig_read(h, b, "c");
	}
	began = clock_mono_ms();
	assert_true(gate_rig_read_end(h, c));
	assert_in_range(clock_mono_ms() - began, 690, 8000);
	assert_true(gate_rig_is_readable(b, 1000));
	close(c);
	close(b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, gate_rig_setup, gate_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_slot_is_one_requests),
		TEST(the_line_is_one_for_all),
		TEST(a_cancelled_one_gives_its_slot_away),
		TEST(a_canary_gets_its_share),
		TEST(who_cannot_be_reached_is_left_out),
		TEST(who_fails_is_left_out),
		TEST(a_value_has_its_backend),
		TEST(retry_is_what_the_route_says),
		TEST(who_comes_back_finds_its_place),
		TEST(who_is_in_again_gets_its_share),
		TEST(who_is_slow_to_accept_is_not_left_out),
		TEST(nobody_is_forgotten),
		TEST(a_hold_is_ended),
		TEST(a_hold_holds_all),
		TEST(a_hold_ends_by_itself),
		TEST(a_start_has_a_time_of_its_own),
		TEST(a_port_of_ours_is_no_backend),
		TEST(who_does_not_accept_is_skipped),
		TEST(a_tunnel_outlives_the_time_for_an_answer),
		TEST(a_tunnel_without_a_byte_is_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
