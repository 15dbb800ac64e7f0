/*
 * fuzz_wire: any bytes as a packet. Through a socket first: what arrives is refused or has the
 * header it was sent with. What a decoder accepts is encoded again to the very same bytes, so no
 * two packets mean the same and nothing in one is passed over. One input in eight runs with one
 * allocation that fails.
 */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/wire/wire.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/mem.h"
#include "lib/sock.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/wiremsg.h"

const char fuzz_name[] = "wire";

const char *const fuzz_words[] = {"aiw1",
				  "\x01",
				  "\x04\x01\x01\x01",
				  "\xff\xff\xff\xff",
				  "\xff\xff\xff\x7f",
				  "\x80",
				  "\x40",
				  "\x20",
				  "llm-7b",
				  "0123456789abcdef0123456789abcdef",
				  "/",
				  "..",
				  "A=1",
				  NULL};

static void check_body(enum wire_type type, const uint8_t *body, size_t len, bool starve)
{
	_cleanup_buf_ struct buf out = {0};
	int r;

	if (starve)
		mem_fail_after(1 + len % 3);
	r = wiremsg_again(type, body, len, &out);
	mem_fail_after(0);
	if (r != 0 && r != -ERR_INVALID && !(starve && r == -ERR_NOMEM))
		abort();
	if (r != 0 || (starve && out.failed))
		return;
	if (type == WIRE_JOIN || type == WIRE_GIVE_BACK || type == WIRE_GIVE_LISTENER)
		return; /* of a newer build: more may follow */
	if (out.failed || out.len != WIRE_HEADER_SIZE + len ||
	    (len && memcmp(out.data + WIRE_HEADER_SIZE, body, len) != 0))
		abort();
}

/* Sends the bytes as they are and takes what arrives. */
static void check_packet(const uint8_t *data, size_t size, bool starve)
{
	static struct wire_packet p;
	int pair[2], r;

	if (sock_pair(pair) < 0)
		abort();
	if (send(pair[0], data, size, MSG_NOSIGNAL) != (ssize_t)size)
		abort();
	r = wire_recv(pair[1], &p);
	if (r == 1) {
		uint8_t *copy = mem_dup(p.body, p.len); /* of its exact size */

		if (!copy || p.len + WIRE_HEADER_SIZE != size || p.n_fds != 0)
			abort();
		check_body(p.type, copy, p.len, starve);
		mem_free(copy);
		wire_packet_done(&p);
	} else if (r != -EBADMSG && !(r == 0 && size == 0)) {
		abort();
	}
	close(pair[0]);
	close(pair[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool starve = size > 0 && data[size - 1] % 8 == 3;

	if (size > WIRE_HEADER_SIZE + WIRE_INLINE_MAX)
		return 0;
	if (size > 0)
		check_packet(data, size, starve);
	/* whatever the header says: each decoder on the rest */
	if (size > 0)
		check_body((enum wire_type)(data[0] % (WIRE_TYPE_MAX_ + 1)), data + 1, size - 1,
			   starve);
	return 0;
}
