/*
 * docker_mem: every allocation of the Docker plugin, which links nothing of aictl: so that tests
 * can fail the Nth call, and a buffer that grows.
 *
 * All return NULL when out of memory. docker_mem_zalloc zeroes. docker_mem_fail_after is for
 * tests: the Nth allocation from now on fails (1 = the next); 0 switches it off.
 *
 * A docker_buf remembers that an addition failed, so that only the end has to be looked at; its
 * text always has a NUL behind it. `limit` (0: none) makes an addition that goes beyond it fail.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_PLUGINS_DOCKER_MEM_H
#define AICTL_PLUGINS_DOCKER_MEM_H

#include <stdbool.h>
#include <stddef.h>

void *docker_mem_zalloc(size_t size);
void *docker_mem_realloc(void *p, size_t size);
void docker_mem_free(void *p);
char *docker_mem_dup(const char *s);		/* NULL for NULL */
char *docker_mem_copy(const void *p, size_t n); /* with a NUL behind it */
char *docker_mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void docker_mem_fail_after(unsigned long nth);
void docker_mem_freep(void *pp);
#define _docker_free_ __attribute__((cleanup(docker_mem_freep)))

struct docker_buf {
	char *data; /* NULL while empty */
	size_t len, cap, limit;
	bool failed;
};

void docker_mem_add(struct docker_buf *b, const void *p, size_t n);
void docker_mem_text(struct docker_buf *b, const char *s);
void docker_mem_drop(struct docker_buf *b, size_t n); /* the first n bytes */
void docker_mem_done(struct docker_buf *b);

#endif
