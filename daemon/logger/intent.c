/* intent: see intent.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/intent.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define TABLE_MAX (64 << 20) /* bytes */

int intent_map(struct intent_table *t, int fd)
{
	struct stat st;
	size_t n;
	void *p;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size < (off_t)sizeof(uint64_t) || st.st_size > TABLE_MAX)
		return -EINVAL;
	n = (size_t)st.st_size / sizeof(uint64_t);
	p = mmap(NULL, n * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	intent_done(t);
	t->words = p;
	t->n = n;
	return 0;
}

void intent_done(struct intent_table *t)
{
	if (t->words)
		munmap(t->words, t->n * sizeof(uint64_t));
	t->words = NULL;
	t->n = 0;
}

uint64_t *intent_word(struct intent_table *t, uint32_t index, bool *shared)
{
	*shared = t->n > 0 && index < t->n - 1; /* the last one names the owner */
	return *shared ? &t->words[index] : &t->spare;
}

bool intent_is_owner(const struct intent_table *t, int32_t pid)
{
	return t->n > 0 &&
	       __atomic_load_n(&t->words[t->n - 1], __ATOMIC_SEQ_CST) == (uint64_t)(uint32_t)pid;
}

static uint64_t hash(const char *s)
{
	uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * UINT64_C(1099511628211);
	return (h ^ h >> 32) & 0x3fffff;
}

void intent_set(uint64_t *word, const char *incarnation, uint32_t stream, uint64_t offset)
{
	uint64_t v = hash(incarnation) << 42 | (uint64_t)(stream & 3) << 40 |
		     (offset & INTENT_OFFSET_MAX);

	__atomic_store_n(word, v, __ATOMIC_SEQ_CST);
}

void intent_clear(uint64_t *word)
{
	__atomic_store_n(word, 0, __ATOMIC_SEQ_CST);
}

bool intent_get(const uint64_t *word, const char *incarnation, uint32_t *stream, uint64_t *offset)
{
	uint64_t v = __atomic_load_n(word, __ATOMIC_SEQ_CST);

	*stream = (uint32_t)(v >> 40 & 3);
	*offset = v & INTENT_OFFSET_MAX;
	return (*stream == 1 || *stream == 2) && v >> 42 == hash(incarnation);
}
