/*
 * test_link: the controller's end of the socket to aictld: packets keep their order and their
 * descriptors, also those that had to wait because the kernel's queue was full.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "daemon/controller/link.h"
#include "daemon/wire/wire.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/mem.h"
#include "lib/sock.h"

#define PACKETS 500 /* the kernel's queue takes 278; two descriptors each are within 1,024 */

struct world {
	uv_loop_t loop;
	struct link *link;
	int peer;
	bool ended;
};

static void on_packet(struct wire_packet *p, void *user)
{
	(void)p;
	(void)user;
}

static void on_end(void *user)
{
	((struct world *)user)->ended = true;
}

static void set_up(struct world *w)
{
	struct link_handlers h = {
		.on_packet = on_packet, .on_end = on_end, .user = w, .peer = "aictld"};
	int fds[2];

	signal(SIGPIPE, SIG_IGN);
	*w = (struct world){0};
	assert_int_equal(uv_loop_init(&w->loop), 0);
	assert_int_equal(sock_pair(fds), 0);
	assert_int_equal(link_new(&w->loop, fds[0], &h, &w->link, NULL), 0);
	w->peer = fds[1];
}

static void tear_down(struct world *w)
{
	link_close(w->link);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->loop), 0);
	if (w->peer >= 0)
		close(w->peer);
}

static ino_t inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

static void send_number(struct world *w, uint32_t i)
{
	const struct wire_key key = {.service = "chat", .index = i};
	_cleanup_buf_ struct buf b = {0};
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	wire_encode_ack(&b, &key, inode_of(fds[0])); /* so that the receiver knows the pipe */
	link_send_fds(w->link, &b, fds, 2);
	close(fds[0]); /* the waiting packet has copies */
	close(fds[1]);
}

static void test_order_and_descriptors(void **state)
{
	struct wire_packet *p = mem_alloc(sizeof(*p));
	struct world w;

	(void)state;
	set_up(&w);
	for (uint32_t i = 0; i < PACKETS; i++)
		send_number(&w, i);
	for (uint32_t i = 0; i < PACKETS;) {
		struct wire_key key;
		uint64_t inode;
		int r = wire_recv(w.peer, p);

		if (r == -EAGAIN) { /* those that wait are sent as there is room */
			uv_run(&w.loop, UV_RUN_ONCE);
			continue;
		}
		assert_int_equal(r, 1);
		assert_int_equal(wire_decode_ack(p->body, p->len, &key, &inode), 0);
		assert_int_equal(key.index, i++);
		assert_int_equal(p->n_fds, 2);
		assert_int_equal(inode_of(p->fds[0]), inode);
		wire_packet_done(p);
	}
	assert_false(w.ended);
	tear_down(&w);
	mem_free(p);
}

static int count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 8192; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void test_copies_are_closed(void **state)
{
	int before = count_fds();
	struct world w;

	(void)state;
	set_up(&w);
	for (uint32_t i = 0; i < PACKETS / 2; i++)
		send_number(&w, i);
	tear_down(&w); /* with packets that wait */
	assert_int_equal(count_fds(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_and_descriptors),
		cmocka_unit_test(test_copies_are_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
