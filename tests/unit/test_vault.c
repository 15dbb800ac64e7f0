/* test_vault: what is put in lives until nothing in it is wanted. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <unistd.h>

#include "daemon/supervisor/vault.h"
#include "daemon/wire/wire.h"
#include "lib/buf.h"

/* Puts in the write end of a new pipe; returns the read end: at its end when that is thrown away. */
static int put(struct vault *v)
{
	_cleanup_buf_ struct buf b = {0};
	int p[2];

	wire_encode_empty(&b, WIRE_PING);
	assert_int_equal(pipe(p), 0);
	if (!vault_put(v, &b, &p[1], 1)) {
		close(p[0]);
		p[0] = -1;
	}
	close(p[1]);
	return p[0];
}

static bool is_held(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 0;
}

static void it_is_emptied_with_the_last_one(void **state)
{
	struct vault v;
	int a, b;

	(void)state;
	vault_init(&v);
	assert_int_equal(put(&v), -1);
	vault_renew(&v);
	a = put(&v);
	b = put(&v);
	assert_true(is_held(a) && is_held(b));
	vault_drop(&v);
	assert_true(is_held(b));
	vault_drop(&v);
	assert_false(is_held(a) || is_held(b));
	vault_drop(&v); /* harmless */
	close(a);
	a = put(&v);
	assert_true(is_held(a));
	vault_renew(&v);
	assert_false(is_held(a));
	close(a);
	close(b);
	vault_done(&v);
}

static void it_is_bounded_and_says_when_it_is_stale(void **state)
{
	int fds[2000], n = 0;
	struct vault v;

	(void)state;
	vault_init(&v);
	vault_renew(&v);
	while (n < 2000 && (fds[n] = put(&v)) >= 0)
		n++;
	assert_in_range(n, 32, 1999);
	assert_false(vault_is_stale(&v));
	for (int i = 1; i < n; i++)
		vault_drop(&v);
	assert_true(vault_is_stale(&v));
	vault_empty(&v);
	assert_false(vault_is_stale(&v));
	for (int i = 0; i < n; i++) {
		assert_false(is_held(fds[i]));
		close(fds[i]);
	}
	vault_done(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_emptied_with_the_last_one),
		cmocka_unit_test(it_is_bounded_and_says_when_it_is_stale),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
