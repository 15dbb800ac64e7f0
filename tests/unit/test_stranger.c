/* test_stranger: who gets a connection to 127.0.0.1:PORT, and whether that is the replica. */
/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "daemon/controller/sockdiag.h"
#include "daemon/controller/stranger.h"

#define OWN 77
#define BELOW 78
#define OTHER 99     /* another replica's */
#define ELSEWHERE 55 /* no replica's */
#define USER 1000

/* One that the replica has made, at that address. */
static struct sockdiag_socket at(const char *address)
{
	struct sockdiag_socket s = {
		.family = strchr(address, ':') ? AF_INET6 : AF_INET, .cgroup = OWN, .uid = USER};

	assert_int_equal(inet_pton(s.family, address, s.local), 1);
	return s;
}

static struct sockdiag_socket by(const char *address, uint64_t cgroup, uint32_t uid)
{
	struct sockdiag_socket s = at(address);

	s.cgroup = cgroup;
	s.uid = uid;
	return s;
}

static bool is_below(uint64_t cgroup, void *user)
{
	++*(unsigned *)user;
	return cgroup == BELOW;
}

static bool is_anothers(uint64_t cgroup, void *user)
{
	(void)user;
	return cgroup == OTHER;
}

static void test_rank(void **state)
{
	static const struct {
		const char *address;
		enum stranger_rank rank;
	} cases[] = {{"127.0.0.1", STRANGER_BY_ADDRESS},
		     {"::ffff:127.0.0.1", STRANGER_BY_ADDRESS},
		     {"0.0.0.0", STRANGER_BY_ANY},
		     {"::", STRANGER_BY_ANY},
		     {"127.0.0.2", STRANGER_NEVER},
		     {"10.0.0.1", STRANGER_NEVER},
		     {"::1", STRANGER_NEVER},
		     {"::ffff:0.0.0.0", STRANGER_NEVER},
		     {"fe80::1", STRANGER_NEVER}};
	struct sockdiag_socket s;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		s = at(cases[i].address);
		assert_int_equal(stranger_rank(&s), cases[i].rank);
	}
	s = at("::");
	s.v6only = true;
	assert_int_equal(stranger_rank(&s), STRANGER_NEVER);
	s = at("0.0.0.0");
	s.device = 2;
	assert_int_equal(stranger_rank(&s), STRANGER_NEVER);
	s.device = 1; /* lo */
	assert_int_equal(stranger_rank(&s), STRANGER_BY_ANY);
}

static void test_owner(void **state)
{
	unsigned asked = 0;
	const struct stranger_claim with = {.cgroup = OWN,
					    .uid = USER,
					    .below = is_below,
					    .others = is_anothers,
					    .user = &asked};
	const struct stranger_claim without = {.uid = USER}, root = {.uid = 0};
	struct stranger_claim root_with = with;
	static const struct {
		uint64_t cgroup;
		uint32_t uid;
		bool with, without;
	} cases[] = {{OWN, USER, true, true},
		     {OWN, 33, true, false}, /* it may have become another user */
		     {BELOW, USER, true, true},
		     {OTHER, USER, false, true}, /* no cgroup: nobody can tell them apart */
		     {OTHER, 33, false, false},
		     {OTHER, 0, false, true},
		     {ELSEWHERE, USER, true, true}, /* who could do as he likes with the replica */
		     {ELSEWHERE, 0, true, true},    /* docker run -p */
		     {ELSEWHERE, 33, false, false},
		     {0, USER, true, true}, /* the kernel does not say */
		     {0, 33, false, false},
		     {STRANGER_ROOT_CGROUP, USER, true, true},
		     {STRANGER_ROOT_CGROUP, 33, false, false}};

	(void)state;
	root_with.uid = 0;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sockdiag_socket s = by("127.0.0.1", cases[i].cgroup, cases[i].uid);

		assert_int_equal(stranger_owns(&with, &s), cases[i].with);
		assert_int_equal(stranger_owns(&without, &s), cases[i].without);
		assert_true(stranger_owns(&root, &s));
		assert_int_equal(stranger_owns(&root_with, &s), cases[i].cgroup != OTHER);
	}
	assert_int_equal(asked, 14); /* only where it is not its own already */
}

/* What is found of these, in this order and in the other one. */
static bool found(struct sockdiag_socket a, struct sockdiag_socket b, uint64_t *who)
{
	struct stranger_claim one = {.cgroup = OWN, .uid = USER, .others = is_anothers}, two = one;

	stranger_see(&one, &a);
	stranger_see(&one, &b);
	stranger_see(&two, &b);
	stranger_see(&two, &a);
	assert_int_equal(one.found, two.found);
	if (one.found)
		assert_int_equal(one.by_cgroup, two.by_cgroup);
	*who = one.found ? one.by_cgroup : 0;
	return one.found;
}

static void test_several(void **state)
{
	struct stranger_claim nobody = {.cgroup = OWN};
	struct sockdiag_socket own = at("127.0.0.1"), own_any = at("0.0.0.0");
	struct sockdiag_socket v6 = by("::1", OTHER, 33);
	uint64_t who;

	(void)state;
	assert_false(nobody.found);
	stranger_see(&nobody, &v6); /* it gets nothing that is for 127.0.0.1 */
	assert_false(nobody.found);
	assert_false(found(own, own, &who));
	/* one that shares the port gets its share */
	assert_true(found(own, by("127.0.0.1", OTHER, USER), &who));
	assert_int_equal(who, OTHER);
	assert_true(found(own_any, by("::", OTHER, USER), &who));
	/* the address itself comes before all addresses */
	assert_false(found(own, by("0.0.0.0", OTHER, USER), &who));
	assert_false(found(own, by("::", OTHER, USER), &who));
	assert_true(found(own_any, by("127.0.0.1", OTHER, USER), &who));
	/* between two who are not it, the one who gets the connection is told */
	assert_true(found(by("127.0.0.1", OTHER, 33), by("0.0.0.0", 55, 34), &who));
	assert_int_equal(who, OTHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rank),
		cmocka_unit_test(test_owner),
		cmocka_unit_test(test_several),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
