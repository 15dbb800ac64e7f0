/*
 * What a head is taken apart with, against plain words for the same: kinds of bytes, known names, and
 * the room that is made for what is written.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <string.h>

#include "daemon/gateway/chars.h"
#include "daemon/gateway/field.h"
#include "daemon/gateway/head.h"
#include "daemon/gateway/rewrite.h"
#include "lib/buf.h"

static bool is_in(int c, const char *list)
{
	return c != '\0' && strchr(list, c);
}

static void bytes_are_of_their_kinds(void **state)
{
	(void)state;
	for (int c = 0; c < 256; c++) {
		bool plain = c < 128 && isalnum(c), visible = c > ' ' && c < 0x7f;

		assert_int_equal(chars_is((char)c, CHARS_TOKEN),
				 plain || is_in(c, "!#$%&'*+-.^_`|~"));
		assert_int_equal(chars_is((char)c, CHARS_VALUE),
				 visible || c == ' ' || c == '\t' || c >= 128);
		assert_int_equal(chars_is((char)c, CHARS_TARGET), visible && c != '#');
		assert_int_equal(chars_is((char)c, CHARS_AUTHORITY),
				 visible && !is_in(c, "/\\?#@,\"<>"));
		assert_int_equal(chars_is((char)c, CHARS_ID), plain || is_in(c, "-_.:+/="));
	}
}

/* Any byte at any place of three times eight. */
static void a_value_ends_where_it_does(void **state)
{
	(void)state;
	for (size_t n = 0; n <= 24; n++)
		for (size_t at = 0; at < n; at++)
			for (int c = 0; c < 256; c++) {
				char text[24];

				memset(text, at % 2 ? 0xff : 'v', sizeof(text));
				text[at] = (char)c;
				assert_int_equal(chars_span_of_value(text, n),
						 chars_span(text, n, CHARS_VALUE));
			}
}

static void names_are_known(void **state)
{
	static const struct {
		const char *name;
		enum field is;
	} all[] = {{"te", FIELD_TE},
		   {"Host", FIELD_HOST},
		   {"HOSTS", FIELD_OTHER},
		   {"expect", FIELD_EXPECT},
		   {"Upgrade", FIELD_UPGRADE},
		   {"forwarded", FIELD_FORWARDED},
		   {"connection", FIELD_CONNECTION},
		   {"Keep-Alive", FIELD_KEEP_ALIVE},
		   {"keep_alive", FIELD_ODD},
		   {"X-Request-Id", FIELD_X_REQUEST_ID},
		   {"Content-Length", FIELD_CONTENT_LENGTH},
		   {"content_length", FIELD_ODD},
		   {"contentxlength", FIELD_OTHER},
		   {"HTTP2-Settings", FIELD_HTTP2_SETTINGS},
		   {"X-Forwarded-For", FIELD_X_FORWARDED_FOR},
		   {"X_Forwarded-For", FIELD_ODD_OF_REQUEST},
		   {"x-forwarded-host", FIELD_X_FORWARDED_HOST},
		   {"proxy-connection", FIELD_PROXY_CONNECTION},
		   {"x-forwarded-proto", FIELD_X_FORWARDED_PROTO},
		   {"transfer-encoding", FIELD_TRANSFER_ENCODING},
		   {"Transfer_Encoding", FIELD_ODD},
		   {"proxy-authenticate", FIELD_PROXY_AUTHENTICATE},
		   {"proxy-authorization", FIELD_PROXY_AUTHORIZATION},
		   {"proxy-authorizations", FIELD_OTHER},
		   {"", FIELD_OTHER}};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		assert_int_equal(field_of(all[i].name, strlen(all[i].name)), all[i].is);
	assert_true(field_is_passed_on(FIELD_OTHER, true));
	assert_false(field_is_passed_on(FIELD_ODD, false));
	assert_false(field_is_passed_on(FIELD_HOST, true));
	assert_true(field_is_passed_on(FIELD_HOST, false));
}

/* A sanitizer would see a byte too many. */
static void check_room(struct buf *in, bool is_answer)
{
	static struct head h;
	struct rewrite_to to = {.id = "0123456789abcdef", .close = true, .chunks = true};
	struct rewrite_from from = {.address = "1111:2222:3333:4444:5555:6666:7777:8888",
				    .is_ipv6 = true,
				    .is_trusted = true,
				    .host = "[::1]:8000",
				    .id = "0123456789abcdef"};
	struct buf out = {0};

	buf_str(in, "\r\n");
	assert_false(in->failed);
	assert_int_equal(head_find_end(in->data, in->len), in->len);
	if (is_answer) {
		assert_true(head_parse_answer(&h, in->data, in->len, false));
		rewrite_answer(&out, &h, &to);
	} else {
		assert_true(head_parse_request(&h, in->data, in->len));
		rewrite_request(&out, &h, &from);
	}
	assert_false(out.failed);
	assert_true(out.len > h.size - 40 && out.len < out.cap);
	buf_done(&out);
	buf_done(in);
}

static void put_many(struct buf *b, const char *text, int n)
{
	while (n-- > 0)
		buf_str(b, text);
}

/* What goes out may be longer than what came: names that we say, a space behind each colon. */
static void there_is_room_for_all(void **state)
{
	struct buf in = {0};

	(void)state;
	buf_str(&in, "POST http://");
	put_many(&in, "host", 2000);
	buf_str(&in, "/ HTTP/1.1\r\nHost:h\r\nTransfer-Encoding:chunked\r\nExpect:100-continue\r\n"
		     "TE:trailers\r\nConnection:te\r\nX-Forwarded-For:1\r\nForwarded:2\r\n"
		     "X-Forwarded-Proto:https\r\nX-Request-Id:");
	put_many(&in, "i", REWRITE_ID_SIZE - 1);
	buf_str(&in, "\r\n");
	check_room(&in, false);
	buf_str(&in, "PUT / HTTP/1.1\r\nHost:\r\n");
	put_many(&in, "a:\r\nb: c\r\nd:e \r\n", 40);
	check_room(&in, false);
	buf_str(&in, "GET / HTTP/1.1\r\nHost:h\r\nConnection:upgrade,x\r\nX:y\r\nUpgrade:");
	put_many(&in, "websocket", 1000);
	buf_str(&in, "\r\n");
	check_room(&in, false);
	buf_str(&in, "HTTP/1.1 599 ");
	put_many(&in, "why", 300);
	buf_str(&in, "\r\n");
	put_many(&in, "a:\r\n", HEAD_FIELDS_MAX);
	check_room(&in, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_of_their_kinds),
		cmocka_unit_test(a_value_ends_where_it_does),
		cmocka_unit_test(names_are_known),
		cmocka_unit_test(there_is_room_for_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
