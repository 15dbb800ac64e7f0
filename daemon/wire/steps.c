/* steps: see steps.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/wire/steps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/mem.h"

#define TID_BITS 22    /* the kernel's own limit */
#define SEEN_MS 200    /* one that lived a moment ago is not looked for again */
#define START_TICKS 22 /* field of /proc/TID/stat */

#define IN_STEP 1 /* for nobody */

enum word { WHO, MOUNT, STEP, N_WORDS }; /* STEP: the incarnation's id, or IN_STEP; 0 = in none */

_Static_assert((int)N_WORDS *STEPS_PLACES == STEPS_WORDS, "as the header says");

static uint64_t *word_of(uint64_t *words, unsigned at, enum word which)
{
	return &words[at * N_WORDS + which];
}

static uint64_t load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void store(uint64_t *word, uint64_t v)
{
	__atomic_store_n(word, v, __ATOMIC_SEQ_CST);
}

/* False: it has changed. Two loggers may want the same place. */
static bool exchange(uint64_t *word, uint64_t former, uint64_t v)
{
	return __atomic_compare_exchange_n(word, &former, v, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

/* ---- who lives ---- */

/* "TID (name) S 1 2 ...": the start time, 0 when it has ended. */
static uint64_t start_of(char *line)
{
	char *at = strrchr(line, ')'); /* the name may hold anything */
	uint64_t ticks = 0;

	if (!at || at[1] != ' ' || strchr("ZXx", at[2]))
		return 0;
	for (int field = 2; at && field < START_TICKS; field++)
		at = strchr(at + 1, ' ');
	for (at = at ? at + 1 : line; *at >= '0' && *at <= '9'; at++)
		ticks = ticks * 10 + (uint64_t)(*at - '0');
	return ticks;
}

/* The thread as it is known, 0 = there is none. False: nobody can say. */
static bool look_up(uint64_t tid, uint64_t *who)
{
	_cleanup_close_ int fd = -1;
	char path[40], line[1024];
	uint64_t start;
	ssize_t n;

	*who = 0;
	snprintf(path, sizeof(path), "/proc/%llu/stat", (unsigned long long)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ESRCH;
	n = read(fd, line, sizeof(line) - 1);
	if (n <= 0)
		return n < 0 && errno == ESRCH;
	line[n] = '\0';
	start = start_of(line);
	if (start != 0)
		*who = start << TID_BITS | tid;
	return true;
}

static bool lives(uint64_t who)
{
	uint64_t now;

	if (!look_up(who & ((1U << TID_BITS) - 1), &now))
		return true;
	return now == who || (now != 0 && who >> TID_BITS == 0); /* it could not be read then */
}

/* ---- a place ---- */

void steps_init(struct steps *s)
{
	*s = (struct steps){.words = NULL};
	pthread_mutex_init(&s->lock, NULL);
}

void steps_map(struct steps *s, uint64_t *words)
{
	__atomic_store_n(&s->words, words, __ATOMIC_SEQ_CST);
}

void steps_done(struct steps *s)
{
	steps_map(s, NULL);
	pthread_mutex_destroy(&s->lock);
}

static uint64_t *words_of(const struct steps *s)
{
	return __atomic_load_n(&s->words, __ATOMIC_SEQ_CST);
}

static bool is_ours(const struct steps *s, unsigned at)
{
	return load(&s->ours) >> at & 1;
}

/* The first that nobody living has, else none: nobody is told then. */
static void take_place(struct steps *s, uint64_t *words, struct steps_thread *t)
{
	uint64_t who, tid = (uint64_t)gettid();

	if (!look_up(tid, &who) || who == 0)
		who = tid;
	pthread_mutex_lock(&s->lock);
	for (unsigned at = 0; at < STEPS_PLACES && t->at == 0; at++) {
		uint64_t *place = word_of(words, at, WHO), former = load(place);

		if ((former != 0 && lives(former)) || !exchange(place, former, who))
			continue;
		store(word_of(words, at, STEP), 0);
		__atomic_or_fetch(&s->ours, UINT64_C(1) << at, __ATOMIC_SEQ_CST);
		t->at = at + 1;
	}
	pthread_mutex_unlock(&s->lock);
}

uint64_t steps_id(const char *incarnation)
{
	uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */

	for (; *incarnation; incarnation++)
		h = (h ^ (uint8_t)*incarnation) * UINT64_C(1099511628211);
	return h > IN_STEP ? h : h + IN_STEP + 1;
}

void steps_begin(struct steps *s, struct steps_thread *t, uint64_t mount, uint64_t id)
{
	uint64_t *words = words_of(s);

	if (words && t->at == 0)
		take_place(s, words, t);
	if (!words || t->at == 0)
		return;
	store(word_of(words, t->at - 1, MOUNT), mount);
	store(word_of(words, t->at - 1, STEP), id == STEPS_NOBODY ? IN_STEP : id);
}

void steps_end(struct steps *s, const struct steps_thread *t)
{
	uint64_t *words = words_of(s);

	if (words && t->at != 0)
		store(word_of(words, t->at - 1, STEP), 0);
}

/* ---- the others ---- */

/* Does the thread there live that was in that step? */
static bool is_alive(struct steps *s, unsigned at, uint64_t *place, uint64_t who)
{
	int64_t now = clock_mono_ms(), *seen = &s->seen_mono_ms[at];

	if (now - __atomic_load_n(seen, __ATOMIC_RELAXED) < SEEN_MS)
		return true;
	if (!lives(who)) {
		exchange(place, who, 0); /* so that it is not looked for again */
		return false;
	}
	__atomic_store_n(seen, now, __ATOMIC_RELAXED);
	return true;
}

bool steps_is_other(struct steps *s, uint64_t mount, uint64_t id)
{
	uint64_t *words = words_of(s);

	for (unsigned at = 0; words && at < STEPS_PLACES; at++) {
		uint64_t who = load(word_of(words, at, WHO)), step = load(word_of(words, at, STEP));

		if (who == 0 || step == 0 || is_ours(s, at) ||
		    (load(word_of(words, at, MOUNT)) != mount &&
		     (id == STEPS_NOBODY || step != id)))
			continue;
		if (is_alive(s, at, word_of(words, at, WHO), who))
			return true;
	}
	return false;
}
