/* intent: see intent.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/intent.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define TABLE_MAX (64 << 20) /* bytes */

void intent_init(struct intent_table *t)
{
	*t = (struct intent_table){.words = NULL};
	steps_init(&t->steps);
}

static int map(int fd, void **ret, size_t *ret_n)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size < (off_t)sizeof(uint64_t) || st.st_size > TABLE_MAX)
		return -EINVAL;
	*ret_n = (size_t)st.st_size / sizeof(uint64_t);
	*ret = mmap(NULL, *ret_n * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return *ret == MAP_FAILED ? -errno : 0;
}

static void unmap(struct intent_table *t)
{
	steps_map(&t->steps, NULL);
	if (t->words)
		munmap(t->words, t->n * sizeof(uint64_t));
	t->words = NULL;
	t->n = t->n_slots = 0;
}

int intent_map(struct intent_table *t, int fd)
{
	size_t n = 0;
	void *p = NULL;
	int r = map(fd, &p, &n);

	close(fd);
	if (r < 0)
		return r;
	unmap(t);
	t->words = p;
	t->n = n;
	t->n_slots = n - 1; /* the last one names the owner */
	if (t->n_slots <= STEPS_WORDS)
		return 0;
	t->n_slots -= STEPS_WORDS;
	steps_map(&t->steps, &t->words[t->n_slots]);
	return 0;
}

void intent_done(struct intent_table *t)
{
	unmap(t);
	steps_done(&t->steps);
}

uint64_t *intent_word(struct intent_table *t, uint32_t index, bool *shared)
{
	*shared = index < t->n_slots;
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
	return *stream != 0 && v >> 42 == hash(incarnation);
}
