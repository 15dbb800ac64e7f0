/*
 * cppcheck: the macros of libraries that cppcheck.py's tool cannot parse code without.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_TESTS_LINT_CPPCHECK_H
#define AICTL_TESTS_LINT_CPPCHECK_H

#define cJSON_ArrayForEach(e, a) for ((e) = (a)->child; (e); (e) = (e)->next)
#define TAILQ_FIRST(h) ((h)->tqh_first)
#define TAILQ_FOREACH(v, h, f) for ((v) = (h)->tqh_first; (v); (v) = (v)->f.tqe_next)
#define SLIST_FIRST(h) ((h)->slh_first)
#define SLIST_FOREACH(v, h, f) for ((v) = (h)->slh_first; (v); (v) = (v)->f.sle_next)
#define LIST_HEAD(n, t)                                                                            \
	struct n {                                                                                 \
		struct t *lh_first;                                                                \
	}
#define LIST_ENTRY(t)                                                                              \
	struct {                                                                                   \
		struct t *le_next, **le_prev;                                                      \
	}
#define LIST_FIRST(h) ((h)->lh_first)
#define LIST_FOREACH(v, h, f) for ((v) = (h)->lh_first; (v); (v) = (v)->f.le_next)

#endif
